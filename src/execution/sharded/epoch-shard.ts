/**
 * Owns the interface of key shards to the epoch they validate. Those kept in this thread ({@link KeyVersions}, one for all
 * of them) answer at once, one in a worker ({@link RemoteShard}) later; whoever holds shards asks all of them for the same
 * things and takes what is known. Whatever a shard does not answer can be made good here: records are there until the
 * epoch is over.
 * @see docs/decisions/0014-sharded-execution.md
 */
import type { StateWrites } from "../../protocol/state-writes.ts";
import type { TxRecord } from "../wasm/result.ts";
import type { StateEntry } from "./messages.ts";

/** A dependency that did not hold, with what is right. */
export type Conflict = {
  /** Hex key of the account. */
  readonly address: string;
  /** Hex key; undefined: a field of the account. */
  readonly slot: string | undefined;
  /** Of a slot: the latest transaction below that wrote it, or -1, and what it holds there. */
  readonly writer: number;
  readonly value: Uint8Array | undefined;
};

export type StateKey =
  | { readonly kind: "account"; readonly address: Uint8Array }
  | { readonly kind: "slot"; readonly address: Uint8Array; readonly slot: Uint8Array };

export type ShardRead = {
  /** What a transaction there finds. */
  readonly index: number;
  readonly key: StateKey;
  readonly done: (entry: StateEntry) => void;
};

export interface EpochShard {
  /** Takes part in the result of a transaction with the accounts at these offsets (undefined: all), instead of before. */
  install(index: number, record: TxRecord | undefined, accounts: readonly number[] | undefined): void;
  /** Validates as far as it goes; the first transaction not known to hold here. */
  advance(): number;
  /** Why the result of `index` does not hold, as far as known. */
  conflict(index: number): Conflict | undefined;
  /** A slot the result of `index` read and that has another value by now, if that is known at once. */
  staleSlot(index: number): Conflict | undefined;
  read(read: ShardRead): void;
  /** The net effect of the epoch; of codes that were set the hashes. */
  net(): StateWrites;
}
