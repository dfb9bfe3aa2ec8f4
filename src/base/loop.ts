/**
 * Owns repetition: `Loop` is the only way to do something again and again. A step never overlaps itself; a failing
 * step backs off with jitter and is logged at a level that grows with the delay; `stop` waits for the step in flight.
 */
import { type Clock, systemClock } from "./clock.ts";
import type { Log } from "./log.ts";

export type LoopOptions = {
  /** Pause between the end of one step and the start of the next. */
  readonly everyMs: number;
  readonly log: Log;
  readonly clock?: Clock;
  readonly backoffMaxMs?: number;
  /** Called instead of backing off; return true to end the loop with the error. */
  readonly isFatal?: (error: unknown) => boolean;
};

export class Loop {
  readonly name: string;
  readonly #step: (signal: AbortSignal) => Promise<void>;
  readonly #options: LoopOptions;
  readonly #clock: Clock;
  #wake = new AbortController();
  #chain: Promise<void> = Promise.resolve();

  constructor(name: string, step: (signal: AbortSignal) => Promise<void>, options: LoopOptions) {
    this.name = name;
    this.#step = step;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Cuts the current pause short. */
  trigger(): void {
    this.#wake.abort();
  }

  /** Runs one step now, after any step in flight. Errors reach the caller. */
  runNow(signal: AbortSignal = new AbortController().signal): Promise<void> {
    const run = this.#chain.then(() => this.#step(signal));
    this.#chain = run.catch(() => undefined);
    return run;
  }

  /** Repeats until `signal` aborts. @throws what the step threw when `isFatal` says so. */
  async run(signal: AbortSignal): Promise<void> {
    const onAbort = (): void => this.#wake.abort();
    signal.addEventListener("abort", onAbort, { once: true });
    const backoffMaxMs = this.#options.backoffMaxMs ?? 10_000;
    let failures = 0;
    while (!signal.aborted) {
      let pauseMs = this.#options.everyMs;
      try {
        await this.runNow(signal);
        failures = 0;
      } catch (err) {
        if (signal.aborted) break;
        if (this.#options.isFatal?.(err) === true) throw err;
        failures++;
        pauseMs = Math.min(backoffMaxMs, Math.max(50, this.#options.everyMs) * 2 ** Math.min(failures - 1, 10));
        pauseMs *= 0.75 + Math.random() * 0.5;
        const level = pauseMs < 1_000 ? "info" : pauseMs < 6_000 ? "warn" : "error";
        this.#options.log[level]("loop step failed, retrying", { loop: this.name, pauseMs: Math.round(pauseMs), err });
      }
      if (signal.aborted) break;
      // Triggered while the step ran: the pause is skipped, never lost.
      if (!this.#wake.signal.aborted) await this.#clock.sleep(pauseMs, this.#wake.signal);
      this.#wake = new AbortController();
    }
    signal.removeEventListener("abort", onAbort);
    await this.#chain;
  }
}
