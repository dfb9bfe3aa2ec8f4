/**
 * Owns what a verifier stores besides blocks and state: the genesis document, the state of derivation after the newest
 * block, one snapshot per L1 block to unwind to, and the L1 blocks that may still be origins. Written in the same
 * transaction as the block they belong to, so that a restart finds all or nothing of it.
 */
import type { Database, Table } from "../store/database.ts";

export interface VerifierStore {
  get(key: "genesis" | "cursor" | "finalized"): Uint8Array | undefined;
  put(key: "genesis" | "cursor" | "finalized", value: Uint8Array): void;
  origin(l1Number: number): Uint8Array | undefined;
  putOrigin(l1Number: number, value: Uint8Array): void;
  snapshot(l1Number: number): Uint8Array | undefined;
  putSnapshot(l1Number: number, value: Uint8Array): void;
  /** Number of the oldest snapshot. */
  oldestSnapshot(): number | undefined;
  /** Forgets snapshots and origins of L1 blocks above `l1Number`. */
  dropAbove(l1Number: number): void;
  /** Forgets snapshots below `snapshot` and origins below `origin`, at most `countMax` of each. */
  dropBelow(snapshot: number, origin: number, countMax: number): void;
}

/** Big-endian, so that key order is block order. */
function numberKey(value: number): Uint8Array {
  const key = new Uint8Array(8);
  new DataView(key.buffer).setBigUint64(0, BigInt(value));
  return key;
}

const END = new Uint8Array(8).fill(0xff);

function keyNumber(key: Uint8Array): number {
  return Number(new DataView(key.buffer, key.byteOffset, 8).getBigUint64(0));
}

export class LmdbVerifierStore implements VerifierStore {
  readonly #meta: Table;
  readonly #origins: Table;
  readonly #snapshots: Table;

  constructor(database: Database) {
    this.#meta = database.table("verifier");
    this.#origins = database.table("verifier-origins");
    this.#snapshots = database.table("verifier-snapshots");
  }

  get(key: string): Uint8Array | undefined {
    return this.#meta.get(Buffer.from(key));
  }

  put(key: string, value: Uint8Array): void {
    this.#meta.put(Buffer.from(key), value);
  }

  origin(l1Number: number): Uint8Array | undefined {
    return this.#origins.get(numberKey(l1Number));
  }

  putOrigin(l1Number: number, value: Uint8Array): void {
    this.#origins.put(numberKey(l1Number), value);
  }

  snapshot(l1Number: number): Uint8Array | undefined {
    return this.#snapshots.get(numberKey(l1Number));
  }

  putSnapshot(l1Number: number, value: Uint8Array): void {
    this.#snapshots.put(numberKey(l1Number), value);
  }

  oldestSnapshot(): number | undefined {
    const [first] = this.#snapshots.keys({ start: numberKey(0), limit: 1 });
    return first === undefined ? undefined : keyNumber(first);
  }

  dropAbove(l1Number: number): void {
    for (const table of [this.#origins, this.#snapshots])
      for (const key of table.keys({ start: numberKey(l1Number + 1), end: END })) table.remove(key);
  }

  dropBelow(snapshot: number, origin: number, countMax: number): void {
    const drop = (table: Table, below: number): void => {
      const keys = table.keys({ start: numberKey(0), end: numberKey(below), limit: countMax });
      for (const key of keys) table.remove(key);
    };
    drop(this.#snapshots, snapshot);
    drop(this.#origins, origin);
  }
}

/** The twin for tests. */
export class MemoryVerifierStore implements VerifierStore {
  readonly #meta = new Map<string, Uint8Array>();
  readonly #origins = new Map<number, Uint8Array>();
  readonly #snapshots = new Map<number, Uint8Array>();

  get(key: string): Uint8Array | undefined {
    return this.#meta.get(key);
  }

  put(key: string, value: Uint8Array): void {
    this.#meta.set(key, value.slice());
  }

  origin(l1Number: number): Uint8Array | undefined {
    return this.#origins.get(l1Number);
  }

  putOrigin(l1Number: number, value: Uint8Array): void {
    this.#origins.set(l1Number, value.slice());
  }

  snapshot(l1Number: number): Uint8Array | undefined {
    return this.#snapshots.get(l1Number);
  }

  putSnapshot(l1Number: number, value: Uint8Array): void {
    this.#snapshots.set(l1Number, value.slice());
  }

  oldestSnapshot(): number | undefined {
    return this.#snapshots.size === 0 ? undefined : Math.min(...this.#snapshots.keys());
  }

  dropAbove(l1Number: number): void {
    for (const map of [this.#origins, this.#snapshots])
      for (const number of map.keys()) if (number > l1Number) map.delete(number);
  }

  dropBelow(snapshot: number, origin: number): void {
    for (const number of this.#snapshots.keys()) if (number < snapshot) this.#snapshots.delete(number);
    for (const number of this.#origins.keys()) if (number < origin) this.#origins.delete(number);
  }
}
