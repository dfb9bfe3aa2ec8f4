/**
 * Owns the filling of an empty database with a state whose accounts are known by the hashes of their addresses, as from
 * another database: the account trie is hashed anew, storages are copied as they are. What is loaded has no history.
 * Nothing shows before `finish`, whatever ends it early; a state that begins there removes it.
 */
import { assert } from "../base/assert.ts";
import { EMPTY_TRIE_ROOT } from "../protocol/ordered-trie.ts";
import type { Database, Entry, Snapshot, Table } from "../store/database.ts";
import { type AccountRecord, accountLeaf, decodeAccount, encodeAccount } from "./account-record.ts";
import { SLOT_DEPTH, type TopChange } from "./root-joiner.ts";
import {
  ACCOUNT_TRIE,
  entryKey,
  hashOfEntryKey,
  PART_ACCOUNT_TRIES,
  pathRange,
  trieRange,
  WHOLE_ACCOUNT_TRIES,
  writeTrieId,
} from "./state-key.ts";
import { encodeMeta, META_KEY, META_TABLE, RECORD_TABLES } from "./state-meta.ts";
import { TrieBatch } from "./trie.ts";
import { applyNodeDiff, TrieStore } from "./trie-store.ts";
import { UndoLog } from "./undo-log.ts";
import { STAMP_BYTES, VersionedTable } from "./versioned-table.ts";

/** An account under the hash of its address. */
export type HashedAccount = { readonly key: Uint8Array; readonly record: AccountRecord };

export class StateLoad {
  readonly #meta: Table;
  readonly #table: Table;
  readonly #all: readonly Table[];
  readonly #records: VersionedTable;
  readonly #tries: TrieStore;
  readonly #isPart: boolean;
  readonly #encoded = new Uint8Array(256);
  #nextStorageId: number;
  #root = EMPTY_TRIE_ROOT;

  /** `part`: accounts lie in a trie for each first byte, below its slot. */
  constructor(database: Database, { part }: { part: boolean }) {
    this.#meta = database.table(META_TABLE);
    const [undo, tombstones, checkpoints, state] = RECORD_TABLES.map((name) => database.table(name)) as [
      Table,
      Table,
      Table,
      Table,
    ];
    this.#all = [this.#meta, undo, tombstones, checkpoints, state];
    this.#table = state;
    this.#records = new VersionedTable(state, tombstones, checkpoints, new UndoLog(undo), applyNodeDiff);
    this.#isPart = part;
    this.#nextStorageId = part ? PART_ACCOUNT_TRIES : WHOLE_ACCOUNT_TRIES;
    this.#tries = new TrieStore(this.#records, this.#nextStorageId);
  }

  /** Root of a whole state as far as it is loaded. */
  get root(): Uint8Array {
    return this.#root;
  }

  /** Removes whatever the database holds of a state. Within a transaction. */
  clear(): void {
    for (const table of this.#all) table.clear();
  }

  takeStorageId(): number {
    return this.#nextStorageId++;
  }

  /** Adds accounts of one first byte. `trieId`: the byte's, in a part. Within a transaction. */
  addAccounts(accounts: readonly HashedAccount[], trieId: number = ACCOUNT_TRIE): void {
    const [first] = accounts;
    if (first === undefined) return;
    const byte = first.key[0] as number;
    assert(this.#isPart === (trieId !== ACCOUNT_TRIE), "a part has tries of its own");
    const batch = this.#isPart
      ? this.#below(trieId, byte)
      : new TrieBatch(this.#tries.source(ACCOUNT_TRIE), this.#root, this.#tries.cachedRoot(ACCOUNT_TRIE));
    for (const { key, record } of accounts) {
      encodeAccount(this.#encoded, 0, record);
      batch.set(key, accountLeaf(this.#encoded, 0), false);
    }
    if (this.#isPart) batch.top();
    else this.#root = batch.hash();
    for (const { key, record } of accounts)
      this.#records.put(entryKey(trieId, key), encodeAccount(this.#records.record, STAMP_BYTES, record), 0);
    this.#tries.write(trieId, batch, 0, this.#isPart ? first.key.subarray(0, 1) : undefined);
  }

  /** What hangs in the slot of a byte of a part. */
  top(trieId: number, byte: number): TopChange {
    return { byte, top: this.#below(trieId, byte).top() };
  }

  #below(trieId: number, byte: number): TrieBatch {
    const key = Uint8Array.of(byte);
    const top = this.#tries.cachedRoot(trieId) ?? this.#tries.content(trieId, key, SLOT_DEPTH);
    return TrieBatch.below(this.#tries.source(trieId), SLOT_DEPTH, top);
  }

  /** Adds a record of another database's storage under a number of this one. Within a transaction; changes its bytes. */
  addStorageRecord(storageId: number, { key, value }: Entry): void {
    writeTrieId(key, 0, storageId);
    value.fill(0, 0, STAMP_BYTES);
    this.#table.put(key, value);
  }

  /** What is loaded is the state of `version`. Within a transaction. */
  finish(version: number): void {
    this.#meta.put(
      META_KEY,
      encodeMeta({
        head: version,
        oldest: version,
        prunedTo: version,
        nextStorageId: this.#nextStorageId,
        root: this.#root,
      }),
    );
  }
}

/** The accounts of one first byte in a table of records, in order; `trieId`: that holds them. */
export function* hashedAccounts(
  table: Table,
  snapshot: Snapshot,
  trieId: number,
  byte: number,
): Generator<HashedAccount, void, undefined> {
  const [start, end] = pathRange(trieId, Uint8Array.of(byte), SLOT_DEPTH);
  for (const { key, value } of table.iterateSnapshot(snapshot, { start, end })) {
    const hash = hashOfEntryKey(key);
    if (hash !== undefined) yield { key: hash.slice(), record: decodeAccount(value, STAMP_BYTES) };
  }
}

/** All of one storage in a table of records. */
export function storageRecords(table: Table, snapshot: Snapshot, storageId: number): Generator<Entry> {
  const [start, end] = trieRange(storageId);
  return table.iterateSnapshot(snapshot, { start, end });
}
