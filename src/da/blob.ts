/**
 * Owns posting a segment in blobs: packed, proven, archived, sent to the inbox, and read back from L1's own blob service.
 * A post counts when the transaction is confirmed and the archive holds the blobs; a read-back that fails is only
 * reported, since L1 has accepted the blobs and the archive serves them.
 */
import { bytesEqual } from "../base/bytes.ts";
import type { Log } from "../base/log.ts";
import type { CounterHandle } from "../base/metrics.ts";
import { postBlobsInput } from "../l1/inbox.ts";
import { type BlobProofs, proveBlob } from "../l1/kzg.ts";
import type { L1Reader } from "../l1/l1.ts";
import type { SendRequest, TransactionSender } from "../l1/sender.ts";
import { BLOBS_PER_SEGMENT_MAX, blobCountFor, blobPayloadMaxBytes, encodeBlobs } from "../protocol/blob-codec.ts";
import type { BlobArchive } from "./blob-archive.ts";
import { type BlobSource, type DaWriter, daError, type Posted, type SegmentPost } from "./da.ts";

export type BlobWriterDeps = {
  readonly inbox: Uint8Array;
  readonly sender: TransactionSender;
  readonly l1: L1Reader;
  readonly proofs: BlobProofs;
  readonly archive: BlobArchive;
  /** Where L1 serves blobs; absent: no read-back. */
  readonly readBack?: BlobSource;
  readonly readBackFailures: CounterHandle;
  readonly log: Log;
};

/** Stands for a blob in a simulation: the inbox counts them and looks at no more than their presence. */
const ANY_BLOB_HASH = new Uint8Array(32).fill(1);

export class BlobWriter implements DaWriter {
  readonly kind = "blobs";
  readonly segmentSizeMaxBytes = blobPayloadMaxBytes(BLOBS_PER_SEGMENT_MAX);
  readonly #deps: BlobWriterDeps;

  constructor(deps: BlobWriterDeps) {
    this.#deps = deps;
  }

  #request(segment: SegmentPost): Omit<SendRequest, "blobs"> {
    return {
      purpose: "batch",
      what: `segment ${segment.index}`,
      place: segment.index,
      to: this.#deps.inbox,
      data: postBlobsInput(segment),
    };
  }

  async simulate(segment: SegmentPost): Promise<void> {
    const blobs = Array.from({ length: blobCountFor(segment.bytes.length) }, () => ({
      blob: ANY_BLOB_HASH,
      commitment: ANY_BLOB_HASH,
      versionedHash: ANY_BLOB_HASH,
      proofs: [],
    }));
    await this.#deps.sender.simulate({ ...this.#request(segment), blobs });
  }

  async post(segment: SegmentPost): Promise<Posted> {
    if (segment.bytes.length > this.segmentSizeMaxBytes)
      throw daError("DA_TOO_LARGE", `a segment of ${segment.bytes.length} bytes, at most ${this.segmentSizeMaxBytes}`, {
        sizeBytes: segment.bytes.length,
      });
    const blobs = await Promise.all(encodeBlobs(segment.bytes).map((blob) => proveBlob(blob, this.#deps.proofs)));
    await Promise.all(blobs.map((b) => this.#deps.archive.put(b.versionedHash, b.blob)));
    const receipt = await this.#deps.sender.send({ ...this.#request(segment), blobs });
    await this.#readBack(
      segment.index,
      receipt.blockNumber,
      blobs.map((b) => b.versionedHash),
    );
    return {
      transactionHash: receipt.transactionHash,
      l1BlockNumber: receipt.blockNumber,
      l1BlockHash: receipt.blockHash,
      gasUsed: receipt.gasUsed,
      blobGasUsed: receipt.blobGasUsed,
      feeWei: receipt.feeWei,
    };
  }

  async #readBack(index: number, l1BlockNumber: number, versionedHashes: readonly Uint8Array[]): Promise<void> {
    const { readBack, l1, log, readBackFailures } = this.#deps;
    if (readBack === undefined) return;
    try {
      const block = await l1.block(l1BlockNumber);
      if (block === undefined) return; // reorganised already: the post comes again
      const reference = { l1BlockNumber, l1BlockHash: block.hash, l1Timestamp: block.timestamp, versionedHashes };
      const blobs = await readBack.blobs(reference);
      for (const [i, hash] of versionedHashes.entries()) {
        const archived = await this.#deps.archive.get(hash);
        const served = blobs[i];
        if (archived === undefined || served === undefined || !bytesEqual(archived, served))
          throw daError("DA_UNAVAILABLE", `blob ${i} of segment ${index} reads back differently`, { index });
      }
    } catch (err) {
      readBackFailures.inc();
      log.warn("posted blobs could not be read back", { index, err });
    }
  }
}
