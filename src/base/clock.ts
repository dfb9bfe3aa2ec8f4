/**
 * Owns time: the one home of `Date.now`, so that simulations and tests can inject their own. The time of the system
 * clock does not jump: it runs by the monotonic clock, works small differences to the wall clock off slowly, and leaves
 * it to others whether a jump of the wall clock is followed (they may know better, from L1).
 */
import { performance } from "node:perf_hooks";

export type Clock = {
  /** Whole milliseconds since 1970. */
  nowMs(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** How far the wall clock has jumped away from `nowMs`; 0: they go together. */
  jumpMs?(): number;
  /** Goes to the wall clock's time. */
  followJump?(): void;
};

/** Differences up to this are not jumps: a bad source of time, or one that is put right. */
const SLEW_MAX_MS = 15_000;
/** Milliseconds worked off per millisecond. */
const SLEW_RATE = 0.05;

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
}

export class SteadyClock implements Clock {
  readonly sleep = sleep;
  readonly #wallMs: () => number;
  readonly #monotonicMs: () => number;
  /** What is added to the monotonic clock. */
  #offsetMs: number;
  #lastMs: number;

  constructor(wallMs: () => number, monotonicMs: () => number) {
    this.#wallMs = wallMs;
    this.#monotonicMs = monotonicMs;
    this.#lastMs = monotonicMs();
    this.#offsetMs = wallMs() - this.#lastMs;
  }

  nowMs(): number {
    const monotonicMs = this.#monotonicMs();
    const awayMs = this.#wallMs() - (monotonicMs + this.#offsetMs);
    if (Math.abs(awayMs) <= SLEW_MAX_MS) {
      const stepMs = Math.min(Math.abs(awayMs), (monotonicMs - this.#lastMs) * SLEW_RATE);
      this.#offsetMs += Math.sign(awayMs) * stepMs;
    }
    this.#lastMs = monotonicMs;
    return Math.floor(monotonicMs + this.#offsetMs);
  }

  jumpMs(): number {
    const awayMs = Math.floor(this.#wallMs() - this.nowMs());
    return Math.abs(awayMs) > SLEW_MAX_MS ? awayMs : 0;
  }

  followJump(): void {
    this.#offsetMs = this.#wallMs() - this.#monotonicMs();
  }
}

export const systemClock: Clock = new SteadyClock(
  () => Date.now(),
  () => performance.now(),
);
