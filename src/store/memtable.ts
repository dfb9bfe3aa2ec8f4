/**
 * Owns the writes of one transaction to one table while they are on their way to disk: keys and values packed into one
 * buffer, found through an open-addressing index. No object per entry, so a block of thousands of writes costs the
 * collector nothing. The buffer stays where it is once {@link seal}ed: the database's thread reads values from it.
 */
import { assert } from "../base/assert.ts";
import { compareBytes } from "../base/bytes.ts";

const KEY_LENGTH_BYTES = 2;
const VALUE_LENGTH_BYTES = 4;
const HEAD_BYTES = KEY_LENGTH_BYTES + VALUE_LENGTH_BYTES;
const REMOVED = 0xffffffff;

export class Memtable {
  /** Entries one after the other: key length, value length, key, value. Replaced when it grows. */
  bytes: Uint8Array<ArrayBuffer>;
  #length = 0;
  /** Entry offset + 1, or 0. A power of two, at most half full. */
  #index: Int32Array;
  #count = 0;
  #sealed = false;
  #sorted: Int32Array | undefined;
  /** The table was emptied before these writes. */
  cleared = false;

  /** `countHint`: entries to expect. */
  constructor(sizeHintBytes = 4096, countHint = 100) {
    this.bytes = new Uint8Array(sizeHintBytes);
    this.#index = new Int32Array(2 ** Math.ceil(Math.log2(2 * countHint + 2)));
  }

  get sizeBytes(): number {
    return this.bytes.length + this.#index.byteLength;
  }

  get count(): number {
    return this.#count;
  }

  #slot(key: Uint8Array, index: Int32Array): number {
    let hash = 0x811c9dc5;
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ (key[i] as number), 0x01000193);
    hash ^= hash >>> 15;
    const mask = index.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = (index[slot] as number) - 1;
      if (entry < 0 || this.#hasKey(entry, key)) return slot;
    }
  }

  #hasKey(entry: number, key: Uint8Array): boolean {
    const { bytes } = this;
    if (this.#keyLength(entry) !== key.length) return false;
    const at = entry + HEAD_BYTES;
    for (let i = 0; i < key.length; i++) if (bytes[at + i] !== key[i]) return false;
    return true;
  }

  #keyLength(entry: number): number {
    return ((this.bytes[entry] as number) << 8) | (this.bytes[entry + 1] as number);
  }

  /** Length of the value, or -1 for a removal. */
  valueLength(entry: number): number {
    const { bytes } = this;
    const at = entry + KEY_LENGTH_BYTES;
    const length =
      (((bytes[at] as number) << 24) |
        ((bytes[at + 1] as number) << 16) |
        ((bytes[at + 2] as number) << 8) |
        (bytes[at + 3] as number)) >>>
      0;
    return length === REMOVED ? -1 : length;
  }

  valueAt(entry: number): number {
    return entry + HEAD_BYTES + this.#keyLength(entry);
  }

  /** A view. */
  key(entry: number): Uint8Array {
    return this.bytes.subarray(entry + HEAD_BYTES, this.valueAt(entry));
  }

  /** A view; undefined for a removal. */
  value(entry: number): Uint8Array | undefined {
    const length = this.valueLength(entry);
    const at = this.valueAt(entry);
    return length < 0 ? undefined : this.bytes.subarray(at, at + length);
  }

  /** The entry of a key, or -1. */
  find(key: Uint8Array): number {
    return (this.#index[this.#slot(key, this.#index)] as number) - 1;
  }

  /** Undefined removes. */
  put(key: Uint8Array, value: Uint8Array | undefined): void {
    assert(!this.#sealed, "a sealed memtable does not change");
    assert(key.length > 0 && key.length < 0x10000, "keys have a length");
    const slot = this.#slot(key, this.#index);
    const known = (this.#index[slot] as number) - 1;
    const valueLength = value === undefined ? 0 : value.length;
    if (known >= 0 && value !== undefined && this.valueLength(known) === valueLength) {
      this.bytes.set(value, this.valueAt(known));
      return;
    }
    const entry = this.#length;
    this.#reserve(HEAD_BYTES + key.length + valueLength);
    const { bytes } = this;
    bytes[entry] = key.length >> 8;
    bytes[entry + 1] = key.length;
    const stored = value === undefined ? REMOVED : valueLength;
    bytes[entry + 2] = stored >>> 24;
    bytes[entry + 3] = stored >>> 16;
    bytes[entry + 4] = stored >>> 8;
    bytes[entry + 5] = stored;
    bytes.set(key, entry + HEAD_BYTES);
    if (value !== undefined) bytes.set(value, entry + HEAD_BYTES + key.length);
    this.#index[slot] = entry + 1;
    if (known < 0 && 2 * ++this.#count > this.#index.length) this.#growIndex();
    this.#sorted = undefined;
  }

  #reserve(count: number): void {
    const need = this.#length + count;
    assert(need < 0x7fffffff, "a transaction's writes to a table fit in memory");
    if (need > this.bytes.length) {
      const grown = new Uint8Array(Math.max(need, 2 * this.bytes.length));
      grown.set(this.bytes.subarray(0, this.#length));
      this.bytes = grown;
    }
    this.#length = need;
  }

  #growIndex(): void {
    const grown = new Int32Array(4 * this.#index.length);
    for (const stored of this.#index) if (stored !== 0) grown[this.#slot(this.key(stored - 1), grown)] = stored;
    this.#index = grown;
  }

  /** Forgets the writes so far: the table is emptied. */
  clear(): void {
    assert(!this.#sealed, "a sealed memtable does not change");
    this.#index.fill(0);
    this.#count = 0;
    this.#sorted = undefined;
    this.cleared = true;
  }

  /** No more writes; returns the current entries in the order they were written. */
  seal(): number[] {
    this.#sealed = true;
    const entries: number[] = [];
    for (let entry = 0; entry < this.#length; ) {
      if (this.find(this.key(entry)) === entry) entries.push(entry);
      entry = this.valueAt(entry) + Math.max(0, this.valueLength(entry));
    }
    return entries;
  }

  /** All entries by key, ascending. */
  sorted(): Int32Array {
    if (this.#sorted === undefined) {
      const entries = this.#index.filter((stored) => stored !== 0).map((stored) => stored - 1);
      this.#sorted = entries.sort((a, b) => compareBytes(this.key(a), this.key(b)));
    }
    return this.#sorted;
  }

  /** Position in {@link sorted} of the first key that is not below `key`. */
  lowerBound(key: Uint8Array): number {
    const sorted = this.sorted();
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareBytes(this.key(sorted[middle] as number), key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
