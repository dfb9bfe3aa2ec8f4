/**
 * Owns the comparison of two engines on one random case: every result field, the world after it, and for the engine that
 * reports them, whether reads and deltas tell the truth: a second run in which every balance is as low as its predicate
 * allows must come out the same (DESIGN D3, I8).
 */
import { toHexKey } from "../../../base/bytes.ts";
import { logsBloom } from "../../../protocol/bloom.ts";
import type { Engine, IncludedResult, TxResult } from "../../execution.ts";
import type { WasmEngine } from "../wasm.ts";
import type { RandomCase } from "./random-program.ts";
import type { World } from "./world.ts";

/** What differs, or undefined. */
export async function compareEngines(
  own: WasmEngine,
  peer: Engine,
  { env, world, txs }: RandomCase,
): Promise<string | undefined> {
  const expected = await peer.executeBatch(env, txs, world, env.gasLimit);
  const actual = own.execute(env, txs, world, env.gasLimit, { bloom: true });
  const ownWorld = world.copy();
  const peerWorld = world.copy();
  for (const [i, theirs] of expected.entries()) {
    const ours = actual[i] as TxResult;
    if (!ours.included || !theirs.included) {
      if (ours.included !== theirs.included || (!ours.included && !theirs.included && ours.reason !== theirs.reason))
        return `transaction ${i}: ${describe(ours)}, peer ${describe(theirs)}`;
      continue;
    }
    const before = ownWorld.copy();
    ownWorld.apply(ours.writes);
    peerWorld.apply(theirs.writes);
    const a = summary(ours);
    const b = summary(theirs);
    for (const key of Object.keys(a))
      if (a[key] !== b[key]) return `transaction ${i}: ${key} ${a[key]}, peer ${b[key]}`;
    const difference = firstDifference(ownWorld, peerWorld);
    if (difference !== undefined) return `transaction ${i} (gas ${ours.gasUsed}): ${difference}`;
    const untrue = checkReads(ours, before) ?? checkDeltas(ours, before, ownWorld);
    if (untrue !== undefined) return `transaction ${i}: ${untrue}`;
    const lowered = lowest(ours, before);
    if (lowered !== undefined) {
      const tx = txs[i];
      const gasLeft = env.gasLimit - gasBefore(actual, i);
      const [again] = tx === undefined ? [] : own.execute(env, [tx], lowered, gasLeft);
      if (again === undefined || !again.included)
        return `transaction ${i}: with the least balances ${again === undefined ? "nothing" : describe(again)}`;
      const c = summary(again);
      for (const key of Object.keys(a))
        if (a[key] !== c[key]) return `transaction ${i}: ${key} ${a[key]}, with the least balances ${c[key]}`;
    }
  }
  const net = world.copy();
  if (actual.writes === undefined) return "no net effect of the batch";
  net.apply(actual.writes);
  const difference = firstDifference(net, ownWorld);
  if (difference !== undefined) return `net effect of the batch: ${difference}`;
  for (const result of actual)
    if (result.included && toHexKey(result.bloom ?? new Uint8Array(0)) !== toHexKey(logsBloom(result.logs)))
      return "bloom is not that of the logs";
  return undefined;
}

const describe = (result: TxResult): string => (result.included ? `included, status ${result.status}` : result.reason);

function gasBefore(results: readonly TxResult[], until: number): number {
  return results.slice(0, until).reduce((sum, result) => sum + (result.included ? result.gasUsed : 0), 0);
}

function summary(result: IncludedResult): Record<string, string> {
  return {
    status: String(result.status),
    gasUsed: String(result.gasUsed),
    price: String(result.effectiveGasPriceWei),
    output: toHexKey(result.output),
    created: result.contractAddress === undefined ? "none" : toHexKey(result.contractAddress),
    depositNonce: String(result.depositNonce),
    logs: JSON.stringify(
      result.logs.map((log) => [toHexKey(log.address), log.topics.map(toHexKey), toHexKey(log.data)]),
    ),
  };
}

function firstDifference(own: World, peer: World): string | undefined {
  const a = own.lines();
  const b = peer.lines();
  const inA = new Set(a);
  const inB = new Set(b);
  const only = [
    ...a.filter((line) => !inB.has(line)).map((l) => `own ${l}`),
    ...b.filter((line) => !inA.has(line)).map((l) => `peer ${l}`),
  ];
  return only.length === 0 ? undefined : only.slice(0, 4).join("; ");
}

function checkReads(result: IncludedResult, before: World): string | undefined {
  for (const { address, slot, value, fields } of result.reads ?? []) {
    if (slot !== undefined) {
      if (!(value instanceof Uint8Array) || toHexKey(value) !== toHexKey(before.storage(address, slot)))
        return `read of slot ${toHexKey(slot)} of ${toHexKey(address)} is not what was there`;
      continue;
    }
    const truth = before.account(address);
    if (value === undefined || value instanceof Uint8Array || fields === undefined)
      return "account read without fields";
    if (fields.balance && value.balanceWei !== (truth?.balanceWei ?? 0n))
      return `untrue balance read of ${toHexKey(address)}`;
    if (fields.nonce && value.nonce !== (truth?.nonce ?? 0n)) return `untrue nonce read of ${toHexKey(address)}`;
  }
  return undefined;
}

function checkDeltas(result: IncludedResult, before: World, after: World): string | undefined {
  for (const delta of result.deltas ?? []) {
    const was = before.account(delta.address)?.balanceWei ?? 0n;
    const is = after.account(delta.address)?.balanceWei ?? 0n;
    if (was < delta.balanceAtLeastWei) return `predicate of ${toHexKey(delta.address)} does not hold where it ran`;
    if (was + delta.balanceDeltaWei !== is) return `delta of ${toHexKey(delta.address)} does not lead to its balance`;
  }
  return undefined;
}

/** The world with each balance lowered to what the predicates ask for; undefined when none can be. */
function lowest(result: IncludedResult, before: World): World | undefined {
  const world = before.copy();
  const fixed = new Set<string>();
  for (const read of result.reads ?? [])
    if (read.slot === undefined && (read.fields?.balance === true || read.fields?.emptiness === true))
      fixed.add(toHexKey(read.address));
  let changed = false;
  for (const delta of result.deltas ?? []) {
    const key = toHexKey(delta.address);
    const account = world.accounts.get(key);
    if (account === undefined || fixed.has(key) || account.balanceWei === delta.balanceAtLeastWei) continue;
    account.balanceWei = delta.balanceAtLeastWei;
    changed = true;
  }
  return changed ? world : undefined;
}
