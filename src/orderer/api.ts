/** What others may ask of the orderer, and the view of the safe chain it asks of the verifier. */
import type { Block } from "../protocol/block.ts";

/** The chain as derived from L1: what the sequenced chain must agree with. */
export interface SafeChain {
  /** Newest safe block; undefined until derivation has caught up with L1 once. */
  safeHead(): { readonly number: number; readonly hash: Uint8Array } | undefined;
  block(number: number): Block | undefined;
  /** Defined while derivation contradicts what was sealed or posted. */
  divergence?(): object | undefined;
}

export interface OrdererApi {
  /** Undefined when blocks are built; else why not. */
  notReady(): string | undefined;
}
