/**
 * Owns sharded execution behind the engine interface: a batch of ordered transactions in, the serial run's results out,
 * byte for byte, run by many executors where that pays. Batches that cost less than dealing them out, calls, and
 * batches that come while one is being run go to the serial engine in place.
 * @see docs/decisions/0014-sharded-execution.md
 */
import { performance } from "node:perf_hooks";
import type { Log } from "../../base/log.ts";
import type { OpenLink } from "../../link/link.ts";
import { emptyWrites, mergeWrites } from "../../protocol/state-writes.ts";
import type { BatchResults, BlockEnv, CallInput, CallResult, Engine, StateReader, TxInput } from "../execution.ts";
import type { WasmEngine } from "../wasm/wasm.ts";
import { type EpochOutcome, EpochRun, entriesOf } from "./epoch-run.ts";
import { ExecutorSeat } from "./executor-seat.ts";
import { hintOf, type TxHint } from "./hints.ts";
import type { FromExecutor } from "./messages.ts";
import type { ShardedMetrics } from "./metrics.ts";
import { type Plan, Planner } from "./planner.ts";
import { ShardSeat } from "./shard-seat.ts";
import type { StageClock } from "./stage-clock.ts";

/** What dealing out costs per transaction (codec, validation, waiting, running again) until it was measured. */
const DEAL_MICROS_PER_TX = 14;
/** Running costs nobody escapes, per transaction. */
const RUN_MICROS_PER_TX = 3;
/** Weights of the newest measurement. */
const SPEED_WEIGHT = 0.2;
const DEAL_WEIGHT = 0.5;
/** Every so many batches one runs in place, to measure; half way between, dealing out gets another chance. */
const MEASURE_EVERY = 64;
/** Batches below tell nothing about speed. */
const MEASURED_GAS_MIN = 100_000;
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
  /** Measured in place; undefined until then. */
  #microsPerGas: number | undefined;
  #dealMicrosPerTx = DEAL_MICROS_PER_TX;
  #considered = 0;
  #untold = emptyWrites();
  #mustForget = false;
  #countedTraffic = { messagesOut: 0, messagesIn: 0, bytesOut: 0, bytesIn: 0 };
  /** Of the last epoch dealt out, for benches and tests. */
  lastOutcome: Omit<EpochOutcome, "results" | "writes"> | undefined;

  constructor(engine: WasmEngine, options: ShardedOptions) {
    this.name = engine.name;
    this.#engine = engine;
    this.#options = options;
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
    if (this.#run !== undefined || txs.length < 2 || this.#seats.length === 0)
      return this.#runInPlace(env, txs, state, gasAvailable, undefined);
    this.#options.clock?.enter("plan");
    const hints = txs.map(hintOf);
    const plan = this.#planner.plan(hints, this.#seats.length, gasAvailable);
    if (!this.#isWorthIt(plan)) return this.#runInPlace(env, txs, state, gasAvailable, hints);
    return this.#dealOut(env, txs, hints, plan, state, gasAvailable);
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

  /** The serial time against that of the most loaded executor with what dealing out cost lately. */
  #isWorthIt(plan: Plan): boolean {
    if (this.#options.always === true) return true;
    const phase = ++this.#considered % MEASURE_EVERY;
    if (this.#microsPerGas === undefined || phase === 0) return false;
    const { serial, longest } = expectedMicros(plan, this.#microsPerGas);
    const perTx = phase === MEASURE_EVERY / 2 ? DEAL_MICROS_PER_TX : this.#dealMicrosPerTx;
    return longest + perTx * plan.owners.length < serial;
  }

  #runInPlace(
    env: BlockEnv,
    txs: readonly TxInput[],
    state: StateReader,
    gasAvailable: number,
    hints: readonly TxHint[] | undefined,
  ): BatchResults {
    const startMs = performance.now();
    const results = this.#engine.execute(env, txs, state, gasAvailable, { bloom: true });
    let gas = 0;
    for (const [i, result] of results.entries()) {
      if (!result.included) continue;
      gas += result.gasUsed;
      const hint = hints?.[i];
      if (hint !== undefined) this.#planner.patterns.observe(hint, result.gasUsed, undefined);
    }
    const micros = (performance.now() - startMs) * 1_000 - txs.length * RUN_MICROS_PER_TX;
    if (gas >= MEASURED_GAS_MIN && micros > 0) {
      this.#microsPerGas ??= micros / gas;
      this.#microsPerGas += (micros / gas - this.#microsPerGas) * SPEED_WEIGHT;
    }
    if (results.writes !== undefined && !this.#mustForget) {
      mergeWrites(this.#untold, results.writes);
      if (this.#untold.accounts.size > UNTOLD_ACCOUNTS_MAX) {
        this.#mustForget = true;
        this.#untold = emptyWrites();
      }
    }
    this.#options.metrics?.epochs.inc(1, { path: "in place" });
    return results;
  }

  async #dealOut(
    env: BlockEnv,
    txs: readonly TxInput[],
    hints: readonly TxHint[],
    plan: Plan,
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
      clock: this.#options.clock,
    });
    this.#run = run;
    try {
      const { results, writes, ...outcome } = await run.run();
      this.lastOutcome = outcome;
      const { longest } = expectedMicros(plan, this.#microsPerGas ?? 0);
      const beyond = Math.max(0, (performance.now() - startMs) * 1_000 - longest) / txs.length;
      this.#dealMicrosPerTx += (beyond - this.#dealMicrosPerTx) * DEAL_WEIGHT;
      this.#measure(outcome, txs.length);
      return Object.assign(results, { writes });
    } finally {
      this.#run = undefined;
    }
  }

  #tellUntold(): void {
    if (!this.#mustForget && this.#untold.accounts.size === 0) return;
    const entries = entriesOf(this.#untold);
    for (const seat of this.#seats)
      if (seat.isLive) seat.send(this.#mustForget ? { kind: "forget" } : { kind: "update", entries });
    this.#untold = emptyWrites();
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
    metrics.exactRuns.inc(stats.exactRuns);
    metrics.ignored.inc(stats.ignoredResults);
    metrics.stalls.inc(outcome.stalls);
    metrics.executorSeconds.inc(outcome.executorMicros / 1_000_000);
    metrics.validationSeconds.inc(outcome.validation.micros / 1_000_000);
    metrics.accesses.inc(outcome.validation.accesses);
    const traffic = this.shardTraffic;
    const counted = this.#countedTraffic;
    this.#countedTraffic = traffic;
    metrics.shardMessages.inc(traffic.messagesOut - counted.messagesOut, { direction: "out" });
    metrics.shardMessages.inc(traffic.messagesIn - counted.messagesIn, { direction: "in" });
    metrics.shardBytes.inc(traffic.bytesOut - counted.bytesOut, { direction: "out" });
    metrics.shardBytes.inc(traffic.bytesIn - counted.bytesIn, { direction: "in" });
    if (plan.edges > 0) metrics.affinity.set(plan.keptEdges / plan.edges);
    const mean = plan.loads.reduce((sum, load) => sum + load, 0) / plan.loads.length;
    if (mean > 0) metrics.imbalance.set(Math.max(...plan.loads) / mean - 1);
  }
}

/** Time of the plan's transactions one after the other, and of those of the most loaded executor. */
function expectedMicros({ loads, owners }: Plan, microsPerGas: number): { serial: number; longest: number } {
  const gas = loads.reduce((sum, load) => sum + load, 0);
  const serial = gas * microsPerGas + owners.length * RUN_MICROS_PER_TX;
  return { serial, longest: gas === 0 ? serial : (serial * Math.max(...loads)) / gas };
}
