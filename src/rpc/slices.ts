/**
 * Owns the share of the thread that batches have, all together: one slice between two turns of the event loop, first
 * come first served. However many batches are at work, blocks, timers and single requests wait for one slice at most.
 */
import type { Clock } from "../base/clock.ts";

const SLICE_MS = 8;

export class Slices {
  readonly #clock: Clock;
  readonly #waiting: ((endMs: number) => void)[] = [];
  #scheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the caller may work, to the time (ms) at which it should ask again. */
  next(): Promise<number> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const first = this.#waiting.shift();
      this.#schedule();
      first?.(this.#clock.nowMs() + SLICE_MS);
    });
  }
}
