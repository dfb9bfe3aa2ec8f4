/**
 * Owns getting the bytes of inbox entries: blobs from the DA source, calldata from the L1 transaction, a few of them
 * ahead of their use. Invariant: bytes given out match the hashes of the entry. Bytes that nobody serves, or that do not
 * match, are the same fault: DA_UNAVAILABLE, retryable; nothing is guessed (decision 0002).
 */
import { bytesEqual, toHex, toHexKey } from "../base/bytes.ts";
import { type BlobSource, daError } from "../da/da.ts";
import { type L1Reader, l1Error } from "../l1/l1.ts";
import type { EntryBytes, PlacedEntry } from "../protocol/derivation.ts";
import { segmentOfCalldata } from "../protocol/inbox-events.ts";
import { keccak256 } from "../protocol/keccak.ts";

/** Entries fetched before they are asked for: at most this many times six blobs in memory. */
const AHEAD_MAX = 8;

export class EntrySource {
  readonly #l1: L1Reader;
  readonly #blobs: BlobSource;
  readonly #ahead = new Map<string, Promise<EntryBytes>>();

  constructor(l1: L1Reader, blobs: BlobSource) {
    this.#l1 = l1;
    this.#blobs = blobs;
  }

  /** Starts fetching the first few of `entries`, which are in order of use. */
  prefetch(entries: readonly PlacedEntry[]): void {
    for (const entry of entries.slice(0, AHEAD_MAX)) {
      if (this.#ahead.size >= AHEAD_MAX) return;
      const key = keyOf(entry);
      if (this.#ahead.has(key)) continue;
      const fetched = this.#fetch(entry);
      // A failure is told to whoever asks for the entry; until then it is nobody's.
      fetched.catch(() => undefined);
      this.#ahead.set(key, fetched);
    }
  }

  /** @throws {DaError} DA_UNAVAILABLE; {L1Error} retryable ones */
  async get(entry: PlacedEntry): Promise<EntryBytes> {
    const key = keyOf(entry);
    const ahead = this.#ahead.get(key);
    this.#ahead.delete(key);
    return await (ahead ?? this.#fetch(entry));
  }

  /** Forgets what was fetched ahead (after a reorg of L1). */
  clear(): void {
    this.#ahead.clear();
  }

  async #fetch(entry: PlacedEntry): Promise<EntryBytes> {
    if (entry.kind === "calldata") return { calldata: await this.#calldata(entry) };
    if (entry.hashes.length === 0) return { blobs: [] };
    const blobs = await this.#blobs.blobs({
      l1BlockNumber: entry.l1.number,
      l1BlockHash: entry.l1.hash,
      l1Timestamp: entry.l1.timestamp,
      versionedHashes: entry.hashes,
    });
    return { blobs };
  }

  async #calldata(entry: PlacedEntry): Promise<Uint8Array> {
    const transaction = await this.#l1.transaction(entry.transactionHash);
    const place = { index: entry.index, transaction: toHex(entry.transactionHash) };
    if (transaction === undefined)
      throw daError("DA_UNAVAILABLE", `L1 does not serve the transaction of entry ${entry.index}`, place);
    if (transaction.blockHash === undefined || !bytesEqual(transaction.blockHash, entry.l1.hash))
      throw l1Error("L1_INCONSISTENT", `the transaction of entry ${entry.index} moved to another block`, place);
    const segment = segmentOfCalldata(transaction.input);
    const hash = entry.hashes[0];
    if (segment === undefined || hash === undefined || !bytesEqual(keccak256(segment), hash))
      throw daError(
        "DA_UNAVAILABLE",
        `the input of the transaction of entry ${entry.index} does not match its hash`,
        place,
      );
    return segment;
  }
}

function keyOf(entry: PlacedEntry): string {
  return `${entry.index}:${toHexKey(entry.transactionHash)}`;
}
