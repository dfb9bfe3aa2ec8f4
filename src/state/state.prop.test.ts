/**
 * The durable state against its twin: random blocks of writes are prepared, committed, unwound, pruned and reopened;
 * roots, reads of every version and proofs must agree.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { bytesEqual, toHexKey } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_CODE_HASH, EMPTY_TRIE_ROOT } from "../protocol/ordered-trie.ts";
import { type AccountWrite, emptyWrites, type StateWrites } from "../protocol/state-writes.ts";
import { Database } from "../store/database.ts";
import { LmdbState } from "./lmdb-state.ts";
import { MemoryState } from "./memory-state.ts";
import { readTrieId } from "./state-key.ts";

const ADDRESSES = 40;
const SLOTS = 30;
const addressOf = (n: number): Uint8Array => new Uint8Array(20).fill(n + 1);
const slotOf = (n: number): Uint8Array => new Uint8Array(32).fill(n);

const valueArb = fc.oneof(
  { weight: 2, arbitrary: fc.constant(new Uint8Array(32)) },
  {
    weight: 3,
    arbitrary: fc.integer({ min: 1, max: 255 }).map((n) => {
      const value = new Uint8Array(32);
      value[31] = n;
      return value;
    }),
  },
  { weight: 3, arbitrary: fc.uint8Array({ minLength: 32, maxLength: 32 }) },
);

const accountArb = fc.record({
  nonce: fc.oneof(fc.bigInt(0n, 3n), fc.bigInt(0n, 2n ** 64n - 1n)),
  balanceWei: fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, 2n ** 256n - 1n)),
  codeHash: fc.constantFrom(EMPTY_CODE_HASH, keccak256(Uint8Array.of(1)), keccak256(Uint8Array.of(2, 3))),
});

const writeArb: fc.Arbitrary<AccountWrite> = fc.record({
  cleared: fc.nat(9).map((n) => n === 0),
  account: fc.option(accountArb, { nil: undefined, freq: 5 }),
  storage: fc
    .array(fc.tuple(fc.nat(SLOTS - 1), valueArb), { maxLength: 12 })
    .map((entries) => new Map(entries.map(([slot, value]) => [toHexKey(slotOf(slot)), value]))),
});

const writesArb: fc.Arbitrary<StateWrites> = fc
  .array(fc.tuple(fc.nat(ADDRESSES - 1), writeArb), { maxLength: 14 })
  .map((entries) => {
    const writes = emptyWrites();
    for (const [n, write] of entries) writes.accounts.set(toHexKey(addressOf(n)), write);
    writes.codes.set(toHexKey(keccak256(Uint8Array.of(1))), Uint8Array.of(1));
    writes.codes.set(toHexKey(keccak256(Uint8Array.of(2, 3))), Uint8Array.of(2, 3));
    return writes;
  });

type Step =
  | { readonly kind: "commit"; readonly writes: StateWrites; readonly discarded: StateWrites | undefined }
  | { readonly kind: "abort"; readonly writes: StateWrites }
  | { readonly kind: "rollback"; readonly by: number }
  | { readonly kind: "prune"; readonly keep: number }
  | { readonly kind: "reopen" };

const stepArb: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("commit" as const),
      writes: writesArb,
      discarded: fc.option(writesArb, { nil: undefined, freq: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("abort" as const), writes: writesArb }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rollback" as const), by: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("prune" as const), keep: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
);

function assertAlike(durable: LmdbState, twin: MemoryState, step = 1): void {
  assert.equal(durable.head, twin.head);
  assert.equal(durable.oldest, twin.oldest);
  for (let version = twin.oldest; version <= twin.head; version += step) {
    const a = durable.reader(version);
    const b = twin.reader(version);
    for (let n = 0; n < ADDRESSES; n++) {
      const address = addressOf(n);
      const account = a.account(address);
      const { nonce, balanceWei, codeHash } = account ?? {};
      const expected = b.account(address);
      assert.deepEqual(account && { nonce, balanceWei, codeHash }, expected);
      if (expected === undefined) continue;
      for (let s = 0; s < SLOTS; s++) assert.deepEqual(a.storage(address, slotOf(s)), b.storage(address, slotOf(s)));
      assert.deepEqual(a.code(expected.codeHash), b.code(expected.codeHash));
      assert.deepEqual(durable.storageRoot(version, address), twin.storageRoot(version, address));
    }
  }
}

/** The twin builds whole tries for each proof: only every `step`-th version. */
function assertProofsAlike(durable: LmdbState, twin: MemoryState, step: number): void {
  for (let version = twin.oldest; version <= twin.head; version += step)
    for (let n = version % 7; n < ADDRESSES; n += 7) {
      const slots = [0, 1, 7, 20].map(slotOf);
      const actual = durable.proof(version, addressOf(n), slots);
      const expected = twin.proof(version, addressOf(n), slots);
      assert.deepEqual(actual.accountProof, expected.accountProof);
      assert.deepEqual(actual.storageRoot, expected.storageRoot);
      assert.deepEqual(actual.storageProofs, expected.storageProofs);
      assert.equal(actual.account?.balanceWei, expected.account?.balanceWei);
    }
}

