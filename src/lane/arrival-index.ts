/**
 * Owns an index of the newest accepted transactions by hash, in flat memory: nothing of it is an object, so it costs the
 * collector nothing however much it keeps. Grows up to `max` entries; then the oldest makes room for the newest.
 * A bucket is a chain from its newest entry to older ones. An entry whose slot was given away stays linked: it is then
 * newer than the one before it in the chain, which is where a search ends.
 */

/** Where a transaction was accepted. */
export type Place = {
  /** The record of the lane's log. */
  readonly seq: number;
  /** The transaction's number in its lane. */
  readonly sequence: number;
  readonly acceptedMs: number;
};

const HASH_BYTES = 32;
const HASH_WORDS = 8;
const NUMBERS = 3;
const START_ENTRIES = 1_024;

export class ArrivalIndex {
  readonly #max: number;
  #size = 0;
  /** The slot that is filled next. */
  #at = 0;
  #hashes = new Uint8Array(0);
  #words = new Uint32Array(0);
  /** Of each entry: record, sequence, time. */
  #numbers = new Float64Array(0);
  /** By slot: the slot, plus one, of the next older entry in the bucket; 0 where there is none. */
  #older = new Uint32Array(0);
  /** By bucket: the slot, plus one, of the newest entry. */
  #newest = new Uint32Array(0);
  #capacity = 0;
  /** A hash to look for, as words. */
  readonly #sought = new Uint32Array(HASH_WORDS);
  readonly #soughtBytes = new Uint8Array(this.#sought.buffer);

  constructor(max: number) {
    this.#max = max;
  }

  add(hash: Uint8Array, seq: number, sequence: number, acceptedMs: number): void {
    if (this.#max === 0) return;
    if (this.#size === this.#capacity && this.#capacity < this.#max) this.#grow();
    const slot = this.#at;
    this.#hashes.set(hash, slot * HASH_BYTES);
    this.#numbers[slot * NUMBERS] = seq;
    this.#numbers[slot * NUMBERS + 1] = sequence;
    this.#numbers[slot * NUMBERS + 2] = acceptedMs;
    this.#link(slot);
    this.#at = slot + 1 === this.#capacity ? 0 : slot + 1;
    if (this.#size < this.#capacity) this.#size++;
  }

  /** Undefined for what was never here, or fell out. */
  find(hash: Uint8Array): Place | undefined {
    if (this.#size === 0) return undefined;
    this.#soughtBytes.set(hash);
    let age = -1;
    for (let link = this.#newest[this.#bucketOf(this.#sought[0] as number)] as number; link !== 0; ) {
      const slot = link - 1;
      const older = (this.#at - link + this.#capacity) % this.#capacity;
      if (older <= age) return undefined;
      age = older;
      if (this.#isSought(slot))
        return {
          seq: this.#numbers[slot * NUMBERS] as number,
          sequence: this.#numbers[slot * NUMBERS + 1] as number,
          acceptedMs: this.#numbers[slot * NUMBERS + 2] as number,
        };
      link = this.#older[slot] as number;
    }
    return undefined;
  }

  #isSought(slot: number): boolean {
    for (let i = 0; i < HASH_WORDS; i++) if (this.#words[slot * HASH_WORDS + i] !== this.#sought[i]) return false;
    return true;
  }

  #bucketOf(word: number): number {
    return word & (this.#newest.length - 1);
  }

  #link(slot: number): void {
    const bucket = this.#bucketOf(this.#words[slot * HASH_WORDS] as number);
    this.#older[slot] = this.#newest[bucket] as number;
    this.#newest[bucket] = slot + 1;
  }

  /** Doubles. Until it is as large as it may be nothing has been given away: the slots are in the order of arrival. */
  #grow(): void {
    const capacity = Math.min(this.#max, Math.max(START_ENTRIES, this.#capacity * 2));
    const hashes = new Uint8Array(capacity * HASH_BYTES);
    hashes.set(this.#hashes);
    const numbers = new Float64Array(capacity * NUMBERS);
    numbers.set(this.#numbers);
    this.#hashes = hashes;
    this.#words = new Uint32Array(hashes.buffer);
    this.#numbers = numbers;
    this.#older = new Uint32Array(capacity);
    this.#newest = new Uint32Array(2 ** Math.ceil(Math.log2(capacity)));
    this.#at = this.#capacity;
    this.#capacity = capacity;
    for (let slot = 0; slot < this.#size; slot++) this.#link(slot);
  }
}
