/**
 * Owns the taking of a snapshot: LMDB copies each database as of one commit while the node goes on, and a thread in the
 * background cuts the copies into chunks. The node pays for one read transaction; nothing waits for the snapshot.
 * On failure nothing but unnamed chunks is left, which the next one uses or {@link SnapshotFolder.keep} removes.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { startWorker } from "../base/worker.ts";
import type { Database } from "../store/database.ts";
import { snapshotError } from "./error.ts";
import { type Manifest, type SignedManifest, signManifest } from "./manifest.ts";
import { SnapshotFolder } from "./snapshot-folder.ts";
import type { CutRequest, CutResult } from "./take-worker.ts";

export type TakeInput = {
  readonly chainId: number;
  readonly genesisHash: Uint8Array;
  /** Each with the stored chain in it. */
  readonly databases: readonly { readonly name: string; readonly database: Database }[];
  /** Folder of snapshots. */
  readonly folder: string;
  readonly privateKey: Uint8Array;
  readonly nowMs: number;
};

export type TakenSnapshot = SignedManifest & {
  /** Of all chunks before compression. */
  readonly sizeBytes: number;
  /** What was not there already, compressed. */
  readonly writtenBytes: number;
};

export async function takeSnapshot(input: TakeInput): Promise<TakenSnapshot> {
  const temporary = await mkdtemp(join(input.folder, "copy-"));
  try {
    const databases: Manifest["databases"][number][] = [];
    let sizeBytes = 0;
    let writtenBytes = 0;
    for (const { name, database } of input.databases) {
      const copy = join(temporary, name);
      await database.copyTo(copy);
      const cut = await cutInBackground({ copy, folder: input.folder });
      await rm(copy, { recursive: true });
      databases.push({ name, head: cut.head, tables: cut.tables });
      sizeBytes += cut.sizeBytes;
      writtenBytes += cut.writtenBytes;
    }
    const { chainId, genesisHash } = input;
    const takenAtSeconds = Math.floor(input.nowMs / 1_000);
    const { bytes } = signManifest({ chainId, genesisHash, takenAtSeconds, databases }, input.privateKey);
    return { ...(await new SnapshotFolder(input.folder).putManifest(bytes)), sizeBytes, writtenBytes };
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

function cutInBackground(request: CutRequest): Promise<CutResult> {
  return new Promise((resolve, reject) => {
    const worker = startWorker(new URL("./take-worker.ts", import.meta.url), {
      name: "snapshot",
      workerData: request,
      background: true,
    });
    worker.once("message", (answer: CutResult | { error: string }) => {
      if ("error" in answer) reject(snapshotError("SNAPSHOT_CORRUPT", `the copy is not readable: ${answer.error}`));
      else resolve(answer);
    });
    worker.once("error", reject);
    worker.once("exit", (code) => reject(new Error(`the snapshot's thread ended early (${code})`)));
  });
}
