/**
 * Owns how the entries of a table become chunks. A chunk ends where the content says so (a hash of the key), not where a
 * counter does: tables that share most of their entries share most of their chunks, so the next snapshot stores only
 * what changed. Pure; the same entries give the same chunks. Reading accepts any bytes and refuses all but its own.
 */
import { Reader, Writer } from "../base/binary.ts";
import { compareBytes } from "../base/bytes.ts";
import type { Entry } from "../store/database.ts";
import { snapshotError } from "./error.ts";

/** No cut before this size, so that small ones stay few. */
const CHUNK_MIN_BYTES = 256 * 1024;
/** One key in 4096 ends a chunk: with entries of a hundred bytes, about 400 kB after the least size. */
const CUT_MASK = 0xfff;
/** A chunk ends after the entry that reaches this; one entry may be larger by itself. */
const CHUNK_CUT_BYTES = 4 * 1024 * 1024;
/** What a reader takes in at most: a full chunk and one large value (a block's body). */
export const CHUNK_MAX_BYTES = 64 * 1024 * 1024;

/** Cuts entries, which must come in key order, into encoded chunks. */
export function* chunksOf(entries: Iterable<Entry>): Generator<Uint8Array> {
  let writer = new Writer(CHUNK_MIN_BYTES);
  for (const { key, value } of entries) {
    writer.bytes(key).bytes(value);
    const isCut = writer.length >= CHUNK_MIN_BYTES && (keyHash(key) & CUT_MASK) === 0;
    if (!isCut && writer.length < CHUNK_CUT_BYTES) continue;
    yield writer.finish();
    writer = new Writer(CHUNK_MIN_BYTES);
  }
  if (writer.length > 0) yield writer.finish();
}

/** The entries of one chunk, as views. @throws {SnapshotError} SNAPSHOT_CORRUPT */
export function entriesOf(chunk: Uint8Array): Entry[] {
  const entries: Entry[] = [];
  try {
    const reader = new Reader(chunk);
    while (reader.remaining > 0) {
      const entry = { key: reader.bytes(), value: reader.bytes() };
      const last = entries.at(-1);
      if (entry.key.length === 0 || (last !== undefined && compareBytes(last.key, entry.key) >= 0))
        throw new Error("keys of a chunk rise");
      entries.push(entry);
    }
  } catch (error) {
    throw snapshotError("SNAPSHOT_CORRUPT", "a chunk is not a list of entries", {}, { cause: error });
  }
  return entries;
}

/** FNV-1a, mixed: keys are hashes or counters, and both must cut evenly. */
function keyHash(key: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ (key[i] as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}
