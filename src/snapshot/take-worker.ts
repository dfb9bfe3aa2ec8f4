/** The thread of take.ts: opens one copied database, cuts all its tables into chunks and stores them. */
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import { Database, type Entry } from "../store/database.ts";
import { LmdbChainStore } from "../store/lmdb-chain-store.ts";
import { chunksOf } from "./chunk.ts";
import type { ChunkRef, SnapshotHead, TableManifest } from "./manifest.ts";
import { SnapshotFolder } from "./snapshot-folder.ts";

export type CutRequest = { readonly copy: string; readonly folder: string };
export type CutResult = {
  readonly head: SnapshotHead;
  readonly tables: readonly TableManifest[];
  readonly sizeBytes: number;
  readonly writtenBytes: number;
};

async function cut({ copy, folder }: CutRequest): Promise<CutResult> {
  const database = Database.open(copy, { durable: false });
  try {
    const store = new SnapshotFolder(folder);
    const chain = new LmdbChainStore(database);
    const block = chain.block(chain.head);
    assert(block !== undefined, "a chain is stored from genesis on");
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
    const { number, stateRoot } = block.header;
    return { head: { number, hash: block.hash, stateRoot }, tables, sizeBytes, writtenBytes };
  } finally {
    await database.close();
  }
}

cut(workerData as CutRequest).then(
  (result) => parentPort?.postMessage(result),
  (error: unknown) => parentPort?.postMessage({ error: error instanceof Error ? error.message : String(error) }),
);
