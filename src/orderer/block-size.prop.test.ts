import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes } from "../base/bytes.ts";
import { BLOBS_PER_SEGMENT_MAX, blobPayloadMaxBytes } from "../protocol/blob-codec.ts";
import { encodeRlp } from "../protocol/rlp.ts";
import { encodeSegment, SEGMENT_TX_OVERHEAD_BYTES } from "../protocol/segment.ts";
import { BlockSize } from "./block-size.ts";

const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const LIMITS = {
  chainId: 901,
  segmentSizeMaxBytes: blobPayloadMaxBytes(BLOBS_PER_SEGMENT_MAX),
  blockSizeMaxBytes: 8 << 20,
};

/** Bytes that nothing compresses, the same for the same name. */
function noise(name: string, length: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let i = 0; i * 32 < length; i++) parts.push(createHash("sha256").update(`${name} ${i}`).digest());
  return concatBytes(...parts).subarray(0, length);
}

const number = (value: number): Uint8Array => {
  const bytes: number[] = [];
  for (let v = value; v > 0; v = Math.floor(v / 256)) bytes.unshift(v % 256);
  return Uint8Array.from(bytes);
};

function dynamicFee(to: Uint8Array, data: Uint8Array, nonce: number, r: Uint8Array, s: Uint8Array): Uint8Array {
  const head = [number(901), number(nonce), number(1_000_000), number(500_000_000_000), number(60_000)];
  return encodeRlp([...head, to, number(0), data, [], number(1), r, s], Uint8Array.of(2));
}

const MAKERS = {
  transfer: (i: number) => {
    const to = noise(`receiver ${i % 1_000}`, 20);
    const data = concatBytes(
      Uint8Array.of(0xa9, 0x05, 0x9c, 0xbb),
      new Uint8Array(12),
      to,
      new Uint8Array(30),
      noise(`v${i}`, 2),
    );
    return dynamicFee(noise("token", 20), data, i >> 8, noise(`r${i}`, 32), noise(`s${i}`, 32));
  },
  noise: (i: number) =>
    dynamicFee(noise(`to${i}`, 20), noise(`d${i}`, 3_000), i, noise(`r${i}`, 32), noise(`s${i}`, 32)),
  /** A signature somebody chose, not made: RLP drops nearly all of it, a segment nothing. */
  short: (i: number) =>
    encodeRlp([
      number(i),
      number(1),
      number(21_000),
      noise(`t${i}`, 20),
      number(1),
      number(0),
      number(1_838),
      number(1),
      number(1),
    ]),
  unreadable: (i: number) => noise(`raw${i}`, 60),
};
type Kind = keyof typeof MAKERS;

/** Fills a block as the orderer does, cut by cut; its transactions. */
function fill(kinds: readonly Kind[], cutTxs: number): Uint8Array[] {
  const size = new BlockSize(LIMITS);
  const txs: Uint8Array[] = [];
  for (let full = false; !full; ) {
    let left = size.roomBytes();
    const before = txs.length;
    for (let n = 0; n < cutTxs; n++) {
      const raw = MAKERS[kinds[Math.floor(txs.length / 500) % kinds.length] as Kind](txs.length);
      left -= raw.length + SEGMENT_TX_OVERHEAD_BYTES;
      if (left < 0) break;
      txs.push(raw);
    }
    for (const raw of txs.slice(before)) size.add(raw);
    full = txs.length === before;
  }
  return txs;
}

function segmentBytes(transactions: readonly Uint8Array[]): number {
  const origin = { number: 7, hash: noise("origin", 32) };
  const block = { number: 9, parentHash: noise("parent", 32), timestamp: 1_700_000_000, origin, transactions };
  return encodeSegment([block], { chainId: 901 }).length;
}

test(`a full block fits a segment, whatever it holds (seed ${seed})`, () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom<Kind>("transfer", "noise", "short", "unreadable"), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(50, 400, 2_000),
      (kinds, cutTxs) => {
        const bytes = segmentBytes(fill(kinds, cutTxs));
        assert.ok(bytes <= LIMITS.segmentSizeMaxBytes, `${bytes} bytes`);
        assert.ok(bytes > LIMITS.segmentSizeMaxBytes * 0.8, `only ${bytes} bytes, of ${kinds.join()}`);
      },
    ),
    { seed, numRuns: 8 },
  );
});

test("token transfers fill a segment, not a third of it", () => {
  assert.ok(fill(["transfer"], 400).length > 9_000);
});

test("no block exceeds its plain limit", () => {
  const size = new BlockSize({ ...LIMITS, blockSizeMaxBytes: 1_000 });
  size.add(new Uint8Array(900));
  assert.equal(size.roomBytes(), 100);
  size.reset();
  assert.equal(size.roomBytes(), 1_000);
});
