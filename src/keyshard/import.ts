/**
 * Owns the way of accounts from one shard's database into another's: their tries are copied record by record, tries of
 * their storage under numbers of their own, while both go on. What is copied has no history here and no version serves
 * it yet. A copy that was cut short leaves an account trie that nobody names; {@link dropTrie} takes all of it away.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { bytesEqual } from "../base/bytes.ts";
import { decodeAccount, encodeAccount } from "../state/account-record.ts";
import { hashOfEntryKey, PART_ACCOUNT_TRIES, readTrieId, trieRange, writeTrieId } from "../state/state-key.ts";
import { decodeMeta, META_KEY, META_TABLE } from "../state/state-meta.ts";
import { STAMP_BYTES } from "../state/versioned-table.ts";
import { Database, type Snapshot, type Table } from "../store/database.ts";
import { keyshardError } from "./error.ts";
import type { ImportJob } from "./messages.ts";

/** Records written in one piece: some milliseconds. */
const PIECE = 1_000;
const IMPORT_KEY = Buffer.from("import");
/** Tries of copied storages are numbered apart from those of new ones, which are given out while a block is prepared. */
const FIRST_STORAGE_ID = 2 ** 40;
const RECORD_BYTES = 256;
/** The source commits within moments what the copy starts from; half a minute is for busy machines. */
const SOURCE_WAITS = 3_000;
const SOURCE_WAIT_MS = 10;

type Pair = { readonly from: number; readonly to: number };

/**
 * Copies what the job names, in pieces; between two of them others have the thread. `isWanted` false ends it early.
 * Returns the version of the source that was copied.
 */
export async function copyTries(target: Database, job: ImportJob, isWanted: () => boolean): Promise<number> {
  const source = Database.open(job.folder, { readOnly: true });
  const [state, meta] = [source.table("state"), source.table(META_TABLE)];
  let snapshot: Snapshot | undefined;
  try {
    let version = -1;
    for (let waits = 0; ; waits++) {
      source.refresh();
      snapshot = source.snapshot();
      version = headOf(meta, snapshot);
      if (version >= job.version || !isWanted()) break;
      snapshot.close();
      snapshot = undefined;
      if (waits >= SOURCE_WAITS)
        throw keyshardError("KEYSHARD_SOURCE_BEHIND", `the source of a copy is at ${version}, not at ${job.version}`);
      await sleep(SOURCE_WAIT_MS);
    }
    const to = target.table("state");
    const ids = new StorageIds(target.table(META_TABLE));
    const storages: Pair[] = [];
    const accounts = job.bytes.map(({ from, trieId }) => ({ from, to: trieId }));
    // The second list grows while the first one is copied.
    for (const pair of [accounts, storages])
      for (const trie of pair) {
        const [start, end] = trieRange(trie.from);
        const entries = state.iterateSnapshot(snapshot, { start, end });
        try {
          for (;;) {
            if (!isWanted()) return version;
            const isDone = target.transaction(() => {
              let next = entries.next();
              for (let n = 1; next.done !== true; n++, next = entries.next()) {
                copyRecord(next.value.key, next.value.value, trie.to, to, ids, storages);
                if (n === PIECE) break;
              }
              ids.store();
              return next.done === true;
            });
            if (isDone) break;
            await target.settled();
            await new Promise((resolve) => setImmediate(resolve));
          }
        } finally {
          entries.return(undefined);
        }
      }
    return version;
  } finally {
    snapshot?.close();
    await source.close();
  }
}

/** The newest version a shard had committed. */
function headOf(meta: Table, snapshot: Snapshot): number {
  for (const { key, value } of meta.iterateSnapshot(snapshot, { start: META_KEY }))
    if (bytesEqual(key, META_KEY)) return decodeMeta(value).head;
  return -1;
}

function copyRecord(
  key: Uint8Array,
  value: Uint8Array,
  toTrie: number,
  to: Table,
  ids: StorageIds,
  storages: Pair[],
): void {
  writeTrieId(key, 0, toTrie);
  let record = value;
  if (toTrie < PART_ACCOUNT_TRIES && hashOfEntryKey(key) !== undefined) {
    const account = decodeAccount(value, STAMP_BYTES);
    if (account.storageId !== 0) {
      const storageId = ids.take();
      storages.push({ from: account.storageId, to: storageId });
      record = new Uint8Array(RECORD_BYTES);
      record = record.subarray(0, STAMP_BYTES + encodeAccount(record, STAMP_BYTES, { ...account, storageId }));
    }
  }
  record.fill(0, 0, STAMP_BYTES); // as if it had always been so
  to.put(key, record);
}

class StorageIds {
  readonly #meta: Table;
  #next: number;

  constructor(meta: Table) {
    this.#meta = meta;
    const stored = meta.get(IMPORT_KEY);
    this.#next = stored === undefined ? FIRST_STORAGE_ID : readTrieId(stored, 0);
  }

  take(): number {
    return this.#next++;
  }

  /** Within a transaction. */
  store(): void {
    const bytes = new Uint8Array(6);
    writeTrieId(bytes, 0, this.#next);
    this.#meta.put(IMPORT_KEY, bytes);
  }
}

/** Account tries in a shard's database. */
export function storedTries(database: Database): number[] {
  const table = database.table("state");
  const [, end] = trieRange(PART_ACCOUNT_TRIES - 1);
  const found: number[] = [];
  for (let next = 1; ; ) {
    const [key] = table.keys({ start: trieRange(next)[0], end, limit: 1 });
    if (key === undefined) return found;
    const trieId = readTrieId(key, 0);
    found.push(trieId);
    next = trieId + 1;
  }
}

/** Removes an account trie with the storages of its accounts, a piece at each step, to be run within a transaction. */
export function* dropTrie(database: Database, trieId: number): Generator<void, void> {
  const table = database.table("state");
  const [start, end] = trieRange(trieId);
  for (;;) {
    const entries = table.range({ start, end, limit: PIECE });
    if (entries.length === 0) return;
    for (const { key, value } of entries) {
      const storageId = hashOfEntryKey(key) === undefined ? 0 : decodeAccount(value, STAMP_BYTES).storageId;
      if (storageId !== 0) yield* dropRange(table, storageId);
      table.remove(key);
    }
    yield;
  }
}

function* dropRange(table: Table, storageId: number): Generator<void, void> {
  const [start, end] = trieRange(storageId);
  for (;;) {
    const keys = table.keys({ start, end, limit: PIECE });
    if (keys.length === 0) return;
    for (const key of keys) table.remove(key);
    if (keys.length < PIECE) return;
    yield;
  }
}
