/**
 * Owns who has which transaction of an epoch: queues of what is to be dealt to each executor, and what is with them.
 * Batches take a few milliseconds, less towards the end, so that executors are done together; a transaction waits in its
 * queue until what it follows is there or on its way to the same executor; and an executor that has nothing left is given
 * of what others would do last. Who waits hangs on one of those it waits for and is looked at when that comes, so the work
 * is bounded by the edges of the plan.
 */
import type { Plan } from "./planner.ts";

const BATCH_TXS_MAX = 128;
const BATCH_MICROS_MAX = 4_000;
const BATCH_MICROS_MIN = 700;
/** Share of what an executor has left that one batch may take. */
const BATCH_SHARE = 0.5;
/** Nothing is taken from an executor that has less than this left. */
const STEAL_MICROS_MIN = 800;

const NONE: readonly number[] = [];

/** What the queues ask of the epoch. */
export interface Progress {
  readonly watermark: number;
  isInstalled(index: number): boolean;
}

/** Of a transaction: nobody has it; it waits for another one; it is to be dealt; it is with its seat. */
const NOBODY = 0;
const WAITING = 1;
const READY = 2;
const DEALT = 3;

export class DealQueues {
  readonly #plan: Plan;
  readonly #progress: Progress;
  /** By seat: what can be dealt to it, what is planned first in front. */
  readonly #ready: number[][];
  /** By seat: expected time of what it has not been dealt yet, waiting or ready. */
  readonly #micros: number[];
  /** By transaction: 1 + the seat that has it or will be dealt it, 0 when nobody. */
  readonly #seats: Int16Array;
  readonly #phases: Uint8Array;
  /** By transaction: its place in the order of the plan. */
  readonly #places: Int32Array;
  /** By transaction: 1 + the first of those that wait for it, and 1 + the next one that waits for the same. */
  readonly #firstWaiting: Int32Array;
  readonly #nextWaiting: Int32Array;
  /** What is below has been passed by the watermark, and nobody waits for it. */
  #passed = 0;
  /** Transactions that another executor took because it had nothing to do. */
  stolen = 0;

  constructor(plan: Plan, seats: number, progress: Progress) {
    const count = plan.owners.length;
    this.#plan = plan;
    this.#progress = progress;
    this.#ready = Array.from({ length: seats }, () => []);
    this.#micros = Array.from({ length: seats }, () => 0);
    this.#seats = new Int16Array(count);
    this.#phases = new Uint8Array(count);
    this.#places = new Int32Array(count);
    this.#firstWaiting = new Int32Array(count);
    this.#nextWaiting = new Int32Array(count);
    for (let place = 0; place < plan.order.length; place++) {
      const index = plan.order[place] as number;
      this.#places[index] = place;
      this.#assign(index, plan.owners[index] as number);
      this.#wait(index);
    }
  }

  /** The seat that has the transaction or will be dealt it. */
  seatOf(index: number): number | undefined {
    const seat = this.#seats[index] as number;
    return seat === 0 ? undefined : seat - 1;
  }

