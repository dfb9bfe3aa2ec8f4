/**
 * Owns what a block changes in the durable state between hashing and storing it: records and slots as they were and as
 * they will be, and the tries over them. Holds everything in memory, in the order in which it will be written.
 */
import { EMPTY_TRIE_ROOT } from "../protocol/ordered-trie.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import type { AccountRecord } from "./account-record.ts";
import { Arena } from "./arena.ts";
import type { TopChange } from "./root-joiner.ts";
import type { PreparedState } from "./state.ts";
import type { TrieBatch } from "./trie.ts";

export type AccountEntry = {
  /** keccak of the address. */
  readonly key: Uint8Array;
  readonly record: AccountRecord | undefined;
  /** Version that wrote the record; infinite for absent ones: what they were before is not known here. */
  readonly version: number;
  /** Of the stored record; undefined for absent ones. */
  readonly stamp: Uint8Array | undefined;
};

export type SlotEntry = {
  /** keccak of the slot. */
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly version: number;
  readonly stamp: Uint8Array | undefined;
};

export type AccountChange = {
  readonly address: Uint8Array;
  readonly key: Uint8Array;
  readonly record: AccountRecord | undefined;
};

export type SlotChange = {
  readonly storageId: number;
  readonly slot: Uint8Array;
  readonly key: Uint8Array;
  /** All zero: removed. */
  readonly value: Uint8Array;
  /** What the slot held; undefined in a new storage. */
  readonly before: SlotEntry | undefined;
};

/** A next state that waits for its commit: holds all changes in memory, sorted as they will be written. */
export class Prepared implements PreparedState {
  stateRoot: Uint8Array = EMPTY_TRIE_ROOT;
  readonly base: number;
  readonly generation: number;
  readonly accounts: AccountChange[] = [];
  readonly slots: SlotChange[] = [];
  /** `prefix`: of all keys of a trie that begins below it. */
  readonly tries: { readonly trieId: number; readonly batch: TrieBatch; readonly prefix?: Uint8Array }[] = [];
  /** Of a part of the state: what its changed slots of the account trie hold then. */
  readonly tops: TopChange[] = [];
  readonly wiped: number[] = [];
  readonly codes: StateWrites["codes"];
  nextStorageId: number;
  /** Of all its batches. */
  readonly arena = new Arena();

  constructor(base: number, generation: number, nextStorageId: number, codes: StateWrites["codes"]) {
    this.base = base;
    this.generation = generation;
    this.nextStorageId = nextStorageId;
    this.codes = codes;
  }
}
