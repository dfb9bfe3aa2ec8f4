/**
 * What others may ask of the lanes: the gateway submits and looks up, the orderer takes, the sealer settles. All of
 * them meet the lanes together; one lane is an object of this process or a client of the same shape.
 */
import type { SkipReason } from "../execution/execution.ts";
import type { LanePosition, OrderedTx, OrderRecord } from "../protocol/cut.ts";
import type { Arrival, LaneTx, OrderingName, Ranked } from "../protocol/ordering.ts";
import type { Answer, PooledTransaction, PoolView, SubmitOutcome } from "../rpc/chain-view.ts";

/** What became of an ordered transaction. */
export type Settlement = { readonly hash: Uint8Array; readonly tx: OrderedTx & { readonly arrival?: Arrival } } & (
  | { readonly included: true }
  | { readonly included: false; readonly reason: SkipReason }
);

export type TakeLimits = {
  /** By gas limit; the batch ends with the transaction that reaches it. */
  readonly gasMax: number;
  /** What the open block has left; no transaction that may need more is taken. */
  readonly gasLeft: number;
  readonly sizeMaxBytes: number;
  /** What each transaction counts for beside its own bytes. */
  readonly txOverheadBytes: number;
  readonly baseFeeWei: bigint;
  /** What was accepted at this time or later waits for the next cut, in every lane. */
  readonly acceptedBeforeMs: number;
};

/** A transaction that a lane offers for the next cut. */
export type OfferedTx = LaneTx & Ranked & { readonly gasLimit: number };

/** A batch taken for ordering, in the order of the policy. */
export type LaneBatch = {
  readonly txs: readonly OfferedTx[];
  /** It ended at `gasMax`, with executable ones left that the open block has room for. */
  readonly more: boolean;
  /** Newest time the lane has given. */
  readonly clockMs: number;
};

/** A block with everything settled so far was sealed: what admission depends on. */
export type LaneHead = {
  readonly gasLimit: number;
  /** Hex keys of the accounts it changed: their nonces are read again. Not only own transactions move a nonce. */
  readonly changed: Iterable<string>;
};

/** How much a lane holds, as far as it is known here. */
export type LaneUsage = { readonly txs: number; readonly sizeBytes: number };

/** Where the receipt of an accepted transaction comes from: the batch it was accepted in, and its place there. */
export type ArrivalBatch = {
  readonly lane: number;
  /** Of the first; those behind it follow. */
  readonly firstSequence: number;
  readonly acceptedMs: number;
  readonly hashes: readonly Uint8Array[];
  readonly index: number;
};

/** One lane that this process writes. */
export interface LaneApi {
  readonly index: number;
  /** Durable when it resolves. `share`: of new transactions to admit, below 1 while the chain is behind with posting. */
  submit(txs: readonly PooledTransaction[], share: number): Promise<readonly SubmitOutcome[]>;
  /** Picks the best executable transactions, without making that durable; at most one batch is open at a time. */
  take(limits: TakeLimits): Answer<LaneBatch>;
  /**
   * Makes what is `kept` of the open batch (places in it, rising; absent: all) durable; the rest waits again. Resolves to
   * its lane position, undefined when nothing is kept.
   */
  release(batch: LaneBatch, kept?: readonly number[]): Promise<number | undefined>;
  /** Resolves when what has to run later is durable here again. */
  settle(settlements: readonly Settlement[]): Promise<void>;
  /** See SettledLanes. */
  prepareReturn(txs: readonly LaneTx[]): Promise<() => Answer<void>>;
  /** Transactions here of senders of other lanes, as the number of lanes is now; about `sizeMaxBytes` of them. */
  strays(lanes: number, sizeMaxBytes: number): Answer<readonly LaneTx[]>;
  /** These strays are durable where they belong: they leave. */
  moved(txs: readonly LaneTx[]): Promise<void>;
  trim(seq: number): Promise<void>;
  onHead(head: LaneHead): void;
  usage(): LaneUsage;
  /** True when there is nothing to say against it; see Pool.holdFor. */
  holdFor(address: Uint8Array, hash: Uint8Array): Answer<boolean>;
  letGo(address: Uint8Array, hash: Uint8Array): void;
  /** What is here with authorizations (EIP-7702). */
  delegating(): Answer<readonly PooledTransaction[]>;
  arrivalOf(hash: Uint8Array): Promise<ArrivalBatch | undefined>;
  nextNonce(address: Uint8Array): Answer<bigint | undefined>;
  get(hash: Uint8Array): Answer<PooledTransaction | undefined>;
  status(): Answer<{ pending: number; queued: number }>;
  content(countMax: number, sender?: Uint8Array): Answer<PoolContent>;
  /** Undefined while it takes transactions; else why not. */
  notReady(): string | undefined;
  /** Between two cuts: a lane that was lost may come back. True when one has since this was asked last. */
  tend(): boolean;
}

export type PoolContent = {
  readonly pending: readonly PooledTransaction[];
  readonly queued: readonly PooledTransaction[];
};

/** What the sealer tells the lanes of the execution of their transactions. */
export interface SettledLanes {
  /** Reports what execution made of ordered transactions; the skipped that may still run later return to their pool. */
  settle(settlements: readonly Settlement[]): Promise<void>;
  /**
   * Makes transactions of blocks that are about to be rewound durable in their lanes again. The function it resolves to
   * puts them into the pools and reads all nonces again: call it after the state was rolled back.
   */
  prepareReturn(txs: readonly OrderedTx[]): Promise<() => Answer<void>>;
}

/** Lanes that are read: what a replay of the order asks of them. */
export interface ReplayLanes extends SettledLanes {
  /** Transactions of the lanes that a cut names, in its order. @throws {LogError} LOG_CORRUPT when a log lacks them */
  orderOf(cut: Extract<OrderRecord, { kind: "cut" }>, baseFeeWei: bigint): Promise<readonly LaneTx[]>;
  /** A block is opened: what execution put back in the one before is durable. */
  nextBlock(): void;
}

/** What a cut takes, over all lanes, in its order. */
export type CutBatch = { readonly txs: readonly LaneTx[]; readonly more: boolean };

/** How a cut names what it takes: by positions, or where a lane was lost on the way, by the transactions themselves. */
export type Released = { readonly positions: readonly LanePosition[]; readonly inline: readonly OrderedTx[] };

/** Lanes that this process writes. */
export interface LedLanes extends SettledLanes, PoolView {
  readonly ordering: OrderingName;
  take(limits: Omit<TakeLimits, "acceptedBeforeMs">): Answer<CutBatch>;
  /** Makes the open cut durable in its lanes. */
  release(cut: CutBatch): Promise<Released>;
  /** Forgets log records that only sealed transactions need. `sealed`: lane positions of a sealed block. */
  trim(sealed: readonly LanePosition[]): Promise<void>;
  onHead(head: LaneHead): void;
  /** Called between two cuts: lanes that were lost may come back. */
  tend(): void;
  notReady(): string | undefined;
}
