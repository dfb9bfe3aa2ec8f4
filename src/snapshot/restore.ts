/**
 * Owns the restoring of a snapshot into an empty folder. Nothing is written before the signature, the cluster and the
 * targets are found right; every chunk is checked against its hash on the way in; at the end the head of each restored
 * chain must be the one that was signed. A restore that fails removes what it wrote. That key shards have the state of
 * their chain is found when they are opened.
 */
import { existsSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { bytesEqual, toHex } from "../base/bytes.ts";
import { Database } from "../store/database.ts";
import { LmdbChainStore } from "../store/lmdb-chain-store.ts";
import { entriesOf } from "./chunk.ts";
import { snapshotError } from "./error.ts";
import type { Manifest, SignedManifest } from "./manifest.ts";
import { chunksIn, SnapshotFolder } from "./snapshot-folder.ts";

export type RestoreTarget = {
  readonly folder: string;
  /** Whether the database holds a chain, and not a part of one's state. */
  readonly hasChain: boolean;
};

export type RestoreInput = {
  /** Folder of snapshots. */
  readonly folder: string;
  /** First hex digits of the id; default: the newest. */
  readonly id?: string | undefined;
  /** Addresses whose signature counts. */
  readonly trusted: readonly Uint8Array[];
  readonly chainId: number;
  readonly genesisHash: Uint8Array;
  /** Where each database goes, by name; undefined leaves it out. */
  readonly targetOf: (name: string) => RestoreTarget | undefined;
  /** Told after every chunk. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
};

/** @throws {SnapshotError} all of them */
export async function restoreSnapshot(input: RestoreInput): Promise<SignedManifest> {
  const folder = new SnapshotFolder(input.folder);
  const signed = choose(await folder.list(), input.id);
  const { manifest, signer } = signed;
  if (!input.trusted.some((address) => bytesEqual(address, signer)))
    throw snapshotError("SNAPSHOT_UNTRUSTED", `signed by ${toHex(signer)}`, { signer: toHex(signer) });
  if (manifest.chainId !== input.chainId || !bytesEqual(manifest.genesisHash, input.genesisHash))
    throw snapshotError("SNAPSHOT_OTHER_CHAIN", `chain ${manifest.chainId}, genesis ${toHex(manifest.genesisHash)}`);
  const wanted = manifest.databases.flatMap((database) => {
    const target = input.targetOf(database.name);
    return target === undefined ? [] : [{ ...database, target }];
  });
  for (const { target } of wanted)
    if (existsSync(target.folder) && readdirSync(target.folder).length > 0)
      throw snapshotError("SNAPSHOT_TARGET_NOT_EMPTY", `${target.folder} is not empty`, { target: target.folder });
  const totalBytes = chunksIn({ ...manifest, databases: wanted }).reduce((sum, chunk) => sum + chunk.sizeBytes, 0);
  let doneBytes = 0;
  try {
    for (const database of wanted)
      await fill(folder, database, database.target, (chunkBytes) => {
        doneBytes += chunkBytes;
        input.onProgress?.(doneBytes, totalBytes);
      });
  } catch (error) {
    for (const { target } of wanted) await rm(target.folder, { recursive: true, force: true });
    throw error;
  }
  return signed;
}

function choose(all: readonly SignedManifest[], id: string | undefined): SignedManifest {
  const found = id === undefined ? all.at(-1) : all.findLast((s) => toHex(s.id).slice(2).startsWith(id));
  if (found === undefined)
    throw snapshotError("SNAPSHOT_NONE", id === undefined ? "no snapshot is there" : `none starts with ${id}`);
  return found;
}

async function fill(
  folder: SnapshotFolder,
  { tables, head }: Manifest["databases"][number],
  target: RestoreTarget,
  onChunk: (chunkBytes: number) => void,
): Promise<void> {
  const database = Database.open(target.folder);
  try {
    for (const { name, chunks, entries } of tables) {
      const table = database.table(name);
      let count = 0;
      for (const ref of chunks) {
        const content = entriesOf(await folder.chunk(ref));
        database.transaction(() => {
          for (const { key, value } of content) table.put(key, value);
        });
        count += content.length;
        await database.settled();
        onChunk(ref.sizeBytes);
      }
      if (count !== entries)
        throw snapshotError("SNAPSHOT_CORRUPT", `table ${name} has ${count} entries instead of ${entries}`);
    }
    await database.flushed();
    if (!target.hasChain) return;
    const chain = new LmdbChainStore(database);
    const block = chain.block(chain.head);
    if (
      block?.header.number !== head.number ||
      !bytesEqual(block.hash, head.hash) ||
      !bytesEqual(block.header.stateRoot, head.stateRoot)
    )
      throw snapshotError("SNAPSHOT_CORRUPT", `the restored head is not block ${head.number} ${toHex(head.hash)}`);
  } finally {
    await database.close();
  }
}
