/**
 * Owns what is said of executors the machine has no cores for: first the runs in virtual time that the real ones can be
 * held against (one and two executors, on the cores and at the mutual disturbance of this machine), then, only if those
 * agree within a tenth, any number on cores of their own, over networks of one's choice, with the bounds beside them.
 */

import { performance } from "node:perf_hooks";
import type { BatchResults } from "../execution/execution.ts";
import type { Stage } from "../execution/sharded/stage-clock.ts";
import { WasmEngine } from "../execution/wasm/wasm.ts";
import { StateView } from "../state/state-view.ts";
import type { BenchEpoch, EpochChain } from "./epochs.ts";
import { collectGarbage } from "./garbage.ts";
import { machineNetwork } from "./machine.ts";
import type { RealReport } from "./measure-real.ts";
import { type BenchOptions, benchError } from "./options.ts";
import { digestOf } from "./outcome-digest.ts";
import { type Spread, spread } from "./statistics.ts";
import { type ClassShare, type Trace, traceOf } from "./trace.ts";
import { VirtualCluster, type VirtualEpoch, type VirtualShape } from "./virtual-cluster.ts";
import { type Network, OWN_CORES } from "./virtual-time.ts";
import { ceilingAt } from "./work-span.ts";

/** Virtual time counts as right when it is off by less. */
const ERROR_MAX = 0.1;
/** Epochs measured in virtual time: of what is drawn, and of what is held against real runs. */
const EPOCHS = 3;
const CHECK_EPOCHS = 6;
/** Times as many epochs are tried until so many were not disturbed: others had the processor for at most this share of the time. */
const TRIES = 3;
const DISTURBANCE_MAX = 0.03;
/** A thread that is busy for more of the time is what everything waits for. */
const SATURATED = 0.8;

export type Reproduction = {
  readonly executors: number;
  readonly predicted: number;
  readonly measured: number;
  /** Predicted over measured, less one. */
  readonly error: number;
};

export type SimulatedRow = {
  readonly executors: number;
  readonly shards: number;
  /** "thread" with key shards in the coordinator's, "shards apart" with a thread for each, or the round trip between machines. */
  readonly network: string;
  readonly speedup: Spread;
  readonly txPerSecond: number;
  readonly ceiling: number;
  /** Share of the time that the coordinator, the busiest executor and executors on average are busy. */
  readonly coordinatorUse: number;
  readonly busiestUse: number;
  readonly meanUse: number;
  /** Of the busiest key shard, where they have threads of their own. */
  readonly shardUse: number | undefined;
  readonly saturated: string;
  /** Share of the executors' time in which they have nothing to do, by what they wait for. */
  readonly waits: {
    /** The plan. */
    readonly start: number;
    /** Batches: what they would run next follows something, or the coordinator has not come to them. */
    readonly batches: number;
    /** The end: the last results to be validated, the net effect. */
    readonly end: number;
  };
  /** Processor time of the coordinator per transaction, by stage. */
  readonly stageMicros: Readonly<Partial<Record<Stage, number>>>;
  readonly coordinatorMicros: number;
  readonly executorMicros: number;
  readonly rerunShare: number;
  readonly affinity: number;
  readonly bytesPerTx: number;
  readonly messagesPerTx: number;
};

export type Bounds = {
  readonly workMicrosPerTx: number;
  /** Work over the span, the longest transaction, the largest component, and the span without deltas. */
  readonly parallelism: number;
  readonly byLongest: number;
  readonly byLargestComponent: number;
  readonly withoutDeltas: number;
  readonly accessesPerTx: number;
  readonly recordBytesPerTx: number;
  readonly rawBytesPerTx: number;
  readonly classes: readonly ClassShare[];
};

export type Drawn = {
  readonly bounds: Bounds | undefined;
  readonly reproduction: readonly Reproduction[];
  readonly isReproduced: boolean;
  /** Empty when the real runs were not reproduced; `refusal` says so. */
  readonly simulated: readonly SimulatedRow[];
  readonly refusal: string | undefined;
  /** Least number of executors that beats the serial engine, by network; undefined: none that was tried. */
  readonly cost: Readonly<Record<string, number | null>>;
  /** Microseconds a transaction must run for on average, and share that may run again, before two executors pay. */
  readonly breakEven: { readonly microsPerTx: number; readonly rerunShare: number } | undefined;
};

