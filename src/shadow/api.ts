/**
 * What the sequencing roles may ask of the shadow: to run each block a second time on the other engine, and to say
 * whether both came to the same. In mode "required" nothing of a block is confirmed before it said so.
 */
import type { ExecutionObserver, ParentBlock } from "../execution/block-execution.ts";
import type { StateReader } from "../execution/execution.ts";
import type { Block, Header } from "../protocol/block.ts";
import type { BlockContext } from "../protocol/cut.ts";
import type { StateWrites } from "../protocol/state-writes.ts";

export type ShadowMode = "advisory" | "required";

/** A block as the first engine made it. */
export type ExecutedBlock = { readonly block: Block; readonly writes: StateWrites };

/** Where the engines part, by their own account; values as text. */
export type ShadowReport = {
  readonly blockNumber: number;
  readonly parentHash: string;
  /** Names of the engines: the sequencer's, and the one that checks it. */
  readonly engine: string;
  readonly shadowEngine: string;
  /** Place in the order of the block; undefined when they part outside of its transactions. */
  readonly transactionIndex: number | undefined;
  readonly transactionHash: string | undefined;
  /** The canonical bytes, to run it again. */
  readonly transaction: string | undefined;
  /** `inclusion`, a part of the receipt, of an account, `storage`, or a header field. */
  readonly field: DifferingField;
  readonly address: string | undefined;
  readonly slot: string | undefined;
  readonly value: string;
  readonly shadowValue: string;
};

export type DifferingField =
  | "inclusion"
  | "status"
  | "gasUsed"
  | "logs"
  | "effectiveGasPriceWei"
  | "contractAddress"
  | "depositNonce"
  | "balanceWei"
  | "accountNonce"
  | "codeHash"
  | "code"
  | "storage"
  | keyof Header;

export interface ShadowApi {
  readonly mode: ShadowMode;
  /** A block starts on top of `state`. Undefined: this one is not checked (mode "advisory", too far behind). */
  open(context: BlockContext, parent: ParentBlock, state: StateReader): ExecutionObserver | undefined;
  /**
   * The block is complete. In mode "required" it resolves when both engines agree; in mode "advisory" at once.
   * @throws {ShadowError} SHADOW_VETOED, SHADOW_FAILED (mode "required" only)
   */
  finish(executed: ExecutedBlock): Promise<void>;
  /** The open block is given up. */
  abandon(): void;
  /** Gas that may be executed now without leaving the shadow further behind than it may be. */
  gasRoom(): number;
}
