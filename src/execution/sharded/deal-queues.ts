/**
 * Owns who has which transaction of an epoch: queues of what is to be dealt to each executor, and what is with them.
 * Batches take a few milliseconds, less towards the end, so that executors are done together; a transaction waits in its
 * queue until what it follows is there or on its way to the same executor; and an executor that has nothing left is given
 * of what others would do last. Bounded: a batch looks at a fixed number of transactions.
 */
import type { Plan } from "./planner.ts";

const BATCH_TXS_MAX = 128;
const BATCH_MICROS_MAX = 4_000;
const BATCH_MICROS_MIN = 700;
/** Share of what an executor has left that one batch may take. */
const BATCH_SHARE = 0.5;
/** Transactions looked at for a batch: some of them wait for others. */
const LOOK_AHEAD = 512;
/** Nothing is taken from an executor that has less than this left. */
const STEAL_MICROS_MIN = 800;

const NONE: readonly number[] = [];

/** What the queues ask of the epoch. */
export interface Progress {
  readonly watermark: number;
  isInstalled(index: number): boolean;
}

export class DealQueues {
  readonly #plan: Plan;
  readonly #progress: Progress;
  /** By seat: transactions to deal out, in order, and their expected time. */
  readonly #queues: number[][];
  readonly #micros: number[];
  /** By transaction: 1 + the seat that has it or will be dealt it, 0 when nobody. */
  readonly #seats: Int16Array;
  /** By transaction: it is with the seat that has it, not in its queue. */
  readonly #isDealt: Uint8Array;
  /** By seat: what its whole queue was found to wait for. */
  readonly #blockers: (readonly number[] | undefined)[] = [];
  /** Transactions that another executor took because it had nothing to do. */
  stolen = 0;

  constructor(plan: Plan, seats: number, progress: Progress) {
    this.#plan = plan;
    this.#progress = progress;
    this.#queues = Array.from({ length: seats }, () => []);
    this.#micros = Array.from({ length: seats }, () => 0);
    this.#seats = new Int16Array(plan.owners.length);
    this.#isDealt = new Uint8Array(plan.owners.length);
    for (const index of plan.order) this.#enqueue(plan.owners[index] as number, index, "last");
  }

  /** The seat that has the transaction or will be dealt it. */
  seatOf(index: number): number | undefined {
    const seat = this.#seats[index] as number;
    return seat === 0 ? undefined : seat - 1;
  }

