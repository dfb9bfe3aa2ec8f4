/**
 * Owns one follower's view of the canonical L1 chain: it hands out blocks in order, each a child of the one before, and
 * says when L1 has reorganised, back to which common ancestor. Invariant: the blocks handed out and not taken back are
 * a chain by parent hash; the next step after a reorg is a child of the ancestor.
 * Memory is bounded by a window of remembered hashes; a reorg below the window is refused with a coded error, since no
 * follower could unwind it either. L1 time may stand still between blocks (anvil does that), so it is not checked here.
 *
 * Steps: `block` (the tip moved by one), `reorg` (the tip moved back to `ancestor`), `idle` (L1 has nothing new).
 */
import { assert } from "../base/assert.ts";
import { bytesEqual, toHex } from "../base/bytes.ts";
import { defineErrors } from "../base/error.ts";
import type { L1Origin } from "../protocol/block.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
import { BLOCKS_PER_CALL_MAX, type L1Reader, l1Error } from "./l1.ts";

export const trackerError = defineErrors("L1Tracker", {
  L1_REORG_TOO_DEEP: {
    summary: "L1 reorganised below the window of blocks that this follower remembers.",
    action: "Check the L1 endpoint; if it is right, restart the follower from an older L1 block.",
    retryable: false,
  },
});

export type L1Step =
  | { readonly kind: "block"; readonly block: L1BlockInfo }
  | { readonly kind: "reorg"; readonly ancestor: L1Origin; readonly dropped: readonly L1Origin[] }
  | { readonly kind: "idle" };

export type L1TrackerOptions = {
  /** Where to go on: contiguous blocks in ascending order; the last is the tip, the others allow unwinding it. */
  readonly from: readonly L1Origin[];
  /** Blocks remembered for unwinding. */
  readonly windowMax?: number;
  /** Hand out only blocks with at least this many on top. */
  readonly confirmations?: number;
  /** Blocks asked for at a time while catching up. */
  readonly aheadMax?: number;
};

export class L1Tracker {
  readonly #reader: L1Reader;
  readonly #windowMax: number;
  readonly #confirmations: number;
  readonly #aheadMax: number;
  /** Contiguous, ascending, never empty. */
  #window: L1Origin[];
  /** Fetched and linked to the tip, not yet handed out. */
  #ahead: L1BlockInfo[] = [];
  #headNumber = -1;

  constructor(reader: L1Reader, options: L1TrackerOptions) {
    assert(options.from.length > 0, "a tracker starts from a block");
    for (const [i, block] of options.from.entries())
      assert(block.number === (options.from[0] as L1Origin).number + i, "the blocks to start from are contiguous");
    this.#reader = reader;
    this.#windowMax = options.windowMax ?? 4096;
    this.#confirmations = options.confirmations ?? 0;
    this.#aheadMax = Math.min(options.aheadMax ?? 128, BLOCKS_PER_CALL_MAX);
    this.#window = options.from.slice(-this.#windowMax);
  }

  /** The newest block handed out (or started from). */
  get tip(): L1Origin {
    const tip = this.#window.at(-1);
    assert(tip !== undefined, "the window is never empty");
    return tip;
  }

  /** The newest number L1 was seen to have; -1 before the first step. */
  get headNumber(): number {
    return this.#headNumber;
  }

  /** The hash this follower holds canonical at `number`; undefined outside the window. */
  hashAt(number: number): Uint8Array | undefined {
    const first = this.#window[0] as L1Origin;
    return this.#window[number - first.number]?.hash;
  }

  /** What is remembered, for a follower that stores its place: give it back as `from`. */
  get window(): readonly L1Origin[] {
    return this.#window;
  }

