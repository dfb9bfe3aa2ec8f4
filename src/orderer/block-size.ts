/**
 * Owns how much more the open block may take. A block is the least a segment holds, and a segment must fit one L1
 * transaction, so what is bounded is the size of the block as a segment, compressed; it is found by compressing.
 * Invariant: what was admitted fits `segmentSizeMaxBytes`, whatever its bytes are. Between two trials every byte counts
 * in full, so incompressible transactions fill a block after one trial, while token transfers get two and a half times
 * their number. Trials are few: each spends the room that the one before it found, until that is not worth another.
 */
import { assert } from "../base/assert.ts";
import { SEGMENT_TX_OVERHEAD_BYTES, SegmentEncoder } from "../protocol/segment.ts";

/** What the compressor may make of input that it has not seen, and the frame of a segment: 5%. */
const MARGIN = 0.05;
/** Trials end when one leaves less than this share of a segment. */
const WORTH = 1 / 16;

const ZERO_32 = new Uint8Array(32);

export type BlockSizeLimits = {
  readonly chainId: number;
  /** Encoded size of the largest segment that can be posted. */
  readonly segmentSizeMaxBytes: number;
  /** Bytes of transactions that no block exceeds, however well they compress. */
  readonly blockSizeMaxBytes: number;
};

export class BlockSize {
  readonly #limits: BlockSizeLimits;
  readonly #usableBytes: number;
  /** Transactions not yet in a trial. */
  #untried: Uint8Array[] = [];
  #encoder: SegmentEncoder | undefined;
  /** Size as a segment: what the last trial found, and every byte since. */
  #boundBytes = 0;
  #triedBytes = 0;
  #rawBytes = 0;

  constructor(limits: BlockSizeLimits) {
    this.#limits = limits;
    this.#usableBytes = Math.floor(limits.segmentSizeMaxBytes * (1 - MARGIN));
  }

  /** A new block is open. */
  reset(): void {
    this.#untried = [];
    this.#encoder = undefined;
    this.#boundBytes = 0;
    this.#triedBytes = 0;
    this.#rawBytes = 0;
  }

  add(raw: Uint8Array): void {
    this.#untried.push(raw);
    this.#boundBytes += raw.length + SEGMENT_TX_OVERHEAD_BYTES;
    this.#rawBytes += raw.length;
  }

  /** Bytes that may still be added, where each transaction takes SEGMENT_TX_OVERHEAD_BYTES beside its own. */
  roomBytes(): number {
    const worthBytes = this.#usableBytes * WORTH;
    // Another trial only when it can find as much as it would have to.
    if (this.#usableBytes - this.#boundBytes < worthBytes && this.#boundBytes - this.#triedBytes >= worthBytes)
      this.#try();
    return Math.max(0, Math.min(this.#usableBytes - this.#boundBytes, this.#limits.blockSizeMaxBytes - this.#rawBytes));
  }

  #try(): void {
    // Only the transactions decide the size: the block's own fields are a few bytes, within the margin.
    this.#encoder ??= new SegmentEncoder(
      { number: 1, parentHash: ZERO_32, timestamp: 1, origin: { number: 1, hash: ZERO_32 }, transactions: [] },
      { chainId: this.#limits.chainId },
    );
    this.#encoder.extendLast(this.#untried);
    this.#untried = [];
    const sizeBytes = this.#encoder.encode().length;
    assert(sizeBytes <= this.#limits.segmentSizeMaxBytes, "what was admitted fits a segment");
    this.#boundBytes = sizeBytes;
    this.#triedBytes = sizeBytes;
  }
}
