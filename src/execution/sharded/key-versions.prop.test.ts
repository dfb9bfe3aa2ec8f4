import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { toHexKey } from "../../base/bytes.ts";
import { emptyWrites, type StateWrites } from "../../protocol/state-writes.ts";
import type { Account, StateReader } from "../execution.ts";
import { ACCOUNT, SLOT } from "../wasm/layout.ts";
import { Output, TxRecord } from "../wasm/result.ts";
import { Random, randomCase } from "../wasm/testing/random-program.ts";
import { WasmEngine } from "../wasm/wasm.ts";
import { effectsAt, effectsOf, hasEffect } from "./effects.ts";
import { KeyVersions } from "./key-versions.ts";
import { LyingReader } from "./testing/adversary.ts";
import { KeyVersionsModel } from "./testing/key-versions-model.ts";
import { Workload } from "./testing/workloads.ts";

const engine = await WasmEngine.create();

const copyOf = (record: TxRecord): TxRecord => new TxRecord(new Output(record.slice(0, record.size).slice()), 0);

/** Does the case's shard have the account? All do where `parts` is 1. */
const isOwn = (record: TxRecord, at: number, parts: number): boolean =>
  (record.slice(at + ACCOUNT.address, at + ACCOUNT.address + 20)[19] as number) % parts === 0;

function accountsOf(record: TxRecord, parts: number): number[] {
  const accounts: number[] = [];
  record.forEachAccount((at) => {
    if (isOwn(record, at, parts)) accounts.push(at);
  });
  return accounts;
}

/** Flags that a tampered record has other than the engine said: destroyed, touched, and what was looked at. */
const FLAGS = [2, 4, 16, 32, 64, 128, 512];

/** Makes up what programs seldom do: accounts destroyed or touched, slots written or not, in any combination. */
function tampered(record: TxRecord, random: Random): TxRecord {
  const copy = copyOf(record);
  const bytes = copy.slice(0, copy.size);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  copy.forEachAccount((at, slotsAt, slotCount) => {
    if (random.chance(30)) view.setUint32(at, view.getUint32(at, true) ^ random.pick(FLAGS), true);
    for (let n = 0, slot = slotsAt; n < slotCount; n++, slot += SLOT.size) {
      if (random.chance(20)) view.setUint32(slot + SLOT.written, random.below(2), true);
      if (random.chance(20)) bytes[slot + SLOT.value + 31] = random.below(3);
    }
  });
  return copy;
}

/** What the model says a transaction there finds. */
class ModelReader implements StateReader {
  readonly #model: KeyVersionsModel;
  readonly #base: StateReader;
  readonly #index: number;
  constructor(model: KeyVersionsModel, base: StateReader, index: number) {
    this.#model = model;
    this.#base = base;
    this.#index = index;
  }
  account(address: Uint8Array): Account | undefined {
    return this.#model.account(toHexKey(address), this.#index);
  }
  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    return this.#model.storage(toHexKey(address), toHexKey(slot), this.#index);
  }
  code(codeHash: Uint8Array): Uint8Array {
    return this.#base.code(codeHash);
  }
  blockHash(number: number): Uint8Array {
    return this.#base.blockHash(number);
  }
}

/** The same whatever order accounts and slots are in. */
const linesOf = (writes: StateWrites): string[] =>
  [...writes.accounts]
    .map(([key, { cleared, account, storage }]) => {
      const fields = account && `${account.nonce} ${account.balanceWei} ${toHexKey(account.codeHash)}`;
      return `${key} ${cleared} ${fields} ${[...storage]
        .map(([k, v]) => `${k}=${toHexKey(v)}`)
        .sort()
        .join()}`;
    })
    .sort();

