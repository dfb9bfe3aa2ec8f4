/**
 * Owns the real runs of a chain of epochs: the serial engine before and after each round, every cluster between, in
 * another order each round; figures are medians of ratios within a round, since a shared machine changes from round to
 * round. Every outcome is compared with the serial one.
 */
import { performance } from "node:perf_hooks";
import type { BatchResults } from "../execution/execution.ts";
import type { Profile } from "../execution/sharded/testing/workloads.ts";
import { WasmEngine } from "../execution/wasm/wasm.ts";
import type { BenchEpoch, EpochChain } from "./epochs.ts";
import { SerialCopies } from "./machine.ts";
import { type BenchOptions, benchError } from "./options.ts";
import { digestOf } from "./outcome-digest.ts";
import { processMicros } from "./processor-time.ts";
import { Disturbance, RealCluster, type RealEpoch, type RealShape } from "./real-cluster.ts";
import { percentile, type Spread, spread } from "./statistics.ts";

/** Of all rounds this share is counted, those in which threads waited least for a processor, and at least so many. */
const COUNTED_SHARE = 0.5;
const COUNTED_MIN = 3;

export type RealRow = {
  readonly executors: number;
  readonly shards: number;
  /** It dealt out only what it thought would pay; the others deal out everything. */
  readonly isDeciding: boolean;
  /** More threads than cores: wall time is that of taking turns. */
  readonly isOversubscribed: boolean;
  readonly txPerSecond: number;
  readonly mgasPerSecond: number;
  /** Serial time over this one's, within a round. */
  readonly speedup: Spread;
  /** Microseconds of processor time per transaction. */
  readonly coordinatorMicros: number | undefined;
  readonly executorMicros: number | undefined;
  /** What the processor times give where each thread has a core. */
  readonly speedupByCpu: number | undefined;
  /** Shares of transactions: results that did not hold, and what was run again at the watermark. */
  readonly conflictShare: number;
  readonly rerunShare: number;
  /** Share of dependencies whose two ends ran on one executor. */
  readonly affinity: number;
  readonly bytesPerTx: number;
  readonly isEqualToSerial: true;
};

export type RealReport = {
  readonly isRecorded: boolean;
  readonly txs: number;
  readonly serial: {
    readonly microsPerTx: number;
    readonly txPerSecond: number;
    readonly mgasPerSecond: number;
    readonly gasPerTx: number;
  };
  /** Speed of one busy thread beside another, 0–1. */
  readonly pairedSpeed: number;
  /** How much of the machine others used, in the median round. */
  readonly othersShare: number | undefined;
  readonly roundsCounted: number;
  readonly real: readonly RealRow[];
};

type Sample = {
  readonly serialMicros: number;
  readonly run: RealEpoch;
  readonly txs: number;
  readonly gas: number;
  readonly conflicts: number;
  readonly reruns: number;
  readonly edges: number;
  readonly kept: number;
};

type Round = {
  readonly others: number | undefined;
  readonly serialMicros: number;
  readonly serialCpuMicros: number;
  readonly txs: number;
  readonly gas: number;
  readonly paired: number | undefined;
  readonly samples: readonly Sample[];
};

const median = (samples: readonly number[]): number => spread(samples)?.median ?? 0;

export async function measureReal(
  chain: EpochChain,
  profile: Profile | undefined,
  options: BenchOptions,
  cores: number,
  signal: AbortSignal,
): Promise<RealReport> {
  const serial = await WasmEngine.create();
  const shapes = options.executors.flatMap((executors) =>
    (options.shards ?? [executors]).map((shards) => ({ executors, shards, isDeciding: false })),
  );
  if (options.executors.includes(2)) shapes.push({ executors: 2, shards: 2, isDeciding: true });
  let clusters: RealCluster[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(clusters.map((cluster) => cluster.close()));
    clusters = [];
  };
  const copies =
    profile === undefined
      ? undefined
      : await SerialCopies.start({ profile, seed: options.seed, count: Math.min(options.txs, 1_000) });
  const rounds: Round[] = [];
  const warmups = chain.isRecorded ? 0 : options.warmups;
  try {
    for (let n = 0; chain.isRecorded || n < options.rounds + warmups; n++) {
      signal.throwIfAborted();
      const c = await chain.next();
      if (c === undefined) break;
      // Another state each time: what executors remember is of another block.
      if (chain.isRecorded) {
        await stop();
        serially(serial, c);
      }
      if (clusters.length === 0) for (const shape of shapes) clusters.push(await RealCluster.start(shape, c.folder));
      const { round, writes } = await runRound(serial, clusters, c, n, cores, copies);
      if (n >= warmups) rounds.push(round);
      await chain.applied(writes);
    }
  } finally {
    await stop();
    await copies?.close();
    await chain.close();
  }
  return report(chain.isRecorded, rounds, shapes, cores);
}

