import assert from "node:assert/strict";
import { test } from "node:test";
import { brotliCompressSync } from "node:zlib";
import { RLP } from "@ethereumjs/rlp";
import fc from "fast-check";
import { Writer } from "../base/binary.ts";
import { hasCode } from "../base/error.ts";
import { decodeSegment, encodeSegment, SEGMENT_MAX_BYTES, type SegmentBlock } from "./segment.ts";

const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const runs = (numRuns: number): { seed: number; numRuns: number } => ({ seed, numRuns });

const bytes = (minLength: number, maxLength = minLength): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength, maxLength });
/** Integers of every byte length, zero included, as RLP wants them. */
const integer = (sizeBytes: number): fc.Arbitrary<bigint> =>
  fc.integer({ min: 0, max: sizeBytes }).chain((size) => fc.bigInt({ min: 0n, max: 256n ** BigInt(size) - 1n }));
const to = fc.oneof(bytes(20), fc.constant(new Uint8Array(0)));
const data = fc.oneof(bytes(0, 80), bytes(1), bytes(55), bytes(56), bytes(250, 300));
const accessList = fc.array(fc.tuple(bytes(20), fc.array(bytes(32), { maxLength: 3 })), { maxLength: 3 });
const authorizations = fc.array(fc.tuple(integer(8), bytes(20), integer(8), integer(1), integer(32), integer(32)), {
  maxLength: 3,
});

type RlpInput = Parameters<typeof RLP.encode>[0];
const typed = (type: number, fields: unknown): Uint8Array => Uint8Array.from([type, ...RLP.encode(fields as RlpInput)]);

/** Transactions as wallets make them, encoded by another RLP library, for chain 901 mostly. */
const transaction: fc.Arbitrary<Uint8Array> = fc
  .record({
    type: fc.constantFrom(0, 0, 1, 2, 2, 2, 4),
    chainId: fc.constantFrom(901n, 901n, 901n, 1n, 0n),
    nonce: integer(8),
    tip: integer(12),
    fee: integer(12),
    gas: integer(8),
    to,
    value: integer(32),
    data,
    accessList,
    authorizations,
    parity: fc.constantFrom(0n, 1n, 2n),
    r: integer(32),
    s: integer(32),
  })
  .map((t) => {
    const head = [t.gas, t.to, t.value, t.data];
    if (t.type === 0)
      return RLP.encode([t.nonce, t.fee, ...head, t.chainId * 2n + 35n + t.parity, t.r, t.s] as RlpInput);
    const fees = t.type === 1 ? [t.fee] : [t.tip, t.fee];
    const lists = t.type === 4 ? [t.accessList, t.authorizations] : [t.accessList];
    return typed(t.type, [t.chainId, t.nonce, ...fees, ...head, ...lists, t.parity, t.r, t.s]);
  });

/** A transaction with one byte changed, cut or added: near misses of the canonical form. */
const damaged = fc
  .tuple(transaction, fc.nat(), fc.nat(255), fc.constantFrom("set", "cut", "add"))
  .map(([raw, at, value, how]) => {
    const out = raw.slice();
    if (how === "set") out[at % out.length] = value;
    if (how === "cut") return out.slice(0, at % out.length);
    if (how === "add") return Uint8Array.from([...out, value]);
    return out;
  });
const anyBytes = fc.oneof(
  { weight: 6, arbitrary: transaction },
  { weight: 2, arbitrary: damaged },
  { weight: 1, arbitrary: bytes(0, 40) },
);

const blocks: fc.Arbitrary<SegmentBlock[]> = fc
  .record({
    first: fc.nat(2 ** 40),
    timestamp: fc.nat(2 ** 40),
    origin: fc.nat(2 ** 32),
    parentHash: bytes(32),
    originHash: bytes(32),
    list: fc.array(
      fc.tuple(fc.integer({ min: 1, max: 400 }), fc.constantFrom(0, 1), fc.array(anyBytes, { maxLength: 6 })),
      {
        minLength: 1,
        maxLength: 8,
      },
    ),
  })
  .map((p) => {
    let timestamp = p.timestamp;
    let origin = p.origin;
    return p.list.map(([delta, step, transactions], i) => {
      timestamp += delta;
      if (i > 0) origin += step;
      return {
        number: p.first + i,
        parentHash: p.parentHash,
        timestamp,
        origin: { number: origin, hash: p.originHash },
        transactions,
      };
    });
  });

