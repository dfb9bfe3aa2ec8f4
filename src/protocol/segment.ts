/**
 * Owns segments: a run of blocks as it is posted to data availability (decision 0002).
 *
 * version (1) ‖ varint n ‖ n signatures of 64 bytes ‖ brotli(first block, parent hash, origin number of the first block,
 * origin hash of the last, chain id, block count, transaction count, per block {timestamp, origin step, transactions},
 * transaction columns). The last origin's hash commits to all origins of the segment, since L1 is a hash chain.
 * Invariant: decoding is total and bounded: any bytes give a segment or SEGMENT_MALFORMED, with at most
 * `SEGMENT_PAYLOAD_MAX_BYTES` of memory for the payload, whatever the compressor claims.
 */
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { assert } from "../base/assert.ts";
import { Reader, Writer } from "../base/binary.ts";
import { type CodedError, defineErrors } from "../base/error.ts";
import type { L1Origin } from "./block.ts";
import { type ColumnMark, ColumnWriter, joinColumns, SIGNATURE_BYTES } from "./segment-columns.ts";

export const SEGMENT_VERSION = 1;
/** Brotli 5 is within 2% of 11 on transactions and 20 times faster. */
export const SEGMENT_BROTLI_QUALITY = 5;
export const SEGMENT_PAYLOAD_MAX_BYTES = 16 * 1024 * 1024;
export const SEGMENT_BLOCKS_MAX = 65_536;
export const SEGMENT_TRANSACTIONS_MAX = 262_144;
/** More than six blobs carry, and than an L1 transaction takes as calldata. */
export const SEGMENT_MAX_BYTES = 1024 * 1024;

/**
 * Most that a transaction takes in a segment beside its own bytes: its signature lies there as 64 bytes, of which RLP may
 * have dropped all but two, and its fields have sizes of their own.
 */
export const SEGMENT_TX_OVERHEAD_BYTES = 80;

/** Keeps an EIP-155 `v` a safe integer. */
const CHAIN_ID_MAX = 2 ** 51;

export const segmentError = defineErrors("Segment", {
  SEGMENT_MALFORMED: {
    summary: "Bytes posted to the inbox are not a segment.",
    action: "None: derivation skips them. If Sheaf's own publisher posted them, report a bug.",
    retryable: false,
  },
});

export type SegmentOptions = { readonly chainId: number; readonly brotliQuality?: number };

/** What a segment says of one block. Deposits and attributes are not in it: they come from L1. */
export type SegmentBlock = {
  readonly number: number;
  readonly parentHash: Uint8Array;
  readonly timestamp: number;
  readonly origin: L1Origin;
  /** Sequenced transactions only, in order. */
  readonly transactions: readonly Uint8Array[];
};

export type SegmentContent = {
  readonly firstBlock: number;
  /** Hash of the block before the first. */
  readonly parentHash: Uint8Array;
  /** Origin of the last block. */
  readonly lastOrigin: L1Origin;
  readonly blocks: readonly {
    readonly timestamp: number;
    readonly originNumber: number;
    readonly transactions: readonly Uint8Array[];
  }[];
};

/**
 * Collects the contiguous blocks of one segment and encodes them. `bytesMax` bounds the encoded size from above without
 * compressing; adding a block can be taken back once with `removeLast`.
 */
export class SegmentEncoder {
  readonly #quality: number;
  readonly #blocks = new Writer(256);
  readonly #first: SegmentBlock;
  readonly #columns: ColumnWriter;
  readonly #chainId: number;
  #last: SegmentBlock;
  #count = 0;
  #undo: { columns: ColumnMark; blocks: number; last: SegmentBlock } | undefined;

  constructor(first: SegmentBlock, options: SegmentOptions) {
    assert(options.chainId <= CHAIN_ID_MAX, "a chain id leaves room for EIP-155 in a safe integer");
    this.#quality = options.brotliQuality ?? SEGMENT_BROTLI_QUALITY;
    this.#chainId = options.chainId;
    this.#first = first;
    this.#last = first;
    this.#columns = new ColumnWriter(options.chainId);
    this.add(first);
  }