  #assign(index: number, seat: number): void {
    this.#seats[index] = seat + 1;
    this.#micros[seat] = (this.#micros[seat] as number) + (this.#plan.micros[index] as number);
  }

  /** Hangs a transaction on the first that it waits for, or makes it ready. */
  #wait(index: number): void {
    const seat = (this.#seats[index] as number) - 1;
    const { before, firstBefore } = this.#plan;
    for (let edge = firstBefore[index] as number; edge < (firstBefore[index + 1] as number); edge++) {
      const earlier = before[edge] as number;
      if (this.#isThere(earlier, seat)) continue;
      this.#phases[index] = WAITING;
      this.#nextWaiting[index] = this.#firstWaiting[earlier] as number;
      this.#firstWaiting[earlier] = index + 1;
      return;
    }
    this.#phases[index] = READY;
    const queue = this.#ready[seat] as number[];
    const place = this.#places[index] as number;
    let at = queue.length;
    while (at > 0 && (this.#places[queue[at - 1] as number] as number) > place) at--;
    if (at === queue.length) queue.push(index);
    else queue.splice(at, 0, index);
  }

  /** Is there what a transaction of the seat follows, or is it on its way to the same executor? */
  #isThere(index: number, seat: number): boolean {
    if (index < this.#progress.watermark || this.#progress.isInstalled(index)) return true;
    return this.#seats[index] === seat + 1 && this.#phases[index] === DEALT;
  }

  /** A transaction is there, final or not, or on its way: those that hang on it are looked at. */
  came(index: number): void {
    let waiting = this.#firstWaiting[index] as number;
    this.#firstWaiting[index] = 0;
    while (waiting !== 0) {
      const next = this.#nextWaiting[waiting - 1] as number;
      if (this.#phases[waiting - 1] === WAITING) this.#wait(waiting - 1);
      waiting = next;
    }
  }

  /** Follows the watermark. */
  passed(): void {
    const { watermark } = this.#progress;
    for (; this.#passed < watermark; this.#passed++)
      if (this.#firstWaiting[this.#passed] !== 0) this.came(this.#passed);
  }

  /** Puts a transaction that is to run again in front: the watermark comes to it first. */
  again(seat: number, index: number): void {
    this.#assign(index, seat);
    this.#phases[index] = READY;
    this.#ready[seat]?.unshift(index);
  }

  /** An executor is through with transactions, with or without results. */
  returned(seat: number, indexes: readonly number[]): void {
    for (const index of indexes)
      if (this.#seats[index] === seat + 1 && this.#phases[index] === DEALT) this.giveUp(index);
  }

  /** Nobody is to be waited for any more. */
  giveUp(index: number): void {
    this.#seats[index] = 0;
    this.#phases[index] = NOBODY;
  }

  /**
   * The next batch of an executor; empty when there is none now. `isRefused`: the block has no gas left for it; that is
   * said at the watermark, not run.
   */
  take(seat: number, isRefused: (index: number) => boolean): readonly number[] {
    const queue = this.#ready[seat] as number[];
    if (queue.length === 0) return NONE;
    const queued = this.#micros[seat] as number;
    const microsMax = Math.min(BATCH_MICROS_MAX, Math.max(BATCH_MICROS_MIN, queued * BATCH_SHARE));
    const taken: number[] = [];
    let micros = 0;
    let left = queued;
    // What is taken makes ready what hangs on it, at its place.
    while (queue.length > 0 && taken.length < BATCH_TXS_MAX && micros < microsMax) {
      const index = queue.shift() as number;
      if (this.#seats[index] !== seat + 1 || this.#phases[index] !== READY) continue;
      const expected = this.#plan.micros[index] as number;
      left -= expected;
      const isDone = index < this.#progress.watermark || this.#progress.isInstalled(index);
      if (isDone || isRefused(index)) this.giveUp(index);
      else {
        taken.push(index);
        this.#phases[index] = DEALT;
        micros += expected;
      }
      this.came(index);
    }
    this.#micros[seat] = Math.max(0, left);
    // In their order an executor runs them in fewer calls.
    return taken.length > 1 ? taken.sort((a, b) => a - b) : taken;
  }

  /**
   * Gives an executor that has nothing to do half of what the one with most left would do last, so far as it can be run;
   * true when there was something.
   */
  steal(thief: number): boolean {
    if ((this.#ready[thief] as number[]).length > 0) return false;
    let victim = -1;
    let most = STEAL_MICROS_MIN;
    for (let seat = 0; seat < this.#micros.length; seat++) {
      const micros = this.#micros[seat] as number;
      if (seat === thief || micros <= most || (this.#ready[seat] as number[]).length === 0) continue;
      victim = seat;
      most = micros;
    }
    if (victim < 0) return false;
    const queue = this.#ready[victim] as number[];
    const taken: number[] = [];
    const kept: number[] = [];
    let micros = 0;
    while (queue.length > 0 && micros < most / 2) {
      const index = queue.pop() as number;
      if (this.#seats[index] !== victim + 1 || this.#phases[index] !== READY) continue;
      // What it follows may be on its way to the victim only.
      if (this.#isFree(index, thief)) {
        taken.push(index);
        micros += this.#plan.micros[index] as number;
      } else kept.push(index);
    }
    for (const index of kept.toReversed()) queue.push(index);
    if (taken.length === 0) return false;
    this.#micros[victim] = Math.max(0, most - micros);
    for (const index of taken.toReversed()) {
      this.#assign(index, thief);
      this.#wait(index);
    }
    this.stolen += taken.length;
    return true;
  }

  #isFree(index: number, seat: number): boolean {
    const { before, firstBefore } = this.#plan;
    for (let edge = firstBefore[index] as number; edge < (firstBefore[index + 1] as number); edge++)
      if (!this.#isThere(before[edge] as number, seat)) return false;
    return true;
  }

  /** Spreads what a silent or lost executor had over `others`; without others it waits for the watermark. */
  passOver(seat: number, others: readonly number[]): void {
    this.#ready[seat] = [];
    this.#micros[seat] = 0;
    let next = 0;
    const moved: number[] = [];
    for (let index = this.#progress.watermark; index < this.#seats.length; index++) {
      if (this.#seats[index] !== seat + 1) continue;
      const other = others[next++ % Math.max(1, others.length)];
      if (other === undefined) {
        this.giveUp(index);
        continue;
      }
      this.#assign(index, other);
      // Who hangs on another one goes on doing so.
      if (this.#phases[index] !== WAITING) moved.push(index);
    }
    for (const index of moved) this.#phases[index] = NOBODY;
    for (const index of moved) this.#wait(index);
  }
}