test("what is encoded is decoded, for canonical, damaged and meaningless transactions", () => {
  fc.assert(
    fc.property(blocks, (list) => {
      const content = decodeSegment(encodeSegment(list, { chainId: 901 }));
      const first = list[0] as SegmentBlock;
      assert.equal(content.firstBlock, first.number);
      assert.deepEqual(content.parentHash, first.parentHash);
      assert.deepEqual(content.lastOrigin, (list.at(-1) as SegmentBlock).origin);
      assert.deepEqual(
        content.blocks.map((b) => ({ ...b, transactions: b.transactions.map((t) => Buffer.from(t).toString("hex")) })),
        list.map((b) => ({
          timestamp: b.timestamp,
          originNumber: b.origin.number,
          transactions: b.transactions.map((t) => Buffer.from(t).toString("hex")),
        })),
      );
    }),
    runs(300),
  );
});

test("canonical transactions of the segment's chain travel in columns, not whole", () => {
  // A column-coded transaction costs 64 stored bytes more in the signature section; a raw one none.
  const raw = typed(2, [
    901n,
    7n,
    1n,
    100n,
    21000n,
    new Uint8Array(20).fill(9),
    5n,
    new Uint8Array(0),
    [],
    1n,
    2n ** 255n,
    3n,
  ]);
  const foreign = typed(2, [
    902n,
    7n,
    1n,
    100n,
    21000n,
    new Uint8Array(20).fill(9),
    5n,
    new Uint8Array(0),
    [],
    1n,
    2n ** 255n,
    3n,
  ]);
  const block = (transactions: Uint8Array[]): SegmentBlock => ({
    number: 1,
    parentHash: new Uint8Array(32),
    timestamp: 1,
    origin: { number: 1, hash: new Uint8Array(32) },
    transactions,
  });
  assert.equal(encodeSegment([block([raw, raw])], { chainId: 901 })[1], 2);
  assert.equal(encodeSegment([block([raw, foreign])], { chainId: 901 })[1], 1);
});

test("any bytes decode or are refused with SEGMENT_MALFORMED", () => {
  const tryDecode = (input: Uint8Array): void => {
    try {
      decodeSegment(input);
    } catch (error) {
      assert.ok(hasCode(error, "SEGMENT_MALFORMED"), String(error));
    }
  };
  fc.assert(
    fc.property(bytes(0, 300), (soup) => {
      tryDecode(soup);
      tryDecode(Uint8Array.from([1, 0, ...soup]));
      tryDecode(Uint8Array.from([1, 0, ...brotliCompressSync(soup)]));
    }),
    runs(300),
  );
  fc.assert(
    fc.property(blocks, fc.nat(), fc.nat(255), (list, at, value) => {
      const segment = encodeSegment(list, { chainId: 901 });
      segment[at % segment.length] = value;
      tryDecode(segment);
      tryDecode(segment.subarray(0, at % segment.length));
    }),
    runs(300),
  );
});

test("damage inside the payload, behind the compressor, is refused or gives a segment", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.nat(300), fc.nat(2 ** 50)), { minLength: 1, maxLength: 60 }),
      bytes(0, 200),
      (numbers, tail) => {
        const w = new Writer();
        w.uvarint(numbers[0] as number);
        w.fixed(new Uint8Array(32));
        w.uvarint(1);
        w.fixed(new Uint8Array(32));
        for (const n of numbers) w.uvarint(n);
        w.fixed(tail);
        try {
          decodeSegment(Uint8Array.from([1, 0, ...brotliCompressSync(w.view(), { params: { 1: 1 } })]));
        } catch (error) {
          assert.ok(hasCode(error, "SEGMENT_MALFORMED"), String(error));
        }
      },
    ),
    runs(500),
  );
});

test("a decompression bomb, an oversized input and trailing bytes are refused", () => {
  const bomb = brotliCompressSync(new Uint8Array(64 * 1024 * 1024), { params: { 1: 5 } });
  assert.ok(bomb.length < 1024);
  for (const input of [
    Uint8Array.from([1, 0, ...bomb]),
    new Uint8Array(SEGMENT_MAX_BYTES + 1).fill(1),
    Uint8Array.from([
      ...encodeSegment(
        [
          {
            number: 1,
            parentHash: new Uint8Array(32),
            timestamp: 1,
            origin: { number: 1, hash: new Uint8Array(32) },
            transactions: [],
          },
        ],
        { chainId: 1 },
      ),
      0,
    ]),
  ])
    assert.throws(
      () => decodeSegment(input),
      (error) => hasCode(error, "SEGMENT_MALFORMED"),
    );
});
