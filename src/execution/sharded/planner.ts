/**
 * Owns the plan of an epoch: which executor runs what, when it may start, and in which order. Advisory: any plan gives
 * the same bytes; a good one puts a transaction behind its predecessors, so that it runs on their effects, and keeps the
 * executors' times even.
 * The graph is per key: a transaction follows the latest writer before it of each key it is expected to touch; readers
 * hold nobody up. Keys are fingerprints: the called contract with the sender and the first words of the call, and what
 * was learned of the function called. Transactions are placed in order, each where it would be done first, with times
 * in microseconds as measured per function and per executor: an executor that has become slow gets less, and what
 * shares keys moves from it together.
 * @see docs/decisions/0014-sharded-execution.md
 */
import { AccessPatterns, type LearnedKeys } from "./access-patterns.ts";
import type { TxHint } from "./hints.ts";

/** Homes of learned keys. */
const HOMES_MAX = 50_000;
/** A key moves from its home when that would be done later than another executor by more than this share of the mean. */
const IMBALANCE = 0.1;
/** What an executor spends on a transaction beside running it. */
const EXECUTOR_MICROS_PER_TX = 10;
/** Time until another executor has a result. */
const HOP_MICROS = 300;
/** Weight of the newest measurement of an executor's speed. */
const SLOWNESS_WEIGHT = 0.5;
/** An executor is taken for at most so many times slower or faster than the serial engine. */
const SLOWNESS_MAX = 16;

export type Plan = {
  /** Executor of each transaction; -1: none, it waits for the watermark. */
  readonly owners: Int16Array;
  /** Expected gas and, on the serial engine, time of each transaction. */
  readonly gas: Float64Array;
  readonly micros: Float64Array;
  /** Predecessors there are, and how many of them run on the same executor. */
  readonly edges: number;
  readonly keptEdges: number;
  /** Expected time of each executor's transactions on it, and until the last of all is done, waiting included. */
  readonly loads: readonly number[];
  readonly makespanMicros: number;
  /** Transactions dealt out, and the time of those that are not. */
  readonly dealt: number;
  readonly inPlaceMicros: number;
  /** The transactions that one follows. */
  before(index: number): Int32Array;
  /** Somebody elsewhere waits for it, directly or not: 1. */
  readonly isUrgent: Uint8Array;
};

export type PlanOptions = {
  readonly microsMin?: number;
  readonly isOut?: (index: number) => boolean;
};

export class Planner {
  readonly patterns = new AccessPatterns();
  readonly #homes = new Map<number, number>();
  /** By executor: time over that of the serial engine. */
  readonly #slowness: number[] = [];

