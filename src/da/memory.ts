/**
 * Owns the in-memory twin of the blob sources: tests put blobs in and take them away again to play a pruned or lying
 * beacon node. What it serves is checked by nobody but the reader, like any other source.
 */
import { toHexKey } from "../base/bytes.ts";
import { type BlobReference, type BlobSource, daError } from "./da.ts";

export class MemoryBlobs implements BlobSource {
  readonly name: string = "memory";
  readonly checks = false;
  readonly #blobs = new Map<string, Uint8Array>();

  put(versionedHash: Uint8Array, blob: Uint8Array): void {
    this.#blobs.set(toHexKey(versionedHash), blob);
  }

  /** Makes the blob unavailable. */
  forget(versionedHash: Uint8Array): void {
    this.#blobs.delete(toHexKey(versionedHash));
  }

  async blobs(reference: BlobReference): Promise<readonly Uint8Array[]> {
    return reference.versionedHashes.map((hash) => {
      const blob = this.#blobs.get(toHexKey(hash));
      if (blob === undefined) throw daError("DA_UNAVAILABLE", `no blob ${toHexKey(hash)}`, { hash: toHexKey(hash) });
      return blob;
    });
  }
}
