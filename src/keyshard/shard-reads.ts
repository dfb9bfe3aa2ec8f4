/**
 * Owns reads of what key shards show, for versions that none of the newest blocks covers, with bounded caches of what they
 * show now. Invariant: a cached value is that of the newest version all shards show; {@link ShardReads.landed} is told of
 * every block before it becomes that.
 */
import { assert } from "../base/assert.ts";
import { fromHex } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import type { AccountRecord } from "../state/account-record.ts";
import { ByteCache } from "../state/byte-cache.ts";
import type { Place } from "../state/placement.ts";
import type { ShardView } from "../state/shard-view.ts";

const ADDRESS_BYTES = 20;
const HASH_BYTES = 32;
const ZERO_32 = new Uint8Array(HASH_BYTES);
/** Some 300 bytes each. */
const CACHED_ACCOUNTS = 32_768;
const CACHED_SLOTS = 65_536;
const CACHED_HASHES = 65_536;

/** A record (undefined: absent) of this trie: where the byte was before, it names another storage. */
type Cached = { readonly record: AccountRecord | undefined; readonly trieId: number };

export type ShardReadsDeps = {
  readonly place: (byte: number, version: number) => Place;
  readonly view: (shard: number) => ShardView;
  /** The newest version that all shards show; -1: none. */
  readonly shown: () => number;
};

export class ShardReads {
  readonly #deps: ShardReadsDeps;
  readonly #accounts = new ByteCache<Cached>(ADDRESS_BYTES, CACHED_ACCOUNTS);
  readonly #slots = new ByteCache<Uint8Array>(ADDRESS_BYTES + HASH_BYTES, CACHED_SLOTS);
  readonly #slotKey = new Uint8Array(ADDRESS_BYTES + HASH_BYTES);
  /** Hashed addresses: what decides on the shard is asked for in every read. */
  readonly #hashes = new ByteCache<Uint8Array>(ADDRESS_BYTES, CACHED_HASHES);

  constructor(deps: ShardReadsDeps) {
    this.#deps = deps;
  }

  hash(address: Uint8Array): Uint8Array {
    const known = this.#hashes.get(address);
    if (known !== undefined) return known;
    assert(address.length === ADDRESS_BYTES, "addresses have 20 bytes");
    const hash = keccak256(address);
    this.#hashes.set(address, hash);
    return hash;
  }

  /** Of an account that none of the newest blocks up to `version` wrote. */
  account(address: Uint8Array, version: number): AccountRecord | undefined {
    const newest = this.#deps.shown();
    const key = this.hash(address);
    const { shard, trieId } = this.#deps.place(key[0] as number, version);
    if (version >= newest) {
      const known = this.#accounts.get(address);
      if (known?.trieId === trieId) return known.record;
    }
    const shown = Math.min(version, newest);
    const record = shown < 0 ? undefined : this.#deps.view(shard).account(trieId, key, shown);
    if (version >= newest) this.#accounts.set(address, { record, trieId });
    return record;
  }

  /** Of a slot that none of the newest blocks up to `version` wrote. */
  slot(address: Uint8Array, slot: Uint8Array, version: number): Uint8Array {
    const newest = this.#deps.shown();
    const key = this.#slotKey;
    if (version >= newest) {
      key.set(address);
      key.set(slot, ADDRESS_BYTES);
      const known = this.#slots.get(key);
      if (known !== undefined) return known;
    }
    const storageId = this.account(address, version)?.storageId ?? 0;
    if (storageId === 0) return ZERO_32;
    const { shard } = this.#deps.place(this.hash(address)[0] as number, version);
    const value = this.#deps.view(shard).slot(storageId, keccak256(slot), Math.min(version, newest));
    if (version >= newest) this.#slots.set(key, value);
    return value;
  }

  /** The shards show a block that wrote this. */
  landed(writes: StateWrites): void {
    const key = this.#slotKey;
    for (const [name, write] of writes.accounts) {
      const address = fromHex(name);
      const before = this.#accounts.get(address);
      this.#accounts.delete(address);
      // Slots of a storage that went are many and rare.
      const isWiped = write.cleared || write.account === undefined;
      if (isWiped && (before === undefined || (before.record?.storageId ?? 0) !== 0)) this.#slots.clear();
      key.set(address);
      for (const slot of write.storage.keys()) {
        key.set(fromHex(slot), ADDRESS_BYTES);
        this.#slots.delete(key);
      }
    }
  }

  /** Forgets what is cached: the chain went back, or bytes moved. */
  clear(): void {
    this.#accounts.clear();
    this.#slots.clear();
  }
}
