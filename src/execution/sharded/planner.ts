/**
 * Owns the plan of an epoch: which executor runs what, and in which order. Advisory: any plan gives the same bytes; a
 * good one puts a transaction behind its predecessors, so that it runs on their effects, and keeps loads even.
 * The graph is per key: a transaction follows the latest one before it that shares a key. Keys are fingerprints: the
 * called contract with the sender and the first words of the call, and keys that really conflicted before, learned per
 * contract function. Learned keys keep their executor from epoch to epoch (they are pinned, and what shares them moves
 * together) until its load runs ahead. Everything kept is bounded.
 */
import { mixFingerprints, type TxHint } from "./hints.ts";

/** Contract functions remembered, and keys of each. */
const TEMPLATES_MAX = 20_000;
const LEARNED_KEYS_MAX = 8;
/** Homes of learned keys. */
const HOMES_MAX = 50_000;
/** A key moves when its executor is ahead of the least loaded one by more than this share of the mean. */
const IMBALANCE = 0.2;
/** What is assumed of a function not seen yet. */
const UNKNOWN_GAS = 60_000;
const TRANSFER_GAS = 21_000;
/** Weight of the newest observation. */
const GAS_WEIGHT = 0.2;

type Template = { gas: number; keys: readonly number[] };

export type Plan = {
  /** Executor of each transaction; -1: none, it waits for the watermark. */
  readonly owners: Int16Array;
  /** Expected gas of each transaction. */
  readonly gas: Float64Array;
  /** Predecessors there are, how many of them run on the same executor, and the load of each executor in gas. */
  readonly edges: number;
  readonly keptEdges: number;
  readonly loads: readonly number[];
};

export class Planner {
  readonly #templates = new Map<number, Template>();
  readonly #homes = new Map<number, number>();

  /** Deals the transactions out over `executors`; those whose gas limit is unknown or above `gasLimitMax` to nobody. */
  plan(hints: readonly TxHint[], executors: number, gasLimitMax: number): Plan {
    const owners = new Int16Array(hints.length).fill(-1);
    const gas = new Float64Array(hints.length);
    const loads: number[] = Array.from({ length: executors }, () => 0);
    /** Latest transaction on each key. */
    const latest = new Map<number, number>();
    let edges = 0;
    let keptEdges = 0;
    let total = 0;
    for (const [index, hint] of hints.entries()) {
      if (hint.gasLimit === undefined || hint.gasLimit > gasLimitMax) continue;
      const expected = this.#gasOf(hint);
      gas[index] = expected;
      const learned = this.#templates.get(hint.template)?.keys ?? [];
      let predecessor = -1;
      for (const key of hint.keys) predecessor = Math.max(predecessor, latest.get(key) ?? -1);
      for (const key of learned) predecessor = Math.max(predecessor, latest.get(key) ?? -1);
      let owner: number;
      if (predecessor >= 0) {
        owner = owners[predecessor] as number;
        for (const key of hint.keys) {
          const before = latest.get(key);
          if (before === undefined) continue;
          edges++;
          if (owners[before] === owner) keptEdges++;
        }
      } else {
        const least = leastLoaded(loads);
        const preferred = learned.length > 0 ? this.#homes.get(learned[0] as number) : hint.sender % executors;
        const slack = (total / executors) * IMBALANCE + expected;
        const isFine =
          preferred !== undefined &&
          preferred < executors &&
          (loads[preferred] as number) <= (loads[least] as number) + slack;
        owner = isFine ? preferred : least;
      }
      owners[index] = owner;
      loads[owner] = (loads[owner] as number) + expected;
      total += expected;
      for (const key of hint.keys) latest.set(key, index);
      for (const key of learned) {
        latest.set(key, index);
        this.#homes.set(key, owner);
      }
    }
    if (this.#homes.size > HOMES_MAX) this.#homes.clear();
    return { owners, gas, edges, keptEdges, loads };
  }

  /** Learns what a transaction used. */
  observe(hint: TxHint, gasUsed: number): void {
    if (hint.template === 0) return;
    const template = this.#template(hint.template);
    template.gas += (gasUsed - template.gas) * GAS_WEIGHT;
  }

  /** Learns that two transactions met on a key. */
  learnConflict(reader: TxHint, writer: TxHint | undefined, key: number): void {
    for (const hint of [reader, writer]) {
      if (hint === undefined || hint.template === 0) continue;
      const template = this.#template(hint.template);
      if (template.keys.includes(key)) continue;
      template.keys = [key, ...template.keys.slice(0, LEARNED_KEYS_MAX - 1)];
    }
  }

  #gasOf(hint: TxHint): number {
    const limit = hint.gasLimit ?? UNKNOWN_GAS;
    if (hint.template === 0) return Math.min(limit, hint.to === undefined ? UNKNOWN_GAS : TRANSFER_GAS);
    return Math.min(limit, this.#templates.get(hint.template)?.gas ?? UNKNOWN_GAS);
  }

  #template(fingerprint: number): Template {
    let template = this.#templates.get(fingerprint);
    if (template === undefined) {
      if (this.#templates.size >= TEMPLATES_MAX) this.#templates.clear();
      template = { gas: UNKNOWN_GAS, keys: [] };
      this.#templates.set(fingerprint, template);
    }
    return template;
  }
}

/** Fingerprint of a slot that conflicted. */
export function conflictFingerprint(address: string, slot: string): number {
  let a = 0x811c9dc5;
  for (let i = 0; i < address.length; i++) a = Math.imul(a ^ address.charCodeAt(i), 0x01000193);
  let b = 0x811c9dc5;
  for (let i = 0; i < slot.length; i++) b = Math.imul(b ^ slot.charCodeAt(i), 0x01000193);
  return mixFingerprints(a, b);
}

function leastLoaded(loads: readonly number[]): number {
  let least = 0;
  for (let i = 1; i < loads.length; i++) if ((loads[i] as number) < (loads[least] as number)) least = i;
  return least;
}
