/**
 * Owns the versions of one key within an epoch, as an executor knows them: who wrote it at which position of the order.
 * A lookup asks for what a transaction at some position sees: the latest version below it. Lists are sorted by position;
 * in the usual case versions arrive in order and every operation is constant.
 */

/** First position in `at` that is not below `index`. */
export function lowerBound(at: readonly number[], index: number): number {
  let high = at.length;
  if (high === 0 || (at[high - 1] as number) < index) return high;
  let low = 0;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((at[middle] as number) < index) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Absolute values: the latest writer below decides. */
export class VersionList<T> {
  readonly #at: number[] = [];
  readonly #values: T[] = [];

  get isEmpty(): boolean {
    return this.#at.length === 0;
  }

  /** What a reader at `index` sees, or undefined when nobody below wrote. */
  below(index: number): T | undefined {
    const i = lowerBound(this.#at, index) - 1;
    return i < 0 ? undefined : this.#values[i];
  }

  /** Position of the latest writer below `index`, or -1. */
  writerBelow(index: number): number {
    const i = lowerBound(this.#at, index) - 1;
    return i < 0 ? -1 : (this.#at[i] as number);
  }

  put(index: number, value: T): void {
    const i = lowerBound(this.#at, index);
    if (this.#at[i] === index) this.#values[i] = value;
    else if (i === this.#at.length) {
      this.#at.push(index);
      this.#values.push(value);
    } else {
      this.#at.splice(i, 0, index);
      this.#values.splice(i, 0, value);
    }
  }

  remove(index: number): void {
    const i = lowerBound(this.#at, index);
    if (this.#at[i] !== index) return;
    this.#at.splice(i, 1);
    this.#values.splice(i, 1);
  }
}
