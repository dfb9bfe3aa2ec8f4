/**
 * Owns what the rest of Sheaf knows of data availability: segment bytes go out through a `DaWriter` (`blob.ts`,
 * `calldata.ts`) and come back through sources that are verified on every read (`beacon.ts`, `blob-archive.ts`,
 * `memory.ts`). Invariant: bytes are given out only when they match what L1 committed to; bytes that do not match count
 * as not served (decision 0002). A writer resolves only when the bytes are on L1 and can be read back.
 */
import { defineErrors } from "../base/error.ts";
import type { SegmentHeading } from "../l1/inbox.ts";

export const daError = defineErrors("Da", {
  DA_UNAVAILABLE: {
    summary: "No source serves a blob, or only bytes that do not match its versioned hash.",
    action: "Add a beacon endpoint or a blob archive that holds it; derivation waits and retries.",
    retryable: true,
  },
  DA_TOO_LARGE: {
    summary: "A segment does not fit into one post.",
    action: "Lower the fill target of the publisher.",
    retryable: false,
  },
  DA_ARCHIVE: {
    summary: "The blob archive could not be read or written.",
    action: "Check the disk of the archive folder; posts wait until it can be written.",
    retryable: true,
  },
});

/** Which blobs, and the L1 block that carries them. */
export type BlobReference = {
  readonly l1BlockNumber: number;
  readonly l1BlockHash: Uint8Array;
  readonly l1Timestamp: number;
  readonly versionedHashes: readonly Uint8Array[];
};

export interface BlobSource {
  readonly name: string;
  /** True when it has checked what it gives out against the versioned hashes already: a check costs 35 ms a blob. */
  readonly checks: boolean;
  /**
   * The blobs in the order of the reference, each `BLOB_SIZE_BYTES` long and matching its versioned hash.
   * @throws {DaError} DA_UNAVAILABLE when any of them cannot be had
   */
  blobs(reference: BlobReference): Promise<readonly Uint8Array[]>;
}

/** What a post says to the inbox contract. */
export type SegmentPost = SegmentHeading & {
  /** Encoded segment (src/protocol/segment.ts). */
  readonly bytes: Uint8Array;
};

/** A post that L1 includes. */
export type Posted = {
  readonly transactionHash: Uint8Array;
  readonly l1BlockNumber: number;
  readonly l1BlockHash: Uint8Array;
  readonly gasUsed: number;
  readonly blobGasUsed: number;
  readonly feeWei: bigint;
};

export interface DaWriter {
  readonly kind: "blobs" | "calldata";
  /** The longest segment that one post can carry. */
  readonly segmentSizeMaxBytes: number;
  /** @throws {L1SenderError} SENDER_WOULD_REVERT when the inbox would not take the post now; costs nothing */
  simulate(segment: SegmentPost): Promise<void>;
  /**
   * Puts one segment on L1 and resolves when it is included with the configured confirmations.
   * @throws {DaError} DA_TOO_LARGE, DA_ARCHIVE; {L1SenderError} when the transaction reverts or cannot be sent
   */
  post(segment: SegmentPost): Promise<Posted>;
}
