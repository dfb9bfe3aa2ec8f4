/**
 * Owns sharded execution behind the engine interface: a batch of ordered transactions in, the serial run's results out,
 * byte for byte, run by many executors where that pays. Batches that cost less than dealing them out, calls, and
 * batches that come while one is being run go to the serial engine in place.
 * @see docs/decisions/0014-sharded-execution.md
 */
import { performance } from "node:perf_hooks";
import type { Log } from "../../base/log.ts";
import type { OpenLink } from "../../link/link.ts";
import { emptyWrites, mergeWrites, type StateWrites } from "../../protocol/state-writes.ts";
import type {
  BatchResults,
  BlockEnv,
  CallInput,
  CallResult,
  Engine,
  StateReader,
  TxInput,
  TxResult,
} from "../execution.ts";
import { OverlayReader } from "../overlay.ts";
import type { WasmEngine } from "../wasm/wasm.ts";
import { DealDecision, type Expectation } from "./deal-decision.ts";
import { type EpochOutcome, EpochRun } from "./epoch-run.ts";
import { tellAll } from "./executor-news.ts";
import { ExecutorSeat } from "./executor-seat.ts";
import { hintOf, type TxHint } from "./hints.ts";
import type { FromExecutor } from "./messages.ts";
import type { ShardedMetrics } from "./metrics.ts";
import { type Plan, Planner } from "./planner.ts";
import { ShardSeat } from "./shard-seat.ts";
import { StageClock } from "./stage-clock.ts";

/** Functions timed in one batch, and how often each. */
const TIMED_TXS_MAX = 16;
const TIMED_EACH_MAX = 3;
/** Effects of batches run in place that executors have not been told yet; beyond, they are told to forget. */
const UNTOLD_ACCOUNTS_MAX = 20_000;
/** An executor that holds the watermark up for longer is passed over; the longest transaction takes a tenth of it. */
const STALL_MS = 2_000;
/** A key shard that is not ready after this long is not waited for any more. */
const READY_MS = 60_000;

export type ShardedOptions = {
  /** One way to an executor each; others may come by themselves, see {@link ShardedEngine.admit}. */
  readonly links: readonly OpenLink[];
  /** Key shards: how many are kept in this thread, or one way to each elsewhere. */
  readonly shards: number | readonly OpenLink[];
  /** The executors read the stored state themselves: they are told of what is not stored yet only. */
  readonly areReading?: boolean;
  readonly metrics?: ShardedMetrics;
  readonly log?: Log;
  /** Deal out whatever it costs: for tests. */
  readonly always?: boolean;
  readonly stallMs?: number;
  /** Accounts for the time of epochs that are dealt out: for benches. */
  readonly clock?: StageClock;
};

export class ShardedEngine implements Engine {
  readonly name: string;
  readonly #engine: WasmEngine;
  readonly #options: ShardedOptions;
  /** Those it starts itself, then guests. */
  readonly #seats: ExecutorSeat[];
  readonly #shardSeats: readonly ShardSeat[];
  readonly #planner = new Planner();
  #run: EpochRun | undefined;
  #epochs = 0;
  #batches = 0;
  readonly #decision = new DealDecision();
  readonly #clock: StageClock;
  /** Effects of batches run in place since the executors were told last, and how many accounts they touch. */
  #untold: StateWrites[] = [];
  #untoldAccounts = 0;
  #mustForget = false;
  #countedTraffic = { messagesOut: 0, messagesIn: 0, bytesOut: 0, bytesIn: 0 };
  /** Of the last epoch dealt out, for benches and tests. */
  lastOutcome: Omit<EpochOutcome, "results" | "writes"> | undefined;

