/**
 * Owns where one segment ends and the next begins. Boundaries are a pure function of the sealed blocks from the
 * segment's first on and the policy: whoever builds them, whenever, on the same Node release, gets the same bytes.
 *
 * A segment takes blocks until (a) its encoding would exceed the target, (b) it fills at least 99% of it, (c) the blocks
 * span `spanMaxSeconds`, or (d) the format's limits. One block above the target makes a segment of its own.
 * Sizes are found with few compressions: a block adds about its plain size at most, so after a trial that leaves r bytes,
 * none is needed before r plain bytes came in; each trial leaves about a quarter of the room before it. That is a
 * guess, as brotli may code more input otherwise: a segment that turns out too large gives its last blocks to the next.
 */
import { encodeSegment, type SegmentBlock, SegmentEncoder, type SegmentOptions } from "./segment.ts";

export type SegmentPolicy = SegmentOptions & {
  /** Encoded size to aim at, e.g. `blobPayloadMaxBytes(1)`. */
  readonly targetBytes: number;
  /**
   * Where blocks are large beside the target, a segment aims at as many targets as hold eight like its first, up to this:
   * a segment ends with a whole block, so two blocks of two thirds of a blob would otherwise take two blobs a third empty.
   */
  readonly targetMaxBytes?: number;
  /** A segment ends with the first block that is this much younger than its first. */
  readonly spanMaxSeconds: number;
};

export type BuiltSegment = { readonly firstBlock: number; readonly lastBlock: number; readonly bytes: Uint8Array };

/** Room that counts as full, and that compression of more input may cost at most: 1%. */
const SLACK = 0.01;
/** Half a block is lost at the end of a segment on average: with eight of them, 6%. */
const LARGE_BLOCKS = 8;

export class SegmentBuilder {
  readonly #policy: SegmentPolicy;
  /** Size that the open segment aims at. */
  #targetBytes: number;
  #encoder: SegmentEncoder | undefined;
  /** Blocks of the open segment. */
  #blocks: SegmentBlock[] = [];
  /** Plain size up to which no trial is needed. */
  #freeUpToBytes = 0;

  constructor(policy: SegmentPolicy) {
    this.#policy = policy;
    this.#targetBytes = policy.targetBytes;
  }

  /** First block not yet in a finished segment, if any was added. */
  get openFrom(): number | undefined {
    return this.#encoder?.firstBlock;
  }

  /** Upper bound on the size of the open segment; 0 when there is none. */
  get openBytesMax(): number {
    return this.#encoder?.plainBytes ?? 0;
  }

  /** Takes the next sealed block; returns the segments that it ends: mostly none or one. */
  add(block: SegmentBlock): BuiltSegment[] {
    if (this.#encoder?.hasRoomFor(block) === false) return [...this.#end(this.#encoder), ...this.add(block)];
    const encoder = this.#take(block);
    const full = this.#tryFill(encoder);
    if (full === "over" && encoder.blockCount > 1) {
      encoder.removeLast();
      this.#blocks.pop();
      return [...this.#end(encoder), ...this.add(block)];
    }
    const isSpanned = block.timestamp - encoder.firstTimestamp >= this.#policy.spanMaxSeconds;
    return full !== "open" || isSpanned ? this.#end(encoder) : [];
  }

  /** Ends the open segment before its boundary (it is due, or the chain stops); empty when nothing is open. */
  flush(): BuiltSegment[] {
    const done: BuiltSegment[] = [];
    while (this.#encoder !== undefined) done.push(...this.#end(this.#encoder));
    return done;
  }

  /** Forgets the open segment (after a rewind of the chain). */
  reset(): void {
    this.#encoder = undefined;
    this.#blocks = [];
  }

  #take(block: SegmentBlock): SegmentEncoder {
    this.#blocks.push(block);
    if (this.#encoder !== undefined) {
      this.#encoder.add(block);
      return this.#encoder;
    }
    const encoder = new SegmentEncoder(block, this.#policy);
    this.#encoder = encoder;
    this.#targetBytes = this.#targetFor(encoder);
    this.#freeUpToBytes = this.#targetBytes * (1 - SLACK);
    return encoder;
  }

  /** The target of a segment with this first block. */
  #targetFor(encoder: SegmentEncoder): number {
    const { targetBytes, targetMaxBytes = targetBytes } = this.#policy;
    if (targetMaxBytes <= targetBytes || encoder.plainBytes * LARGE_BLOCKS <= targetBytes) return targetBytes;
    const targets = Math.ceil((encoder.encode().length * LARGE_BLOCKS) / targetBytes);
    return Math.min(targetMaxBytes, Math.max(1, targets) * targetBytes);
  }

  #tryFill(encoder: SegmentEncoder): "open" | "full" | "over" {
    if (encoder.plainBytes <= this.#freeUpToBytes) return "open";
    const targetBytes = this.#targetBytes;
    const sizeBytes = encoder.encode().length;
    if (sizeBytes > targetBytes) return "over";
    const room = targetBytes - sizeBytes;
    if (room < targetBytes * SLACK) return "full";
    this.#freeUpToBytes = encoder.plainBytes + room - targetBytes * SLACK;
    return "open";
  }

  /** Ends the open segment; blocks that do not fit after all start the next. */
  #end(encoder: SegmentEncoder): BuiltSegment[] {
    const blocks = this.#blocks;
    let bytes = encoder.encode();
    let count = blocks.length;
    while (bytes.length > this.#targetBytes && count > 1) bytes = encodeSegment(blocks.slice(0, --count), this.#policy);
    const firstBlock = encoder.firstBlock;
    this.reset();
    const rest = blocks.slice(count).flatMap((block) => this.add(block));
    return [{ firstBlock, lastBlock: firstBlock + count - 1, bytes }, ...rest];
  }
}