type Sample = {
  readonly serialMicros: number;
  readonly txs: number;
  readonly epoch: VirtualEpoch;
  readonly exactRuns: number;
  readonly edges: number;
  readonly keptEdges: number;
};
type Shape = VirtualShape & { readonly name: string };

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const median = (samples: readonly number[]): number => spread(samples)?.median ?? 0;

export async function drawSimulation(
  open: () => EpochChain,
  options: BenchOptions,
  real: RealReport,
  thread: Network,
  cores: number,
  signal: AbortSignal,
): Promise<Drawn> {
  const engine = await WasmEngine.create();
  const here = { cores, pairedSpeed: real.pairedSpeed };
  const checked = real.real.filter(
    ({ executors, shards, isDeciding }) => executors <= 2 && shards === executors && !isDeciding,
  );
  const traces = await traceChain(engine, open, signal);
  if (real.isRecorded)
    return {
      bounds: boundsOf(traces),
      reproduction: [],
      isReproduced: false,
      simulated: [],
      refusal:
        "recorded blocks each stand on a state of their own and are over before executors are warm: no more is drawn",
      cost: {},
      breakEven: undefined,
    };
  const reproduction: Reproduction[] = [];
  for (const { executors, shards, speedup } of checked) {
    const shape = {
      name: "here",
      executors,
      shards,
      network: thread,
      areReading: true,
      areShardsApart: false,
      processors: here,
    };
    const samples = await runShape(engine, open, shape, CHECK_EPOCHS, options, signal);
    const predicted = median(samples.map((s) => s.serialMicros / s.epoch.wallMicros));
    reproduction.push({ executors, predicted, measured: speedup.median, error: predicted / speedup.median - 1 });
  }
  const bounds = boundsOf(traces);
  const wrong = reproduction.filter(({ error }) => !(Math.abs(error) <= ERROR_MAX));
  const isReproduced = reproduction.length > 0 && wrong.length === 0;
  const refusal = isReproduced
    ? undefined
    : reproduction.length === 0
      ? "there are no real runs with one or two executors to hold virtual time against, so nothing more is drawn"
      : `virtual time is off by ${wrong
          .map(
            ({ executors, error }) =>
              `${(error * 100).toFixed(0)}% at ${executors} executor${executors === 1 ? "" : "s"}`,
          )
          .join(
            ", ",
          )} (at most ${ERROR_MAX * 100}% counts as right), so nothing more is drawn; a quieter machine may help`;
  const nothing = { bounds, reproduction, isReproduced, simulated: [], refusal, cost: {}, breakEven: undefined };
  if (!isReproduced || options.simulated.length === 0) return nothing;
  const networks: [string, Network, boolean?][] = [
    ["thread", thread],
    ["shards apart", thread, true],
    ...options.roundTripsMs.map((ms): [string, Network] => [`${ms} ms`, machineNetwork(ms, thread)]),
  ];
  const shapes = networks.flatMap(([name, network, areShardsApart = false]) =>
    options.simulated.map((executors) => ({
      name,
      executors,
      shards: executors,
      network,
      // Only on the machine that has the database.
      areReading: network === thread,
      areShardsApart,
      processors: OWN_CORES,
    })),
  );
  const simulated: SimulatedRow[] = [];
  for (const shape of shapes)
    simulated.push(rowOf(shape, await runShape(engine, open, shape, EPOCHS, options, signal), traces));
  const cost: Record<string, number | null> = {};
  for (const [name] of networks)
    cost[name] = simulated.find((row) => row.network === name && row.speedup.median > 1)?.executors ?? null;
  const two = simulated.find((row) => row.network === "thread" && row.executors === 2);
  return {
    ...nothing,
    simulated,
    cost,
    breakEven: two === undefined ? undefined : breakEvenOf(two, real.serial.microsPerTx),
  };
}

