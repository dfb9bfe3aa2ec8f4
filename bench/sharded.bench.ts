/**
 * Sharded execution beside the serial run, in turns: compute-heavy disjoint work (U1) and the mixes M1, B1, H1.
 * `serial` is the engine alone; `N=1` what a cluster with one executor runs; `N=2` two executor threads, dealt out
 * whatever it costs; `auto` the same deciding for itself; `two copies` what two independent serial runs reach together beside each other: the ceiling this
 * machine gives at that moment. `by CPU` is what the CPU times of the threads give on two cores nobody else uses: serial
 * time over the most loaded of the coordinator, an executor, and half of all. Medians over rounds; `re-run` is the share of transactions run again at the watermark.
 * Usage: node --import tsx bench/sharded.bench.ts [--rounds 7] [--txs 300] [--json FILE]
 */

import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Worker } from "node:worker_threads";
import { startWorker } from "../src/base/worker.ts";
import type { BatchResults, Engine } from "../src/execution/execution.ts";
import { executorThread } from "../src/execution/sharded/executor-links.ts";
import { hintOf } from "../src/execution/sharded/hints.ts";
import { Planner } from "../src/execution/sharded/planner.ts";
import { ShardedEngine } from "../src/execution/sharded/sharded-engine.ts";
import type { EpochCase } from "../src/execution/sharded/testing/adversary.ts";
import { PROFILES, Workload } from "../src/execution/sharded/testing/workloads.ts";
import { Random } from "../src/execution/wasm/testing/random-program.ts";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";
import { threadTimes, usedMs } from "./lib/process-time.ts";
import { spread } from "./lib/statistics.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    txs: { type: "string", default: "300" },
    json: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const count = Number(values.txs);

type Timed = {
  readonly ms: number;
  /** CPU time of this thread and of all others. */
  readonly mainMs: number;
  readonly otherMs: number;
  readonly results: BatchResults;
};

async function timed(engine: Engine, c: EpochCase): Promise<Timed> {
  const before = threadTimes(process.pid);
  const startMs = performance.now();
  const results = await engine.executeBatch(c.env, c.txs, c.world, c.gasAvailable);
  const ms = performance.now() - startMs;
  const used = usedMs(before, threadTimes(process.pid));
  const mainMs = used.get("main") ?? 0;
  const otherMs = [...used.values()].reduce((sum, x) => sum + x, 0) - mainMs;
  return { ms, mainMs, otherMs, results };
}

const median = (samples: readonly number[]): number => spread(samples)?.median ?? 0;

const gasOf = (results: BatchResults): number =>
  results.reduce((sum, result) => sum + (result.included ? result.gasUsed : 0), 0);

const serial = await WasmEngine.create();
const two = new ShardedEngine(await WasmEngine.create(), {
  links: [executorThread, executorThread],
  shards: 2,
  always: true,
});

const auto = new ShardedEngine(await WasmEngine.create(), { links: [executorThread, executorThread], shards: 2 });

type Row = {
  readonly profile: string;
  readonly serialMs: number;
  readonly oneMs: number;
  readonly twoMs: number;
  readonly autoMs: number;
  readonly speedup: number;
  /** What the CPU times give on two cores nobody else uses: the serial time over the most loaded part. */
  readonly cpuSpeedup: number;
  readonly mainCpuShare: number;
  readonly rerunShare: number;
  readonly affinity: number;
  readonly bytesPerTx: number;
  readonly planMicrosPerTx: number;
  readonly mgasPerSecond: number;
};

