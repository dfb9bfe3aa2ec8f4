/**
 * Owns output roots: the one commitment to an L2 block that the proposer posts and withdrawals prove against.
 * @see OP Stack specification, L2 output root proposals
 */
import { concatBytes } from "../base/bytes.ts";
import { keccak256 } from "./keccak.ts";

/** What an output root commits to; also the preimage a withdrawal proof shows on L1. */
export type OutputRootProof = {
  readonly stateRoot: Uint8Array;
  readonly messagePasserStorageRoot: Uint8Array;
  readonly blockHash: Uint8Array;
};

const VERSION_0 = new Uint8Array(32);

/** `keccak256(version 0 ‖ stateRoot ‖ messagePasserStorageRoot ‖ blockHash)` */
export function outputRoot(proof: OutputRootProof): Uint8Array {
  return keccak256(concatBytes(VERSION_0, proof.stateRoot, proof.messagePasserStorageRoot, proof.blockHash));
}
