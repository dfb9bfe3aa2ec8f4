/**
 * Owns the choice of where a chain's state lives: in the node's own database, which is the default, or on key shards with
 * databases of their own. What is stored elsewhere than the settings say is moved there before the chain goes on.
 */
import { rm } from "node:fs/promises";
import { performance } from "node:perf_hooks";
import { readConfig } from "../base/config.ts";
import type { Log } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { engineConfig } from "../execution/config.ts";
import { LmdbState } from "../state/lmdb-state.ts";
import { PartitionRecord } from "../state/partition-record.ts";
import type { ChainState } from "../state/state.ts";
import { StateLoad } from "../state/state-load.ts";
import type { Database } from "../store/database.ts";
import { shardLink } from "./links.ts";
import { keyshardMetrics } from "./metrics.ts";
import { MovedState } from "./moved-state.ts";
import { PartitionedState } from "./partitioned-state.ts";
import { moveToShards, moveToSingle } from "./rehouse.ts";

export type OpenedState = {
  readonly state: ChainState;
  /** The state when it is on key shards. */
  readonly shards: PartitionedState | undefined;
  /** Copies the databases of chain and state, so that together they are those of one block. */
  readonly copyTo: (chainFolder: string, folderOf: (shard: number) => string) => Promise<void>;
  readonly close: () => Promise<void>;
};

export type OpenStateOptions = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder of a shard's database. */
  readonly folderOf: (shard: number) => string;
  readonly blockHash?: (number: number) => Uint8Array | undefined;
  readonly log: Log;
  readonly metrics: Metrics;
};

/** @throws {KeyShardError} KEYSHARD_BEHIND, KEYSHARD_ROOT */
export async function openState(database: Database, options: OpenStateOptions): Promise<OpenedState> {
  const { folderOf } = options;
  const { keyShards: count, keyShardsIn } = readConfig(engineConfig, options.env);
  const log = options.log.child({ role: "keyshard" });
  await moveHome(database, count, { folderOf, log });
  const record = new PartitionRecord(database);
  const blockHash = options.blockHash === undefined ? {} : { blockHash: options.blockHash };
  const single = (): ChainState => new LmdbState(database, blockHash);
  const isSingle = record.home === "single" && count === 1;
  if (isSingle && !record.hasShards)
    return {
      state: single(),
      shards: undefined,
      copyTo: (folder) => database.copyTo(folder),
      close: () => Promise.resolve(),
    };
  const shards = await PartitionedState.open(database, {
    shards: count,
    folderOf,
    linkOf: (folder) => shardLink(keyShardsIn, folder),
    ...blockHash,
    log,
    // Shards that answer for old versions only count nothing.
    metrics: keyshardMetrics(isSingle ? new Metrics() : options.metrics.withLabels({ role: "keyshard" })),
  });
  let freeing: Promise<void> = Promise.resolve();
  const opened = {
    shards: isSingle ? undefined : shards,
    copyTo: (chainFolder: string, to: (shard: number) => string): Promise<void> =>
      record.hasShards ? shards.copyTo(chainFolder, to) : database.copyTo(chainFolder),
    close: async (): Promise<void> => {
      await shards.close();
      await freeing;
    },
  };
  if (record.moved() === undefined) return { ...opened, state: shards };
  const [before, after] = isSingle ? [shards, single()] : [single(), shards];
  const state = new MovedState(database, {
    before,
    after,
    shardsAreFree: () => {
      const free = async (): Promise<void> => {
        await shards.close();
        for (const folder of shards.folders) await rm(folder, { recursive: true, force: true });
      };
      freeing = free().catch((err: unknown) => log.warn("databases of key shards could not be removed", { err }));
    },
  });
  return { ...opened, state };
}

type Place = { readonly folderOf: (shard: number) => string; readonly log: Log };

/** Moves a stored state to where it is to be, in the chain's database or on `count` shards. */
async function moveHome(database: Database, count: number, { folderOf, log }: Place): Promise<void> {
  const record = new PartitionRecord(database);
  const wanted = count === 1 ? "single" : "shards";
  const { home } = record;
  if (home === "shards" && record.moved() === undefined) {
    // What a move that did not come to its end left behind.
    const [left] = database.table("state").keys({ start: Uint8Array.of(0), limit: 1 });
    const load = new StateLoad(database, { part: false });
    if (left !== undefined) database.transaction(() => load.clear());
  }
  if (home === wanted) return;
  const startMs = performance.now();
  let block: number;
  if (wanted === "shards") {
    if (!record.hasSingle) return; // nothing is stored yet
    log.info("the state moves to key shards", { shards: count });
    block = await moveToShards(database, { count, folderOf });
  } else {
    if ((record.head()?.head ?? -1) < 0) {
      database.transaction(() => record.removeShards());
      return;
    }
    log.info("the state moves from key shards to one database");
    await checkState(database, { folderOf, log });
    block = await moveToSingle(database, { folderOf });
  }
  log.info("the state has moved", { block, seconds: (performance.now() - startMs) / 1_000 });
}

/**
 * Brings key shards to the head of the chain in `database`, compares their root with the head's, and closes them.
 * @throws {KeyShardError} KEYSHARD_BEHIND, KEYSHARD_ROOT
 */
export async function checkState(database: Database, { folderOf, log }: Place): Promise<void> {
  if (!new PartitionRecord(database).hasShards) return;
  const state = await PartitionedState.open(database, {
    shards: 1,
    folderOf,
    linkOf: (folder) => shardLink("here", folder),
    log,
    metrics: keyshardMetrics(new Metrics()),
  });
  await state.close();
}
