/**
 * Owns what the JSON-RPC methods need to know of a chain: one read-only view that the sequencer's node and the verifier
 * both implement, and the pool behind `eth_sendRawTransaction`. Invariant: reads of one request come from one version.
 */
import type { BlockEnv, Engine, StateReader } from "../execution/execution.ts";
import type { Block } from "../protocol/block.ts";
import type { L1FeeParameters } from "../protocol/l1-fee.ts";
import type { Receipt } from "../protocol/receipt.ts";
import type { SignedTransaction } from "../protocol/transaction.ts";
import type { AccountProof } from "../state/state.ts";
import type { FoundLog, LogFilter, StoredAccessList } from "../store/chain-store.ts";

export type { L1FeeParameters };

export type Heads = {
  readonly latest: number;
  readonly safe: number;
  readonly finalized: number;
  /** Oldest block whose state is served. */
  readonly oldestState: number;
};

/** The block being built: executed below the watermark, not sealed. */
export type PendingBlock = {
  readonly env: BlockEnv;
  readonly parentHash: Uint8Array;
  readonly parentBeaconBlockRoot: Uint8Array;
  readonly transactions: readonly Uint8Array[];
  readonly senders: readonly Uint8Array[];
  readonly receipts: readonly Receipt[];
  readonly state: StateReader;
};

export type ChainEvents = {
  /** A new sealed block became the head. */
  block?(block: Block, receipts: readonly Receipt[]): void;
  /** Blocks above `toBlock` were unwound; `removed` in descending order with their receipts. */
  reorg?(toBlock: number, removed: readonly { block: Block; receipts: readonly Receipt[] }[]): void;
  /** Transactions were executed below the watermark: in the pending block, soon in a sealed one. */
  confirmed?(hashes: readonly Uint8Array[]): void;
  /** A transaction was accepted into the pool. */
  accepted?(tx: SignedTransaction): void;
};

export interface ChainView {
  readonly chainId: number;
  readonly engine: Engine;
  heads(): Heads;
  /** Stored block by number. */
  block(number: number): Block | undefined;
  numberOfHash(hash: Uint8Array): number | undefined;
  receipts(number: number): readonly Receipt[] | undefined;
  transaction(hash: Uint8Array): { blockNumber: number; index: number } | undefined;
  logs(filter: LogFilter): readonly FoundLog[];
  /** Block access list (EIP-7928) of a sealed block, while it is kept. */
  accessList(number: number): StoredAccessList | undefined;
  pending(): PendingBlock | undefined;
  /** State after block `number`. @throws {StateError} STATE_PRUNED */
  stateAt(number: number): StateReader;
  /** @throws {StateError} STATE_PRUNED */
  proof(number: number, address: Uint8Array, slots: readonly Uint8Array[]): AccountProof | Promise<AccountProof>;
  /** Environment in which a call on top of block `number` runs (that block's own context, as eth_call wants it). */
  envAt(number: number): BlockEnv;
  /** Fee parameters of L1 as the L1-attributes transaction of the block set them. */
  l1FeesAt(number: number): L1FeeParameters;
  subscribe(events: ChainEvents): () => void;
}

export type PoolRejection =
  | "ALREADY_KNOWN"
  | "NONCE_TOO_LOW"
  | "NONCE_TOO_FAR"
  | "UNDERPRICED"
  | "REPLACEMENT_UNDERPRICED"
  | "INSUFFICIENT_FUNDS"
  | "INTRINSIC_GAS"
  | "GAS_LIMIT_EXCEEDED"
  | "TX_TOO_LARGE"
  | "UNSUPPORTED_TYPE"
  | "WRONG_CHAIN"
  | "TIP_ABOVE_FEE"
  | "FEE_TOO_HIGH"
  | "INIT_CODE_TOO_LARGE"
  | "SENDER_NOT_EOA"
  | "POOL_FULL"
  | "SENDER_LIMIT"
  /** EIP-7702: one transaction at a time of an account whose balance others may move. */
  | "DELEGATED_LIMIT"
  | "DELEGATED_GAP"
  | "AUTHORITY_RESERVED"
  | "BACKLOG_FULL"
  /** Nobody orders transactions at the moment: sending it again is right. */
  | "NO_LEADER"
  | "UNAVAILABLE";

export type SubmitOutcome =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly code: PoolRejection; readonly message: string };

export type PooledTransaction = {
  readonly tx: SignedTransaction;
  readonly sender: Uint8Array;
  /** Who signed its authorizations (EIP-7702); absent: not recovered yet. */
  readonly authorities?: readonly Authority[];
};

/** An account that lets a transaction set its code, once its nonce is this. */
export type Authority = { readonly address: Uint8Array; readonly nonce: bigint };

/** At once where it is at hand. */
export type Answer<T> = T | Promise<T>;

/** `use` of an answer: at once where the answer is. */
export function answered<T, R>(answer: Answer<T>, use: (value: T) => R): Answer<R> {
  return answer instanceof Promise ? answer.then(use) : use(answer);
}

/** The pool as RPC sees it; a verifier has none. */
export interface PoolView {
  /** False while transactions go to another process, who leads; absent: they stay here. */
  readonly leads?: boolean;
  /** Durable when it resolves with accepted = true. Outcomes are in the order of `txs`. */
  submit(txs: readonly PooledTransaction[]): Promise<readonly SubmitOutcome[]>;
  /** Next nonce of a sender counting its executable pool transactions; undefined when it has none here. */
  nextNonce(address: Uint8Array): Answer<bigint | undefined>;
  get(hash: Uint8Array): Answer<PooledTransaction | undefined>;
  /** Counts and bounded content for txpool_*. */
  status(): Answer<{ pending: number; queued: number }>;
  /** `sender` limits it to one sender. */
  content(
    countMax: number,
    sender?: Uint8Array,
  ): Answer<{ pending: readonly PooledTransaction[]; queued: readonly PooledTransaction[] }>;
}