/** Epochs of a chain on one shape, the least disturbed ones. */
async function runShape(
  engine: WasmEngine,
  open: () => EpochChain,
  shape: Shape,
  epochs: number,
  options: BenchOptions,
  signal: AbortSignal,
): Promise<Sample[]> {
  const chain = open();
  const samples: Sample[] = [];
  let virtual: VirtualCluster | undefined;
  const { warmups } = options;
  try {
    for (let n = 0; n < warmups + epochs * TRIES && !isEnough(samples, epochs); n++) {
      signal.throwIfAborted();
      const c = await chain.next();
      if (c === undefined) break;
      virtual ??= new VirtualCluster(engine, shape, new StateView(c.folder));
      const before = serially(engine, c);
      const expected = digestOf(before.results);
      // What was left behind by other runs is not to be swept in this one.
      await collectGarbage();
      const epoch = await virtual.run(c);
      if (digestOf(epoch.results) !== expected)
        throw benchError("BENCH_DIFFERS", `${shape.executors} executors differ from the serial run in epoch ${n}`);
      const { exactRuns } = virtual.engine.lastOutcome?.stats ?? { exactRuns: 0 };
      const { edges, keptEdges } = virtual.engine.lastOutcome?.plan ?? { edges: 0, keptEdges: 0 };
      const after = serially(engine, c);
      if (n >= warmups)
        samples.push({
          serialMicros: Math.min(before.micros, after.micros),
          txs: c.txs.length,
          epoch,
          exactRuns,
          edges,
          keptEdges,
        });
      if (after.results.writes !== undefined) await chain.applied(after.results.writes);
    }
  } finally {
    await chain.close();
  }
  return samples.toSorted((a, b) => a.epoch.disturbance - b.epoch.disturbance).slice(0, epochs);
}

function isEnough(samples: readonly Sample[], epochs: number): boolean {
  return samples.filter(({ epoch }) => epoch.disturbance <= DISTURBANCE_MAX).length >= epochs;
}

async function traceChain(engine: WasmEngine, open: () => EpochChain, signal: AbortSignal): Promise<Trace[]> {
  const chain = open();
  const traces: Trace[] = [];
  try {
    for (let n = 0; chain.isRecorded || n < EPOCHS; n++) {
      signal.throwIfAborted();
      const c = await chain.next();
      if (c === undefined) break;
      serially(engine, c);
      const { results, micros } = serially(engine, c);
      traces.push(traceOf(engine, c, micros));
      if (results.writes !== undefined) await chain.applied(results.writes);
    }
  } finally {
    await chain.close();
  }
  return traces;
}

function serially(engine: WasmEngine, c: BenchEpoch): { results: BatchResults; micros: number } {
  const startMs = performance.now();
  const results = engine.execute(c.env, c.txs, c.state, c.gasAvailable, { bloom: true });
  return { results, micros: (performance.now() - startMs) * 1_000 };
}

function boundsOf(traces: readonly Trace[]): Bounds | undefined {
  if (traces.length === 0) return undefined;
  const ratio = (of: (trace: Trace) => number): number =>
    median(traces.map((trace) => trace.workMicros / Math.max(1e-9, of(trace))));
  const perTx = (of: (trace: Trace) => number): number =>
    median(traces.map((trace) => of(trace) / Math.max(1, trace.micros.length)));
  return {
    workMicrosPerTx: perTx((trace) => trace.workMicros),
    parallelism: ratio((trace) => trace.spanMicros),
    byLongest: ratio((trace) => trace.longestMicros),
    byLargestComponent: ratio((trace) => trace.largestComponentMicros),
    withoutDeltas: ratio((trace) => trace.noDeltasSpanMicros),
    accessesPerTx: perTx((trace) => trace.accesses),
    recordBytesPerTx: perTx((trace) => trace.recordBytes),
    rawBytesPerTx: perTx((trace) => trace.rawBytes),
    classes: mergedClasses(traces),
  };
}

