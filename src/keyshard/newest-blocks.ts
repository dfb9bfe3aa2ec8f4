/**
 * Owns what the newest blocks wrote, until every key shard shows it: reads of these blocks look here first. Bounded by
 * whoever adds to it.
 */
import { toHexKey } from "../base/bytes.ts";
import type { AccountWrite, StateWrites } from "../protocol/state-writes.ts";

/** @see NewestBlocks.save */
export type SavedBlocks = readonly NewestBlock[];

export type NewestBlock = { readonly version: number; readonly writes: StateWrites };

const ZERO_32 = new Uint8Array(32);

export class NewestBlocks {
  /** Newest first. */
  #blocks: readonly NewestBlock[] = [];

  get length(): number {
    return this.#blocks.length;
  }

  /** What to {@link restore} when a change is taken back. */
  save(): SavedBlocks {
    return this.#blocks;
  }

  restore(saved: SavedBlocks): void {
    this.#blocks = saved;
  }

  push(block: NewestBlock): void {
    this.#blocks = [block, ...this.#blocks];
  }

  /** Takes away blocks up to `version`, which all shards show, oldest first. */
  shift(version: number): NewestBlock[] {
    const gone = this.#blocks.filter((block) => block.version <= version).reverse();
    if (gone.length > 0) this.#blocks = this.#blocks.filter((block) => block.version > version);
    return gone;
  }

  /** Forgets blocks above `version`. */
  rollback(version: number): void {
    this.#blocks = this.#blocks.filter((block) => block.version <= version);
  }

  /** The newest write to an account up to `version`. */
  account(address: Uint8Array, version: number): AccountWrite | undefined {
    if (this.#blocks.length === 0) return undefined;
    const key = toHexKey(address);
    for (const block of this.#blocks) {
      if (block.version > version) continue;
      const write = block.writes.accounts.get(key);
      if (write !== undefined) return write;
    }
    return undefined;
  }

  /** What these blocks say a slot holds at `version`; undefined when they do not. */
  slot(address: Uint8Array, slot: Uint8Array, version: number): Uint8Array | undefined {
    if (this.#blocks.length === 0) return undefined;
    const key = toHexKey(address);
    let slotKey: string | undefined;
    for (const block of this.#blocks) {
      if (block.version > version) continue;
      const write = block.writes.accounts.get(key);
      if (write === undefined) continue;
      if (write.account === undefined) return ZERO_32;
      slotKey ??= toHexKey(slot);
      const value = write.storage.get(slotKey);
      if (value !== undefined) return value;
      if (write.cleared) return ZERO_32;
    }
    return undefined;
  }
}
