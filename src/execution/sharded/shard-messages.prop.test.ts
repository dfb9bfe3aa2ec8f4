import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toHexKey } from "../../base/bytes.ts";
import { hasCode } from "../../base/error.ts";
import { ACCOUNT, RECORD, SLOT } from "../wasm/layout.ts";
import { Output, TxRecord } from "../wasm/result.ts";
import { effectsAt, effectsOf } from "./effects.ts";
import {
  type Answer,
  consequentialAccounts,
  correct,
  decodeFromShard,
  decodeRound,
  encodeAnswer,
  encodeReady,
  encodeRound,
  originOf,
} from "./shard-messages.ts";

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const key = (length: number): fc.Arbitrary<string> => bytes(length).map(toHexKey);
const CODEC = ["CODEC_TRUNCATED", "CODEC_MALFORMED", "CODEC_LIMIT"];

/** A record with accounts as given: their flags and how many slots each has; all else is noise. */
const record = fc
  .record({
    accounts: fc.array(fc.record({ flags: fc.nat(1023), slots: fc.nat(3) }), { maxLength: 5 }),
    noise: fc.nat(),
  })
  .map(({ accounts, noise }) => {
    const header = 256;
    const size = header + accounts.reduce((sum, { slots }) => sum + ACCOUNT.size + slots * SLOT.size, 0);
    const memory = new Uint8Array(size).map((_, i) => (i * 31 + noise) & 255);
    const view = new DataView(memory.buffer);
    view.setUint32(RECORD.size, size, true);
    view.setUint32(RECORD.accounts, header, true);
    view.setUint32(RECORD.accountCount, accounts.length, true);
    let at = header;
    for (const { flags, slots } of accounts) {
      view.setUint32(at + ACCOUNT.flags, flags, true);
      view.setUint32(at + ACCOUNT.slotCount, slots, true);
      for (let i = 0; i < slots; i++) view.setUint32(at + ACCOUNT.size + i * SLOT.size + SLOT.written, i & 1, true);
      at += ACCOUNT.size + slots * SLOT.size;
    }
    return new TxRecord(new Output(memory), 0);
  });

const conflict: fc.Arbitrary<NonNullable<Answer["conflict"]>> = fc.oneof(
  fc.record({ address: key(20), slot: key(32), writer: fc.integer({ min: -1, max: 1_000 }), value: bytes(32) }),
  fc.record({
    address: key(20),
    slot: fc.constant(undefined),
    writer: fc.constant(-1),
    value: fc.constant(undefined),
  }),
);
const fields = {
  nonce: fc.bigInt(0n, 2n ** 64n - 1n),
  balanceWei: fc.bigInt(0n, 2n ** 256n - 1n),
  codeHash: bytes(32),
};
const net = fc.record({
  accounts: fc
    .array(
      fc.tuple(
        key(20),
        fc.record({
          cleared: fc.boolean(),
          account: fc.option(fc.record(fields), { nil: undefined }),
          storage: fc.array(fc.tuple(key(32), bytes(32)), { maxLength: 3 }).map((slots) => new Map(slots)),
        }),
      ),
      { maxLength: 4 },
    )
    .map((accounts) => new Map(accounts)),
  codes: fc.array(key(32), { maxLength: 3 }).map((hashes) => new Map(hashes.map((h) => [h, new Uint8Array(0)]))),
});
const answer: fc.Arbitrary<Answer> = fc.record({
  epoch: fc.nat(),
  round: fc.nat(),
  frontier: fc.nat(),
  conflict: fc.option(conflict, { nil: undefined }),
  stale: fc.array(fc.record({ index: fc.nat(), conflict }), { maxLength: 3 }),
  values: fc.array(
    fc.record({ kind: fc.constant("slot" as const), address: bytes(20), slot: bytes(32), value: bytes(32) }),
    { maxLength: 3 },
  ),
  settledTo: fc.nat(),
  corrections: fc.array(
    fc.record({ index: fc.nat(), at: fc.nat(), fields: bytes(ACCOUNT.size - ACCOUNT.nonceBefore) }),
    { maxLength: 3 },
  ),
  net: fc.option(net, { nil: undefined }),
  micros: fc.nat(),
  accesses: fc.nat(),
});

test("a shard finds in a round what the coordinator's records say, and where it was", () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 5 }), (records) => {
      const parts = records.map((r, index) => ({
        index,
        record: r,
        accounts: consequentialAccounts({ record: r, accounts: undefined }),
      }));
      const sent = { epoch: 3, round: 4, count: 9, watermark: 2, base: [], reads: [], parts };
      const got = decodeRound(encodeRound(sent));
      assert.deepEqual({ ...got, parts: [] }, { ...sent, parts: [] });
      for (const [i, part] of got.parts.entries()) {
        const own = records[i] as TxRecord;
        assert.deepEqual(effectsAt(part.record as TxRecord, part.accounts ?? []), effectsOf(own));
        assert.deepEqual(
          part.accounts?.map((at) => originOf(part.record as TxRecord, at)),
          parts[i]?.accounts,
        );
      }
    }),
  );
});

test("an answer arrives as it was", () => {
  fc.assert(fc.property(answer, (m) => assert.deepEqual(decodeFromShard(encodeAnswer(m)), structuredClone(m))));
  assert.equal(decodeFromShard(encodeReady()), undefined);
});

test("rubbish for and from a shard is a coded error or a message, never anything else", () => {
  const taken = (decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void => {
    try {
      decode(bytes);
    } catch (error) {
      assert.ok(
        CODEC.some((code) => hasCode(error, code)),
        String(error),
      );
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(400), answer, record, (noise, at, m, r) => {
      taken(decodeRound, noise.slice());
      taken(decodeFromShard, noise.slice());
      const part = { index: 1, record: r, accounts: consequentialAccounts({ record: r, accounts: undefined }) };
      const round = encodeRound({ epoch: 1, round: 1, count: 2, watermark: 0, base: [], reads: [], parts: [part] });
      for (const whole of [round, encodeAnswer(m)]) {
        // Cut short, and with a byte changed.
        const changed = whole.slice();
        if (changed.length > 0)
          changed[at % changed.length] = (changed[at % changed.length] as number) ^ (1 + (at & 127));
        for (const wrong of [whole.slice(0, at % (whole.length + 1)), changed]) {
          taken(decodeRound, wrong.slice());
          taken(decodeFromShard, wrong.slice());
        }
      }
    }),
  );
});

test("a correction of what is no account of the record is refused", () => {
  const small = new TxRecord(new Output(new Uint8Array(512)), 0);
  small.setU64(0, 512n);
  const fieldsOf = new Uint8Array(ACCOUNT.size - ACCOUNT.nonceBefore);
  assert.equal(correct(small, { index: 0, at: 304, fields: fieldsOf }), true);
  assert.equal(correct(small, { index: 0, at: 312, fields: fieldsOf }), false);
  assert.equal(correct(small, { index: 0, at: 300, fields: fieldsOf }), false);
});