  #enqueue(seat: number, index: number, place: "first" | "last"): void {
    if (place === "first") this.#queues[seat]?.unshift(index);
    else this.#queues[seat]?.push(index);
    this.#micros[seat] = (this.#micros[seat] as number) + (this.#plan.micros[index] as number);
    this.#seats[index] = seat + 1;
    this.#isDealt[index] = 0;
    this.#blockers[seat] = undefined;
  }

  /** Puts a transaction that is to run again in front: the watermark comes to it first. */
  again(seat: number, index: number): void {
    this.#enqueue(seat, index, "first");
  }

  /** An executor is through with transactions, with or without results. */
  returned(seat: number, indexes: readonly number[]): void {
    for (const index of indexes)
      if (this.#seats[index] === seat + 1 && this.#isDealt[index] === 1) this.#seats[index] = 0;
  }

  /** Nobody is to be waited for any more. */
  giveUp(index: number): void {
    this.#seats[index] = 0;
  }

  /**
   * The next batch of an executor; empty when there is none now. `isRefused`: the block has no gas left for it; that is
   * said at the watermark, not run.
   */
  take(seat: number, isRefused: (index: number) => boolean): readonly number[] {
    const queue = this.#queues[seat] as number[];
    if (queue.length === 0 || this.#isBlocked(seat)) return NONE;
    const queued = this.#micros[seat] as number;
    const microsMax = Math.min(BATCH_MICROS_MAX, Math.max(BATCH_MICROS_MIN, queued * BATCH_SHARE));
    const taken: number[] = [];
    /** What stays in the queue of what was looked at. */
    const held: number[] = [];
    let looked = 0;
    let micros = 0;
    let left = queued;
    while (looked < queue.length && looked < LOOK_AHEAD && taken.length < BATCH_TXS_MAX && micros < microsMax) {
      const index = queue[looked++] as number;
      const expected = this.#plan.micros[index] as number;
      const isDone = index < this.#progress.watermark || this.#progress.isInstalled(index);
      if (isDone || isRefused(index)) this.#seats[index] = 0;
      else if (this.#isReady(index, seat)) {
        taken.push(index);
        this.#isDealt[index] = 1;
        micros += expected;
      } else {
        held.push(index);
        continue;
      }
      left -= expected;
    }
    if (looked > held.length) queue.splice(0, looked, ...held);
    // Until one of these comes nothing is ready, and there is no need to look again.
    else if (looked === queue.length) this.#blockers[seat] = held.map((index) => this.#blockerOf(index, seat));
    this.#micros[seat] = queue.length === 0 ? 0 : left;
    // In their order an executor runs them in fewer calls.
    return taken.length > 1 ? taken.sort((a, b) => a - b) : taken;
  }

  /** Was nothing of its queue ready, and has nothing come that any of it waited for? */
  #isBlocked(seat: number): boolean {
    const blockers = this.#blockers[seat];
    if (blockers === undefined) return false;
    if (!blockers.some((index) => this.#isThere(index, seat))) return true;
    this.#blockers[seat] = undefined;
    return false;
  }

  /** Is there what the transaction follows, or is it on its way to the same executor? */
  #isReady(index: number, seat: number): boolean {
    return this.#blockerOf(index, seat) < 0;
  }

  /** What keeps a transaction from being ready; -1: nothing. */
  #blockerOf(index: number, seat: number): number {
    const { before, firstBefore } = this.#plan;
    for (let edge = firstBefore[index] as number; edge < (firstBefore[index + 1] as number); edge++) {
      const earlier = before[edge] as number;
      if (!this.#isThere(earlier, seat)) return earlier;
    }
    return -1;
  }

  #isThere(index: number, seat: number): boolean {
    if (index < this.#progress.watermark || this.#progress.isInstalled(index)) return true;
    return this.#seats[index] === seat + 1 && this.#isDealt[index] === 1;
  }

  /**
   * Gives an executor that has nothing to do half of what the one with most left would do last, so far as it waits for
   * nobody there; true when there was something.
   */
  steal(thief: number): boolean {
    if ((this.#queues[thief] as number[]).length > 0) return false;
    let victim = -1;
    let most = STEAL_MICROS_MIN;
    for (const [seat, micros] of this.#micros.entries()) {
      if (seat === thief || micros <= most) continue;
      victim = seat;
      most = micros;
    }
    const queue = this.#queues[victim] ?? [];
    const taken: number[] = [];
    let micros = 0;
    for (let at = queue.length - 1; at >= 0 && queue.length - at <= LOOK_AHEAD && micros < most / 2; at--) {
      const index = queue[at] as number;
      if (!this.#isReady(index, thief)) continue;
      queue.splice(at, 1);
      taken.push(index);
      micros += this.#plan.micros[index] as number;
    }
    if (taken.length === 0) return false;
    this.#micros[victim] = most - micros;
    for (const index of taken.toReversed()) this.#enqueue(thief, index, "last");
    this.stolen += taken.length;
    return true;
  }

  /** Spreads what a silent or lost executor had over `others`; without others it waits for the watermark. */
  passOver(seat: number, others: readonly number[]): void {
    this.#queues[seat] = [];
    this.#micros[seat] = 0;
    let next = 0;
    for (let index = this.#progress.watermark; index < this.#seats.length; index++) {
      if (this.#seats[index] !== seat + 1) continue;
      const other = others[next++ % Math.max(1, others.length)];
      this.#seats[index] = 0;
      if (other !== undefined) this.#enqueue(other, index, "last");
    }
  }
}
