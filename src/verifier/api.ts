/**
 * What others may ask of a verifier: the chain as L1 alone says it is, its heads, output roots to settle on, and whether
 * anything posted or sealed contradicts it.
 */
import type { Block, L1Origin } from "../protocol/block.ts";
import type { ConsumedSegment } from "../protocol/derivation.ts";
import type { OutputRootProof } from "../protocol/output-root.ts";
import type { Receipt } from "../protocol/receipt.ts";

export type VerifiedHead = {
  readonly number: number;
  readonly hash: Uint8Array;
  readonly timestamp: number;
  readonly originNumber: number;
};

/** A contradiction that is nobody's L1 weather: somebody computed wrongly. Settlement stops until it is resolved. */
export type Divergence =
  | {
      readonly kind: "block";
      readonly blockNumber: number;
      /** First header field that differs. */
      readonly field: string;
      /** First transaction whose inclusion or receipt differs; undefined when only the state does. */
      readonly transactionIndex: number | undefined;
      readonly transactionHash: Uint8Array | undefined;
      readonly sealedHash: Uint8Array;
      readonly derivedHash: Uint8Array;
    }
  | {
      readonly kind: "output";
      readonly blockNumber: number;
      readonly outputIndex: number;
      readonly postedRoot: Uint8Array;
      readonly derivedRoot: Uint8Array;
    };

export type VerifierStatus = {
  readonly safe: VerifiedHead;
  readonly finalized: VerifiedHead;
  /** Newest L1 block that is derived completely or in part. */
  readonly l1Derived: L1Origin;
  /** Newest L1 block seen; -1 before the first look. */
  readonly l1HeadNumber: number;
  /** Lowest inbox index not consumed. */
  readonly nextIndex: number;
  /** Entries posted and not consumed: one in hand, or behind a gap. */
  readonly waitingEntries: number;
  readonly divergence: Divergence | undefined;
  readonly notReady: string | undefined;
};

export type VerifierEvents = {
  /** The safe head moved forward, by one block. */
  safe?(block: Block, receipts: readonly Receipt[]): void;
  /** L1 reorganised: blocks above `toBlock` are gone; `removed` in descending order. */
  unwound?(toBlock: number, removed: readonly { block: Block; receipts: readonly Receipt[] }[]): void;
  finalized?(head: VerifiedHead): void;
  diverged?(divergence: Divergence): void;
  /** A segment is derived, or as much of it as keeps the rules. */
  consumed?(segment: ConsumedSegment): void;
};

export interface VerifierApi {
  /** Newest block derived from L1; undefined until derivation has caught up with L1 once since it was started. */
  safeHead(): VerifiedHead | undefined;
  /** Newest block derived from finalized L1 blocks. */
  finalizedHead(): VerifiedHead;
  /** A derived block. */
  block(number: number): Block | undefined;
  /** Output root of a derived block; undefined above the safe head. @throws {StateError} STATE_PRUNED */
  outputRootAt(number: number): { readonly outputRoot: Uint8Array; readonly proof: OutputRootProof } | undefined;
  divergence(): Divergence | undefined;
  status(): VerifierStatus;
  subscribe(events: VerifierEvents): () => void;
}

/** The sequencer's sealed chain, where a verifier runs beside it: what it compares its own blocks with. */
export interface SealedChain {
  block(number: number): Block | undefined;
  receipts(number: number): readonly Receipt[] | undefined;
}
