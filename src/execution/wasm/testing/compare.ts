/**
 * Owns the comparison of two engines on one random case: every result field, the world after it, and for the engine that
 * reports them, whether reads and deltas tell the truth: a second run on a state that differs in all they do not name
 * must come out the same (DESIGN D3, I8).
 */
import { toHexKey } from "../../../base/bytes.ts";
import { logsBloom } from "../../../protocol/bloom.ts";
import type { BlockEnv, Engine, IncludedResult, TxInput, TxResult } from "../../execution.ts";
import type { WasmEngine } from "../wasm.ts";
import { applyEffects, elsewhere } from "./elsewhere.ts";
import { Random, type RandomCase } from "./random-program.ts";
import { EMPTY_CODE_HASH, type World } from "./world.ts";

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
    } else {
      const a = summary(ours);
      const b = summary(theirs);
      for (const key of Object.keys(a))
        if (a[key] !== b[key]) return `transaction ${i}: ${key} ${a[key]}, peer ${b[key]}`;
    }
    const before = ownWorld.copy();
    if (ours.included) ownWorld.apply(ours.writes);
    if (theirs.included) {
      peerWorld.apply(theirs.writes);
      const difference = firstDifference(ownWorld, peerWorld);
      if (difference !== undefined) return `transaction ${i}: ${difference}`;
    }
    const tx = txs[i] as TxInput;
    const gasLeft = env.gasLimit - gasBefore(actual, i);
    const untrue = checkReads(ours, before) ?? checkEffects(own, env, tx, gasLeft, ours, before, ownWorld, i);
    if (untrue !== undefined) return `transaction ${i}: ${untrue}`;
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

function checkReads(result: TxResult, before: World): string | undefined {
  for (const { address, slot, value, fields } of result.reads ?? []) {
    if (slot !== undefined) {
      if (toHexKey(value) !== toHexKey(before.storage(address, slot)))
        return `read of slot ${toHexKey(slot)} of ${toHexKey(address)} is not what was there`;
      continue;
    }
    const truth = before.account(address);
    if (fields.balance && value.balanceWei !== (truth?.balanceWei ?? 0n))
      return `untrue balance read of ${toHexKey(address)}`;
    if (fields.nonce && value.nonce !== (truth?.nonce ?? 0n)) return `untrue nonce read of ${toHexKey(address)}`;
    if (fields.code && toHexKey(value.codeHash) !== toHexKey(truth?.codeHash ?? EMPTY_CODE_HASH))
      return `untrue code read of ${toHexKey(address)}`;
  }
  return undefined;
}

/** The effects lead to the state after, here and on another version on which reads and predicates hold. */
function checkEffects(
  own: WasmEngine,
  env: BlockEnv,
  tx: TxInput,
  gasLeft: number,
  result: TxResult,
  before: World,
  after: World,
  salt: number,
): string | undefined {
  if (result.included) {
    const applied = applyEffects(result, before);
    if (applied === undefined) return "a predicate does not hold where it ran";
    const difference = firstDifference(applied, after);
    if (difference !== undefined) return `effects applied: ${difference}`;
  }
  const other = elsewhere(result, before, new Random(tx.raw.length + salt, gasLeft));
  const [again] = own.execute(env, [tx], other, gasLeft);
  if (again === undefined || describe(again) !== describe(result))
    return `elsewhere ${again === undefined ? "nothing" : describe(again)}, here ${describe(result)}`;
  if (!result.included || !again.included) return undefined;
  const a = summary(result);
  const b = summary(again);
  for (const key of Object.keys(a)) if (a[key] !== b[key]) return `${key} ${a[key]}, elsewhere ${b[key]}`;
  const otherAfter = other.copy();
  otherAfter.apply(again.writes);
  const applied = applyEffects(result, other);
  if (applied === undefined) return "a predicate does not hold elsewhere";
  const difference = firstDifference(applied, otherAfter);
  return difference === undefined ? undefined : `effects applied elsewhere (peer ran there): ${difference}`;
}
