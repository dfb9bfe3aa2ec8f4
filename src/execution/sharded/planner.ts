/**
 * Owns the plan of an epoch: which executor runs what, when it may start, and in which order. Advisory: any plan gives
 * the same bytes; a good one puts a transaction behind its predecessors, so that it runs on their effects, and keeps the
 * executors' times even.
 * The graph is per key: a transaction follows the latest writer before it of each key it is expected to touch; readers
 * hold nobody up. Keys are fingerprints: the called contract with the sender and the first words of the call, and what
 * was learned of the function called. Transactions are placed in order of the longest path that begins with them (a long
 * one begun late is what all wait for in the end), each where it would be done first, with times in microseconds as
 * measured per function and per executor: an executor that has become slow gets less, and what shares keys moves from it
 * together. Numbers in typed arrays throughout, since every transaction passes here on the one thread that plans.
 * @see docs/decisions/0014-sharded-execution.md
 */
import { AccessPatterns, BALANCE, LEARNED_KEYS_MAX, type Template } from "./access-patterns.ts";
import { mixFingerprints, type TxHint, WORDS_MAX } from "./hints.ts";
import { KeyTable } from "./key-table.ts";

/** Homes of learned keys. */
const HOMES = 65_536;
/** What it is worth to run what touches a key where it was touched last: its values are at hand there. */
const HOME_MICROS = 50;
/** A transaction leaves its predecessors when it would be done later there by more than this share of the mean load. */
const IMBALANCE = 0.1;
/** What an executor spends on a transaction beside running it. */
const EXECUTOR_MICROS_PER_TX = 10;
/** Time until another executor has a result. */
const HOP_MICROS = 300;
/** Paths that differ by less than this share of the mean load count as equally long: they go in order. */
const STEP = 1 / 32;
/** Above the number of any transaction of an epoch. */
const INDEXES = 2 ** 30;
/** Weight of the newest measurement of an executor's speed. */
const SLOWNESS_WEIGHT = 0.5;
/** An executor is taken for at most so many times slower or faster than the serial engine. */
const SLOWNESS_MAX = 16;

export type Plan = {
  /** Executor of each transaction; -1: none, it waits for the watermark. */
  readonly owners: Int16Array;
  /** Those with an executor, as they were placed: what others wait for and what takes longest comes first. */
  readonly order: Int32Array;
  /** Expected gas and, on the serial engine, time of each transaction. */
  readonly gas: Float64Array;
  readonly micros: Float64Array;
  /** The function each calls, as far as it is known. */
  readonly templates: readonly (Template | undefined)[];
  /** Predecessors there are, and how many of them run on the same executor. */
  readonly edges: number;
  readonly keptEdges: number;
  /** Expected time of each executor's transactions on it, and until the last of all is done, waiting included. */
  readonly loads: readonly number[];
  readonly makespanMicros: number;
  /** Transactions dealt out, and the time of those that are not. */
  readonly dealt: number;
  readonly inPlaceMicros: number;
  /** Transactions of whose function little is known. */
  readonly untimed: number;
  /** The transactions that one follows: those of `before` from `firstBefore` of it to that of the next one. */
  readonly before: Int32Array;
  readonly firstBefore: Int32Array;
};

export class Planner {
  readonly patterns = new AccessPatterns();
  readonly #homes = new Int32Array(HOMES);
  readonly #homeOwners = new Int16Array(HOMES);
  /** By executor: time over that of the serial engine. */
  readonly #slowness: number[] = [];
  /** Latest writer of each key, and next nonce of each sender, while planning. */
  readonly #latest = new KeyTable();
  readonly #nonces = new KeyTable();
  readonly #keys = new Int32Array(1 + WORDS_MAX + LEARNED_KEYS_MAX * WORDS_MAX);
  readonly #written = new Uint8Array(this.#keys.length);
  #edges = new Int32Array(1_024);

