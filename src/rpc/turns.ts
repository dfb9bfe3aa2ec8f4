/** Owns the manners of long scans: after a few milliseconds of work the event loop gets its turn. */
import type { Clock } from "../base/clock.ts";

const TURN_MS = 10;

export class Turns {
  readonly #clock: Clock;
  #endMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#endMs = clock.nowMs() + TURN_MS;
  }

  /** Gives way when this turn is used up; call between steps that may be split. */
  async giveWay(): Promise<void> {
    if (this.#clock.nowMs() < this.#endMs) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#endMs = this.#clock.nowMs() + TURN_MS;
  }
}
