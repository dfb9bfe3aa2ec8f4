/**
 * Sharded execution beside the serial run, in turns: compute-heavy disjoint work (U1) and the mixes M1, B1, H1.
 * `serial` is the engine alone; `N=1` what a cluster with one executor runs, through the engine that is configured so;
 * `N=2` two executor threads that read the state themselves, everything dealt out whatever it costs; `auto` the same
 * deciding for itself. `ceiling`: what two independent serial runs reach beside each other in the same rounds.
 * `by CPU` is what the CPU times of the threads give on two cores nobody else uses: serial time over the most loaded of
 * the coordinator, an executor, and half of all. Medians over rounds; `re-run` is the share of transactions run again at
 * the watermark. Last, the work per transaction from which dealing out pays: disjoint work of growing size.
 * Usage: node --import tsx bench/sharded.bench.ts [--rounds 7] [--txs 300] [--json FILE]
 */

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Worker } from "node:worker_threads";
import { createLog } from "../src/base/log.ts";
import { Metrics } from "../src/base/metrics.ts";
import { startWorker } from "../src/base/worker.ts";
import { threadTimes, usedMs } from "../src/bench/processor-time.ts";
import { spread } from "../src/bench/statistics.ts";
import { openEngine } from "../src/execution/engines.ts";
import type { BatchResults, Engine } from "../src/execution/execution.ts";
import { hintOf } from "../src/execution/sharded/hints.ts";
import { Planner } from "../src/execution/sharded/planner.ts";
import { ShardedEngine } from "../src/execution/sharded/sharded-engine.ts";
import type { EpochCase } from "../src/execution/sharded/testing/adversary.ts";
import { PROFILES, Workload } from "../src/execution/sharded/testing/workloads.ts";
import { Random } from "../src/execution/wasm/testing/random-program.ts";
import type { World } from "../src/execution/wasm/testing/world.ts";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";
import { readingExecutor } from "../src/executor/executor-links.ts";
import type { StateWrites } from "../src/protocol/state-writes.ts";
import { LmdbState } from "../src/state/lmdb-state.ts";
import { Database } from "../src/store/database.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    txs: { type: "string", default: "300" },
    json: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const count = Number(values.txs);
/** Compiled code, caches of the executors, learned functions. */
const WARM_ROUNDS = 5;

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

/** Executors read the genesis of a workload from a database, and are told of what happens from there on. */
const folder = mkdtempSync(join(tmpdir(), "sheaf-bench-sharded-"));
const database = Database.open(folder);
const stored = new LmdbState(database);

async function store(world: World): Promise<void> {
  const accounts: StateWrites["accounts"] = new Map();
  for (const [key, { nonce, balanceWei, codeHash, storage }] of world.accounts)
    accounts.set(key, { cleared: true, account: { nonce, balanceWei, codeHash }, storage });
  database.transaction(() => stored.commit(stored.head + 1, stored.prepare({ accounts, codes: world.codes })));
  await database.flushed();
}

const serial = await WasmEngine.create();
const one = await openEngine(
  { engine: "wasm", executors: 1, executorsIn: "threads", keyShards: 1, keyShardsIn: "threads" },
  { log: createLog({ level: "silent" }), metrics: new Metrics() },
);
const folders = { chain: folder, shardPrefix: `${folder}-shard-` };
const links = [readingExecutor("threads", folders), readingExecutor("threads", folders)];
const sharded = async (always: boolean): Promise<ShardedEngine> =>
  new ShardedEngine(await WasmEngine.create(), { links, shards: 1, areReading: true, always });

const copies: Worker[] = [0, 1].map(() =>
  startWorker(new URL("./lib/serial-thread.ts", import.meta.url), { workerData: { count } }),
);
await Promise.all(copies.map((worker) => once(worker, "message")));

/** How long serial runs beside each other take. */
async function runCopies(some: readonly Worker[]): Promise<number> {
  const startMs = performance.now();
  await Promise.all(
    some.map((worker) => {
      const done = once(worker, "message");
      worker.postMessage("go");
      return done;
    }),
  );
  return performance.now() - startMs;
}

