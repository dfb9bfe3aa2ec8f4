/**
 * Owns reads of a chain's stored state from another thread or process on the machine, wherever the state is: in the
 * chain's database or on key shards, whose databases it maps and finds by the chain's own record of where each byte is.
 * Invariants: between two calls of `refresh` all reads are of the version it told, which every shard has, and each is of
 * the place that the byte had at that version: bytes that move meanwhile change nothing. As state-view.ts, it does not
 * see what is in memory only, and an unwind may take back what was read. What it cannot read is a MissingRead.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { bytesEqual, toHexKey } from "../base/bytes.ts";
import { type Account, MissingRead, type StateReader } from "../execution/execution.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { Database, type Table } from "../store/database.ts";
import type { AccountRecord } from "./account-record.ts";
import { PARTITION_TABLE, PartitionRecord } from "./partition-record.ts";
import { type Place, Placement } from "./placement.ts";
import { ShardView } from "./shard-view.ts";
import { META_TABLE, RECORD_TABLES } from "./state-meta.ts";
import { StateView } from "./state-view.ts";

/** Folders of the databases; `shardPrefix` is followed by the shard's number. */
export type StoredFolders = { readonly chain: string; readonly shardPrefix: string };

/** How often databases that are not there are looked for. */
const LOOK_MS = 500;
const ACCOUNTS_MAX = 4_096;
const ZERO_32 = new Uint8Array(32);

const NO_CODE = new Uint8Array(0);

/** `record`: undefined where nobody has made its table, so that the state is in the chain's database. */
type Chain = { readonly database: Database; record: PartitionRecord | undefined; readonly codes: Table };

export class StoredState implements StateReader {
  readonly #folders: StoredFolders;
  readonly #single: StateView;
  #chain: Chain | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;
  readonly #shards = new Map<number, ShardView>();
  #placementBytes: Uint8Array | undefined;
  #placement: Placement | undefined;
  /** The places of {@link #version}; undefined when the state is not on shards, or not to be read. */
  #places: readonly Place[] | undefined;
  #isSingle = false;
  #version = -1;
  readonly #accounts = new Map<string, AccountRecord | undefined>();

  constructor(folders: StoredFolders) {
    this.#folders = folders;
    this.#single = new StateView(folders.chain);
  }

  /** Moves on to what is stored now; the newest version that can be read, or -1. */
  refresh(): number {
    this.#accounts.clear();
    this.#places = undefined;
    this.#isSingle = false;
    this.#version = -1;
    const chain = this.#open();
    if (chain === undefined) return -1;
    const { database, record } = chain;
    database.refresh();
    if (record === undefined || record.home === "single") {
      this.#isSingle = true;
      return this.#single.refresh();
    }
    const head = record.head()?.head ?? -1;
    const placement = this.#placementOf(record);
    if (head < 0 || placement === undefined) return -1;
    // Shards may be behind the chain, and ahead of it after a crash.
    for (const view of this.#shards.values()) view.refresh();
    let version = head;
    for (const shard of new Set(placement.current.map((place) => place.shard)))
      version = Math.min(version, this.#shard(shard)?.versions()?.head ?? -1);
    if (version < 0) return -1;
    const places = placement.at(version);
    for (const shard of new Set(places.map((place) => place.shard))) {
      const versions = this.#shard(shard)?.versions();
      if (versions === undefined || versions.head < version || versions.oldest > version) return -1;
    }
    this.#places = places;
    this.#version = version;
    return version;
  }

  #open(): Chain | undefined {
    if (this.#chain?.record !== undefined) return this.#chain;
    const nowMs = performance.now();
    if (nowMs - this.#lookedMs < LOOK_MS) return this.#chain;
    this.#lookedMs = nowMs;
    const database = this.#chain?.database ?? openReadOnly(this.#folders.chain, [META_TABLE, "codes"]);
    if (database === undefined) return undefined;
    this.#chain ??= { database, record: undefined, codes: database.table("codes") };
    if (database.tableNames().includes(PARTITION_TABLE)) this.#chain.record = new PartitionRecord(database);
    return this.#chain;
  }

  #shard(shard: number): ShardView | undefined {
    const known = this.#shards.get(shard);
    if (known !== undefined) return known;
    const folder = `${this.#folders.shardPrefix}${shard}`;
    const database = openReadOnly(folder, [META_TABLE, ...RECORD_TABLES]);
    if (database === undefined) return undefined;
    const view = new ShardView(folder, database);
    this.#shards.set(shard, view);
    return view;
  }

  #placementOf(record: PartitionRecord): Placement | undefined {
    const bytes = record.encodedPlacement();
    if (bytes === undefined) return undefined;
    if (this.#placementBytes === undefined || !bytesEqual(bytes, this.#placementBytes)) {
      this.#placement = Placement.decode(bytes);
      this.#placementBytes = bytes;
    }
    return this.#placement;
  }

  // --- the version told by the last refresh ---

  /** @throws {MissingRead} */
  account(address: Uint8Array): Account | undefined {
    return this.#isSingle ? this.#single.account(address) : this.#record(address);
  }

  /** @throws {MissingRead} */
  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    if (this.#isSingle) return this.#single.storage(address, slot);
    const storageId = this.#record(address)?.storageId ?? 0;
    if (storageId === 0) return ZERO_32;
    const { view } = this.#place(keccak256(address));
    return view.slot(storageId, keccak256(slot), this.#version);
  }

  /** @throws {MissingRead} when no stored version made it. */
  code(codeHash: Uint8Array): Uint8Array {
    const code = this.#chain?.codes.get(codeHash);
    if (code !== undefined) return code;
    if (bytesEqual(codeHash, EMPTY_CODE_HASH)) return NO_CODE;
    throw new MissingRead();
  }

  /** Hashes of blocks are not part of the state. @throws {MissingRead} always. */
  blockHash(): Uint8Array {
    throw new MissingRead();
  }

  #place(key: Uint8Array): { view: ShardView; trieId: number } {
    const place = this.#places?.[key[0] as number];
    const view = place === undefined ? undefined : this.#shards.get(place.shard);
    if (place === undefined || view === undefined) throw new MissingRead();
    return { view, trieId: place.trieId };
  }

  #record(address: Uint8Array): AccountRecord | undefined {
    const name = toHexKey(address);
    const known = this.#accounts.get(name);
    if (known !== undefined || this.#accounts.has(name)) return known;
    const key = keccak256(address);
    const { view, trieId } = this.#place(key);
    const record = view.account(trieId, key, this.#version);
    if (this.#accounts.size >= ACCOUNTS_MAX) this.#accounts.clear();
    this.#accounts.set(name, record);
    return record;
  }

  async close(): Promise<void> {
    this.#places = undefined;
    this.#isSingle = false;
    await this.#single.close();
    for (const view of this.#shards.values()) await view.close();
    this.#shards.clear();
    await this.#chain?.database.close();
    this.#chain = undefined;
  }
}

/** A database that is there with all of these tables; its writer may be about to make them. */
function openReadOnly(folder: string, tables: readonly string[]): Database | undefined {
  if (!existsSync(join(folder, "data.mdb"))) return undefined;
  const database = Database.open(folder, { readOnly: true });
  const names = database.tableNames();
  if (tables.every((name) => names.includes(name))) return database;
  void database.close();
  return undefined;
}
