/**
 * Owns the interface of stored chain data: blocks, receipts, the transaction index, the log search, and heads.
 * Invariant: blocks are contiguous from genesis to head; everything of a block is stored in one transaction.
 */
import type { Block } from "../protocol/block.ts";
import type { Log, Receipt } from "../protocol/receipt.ts";

export type LogFilter = {
  readonly fromBlock: number;
  readonly toBlock: number;
  /** Empty: any address. */
  readonly addresses: readonly Uint8Array[];
  /** Per position: undefined or empty = any, else one of. */
  readonly topics: readonly (readonly Uint8Array[] | undefined)[];
  /** Upper bound on results. @throws LOG_RESULT_LIMIT beyond it. */
  readonly limit: number;
};

export type FoundLog = Log & {
  readonly blockNumber: number;
  readonly blockHash: Uint8Array;
  readonly blockTimestamp: number;
  readonly transactionHash: Uint8Array;
  readonly transactionIndex: number;
  /** Position in the block. */
  readonly logIndex: number;
};

/** Encoded block access list (EIP-7928) with its keccak256. */
export type StoredAccessList = { readonly hash: Uint8Array; readonly encoded: Uint8Array };

export interface ChainStore {
  /** Number of the newest block; -1 when empty. */
  readonly head: number;
  block(number: number): Block | undefined;
  numberOfHash(blockHash: Uint8Array): number | undefined;
  blockHash(number: number): Uint8Array | undefined;
  receipts(number: number): readonly Receipt[] | undefined;
  transaction(hash: Uint8Array): { blockNumber: number; index: number } | undefined;
  logs(filter: LogFilter): readonly FoundLog[];
  /** Access lists of as many of the newest blocks are kept; 0: none, so none need to be made. */
  readonly accessListBlocks: number;
  /** Of one of the newest blocks, where the engine that ran it could tell. */
  accessList(number: number): StoredAccessList | undefined;
  /** Appends block head + 1. Call inside the database's transaction. */
  append(block: Block, receipts: readonly Receipt[], accessList?: Uint8Array): void;
  /** Forgets all blocks above `number`. Call inside the database's transaction. */
  rollback(number: number): void;
  /** Small named values stored with the chain (heads, cursors). */
  getMeta(key: string): Uint8Array | undefined;
  putMeta(key: string, value: Uint8Array): void;
}
