/** Owns what a benchmark can be asked for, and what it fails with. */
import { defineErrors } from "../base/error.ts";
import { PROFILES, type Profile } from "../execution/sharded/testing/workloads.ts";

export const benchError = defineErrors("Bench", {
  BENCH_DIFFERS: {
    summary: "A benchmark's sharded run did not come out as its serial run.",
    action: "Report it with the seed: results must never depend on executors.",
    retryable: false,
  },
  BENCH_OPTIONS: {
    summary: "An option of `sheaf bench` cannot be read, or asks for nothing.",
    action: "See `sheaf bench --help`.",
    retryable: false,
  },
});

export type BenchOptions = {
  readonly profiles: readonly Profile[];
  /** Folder of recorded blocks. */
  readonly blocks?: string;
  /** Executors of real runs, each with as many key shards; `shards`: with every one of these. */
  readonly executors: readonly number[];
  readonly shards?: readonly number[];
  /** Executors of runs in virtual time; none: no simulation. */
  readonly simulated: readonly number[];
  /** Networks of runs in virtual time beside that of threads. */
  readonly roundTripsMs: readonly number[];
  readonly txs: number;
  readonly rounds: number;
  readonly warmups: number;
  readonly seed: number;
};

export const DEFAULT_OPTIONS: BenchOptions = {
  profiles: PROFILES,
  executors: [1, 2, 4, 8, 16],
  simulated: [1, 2, 4, 8, 16, 32, 64],
  roundTripsMs: [0.5],
  txs: 1_000,
  rounds: 7,
  warmups: 3,
  seed: 11,
};

/** In less than twenty seconds: that everything works, not how fast. */
export const QUICK_OPTIONS: BenchOptions = {
  ...DEFAULT_OPTIONS,
  profiles: ["M1"],
  executors: [1, 2],
  simulated: [1, 2, 4, 16],
  roundTripsMs: [],
  txs: 200,
  rounds: 3,
  warmups: 1,
};
