/**
 * Owns the interface of a key shard to the epoch it validates, and the shard whose version lists are kept in this thread.
 * A shard in a worker ({@link RemoteShard}) answers later; whoever holds shards asks all of them for the same things and
 * takes what is known. Whatever a shard does not answer can be made good here: records are there until the epoch is over.
 * @see docs/decisions/0014-sharded-execution.md
 */
import { toHexKey } from "../../base/bytes.ts";
import type { StateWrites } from "../../protocol/state-writes.ts";
import type { Account, StateReader } from "../execution.ts";
import { ACCOUNT } from "../wasm/layout.ts";
import type { TxRecord } from "../wasm/result.ts";
import { effectsAt, effectsOf, settleAccount } from "./effects.ts";
import { type ConflictKey, KeyVersions } from "./key-versions.ts";
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
  /** Corrects the account at `at` in the final result of `index`, if that was not done yet. */
  settle(index: number, record: TxRecord, at: number): void;
  /** Adds the net effect of the epoch to `to`. */
  net(to: StateWrites, codeOf: (codeHash: string) => Uint8Array | undefined): void;
}

/** Keeps its versions in this thread and answers at once. */
export class LocalShard implements EpochShard {
  readonly #versions: KeyVersions;

  constructor(base: StateReader, count: number) {
    this.#versions = new KeyVersions(base, count);
  }

  /** Accounts and slots of the results taken so far. */
  get accesses(): number {
    return this.#versions.accesses;
  }

  install(index: number, record: TxRecord | undefined, accounts: readonly number[] | undefined): void {
    let part = NO_EFFECTS;
    if (record !== undefined) part = accounts === undefined ? effectsOf(record) : effectsAt(record, accounts);
    this.#versions.install(index, part);
  }
  advance(): number {
    return this.#versions.advance();
  }
  conflict(index: number): Conflict | undefined {
    return this.#explain(this.#versions.conflict(index), index);
  }
  staleSlot(index: number): Conflict | undefined {
    return this.#explain(this.#versions.staleSlot(index), index);
  }
  #explain(key: ConflictKey | undefined, index: number): Conflict | undefined {
    if (key === undefined) return undefined;
    const { address, slot } = key;
    if (slot === undefined) return { address, slot, writer: -1, value: undefined };
    const versions = this.#versions;
    return {
      address,
      slot,
      writer: versions.slotWriter(address, slot, index),
      value: versions.storage(address, slot, index),
    };
  }

  account(key: string, index: number): Account | undefined {
    return this.#versions.account(key, index);
  }
  storage(key: string, slot: string, index: number): Uint8Array {
    return this.#versions.storage(key, slot, index);
  }
  read({ index, key, done }: ShardRead): void {
    const address = toHexKey(key.address);
    if (key.kind === "account") done({ ...key, account: this.account(address, index) });
    else done({ ...key, value: this.storage(address, toHexKey(key.slot), index) });
  }

  /** True when the account was other than the state below says. */
  settle(index: number, record: TxRecord, at: number): boolean {
    return settleAccount(record, at, this.account(record.hex(at + ACCOUNT.address, 20), index));
  }
  net(to: StateWrites, codeOf: (codeHash: string) => Uint8Array | undefined): void {
    this.#versions.net(to, codeOf);
  }
}

const NO_EFFECTS: ReturnType<typeof effectsOf> = [];