test("the durable state equals its twin in every version, through aborts, unwinding, pruning and restarts", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArb, { minLength: 10, maxLength: 40 }), async (steps) => {
      const folder = mkdtempSync(join(tmpdir(), "sheaf-state-"));
      let database = Database.open(folder, { durable: false });
      let durable = new LmdbState(database);
      const twin = new MemoryState();
      try {
        for (const step of steps) {
          if (step.kind === "commit") {
            if (step.discarded !== undefined)
              assert.deepEqual(durable.prepare(step.discarded).stateRoot, twin.prepare(step.discarded).stateRoot);
            const expected = twin.prepare(step.writes);
            const prepared = durable.prepare(step.writes);
            assert.deepEqual(prepared.stateRoot, expected.stateRoot);
            database.transaction(() => durable.commit(durable.head + 1, prepared));
            twin.commit(twin.head + 1, expected);
          } else if (step.kind === "abort") {
            const prepared = durable.prepare(step.writes);
            assert.throws(() =>
              database.transaction(() => {
                durable.commit(durable.head + 1, prepared);
                throw new Error("changed its mind");
              }),
            );
          } else if (step.kind === "rollback") {
            if (twin.head < 0) continue;
            // Without pruned history, all the way to before genesis.
            const target = Math.max(twin.oldest === 0 ? -1 : twin.oldest, twin.head - step.by);
            database.transaction(() => durable.rollback(target));
            twin.rollback(target);
          } else if (step.kind === "prune") {
            if (twin.head < 0) continue;
            const target = Math.max(twin.oldest, twin.head - step.keep);
            while (!durable.prune(target));
            twin.prune(target);
          } else {
            await database.close();
            database = Database.open(folder, { durable: false });
            durable = new LmdbState(database);
          }
        }
        if (twin.head < 0) return;
        assertAlike(durable, twin);
        assertProofsAlike(durable, twin, 2);
        assert.throws(
          () => durable.reader(durable.head + 1),
          (error) => hasCode(error, "STATE_UNKNOWN"),
        );
        if (durable.oldest > 0)
          assert.throws(
            () => durable.reader(durable.oldest - 1),
            (error) => hasCode(error, "STATE_PRUNED"),
          );
      } finally {
        await database.close();
        rmSync(folder, { recursive: true });
      }
    }),
    { numRuns: 30 },
  );
});

test("keys that change in every version are read in each of hundreds, also after unwinding and pruning", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-state-"));
  const database = Database.open(folder, { durable: false });
  const durable = new LmdbState(database);
  const twin = new MemoryState();
  const commit = (salt: number): void => {
    const version = twin.head + 1;
    const writes = emptyWrites();
    // One account in every version, one slot in most and absent in some, one account that comes and goes.
    const value = new Uint8Array(32);
    value[31] = (version + salt) % 5;
    writes.accounts.set(toHexKey(addressOf(1)), {
      cleared: version % 97 === 96,
      account: { nonce: BigInt(version), balanceWei: BigInt(salt), codeHash: EMPTY_CODE_HASH },
      storage: new Map([
        [toHexKey(slotOf(1)), value],
        [toHexKey(slotOf(version % SLOTS)), new Uint8Array(32).fill(1 + (version % 200))],
      ]),
    });
    writes.accounts.set(toHexKey(addressOf(2)), {
      cleared: false,
      account:
        version % 3 === 0
          ? undefined
          : { nonce: 0n, balanceWei: BigInt(version * 7 + salt), codeHash: EMPTY_CODE_HASH },
      storage: new Map(),
    });
    const expected = twin.prepare(writes);
    const prepared = durable.prepare(writes);
    assert.deepEqual(prepared.stateRoot, expected.stateRoot);
    database.transaction(() => durable.commit(version, prepared));
    twin.commit(version, expected);
  };
  for (let i = 0; i < 330; i++) commit(0);
  assertAlike(durable, twin, 3);
  assertProofsAlike(durable, twin, 9);
  database.transaction(() => durable.rollback(260));
  twin.rollback(260);
  assertAlike(durable, twin, 3);
  for (let i = 0; i < 70; i++) commit(1000);
  while (!durable.prune(150));
  twin.prune(150);
  assertAlike(durable, twin, 3);
  assertProofsAlike(durable, twin, 9);
  await database.close();
  rmSync(folder, { recursive: true });
});

