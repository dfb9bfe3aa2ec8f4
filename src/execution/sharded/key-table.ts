/**
 * Owns a table from fingerprints to numbers for planning: open addressing in typed arrays, cleared and used again, no
 * object per key. Lossy on purpose: a fingerprint for which there is no room nearby takes the place of another one, so
 * that strangers who choose their keys cannot make it slow; whoever asks must bear a missing answer.
 */

/** Places looked at for one key. */
const PROBES_MAX = 16;

export class KeyTable {
  #keys = new Int32Array(0);
  #values = new Float64Array(0);
  #mask = -1;

  /** Empties it, with room for about `count` keys. */
  clear(count: number): void {
    let size = 64;
    while (size < 2 * count) size *= 2;
    if (size > this.#keys.length) {
      this.#keys = new Int32Array(size);
      this.#values = new Float64Array(size);
    } else this.#keys.fill(0, 0, size);
    this.#mask = size - 1;
  }

  /** The number kept for a fingerprint (not 0); -1: none. */
  get(key: number): number {
    const keys = this.#keys;
    const mask = this.#mask;
    for (let at = key & mask, n = 0; n < PROBES_MAX; at = (at + 1) & mask, n++) {
      const there = keys[at] as number;
      if (there === key) return this.#values[at] as number;
      if (there === 0) return -1;
    }
    return -1;
  }

  set(key: number, value: number): void {
    const keys = this.#keys;
    const mask = this.#mask;
    let at = key & mask;
    for (let n = 1; n < PROBES_MAX && keys[at] !== key && keys[at] !== 0; n++) at = (at + 1) & mask;
    keys[at] = key;
    this.#values[at] = value;
  }
}
