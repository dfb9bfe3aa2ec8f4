/**
 * Owns what Sheaf reads of L1: plain types, bytes instead of hex, and one reader interface with two adapters
 * (`rpc-l1.ts` over JSON-RPC, `memory-l1.ts` for tests). Invariant: an answer is complete and consistent, or the call
 * throws; logs name the block hash they belong to, so a reader can tell an answer of another fork.
 * An endpoint that answers nonsense is faulty, exactly like one that does not answer: both are retryable.
 */
import { defineErrors } from "../base/error.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";

export const l1Error = defineErrors("L1", {
  L1_ENDPOINT_DOWN: {
    summary: "The L1 endpoint did not answer in time, or answered with a transport error.",
    action: "Check the endpoint and the network; the call is retried.",
    retryable: true,
  },
  L1_ENDPOINT_MALFORMED: {
    summary: "The L1 endpoint answered something that is not a valid answer to the question.",
    action: "Treat the endpoint as faulty and use another one; the call is retried.",
    retryable: true,
  },
  L1_INCONSISTENT: {
    summary: "Two answers of the L1 endpoint contradict each other, usually because L1 reorganised between them.",
    action: "Nothing; the call is retried against the new chain.",
    retryable: true,
  },
  L1_BLOCK_UNKNOWN: {
    summary: "L1 no longer (or not yet) knows a block that was named by its hash.",
    action: "Nothing; readers fall back to the common ancestor and retry.",
    retryable: true,
  },
  L1_REFUSED: {
    summary: "The L1 endpoint answered the call with a JSON-RPC error.",
    action: "Read the error in the data; limits of the endpoint and missing methods show here.",
    retryable: false,
  },
  L1_LIMIT: {
    summary: "The L1 endpoint refuses because of a limit of its own (rate, range or result size).",
    action: "Lower the request rate or raise the plan of the endpoint; the call is retried.",
    retryable: true,
  },
  L1_NO_QUORUM: {
    summary: "Fewer L1 endpoints than the quorum gave the same answer, so none is believed.",
    action:
      "Read l1_endpoint_up and l1_endpoint_divergences_total: bring endpoints back, or replace the one that differs.",
    retryable: true,
  },
  L1_WRONG_CHAIN: {
    summary: "The L1 endpoint serves another chain than the one configured.",
    action: "Correct the endpoint or the chain id.",
    retryable: false,
  },
});

/** A block by number, by 32-byte hash, or by tag. */
export type L1BlockRef = number | Uint8Array | "latest" | "safe" | "finalized";

/** One event as L1 stores it. */
export type L1Log = {
  readonly address: Uint8Array;
  readonly topics: readonly Uint8Array[];
  readonly data: Uint8Array;
  readonly blockNumber: number;
  readonly blockHash: Uint8Array;
  readonly transactionHash: Uint8Array;
  readonly transactionIndex: number;
  /** Position in the block. */
  readonly logIndex: number;
};

/** A run of canonical blocks (inclusive), or one block by its hash. */
export type L1LogRange = { readonly fromBlock: number; readonly toBlock: number } | { readonly blockHash: Uint8Array };

export type L1LogFilter = L1LogRange & {
  /** Empty: any address. */
  readonly addresses: readonly Uint8Array[];
  /** Per position: undefined or empty = any, else one of. */
  readonly topics: readonly (readonly Uint8Array[] | undefined)[];
};

export type L1Transaction = {
  readonly hash: Uint8Array;
  readonly from: Uint8Array;
  /** Undefined: contract creation. */
  readonly to: Uint8Array | undefined;
  readonly input: Uint8Array;
  /** Versioned hashes of a blob transaction, in order; empty for all others. */
  readonly blobHashes: readonly Uint8Array[];
  /** The block that holds it; undefined while pending. */
  readonly blockHash: Uint8Array | undefined;
};

/** Bound of one `blocks` call: longer runs are asked for in parts. */
export const BLOCKS_PER_CALL_MAX = 512;

export interface L1Reader {
  chainId(): Promise<number>;
  /** The newest block. */
  head(): Promise<L1BlockInfo>;
  /** Undefined when there is no such block (yet, or on this fork). */
  block(ref: L1BlockRef): Promise<L1BlockInfo | undefined>;
  /**
   * Canonical blocks `fromBlock..toBlock` (inclusive, at most BLOCKS_PER_CALL_MAX) with linked parent hashes; shorter when
   * L1 is. @throws {L1Error} L1_INCONSISTENT when L1 reorganised meanwhile
   */
  blocks(fromBlock: number, toBlock: number): Promise<readonly L1BlockInfo[]>;
  /**
   * Events in (block, log index) order. A range may reach beyond the head: it then gives what there is.
   * @throws {L1Error} L1_BLOCK_UNKNOWN for a hash that L1 does not know
   */
  logs(filter: L1LogFilter): Promise<readonly L1Log[]>;
  /** Undefined when L1 does not know it. */
  transaction(hash: Uint8Array): Promise<L1Transaction | undefined>;
  /** `eth_call` as of a block. @throws {L1Error} L1_REFUSED with the revert data in `data.revertData` */
  call(request: { to: Uint8Array; data: Uint8Array; at: L1BlockRef }): Promise<Uint8Array>;
}
