/**
 * Owns the durable state: flat accounts and slots under their hashed keys, code by hash, the tries over them, and the
 * history of all of it down to a horizon.
 * Invariants: everything of a version is written in the caller's transaction; the root is exactly Ethereum's for the
 * flat state of the same version; `prepare` changes nothing, however often it is called.
 * After an aborted transaction, and after a rollback, what is kept in memory is read again from the tables.
 * Keys are hashes, so a range of first hash bytes is a self-contained part of the state (DESIGN D4).
 */
import { assert } from "../base/assert.ts";
import { bytesEqual, compareBytes, fromHex } from "../base/bytes.ts";
import type { Account, StateReader } from "../execution/execution.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_TRIE_ROOT } from "../protocol/ordered-trie.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import type { Database, Table } from "../store/database.ts";
import { type AccountRecord, accountLeaf, decodeAccount, encodeAccount } from "./account-record.ts";
import { Arena } from "./arena.ts";
import { ByteCache } from "./byte-cache.ts";
import { CodeStore } from "./code-store.ts";
import { requireVersion, stateError } from "./error.ts";
import { SLOT_DEPTH, type TopChange } from "./root-joiner.ts";
import { encodeSlot, isZero, slotValue } from "./slot-record.ts";
import type { AccountProof, PreparedState, StateStore } from "./state.ts";
import { type AccountChange, type AccountEntry, Prepared, type SlotChange, type SlotEntry } from "./state-changes.ts";
import {
  ACCOUNT_TRIE,
  entryKey,
  PART_ACCOUNT_TRIES,
  readTrieId,
  TRIE_ID_BYTES,
  trieRange,
  WHOLE_ACCOUNT_TRIES,
  writeTrieId,
} from "./state-key.ts";
import { decodeMeta, encodeMeta, META_KEY, META_TABLE, RECORD_TABLES } from "./state-meta.ts";
import { TrieBatch } from "./trie.ts";
import { slotLeafValue } from "./trie-node.ts";
import { applyNodeDiff, TrieStore } from "./trie-store.ts";
import { UNDO_CHECKPOINTED, UNDO_NOTE, UNDO_REMOVED, UndoLog } from "./undo-log.ts";
import { STAMP_BYTES, stampVersion, VersionedTable } from "./versioned-table.ts";

const ZERO_32 = new Uint8Array(32);
const HASH_BYTES = 32;
const ADDRESS_BYTES = 20;
const SLOT_CACHE_KEY_BYTES = TRIE_ID_BYTES + HASH_BYTES;

/** Notes in the undo log. */
const OLD_ROOT = Uint8Array.of(0);
const WIPED = Uint8Array.of(1);

/** Some 300 bytes each. */
const CACHED_ACCOUNTS = 32_768;
const CACHED_SLOTS = 65_536;
/** Records and chunks one call of `prune` may touch before it stops: some milliseconds. One version is always done. */
const PRUNE_STEP = 2000;

export type LmdbStateOptions = {
  /** Hash of a stored block, for BLOCKHASH. */
  readonly blockHash?: (number: number) => Uint8Array | undefined;
  /** Holds some first bytes of the hashed addresses only, each in an account trie of its own below its slot. */
  readonly part?: boolean;
};

export class LmdbState implements StateStore {
  readonly #database: Database;
  readonly #blockHash: (number: number) => Uint8Array | undefined;
  readonly #meta: Table;
  readonly #codes: CodeStore;
  readonly #undo: UndoLog;
  /** Accounts, slots and trie nodes. */
  readonly #records: VersionedTable;
  readonly #tries: TrieStore;
  /** But code, which is right under its hash in every version. */
  readonly #tables: readonly Table[];
  readonly #isPart: boolean;
  /** Account trie of each first byte. */
  readonly #trieOf: number[];

  #head = -1;
  #oldest = 0;
  /** History up to here is gone; it trails {@link oldest} while pruning is under way. */
  #prunedTo = 0;
  #nextStorageId = 1;
  #root = EMPTY_TRIE_ROOT;

  /** The last transaction that changed the state. */
  #touchedBy = -1;
  /** Grows with every rollback; prepared states of an earlier one are void. */
  #generation = 0;
  /** Where each rollback went: readers of versions above it are void. */
  readonly #rollbacks: number[] = [];

