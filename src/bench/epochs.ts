/**
 * Owns what a benchmark runs: chains of epochs, each on the state the one before left, the same for the same seed. Made
 * profiles (M1 mainnet-like, B1 Base-like, H1 hostile, U1 uniform), or recorded blocks, where each stands on a state of
 * its own.
 */
import { blocksIn, loadBlock } from "../../scripts/replay/load.ts";
import type { BlockEnv, StateReader, TxInput } from "../execution/execution.ts";
import { type Profile, Workload } from "../execution/sharded/testing/workloads.ts";
import { Random } from "../execution/wasm/testing/random-program.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import { StoredState } from "./stored-state.ts";

/** More than any epoch here uses: gas is not what ends one. */
export const GAS_LIMIT = 1_000_000_000_000;

export type BenchEpoch = {
  readonly env: BlockEnv;
  readonly txs: readonly TxInput[];
  readonly state: StateReader;
  /** Folder of the database that `state` reads. */
  readonly folder: string;
  readonly gasAvailable: number;
};

export type EpochChain = {
  /** The state is another one in each epoch: what executors remember is of no use to the next. */
  readonly isRecorded: boolean;
  /** Undefined at the end. */
  next(): Promise<BenchEpoch | undefined>;
  /** Goes on after the epoch; microseconds of processor time that hashing and storing its effects took. */
  applied(writes: StateWrites): Promise<number>;
  close(): Promise<void>;
};

/** Epochs of `count` transactions, from one sender per transaction of an epoch. */
export function profileChain(profile: Profile, seed: number, count: number): EpochChain {
  const workload = new Workload(profile, new Random(seed, 1), count);
  let stored: StoredState | undefined;
  return {
    isRecorded: false,
    next: async () => {
      stored ??= await StoredState.of(workload.world);
      const { env, txs, gasAvailable } = workload.epoch(count, GAS_LIMIT);
      return { env, txs, gasAvailable, state: stored.reader(), folder: stored.folder };
    },
    applied: async (writes) => {
      workload.world.apply(writes);
      workload.settle();
      return (await stored?.commit(writes)) ?? 0;
    },
    close: async () => stored?.close(),
  };
}

/** The recorded blocks below `folder`, in order of their names. */
export function recordedChain(folder: string): EpochChain {
  const blocks = blocksIn(folder);
  let stored: StoredState | undefined;
  return {
    isRecorded: true,
    next: async () => {
      await stored?.close();
      stored = undefined;
      const { value: path, done } = blocks.next();
      if (done === true) return undefined;
      const { env, txs, world } = loadBlock(path);
      stored = await StoredState.of(world());
      return { env, txs, gasAvailable: env.gasLimit, state: stored.reader(), folder: stored.folder };
    },
    applied: async (writes) => (await stored?.commit(writes)) ?? 0,
    close: async () => stored?.close(),
  };
}
