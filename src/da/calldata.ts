/**
 * Owns posting a segment as calldata: for L1s without blobs, for tiny segments, and for when blobs are dearer. The bytes
 * lie in the input of the transaction itself; nodes take transactions of at most 128 kB.
 */
import { postCalldataInput } from "../l1/inbox.ts";
import type { SendRequest, TransactionSender } from "../l1/sender.ts";
import { type DaWriter, daError, type Posted, type SegmentPost } from "./da.ts";

/** Below the 131,072 bytes that nodes take, with room for the rest of the transaction. */
export const CALLDATA_SEGMENT_MAX_BYTES = 120_000;

export class CalldataWriter implements DaWriter {
  readonly kind = "calldata";
  readonly segmentSizeMaxBytes = CALLDATA_SEGMENT_MAX_BYTES;
  readonly #inbox: Uint8Array;
  readonly #sender: TransactionSender;

  constructor(deps: { readonly inbox: Uint8Array; readonly sender: TransactionSender }) {
    this.#inbox = deps.inbox;
    this.#sender = deps.sender;
  }

  #request(segment: SegmentPost): SendRequest {
    return {
      purpose: "batch",
      what: `segment ${segment.index}`,
      place: segment.index,
      to: this.#inbox,
      data: postCalldataInput(segment, segment.bytes),
    };
  }

  async simulate(segment: SegmentPost): Promise<void> {
    await this.#sender.simulate(this.#request(segment));
  }

  async post(segment: SegmentPost): Promise<Posted> {
    if (segment.bytes.length > CALLDATA_SEGMENT_MAX_BYTES)
      throw daError("DA_TOO_LARGE", `a segment of ${segment.bytes.length} bytes as calldata`, {
        sizeBytes: segment.bytes.length,
      });
    const receipt = await this.#sender.send(this.#request(segment));
    return {
      transactionHash: receipt.transactionHash,
      l1BlockNumber: receipt.blockNumber,
      l1BlockHash: receipt.blockHash,
      gasUsed: receipt.gasUsed,
      blobGasUsed: 0,
      feeWei: receipt.feeWei,
    };
  }
}