const rows: Row[] = [];
for (const [p, profile] of PROFILES.entries()) {
  const workload = new Workload(profile, new Random(11, p), 256);
  const times = {
    serial: [] as number[],
    one: [] as number[],
    two: [] as number[],
    auto: [] as number[],
    plan: [] as number[],
  };
  let reruns = 0;
  let dealt = 0;
  let edges = 0;
  let kept = 0;
  let gas = 0;
  let serialCpuMs = 0;
  let mainCpuMs = 0;
  let executorCpuMs = 0;
  const planner = new Planner();
  const bytesBefore = two.bytesMoved;
  for (let round = 0; round < rounds + 2; round++) {
    const c = workload.epoch(profile === "U1" ? count : count * 4, 1_000_000_000);
    // In turns, and in another order each round.
    const runs = [
      async () => timed(serial, c),
      async () => timed(serial, c),
      async () => timed(two, c),
      async () => timed(auto, c),
    ];
    const order = [0, 1, 2, 3].map((i) => (i + round) % 4);
    const taken: Timed[] = [];
    let results: BatchResults | undefined;
    for (const i of order) {
      taken[i] = await (runs[i] as () => Promise<Timed>)();
      if (i === 2) results = taken[i].results;
    }
    const planStart = performance.now();
    const hints = c.txs.map(hintOf);
    planner.plan(hints, 2, c.gasAvailable);
    const planMs = performance.now() - planStart;
    if (results?.writes !== undefined) workload.world.apply(results.writes);
    workload.settle();
    // The first rounds warm up: compiled code, caches of the executors, learned conflicts.
    if (round < 2) continue;
    const [a, b, d, e] = taken as [Timed, Timed, Timed, Timed];
    times.auto.push(e.ms);
    times.serial.push(a.ms);
    times.one.push(b.ms);
    times.two.push(d.ms);
    serialCpuMs += a.mainMs;
    mainCpuMs += d.mainMs;
    executorCpuMs += d.otherMs;
    times.plan.push((planMs * 1_000) / c.txs.length);
    gas += gasOf(results as BatchResults);
    dealt += c.txs.length;
    reruns += two.lastOutcome?.stats.exactRuns ?? 0;
    edges += two.lastOutcome?.plan.edges ?? 0;
    kept += two.lastOutcome?.plan.keptEdges ?? 0;
  }
  const serialMs = median(times.serial);
  rows.push({
    profile,
    serialMs,
    oneMs: median(times.one),
    twoMs: median(times.two),
    autoMs: median(times.auto),
    speedup: serialMs / median(times.two),
    cpuSpeedup: serialCpuMs / Math.max((mainCpuMs + executorCpuMs) / 2, mainCpuMs, executorCpuMs / 2),
    mainCpuShare: mainCpuMs / (mainCpuMs + executorCpuMs),
    rerunShare: reruns / dealt,
    affinity: edges === 0 ? 1 : kept / edges,
    bytesPerTx: (two.bytesMoved - bytesBefore) / (dealt * ((rounds + 2) / rounds)),
    planMicrosPerTx: median(times.plan),
    mgasPerSecond: gas / rounds / 1_000 / median(times.two),
  });
}

/** What two serial runs beside each other reach, as a multiple of one alone. */
async function twoCopies(): Promise<number> {
  const workers: Worker[] = [0, 1].map(() =>
    startWorker(new URL("./lib/serial-thread.ts", import.meta.url), { workerData: { count } }),
  );
  await Promise.all(workers.map((worker) => once(worker, "message")));
  const run = async (some: readonly Worker[]): Promise<number> => {
    const startMs = performance.now();
    await Promise.all(
      some.map((worker) => {
        const done = once(worker, "message");
        worker.postMessage("go");
        return done;
      }),
    );
    return performance.now() - startMs;
  };
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const alone = await run(workers.slice(0, 1));
    ratios.push((2 * alone) / (await run(workers)));
  }
  await Promise.all(workers.map((worker) => worker.terminate()));
  return median(ratios);
}

const ceiling = await twoCopies();
const shown = (x: number): string => (x >= 100 ? x.toFixed(0) : x.toFixed(2));
console.log(
  "profile  serial ms  N=1 ms   N=2 ms  auto ms  speedup  by CPU   main CPU  re-run   affinity  bytes/tx  plan us/tx  Mgas/s",
);
for (const r of rows)
  console.log(
    [
      r.profile.padEnd(7),
      shown(r.serialMs).padStart(10),
      shown(r.oneMs).padStart(8),
      shown(r.twoMs).padStart(8),
      shown(r.autoMs).padStart(8),
      shown(r.speedup).padStart(8),
      shown(r.cpuSpeedup).padStart(8),
      `${(r.mainCpuShare * 100).toFixed(0)}%`.padStart(9),
      `${(r.rerunShare * 100).toFixed(1)}%`.padStart(8),
      `${(r.affinity * 100).toFixed(0)}%`.padStart(9),
      shown(r.bytesPerTx).padStart(9),
      shown(r.planMicrosPerTx).padStart(11),
      shown(r.mgasPerSecond).padStart(8),
    ].join(" "),
  );
console.log(`two independent serial copies beside each other: ${ceiling.toFixed(2)} times one alone`);
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ ceiling, rows }, null, 2));
await two.close();
await auto.close();
await serial.close();
process.exitCode = 0;