test("a prepared state survives an abort that did not touch the state, and is void after one that did", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-state-"));
  const database = Database.open(folder, { durable: false });
  const other = database.table("other");
  const state = new LmdbState(database);
  const writes = emptyWrites();
  const account = { nonce: 1n, balanceWei: 2n, codeHash: EMPTY_CODE_HASH };
  writes.accounts.set(toHexKey(addressOf(1)), { cleared: false, account, storage: new Map() });
  const abort = (body: () => void): void =>
    assert.throws(() =>
      database.transaction(() => {
        body();
        throw new Error("changed its mind");
      }),
    );
  const prepared = state.prepare(writes);
  abort(() => other.put(Uint8Array.of(1), Uint8Array.of(1)));
  database.transaction(() => state.commit(0, prepared));
  assert.equal(state.head, 0);
  const next = state.prepare(emptyWrites());
  abort(() => state.commit(1, state.prepare(emptyWrites())));
  assert.equal(state.head, 0);
  assert.throws(() => database.transaction(() => state.commit(1, next)));
  assert.equal(state.head, 0);
  await database.close();
  rmSync(folder, { recursive: true });
});

test("a reader of an unwound version says so, also when another block has taken its number", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-state-"));
  const database = Database.open(folder, { durable: false });
  const state = new LmdbState(database);
  const commit = (balanceWei: bigint): void => {
    const writes = emptyWrites();
    const account = { nonce: 0n, balanceWei, codeHash: EMPTY_CODE_HASH };
    writes.accounts.set(toHexKey(addressOf(1)), { cleared: false, account, storage: new Map() });
    const prepared = state.prepare(writes);
    database.transaction(() => state.commit(state.head + 1, prepared));
  };
  commit(1n);
  commit(2n);
  const kept = state.reader(0);
  const unwound = state.reader(1);
  database.transaction(() => state.rollback(0));
  commit(3n);
  assert.equal(kept.account(addressOf(1))?.balanceWei, 1n);
  assert.throws(
    () => unwound.account(addressOf(1)),
    (error) => hasCode(error, "STATE_UNKNOWN"),
  );
  assert.equal(state.reader(1).account(addressOf(1))?.balanceWei, 3n);
  await database.close();
  rmSync(folder, { recursive: true });
});

test("history that was pruned leaves nothing behind", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-state-"));
  const database = Database.open(folder, { durable: false });
  const durable = new LmdbState(database);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(writesArb, fc.nat(9)), { minLength: 1, maxLength: 40 }), async (blocks) => {
      for (const [writes, unwind] of blocks) {
        const prepared = durable.prepare(writes);
        database.transaction(() => durable.commit(durable.head + 1, prepared));
        if (unwind < 3) database.transaction(() => durable.rollback(Math.max(durable.oldest, durable.head - unwind)));
      }
      while (!durable.prune(durable.head));
      await database.flushed();
      const everything = { start: Uint8Array.of(0) };
      for (const table of ["undo", "tombstones", "checkpoints"])
        assert.deepEqual(database.table(table).keys(everything), [], table);
      // What is left are the entries and nodes of one state: wiped storages are gone.
      const ids = new Set(
        database
          .table("state")
          .keys(everything)
          .map((key) => readTrieId(key, 0)),
      );
      let storages = 0;
      for (let n = 0; n < ADDRESSES; n++)
        if (!bytesEqual(durable.storageRoot(durable.head, addressOf(n)), EMPTY_TRIE_ROOT)) storages++;
      ids.delete(0);
      assert.equal(ids.size, storages);
    }),
    { numRuns: 25 },
  );
  await database.close();
  rmSync(folder, { recursive: true });
});
