/**
 * I13: replay from an access list gives what the serial run gives, for true lists in parallel, and for missing, cut,
 * changed, foreign and hostile ones too.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { after, before, test } from "node:test";
import { toHex, toHexKey } from "../../base/bytes.ts";
import { silentLog } from "../../base/log.ts";
import {
  AccessListBuilder,
  type BlockAccessList,
  type Change,
  decodeBlockAccessList,
  encodeBlockAccessList,
} from "../../protocol/block-access-list.ts";
import { DEPOSIT_TYPE } from "../../protocol/transaction-codec.ts";
import type { BatchResults } from "../execution.ts";
import { Random, type RandomCase, randomCase } from "../wasm/testing/random-program.ts";
import { WasmEngine } from "../wasm/wasm.ts";
import { AccessListReplay, type ReplayOutcome } from "./access-list-replay.ts";
import { ReplayThreads } from "./replay-threads.ts";

let engine: WasmEngine;
let threads: ReplayThreads;
before(async () => {
  engine = await WasmEngine.create();
  threads = await ReplayThreads.create(2, silentLog);
});
after(() => threads.close());

/** Everything a block takes from results. */
function told(results: BatchResults, { world }: RandomCase): unknown {
  const end = world.copy();
  assert.ok(results.writes !== undefined);
  end.apply(results.writes);
  return {
    results: results.map((result) =>
      result.included
        ? {
            status: result.status,
            gasUsed: result.gasUsed,
            price: result.effectiveGasPriceWei,
            output: toHexKey(result.output),
            logs: result.logs.map((log) => [toHexKey(log.address), log.topics.map(toHexKey), toHexKey(log.data)]),
            bloom: toHexKey(result.bloom ?? new Uint8Array(0)),
            created: result.contractAddress === undefined ? "" : toHexKey(result.contractAddress),
          }
        : result.reason,
    ),
    world: end.lines(),
  };
}

function listOf(results: BatchResults, { world }: RandomCase): Uint8Array {
  const builder = new AccessListBuilder();
  let index = 0;
  for (const result of results)
    if (result.included) result.recordAccess?.(builder, ++index, (hash) => world.code(hash));
  return encodeBlockAccessList(builder.finish());
}

/** Cases whose transactions are all included, so that the list's indices are those of the batch. */
function* cases(seed: number): Generator<RandomCase & { readonly serial: BatchResults; readonly list: Uint8Array }> {
  for (let i = 0; ; i++) {
    const one = randomCase(seed, i, 24);
    const txs = one.txs.filter(({ raw }) => raw[0] !== DEPOSIT_TYPE);
    const first = engine.execute(one.env, txs, one.world, one.env.gasLimit, { bloom: true });
    const included = { ...one, txs: txs.filter((_, t) => first[t]?.included === true) };
    if (included.txs.length < 16) continue;
    const serial = engine.execute(one.env, included.txs, one.world, one.env.gasLimit, { bloom: true });
    yield { ...included, serial, list: listOf(serial, included) };
  }
}

async function replayed(one: RandomCase, list: Uint8Array | undefined): Promise<[unknown, ReplayOutcome]> {
  const replay = new AccessListReplay(engine, threads, list);
  const results = await replay.executeBatch(one.env, one.txs, one.world, one.env.gasLimit);
  return [told(results, one), replay.outcome];
}

function changed<V>(r: Random, changes: readonly Change<V>[], value: (old: V) => V): Change<V>[] {
  const copy = [...changes];
  const at = r.below(copy.length);
  const change = copy[at];
  if (change === undefined) return [];
  const last = copy.at(-1)?.index ?? 0;
  const kind = r.below(4);
  if (kind === 0) copy.splice(at, 1);
  else if (kind === 1) copy.push({ index: last + 1 + r.below(3), value: value(change.value) });
  else if (kind === 2 && at === 0) copy[at] = { ...change, index: Math.max(0, change.index - 1 - r.below(3)) };
  else copy[at] = { ...change, value: value(change.value) };
  return copy;
}

const randomWord = (r: Random): Uint8Array => Uint8Array.from({ length: 32 }, (_, i) => (i < 31 ? 0 : r.below(4)));

