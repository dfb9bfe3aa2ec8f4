/**
 * Owns runs on executors that are there: threads of this process, each with an engine of its own, dealt out to whatever
 * it costs. With more executors than cores wall time says nothing about machines that have them; processor time by
 * thread does.
 */
import { performance } from "node:perf_hooks";
import { systemClock } from "../base/clock.ts";
import type { BatchResults } from "../execution/execution.ts";
import { ShardedEngine } from "../execution/sharded/sharded-engine.ts";
import { WasmEngine } from "../execution/wasm/wasm.ts";
import { readingExecutor } from "../executor/executor-links.ts";
import type { BenchEpoch } from "./epochs.ts";
import { machineBusyMs, processMicros, scheduledByThread, threadMs } from "./processor-time.ts";

/** After a run executors still take what it changed. */
const AFTER_MS = 10;

export type RealShape = { readonly executors: number; readonly shards: number; readonly isDeciding: boolean };

export type RealEpoch = {
  readonly results: BatchResults;
  readonly wallMicros: number;
  /** Of the coordinating thread, and of all others of the process; undefined where the system does not tell. */
  readonly coordinatorMicros: number | undefined;
  readonly executorMicros: number | undefined;
  /** Time that threads were ready and had no processor; 0 where the system does not tell. */
  readonly waitedMicros: number;
  readonly bytes: number;
};

export class RealCluster {
  readonly executors: number;
  readonly shards: number;
  /** Deals out only what it thinks pays. */
  readonly isDeciding: boolean;
  readonly engine: ShardedEngine;

  private constructor({ executors, shards, isDeciding }: RealShape, engine: ShardedEngine) {
    this.executors = executors;
    this.shards = shards;
    this.isDeciding = isDeciding;
    this.engine = engine;
  }

  static async start(shape: RealShape, folder: string): Promise<RealCluster> {
    const { executors, shards, isDeciding } = shape;
    const links = Array.from({ length: executors }, () =>
      readingExecutor("threads", { chain: folder, shardPrefix: `${folder}-shard-` }),
    );
    return new RealCluster(
      shape,
      new ShardedEngine(await WasmEngine.create(), { links, shards, always: !isDeciding, areReading: true }),
    );
  }

  async run(c: BenchEpoch): Promise<RealEpoch> {
    const bytesBefore = this.engine.bytesMoved;
    const ownBeforeMs = threadMs();
    const before = scheduledByThread();
    const startMs = performance.now();
    const results = await this.engine.executeBatch(c.env, c.txs, c.state, c.gasAvailable);
    const wallMicros = (performance.now() - startMs) * 1_000;
    const ownMs = threadMs() - ownBeforeMs;
    await systemClock.sleep(AFTER_MS);
    let executorMs = 0;
    let waitedMs = 0;
    for (const [id, { ranMs, waitedMs: waited }] of scheduledByThread()) {
      if (id !== process.pid) executorMs += ranMs - (before.get(id)?.ranMs ?? 0);
      waitedMs += waited - (before.get(id)?.waitedMs ?? 0);
    }
    const isTold = before.size > 0;
    return {
      results,
      wallMicros,
      coordinatorMicros: isTold ? ownMs * 1_000 : undefined,
      executorMicros: isTold ? executorMs * 1_000 : undefined,
      waitedMicros: waitedMs * 1_000,
      bytes: this.engine.bytesMoved - bytesBefore,
    };
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}

/** How much of the machine others used while something ran, 0–1; undefined where the system does not tell. */
export class Disturbance {
  readonly #startMs = performance.now();
  readonly #busyMs = machineBusyMs();
  readonly #ownMicros = processMicros();

  share(cores: number): number | undefined {
    const busyMs = machineBusyMs();
    if (busyMs === undefined || this.#busyMs === undefined) return undefined;
    const othersMs = busyMs - this.#busyMs - (processMicros() - this.#ownMicros) / 1_000;
    return Math.max(0, othersMs / Math.max(1, performance.now() - this.#startMs) / cores);
  }
}
