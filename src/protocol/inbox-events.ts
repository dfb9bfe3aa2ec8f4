/**
 * Owns what derivation reads of the Inbox contract: its events, and the data of a segment in a transaction's input.
 * Total and as lenient as the contract itself: the ABI allows several encodings of the same call, and the contract
 * takes all of them, so all must read the same here.
 */
import { bytesToBigInt, fromHex } from "../base/bytes.ts";
import type { InboxEntry } from "./derivation.ts";

/** keccak256("SegmentPosted(uint64,uint64,address,uint64,uint64,uint8,bytes32[])") */
export const SEGMENT_POSTED_TOPIC = fromHex("f477ae1e4849dc59b0113e8baf8b010dfd1a33ccbc8734dba6f5ac7ad2422d3e");
/** keccak256("GenesisPublished(bytes)") */
export const GENESIS_PUBLISHED_TOPIC = fromHex("bca89d109f8d42a0ebd2d64f2a6d0a1f52528c1aa1a40389e839a284ba363c0a");
/** Selector of postCalldata(uint64,uint64,uint64,uint64,bytes). */
export const POST_CALLDATA_SELECTOR = fromHex("418da523");

const WORD = 32;
const KIND_BLOBS = 0n;
const KIND_CALLDATA = 1n;

/** A SegmentPosted event in full; `firstBlock` and `lastBlock` are what the poster claims. */
export type SegmentPosted = InboxEntry & {
  readonly term: number;
  /** 20 bytes. */
  readonly poster: Uint8Array;
  readonly firstBlock: number;
  readonly lastBlock: number;
};

type EventLog = {
  readonly topics: readonly Uint8Array[];
  readonly data: Uint8Array;
  readonly transactionHash: Uint8Array;
};

/** Word `i` of ABI-encoded data; undefined beyond its end. */
function word(data: Uint8Array, i: number): Uint8Array | undefined {
  return data.length >= (i + 1) * WORD ? data.subarray(i * WORD, (i + 1) * WORD) : undefined;
}

/** Undefined for numbers that no chain reaches. */
function toNumber(bytes: Uint8Array | undefined): number | undefined {
  if (bytes === undefined) return undefined;
  const value = bytesToBigInt(bytes);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}

/**
 * The entry of a SegmentPosted event; undefined for any other log. A kind that this version does not know gives an entry
 * without hashes: its index is consumed without blocks.
 */
export function decodeSegmentPosted(log: EventLog): SegmentPosted | undefined {
  const [topic, indexWord, termWord, posterWord] = log.topics;
  if (topic === undefined || Buffer.compare(topic, SEGMENT_POSTED_TOPIC) !== 0) return undefined;
  const index = toNumber(indexWord);
  const count = toNumber(word(log.data, 4));
  if (index === undefined || posterWord === undefined || count === undefined || count > 64) return undefined;
  if (log.data.length < (5 + count) * WORD) return undefined;
  const kind = bytesToBigInt(word(log.data, 2) as Uint8Array);
  const known = kind === KIND_BLOBS || kind === KIND_CALLDATA;
  return {
    index,
    kind: kind === KIND_CALLDATA ? "calldata" : "blobs",
    hashes: known ? Array.from({ length: count }, (_, i) => word(log.data, 5 + i) as Uint8Array) : [],
    transactionHash: log.transactionHash,
    term: toNumber(termWord) ?? 0,
    poster: posterWord.subarray(12),
    firstBlock: toNumber(word(log.data, 0)) ?? 0,
    lastBlock: toNumber(word(log.data, 1)) ?? 0,
  };
}

/** A `bytes` value whose offset is at `head` words into `data`, as Solidity's decoder reads it. */
function abiBytes(data: Uint8Array, head: number): Uint8Array | undefined {
  const offset = toNumber(word(data, head));
  if (offset === undefined || offset + WORD > data.length) return undefined;
  const length = toNumber(data.subarray(offset, offset + WORD));
  if (length === undefined || offset + WORD + length > data.length) return undefined;
  return data.subarray(offset + WORD, offset + WORD + length);
}

/** The document in a GenesisPublished event; undefined for any other log. */
export function decodeGenesisPublished(log: Pick<EventLog, "topics" | "data">): Uint8Array | undefined {
  const topic = log.topics[0];
  if (topic === undefined || Buffer.compare(topic, GENESIS_PUBLISHED_TOPIC) !== 0) return undefined;
  return abiBytes(log.data, 0);
}

/** The segment in the input of a postCalldata transaction; undefined when it is none. Check it against the entry's hash. */
export function segmentOfCalldata(input: Uint8Array): Uint8Array | undefined {
  if (Buffer.compare(input.subarray(0, 4), POST_CALLDATA_SELECTOR) !== 0) return undefined;
  return abiBytes(input.subarray(4), 4);
}
