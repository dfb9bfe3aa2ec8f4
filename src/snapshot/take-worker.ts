/** The thread of take.ts: opens copied databases, cuts all their tables into chunks and stores them. */
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import { Database, type Entry } from "../store/database.ts";
import { LmdbChainStore } from "../store/lmdb-chain-store.ts";
import { chunksOf } from "./chunk.ts";
import type { ChunkRef, SnapshotHead, TableManifest } from "./manifest.ts";
import { SnapshotFolder } from "./snapshot-folder.ts";

/** `copies`: folders of copied databases, the one with the chain first. */
export type CutRequest = { readonly copies: readonly string[]; readonly folder: string };
export type CutResult = {
  readonly head: SnapshotHead;
  /** By copy. */
  readonly tables: readonly (readonly TableManifest[])[];
  readonly sizeBytes: number;
  readonly writtenBytes: number;
};

async function cut({ copies, folder }: CutRequest): Promise<CutResult> {
  const store = new SnapshotFolder(folder);
  const tables: TableManifest[][] = [];
  let head: SnapshotHead | undefined;
  let sizeBytes = 0;
  let writtenBytes = 0;
  for (const copy of copies) {
    const database = Database.open(copy, { durable: false });
    try {
      head ??= headOf(database);
      const part = await cutDatabase(database, store);
      tables.push(part.tables);
      sizeBytes += part.sizeBytes;
      writtenBytes += part.writtenBytes;
    } finally {
      await database.close();
    }
  }
  assert(head !== undefined, "a chain is copied first");
  return { head, tables, sizeBytes, writtenBytes };
}

async function cutDatabase(
  database: Database,
  store: SnapshotFolder,
): Promise<{ tables: TableManifest[]; sizeBytes: number; writtenBytes: number }> {
  const tables: TableManifest[] = [];
  let sizeBytes = 0;
  let writtenBytes = 0;
  for (const name of database.tableNames()) {
    const chunks: ChunkRef[] = [];
    let entries = 0;
    const counted = function* (): Generator<Entry> {
      for (const entry of database.table(name).iterate({ start: Uint8Array.of(0) })) {
        entries++;
        yield entry;
      }
    };
    for (const chunk of chunksOf(counted())) {
      const put = await store.putChunk(chunk);
      chunks.push(put.ref);
      sizeBytes += chunk.length;
      writtenBytes += put.writtenBytes;
    }
    tables.push({ name, entries, chunks });
  }
  return { tables, sizeBytes, writtenBytes };
}

function headOf(database: Database): SnapshotHead {
  const chain = new LmdbChainStore(database);
  const block = chain.block(chain.head);
  assert(block !== undefined, "a chain is stored from genesis on");
  const { number, stateRoot } = block.header;
  return { number, hash: block.hash, stateRoot };
}

cut(workerData as CutRequest).then(
  (result) => parentPort?.postMessage(result),
  (error: unknown) => parentPort?.postMessage({ error: error instanceof Error ? error.message : String(error) }),
);
