/**
 * Owns a cluster in virtual time: the real coordinator (planner, epoch, validation) and real executors, each a site of
 * its own, with links that take the time of a network. What every one of them does is done, in this thread, and what it
 * costs is measured where it happens; so conflicts, batches and messages are those of the real thing, and executors that
 * the machine has no cores for cost nothing but time.
 */
import { performance } from "node:perf_hooks";
import type { BatchResults } from "../execution/execution.ts";
import { executorHost } from "../execution/sharded/executor-links.ts";
import { shardHost } from "../execution/sharded/shard-links.ts";
import { ShardedEngine } from "../execution/sharded/sharded-engine.ts";
import { type Stage, StageClock } from "../execution/sharded/stage-clock.ts";
import type { OwnState } from "../execution/sharded/state-cache.ts";
import type { WasmEngine } from "../execution/wasm/wasm.ts";
import type { Host, OpenLink } from "../link/link.ts";
import type { BenchEpoch } from "./epochs.ts";
import { processMicros } from "./processor-time.ts";
import { type Network, type Processors, type Site, VirtualTime } from "./virtual-time.ts";

/** Virtual executors never stall. */
const STALL_MS = 600_000;

export type VirtualShape = {
  readonly executors: number;
  readonly shards: number;
  /** Key shards have threads of their own; else they are in the coordinator's. */
  readonly areShardsApart: boolean;
  readonly network: Network;
  /** Executors read the stored state themselves. */
  readonly areReading: boolean;
  readonly processors: Processors;
};

export type VirtualEpoch = {
  readonly results: BatchResults;
  readonly wallMicros: number;
  readonly coordinatorMicros: number;
  readonly executorMicros: readonly number[];
  /** Of all executors after the epoch's end: taking in what came of it. */
  readonly toldMicros: number;
  readonly shardMicros: readonly number[];
  /** Until the first message to an executor left, and after the last one of an executor. */
  readonly startMicros: number;
  readonly endMicros: number;
  readonly stages: Readonly<Record<Stage, number>>;
  readonly bytes: number;
  readonly messages: number;
  /** Share of the run's time that this thread did not have a processor, 0–1: what was measured is so much too long. */
  readonly disturbance: number;
};

export class VirtualCluster {
  readonly shape: VirtualShape;
  readonly engine: ShardedEngine;
  readonly #time: VirtualTime;
  readonly #coordinator: Site;
  readonly #executors: Site[] = [];
  readonly #shards: Site[] = [];
  readonly #clock = new StageClock(steadyMicros);
  #bytes = 0;
  #messages = 0;
  /** When the first message to an executor left in this epoch, and the last one of an executor. */
  #firstSentMicros: number | undefined;
  #lastAnsweredMicros = 0;

  /** Executors run on `engine` and read `state`, one after the other. */
  constructor(engine: WasmEngine, shape: VirtualShape, state: OwnState) {
    this.shape = shape;
    this.#time = new VirtualTime(shape.processors);
    this.#coordinator = this.#time.site("coordinator", () => this.#clock.busyMicros, true);
    const host = executorHost(engine, shape.areReading ? state : undefined);
    this.engine = new ShardedEngine(engine, {
      links: Array.from({ length: shape.executors }, (_, i) =>
        this.#link(this.#executors, "take", `executor ${i}`, host),
      ),
      shards: shape.areShardsApart
        ? Array.from({ length: shape.shards }, (_, i) =>
            this.#link(this.#shards, "validate", `key shard ${i}`, shardHost),
          )
        : shape.shards,
      areReading: shape.areReading,
      always: true,
      stallMs: STALL_MS,
      clock: this.#clock,
    });
  }

