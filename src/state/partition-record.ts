/**
 * Owns what the chain's own database says of where its state is: in the same database, or on key shards (then how bytes
 * are placed, and which version the shards are to be at), and, while history reaches back that far, where it was before.
 */
import { Reader, Writer } from "../base/binary.ts";
import type { Database, Table } from "../store/database.ts";
import { Placement } from "./placement.ts";
import { META_KEY, META_TABLE } from "./state-meta.ts";

/** Name of the table: who reads the database from outside looks for it. */
export const PARTITION_TABLE = "keyshards";
const HEAD_KEY = Buffer.from("head");
const PLACEMENT_KEY = Buffer.from("placement");
const MOVED_KEY = Buffer.from("moved");
const HASH_BYTES = 32;

/** Where a state is. */
export type Home = "single" | "shards";

export type PartitionHead = {
  readonly head: number;
  readonly oldest: number;
  readonly root: Uint8Array;
  /** Everything up to here is on the disks of all shards. */
  readonly flushedTo: number;
};

/** Versions up to `base` are answered by the home the state moved from. */
export type MovedMark = { readonly base: number; readonly from: Home };

/** Writing needs a transaction. */
export class PartitionRecord {
  readonly #table: Table;
  readonly #stateMeta: Table;

  constructor(database: Database) {
    this.#table = database.table(PARTITION_TABLE);
    this.#stateMeta = database.table(META_TABLE);
  }

  /** Where the newest version is. */
  get home(): Home {
    const moved = this.moved();
    if (moved !== undefined) return moved.from === "single" ? "shards" : "single";
    return this.#table.has(PLACEMENT_KEY) ? "shards" : "single";
  }

  /** Whether shards hold any version. */
  get hasShards(): boolean {
    return this.#table.has(PLACEMENT_KEY);
  }

  /** Whether the database holds a version itself. */
  get hasSingle(): boolean {
    return this.#stateMeta.has(META_KEY);
  }

  head(): PartitionHead | undefined {
    const bytes = this.#table.get(HEAD_KEY);
    if (bytes === undefined) return undefined;
    const r = new Reader(bytes);
    const [head, oldest] = [r.uvarint() - 1, r.uvarint()];
    return { head, oldest, root: r.fixed(HASH_BYTES).slice(), flushedTo: r.uvarint() - 1 };
  }

  putHead({ head, oldest, root, flushedTo }: PartitionHead): void {
    const w = new Writer(64).uvarint(head + 1).uvarint(oldest);
    this.#table.put(
      HEAD_KEY,
      w
        .fixed(root)
        .uvarint(flushedTo + 1)
        .finish(),
    );
  }

  placement(): Placement | undefined {
    const bytes = this.encodedPlacement();
    return bytes === undefined ? undefined : Placement.decode(bytes);
  }

  encodedPlacement(): Uint8Array | undefined {
    return this.#table.get(PLACEMENT_KEY);
  }

  putPlacement(placement: Placement): void {
    this.#table.put(PLACEMENT_KEY, placement.encode());
  }

  moved(): MovedMark | undefined {
    const bytes = this.#table.get(MOVED_KEY);
    if (bytes === undefined) return undefined;
    const r = new Reader(bytes);
    return { base: r.uvarint(), from: r.byte() === 0 ? "single" : "shards" };
  }

  putMoved({ base, from }: MovedMark): void {
    const w = new Writer(16).uvarint(base);
    this.#table.put(MOVED_KEY, w.byte(from === "single" ? 0 : 1).finish());
  }

  removeMoved(): void {
    this.#table.remove(MOVED_KEY);
  }

  /** Shards hold nothing any more. */
  removeShards(): void {
    this.#table.remove(PLACEMENT_KEY);
    this.#table.remove(HEAD_KEY);
  }
}
