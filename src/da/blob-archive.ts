/**
 * Owns the blob archive: a folder of blobs by versioned hash, written before a post counts as done and filled by whoever
 * fetches from L1, so that nothing is lost when L1 prunes blobs after some weeks. Invariant: a file is complete and
 * synced or absent; what is read is checked against its versioned hash, a damaged file counts as absent.
 * Files hold a blob without its trailing zeros (a blob that is not full costs no more than its content), two hex digits
 * of the hash per folder; nothing is ever deleted here.
 */
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { assert } from "../base/assert.ts";
import { bytesEqual, toHexKey } from "../base/bytes.ts";
import { blobMatches } from "../l1/kzg.ts";
import { BLOB_SIZE_BYTES } from "../protocol/blob-codec.ts";
import { type BlobReference, type BlobSource, daError } from "./da.ts";

export class BlobArchive implements BlobSource {
  readonly name: string = "archive";
  readonly checks = true;
  readonly #folder: string;
  #writes = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  #pathOf(versionedHash: Uint8Array): string {
    const key = toHexKey(versionedHash);
    // The first byte of every hash is its version: the second one spreads.
    return join(this.#folder, key.slice(2, 4), `${key}.blob`);
  }

  /** True when there is a file for it; whether it is intact shows when it is read. */
  async has(versionedHash: Uint8Array): Promise<boolean> {
    return (await stat(this.#pathOf(versionedHash)).catch(() => undefined)) !== undefined;
  }

  /** Stores a blob that the caller knows to match; durable when it resolves. @throws {DaError} DA_ARCHIVE */
  async put(versionedHash: Uint8Array, blob: Uint8Array): Promise<void> {
    assert(blob.length === BLOB_SIZE_BYTES, "the archive holds whole blobs");
    const path = this.#pathOf(versionedHash);
    const content = withoutTrailingZeros(blob);
    const present = await readFile(path).catch(() => undefined);
    if (present !== undefined && bytesEqual(present, content)) return;
    const draft = `${path}.${process.pid}.${this.#writes++}`;
    try {
      await mkdir(dirname(path), { recursive: true });
      const file = await open(draft, "w");
      try {
        await file.writeFile(content);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(draft, path);
      const folder = await open(dirname(path), "r");
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    } catch (cause) {
      await rm(draft, { force: true }).catch(() => undefined);
      throw daError("DA_ARCHIVE", `cannot write ${path}`, { path }, { cause });
    }
  }

  /** Undefined when the archive does not hold it intact. */
  async get(versionedHash: Uint8Array): Promise<Uint8Array | undefined> {
    const bytes = await readFile(this.#pathOf(versionedHash)).catch(() => undefined);
    if (bytes === undefined || bytes.length > BLOB_SIZE_BYTES) return undefined;
    const blob = new Uint8Array(BLOB_SIZE_BYTES);
    blob.set(bytes);
    return (await blobMatches(blob, versionedHash)) ? blob : undefined;
  }

  async blobs(reference: BlobReference): Promise<readonly Uint8Array[]> {
    return Promise.all(
      reference.versionedHashes.map(async (versionedHash) => {
        const blob = await this.get(versionedHash);
        if (blob !== undefined) return blob;
        const hash = toHexKey(versionedHash);
        throw daError("DA_UNAVAILABLE", `the archive does not hold blob ${hash}`, { hash });
      }),
    );
  }
}

function withoutTrailingZeros(blob: Uint8Array): Uint8Array {
  let end = blob.length;
  while (end > 0 && blob[end - 1] === 0) end--;
  return blob.subarray(0, end);
}
