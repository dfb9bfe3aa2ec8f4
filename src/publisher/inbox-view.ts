/**
 * Owns the publisher's view of the inbox on the canonical L1 chain: which segments L1 holds, followed block by block and
 * unwound with every reorg. Invariant: what is held was emitted in a block of the chain that the tracker follows; a log
 * answer that does not fit to it is not used.
 */
import { bytesEqual } from "../base/bytes.ts";
import { type L1Reader, l1Error } from "../l1/l1.ts";
import { L1Tracker } from "../l1/l1-tracker.ts";
import type { L1Origin } from "../protocol/block.ts";
import { decodeSegmentPosted, SEGMENT_POSTED_TOPIC } from "../protocol/inbox-events.ts";
import type { HeldSegment } from "./plan.ts";

export type PostedSegment = HeldSegment & {
  readonly poster: Uint8Array;
  readonly l1: L1Origin;
};

/** L1 blocks followed in one call: bounds the time a step takes. */
const BLOCKS_PER_STEP_MAX = 2_000;
/** Finalized segments kept below the basis, for orientation only. */
const KEEP_CONSUMED = 64;

export class InboxView {
  readonly #l1: L1Reader;
  readonly #inbox: Uint8Array;
  readonly #tracker: L1Tracker;
  readonly #posted = new Map<number, PostedSegment>();
  /** Events are read up to here; never above the tracker's tip. */
  #readThrough: number;
  readonly #startNumber: number;
  #forgottenBelow = 0;

  /** Starts after `from`: events up to and including it are taken as consumed. */
  constructor(l1: L1Reader, inbox: Uint8Array, from: L1Origin) {
    this.#l1 = l1;
    this.#inbox = inbox;
    this.#tracker = new L1Tracker(l1, { from: [from] });
    this.#readThrough = from.number;
    this.#startNumber = from.number;
  }

  /** Segments that L1 holds, by index. */
  get posted(): ReadonlyMap<number, PostedSegment> {
    return this.#posted;
  }

  get tip(): L1Origin {
    return this.#tracker.tip;
  }

  /** The held segment with the highest index. */
  get newest(): PostedSegment | undefined {
    let newest: PostedSegment | undefined;
    for (const segment of this.#posted.values())
      if (newest === undefined || segment.index > newest.index) newest = segment;
    return newest;
  }

  /** True when all entries from `index` on that lie in L1 blocks up from `l1Number` are known here. */
  covers(l1Number: number, index: number): boolean {
    return l1Number >= this.#startNumber && index >= this.#forgottenBelow;
  }

  /** The hash held canonical at `number`; undefined when it is not followed. */
  hashAt(number: number): Uint8Array | undefined {
    return this.#tracker.hashAt(number);
  }

  /**
   * Follows L1 to its head, or a good part of the way. Returns whether the head was reached, and the segments that a
   * reorg took away. @throws {L1Error}, {L1TrackerError}
   */
  async advance(): Promise<{ readonly atHead: boolean; readonly dropped: readonly PostedSegment[] }> {
    const dropped: PostedSegment[] = [];
    let atHead = false;
    for (let i = 0; i < BLOCKS_PER_STEP_MAX && !atHead; i++) {
      const step = await this.#tracker.next();
      if (step.kind === "idle") atHead = true;
      else if (step.kind === "reorg") {
        this.#readThrough = Math.min(this.#readThrough, step.ancestor.number);
        for (const segment of this.#posted.values()) {
          if (segment.l1.number <= step.ancestor.number) continue;
          this.#posted.delete(segment.index);
          dropped.push(segment);
        }
      }
    }
    await this.#readEvents();
    return { atHead, dropped };
  }

  async #readEvents(): Promise<void> {
    const tip = this.#tracker.tip;
    if (this.#readThrough >= tip.number) return;
    const logs = await this.#l1.logs({
      fromBlock: this.#readThrough + 1,
      toBlock: tip.number,
      addresses: [this.#inbox],
      topics: [[SEGMENT_POSTED_TOPIC]],
    });
    for (const log of logs) {
      const ours = this.#tracker.hashAt(log.blockNumber);
      if (ours !== undefined && !bytesEqual(ours, log.blockHash))
        throw l1Error("L1_INCONSISTENT", `events of block ${log.blockNumber} are of another fork`, {
          number: log.blockNumber,
        });
    }
    for (const log of logs) {
      const entry = decodeSegmentPosted(log);
      if (entry === undefined) continue;
      this.#posted.set(entry.index, {
        index: entry.index,
        firstBlock: entry.firstBlock,
        lastBlock: entry.lastBlock,
        poster: entry.poster,
        l1: { number: log.blockNumber, hash: log.blockHash },
      });
    }
    this.#readThrough = tip.number;
  }

  /** Forgets segments that derivation consumed from finalized L1 blocks. */
  forgetBelow(index: number): void {
    if (this.#posted.size <= KEEP_CONSUMED) return;
    this.#forgottenBelow = Math.max(this.#forgottenBelow, index - KEEP_CONSUMED);
    for (const held of this.#posted.keys()) if (held < this.#forgottenBelow) this.#posted.delete(held);
  }
}
