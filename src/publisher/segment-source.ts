/**
 * Owns turning sealed blocks into segment bytes: a pure function of (blocks, policy), and the check that what leaves the
 * house decodes to exactly those blocks. Deposits and attributes are left out: derivation takes them from L1.
 */
import { bytesEqual } from "../base/bytes.ts";
import { defineErrors } from "../base/error.ts";
import { decodeBlobs, encodeBlobs } from "../protocol/blob-codec.ts";
import type { Block } from "../protocol/block.ts";
import { decodeSegment, encodeSegment, type SegmentBlock, type SegmentOptions } from "../protocol/segment.ts";
import { DEPOSIT_TYPE } from "../protocol/transaction-codec.ts";

export const publisherError = defineErrors("Publisher", {
  PUBLISHER_ENCODING: {
    summary: "A segment does not decode to the blocks it was made of; it was not posted.",
    action: "Report a bug with the block range of the message; posting is halted.",
    retryable: false,
  },
  PUBLISHER_TOO_LARGE: {
    summary: "One sealed block alone is larger than a post can carry; nothing after it can be posted.",
    action: "Report a bug: the limit on the size of blocks must be below what six blobs take.",
    retryable: false,
  },
  PUBLISHER_NOT_LINKED: {
    summary: "A publisher in a process of its own has not heard from its sequencer or a verifier yet.",
    action: "See in its log why there is no link; it goes on when there is one.",
    retryable: true,
  },
  PUBLISHER_BLOCKS_MISSING: {
    summary: "Sealed blocks that must be posted are not in the store.",
    action: "Restore the sequencer's database; what L1 holds and the store do not fit together.",
    retryable: true,
  },
});

/** What a segment says of a sealed block. */
export function segmentBlock(block: Block): SegmentBlock {
  return {
    number: block.header.number,
    parentHash: block.header.parentHash,
    timestamp: block.header.timestamp,
    origin: block.origin,
    transactions: block.transactions.filter((raw) => raw[0] !== DEPOSIT_TYPE),
  };
}

/** Bytes of the sequenced transactions of a block: what its segment is made of, before compression. */
export function sequencedBytes(block: Block): number {
  return block.transactions.reduce((sum, raw) => (raw[0] === DEPOSIT_TYPE ? sum : sum + raw.length), 0);
}

/** Encodes a given range, for gaps and for posting again: same range, same bytes. */
export function encodeRange(
  block: (number: number) => Block | undefined,
  firstBlock: number,
  lastBlock: number,
  options: SegmentOptions,
): Uint8Array {
  const blocks: SegmentBlock[] = [];
  for (let n = firstBlock; n <= lastBlock; n++) {
    const found = block(n);
    if (found === undefined)
      throw publisherError("PUBLISHER_BLOCKS_MISSING", `block ${n} is not sealed`, { number: n });
    blocks.push(segmentBlock(found));
  }
  return encodeSegment(blocks, options);
}

/**
 * Decodes `bytes` as a verifier will, through blobs too, and compares with the sealed blocks.
 * @throws {PublisherError} PUBLISHER_ENCODING
 */
export function checkSegment(
  bytes: Uint8Array,
  firstBlock: number,
  lastBlock: number,
  block: (number: number) => Block | undefined,
): { readonly transactionBytes: number } {
  const fail = (what: string): never => {
    throw publisherError("PUBLISHER_ENCODING", `segment of blocks ${firstBlock} to ${lastBlock}: ${what}`, {
      firstBlock,
      lastBlock,
    });
  };
  if (!bytesEqual(decodeBlobs(encodeBlobs(bytes)), bytes)) fail("blobs give back other bytes");
  const content = decodeSegment(bytes);
  if (content.firstBlock !== firstBlock) fail(`starts at ${content.firstBlock}`);
  if (content.blocks.length !== lastBlock - firstBlock + 1) fail(`holds ${content.blocks.length} blocks`);
  let transactionBytes = 0;
  for (const [i, decoded] of content.blocks.entries()) {
    const sealed = block(firstBlock + i);
    if (sealed === undefined)
      throw publisherError("PUBLISHER_BLOCKS_MISSING", `block ${firstBlock + i} was rewound meanwhile`, {
        number: firstBlock + i,
      });
    const wanted = segmentBlock(sealed);
    if (i === 0 && !bytesEqual(content.parentHash, wanted.parentHash)) fail("another parent");
    if (sealed.header.number === lastBlock && !bytesEqual(content.lastOrigin.hash, wanted.origin.hash))
      fail("another last origin");
    if (decoded.timestamp !== wanted.timestamp) fail(`another time of block ${wanted.number}`);
    if (decoded.originNumber !== wanted.origin.number) fail(`another origin of block ${wanted.number}`);
    if (decoded.transactions.length !== wanted.transactions.length)
      fail(`other transactions in block ${wanted.number}`);
    for (const [j, raw] of wanted.transactions.entries()) {
      const given = decoded.transactions[j];
      if (given === undefined || !bytesEqual(given, raw)) fail(`another transaction ${j} in block ${wanted.number}`);
      transactionBytes += raw.length;
    }
  }
  return { transactionBytes };
}
