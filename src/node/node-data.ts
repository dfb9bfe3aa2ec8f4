/** Owns what the processes of a node share whatever roles they run: the folders of its databases, and its faults. */
import { join } from "node:path";
import { defineErrors } from "../base/error.ts";
import type { RestoreTarget } from "../snapshot/restore.ts";
import type { StoredFolders } from "../state/stored-state.ts";

export const nodeError = defineErrors("Node", {
  NODE_NO_GENESIS: {
    summary: "The inbox contract on L1 has not published a genesis document.",
    action: "Check the inbox address and the L1 endpoint; deploy the cluster first.",
    retryable: false,
  },
  NODE_NO_SNAPSHOT_KEY: {
    summary: "A process without a poster account is asked for snapshots, which are signed with its key.",
    action: "Run the publisher in the sequencer's process, or leave SHEAF_SNAPSHOT_FOLDER empty.",
    retryable: false,
  },
});

/** The databases of a node, as folders and in snapshots. */
export const SEQUENCER = "sequencer";
export const VERIFIER = "verifier";

/** Folder of one database of a node whose data is in `dataDir`. */
export function databaseFolder(dataDir: string, name: typeof SEQUENCER | typeof VERIFIER): string {
  return join(dataDir, name, "db");
}

/** Folder of one key shard's database. */
export function shardFolder(dataDir: string, shard: number): string {
  return join(dataDir, SEQUENCER, shardName(shard));
}

const SHARD_PREFIX = "keyshard-";

export const shardName = (shard: number): string => `${SHARD_PREFIX}${shard}`;

/** Where the state of a node is read from outside of it. */
export function storedFolders(dataDir: string): StoredFolders {
  return { chain: databaseFolder(dataDir, SEQUENCER), shardPrefix: join(dataDir, SEQUENCER, SHARD_PREFIX) };
}

/** Where a database of a snapshot belongs in the data folder of a node; undefined for one that is not known. */
export function restoreTarget(dataDir: string, name: string): RestoreTarget | undefined {
  if (name === SEQUENCER || name === VERIFIER) return { folder: databaseFolder(dataDir, name), hasChain: true };
  if (!/^keyshard-\d{1,3}$/.test(name)) return undefined;
  return { folder: join(dataDir, SEQUENCER, name), hasChain: false };
}
