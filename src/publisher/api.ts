/**
 * What others may ask of the publisher, and the two views it works from: the sealed chain and what derivation made of
 * the inbox so far.
 */
import type { Block, L1Origin } from "../protocol/block.ts";

/** The sequencer's chain, as far as it is sealed. Its top may be rewound. */
export interface SealedBlocks {
  /** Number of the newest sealed block. */
  readonly head: number;
  block(number: number): Block | undefined;
  /** Calls back with each block as it is sealed; returns the end of it. */
  onSeal(listener: (block: Block) => void): () => void;
}

/** One snapshot of derivation: everything in it is as of the same moment. */
export type DerivedView = {
  readonly safe: { readonly number: number; readonly hash: Uint8Array };
  /** Lowest inbox index not consumed. */
  readonly nextIndex: number;
  /** Newest L1 block derived, completely or in part. */
  readonly l1Derived: L1Origin;
  /** Entries that L1 holds and derivation has not consumed. */
  readonly waitingEntries: number;
};

export type PublisherStatus = {
  /** `posting`: all is well, even with nothing to post. */
  readonly state: "starting" | "posting" | "waiting" | "halted";
  /** Why it is not posting. */
  readonly reason: string | undefined;
  /** Newest block whose segment is on L1 and, as far as can be foreseen, valid. */
  readonly postedThrough: number;
  readonly pendingBlocks: number;
  /** Plain bytes of sealed blocks that no segment holds yet. */
  readonly openBytes: number;
  /** Bytes of sequenced transactions that are sealed and not on L1. */
  readonly backlogBytes: number;
  readonly inFlight: number;
  readonly nextIndex: number;
  readonly oldestUnpostedAgeSeconds: number;
  /** Share of the sequencing window that the oldest unposted block has used up. */
  readonly windowUsed: number;
};

export interface PublisherApi {
  status(): PublisherStatus;
  /**
   * The share of new transactions that may be admitted, 0 to 1, given the bytes that wait to be sealed: it falls before
   * the backlog reaches its bound, or the sequencing window its end.
   */
  admissionShare(waitingBytes: number): number;
  /** Posts what is there without waiting for a full segment (drains, shutdowns of a chain). */
  flush(): void;
}