async function runRound(
  serial: WasmEngine,
  clusters: readonly RealCluster[],
  c: BenchEpoch,
  n: number,
  cores: number,
  copies: SerialCopies | undefined,
): Promise<{ round: Round; writes: NonNullable<BatchResults["writes"]> }> {
  const disturbance = new Disturbance();
  const before = serially(serial, c);
  const expected = digestOf(before.results);
  const samples: Omit<Sample, "serialMicros">[] = [];
  for (const [i] of clusters.entries()) {
    const at = (i + n) % clusters.length;
    const cluster = clusters[at] as RealCluster;
    const run = await cluster.run(c);
    if (digestOf(run.results) !== expected)
      throw benchError("BENCH_DIFFERS", `${cluster.executors} executors and the serial engine differ in epoch ${n}`);
    const outcome = cluster.isDeciding ? undefined : cluster.engine.lastOutcome;
    samples[at] = {
      run,
      txs: c.txs.length,
      gas: before.gas,
      conflicts:
        (outcome?.stats.slotConflicts ?? 0) + (outcome?.stats.fieldConflicts ?? 0) + (outcome?.stats.staleResults ?? 0),
      reruns: outcome?.stats.exactRuns ?? 0,
      edges: outcome?.plan.edges ?? 0,
      kept: outcome?.plan.keptEdges ?? 0,
    };
  }
  const after = serially(serial, c);
  const others = disturbance.share(cores);
  const paired = await copies?.pairedSpeed();
  const serialMicros = (before.wallMicros + after.wallMicros) / 2;
  const { writes } = after.results;
  if (writes === undefined) throw benchError("BENCH_DIFFERS", "the serial engine gave no net effect");
  return {
    writes,
    round: {
      others,
      paired,
      serialMicros,
      serialCpuMicros: (before.cpuMicros + after.cpuMicros) / 2,
      txs: c.txs.length,
      gas: before.gas,
      samples: samples.map((sample) => ({ ...sample, serialMicros })),
    },
  };
}

function serially(engine: WasmEngine, c: BenchEpoch) {
  const cpu = processMicros();
  const startMs = performance.now();
  const results = engine.execute(c.env, c.txs, c.state, c.gasAvailable, { bloom: true });
  const wallMicros = (performance.now() - startMs) * 1_000;
  const cpuMicros = processMicros() - cpu;
  const gas = results.reduce((sum, result) => sum + (result.included ? result.gasUsed : 0), 0);
  return { results, wallMicros, cpuMicros, gas };
}

function report(isRecorded: boolean, all: readonly Round[], shapes: readonly RealShape[], cores: number): RealReport {
  const quiet = leastDisturbed(all, ({ serialMicros, serialCpuMicros }) => serialMicros / serialCpuMicros);
  const txs = median(quiet.map((round) => round.txs));
  const microsPerTx = median(quiet.map((round) => round.serialCpuMicros / Math.max(1, round.txs)));
  const gasPerTx = median(quiet.map((round) => round.gas / Math.max(1, round.txs)));
  const paired = quiet.flatMap((round) => round.paired ?? []);
  const others = quiet.flatMap((round) => round.others ?? []);
  return {
    isRecorded,
    txs,
    serial: {
      microsPerTx,
      txPerSecond: 1e6 / microsPerTx,
      mgasPerSecond: gasPerTx / microsPerTx,
      gasPerTx,
    },
    // Others who disturb the two make it less, never more.
    pairedSpeed: percentile(paired, 0.75) ?? 1,
    othersShare: others.length === 0 ? undefined : median(others),
    roundsCounted: quiet.length,
    real: shapes.map((shape, i) =>
      rowOf(
        shape,
        leastDisturbed(
          all.map((round) => round.samples[i] as Sample),
          ({ run }) => run.waitedMicros / run.wallMicros,
        ),
        cores,
      ),
    ),
  };
}

function leastDisturbed<T>(items: readonly T[], disturbance: (item: T) => number): readonly T[] {
  return items
    .toSorted((a, b) => disturbance(a) - disturbance(b))
    .slice(0, Math.max(COUNTED_MIN, Math.ceil(items.length * COUNTED_SHARE)));
}

function rowOf({ executors, shards, isDeciding }: RealShape, samples: readonly Sample[], cores: number): RealRow {
  const txs = samples.reduce((sum, sample) => sum + sample.txs, 0);
  const total = (of: (sample: Sample) => number): number => samples.reduce((sum, sample) => sum + of(sample), 0);
  const perTx = (of: (sample: Sample) => number | undefined): number | undefined => {
    const known = samples.flatMap((sample) => {
      const value = of(sample);
      return value === undefined ? [] : [value / Math.max(1, sample.txs)];
    });
    return known.length === 0 ? undefined : median(known);
  };
  const coordinatorMicros = perTx(({ run }) => run.coordinatorMicros);
  const executorMicros = perTx(({ run }) => run.executorMicros);
  const serialMicros = median(samples.map((sample) => sample.serialMicros / Math.max(1, sample.txs)));
  const edges = total((sample) => sample.edges);
  return {
    executors,
    shards,
    isDeciding,
    isOversubscribed: executors + 1 > cores,
    txPerSecond: median(samples.map(({ run, txs: count }) => (count * 1e6) / run.wallMicros)),
    mgasPerSecond: median(samples.map(({ run, gas }) => gas / run.wallMicros)),
    speedup: spread(samples.map((sample) => sample.serialMicros / sample.run.wallMicros)) ?? {
      median: 0,
      min: 0,
      max: 0,
      samples: 0,
    },
    coordinatorMicros,
    executorMicros,
    speedupByCpu:
      coordinatorMicros === undefined || executorMicros === undefined
        ? undefined
        : serialMicros / Math.max(coordinatorMicros, executorMicros / executors, 1e-9),
    conflictShare: total((sample) => sample.conflicts) / Math.max(1, txs),
    rerunShare: total((sample) => sample.reruns) / Math.max(1, txs),
    affinity: edges === 0 ? 1 : total((sample) => sample.kept) / edges,
    bytesPerTx: total((sample) => sample.run.bytes) / Math.max(1, txs),
    isEqualToSerial: true,
  };
}