function mergedClasses(traces: readonly Trace[]): ClassShare[] {
  const merged = new Map<string, ClassShare>();
  for (const { name, count, gas, micros } of traces.flatMap(({ classes }) => classes)) {
    const before = merged.get(name) ?? { name, count: 0, gas: 0, micros: 0 };
    merged.set(name, { name, count: before.count + count, gas: before.gas + gas, micros: before.micros + micros });
  }
  return [...merged.values()];
}

function rowOf(shape: Shape, samples: readonly Sample[], traces: readonly Trace[]): SimulatedRow {
  const of = (value: (sample: Sample) => number): number => median(samples.map(value));
  const perTx = (value: (sample: Sample) => number): number => of((s) => value(s) / Math.max(1, s.txs));
  const coordinatorUse = of(({ epoch }) => epoch.coordinatorMicros / epoch.wallMicros);
  const busiestUse = of(({ epoch }) => Math.max(...epoch.executorMicros) / epoch.wallMicros);
  const meanUse = of(({ epoch }) => sum(epoch.executorMicros) / shape.executors / epoch.wallMicros);
  const start = of(({ epoch }) => epoch.startMicros / epoch.wallMicros);
  const end = of(({ epoch }) => epoch.endMicros / epoch.wallMicros);
  const shardUse = shape.areShardsApart
    ? of(({ epoch }) => Math.max(...epoch.shardMicros) / epoch.wallMicros)
    : undefined;
  const stageMicros: Partial<Record<Stage, number>> = {};
  for (const stage of Object.keys(samples[0]?.epoch.stages ?? {}) as Stage[])
    if (stage !== "idle") stageMicros[stage] = perTx(({ epoch }) => epoch.stages[stage]);
  const total = (value: (sample: Sample) => number): number => samples.reduce((sum, s) => sum + value(s), 0);
  return {
    executors: shape.executors,
    shards: shape.shards,
    network: shape.name,
    speedup: spread(samples.map((s) => s.serialMicros / s.epoch.wallMicros)) ?? {
      median: 0,
      min: 0,
      max: 0,
      samples: 0,
    },
    txPerSecond: of((s) => (s.txs * 1e6) / s.epoch.wallMicros),
    ceiling: median(traces.map((trace) => ceilingAt(trace, shape.executors))),
    coordinatorUse,
    busiestUse,
    meanUse,
    waits: { start, batches: Math.max(0, 1 - start - end - meanUse), end },
    shardUse,
    saturated: saturatedOf({ coordinator: coordinatorUse, executors: busiestUse, "key shards": shardUse ?? 0 }),
    stageMicros,
    coordinatorMicros: perTx(({ epoch }) => epoch.coordinatorMicros),
    executorMicros: perTx(({ epoch }) => sum(epoch.executorMicros) + epoch.toldMicros),
    rerunShare:
      total((s) => s.exactRuns) /
      Math.max(
        1,
        total((s) => s.txs),
      ),
    affinity: total((s) => s.edges) === 0 ? 1 : total((s) => s.keptEdges) / total((s) => s.edges),
    bytesPerTx: perTx(({ epoch }) => epoch.bytes),
    messagesPerTx: perTx(({ epoch }) => epoch.messages),
  };
}

/** The busiest, if it is busy enough for all else to wait for it. */
function saturatedOf(uses: Readonly<Record<string, number>>): string {
  const [name, use] = Object.entries(uses).reduce((most, entry) => (entry[1] > most[1] ? entry : most));
  return use < SATURATED ? "waiting" : name;
}

/**
 * Two executors pay when half of the running and all of the coordinating take less than running alone: a transaction
 * must run for as long as it costs to coordinate. What runs again runs on the coordinator, and eats from the same half.
 */
function breakEvenOf(row: SimulatedRow, serialMicrosPerTx: number): { microsPerTx: number; rerunShare: number } {
  const coordinating = row.coordinatorMicros - (row.stageMicros.exact ?? 0);
  return {
    microsPerTx: coordinating,
    rerunShare: Math.max(0, 1 - coordinating / Math.max(1e-9, serialMicrosPerTx)),
  };
}
