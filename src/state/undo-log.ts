/**
 * Owns the undo log: for every version, what the keys it changed held before, as entries in chunks appended in order.
 * It is the history of the state: reads of old versions follow pointers into it, rollback applies it backwards, and
 * pruning a version is dropping its chunks. An entry is found by (version, chunk, offset) and never straddles chunks.
 */
import { assert } from "../base/assert.ts";
import type { Table } from "../store/database.ts";

/**
 * Two chunks fill a database page: larger values take runs of pages of their own, and looking for free runs is what LMDB
 * is slow at.
 */
const CHUNK_BYTES = 1960;
const CHUNKS_MAX = 2 ** 24;
const HEAD_BYTES = 4;

/** What an entry restores. */
export const UNDO_FULL = 0;
export const UNDO_DIFF = 1;
/** Flag: the change also left a checkpoint. */
export const UNDO_CHECKPOINTED = 2;
/** Flag: the change removed the key and left a tombstone. */
export const UNDO_REMOVED = 4;
/** Flag: not a record but a note of the state itself. */
export const UNDO_NOTE = 8;

export type UndoEntry = {
  readonly kind: number;
  readonly key: Uint8Array;
  readonly body: Uint8Array;
};

export class UndoLog {
  readonly #table: Table;
  readonly #key = new Uint8Array(7);
  /** The chunk being filled; {@link reserve} says where. */
  readonly bytes = new Uint8Array(CHUNK_BYTES);
  #version = 0;
  #length = 0;
  /** Number of the chunk being filled. */
  chunk = 0;

  constructor(table: Table) {
    this.#table = table;
  }

  begin(version: number): void {
    this.#version = version;
    this.chunk = 0;
    this.#length = 0;
  }

  /**
   * Makes room for an entry with this key and body length, writes its head and key, and returns where it starts.
   * The body is to be written at the end of the entry: `start + bodyAt(key)`.
   */
  reserve(kind: number, key: Uint8Array, bodyLength: number): number {
    const length = HEAD_BYTES + key.length + bodyLength;
    assert(length <= CHUNK_BYTES && key.length < 256, "an undo entry fits in a chunk");
    if (this.#length + length > CHUNK_BYTES) {
      this.#flush();
      this.chunk++;
      assert(this.chunk < CHUNKS_MAX, "the history of a version fits its chunk numbers");
    }
    const start = this.#length;
    const { bytes } = this;
    bytes[start] = kind;
    bytes[start + 1] = key.length;
    bytes[start + 2] = bodyLength >>> 8;
    bytes[start + 3] = bodyLength;
    for (let i = 0; i < key.length; i++) bytes[start + HEAD_BYTES + i] = key[i] as number;
    this.#length += length;
    return start;
  }

  /** Offset of the body from the start of an entry. */
  static bodyAt(key: Uint8Array): number {
    return HEAD_BYTES + key.length;
  }

  finish(): void {
    if (this.#length > 0) this.#flush();
  }

  #flush(): void {
    this.#table.put(this.#chunkKey(this.#version, this.chunk), this.bytes.subarray(0, this.#length));
    this.#length = 0;
  }

  #chunkKey(version: number, chunk: number): Uint8Array {
    const key = this.#key;
    key[0] = version >>> 24;
    key[1] = version >>> 16;
    key[2] = version >>> 8;
    key[3] = version;
    key[4] = chunk >>> 16;
    key[5] = chunk >>> 8;
    key[6] = chunk;
    return key;
  }

  /** The entry at a position; asserts that it is there. */
  entry(version: number, chunk: number, offset: number): UndoEntry {
    const length = this.#table.read(this.#chunkKey(version, chunk));
    assert(length > offset, "history pointers lead to entries");
    return readEntry(this.#table.buffer, offset);
  }

  /** Chunks of a version, each with its entries in the order they were written. */
  chunks(version: number): UndoEntry[][] {
    const out: UndoEntry[][] = [];
    for (let chunk = 0; ; chunk++) {
      const bytes = this.#table.get(this.#chunkKey(version, chunk));
      if (bytes === undefined) return out;
      const entries: UndoEntry[] = [];
      for (let at = 0; at < bytes.length; ) {
        const entry = readEntry(bytes, at);
        entries.push(entry);
        at += entryLength(bytes, at);
      }
      out.push(entries);
    }
  }

  /**
   * Of the entries of a version only those with one of these flags: most history is forgotten unread. Returns the number
   * of chunks.
   */
  flagged(version: number, flags: number, visit: (entry: UndoEntry) => void): number {
    const found: UndoEntry[] = [];
    for (let chunk = 0; ; chunk++) {
      const length = this.#table.read(this.#chunkKey(version, chunk));
      if (length < 0) return chunk;
      const bytes = this.#table.buffer;
      for (let at = 0; at < length; at += entryLength(bytes, at))
        if ((bytes[at] as number) & flags) found.push(readEntry(bytes, at));
      // Visitors read other tables, which would replace the buffer.
      for (const entry of found) visit(entry);
      found.length = 0;
    }
  }

  remove(version: number, chunks: number): void {
    for (let chunk = 0; chunk < chunks; chunk++) this.#table.remove(this.#chunkKey(version, chunk));
  }
}

function entryLength(bytes: Uint8Array, at: number): number {
  const bodyLength = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
  return HEAD_BYTES + (bytes[at + 1] as number) + bodyLength;
}

function readEntry(bytes: Uint8Array, at: number): UndoEntry {
  const keyAt = at + HEAD_BYTES;
  const bodyAt = keyAt + (bytes[at + 1] as number);
  const bodyLength = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
  return {
    kind: bytes[at] as number,
    key: bytes.slice(keyAt, bodyAt),
    body: bytes.slice(bodyAt, bodyAt + bodyLength),
  };
}
