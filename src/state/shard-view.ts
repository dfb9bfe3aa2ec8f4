/**
 * Owns reads of one shard's database from outside: the node maps it read-only beside the thread or process that writes
 * it. Every read names a version and the trie that held the account then, so it does not matter how far the writer is
 * ahead; versions the writer has not committed yet are the caller's to cover.
 */
import { Database, type Table } from "../store/database.ts";
import { type AccountRecord, decodeAccount } from "./account-record.ts";
import { SLOT_DEPTH } from "./root-joiner.ts";
import { slotValue } from "./slot-record.ts";
import { entryKey, PART_ACCOUNT_TRIES } from "./state-key.ts";
import { decodeMeta, META_KEY, META_TABLE } from "./state-meta.ts";
import { type SlotTop, TrieLeaf } from "./trie.ts";
import { nodeRef } from "./trie-node.ts";
import { applyNodeDiff, TrieStore } from "./trie-store.ts";
import { UndoLog } from "./undo-log.ts";
import { VersionedTable } from "./versioned-table.ts";

const ZERO_32 = new Uint8Array(32);

export class ShardView {
  readonly #database: Database;
  readonly #meta: Table;
  readonly #records: VersionedTable;
  readonly #tries: TrieStore;

  /** `folder`: of a database that its shard has opened before; `database`: it, mapped already. */
  constructor(folder: string, database: Database = Database.open(folder, { readOnly: true })) {
    this.#database = database;
    const table = (name: string) => this.#database.table(name);
    this.#meta = table(META_TABLE);
    const undo = new UndoLog(table("undo"));
    this.#records = new VersionedTable(table("state"), table("tombstones"), table("checkpoints"), undo, applyNodeDiff);
    this.#tries = new TrieStore(this.#records, PART_ACCOUNT_TRIES);
  }

  /** What the shard has committed; undefined before it has anything. */
  versions(): { readonly head: number; readonly oldest: number } | undefined {
    const bytes = this.#meta.get(META_KEY);
    return bytes === undefined ? undefined : decodeMeta(bytes);
  }

  /** Makes what the shard has committed visible. */
  refresh(): void {
    this.#database.refresh();
  }

  /** `key`: hashed address. */
  account(trieId: number, key: Uint8Array, version: number): AccountRecord | undefined {
    const payload = this.#records.at(entryKey(trieId, key), version);
    return payload === undefined ? undefined : decodeAccount(payload, 0);
  }

  /** `key`: hashed slot. */
  slot(storageId: number, key: Uint8Array, version: number): Uint8Array {
    const payload = this.#records.at(entryKey(storageId, key), version);
    return payload === undefined ? ZERO_32 : slotValue(payload, 0, payload.length);
  }

  /** What hung in the slot of a first byte. */
  top(trieId: number, byte: number, version: number): SlotTop | undefined {
    const content = this.#tries.contentAt(trieId, Uint8Array.of(byte), SLOT_DEPTH, version);
    if (content === undefined || content instanceof TrieLeaf) return content;
    return { extension: content.extension, branch: nodeRef(content.rlp) };
  }

  /** Nodes from the slot's own branch towards the account. */
  proveAccount(trieId: number, key: Uint8Array, version: number): Uint8Array[] {
    return this.#tries.prove(trieId, key, version, SLOT_DEPTH);
  }

  proveSlot(storageId: number, key: Uint8Array, version: number): Uint8Array[] {
    return this.#tries.prove(storageId, key, version);
  }

  /** Copies the database as of one commit of the shard. */
  copyTo(folder: string): Promise<void> {
    return this.#database.copyTo(folder);
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}
