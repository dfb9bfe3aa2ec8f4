/**
 * Owns the order in which blob sources are asked, and the rule that nobody is believed: every blob is checked against its
 * versioned hash, a source that serves other bytes counts as not serving (decision 0002). What comes from elsewhere is
 * kept in the archive, where there is one.
 */
import { toHexKey } from "../base/bytes.ts";
import type { Log } from "../base/log.ts";
import { blobMatches } from "../l1/kzg.ts";
import type { BlobArchive } from "./blob-archive.ts";
import { type BlobReference, type BlobSource, daError } from "./da.ts";

export class BlobSources implements BlobSource {
  readonly name: string;
  readonly checks = true;
  readonly #sources: readonly BlobSource[];
  readonly #archive: BlobArchive | undefined;
  readonly #log: Log;

  /** `sources` are asked in order; the archive, where given, first. */
  constructor(p: { readonly sources: readonly BlobSource[]; readonly archive?: BlobArchive; readonly log: Log }) {
    this.#sources = p.sources;
    this.#archive = p.archive;
    this.#log = p.log;
    this.name = [p.archive, ...p.sources].flatMap((s) => (s === undefined ? [] : [s.name])).join(", ");
  }

  async blobs(reference: BlobReference): Promise<readonly Uint8Array[]> {
    const found = new Map<string, Uint8Array>();
    for (const hash of reference.versionedHashes) {
      const blob = await this.#archive?.get(hash); // checked by the archive
      if (blob !== undefined) found.set(toHexKey(hash), blob);
    }
    let cause: unknown;
    for (const source of this.#sources) {
      const missing = reference.versionedHashes.filter((hash) => !found.has(toHexKey(hash)));
      if (missing.length === 0) break;
      try {
        await this.#ask(source, { ...reference, versionedHashes: missing }, found);
      } catch (error) {
        cause = error;
        // One blob that is gone must not hide the others.
        if (missing.length > 1)
          for (const hash of missing)
            await this.#ask(source, { ...reference, versionedHashes: [hash] }, found).catch(() => undefined);
      }
    }
    return reference.versionedHashes.map((versionedHash) => {
      const hash = toHexKey(versionedHash);
      const blob = found.get(hash);
      if (blob !== undefined) return blob;
      throw daError(
        "DA_UNAVAILABLE",
        `none of ${this.name} serves blob ${hash} of L1 block ${reference.l1BlockNumber}`,
        { hash, l1BlockNumber: reference.l1BlockNumber },
        { cause },
      );
    });
  }

  async #ask(source: BlobSource, reference: BlobReference, found: Map<string, Uint8Array>): Promise<void> {
    const blobs = await source.blobs(reference);
    for (const [i, versionedHash] of reference.versionedHashes.entries()) {
      const blob = blobs[i];
      if (blob === undefined) continue;
      const hash = toHexKey(versionedHash);
      if (!source.checks && !(await blobMatches(blob, versionedHash))) {
        this.#log.warn("blob source serves bytes that do not match", { source: source.name, hash });
        continue;
      }
      found.set(hash, blob);
      // The archive is a service to others: its disk must not stop this reader.
      await this.#archive?.put(versionedHash, blob).catch((err: unknown) => {
        this.#log.error("blob could not be archived", { hash, err });
      });
    }
  }
}
