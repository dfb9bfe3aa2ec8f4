import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hasCode } from "../../base/error.ts";
import { FrameReader, frameHeader } from "../../link/frames.ts";
import {
  decodeFromExecutor,
  decodeToExecutor,
  encodeNeed,
  encodeToExecutor,
  type StateEntry,
  type ToExecutor,
} from "./messages.ts";

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const account = fc.record({
  nonce: fc.bigInt(0n, 2n ** 64n - 1n),
  balanceWei: fc.bigInt(0n, 2n ** 256n - 1n),
  codeHash: bytes(32),
  hasStorage: fc.boolean(),
});
const entry: fc.Arbitrary<StateEntry> = fc.oneof(
  fc.record({
    kind: fc.constant("account" as const),
    address: bytes(20),
    account: fc.option(account, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant("slot" as const), address: bytes(20), slot: bytes(32), value: bytes(32) }),
  fc.record({ kind: fc.constant("code" as const), codeHash: bytes(32), code: fc.uint8Array({ maxLength: 300 }) }),
  fc.record({ kind: fc.constant("blockHash" as const), number: fc.nat(), hash: bytes(32) }),
);
const entries = fc.array(entry, { maxLength: 8 });
const tx = fc.record({
  index: fc.nat(),
  l1FeeWei: fc.bigInt(0n, 2n ** 128n),
  sender: bytes(20),
  raw: fc.uint8Array({ maxLength: 300 }),
});
const message: fc.Arbitrary<ToExecutor> = fc.oneof(
  fc.record({
    kind: fc.constant("run" as const),
    epoch: fc.nat(),
    batch: fc.nat(),
    entries,
    versions: fc.array(
      fc.record({
        address: bytes(20),
        slot: bytes(32),
        value: bytes(32),
        writer: fc.integer({ min: -1, max: 999 }),
        reader: fc.nat(),
      }),
      { maxLength: 3 },
    ),
    txs: fc.array(tx, { maxLength: 5 }),
  }),
  fc.record({ kind: fc.constant("state" as const), epoch: fc.nat(), batch: fc.nat(), entries }),
  fc.record({ kind: fc.constant("update" as const), entries }),
  fc.constant({ kind: "forget" as const }),
);

test("what is sent to an executor arrives as it was", () => {
  fc.assert(fc.property(message, (m) => assert.deepEqual(decodeToExecutor(encodeToExecutor(m)), structuredClone(m))));
});

test("what an executor asks for arrives as it was", () => {
  const keys = [
    { kind: "account" as const, address: new Uint8Array(20).fill(1) },
    { kind: "slot" as const, address: new Uint8Array(20).fill(2), slot: new Uint8Array(32).fill(3) },
    { kind: "code" as const, codeHash: new Uint8Array(32).fill(4) },
    { kind: "blockHash" as const, number: 5 },
  ];
  assert.deepEqual(decodeFromExecutor(encodeNeed(7, 8, keys)), { kind: "need", epoch: 7, batch: 8, keys });
});

test("rubbish from an executor is a coded error or a message, never anything else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
      try {
        decodeFromExecutor(noise.slice());
      } catch (error) {
        const codes = ["CODEC_TRUNCATED", "CODEC_MALFORMED", "CODEC_LIMIT"];
        assert.ok(
          codes.some((code) => hasCode(error, code)),
          String(error),
        );
      }
    }),
  );
});

test("messages come out of a stream whole, however it is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 6 }),
      fc.infiniteStream(fc.nat(20)),
      (sent, cuts) => {
        const stream = Buffer.concat(sent.flatMap((m) => [frameHeader(m), m]));
        const received: Uint8Array[] = [];
        const frames = new FrameReader((m) => received.push(m));
        for (let at = 0; at < stream.length; ) {
          const size = 1 + (cuts.next().value as number);
          frames.take(stream.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(received, sent);
      },
    ),
  );
});
