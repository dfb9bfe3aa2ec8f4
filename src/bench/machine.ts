/**
 * Owns what is to be known of the machine a benchmark runs on: what it is, what a message to a thread costs, and how
 * much two busy threads slow each other down, all measured here and now.
 */
import { once } from "node:events";
import { availableParallelism, cpus, totalmem } from "node:os";
import { performance } from "node:perf_hooks";
import type { Worker } from "node:worker_threads";
import { startWorker } from "../base/worker.ts";
import { executorThread } from "../execution/sharded/executor-links.ts";
import { encodeToExecutor } from "../execution/sharded/messages.ts";
import { testEnv } from "../execution/testing/world.ts";
import { threadMs } from "./processor-time.ts";
import type { CopyArguments } from "./serial-copy-worker.ts";
import { percentile } from "./statistics.ts";
import type { Network } from "./virtual-time.ts";

export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
};

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${process.platform} ${process.arch}`,
    node: process.version,
  };
}

const PINGS = 200;
/** Messages on their way at once when it is their cost and not their time that is measured. */
const BURST = 20;
/** A copy between threads is one within memory. */
const THREAD_BYTES_PER_MICRO = 4_000;

/**
 * What a message between two threads takes, by empty batches to an executor and back: one after the other for the time,
 * many at once for the cost (a thread that sleeps in between pays for waking up).
 */
export async function threadNetwork(): Promise<Network> {
  let waiting = 0;
  let done: () => void = () => undefined;
  let failed: (cause: Error) => void = () => undefined;
  const link = executorThread({
    received: () => {
      if (--waiting === 0) done();
    },
    lost: (cause) => failed(cause),
  });
  const ping = (count: number): Promise<void> =>
    new Promise((resolve, reject) => {
      waiting = count;
      done = resolve;
      failed = reject;
      for (let i = 0; i < count; i++)
        link.send(encodeToExecutor({ kind: "run", epoch: 1, batch: 1, entries: [], versions: [], txs: [] }));
    });
  try {
    link.send(encodeToExecutor({ kind: "epoch", epoch: 1, env: testEnv() }));
    for (let i = 0; i < PINGS; i++) await ping(BURST);
    const cpuBeforeMs = threadMs();
    for (let i = 0; i < PINGS; i++) await ping(BURST);
    const messageMicros = ((threadMs() - cpuBeforeMs) * 1_000) / PINGS / BURST / 2;
    const trips: number[] = [];
    for (let i = 0; i < PINGS; i++) {
      const startMs = performance.now();
      await ping(1);
      trips.push((performance.now() - startMs) * 1_000);
    }
    return {
      latencyMicros: Math.max(1, ((percentile(trips, 0.5) ?? 0) - 4 * messageMicros) / 2),
      bytesPerMicro: THREAD_BYTES_PER_MICRO,
      messageMicros,
    };
  } finally {
    await link.close();
  }
}

/** A network between machines: what a message costs a processor is that of a thread, and some more for the socket. */
export function machineNetwork(roundTripMs: number, thread: Network): Network {
  const GIGABYTE_PER_SECOND = 1_000;
  const SOCKET_MICROS = 10;
  return {
    latencyMicros: (roundTripMs * 1_000) / 2,
    bytesPerMicro: GIGABYTE_PER_SECOND,
    messageMicros: thread.messageMicros + SOCKET_MICROS,
  };
}

/**
 * Two threads that each run the workload serially, to be run one alone and both: the share of its speed that one keeps
 * beside the other is what this machine gives to any two threads.
 */
export class SerialCopies {
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  static async start(p: CopyArguments): Promise<SerialCopies> {
    const workers = [0, 1].map(() =>
      startWorker(new URL("./serial-copy-worker.ts", import.meta.url), { name: "serial copy", workerData: p }),
    );
    await Promise.all(workers.map((worker) => once(worker, "message")));
    return new SerialCopies(workers);
  }

  /** Speed of one beside the other, 0–1. */
  async pairedSpeed(): Promise<number> {
    const aloneMs = await this.#run(this.#workers.slice(0, 1));
    const bothMs = await this.#run(this.#workers);
    return Math.min(1, aloneMs / bothMs);
  }

  async #run(workers: readonly Worker[]): Promise<number> {
    const startMs = performance.now();
    await Promise.all(
      workers.map((worker) => {
        const done = once(worker, "message");
        worker.postMessage("go");
        return done;
      }),
    );
    return performance.now() - startMs;
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
