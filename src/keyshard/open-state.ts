/**
 * Owns the choice of where a chain's state lives: in the node's own database, which is the default, or on key shards with
 * databases of their own. A folder that has begun on key shards stays on them, with as many as are asked for.
 */
import { readConfig } from "../base/config.ts";
import type { Log } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { engineConfig } from "../execution/engines.ts";
import { LmdbState } from "../state/lmdb-state.ts";
import type { ChainState } from "../state/state.ts";
import type { Database } from "../store/database.ts";
import { keyshardError } from "./error.ts";
import { shardLink } from "./links.ts";
import { keyshardMetrics } from "./metrics.ts";
import { PartitionedState } from "./partitioned-state.ts";

export type OpenedState = {
  readonly state: ChainState;
  /** The state when it is on key shards. */
  readonly shards: PartitionedState | undefined;
  /** Copies the databases of chain and state, so that together they are those of one block. */
  copyTo(chainFolder: string, folderOf: (shard: number) => string): Promise<void>;
  close(): Promise<void>;
};

export type OpenStateOptions = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder of a shard's database. */
  readonly folderOf: (shard: number) => string;
  readonly blockHash: (number: number) => Uint8Array | undefined;
  readonly log: Log;
  readonly metrics: Metrics;
};

/** @throws {KeyShardError} KEYSHARD_SINGLE, KEYSHARD_BEHIND, KEYSHARD_ROOT */
export async function openState(database: Database, options: OpenStateOptions): Promise<OpenedState> {
  const { blockHash } = options;
  const { keyShards: count, keyShardsIn } = readConfig(engineConfig, options.env);
  if (!PartitionedState.isIn(database)) {
    const single = new LmdbState(database, { blockHash });
    if (count === 1)
      return {
        state: single,
        shards: undefined,
        copyTo: (folder) => database.copyTo(folder),
        close: () => Promise.resolve(),
      };
    if (single.head >= 0)
      throw keyshardError("KEYSHARD_SINGLE", `the state of block ${single.head} is in one database`, {
        shards: count,
      });
  }
  const shards = await PartitionedState.open(database, {
    shards: count,
    folderOf: options.folderOf,
    linkOf: (folder) => shardLink(keyShardsIn, folder),
    blockHash,
    log: options.log.child({ role: "keyshard" }),
    metrics: keyshardMetrics(options.metrics.withLabels({ role: "keyshard" })),
  });
  return { state: shards, shards, copyTo: (...folders) => shards.copyTo(...folders), close: () => shards.close() };
}

/**
 * Brings key shards to the head of the chain in `database`, compares their root with the head's, and closes them.
 * @throws {KeyShardError} KEYSHARD_BEHIND, KEYSHARD_ROOT
 */
export async function checkState(
  database: Database,
  { folderOf, log }: { folderOf: (shard: number) => string; log: Log },
): Promise<void> {
  if (!PartitionedState.isIn(database)) return;
  const state = await PartitionedState.open(database, {
    shards: 1,
    folderOf,
    linkOf: (folder) => shardLink("here", folder),
    log,
    metrics: keyshardMetrics(new Metrics()),
  });
  await state.close();
}