  #link(sites: Site[], stage: Stage, name: string, host: Host): OpenLink {
    return ({ received }) => {
      const site = this.#time.site(name, steadyMicros);
      sites.push(site);
      const isExecutor = sites === this.#executors;
      const receive = host((message) => {
        if (isExecutor)
          this.#time.mark(() => {
            this.#lastAnsweredMicros = this.#time.nowMicros;
          });
        this.#send(this.#coordinator, message, () => {
          const left = this.#clock.enter(stage);
          received(message);
          this.#clock.enter(left);
        });
      });
      if (receive instanceof Promise) throw new Error(`${name} is ready at once`);
      return {
        send: (message) => {
          if (isExecutor && this.#firstSentMicros === undefined)
            this.#time.mark(() => {
              this.#firstSentMicros ??= this.#time.nowMicros;
            });
          this.#send(site, message, () => receive(message));
        },
        close: () => Promise.resolve(),
      };
    };
  }

  #send(to: Site, message: Uint8Array, run: () => void): void {
    this.#bytes += message.length;
    this.#messages++;
    this.#time.send(to, message.length, this.shape.network, run);
  }

  /** Runs one epoch from now on; messages of the last one are still on their way. */
  async run(c: BenchEpoch): Promise<VirtualEpoch> {
    const time = this.#time;
    const startMicros = time.nowMicros;
    const coordinatorBefore = this.#coordinator.busyMicros;
    const executorsBefore = this.#executors.map((site) => site.busyMicros);
    const shardsBefore = this.#shards.map((site) => site.busyMicros);
    this.#bytes = 0;
    this.#messages = 0;
    this.#firstSentMicros = undefined;
    this.#lastAnsweredMicros = startMicros;
    this.#clock.take();
    const cpuBefore = processMicros();
    const beganMs = performance.now();
    let results: BatchResults | undefined;
    let endMicros: number | undefined;
    let failure: unknown;
    time.post(this.#coordinator, () => {
      this.engine.executeBatch(c.env, c.txs, c.state, c.gasAvailable).then(
        (done) => {
          results = done;
          time.mark(() => {
            endMicros = time.nowMicros;
          });
        },
        (error: unknown) => {
          failure = error;
        },
      );
    });
    await time.run(() => endMicros !== undefined || failure !== undefined);
    if (failure !== undefined) throw failure;
    if (results === undefined || endMicros === undefined)
      throw new Error("the epoch waits for something that is not in virtual time");
    const disturbance = 1 - (processMicros() - cpuBefore) / ((performance.now() - beganMs) * 1_000);
    const wallMicros = endMicros - startMicros;
    const coordinatorMicros = this.#coordinator.busyMicros - coordinatorBefore;
    const answeredMicros = Math.max(0, endMicros - this.#lastAnsweredMicros);
    const dealtMicros = (this.#firstSentMicros ?? endMicros) - startMicros;
    const executorMicros = this.#executors.map((site, i) => site.busyMicros - (executorsBefore[i] ?? 0));
    // What executors are still told belongs to the epoch it comes from.
    await time.run();
    return {
      results,
      wallMicros,
      coordinatorMicros,
      executorMicros,
      toldMicros: this.#executors.reduce(
        (told, site, i) => told + site.busyMicros - (executorsBefore[i] ?? 0) - (executorMicros[i] ?? 0),
        0,
      ),
      shardMicros: this.#shards.map((site, i) => site.busyMicros - (shardsBefore[i] ?? 0)),
      startMicros: dealtMicros,
      endMicros: answeredMicros,
      stages: this.#clock.take(),
      bytes: this.#bytes,
      messages: this.#messages,
      disturbance: Math.max(0, disturbance),
    };
  }
}

/**
 * Wall time, less what reading it costs: it is read many times a millisecond, which on some virtual machines takes more
 * than a microsecond each time. Processor time would be the better clock, and costs several times as much to read.
 */
let reads = 0;
let readMicros: number | undefined;

function steadyMicros(): number {
  readMicros ??= costOfReading();
  return performance.now() * 1_000 - ++reads * readMicros;
}

function costOfReading(): number {
  const COUNT = 20_000;
  let least = Number.POSITIVE_INFINITY;
  for (let pass = 0; pass < 5; pass++) {
    const startMs = performance.now();
    for (let i = 1; i < COUNT; i++) performance.now();
    least = Math.min(least, ((performance.now() - startMs) * 1_000) / COUNT);
  }
  return least;
}
