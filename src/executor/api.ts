/**
 * What others may ask of an executor: run the ordered transactions of the open block and hand back effects. It keeps
 * nothing that a replay of the order log would not give again.
 */
import type { ParentBlock } from "../execution/block-execution.ts";
import type { TxResult } from "../execution/execution.ts";
import type { Block } from "../protocol/block.ts";
import type { BlockContext, OrderedTx } from "../protocol/cut.ts";
import type { Receipt } from "../protocol/receipt.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import type { PendingBlock } from "../rpc/chain-view.ts";
import type { PreparedState } from "../state/state.ts";

export type FinishedBlock = {
  readonly block: Block;
  readonly receipts: readonly Receipt[];
  readonly prepared: PreparedState;
  /** Everything the block changed. */
  readonly writes: StateWrites;
  /** Encoded block access list, where it is kept. */
  readonly accessList: Uint8Array | undefined;
};

export interface ExecutorApi {
  /** Starts the block: system calls, L1 attributes, deposits. */
  open(context: BlockContext, parent: ParentBlock): Promise<void>;
  /** Runs transactions in order; results in the same order. */
  execute(txs: readonly OrderedTx[]): Promise<readonly TxResult[]>;
  /** What was executed so far is durable in the order, and checked. */
  confirm(): void;
  /** The open block as confirmed so far. */
  pending(): PendingBlock | undefined;
  /** Gas the open block can still take. */
  gasLeft(): number;
  /** Ends the open block: roots and header. @throws {ShadowError} when a shadow has the last word and does not agree */
  finish(): Promise<FinishedBlock>;
  /** Forgets the open block. */
  abandon(): void;
}