  /**
   * Deals the transactions out over `executors`; to nobody those whose gas limit is unknown or above `gasLimitMax`, whose
   * nonce is not next to that of the sender's one before (running it on the nonce it wants would spoil what others find),
   * and those expected to take less than `microsMin`.
   */
  plan(hints: readonly TxHint[], executors: number, gasLimitMax: number, microsMin = 0): Plan {
    const { patterns } = this;
    const count = hints.length;
    const owners = new Int16Array(count).fill(-1);
    const gas = new Float64Array(count);
    const micros = new Float64Array(count);
    const finish = new Float64Array(count);
    const templates: (Template | undefined)[] = [];
    const firstBefore = new Int32Array(count + 1);
    const homes = new Int32Array(count);
    const latest = this.#latest;
    latest.clear(4 * count);
    this.#nonces.clear(count);
    let edges = 0;
    let dealt = 0;
    let dealtMicros = 0;
    let inPlaceMicros = 0;
    let untimed = 0;
    for (let index = 0; index < count; index++) {
      firstBefore[index] = edges;
      const hint = hints[index] as TxHint;
      const template = patterns.find(hint);
      templates.push(template);
      if (patterns.isUntimed(hint, template)) untimed++;
      if (!this.#isNext(hint) || hint.gasLimit === undefined || hint.gasLimit > gasLimitMax) continue;
      const expected = patterns.gasOf(hint, template);
      const time = patterns.microsOf(template, expected);
      gas[index] = expected;
      micros[index] = time;
      const isDealt = time >= microsMin;
      if (isDealt) {
        owners[index] = 0;
        dealt++;
        dealtMicros += time + EXECUTOR_MICROS_PER_TX;
      } else {
        // It runs at the watermark; those who follow it wait until that has passed.
        inPlaceMicros += time;
        finish[index] = inPlaceMicros;
      }
      const keys = this.#keysOf(hint, template);
      homes[index] = keys === 0 ? hint.sender : (this.#keys[keys - 1] as number);
      for (let k = 0; k < keys; k++) {
        const key = this.#keys[k] as number;
        const writer = latest.get(key);
        // Two of its keys may be one.
        if (isDealt && writer !== index) edges = this.#addEdge(firstBefore[index] as number, edges, writer);
        if (this.#written[k] === 1) latest.set(key, index);
      }
      // Ether that comes is added to what is there: only who looks at the balance waits for it.
      if (hint.hasValue && hint.target !== 0) latest.set(mixFingerprints(hint.target, BALANCE), index);
    }
    firstBefore[count] = edges;
    const before = this.#edges.slice(0, edges);
    const order = placingOrder(owners, micros, before, firstBefore, dealt, dealtMicros / Math.max(1, executors));
    const placed = this.#place({ order, owners, micros, finish, before, firstBefore, homes, dealtMicros, executors });
    let makespanMicros = 0;
    for (const load of placed.loads) makespanMicros = Math.max(makespanMicros, load);
    for (const end of finish) makespanMicros = Math.max(makespanMicros, end);
    return {
      owners,
      order,
      gas,
      micros,
      templates,
      edges,
      keptEdges: placed.keptEdges,
      loads: placed.loads,
      makespanMicros,
      dealt,
      inPlaceMicros,
      untimed,
      before,
      firstBefore,
    };
  }

  /** Does its nonce follow that of the sender's transaction before it? Lanes let nothing else through. */
  #isNext({ nonce, sender }: TxHint): boolean {
    if (nonce === undefined) return true;
    const expected = this.#nonces.get(sender);
    if (expected >= 0 && expected !== nonce) return false;
    this.#nonces.set(sender, nonce + 1);
    return true;
  }

  /** Fills in the keys a transaction is expected to touch; how many. */
  #keysOf(hint: TxHint, template: Template | undefined): number {
    if (hint.template === 0) return 0;
    const keys = this.#keys;
    const written = this.#written;
    const isWriter = this.patterns.isWriter(template) ? 1 : 0;
    let count = 1;
    keys[0] = mixFingerprints(hint.target, hint.sender);
    written[0] = isWriter;
    for (const word of hint.words) {
      written[count] = isWriter;
      keys[count++] = mixFingerprints(hint.target, word);
    }
    return this.patterns.addKeys(hint, template, keys, written, count);
  }

  /** Adds `before` to the edges from `first` on, unless it is none (-1) or there: several keys often lead to one. */
  #addEdge(first: number, end: number, before: number): number {
    if (before < 0) return end;
    for (let edge = first; edge < end; edge++) if (this.#edges[edge] === before) return end;
    if (end === this.#edges.length) {
      const larger = new Int32Array(2 * end);
      larger.set(this.#edges);
      this.#edges = larger;
    }
    this.#edges[end] = before;
    return end + 1;
  }

  /** Fills in `owners` and `finish`, in the order of placing. */
  #place(p: {
    readonly order: Int32Array;
    readonly owners: Int16Array;
    readonly micros: Float64Array;
    readonly finish: Float64Array;
    readonly before: Int32Array;
    readonly firstBefore: Int32Array;
    readonly homes: Int32Array;
    readonly dealtMicros: number;
    readonly executors: number;
  }): { readonly loads: number[]; readonly keptEdges: number } {
    const { order, owners, micros, finish, before, firstBefore, homes, executors } = p;
    const slowness = new Float64Array(executors);
    for (let executor = 0; executor < executors; executor++) slowness[executor] = this.slowness(executor);
    const ready = new Float64Array(executors);
    const slack = HOP_MICROS + (p.dealtMicros / Math.max(1, executors)) * IMBALANCE;
    let keptEdges = 0;
    for (const index of order) {
      const time = (micros[index] as number) + EXECUTOR_MICROS_PER_TX;
      const first = firstBefore[index] as number;
      const end = firstBefore[index + 1] as number;
      const place = (homes[index] as number) & (HOMES - 1);
      const isKnown = this.#homes[place] === homes[index];
      const home = first < end || !isKnown ? -1 : (this.#homeOwners[place] as number);
      let owner = 0;
      let best = Number.POSITIVE_INFINITY;
      let start = 0;
      for (let executor = 0; executor < executors; executor++) {
        let from = ready[executor] as number;
        let bonus = executor === home ? HOME_MICROS : 0;
        for (let edge = first; edge < end; edge++) {
          const earlier = before[edge] as number;
          const isHere = owners[earlier] === executor;
          const there = (finish[earlier] as number) + (isHere ? 0 : HOP_MICROS);
          if (there > from) from = there;
          if (isHere) bonus = slack;
        }
        const done = from + time * (slowness[executor] as number) - bonus;
        if (done >= best) continue;
        best = done;
        owner = executor;
        start = from;
      }
      for (let edge = first; edge < end; edge++) if (owners[before[edge] as number] === owner) keptEdges++;
      const here = time * (slowness[owner] as number);
      owners[index] = owner;
      // Who waits lets others go first: the time before its start is not lost.
      ready[owner] = (ready[owner] as number) + here;
      finish[index] = start + here;
      this.#homes[place] = homes[index] as number;
      this.#homeOwners[place] = owner;
    }
    return { loads: [...ready], keptEdges };
  }

  /** Time an executor takes over that of the serial engine. */
  slowness(executor: number): number {
    return this.#slowness[executor] ?? 1;
  }

  /** Learns how long an executor took for transactions of `plan` that used so much gas. */
  observeTime(
    executor: number,
    plan: Plan,
    indexes: readonly number[],
    gasUsed: readonly number[],
    micros: number,
  ): void {
    let expected = 0;
    const templates: (Template | undefined)[] = [];
    for (let i = 0; i < indexes.length; i++) {
      const template = plan.templates[indexes[i] as number];
      templates.push(template);
      expected += this.patterns.microsOf(template, gasUsed[i] as number) + EXECUTOR_MICROS_PER_TX;
    }
    if (expected === 0 || micros <= 0) return;
    const before = this.slowness(executor);
    const ratio = micros / expected;
    while (this.#slowness.length <= executor) this.#slowness.push(1);
    const after = before * (ratio / before) ** SLOWNESS_WEIGHT;
    this.#slowness[executor] = Math.min(SLOWNESS_MAX, Math.max(1 / SLOWNESS_MAX, after));
    this.patterns.observeTime(templates, gasUsed, ratio / before);
  }
}

/**
 * Those that have an executor, the ones with the longest path behind them first: the time of a transaction and of those
 * that follow it, one after the other. A predecessor has the longer path, so it comes before who follows it.
 */
function placingOrder(
  owners: Int16Array,
  micros: Float64Array,
  before: Int32Array,
  firstBefore: Int32Array,
  dealt: number,
  meanMicros: number,
): Int32Array {
  const count = owners.length;
  const paths = new Float64Array(count);
  // By then, all that follow a transaction have been added.
  for (let index = count - 1; index >= 0; index--) {
    if (owners[index] === -1) continue;
    const path = (paths[index] as number) + (micros[index] as number) + EXECUTOR_MICROS_PER_TX;
    paths[index] = path;
    for (let edge = firstBefore[index] as number; edge < (firstBefore[index + 1] as number); edge++) {
      const earlier = before[edge] as number;
      if ((paths[earlier] as number) < path) paths[earlier] = path;
    }
  }
  const step = Math.max(1, meanMicros * STEP);
  const sorted = new Float64Array(dealt);
  for (let index = 0, at = 0; index < count; index++)
    if (owners[index] !== -1) sorted[at++] = index - INDEXES * Math.floor((paths[index] as number) / step);
  sorted.sort();
  const order = new Int32Array(dealt);
  for (let at = 0; at < dealt; at++) {
    const key = (sorted[at] as number) % INDEXES;
    order[at] = key < 0 ? key + INDEXES : key;
  }
  return order;
}
