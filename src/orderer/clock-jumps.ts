/**
 * Owns what becomes of jumps of the system clock: blocks go on by the steady clock, and the jump is followed only when
 * an L1 that is alive says that the wall clock is the better one (a machine that slept, a wrong clock put right).
 * A stopped L1 tells nothing. On either way it is said once, and by a metric for as long as it lasts.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";

/** An L1 whose head has not moved for longer is no witness. */
const WITNESS_AGE_MAX_MS = 60_000;
/** A wall clock must be better by this much: the head of L1 is as old as a block of it. */
const BETTER_BY_MS = 15_000;

export class ClockJumps {
  readonly #clock: Clock;
  readonly #log: Log;
  #l1TimestampMs = 0;
  #l1MovedMs = Number.NEGATIVE_INFINITY;
  #told = false;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Looks at the clocks with the newest timestamp of L1. @returns how far the wall clock is away, unfollowed */
  check(l1TimestampMs: number): number {
    const clock = this.#clock;
    const nowMs = clock.nowMs();
    if (l1TimestampMs !== this.#l1TimestampMs) {
      // The first one may be of a dead L1.
      if (this.#l1TimestampMs !== 0) this.#l1MovedMs = nowMs;
      this.#l1TimestampMs = l1TimestampMs;
    }
    const jumpMs = clock.jumpMs?.() ?? 0;
    if (jumpMs === 0) {
      this.#told = false;
      return 0;
    }
    const isWitness = nowMs - this.#l1MovedMs <= WITNESS_AGE_MAX_MS;
    const awayMs = Math.abs(nowMs - l1TimestampMs);
    const wallAwayMs = Math.abs(nowMs + jumpMs - l1TimestampMs);
    if (isWitness && wallAwayMs + BETTER_BY_MS < awayMs) {
      this.#log.warn("the system clock jumped, L1 agrees with it: followed", { jumpMs });
      clock.followJump?.();
      this.#l1MovedMs += jumpMs;
      return 0;
    }
    if (!this.#told) {
      this.#told = true;
      this.#log.error("the system clock jumped: blocks keep their pace without it", { jumpMs });
    }
    return jumpMs;
  }
}