/** What two independent serial runs beside each other reach now, as a multiple of one alone. */
async function ceilingNow(): Promise<number> {
  const alone = await runCopies(copies.slice(0, 1));
  return (2 * alone) / (await runCopies(copies));
}

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
  readonly ceiling: number | undefined;
  readonly planMicrosPerTx: number;
  readonly mgasPerSecond: number;
};

const rows: Row[] = [];
for (const [p, profile] of PROFILES.entries()) {
  const workload = new Workload(profile, new Random(11, p), 256);
  await store(workload.world);
  const two = await sharded(true);
  const auto = await sharded(false);
  const times = {
    serial: [] as number[],
    one: [] as number[],
    two: [] as number[],
    auto: [] as number[],
    plan: [] as number[],
    ceiling: [] as number[],
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
  for (let round = 0; round < rounds + WARM_ROUNDS; round++) {
    const c = workload.epoch(profile === "U1" ? count : count * 4, 1_000_000_000);
    // In turns, and in another order each round.
    const runs = [
      async () => timed(serial, c),
      async () => timed(one, c),
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
    if (profile === "U1") times.ceiling.push(await ceilingNow());
    const planStart = performance.now();
    const hints = c.txs.map(hintOf);
    planner.plan(hints, 2, c.gasAvailable);
    const planMs = performance.now() - planStart;
    if (results?.writes !== undefined) workload.world.apply(results.writes);
    workload.settle();
    if (round < WARM_ROUNDS) continue;
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
  const bytesPerTx = (two.bytesMoved - bytesBefore) / (dealt * ((rounds + WARM_ROUNDS) / rounds));
  await two.close();
  await auto.close();
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
    bytesPerTx,
    ceiling: times.ceiling.length === 0 ? undefined : median(times.ceiling),
    planMicrosPerTx: median(times.plan),
    mgasPerSecond: gas / rounds / 1_000 / median(times.two),
  });
}

/** Work per transaction, in microseconds of the serial run, and what two executors make of it. */
const sweep: { readonly microsPerTx: number; readonly speedup: number }[] = [];
for (const heavyRounds of [2, 5, 10, 20, 40, 80]) {
  const workload = new Workload("U1", new Random(13, heavyRounds), 256);
  workload.heavyRounds = heavyRounds;
  await store(workload.world);
  const engine = await sharded(true);
  const alone: number[] = [];
  const dealt: number[] = [];
  for (let round = 0; round < rounds + 3; round++) {
    const c = workload.epoch(count * 2, 1_000_000_000);
    const a = await timed(serial, c);
    const b = await timed(engine, c);
    if (a.results.writes !== undefined) workload.world.apply(a.results.writes);
    workload.settle();
    if (round < 3) continue;
    alone.push(a.ms);
    dealt.push(b.ms);
  }
  await engine.close();
  const ms = median(alone);
  sweep.push({ microsPerTx: (ms * 1_000) / (count * 2), speedup: ms / median(dealt) });
}

/** Work per transaction at which both are equal, between the points of the sweep around it. */
function breakEvenMicros(): number | undefined {
  for (const [i, high] of sweep.entries()) {
    const low = sweep[i - 1];
    if (low === undefined || low.speedup >= 1 || high.speedup < 1) continue;
    const share = (1 - low.speedup) / (high.speedup - low.speedup);
    return low.microsPerTx + (high.microsPerTx - low.microsPerTx) * share;
  }
  return undefined;
}

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
for (const { profile, speedup, ceiling } of rows)
  if (ceiling !== undefined)
    console.log(
      `${profile}: two independent serial copies beside each other reach ${shown(ceiling)} times one; two executors ${shown(speedup)}, ${((100 * speedup) / ceiling).toFixed(0)}% of that`,
    );
for (const { microsPerTx, speedup } of sweep)
  console.log(`${shown(microsPerTx)} us of work per transaction: two executors ${shown(speedup)} times serial`);
const breakEven = breakEvenMicros();
console.log(`dealing everything out pays from ${breakEven === undefined ? "?" : shown(breakEven)} us per transaction`);
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ rows, sweep, breakEven }, null, 2));
await Promise.all(copies.map((worker) => worker.terminate()));
await database.close();
rmSync(folder, { recursive: true, force: true });
process.exitCode = 0;
