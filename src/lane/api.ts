/**
 * What others may ask of a lane: the gateway submits and looks up, the orderer takes and settles. Same object in one
 * process, a client of the same shape in another.
 */
import type { SkipReason } from "../execution/execution.ts";
import type { OrderedTx } from "../protocol/cut.ts";
import type { PoolView } from "../rpc/chain-view.ts";

/** What became of a released transaction. */
export type Settlement =
  | { readonly hash: Uint8Array; readonly included: true }
  | { readonly hash: Uint8Array; readonly included: false; readonly reason: SkipReason; readonly tx: OrderedTx };

export type TakeLimits = {
  /** By gas limit; the batch ends with the transaction that reaches it. */
  readonly gasMax: number;
  /** What the open block has left; no transaction that may need more is taken. */
  readonly gasLeft: number;
  readonly sizeMaxBytes: number;
  /** What each transaction counts for beside its own bytes. */
  readonly txOverheadBytes: number;
  readonly baseFeeWei: bigint;
};

/** A batch taken for ordering; `txs` are already in the order of the policy. */
export type LaneBatch = {
  readonly txs: readonly OrderedTx[];
  readonly hashes: readonly Uint8Array[];
  /** It ended at `gasMax`, with executable ones left that the open block has room for. */
  readonly more: boolean;
};

export interface LaneApi extends PoolView {
  readonly index: number;
  /** Picks the best executable transactions, without making that durable; at most one batch is open at a time. */
  take(limits: TakeLimits): LaneBatch;
  /** Makes the open batch durable. Resolves to its lane position. */
  release(batch: LaneBatch): Promise<number>;
  /** Transactions of a release record, for replay. */
  batchAt(seq: number): Promise<readonly OrderedTx[]>;
  /** Reports what execution made of released transactions; the skipped that may still run later return to the pool. */
  settle(settlements: readonly Settlement[]): Promise<void>;
  /**
   * Makes transactions of blocks that are about to be rewound durable in this lane again. The function it resolves to
   * puts them into the pool and reads all nonces again: call it after the state was rolled back.
   */
  prepareReturn(txs: readonly OrderedTx[]): Promise<() => void>;
  /** Forgets log records that only sealed transactions need. `seq`: newest lane position in a sealed block. */
  trim(seq: number): Promise<void>;
  /**
   * A block with everything settled so far was sealed: its limits apply to admission, old waiting ones expire, and the
   * nonces of the accounts it changed (`changed`: hex keys) are read again. Not only own transactions move a nonce: a
   * deposit, an authorization (EIP-7702) and a creation by a delegated account do too.
   */
  onHead(block: { gasLimit: number; changed: Iterable<string> }): void;
}
