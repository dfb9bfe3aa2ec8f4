/**
 * Owns the taking of a snapshot: LMDB copies each database as of one commit while the node goes on, and a thread in the
 * background cuts the copies into chunks. The node pays for one read transaction of each; nothing waits for the
 * snapshot. A chain whose state is in other databases has these copied with it, as its owner knows how.
 * On failure nothing but unnamed chunks is left, which the next one uses or {@link SnapshotFolder.keep} removes.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { startWorker } from "../base/worker.ts";
import { snapshotError } from "./error.ts";
import { type Manifest, type SignedManifest, signManifest, type TableManifest } from "./manifest.ts";
import { SnapshotFolder } from "./snapshot-folder.ts";
import type { CutRequest, CutResult } from "./take-worker.ts";

export type SnapshotSource = {
  readonly name: string;
  /**
   * Copies the database with the chain into the folder of this source's name, and what belongs to it into folders of
   * other names, so that together they are the chain as of one moment.
   */
  readonly copyTo: (folderOf: (name: string) => string) => Promise<void>;
};

export type TakeInput = {
  readonly chainId: number;
  readonly genesisHash: Uint8Array;
  readonly sources: readonly SnapshotSource[];
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
    for (const source of input.sources) {
      const names = new Set([source.name]);
      await source.copyTo((name) => {
        names.add(name);
        return join(temporary, name);
      });
      const copies = [...names].map((name) => join(temporary, name));
      const cut = await cutInBackground({ copies, folder: input.folder });
      for (const copy of copies) await rm(copy, { recursive: true });
      for (const [i, name] of [...names].entries())
        databases.push({ name, head: cut.head, tables: cut.tables[i] as TableManifest[] });
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