  constructor(engine: WasmEngine, options: ShardedOptions) {
    this.name = engine.name;
    this.#engine = engine;
    this.#options = options;
    this.#clock = options.clock ?? new StageClock(() => performance.now() * 1_000);
    this.#seats = options.links.map((open, index) => this.#newSeat(index, open));
    this.#shardSeats = (typeof options.shards === "number" ? [] : options.shards).map(
      (open, index) =>
        new ShardSeat(index, open, {
          received: (shard, answer) => this.#run?.shardReceived(shard, answer),
          lost: (shard, cause) => {
            options.log?.warn("key shard lost, its part is validated here", { shard, err: cause });
            options.metrics?.shardsLost.inc();
            this.#run?.shardLost(shard);
          },
        }),
    );
    for (const seat of [...this.#seats, ...this.#shardSeats]) seat.ensureOpen();
  }

  /** Resolves when the key shards elsewhere are ready or given up; what comes before is validated here. */
  async shardsReady(): Promise<void> {
    // Workers hold no process open, so something else has to while they are waited for.
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, READY_MS);
    });
    await Promise.race([tooLong, Promise.all(this.#shardSeats.map((seat) => seat.settled))]);
    clearTimeout(timer);
  }

  /** Messages and bytes to and from key shards elsewhere so far. */
  get shardTraffic(): ShardSeat["traffic"] {
    const sum = { messagesOut: 0, messagesIn: 0, bytesOut: 0, bytesIn: 0 };
    for (const { traffic } of this.#shardSeats) {
      sum.messagesOut += traffic.messagesOut;
      sum.messagesIn += traffic.messagesIn;
      sum.bytesOut += traffic.bytesOut;
      sum.bytesIn += traffic.bytesIn;
    }
    return sum;
  }

  /** Takes in an executor that came by itself: it has a seat until its link is lost. `open` is called once. */
  admit(open: OpenLink): void {
    const seat = this.#newSeat(this.#seats.length, open, true);
    this.#seats.push(seat);
    seat.ensureOpen();
  }

  /** Executors that answer. */
  get executors(): number {
    return this.#seats.filter((seat) => seat.isLive).length;
  }

  #newSeat(index: number, open: OpenLink, isGuest = false): ExecutorSeat {
    const events = {
      received: (seat: number, message: FromExecutor) => this.#received(seat, message),
      lost: (seat: number, cause: Error) => {
        this.#options.log?.warn("executor lost, its work is done by others", { executor: seat, err: cause });
        this.#options.metrics?.lost.inc();
        this.#run?.lost(seat);
      },
    };
    return new ExecutorSeat(index, open, events, isGuest);
  }

  /** Gives the seats of guests that left to others. Between epochs only: an epoch knows seats by their places. */
  #sweep(): void {
    const staying = this.#seats.filter((seat) => !seat.isGuest || seat.isOpen);
    if (staying.length === this.#seats.length) return;
    this.#seats.splice(0, this.#seats.length, ...staying);
    for (const [index, seat] of this.#seats.entries()) seat.index = index;
  }

  /** Bytes to and from executors so far. */
  get bytesMoved(): number {
    let bytes = 0;
    for (const seat of this.#seats) bytes += seat.bytesIn + seat.bytesOut;
    return bytes;
  }

  async executeBatch(
    env: BlockEnv,
    txs: readonly TxInput[],
    state: StateReader,
    gasAvailable: number,
  ): Promise<BatchResults> {
    if (this.#run === undefined) this.#sweep();
    const always = this.#options.always === true;
    const isPlain = this.#run !== undefined || txs.length < 2 || this.#seats.length === 0;
    if (isPlain || (!always && !this.#decision.shouldPlan()))
      return this.#runInPlace(env, txs, state, gasAvailable, undefined);
    this.#clock.enter("plan");
    const hints = txs.map(hintOf);
    const microsMin = always ? 0 : this.#decision.dealMicrosMin;
    const plan = this.#planner.plan(hints, this.#seats.length, gasAvailable, microsMin);
    const expected = expectationOf(plan);
    if (always || this.#decision.isWorthIt(expected))
      return this.#dealOut(env, txs, hints, plan, expected, state, gasAvailable);
    this.#clock.enter("idle");
    return this.#runInPlace(env, txs, state, gasAvailable, { hints, expected });
  }

  call(env: BlockEnv, call: CallInput, state: StateReader): Promise<CallResult> {
    return this.#engine.call(env, call, state);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#seats, ...this.#shardSeats].map((seat) => seat.close()));
    await this.#engine.close();
  }

  #received(seat: number, message: FromExecutor): void {
    this.#run?.received(seat, message);
  }

  #runInPlace(
    env: BlockEnv,
    txs: readonly TxInput[],
    state: StateReader,
    gasAvailable: number,
    planned: { readonly hints: readonly TxHint[]; readonly expected: Expectation } | undefined,
  ): BatchResults {
    const startMs = performance.now();
    const hints = planned?.hints;
    const results =
      hints === undefined
        ? this.#engine.execute(env, txs, state, gasAvailable, { bloom: true })
        : this.#runTimed(env, txs, state, gasAvailable, hints);
    this.#decision.ranInPlace(txs.length, (performance.now() - startMs) * 1_000, planned?.expected);
    if (hints !== undefined)
      for (const [i, result] of results.entries())
        if (result.included) this.#planner.patterns.observe(hints[i] as TxHint, result.gasUsed, undefined);
    if (results.writes !== undefined && !this.#mustForget) {
      this.#untold.push(results.writes);
      this.#untoldAccounts += results.writes.accounts.size;
      if (this.#untoldAccounts > UNTOLD_ACCOUNTS_MAX) {
        this.#mustForget = true;
        this.#untold = [];
      }
    }
    this.#options.metrics?.epochs.inc(1, { path: "in place" });
    return results;
  }

  /** Runs in place; a few transactions of functions of which little is known run by themselves, to time them. */
  #runTimed(
    env: BlockEnv,
    txs: readonly TxInput[],
    state: StateReader,
    gasAvailable: number,
    hints: readonly TxHint[],
  ): BatchResults {
    const { patterns } = this.#planner;
    const results: TxResult[] = [];
    const writes = emptyWrites();
    let gasLeft = gasAvailable;
    const run = (to: number): number => {
      if (to === results.length) return 0;
      const reader = results.length === 0 ? state : new OverlayReader(state, [writes]);
      const startMs = performance.now();
      const part = this.#engine.execute(env, txs.slice(results.length, to), reader, gasLeft, { bloom: true });
      const micros = (performance.now() - startMs) * 1_000;
      if (part.writes !== undefined) mergeWrites(writes, part.writes);
      for (const result of part) {
        if (result.included) gasLeft = Math.max(0, gasLeft - result.gasUsed);
        results.push(result);
      }
      return micros;
    };
    const timed = new Map<number, number>();
    for (let index = 0; index < txs.length && timed.size < TIMED_TXS_MAX; index++) {
      const hint = hints[index] as TxHint;
      const times = timed.get(hint.template) ?? 0;
      if (times >= TIMED_EACH_MAX || !patterns.isUntimed(hint, patterns.find(hint))) continue;
      timed.set(hint.template, times + 1);
      run(index);
      const micros = run(index + 1);
      const result = results[index];
      // The first call of a batch pays for what the others find in the caches.
      if (index > 0 && result?.included === true) patterns.observeSingle(hint, result.gasUsed, micros);
    }
    run(txs.length);
    return Object.assign(results, { writes });
  }

  async #dealOut(
    env: BlockEnv,
    txs: readonly TxInput[],
    hints: readonly TxHint[],
    plan: Plan,
    expected: Expectation,
    state: StateReader,
    gasAvailable: number,
  ): Promise<BatchResults> {
    const startMs = performance.now();
    for (const seat of [...this.#seats, ...this.#shardSeats]) seat.ensureOpen();
    this.#tellUntold();
    const run = new EpochRun({
      id: ++this.#epochs,
      env,
      txs,
      hints,
      state,
      gasAvailable,
      shards: typeof this.#options.shards === "number" ? this.#options.shards : this.#options.shards.length,
      shardSeats: this.#shardSeats,
      stallMs: this.#options.stallMs ?? STALL_MS,
      engine: this.#engine,
      planner: this.#planner,
      plan,
      seats: [...this.#seats],
      areReading: this.#options.areReading === true,
      nextBatch: () => ++this.#batches,
      clock: this.#clock,
    });
    this.#run = run;
    if (this.#options.clock === undefined) this.#clock.take();
    try {
      const { results, writes, ...outcome } = await run.run();
      this.lastOutcome = outcome;
      const micros = (performance.now() - startMs) * 1_000;
      let overhead: number | undefined;
      if (this.#options.clock === undefined) {
        const { deal, answer, take, validate, settle } = this.#clock.take();
        overhead = deal + answer + take + validate + settle;
        this.#options.metrics?.validationSeconds.inc((take + validate) / 1_000_000);
      }
      this.#decision.dealtOut(expected, micros, overhead);
      this.#measure(outcome, txs.length);
      return Object.assign(results, { writes });
    } finally {
      this.#run = undefined;
    }
  }

  #tellUntold(): void {
    if (!this.#mustForget && this.#untold.length === 0) return;
    if (this.#mustForget) {
      for (const seat of this.#seats) if (seat.isLive) seat.send({ kind: "forget" });
    } else {
      const writes = emptyWrites();
      for (const part of this.#untold) mergeWrites(writes, part);
      tellAll(this.#seats, writes);
    }
    this.#untold = [];
    this.#untoldAccounts = 0;
    this.#mustForget = false;
  }

  #measure(outcome: Omit<EpochOutcome, "results" | "writes">, txs: number): void {
    const { metrics } = this.#options;
    if (metrics === undefined) return;
    const { stats, plan } = outcome;
    metrics.epochs.inc(1, { path: "dealt out" });
    metrics.dealt.inc(txs);
    metrics.conflicts.inc(stats.slotConflicts, { kind: "slot" });
    metrics.conflicts.inc(stats.fieldConflicts, { kind: "field" });
    metrics.conflicts.inc(stats.gasConflicts, { kind: "gas" });
    for (const [reason, runs] of Object.entries(outcome.exactReasons)) metrics.exactRuns.inc(runs, { reason });
    metrics.stolen.inc(outcome.stolen);
    metrics.ignored.inc(stats.ignoredResults);
    metrics.stalls.inc(outcome.stalls);
    metrics.executorSeconds.inc(outcome.executorMicros / 1_000_000);
    metrics.validationSeconds.inc(outcome.validation.remoteMicros / 1_000_000);
    metrics.accesses.inc(outcome.validation.accesses);
    const traffic = this.shardTraffic;
    const counted = this.#countedTraffic;
    this.#countedTraffic = traffic;
    metrics.shardMessages.inc(traffic.messagesOut - counted.messagesOut, { direction: "out" });
    metrics.shardMessages.inc(traffic.messagesIn - counted.messagesIn, { direction: "in" });
    metrics.shardBytes.inc(traffic.bytesOut - counted.bytesOut, { direction: "out" });
    metrics.shardBytes.inc(traffic.bytesIn - counted.bytesIn, { direction: "in" });
    if (plan.edges > 0) metrics.affinity.set(plan.keptEdges / plan.edges);
    const mean = outcome.executorMicros / outcome.seatMicros.length;
    if (mean > 0) metrics.imbalance.set(Math.max(...outcome.seatMicros) / mean - 1);
    for (const executor of outcome.seatMicros.keys())
      metrics.slowness.set(this.#planner.slowness(executor), { executor: String(executor) });
    for (const seat of this.#seats) {
      const { bytesOut, bytesIn } = seat.takeUncounted();
      metrics.executorBytes.inc(bytesOut, { direction: "out" });
      metrics.executorBytes.inc(bytesIn, { direction: "in" });
    }
  }
}

function expectationOf({ micros, makespanMicros, dealt, inPlaceMicros, untimed }: Plan): Expectation {
  let serialMicros = 0;
  for (const time of micros) serialMicros += time;
  return {
    serialMicros,
    executorMicros: makespanMicros,
    inPlaceMicros,
    inPlace: micros.length - dealt,
    dealt,
    untimed,
  };
}
