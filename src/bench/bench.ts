/**
 * Owns the benchmark of sharded execution: real runs beside the serial engine, each compared with it result by result;
 * the bounds nothing gets past; and runs in virtual time for executors this machine has no cores for, which are shown
 * only when virtual time reproduces the real runs with one and two executors.
 * @see docs/bench.md, docs/decisions/0027-bench.md
 */
import type { Profile } from "../execution/sharded/testing/workloads.ts";
import { type EpochChain, profileChain, recordedChain } from "./epochs.ts";
import { describeMachine, type Machine, threadNetwork } from "./machine.ts";
import { measureReal, type RealReport } from "./measure-real.ts";
import type { BenchOptions } from "./options.ts";
import { measureStages, type StageCosts } from "./outer-stages.ts";
import { type Drawn, drawSimulation } from "./simulate.ts";
import type { Network } from "./virtual-time.ts";

export type WorkloadReport = RealReport &
  Drawn & {
    readonly name: string;
    readonly stages: StageCosts | undefined;
  };

export type BenchReport = {
  readonly version: 1;
  readonly machine: Machine;
  readonly threadNetwork: Network;
  readonly options: BenchOptions;
  readonly workloads: readonly WorkloadReport[];
};

/** Runs it all; `progress` is told what is going on. @throws {BenchError} BENCH_DIFFERS */
export async function runBench(
  options: BenchOptions,
  progress: (text: string) => void,
  signal: AbortSignal,
): Promise<BenchReport> {
  const machine = describeMachine();
  progress("messages between threads");
  const network = await threadNetwork();
  const sources: { readonly name: string; readonly open: () => EpochChain; readonly profile: Profile | undefined }[] =
    options.profiles.map((profile) => ({
      name: profile,
      open: () => profileChain(profile, options.seed, txsOf(profile, options)),
      profile,
    }));
  const { blocks } = options;
  if (blocks !== undefined) sources.push({ name: "recorded", open: () => recordedChain(blocks), profile: undefined });
  const workloads: WorkloadReport[] = [];
  for (const { name, open, profile } of sources) {
    signal.throwIfAborted();
    progress(`${name}: real runs`);
    const real = await measureReal(open(), profile, options, machine.cores, signal);
    signal.throwIfAborted();
    progress(`${name}: virtual time`);
    const drawn = await drawSimulation(open, options, real, network, machine.cores, signal);
    const stages = profile === undefined ? undefined : await measureStages(open());
    workloads.push({ name, ...real, ...drawn, stages });
  }
  return { version: 1, machine, threadNetwork: network, options, workloads };
}

/** U1's transactions take ten times as long as others. */
function txsOf(profile: Profile, { txs }: BenchOptions): number {
  return profile === "U1" ? Math.max(1, Math.round(txs / 4)) : txs;
}