/** A list in order that differs from `list` in one place. */
function mutant(r: Random, list: BlockAccessList): BlockAccessList {
  const accounts = [...list];
  const at = r.below(accounts.length);
  const account = accounts[at];
  if (account === undefined) return list;
  const kind = r.below(8);
  if (kind === 0) accounts.splice(at, 1);
  else if (kind === 1) accounts[at] = { ...account, balanceChanges: changed(r, account.balanceChanges, (v) => v + 1n) };
  else if (kind === 2) accounts[at] = { ...account, nonceChanges: changed(r, account.nonceChanges, (v) => v + 1n) };
  else if (kind === 3)
    accounts[at] = { ...account, codeChanges: changed(r, account.codeChanges, (v) => Uint8Array.of(...v, 0)) };
  else if (kind === 4) accounts[at] = { ...account, storageReads: account.storageReads.slice(1) };
  else if (kind === 5) accounts[at] = { ...account, storageChanges: account.storageChanges.slice(1) };
  else if (kind === 6)
    accounts[at] = {
      ...account,
      storageChanges: account.storageChanges.map((slot) => {
        const changes = changed(r, slot.changes, () => randomWord(r));
        return changes.length === 0 ? slot : { ...slot, changes };
      }),
    };
  else
    accounts[at] = {
      ...account,
      balanceChanges: [{ index: 1 + r.below(4), value: BigInt(r.below(1_000)) }],
      codeChanges: [{ index: 1 + r.below(10), value: Uint8Array.of(0xef, 1, 0, ...account.address) }],
    };
  return accounts;
}

test("a true list gives the serial result, in parallel", async (t) => {
  const seed = randomInt(2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const outcomes = new Map<ReplayOutcome, number>();
  let left = 40;
  for (const one of cases(seed)) {
    const [result, outcome] = await replayed(one, one.list);
    assert.deepEqual(result, told(one.serial, one), `case ${40 - left}`);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (--left === 0) break;
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(outcomes)));
  assert.ok((outcomes.get("parallel") ?? 0) >= 36, "a true list is as good as always enough");
});

test("a list that is missing, cut, noisy, of another block or a lie in one place changes nothing", async (t) => {
  const seed = randomInt(2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const outcomes = new Map<ReplayOutcome, number>();
  let left = 25;
  let foreign = new Uint8Array([0xc0]);
  for (const one of cases(seed)) {
    const r = new Random(seed, left);
    const expected = told(one.serial, one);
    const noisy = one.list.slice();
    for (let n = 1 + r.below(3); n > 0; n--) noisy[r.below(noisy.length)] = r.below(256);
    const decoded = decodeBlockAccessList(one.list);
    const lists: (Uint8Array | undefined)[] = [
      undefined,
      new Uint8Array(0),
      one.list.slice(0, r.below(one.list.length)),
      noisy,
      foreign,
      encodeBlockAccessList(decoded.map((a) => ({ ...a, storageReads: [], storageChanges: [] }))),
      ...Array.from({ length: 8 }, () => encodeBlockAccessList(mutant(r, decoded))),
    ];
    for (const [i, list] of lists.entries()) {
      const [result, outcome] = await replayed(one, list);
      const hex = list === undefined ? "none" : toHex(list);
      assert.deepEqual(result, expected, `case ${25 - left}, list ${i}: ${outcome} ${hex}`);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    foreign = one.list.slice();
    if (--left === 0) break;
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(outcomes)));
  for (const outcome of ["malformed", "incomplete", "wrong"] as const)
    assert.ok((outcomes.get(outcome) ?? 0) > 0, `some are ${outcome}`);
});

test("a skipped transaction, a full block and threads that are gone take the batch back to the serial engine", async () => {
  const [one] = cases(7);
  assert.ok(one !== undefined);
  const [first] = one.txs;
  assert.ok(first !== undefined);
  const doubled = { ...one, txs: [...one.txs, first] };
  const serial = engine.execute(one.env, doubled.txs, one.world, one.env.gasLimit, { bloom: true });
  assert.deepEqual(await replayed(doubled, one.list), [told(serial, doubled), "unsuited"]);

  const gas = one.serial.reduce((sum, result) => sum + (result.included ? result.gasUsed : 0), 0) >> 1;
  const replay = new AccessListReplay(engine, threads, one.list);
  const results = await replay.executeBatch(one.env, one.txs, one.world, gas);
  const tight = engine.execute(one.env, one.txs, one.world, gas, { bloom: true });
  assert.deepEqual(told(results, one), told(tight, one));
  assert.equal(replay.outcome, "unsuited");

  const gone = await ReplayThreads.create(1, silentLog);
  await gone.close();
  const without = new AccessListReplay(engine, gone, one.list);
  const alone = await without.executeBatch(one.env, one.txs, one.world, one.env.gasLimit);
  assert.deepEqual(told(alone, one), told(one.serial, one));
});
