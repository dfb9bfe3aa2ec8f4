/**
 * Owns the count of bytes a server holds for all its clients: bodies, what they parse to, answers in the making, and
 * what has not been read yet. Whoever takes gives back exactly that.
 */
import { assert } from "../base/assert.ts";

export class ByteBudget {
  readonly max: number;
  #held = 0;

  constructor(max: number) {
    this.max = max;
  }

  get held(): number {
    return this.#held;
  }

  /** More is held than should be: what can be refused is. */
  get exceeded(): boolean {
    return this.#held > this.max;
  }

  /** Counts bytes that are to be held; false (and nothing counted) when there is no room for them. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.max) return false;
    this.#held += bytes;
    return true;
  }

  /** Counts bytes that are held already. */
  add(bytes: number): void {
    this.#held += bytes;
  }

  give(bytes: number): void {
    this.#held -= bytes;
    assert(this.#held >= 0, "no more is given back than was taken");
  }
}