test("I2, I4, I8, I9: versions in bytes say what the model says, whatever is installed, replaced and asked", (t) => {
  const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));
  t.diagnostic(`seed ${seed}`);
  for (let i = 0; i < Number(process.env["CASES"] ?? 150); i++) {
    const random = new Random(seed, i);
    // Every third: creation, destruction and creation again at the same addresses.
    const c =
      i % 3 === 0
        ? new Workload("H1", random, 8).epoch(2 + random.below(16), 30_000_000)
        : randomCase(seed, i, 2 + random.below(16));
    const count = c.txs.length;
    const parts = random.pick([1, 1, 2]);
    const where = `case ${i} of seed ${seed}`;
    const model = new KeyVersionsModel(c.world, count);
    const versions = new KeyVersions(c.world, count);
    /** The record of the current part, as the model and as the core have it. */
    const current: (readonly [TxRecord, TxRecord] | undefined)[] = Array.from({ length: count });
    const install = (index: number, record: TxRecord | undefined): void => {
      if (record === undefined) {
        current[index] = undefined;
        model.install(index, []);
        versions.install(index, undefined, undefined);
        return;
      }
      const [one, other] = [copyOf(record), copyOf(record)];
      current[index] = [one, other];
      model.install(index, parts === 1 ? effectsOf(one) : effectsAt(one, accountsOf(one, parts)));
      versions.install(index, other, parts === 1 ? undefined : accountsOf(other, parts));
    };
    const run = (
      from: number,
      count: number,
      reader: StateReader,
      isGuess: boolean,
    ): readonly (TxRecord | undefined)[] =>
      engine.executePartial(c.env, c.txs.slice(from, from + count), reader, Number.MAX_SAFE_INTEGER, {
        assumeNonce: isGuess,
      }).records;
    for (let step = 0; step < count * 6; step++) {
      const index = random.below(count);
      const base = random.chance(50) ? c.world : new ModelReader(model, c.world, index);
      const reader = random.chance(50) ? base : new LyingReader(base, 30, random);
      // A few at a time, so that results build on each other.
      for (const [n, record] of run(index, 1 + random.below(3), reader, random.chance(70)).entries())
        if (record === undefined) continue;
        else install(index + n, random.chance(3) ? undefined : random.chance(30) ? tampered(record, random) : record);
      if (random.chance(70)) assert.equal(versions.advance(), model.advance(), `${where}: frontier at step ${step}`);
      const asked = random.below(count);
      assert.deepEqual(versions.conflict(asked), model.conflict(asked), `${where}: conflict of ${asked}, step ${step}`);
      assert.deepEqual(versions.staleSlot(asked), model.staleSlot(asked), `${where}: stale slot of ${asked}`);
      const record = current[asked]?.[0];
      const at = random.below(count + 1);
      record?.forEachAccount((account, slotsAt, slotCount) => {
        const address = record.slice(account + ACCOUNT.address, account + ACCOUNT.address + 20).slice();
        const [a, b] = [versions.account(address, at), model.account(toHexKey(address), at)];
        const plain = (x: Account | undefined): unknown => x && { ...x, hasStorage: x.hasStorage === true };
        assert.deepEqual(plain(a), plain(b), `${where}: ${toHexKey(address)} at ${at}, step ${step}`);
        for (let n = 0, slot = slotsAt; n < slotCount; n++, slot += SLOT.size) {
          const key: Uint8Array = record.slice(slot, slot + 32).slice();
          const v = versions.storage(address, key, at);
          const w = model.storage(toHexKey(address), toHexKey(key), at);
          assert.equal(toHexKey(v), toHexKey(w), `${where}: slot ${toHexKey(key)} at ${at}, step ${step}`);
        }
      });
    }
    for (let frontier = model.advance(); frontier < count; frontier = model.advance()) {
      assert.equal(versions.advance(), frontier, where);
      install(frontier, run(frontier, 1, new ModelReader(model, c.world, frontier), false)[0]);
    }
    assert.equal(versions.advance(), count, where);
    for (const [index, records] of current.entries()) {
      if (records === undefined) continue;
      const [one, other] = records;
      const own = accountsOf(one, parts);
      const matters = own.filter((at) => hasEffect(one, at));
      const wrong = matters.filter((at) => model.settle(index, one, at));
      if (parts === 1) versions.settle(index, other);
      else assert.deepEqual(versions.settlePart(index, other), wrong, `${where}: what was settled of ${index}`);
      for (const at of matters)
        assert.equal(
          toHexKey(other.slice(at, at + ACCOUNT.size)),
          toHexKey(one.slice(at, at + ACCOUNT.size)),
          `${where}: the account at ${at} of ${index}`,
        );
      assert.equal(toHexKey(other.slice(0, 192)), toHexKey(one.slice(0, 192)), `${where}: head of ${index}`);
    }
    const expected = emptyWrites();
    const codes = new Set<string>();
    model.net(expected, (hash) => {
      codes.add(hash);
      return undefined;
    });
    const net = versions.net();
    assert.deepEqual(linesOf(net), linesOf(expected), `${where}: net effect`);
    for (const hash of net.codes.keys()) assert.ok(codes.has(hash), where);
    versions.close();
  }
});

test("an account of a record that goes beyond it is refused, and the core serves the next epoch", () => {
  const c = randomCase(1, 1, 2);
  const [record] = engine.executePartial(c.env, c.txs, c.world, Number.MAX_SAFE_INTEGER).records;
  assert.ok(record !== undefined);
  const broken = copyOf(record);
  let at = 0;
  broken.forEachAccount((offset) => {
    at = offset;
  });
  new DataView(broken.slice(at, at + 8).buffer, broken.slice(at, at + 8).byteOffset).setUint32(4, 0xffff_ffff, true);
  const versions = new KeyVersions(c.world, 2);
  assert.throws(() => versions.install(0, broken, undefined), { code: "VERSIONS_MALFORMED" });
  assert.equal(versions.advance(), 0);
  versions.install(0, copyOf(record), undefined);
  assert.equal(versions.advance(), 1);
  versions.close();
  assert.throws(() => versions.advance(), /after their epoch/);
});

test("a base that cannot answer is an error of whoever asked, and the next epoch is as any other", () => {
  const c = randomCase(2, 1, 2);
  const [record] = engine.executePartial(c.env, c.txs, c.world, Number.MAX_SAFE_INTEGER).records;
  const broken: StateReader = {
    account: () => {
      throw new Error("the disk is gone");
    },
    storage: () => new Uint8Array(32),
    code: () => new Uint8Array(0),
    blockHash: () => new Uint8Array(32),
  };
  const versions = new KeyVersions(broken, 1);
  assert.throws(() => versions.install(0, record, undefined), /the disk is gone/);
  versions.close();
  const next = new KeyVersions(c.world, 1);
  next.install(0, record, undefined);
  assert.equal(next.advance(), 1);
  next.close();
});