  readonly #accountCache = new ByteCache<AccountEntry>(ADDRESS_BYTES, CACHED_ACCOUNTS);
  readonly #slotCache = new ByteCache<SlotEntry>(SLOT_CACHE_KEY_BYTES, CACHED_SLOTS);
  readonly #slotCacheKey = new Uint8Array(SLOT_CACHE_KEY_BYTES);

  /** @throws {StateError} STATE_FORMAT */
  constructor(database: Database, options: LmdbStateOptions = {}) {
    this.#database = database;
    this.#blockHash = options.blockHash ?? (() => undefined);
    const tables = [META_TABLE, ...RECORD_TABLES].map((name) => database.table(name));
    this.#tables = tables;
    const [meta, undo, tombstones, checkpoints, records] = tables as [Table, Table, Table, Table, Table];
    this.#meta = meta;
    this.#codes = new CodeStore(database.table("codes"));
    this.#isPart = options.part === true;
    this.#trieOf = Array.from({ length: 256 }, () => ACCOUNT_TRIE);
    this.#undo = new UndoLog(undo);
    this.#records = new VersionedTable(records, tombstones, checkpoints, this.#undo, applyNodeDiff);
    this.#tries = new TrieStore(this.#records, this.#isPart ? PART_ACCOUNT_TRIES : WHOLE_ACCOUNT_TRIES);
    this.#load();
    database.onAbort(() => {
      if (this.#touchedBy !== database.transactionNumber) return;
      this.#load();
      this.#forgetMemory();
      this.#generation++;
    });
  }

  get head(): number {
    return this.#head;
  }

  get oldest(): number {
    return this.#oldest;
  }

  // --- meta ---

  #load(): void {
    const bytes = this.#meta.get(META_KEY);
    if (bytes === undefined) {
      this.#head = -1;
      this.#oldest = 0;
      this.#prunedTo = 0;
      this.#nextStorageId = this.#isPart ? PART_ACCOUNT_TRIES : WHOLE_ACCOUNT_TRIES;
      this.#root = EMPTY_TRIE_ROOT;
      return;
    }
    const meta = decodeMeta(bytes);
    this.#head = meta.head;
    this.#oldest = meta.oldest;
    this.#prunedTo = meta.prunedTo;
    this.#nextStorageId = meta.nextStorageId;
    this.#root = meta.root;
  }

  #store(): void {
    const meta = { head: this.#head, oldest: this.#oldest, prunedTo: this.#prunedTo };
    this.#meta.put(META_KEY, encodeMeta({ ...meta, nextStorageId: this.#nextStorageId, root: this.#root }));
  }

