/**
 * Owns what an epoch depends on within itself, as its serial run recorded it: which transaction read a value that which
 * earlier one had changed. Values, not keys: a write of what was there is none. Three rules, from what Sheaf does down
 * to what others do: balances as deltas (predicates on balances and nonces order nothing), balances as reads and writes,
 * and conflict components, where whatever shares a written key is one piece.
 * @see DESIGN D3, docs/decisions/0027-bench.md
 */
import { bytesEqual, toHexKey } from "../base/bytes.ts";
import type { BlockEnv, TxInput } from "../execution/execution.ts";
import {
  type AccountEffect,
  CHECK_BALANCE,
  CHECK_CODE,
  CHECK_EMPTY,
  CHECK_NONCE,
} from "../execution/sharded/effects.ts";

/** Accounts that only collect fees: in every rule they are paid after the epoch, as one sum. */
const FEE_VAULTS: ReadonlySet<string> = new Set(
  ["11", "19", "1a", "1b"].map((end) => `42000000000000000000000000000000000000${end}`),
);

/** By transaction: the earlier ones whose values it read. */
export type DependencyGraph = readonly (readonly number[])[];

export type Dependencies = {
  readonly deltas: DependencyGraph;
  readonly noDeltas: DependencyGraph;
  /** By transaction: number of its component under the first rule. */
  readonly components: readonly number[];
};

/** Changes of keys that matter to who reads them next, and the dependencies they make. */
class Rule {
  readonly graph: number[][] = [];
  readonly #changed = new Map<string, number[]>();

  start(): void {
    this.graph.push([]);
  }
  read(key: string): void {
    const after = this.graph.at(-1) as number[];
    for (const writer of this.#changed.get(key) ?? []) if (!after.includes(writer)) after.push(writer);
  }
  /** A reader follows this transaction. */
  replace(keys: Iterable<string>): void {
    for (const key of keys) this.#changed.set(key, [this.graph.length - 1]);
  }
  /** A reader follows this transaction too. */
  add(keys: Iterable<string>): void {
    for (const key of keys) {
      const changes = this.#changed.get(key);
      if (changes === undefined) this.#changed.set(key, [this.graph.length - 1]);
      else changes.push(this.graph.length - 1);
    }
  }
}

/** Sets of transactions that grow together. */
class Components {
  readonly #parents: number[] = [];
  readonly #writers = new Map<string, number>();
  readonly #readers = new Map<string, number[]>();

  add(index: number, reads: Iterable<string>, writes: ReadonlySet<string>): void {
    this.#parents.push(index);
    for (const key of reads) {
      const writer = this.#writers.get(key);
      if (writer !== undefined) this.#join(index, writer);
      else {
        const readers = this.#readers.get(key);
        if (readers === undefined) this.#readers.set(key, [index]);
        else readers.push(index);
      }
    }
    for (const key of writes) {
      const writer = this.#writers.get(key);
      if (writer !== undefined) this.#join(index, writer);
      this.#writers.set(key, index);
      for (const reader of this.#readers.get(key) ?? []) this.#join(index, reader);
      this.#readers.delete(key);
    }
  }
  rootOf(index: number): number {
    let root = index;
    while (this.#parents[root] !== root) root = this.#parents[root] as number;
    for (let at = index; at !== root; ) {
      const next = this.#parents[at] as number;
      this.#parents[at] = root;
      at = next;
    }
    return root;
  }
  #join(a: number, b: number): void {
    this.#parents[this.rootOf(a)] = this.rootOf(b);
  }
}

/** `effects` by transaction; undefined for one that was not run. */
export function dependenciesOf(
  env: BlockEnv,
  txs: readonly TxInput[],
  effects: readonly (readonly AccountEffect[] | undefined)[],
): Dependencies {
  const vaults = new Set([...FEE_VAULTS, toHexKey(env.coinbase)]);
  const deltas = new Rule();
  const noDeltas = new Rule();
  const components = new Components();
  for (const [index, tx] of txs.entries()) {
    const sender = toHexKey(tx.sender);
    const reads = new Set<string>();
    const changes = new Set<string>();
    const balanceReads = new Set<string>();
    const balanceChanges = new Set<string>();
    for (const effect of effects[index] ?? []) {
      addSlots(effect, reads, changes);
      const { key, checks } = effect;
      if ((checks & CHECK_CODE) !== 0) reads.add(`${key} code`);
      if ((checks & CHECK_EMPTY) !== 0) reads.add(`${key} empty`);
      if ((checks & CHECK_BALANCE) !== 0) reads.add(`${key} balance`);
      if ((checks & CHECK_NONCE) !== 0 && key !== sender) reads.add(`${key} nonce`);
      if (effect.codeHash !== undefined || effect.isCleared) changes.add(`${key} code`);
      if (effect.nonce !== undefined) changes.add(`${key} nonce`);
      if (effect.deltaWei !== 0n && effect.balanceBeforeWei === 0n && effect.nonceBefore === 0n)
        changes.add(`${key} empty`);
      if (vaults.has(key)) continue;
      if (effect.deltaWei !== 0n || effect.balanceAtLeastWei !== 0n) balanceReads.add(`${key} balance`);
      if (effect.deltaWei !== 0n) balanceChanges.add(`${key} balance`);
      if (effect.nonce !== undefined) balanceReads.add(`${key} nonce`);
    }
    for (const rule of [deltas, noDeltas]) {
      rule.start();
      for (const key of reads) rule.read(key);
    }
    for (const key of balanceReads) noDeltas.read(key);
    components.add(index, reads, changes);
    for (const rule of [deltas, noDeltas]) rule.replace(changes);
    deltas.add(balanceChanges);
    noDeltas.replace(balanceChanges);
  }
  return {
    deltas: deltas.graph,
    noDeltas: noDeltas.graph,
    components: txs.map((_, index) => components.rootOf(index)),
  };
}

function addSlots({ key, slots }: AccountEffect, reads: Set<string>, changes: Set<string>): void {
  for (const slot of slots) {
    const name = `${key} ${slot.key}`;
    reads.add(name);
    if (slot.value !== undefined && !bytesEqual(slot.value, slot.before)) changes.add(name);
  }
}
