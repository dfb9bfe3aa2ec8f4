/**
 * Owns a bounded cache keyed by bytes of one length: four places per set, the oldest of a set gives way. No hashing to
 * strings, no allocation on lookup. Which set a key falls into depends on a random seed, so nobody can aim at one.
 */
import { assert } from "../base/assert.ts";

const WAYS = 4;

export class ByteCache<V> {
  readonly #keyBytes: number;
  readonly #sets: number;
  readonly #keys: Uint8Array;
  readonly #values: (V | undefined)[];
  /** Which place of a set is replaced next. */
  readonly #next: Uint8Array;
  readonly #seed = (Math.random() * 0x1_0000_0000) | 0;

  /** `capacity`: entries, a power of two of at least four. */
  constructor(keyBytes: number, capacity: number) {
    assert(capacity >= WAYS && (capacity & (capacity - 1)) === 0, "a cache's capacity is a power of two");
    this.#keyBytes = keyBytes;
    this.#sets = capacity / WAYS;
    this.#keys = new Uint8Array(capacity * keyBytes);
    this.#values = Array.from({ length: capacity });
    this.#next = new Uint8Array(this.#sets);
  }

  #set(key: Uint8Array): number {
    let hash = this.#seed;
    for (let i = 0; i < this.#keyBytes; i++) hash = Math.imul(hash ^ (key[i] as number), 0x01000193);
    hash ^= hash >>> 15;
    return (hash & (this.#sets - 1)) * WAYS;
  }

  #find(key: Uint8Array, set: number): number {
    const bytes = this.#keyBytes;
    for (let place = set; place < set + WAYS; place++) {
      if (this.#values[place] === undefined) continue;
      let at = place * bytes;
      let i = 0;
      while (i < bytes && this.#keys[at] === key[i]) {
        at++;
        i++;
      }
      if (i === bytes) return place;
    }
    return -1;
  }

  get(key: Uint8Array): V | undefined {
    const place = this.#find(key, this.#set(key));
    return place < 0 ? undefined : this.#values[place];
  }

  set(key: Uint8Array, value: V): void {
    const set = this.#set(key);
    let place = this.#find(key, set);
    if (place < 0) {
      const index = set / WAYS;
      place = set + (this.#next[index] as number);
      this.#next[index] = ((this.#next[index] as number) + 1) % WAYS;
      this.#keys.set(key, place * this.#keyBytes);
    }
    this.#values[place] = value;
  }

  delete(key: Uint8Array): void {
    const place = this.#find(key, this.#set(key));
    if (place >= 0) this.#values[place] = undefined;
  }

  clear(): void {
    this.#values.fill(undefined);
  }
}