  get firstBlock(): number {
    return this.#first.number;
  }

  get lastBlock(): number {
    return this.#last.number;
  }

  get firstTimestamp(): number {
    return this.#first.timestamp;
  }

  get blockCount(): number {
    return this.#count;
  }

  get transactionCount(): number {
    return this.#columns.count;
  }

  /** Size before compression, signatures included: grows by what a block adds. */
  get plainBytes(): number {
    return 160 + this.#columns.signatures.length + this.#columns.columnBytes + this.#blocks.length;
  }

  /** True when the format's own limits leave room for `block`. */
  hasRoomFor(block: SegmentBlock): boolean {
    let dataBytes = 0;
    for (const raw of block.transactions) dataBytes += raw.length + 16;
    return (
      this.#count < SEGMENT_BLOCKS_MAX &&
      this.#columns.count + block.transactions.length <= SEGMENT_TRANSACTIONS_MAX &&
      this.plainBytes + dataBytes <= SEGMENT_PAYLOAD_MAX_BYTES
    );
  }

  add(block: SegmentBlock): void {
    this.#undo = { columns: this.#columns.mark(), blocks: this.#blocks.length, last: this.#last };
    if (this.#count === 0) this.#blocks.uvarint(block.timestamp);
    else {
      const step = block.origin.number - this.#last.origin.number;
      assert(block.number === this.#last.number + 1, "blocks of a segment are contiguous");
      assert(step === 0 || step === 1, "an origin is that of the parent or the next");
      assert(block.timestamp > this.#last.timestamp, "timestamps rise from block to block");
      this.#blocks.uvarint((block.timestamp - this.#last.timestamp) * 2 + step);
    }
    this.#blocks.uvarint(block.transactions.length);
    for (const raw of block.transactions) this.#columns.add(raw);
    this.#last = block;
    this.#count++;
  }

  /** Appends to the transactions of the newest block, which must be the only one. */
  extendLast(transactions: readonly Uint8Array[]): void {
    assert(this.#count === 1, "only a first block grows");
    this.#undo = undefined;
    const { timestamp } = this.#first;
    for (const raw of transactions) this.#columns.add(raw);
    this.#blocks.truncate(0);
    this.#blocks.uvarint(timestamp);
    this.#blocks.uvarint(this.#columns.count);
  }

  /** Takes the newest block back; only right after it was added, and never the first. */
  removeLast(): void {
    assert(this.#undo !== undefined && this.#count > 1, "only the newest block can be taken back, once");
    this.#columns.rewind(this.#undo.columns);
    this.#blocks.truncate(this.#undo.blocks);
    this.#last = this.#undo.last;
    this.#count--;
    this.#undo = undefined;
  }

  /** The segment's bytes. Pure: may be called again, and more blocks may follow. */
  encode(): Uint8Array {
    const payload = new Writer(this.plainBytes + 256);
    payload.uvarint(this.#first.number);
    payload.fixed(this.#first.parentHash);
    payload.uvarint(this.#first.origin.number);
    payload.fixed(this.#last.origin.hash);
    payload.uvarint(this.#chainId);
    payload.uvarint(this.#count);
    payload.uvarint(this.#columns.count);
    payload.fixed(this.#blocks.view());
    this.#columns.writeTo(payload);
    const compressed = brotliCompressSync(payload.view(), {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: this.#quality,
        [constants.BROTLI_PARAM_SIZE_HINT]: payload.length,
        [constants.BROTLI_PARAM_LGWIN]: 22,
      },
    });
    const signatures = this.#columns.signatures;
    const out = new Writer(compressed.length + signatures.length + 8);
    out.byte(SEGMENT_VERSION);
    out.uvarint(signatures.length / SIGNATURE_BYTES);
    out.fixed(signatures);
    out.fixed(compressed);
    return out.finish();
  }
}

/** Encodes contiguous blocks, at least one, as one segment. */
export function encodeSegment(blocks: readonly SegmentBlock[], options: SegmentOptions): Uint8Array {
  const [first, ...rest] = blocks;
  assert(first !== undefined, "a segment holds at least one block");
  const encoder = new SegmentEncoder(first, options);
  for (const block of rest) encoder.add(block);
  return encoder.encode();
}

function malformed(what: string, cause?: unknown): CodedError {
  return segmentError("SEGMENT_MALFORMED", what, {}, cause === undefined ? undefined : { cause });
}

/** The content of a segment's bytes. @throws {SegmentError} SEGMENT_MALFORMED */
export function decodeSegment(bytes: Uint8Array): SegmentContent {
  if (bytes.length > SEGMENT_MAX_BYTES) throw malformed(`${bytes.length} bytes are more than a segment may have`);
  try {
    return decode(bytes);
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : "not readable", error);
  }
}

function decompress(bytes: Uint8Array): Uint8Array {
  // `info` makes zlib tell how much of the input it used; its type declarations do not know that.
  const options = { maxOutputLength: SEGMENT_PAYLOAD_MAX_BYTES, info: true };
  const result = brotliDecompressSync(bytes, options) as unknown as {
    buffer: Uint8Array;
    engine: { bytesWritten: number };
  };
  if (result.engine.bytesWritten !== bytes.length) throw malformed("bytes after the end of the compressed payload");
  return new Uint8Array(result.buffer.buffer, result.buffer.byteOffset, result.buffer.length);
}

function decode(bytes: Uint8Array): SegmentContent {
  const outer = new Reader(bytes);
  const version = outer.byte();
  if (version !== SEGMENT_VERSION) throw malformed(`version ${version} is not ${SEGMENT_VERSION}`);
  const signatures = outer.fixed(outer.uvarint(SEGMENT_TRANSACTIONS_MAX) * SIGNATURE_BYTES);
  const payload = new Reader(decompress(outer.fixed(outer.remaining)));

  const firstBlock = payload.uvarint();
  const parentHash = payload.fixed(32);
  let originNumber = payload.uvarint();
  const lastOriginHash = payload.fixed(32);
  const chainId = payload.uvarint(CHAIN_ID_MAX);
  const blockCount = payload.uvarint(SEGMENT_BLOCKS_MAX);
  const transactionCount = payload.uvarint(SEGMENT_TRANSACTIONS_MAX);
  if (blockCount === 0) throw malformed("no blocks");

  const frames: { timestamp: number; originNumber: number; transactionCount: number }[] = [];
  let timestamp = 0;
  let counted = 0;
  for (let b = 0; b < blockCount; b++) {
    const word = payload.uvarint();
    if (b === 0) timestamp = word;
    else {
      timestamp += Math.floor(word / 2);
      originNumber += word % 2;
    }
    const count = payload.uvarint();
    counted += count;
    if (
      !Number.isSafeInteger(timestamp) ||
      !Number.isSafeInteger(originNumber) ||
      !Number.isSafeInteger(firstBlock + b)
    )
      throw malformed("a number above 2^53 - 1");
    if (counted > transactionCount) throw malformed("more transactions in blocks than in the segment");
    frames.push({ timestamp, originNumber, transactionCount: count });
  }
  if (counted !== transactionCount) throw malformed("fewer transactions in blocks than in the segment");

  const transactions = joinColumns(payload, signatures, transactionCount, chainId);
  let at = 0;
  const blocks = frames.map((frame) => ({
    timestamp: frame.timestamp,
    originNumber: frame.originNumber,
    transactions: transactions.slice(at, (at += frame.transactionCount)),
  }));
  return { firstBlock, parentHash, lastOrigin: { number: originNumber, hash: lastOriginHash }, blocks };
}