  #forgetMemory(): void {
    this.#accountCache.clear();
    this.#slotCache.clear();
    this.#tries.reset();
  }

  // --- reading the head ---

  #accountTrie(key: Uint8Array): number {
    return this.#trieOf[key[0] as number] as number;
  }

  #account(address: Uint8Array): AccountEntry {
    const known = this.#accountCache.get(address);
    if (known !== undefined) return known;
    assert(address.length === ADDRESS_BYTES, "addresses have 20 bytes");
    const key = keccak256(address);
    const found = this.#records.read(entryKey(this.#accountTrie(key), key)) >= 0;
    const { buffer } = this.#records;
    const entry = found
      ? {
          key,
          record: decodeAccount(buffer, STAMP_BYTES),
          version: stampVersion(buffer),
          stamp: buffer.slice(0, STAMP_BYTES),
        }
      : { key, record: undefined, version: Number.POSITIVE_INFINITY, stamp: undefined };
    this.#accountCache.set(address, entry);
    return entry;
  }

  #slot(storageId: number, slot: Uint8Array): SlotEntry {
    const cacheKey = this.#slotCacheKey;
    assert(slot.length === HASH_BYTES, "slots have 32 bytes");
    writeTrieId(cacheKey, 0, storageId);
    cacheKey.set(slot, TRIE_ID_BYTES);
    const known = this.#slotCache.get(cacheKey);
    if (known !== undefined) return known;
    const key = keccak256(slot);
    const length = this.#records.read(entryKey(storageId, key));
    const { buffer } = this.#records;
    const entry =
      length >= 0
        ? {
            key,
            value: slotValue(buffer, STAMP_BYTES, length),
            version: stampVersion(buffer),
            stamp: buffer.slice(0, STAMP_BYTES),
          }
        : { key, value: ZERO_32, version: Number.POSITIVE_INFINITY, stamp: undefined };
    this.#slotCache.set(cacheKey, entry);
    return entry;
  }

  // --- readers ---

  reader(version: number = this.#head): StateReader {
    requireVersion(this, version);
    const rollbacksSeen = this.#rollbacks.length;
    let generation = this.#generation;
    const requireValid = (): void => {
      if (version >= this.#oldest && generation === this.#generation) return;
      requireVersion(this, version);
      for (let i = rollbacksSeen; i < this.#rollbacks.length; i++)
        if ((this.#rollbacks[i] as number) < version)
          throw stateError("STATE_UNKNOWN", `version ${version} was unwound`, { version });
      generation = this.#generation;
    };
    const historicAccount = (key: Uint8Array): AccountRecord | undefined => {
      const payload = this.#records.at(entryKey(this.#accountTrie(key), key), version);
      return payload === undefined ? undefined : decodeAccount(payload, 0);
    };
    const record = (address: Uint8Array): AccountRecord | undefined => {
      requireValid();
      const entry = this.#account(address);
      return version === this.#head || entry.version <= version ? entry.record : historicAccount(entry.key);
    };
    return {
      account: (address): Account | undefined => record(address),
      storage: (address, slot) => {
        const storageId = record(address)?.storageId ?? 0;
        if (storageId === 0) return ZERO_32;
        const entry = this.#slot(storageId, slot);
        if (version === this.#head || entry.version <= version) return entry.value;
        const payload = this.#records.at(entryKey(storageId, entry.key), version);
        return payload === undefined ? ZERO_32 : slotValue(payload, 0, payload.length);
      },
      code: (codeHash) => this.#codes.get(codeHash),
      blockHash: (number) =>
        number > version || number < version - 256 ? ZERO_32 : (this.#blockHash(number) ?? ZERO_32),
    };
  }

  // --- changing ---

  prepare(writes: StateWrites): PreparedState {
    const prepared = new Prepared(this.#head, this.#generation, this.#nextStorageId, writes.codes);
    for (const [addressKey, write] of writes.accounts) {
      const address = fromHex(addressKey);
      const { key, record } = this.#account(address);
      const oldId = record?.storageId ?? 0;
      const { account } = write;
      const wiped = oldId !== 0 && (write.cleared || account === undefined);
      if (wiped) prepared.wiped.push(oldId);
      if (account === undefined) {
        if (record !== undefined) prepared.accounts.push({ address, key, record: undefined });
        continue;
      }
      const storage = this.#prepareStorage(
        prepared,
        write.storage,
        wiped ? 0 : oldId,
        wiped || record === undefined ? EMPTY_TRIE_ROOT : record.storageRoot,
      );
      if (record !== undefined && sameAccount(record, account) && storage.storageId === oldId && !storage.changed)
        continue;
      const { nonce, balanceWei } = account;
      const codeHash = account.codeHash.slice();
      const { storageId, storageRoot } = storage;
      prepared.accounts.push({ address, key, record: { nonce, balanceWei, codeHash, storageId, storageRoot } });
    }
    prepared.accounts.sort((a, b) => compareBytes(a.key, b.key));
    prepared.slots.sort((a, b) => a.storageId - b.storageId || compareBytes(a.key, b.key));
    if (this.#isPart) this.#hashSlots(prepared);
    else if (prepared.accounts.length === 0) prepared.stateRoot = this.#root;
    else {
      const batch = new TrieBatch(
        this.#tries.source(ACCOUNT_TRIE),
        this.#root,
        this.#tries.cachedRoot(ACCOUNT_TRIE),
        prepared.arena,
      );
      for (const change of prepared.accounts) this.#setAccount(batch, change);
      prepared.stateRoot = batch.hash();
      prepared.tries.push({ trieId: ACCOUNT_TRIE, batch });
    }
    return prepared;
  }

  readonly #encoded = new Uint8Array(256);

  #setAccount(batch: TrieBatch, { address, key, record }: AccountChange): void {
    if (record === undefined) batch.delete(key);
    else {
      encodeAccount(this.#encoded, 0, record);
      batch.set(key, accountLeaf(this.#encoded, 0), this.#account(address).record !== undefined);
    }
  }

  /** Adds slot changes and the trie batch of one account; returns its storage afterwards. */
  #prepareStorage(
    prepared: Prepared,
    storage: ReadonlyMap<string, Uint8Array>,
    storageId: number,
    storageRoot: Uint8Array,
  ): { storageId: number; storageRoot: Uint8Array; changed: boolean } {
    if (storage.size === 0) return { storageId, storageRoot, changed: false };
    const trieId = storageId === 0 ? prepared.nextStorageId : storageId;
    const changes: SlotChange[] = [];
    for (const [slotKey, value] of storage) {
      assert(value.length === HASH_BYTES, "slot values have 32 bytes");
      const slot = fromHex(slotKey);
      if (storageId === 0) {
        if (!isZero(value))
          changes.push({ storageId: trieId, slot, key: keccak256(slot), value: value.slice(), before: undefined });
        continue;
      }
      const entry = this.#slot(storageId, slot);
      if (bytesEqual(entry.value, value)) continue;
      changes.push({ storageId: trieId, slot, key: entry.key, value: value.slice(), before: entry });
    }
    if (changes.length === 0) return { storageId, storageRoot, changed: false };
    changes.sort((a, b) => compareBytes(a.key, b.key));
    const batch = new TrieBatch(
      this.#tries.source(trieId),
      storageRoot,
      this.#tries.cachedRoot(trieId),
      prepared.arena,
    );
    for (const change of changes) {
      prepared.slots.push(change);
      if (isZero(change.value)) batch.delete(change.key);
      else batch.set(change.key, slotLeafValue(change.value), change.before?.stamp !== undefined);
    }
    const newRoot = batch.hash();
    prepared.tries.push({ trieId, batch });
    if (trieId === prepared.nextStorageId) prepared.nextStorageId++;
    return { storageId: bytesEqual(newRoot, EMPTY_TRIE_ROOT) ? 0 : trieId, storageRoot: newRoot, changed: true };
  }

  commit(version: number, prepared: PreparedState): void {
    assert(this.#database.inTransaction, "states are committed inside the database's transaction");
    assert(prepared instanceof Prepared, "a prepared state comes from the store that commits it");
    assert(
      version === this.#head + 1 && prepared.base === this.#head && prepared.generation === this.#generation,
      "a prepared state is committed on its base",
    );
    this.#touchedBy = this.#database.transactionNumber;
    const undo = this.#undo;
    undo.begin(version);
    if (version > 0) this.#note(OLD_ROOT, this.#root);
    for (const storageId of prepared.wiped) {
      const id = new Uint8Array(TRIE_ID_BYTES);
      writeTrieId(id, 0, storageId);
      this.#note(WIPED, id);
    }
    this.#write(prepared, version);
    this.#codes.put(prepared.codes);
    undo.finish();
    this.#forgetHistory(); // what earlier calls of prune left over
    this.#head = version;
    this.#root = prepared.stateRoot;
    this.#nextStorageId = prepared.nextStorageId;
    this.#store();
  }

  /** Stores the changes of a prepared state as those of `version`. */
  #write(prepared: Prepared, version: number): void {
    const records = this.#records;
    for (const { address, key, record } of prepared.accounts) {
      const tableKey = entryKey(this.#accountTrie(key), key);
      const before = this.#account(address);
      if (record === undefined) {
        records.remove(tableKey, version);
        this.#accountCache.set(address, { key, record, version: Number.POSITIVE_INFINITY, stamp: undefined });
        continue;
      }
      let oldLength = 0;
      if (before.record !== undefined && before.stamp !== undefined) {
        records.old.set(before.stamp);
        oldLength = STAMP_BYTES + encodeAccount(records.old, STAMP_BYTES, before.record);
      }
      records.put(tableKey, encodeAccount(records.record, STAMP_BYTES, record), version, oldLength);
      this.#accountCache.set(address, { key, record, version, stamp: records.record.slice(0, STAMP_BYTES) });
    }
    for (const { storageId, slot, key, value, before } of prepared.slots) {
      const tableKey = entryKey(storageId, key);
      let after: SlotEntry = { key, value: ZERO_32, version: Number.POSITIVE_INFINITY, stamp: undefined };
      if (isZero(value)) records.remove(tableKey, version);
      else {
        let oldLength = 0;
        if (before?.stamp !== undefined) {
          records.old.set(before.stamp);
          oldLength = STAMP_BYTES + encodeSlot(records.old, STAMP_BYTES, before.value);
        }
        records.put(tableKey, encodeSlot(records.record, STAMP_BYTES, value), version, oldLength);
        after = { key, value, version, stamp: records.record.slice(0, STAMP_BYTES) };
      }
      writeTrieId(this.#slotCacheKey, 0, storageId);
      this.#slotCacheKey.set(slot, TRIE_ID_BYTES);
      this.#slotCache.set(this.#slotCacheKey, after);
    }
    for (const { trieId, batch, prefix } of prepared.tries) this.#tries.write(trieId, batch, version, prefix);
  }

  #note(key: Uint8Array, body: Uint8Array): void {
    const start = this.#undo.reserve(UNDO_NOTE, key, body.length);
    this.#undo.bytes.set(body, start + UndoLog.bodyAt(key));
  }

  // --- history ---

  rollback(version: number): void {
    assert(this.#database.inTransaction, "states are unwound inside the database's transaction");
    if (version >= this.#head) return;
    this.#touchedBy = this.#database.transactionNumber;
    if (version === -1) {
      for (const table of this.#tables) table.clear();
      this.#load();
    } else {
      requireVersion(this, version);
      for (; this.#head > version; this.#head--) {
        const chunks = this.#undo.chunks(this.#head);
        for (const entries of chunks.toReversed())
          for (const entry of entries.toReversed()) {
            if ((entry.kind & UNDO_NOTE) === 0) this.#records.undo(entry, this.#head);
            else if (bytesEqual(entry.key, OLD_ROOT)) this.#root = entry.body;
          }
        this.#undo.remove(this.#head, chunks.length);
      }
      this.#store();
    }
    this.#forgetMemory();
    this.#generation++;
    this.#rollbacks.push(version);
  }

  prune(version: number): boolean {
    assert(version <= this.#head, "only history is pruned");
    if (version <= this.#oldest && this.#prunedTo === this.#oldest) return true;
    return this.#database.transaction(() => {
      this.#touchedBy = this.#database.transactionNumber;
      if (version > this.#oldest) this.#oldest = version;
      this.#forgetHistory();
      this.#store();
      return this.#prunedTo === this.#oldest;
    });
  }

  /** A bounded piece of what is to be pruned: one version at least, so more than a commit adds. */
  #forgetHistory(): void {
    for (let budget = PRUNE_STEP; this.#prunedTo < this.#oldest && budget > 0; ) {
      const next = this.#prunedTo + 1;
      // Wiped storages first: they may take several calls, and the entries that name them must stay until done.
      this.#undo.flagged(next, UNDO_NOTE, ({ key, body }) => {
        if (bytesEqual(key, WIPED) && budget > 0)
          budget -= this.#records.wipe(...trieRange(readTrieId(body, 0)), budget);
      });
      if (budget <= 0) return;
      const chunks = this.#undo.flagged(next, UNDO_CHECKPOINTED | UNDO_REMOVED, (entry) => {
        this.#records.forget(entry, next);
        budget--;
      });
      this.#undo.remove(next, chunks);
      this.#prunedTo = next;
      budget -= 1 + chunks;
    }
  }

  // --- a part of the state ---

  /** Begins an empty part at a version: it holds nothing before and nothing yet. Within a transaction. */
  begin(version: number): void {
    assert(this.#isPart && this.#head === -1 && this.#database.inTransaction, "an empty part begins at a version");
    this.#touchedBy = this.#database.transactionNumber;
    this.#head = version;
    this.#oldest = version;
    this.#prunedTo = version;
    this.#store();
  }

  /** Names the trie that holds the accounts of a first byte from here on. Not between `prepare` and `commit`. */
  assign(byte: number, trieId: number): void {
    assert(this.#isPart && trieId > 0 && trieId < PART_ACCOUNT_TRIES, "a part has account tries of its own");
    if (this.#trieOf[byte] === trieId) return;
    this.#trieOf[byte] = trieId;
    this.#accountCache.clear(); // it may know the byte's accounts of another trie
  }

  /** What hangs in the slot of a byte at the head. */
  top(byte: number): TopChange {
    return { byte, top: this.#slotBatch(Uint8Array.of(byte), new Arena()).top() };
  }

  #slotBatch(key: Uint8Array, arena: Arena): TrieBatch {
    const trieId = this.#accountTrie(key);
    const root = this.#tries.cachedRoot(trieId) ?? this.#tries.content(trieId, key, SLOT_DEPTH, arena);
    return TrieBatch.below(this.#tries.source(trieId), SLOT_DEPTH, root, arena);
  }

  /** Hashes the changed slots of the account trie, each by itself. */
  #hashSlots(prepared: Prepared): void {
    const { accounts } = prepared;
    for (let from = 0; from < accounts.length; ) {
      const { key } = accounts[from] as AccountChange;
      const byte = key[0] as number;
      const batch = this.#slotBatch(key, prepared.arena);
      for (; accounts[from]?.key[0] === byte; from++) this.#setAccount(batch, accounts[from] as AccountChange);
      prepared.tops.push({ byte, top: batch.top() });
      prepared.tries.push({ trieId: this.#accountTrie(key), batch, prefix: key.subarray(0, 1) });
    }
  }

  /** What a prepared part tells of its changed slots. */
  topsOf(prepared: PreparedState): readonly TopChange[] {
    assert(prepared instanceof Prepared, "a prepared state comes from the store that made it");
    return prepared.tops;
  }

  /**
   * Stores writes to accounts that no version serves yet (they are being copied here) as if they had always been so:
   * without history, and without a new version. Within a transaction, and not between `prepare` and `commit`.
   */
  amend(writes: StateWrites): void {
    const prepared = this.prepare(writes) as Prepared;
    this.#touchedBy = this.#database.transactionNumber;
    this.#write(prepared, 0);
    for (const storageId of prepared.wiped)
      while (this.#records.wipe(...trieRange(storageId), PRUNE_STEP) === PRUNE_STEP);
    this.#nextStorageId = prepared.nextStorageId;
    this.#store();
  }

  /** Forgets what is kept in memory of a trie whose records others removed or wrote. */
  forgetTrie(trieId: number): void {
    this.#accountCache.clear();
    this.#tries.forget(trieId);
  }

  // --- tries ---

  proof(version: number, address: Uint8Array, slots: readonly Uint8Array[]): AccountProof {
    requireVersion(this, version);
    const key = keccak256(address);
    const payload = this.#records.at(entryKey(ACCOUNT_TRIE, key), version);
    const record = payload === undefined ? undefined : decodeAccount(payload, 0);
    const accountProof = this.#tries.prove(ACCOUNT_TRIE, key, version);
    const storageId = record?.storageId ?? 0;
    const storageProofs = slots.map((slot) => {
      if (storageId === 0) return { slot, value: ZERO_32, proof: [] };
      const slotKey = keccak256(slot);
      const value = this.#records.at(entryKey(storageId, slotKey), version);
      const proof = this.#tries.prove(storageId, slotKey, version);
      return { slot, value: value === undefined ? ZERO_32 : slotValue(value, 0, value.length), proof };
    });
    return { account: record, storageRoot: record?.storageRoot ?? EMPTY_TRIE_ROOT, accountProof, storageProofs };
  }

  storageRoot(version: number, address: Uint8Array): Uint8Array {
    requireVersion(this, version);
    const payload = this.#records.at(entryKey(ACCOUNT_TRIE, keccak256(address)), version);
    return payload === undefined ? EMPTY_TRIE_ROOT : decodeAccount(payload, 0).storageRoot;
  }
}

function sameAccount(a: Account, b: Account): boolean {
  return a.nonce === b.nonce && a.balanceWei === b.balanceWei && bytesEqual(a.codeHash, b.codeHash);
}
