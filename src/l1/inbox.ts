/**
 * Owns calling the Inbox contract: the input of posts, and its state as of one L1 block. What its events mean is
 * src/protocol/inbox-events.ts.
 */
import { bytesToBigInt, toHex } from "../base/bytes.ts";
import { inboxAbi } from "./abi/inbox.ts";
import { answerWord, encodeCall } from "./abi-codec.ts";
import { type L1BlockRef, type L1Reader, l1Error } from "./l1.ts";

/** What a post says of its segment. */
export type SegmentHeading = {
  readonly index: number;
  readonly term: number;
  readonly firstBlock: number;
  readonly lastBlock: number;
};

const headingArgs = (h: SegmentHeading): readonly [bigint, bigint, bigint, bigint] => [
  BigInt(h.index),
  BigInt(h.term),
  BigInt(h.firstBlock),
  BigInt(h.lastBlock),
];

/** Input of `postBlobs`. */
export function postBlobsInput(heading: SegmentHeading): Uint8Array {
  return encodeCall(inboxAbi, "postBlobs", headingArgs(heading));
}

/** Input of `postCalldata`. */
export function postCalldataInput(heading: SegmentHeading, segment: Uint8Array): Uint8Array {
  return encodeCall(inboxAbi, "postCalldata", [...headingArgs(heading), segment]);
}

export type InboxState = { readonly nextIndex: number; readonly endIndex: number; readonly currentTerm: number };

/** State of the inbox at one block. @throws {L1Error} L1_ENDPOINT_MALFORMED when there is no inbox */
export async function readInbox(l1: L1Reader, inbox: Uint8Array, at: L1BlockRef): Promise<InboxState> {
  const read = async (functionName: "nextIndex" | "endIndex" | "currentTerm"): Promise<number> => {
    const answer = await l1.call({ to: inbox, data: encodeCall(inboxAbi, functionName), at });
    const value = answerWord(answer, 0, 1);
    if (value === undefined)
      throw l1Error("L1_ENDPOINT_MALFORMED", `${toHex(inbox)} answers ${functionName} with ${answer.length} bytes`, {});
    return Number(bytesToBigInt(value));
  };
  const [nextIndex, endIndex, currentTerm] = await Promise.all([
    read("nextIndex"),
    read("endIndex"),
    read("currentTerm"),
  ]);
  return { nextIndex, endIndex, currentTerm };
}
