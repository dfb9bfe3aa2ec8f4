/**
 * Owns the interface of committed chain state: flat accounts, storage and code, the Merkle Patricia trie over them, and
 * their history down to a horizon. `lmdb-state.ts` is the durable one, `memory-state.ts` its twin for tests.
 * Invariant: the root of version n is exactly Ethereum's for the accounts of version n.
 */
import type { Account, StateReader } from "../execution/execution.ts";
import type { StateWrites } from "../protocol/state-writes.ts";

export type AccountProof = {
  readonly account: Account | undefined;
  readonly storageRoot: Uint8Array;
  /** RLP nodes from the root down. */
  readonly accountProof: readonly Uint8Array[];
  readonly storageProofs: readonly { slot: Uint8Array; value: Uint8Array; proof: readonly Uint8Array[] }[];
};

/** A computed but not yet stored next version. */
export type PreparedState = { readonly stateRoot: Uint8Array };

/**
 * State as the sequencing side uses it: hashing and proofs may take turns, where other threads or processes do them.
 * Every {@link StateStore} is one.
 */
export interface ChainState extends Omit<StateStore, "prepare" | "proof" | "storageRoot"> {
  prepare(writes: StateWrites): PreparedState | Promise<PreparedState>;
  proof(version: number, address: Uint8Array, slots: readonly Uint8Array[]): AccountProof | Promise<AccountProof>;
  /** Why blocks would have to wait; undefined when they would not. */
  notReady?(): string | undefined;
}

export interface StateStore {
  /** Newest committed version (block number); -1 before genesis. */
  readonly head: number;
  /** Oldest version whose reads and proofs are still served. */
  readonly oldest: number;
  /** Reads of one version (default: head). The reader stays valid until the store closes; @throws STATE_PRUNED, STATE_UNKNOWN. */
  reader(version?: number): StateReader;
  /** Hashes `writes` on top of head without storing anything. */
  prepare(writes: StateWrites): PreparedState;
  /** Stores a prepared state as version head + 1. Call inside the database's transaction. */
  commit(version: number, prepared: PreparedState): void;
  /** Forgets all versions above `version`. Call inside the database's transaction. */
  rollback(version: number): void;
  proof(version: number, address: Uint8Array, slots: readonly Uint8Array[]): AccountProof;
  /** Storage root of one account (for output roots). */
  storageRoot(version: number, address: Uint8Array): Uint8Array;
  /** Drops history below `version`. Bounded work per call; returns true when done. */
  prune(version: number): boolean;
}