  /**
   * Deals the transactions out over `executors`; to nobody those whose gas limit is unknown or above `gasLimitMax`,
   * those that `isOut` says will be refused, and those expected to take less than `microsMin`.
   */
  plan(
    hints: readonly TxHint[],
    executors: number,
    gasLimitMax: number,
    { microsMin = 0, isOut }: PlanOptions = {},
  ): Plan {
    const { patterns } = this;
    const count = hints.length;
    const owners = new Int16Array(count).fill(-1);
    const gas = new Float64Array(count);
    const micros = new Float64Array(count);
    const finish = new Float64Array(count);
    const isUrgent = new Uint8Array(count);
    /** By transaction: where its edges start in `from`. */
    const firstEdges = new Int32Array(count + 1);
    const slowness = Array.from({ length: executors }, (_, i) => this.slowness(i));
    const loads = slowness.map(() => 0);
    const ready = slowness.map(() => 0);
    /** Latest writer of each key. */
    const latest = new Map<number, number>();
    /** Edges, in order of their later ends. */
    const from: number[] = [];
    const to: number[] = [];
    const learned: LearnedKeys = { keys: [], isWritten: [] };
    let keptEdges = 0;
    let total = 0;
    let dealt = 0;
    let inPlaceMicros = 0;
    for (let index = 0; index < count; index++) {
      firstEdges[index] = from.length;
      const hint = hints[index] as TxHint;
      if (hint.gasLimit === undefined || hint.gasLimit > gasLimitMax || isOut?.(index) === true) continue;
      const expected = patterns.gasOf(hint);
      const time = patterns.microsOf(hint, expected);
      gas[index] = expected;
      micros[index] = time;
      learned.keys.length = 0;
      learned.isWritten.length = 0;
      patterns.addKeys(hint, learned);
      if (time < microsMin) {
        // It runs at the watermark; those who follow it wait until that has passed.
        inPlaceMicros += time;
        finish[index] = inPlaceMicros;
        if (patterns.isWriter(hint)) for (const key of hint.keys) latest.set(key, index);
        for (let i = 0; i < learned.keys.length; i++)
          if (learned.isWritten[i] === true) latest.set(learned.keys[i] as number, index);
        continue;
      }
      dealt++;
      const firstEdge = from.length;
      for (const key of hint.keys) addEdge(from, to, latest.get(key), index);
      for (const key of learned.keys) addEdge(from, to, latest.get(key), index);
      let home: number | undefined = -1;
      if (from.length === firstEdge)
        home = learned.keys.length > 0 ? this.#homes.get(learned.keys[0] as number) : hint.sender % executors;
      const tolerance = HOP_MICROS + time + (total / executors) * IMBALANCE;
      let owner = 0;
      let best = Number.POSITIVE_INFINITY;
      for (let executor = 0; executor < executors; executor++) {
        let start = ready[executor] as number;
        let bonus = executor === home ? tolerance : 0;
        for (let edge = firstEdge; edge < from.length; edge++) {
          const before = from[edge] as number;
          const isHere = owners[before] === executor;
          start = Math.max(start, (finish[before] as number) + (isHere ? 0 : HOP_MICROS));
          if (isHere) bonus = tolerance;
        }
        const end = start + (time + EXECUTOR_MICROS_PER_TX) * (slowness[executor] as number) - bonus;
        if (end >= best) continue;
        best = end;
        owner = executor;
      }
      let start = ready[owner] as number;
      for (let edge = firstEdge; edge < from.length; edge++) {
        const before = from[edge] as number;
        if (owners[before] === owner) {
          keptEdges++;
          start = Math.max(start, finish[before] as number);
          continue;
        }
        start = Math.max(start, (finish[before] as number) + HOP_MICROS);
      }
      const here = (time + EXECUTOR_MICROS_PER_TX) * (slowness[owner] as number);
      owners[index] = owner;
      loads[owner] = (loads[owner] as number) + here;
      // Who waits lets others go first: the time before its start is not lost.
      ready[owner] = (ready[owner] as number) + here;
      finish[index] = start + here;
      total += here;
      if (patterns.isWriter(hint)) for (const key of hint.keys) latest.set(key, index);
      for (let i = 0; i < learned.keys.length; i++) {
        const key = learned.keys[i] as number;
        this.#homes.set(key, owner);
        if (learned.isWritten[i] === true) latest.set(key, index);
      }
    }
    if (this.#homes.size > HOMES_MAX) this.#homes.clear();
    for (let edge = from.length - 1; edge >= 0; edge--) {
      const [before, after] = [from[edge] as number, to[edge] as number];
      if (owners[before] !== owners[after] || isUrgent[after] === 1) isUrgent[before] = 1;
    }
    let makespanMicros = 0;
    for (const load of loads) makespanMicros = Math.max(makespanMicros, load);
    for (const end of finish) makespanMicros = Math.max(makespanMicros, end);
    firstEdges[count] = from.length;
    const edges = Int32Array.from(from);
    const before = (index: number): Int32Array =>
      edges.subarray(firstEdges[index] as number, firstEdges[index + 1] as number);
    return {
      owners,
      gas,
      micros,
      edges: from.length,
      keptEdges,
      loads,
      makespanMicros,
      dealt,
      inPlaceMicros,
      before,
      isUrgent,
    };
  }

  /** Time an executor takes over that of the serial engine. */
  slowness(executor: number): number {
    return this.#slowness[executor] ?? 1;
  }

  /** Learns how long an executor took for transactions that used so much gas. */
  observeTime(executor: number, hints: readonly TxHint[], gasUsed: readonly number[], micros: number): void {
    let expected = 0;
    for (const [i, hint] of hints.entries())
      expected += this.patterns.microsOf(hint, gasUsed[i] as number) + EXECUTOR_MICROS_PER_TX;
    if (expected === 0 || micros <= 0) return;
    const before = this.slowness(executor);
    const ratio = micros / expected;
    while (this.#slowness.length <= executor) this.#slowness.push(1);
    const after = before * (ratio / before) ** SLOWNESS_WEIGHT;
    this.#slowness[executor] = Math.min(SLOWNESS_MAX, Math.max(1 / SLOWNESS_MAX, after));
    this.patterns.observeTime(hints, gasUsed, ratio / before);
  }
}

function addEdge(from: number[], to: number[], before: number | undefined, index: number): void {
  // Several keys often lead to one predecessor.
  if (before === undefined || (to.at(-1) === index && from.at(-1) === before)) return;
  from.push(before);
  to.push(index);
}
