/**
 * Owns how much sealed data L1 does not hold yet, and how much admission is left to it: a full stop must never be
 * needed, because data that is admitted and then posted too late is void. Sizes are added as blocks are sealed, so the
 * backlog grows also while L1 cannot be asked. Invariant: `bytes` is the sum over the blocks above the newest posted.
 */

/** Bytes of unposted sequenced transactions, block by block. */
export class Backlog {
  #first = 1;
  readonly #sizes: number[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** A block was sealed; with a number that is known, the chain was rewound to below it. */
  sealed(number: number, sizeBytes: number): void {
    this.#cutFrom(number);
    if (number !== this.#first + this.#sizes.length) return; // `cover` fills what is between
    this.#sizes.push(sizeBytes);
    this.#bytes += sizeBytes;
  }

  /** Makes it the blocks above `postedThrough` up to `head`; `sizeOf` is asked only for blocks not known here. */
  cover(postedThrough: number, head: number, sizeOf: (number: number) => number): void {
    const first = postedThrough + 1;
    if (first < this.#first || first > this.#first + this.#sizes.length) this.#cutFrom(this.#first);
    if (this.#sizes.length === 0) this.#first = first;
    const posted = this.#sizes.splice(0, first - this.#first);
    this.#first = first;
    for (const size of posted) this.#bytes -= size;
    this.#cutFrom(head + 1);
    for (let n = this.#first + this.#sizes.length; n <= head; n++) this.sealed(n, sizeOf(n));
  }

  #cutFrom(number: number): void {
    const gone = this.#sizes.splice(Math.max(0, number - this.#first));
    for (const size of gone) this.#bytes -= size;
  }
}

/** Share of the bound from which on admission slows down. */
const BYTES_SOFT = 0.5;
/** Share of the sequencing window that the oldest unposted block may have used up: slower from here on, none at the end. */
const WINDOW_SOFT = 0.5;
const WINDOW_HARD = 0.75;

/**
 * The share of new transactions to admit: 1 with little behind, 0 at the bound, falling evenly between, so that it
 * settles where as much comes in as goes out. @param windowUsed of the sequencing window, by the oldest unposted block
 */
export function admissionShare(p: {
  readonly bytes: number;
  readonly bytesMax: number;
  readonly windowUsed: number;
}): number {
  const left = (used: number, soft: number, hard: number): number =>
    Math.min(1, Math.max(0, (hard - used) / (hard - soft)));
  return Math.min(left(p.bytes / p.bytesMax, BYTES_SOFT, 1), left(p.windowUsed, WINDOW_SOFT, WINDOW_HARD));
}
