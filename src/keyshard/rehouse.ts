/**
 * Owns the moving of a whole state between the chain's own database and key shards, while no blocks are made: the newest
 * version is copied, its root compared, and then one transaction says that the state is there. Whatever ends it before,
 * the state is where it was and the next try starts anew. Older versions stay where they are (moved-state.ts).
 */
import { rmSync } from "node:fs";
import { assert } from "../base/assert.ts";
import { bytesEqual, toHex } from "../base/bytes.ts";
import { PartitionRecord } from "../state/partition-record.ts";
import { type Place, Placement } from "../state/placement.ts";
import { RootJoiner } from "../state/root-joiner.ts";
import { ACCOUNT_TRIE } from "../state/state-key.ts";
import { type HashedAccount, hashedAccounts, StateLoad, storageRecords } from "../state/state-load.ts";
import { decodeMeta, META_KEY, META_TABLE } from "../state/state-meta.ts";
import { Database, type Entry, type Snapshot } from "../store/database.ts";
import { keyshardError } from "./error.ts";

/** Records written in one transaction: some milliseconds. */
const PIECE = 1_000;

/** Copies the state in the chain's database to `count` new shards. Resolves to the version that is there now. */
export async function moveToShards(
  chain: Database,
  { count, folderOf }: { count: number; folderOf: (shard: number) => string },
): Promise<number> {
  const record = new PartitionRecord(chain);
  // What shards still have of old versions goes: their folders are needed.
  if (record.hasShards)
    chain.transaction(() => {
      record.removeMoved();
      record.removeShards();
    });
  const stored = chain.table(META_TABLE).get(META_KEY);
  assert(stored !== undefined, "there is a state to move");
  const { head, root } = decodeMeta(stored);
  const placement = Placement.even(count);
  const joiner = new RootJoiner();
  await chain.flushed();
  const from = new Source(chain);
  try {
    for (let shard = 0; shard < count; shard++) {
      const folder = folderOf(shard);
      rmSync(folder, { recursive: true, force: true });
      const target = Database.open(folder);
      try {
        const load = new StateLoad(target, { part: true });
        for (const { byte, trieId } of placement.currentOn(shard)) {
          await copyByte(from, { byte, fromTrie: ACCOUNT_TRIE, to: target, load, toTrie: trieId });
          joiner.update([load.top(trieId, byte)]);
        }
        target.transaction(() => load.finish(head));
        await target.flushed();
      } finally {
        await target.close();
      }
    }
  } finally {
    from.close();
  }
  requireRoot(joiner.root(), root, head);
  chain.transaction(() => {
    record.putHead({ head, oldest: head, root, flushedTo: head });
    record.putPlacement(placement);
    record.putMoved({ base: head, from: "single" });
  });
  await chain.flushed();
  return head;
}

/** Copies the state of shards, which are at the chain's head and closed, into the chain's database. */
export async function moveToSingle(
  chain: Database,
  { folderOf }: { folderOf: (shard: number) => string },
): Promise<number> {
  const record = new PartitionRecord(chain);
  const placement = record.placement();
  const stored = record.head();
  assert(placement !== undefined && stored !== undefined, "there are shards with a state");
  const { head, root } = stored;
  const load = new StateLoad(chain, { part: false });
  chain.transaction(() => {
    record.removeMoved(); // what the database still has of old versions goes
    load.clear();
  });
  const databases = new Map<number, Database>();
  const sources = new Map<number, Source>();
  try {
    for (let byte = 0; byte < placement.current.length; byte++) {
      const { shard, trieId } = placement.current[byte] as Place;
      let source = sources.get(shard);
      if (source === undefined) {
        const database = Database.open(folderOf(shard), { readOnly: true });
        databases.set(shard, database);
        source = new Source(database);
        sources.set(shard, source);
      }
      await copyByte(source, { byte, fromTrie: trieId, to: chain, load, toTrie: ACCOUNT_TRIE });
    }
  } finally {
    for (const source of sources.values()) source.close();
    for (const database of databases.values()) await database.close();
  }
  // A head that the chain had just gone back to has no root there yet.
  if (root.some((b) => b !== 0)) requireRoot(load.root, root, head);
  chain.transaction(() => {
    load.finish(head);
    record.putMoved({ base: head, from: "shards" });
  });
  await chain.flushed();
  return head;
}

function requireRoot(root: Uint8Array, expected: Uint8Array, head: number): void {
  if (!bytesEqual(root, expected))
    throw keyshardError("KEYSHARD_ROOT", `the copied state has root ${toHex(root)}, block ${head} ${toHex(expected)}`);
}

/** A database as of one moment. */
class Source {
  readonly database: Database;
  readonly snapshot: Snapshot;

  constructor(database: Database) {
    this.database = database;
    database.table("state");
    this.snapshot = database.snapshot();
  }

  close(): void {
    this.snapshot.close();
  }
}

type Storage = { readonly from: number; readonly to: number };

/** Copies the accounts of one first byte with their storages; in pieces, between which others have the thread. */
async function copyByte(
  { database, snapshot }: Source,
  p: {
    readonly byte: number;
    readonly fromTrie: number;
    readonly to: Database;
    readonly load: StateLoad;
    readonly toTrie: number;
  },
): Promise<void> {
  const { to, load } = p;
  const table = database.table("state");
  const accounts = hashedAccounts(table, snapshot, p.fromTrie, p.byte);
  try {
    for (;;) {
      const piece: HashedAccount[] = [];
      const storages: Storage[] = [];
      for (let next = accounts.next(); next.done !== true; next = accounts.next()) {
        const { key, record } = next.value;
        const storageId = record.storageId === 0 ? 0 : load.takeStorageId();
        if (storageId !== 0) storages.push({ from: record.storageId, to: storageId });
        piece.push({ key, record: { ...record, storageId } });
        if (piece.length === PIECE) break;
      }
      if (piece.length === 0) return;
      to.transaction(() => load.addAccounts(piece, p.toTrie));
      const records = (function* (): Generator<{ storageId: number; entry: Entry }> {
        for (const storage of storages)
          for (const entry of storageRecords(table, snapshot, storage.from)) yield { storageId: storage.to, entry };
      })();
      for (;;) {
        const isDone = to.transaction(() => {
          for (let n = 0; n < PIECE; n++) {
            const next = records.next();
            if (next.done === true) return true;
            load.addStorageRecord(next.value.storageId, next.value.entry);
          }
          return false;
        });
        await to.settled();
        if (isDone) break;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    accounts.return(undefined);
  }
}