  /** @throws {L1Error} when L1 does not answer or contradicts itself; {L1TrackerError} L1_REORG_TOO_DEEP */
  async next(): Promise<L1Step> {
    const ready = this.#ahead.shift();
    if (ready !== undefined) return this.#take(ready);

    const head = await this.#reader.head();
    this.#headNumber = head.number;
    const tip = this.tip;
    if (bytesEqual(head.hash, tip.hash)) return { kind: "idle" };
    const reach = Math.min(head.number - this.#confirmations, tip.number + this.#aheadMax);
    const fetched = reach > tip.number ? await this.#reader.blocks(tip.number + 1, reach) : [];
    const first = fetched[0];
    if (first !== undefined && bytesEqual(first.parentHash, tip.hash)) {
      this.#ahead = fetched.slice(1);
      return this.#take(first);
    }
    // Nothing above the tip, or something that is not its child: is the tip still there?
    const same = await this.#reader.block(tip.number);
    if (same !== undefined && bytesEqual(same.hash, tip.hash)) {
      if (first === undefined) return { kind: "idle" };
      throw l1Error("L1_INCONSISTENT", `block ${first.number} is no child of the canonical block ${tip.number}`, {
        number: first.number,
      });
    }
    // A node that lags behind what another answered before is not a reorg: wait until it knows this height.
    if (same === undefined && head.number < tip.number && (await this.#stillAncestor(head))) return { kind: "idle" };
    return this.#unwind();
  }

  /** True when the shorter chain that L1 shows is a prefix of ours. */
  async #stillAncestor(head: L1BlockInfo): Promise<boolean> {
    const ours = this.hashAt(head.number);
    return ours !== undefined && bytesEqual(ours, head.hash);
  }

  #take(block: L1BlockInfo): L1Step {
    const tip = this.tip;
    assert(
      block.number === tip.number + 1 && bytesEqual(block.parentHash, tip.hash),
      "L1 blocks are handed out linked",
    );
    this.#window.push({ number: block.number, hash: block.hash });
    if (this.#window.length > this.#windowMax + 256) this.#window = this.#window.slice(-this.#windowMax);
    return { kind: "block", block };
  }

  async #unwind(): Promise<L1Step> {
    this.#ahead = [];
    const dropped: L1Origin[] = [];
    // Doubling strides first: a deep reorg costs logarithmic questions, and the exact ancestor is found inside a stride.
    let low = this.#window.length - 1;
    let stride = 1;
    let high = this.#window.length - 1; // known to be gone
    for (;;) {
      low = Math.max(0, high - stride);
      if (await this.#isCanonical(this.#window[low] as L1Origin)) break;
      if (low === 0) {
        const oldest = this.#window[0] as L1Origin;
        throw trackerError("L1_REORG_TOO_DEEP", `block ${oldest.number} (${toHex(oldest.hash)}) left the chain`, {
          number: oldest.number,
        });
      }
      high = low;
      stride *= 2;
    }
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (await this.#isCanonical(this.#window[middle] as L1Origin)) low = middle;
      else high = middle;
    }
    dropped.push(...this.#window.splice(low + 1));
    return { kind: "reorg", ancestor: this.tip, dropped };
  }

  async #isCanonical(block: L1Origin): Promise<boolean> {
    const now = await this.#reader.block(block.number);
    return now !== undefined && bytesEqual(now.hash, block.hash);
  }

  /**
   * L1's safe and finalized blocks, as far as they lie on this follower's chain at or below its tip; else the tip's
   * ancestors are not known to be final and the answer is undefined. Never above the tip: a follower that is catching
   * up gets its own tip when that is final already.
   */
  async finality(): Promise<{ safe: L1Origin | undefined; finalized: L1Origin | undefined }> {
    const [safe, finalized] = await Promise.all([this.#reader.block("safe"), this.#reader.block("finalized")]);
    return { safe: await this.#clamp(safe), finalized: await this.#clamp(finalized) };
  }

  async #clamp(block: L1BlockInfo | undefined): Promise<L1Origin | undefined> {
    if (block === undefined) return undefined;
    const tip = this.tip;
    if (block.number > tip.number) return (await this.#isCanonical(tip)) ? tip : undefined;
    const ours = this.hashAt(block.number);
    // Below the window everything was handed out long ago and unwinding is refused anyway.
    if (ours === undefined) return { number: block.number, hash: block.hash };
    return bytesEqual(ours, block.hash) ? { number: block.number, hash: block.hash } : undefined;
  }
}
