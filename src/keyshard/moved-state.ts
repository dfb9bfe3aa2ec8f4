/**
 * Owns the state of a chain that moved as a whole between the chain's database and key shards: versions up to the move
 * are answered where they were, later ones where it is now. A chain that goes back below the move is where it was again.
 * Invariant: which of the two is in force is stored with the block that made it so; what no served version needs is
 * removed.
 */
import { assert } from "../base/assert.ts";
import type { StateReader } from "../execution/execution.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import { type Home, PartitionRecord } from "../state/partition-record.ts";
import type { AccountProof, ChainState, PreparedState } from "../state/state.ts";
import type { Database } from "../store/database.ts";

export type MovedStateParts = {
  readonly before: ChainState;
  readonly after: ChainState;
  /** Shards are needed no more: what they store may go. */
  readonly shardsAreFree: () => void;
};

export class MovedState implements ChainState {
  readonly #database: Database;
  readonly #record: PartitionRecord;
  readonly #base: number;
  readonly #from: Home;
  readonly #before: ChainState;
  readonly #after: ChainState;
  readonly #shardsAreFree: () => void;
  /** Which alone is the state now; undefined while both are needed. */
  #only: "before" | "after" | undefined;
  #touchedBy = -1;

  constructor(database: Database, parts: MovedStateParts) {
    this.#database = database;
    this.#record = new PartitionRecord(database);
    const mark = this.#record.moved();
    assert(mark !== undefined, "the state has moved");
    this.#base = mark.base;
    this.#from = mark.from;
    this.#before = parts.before;
    this.#after = parts.after;
    this.#shardsAreFree = parts.shardsAreFree;
    database.onAbort(() => {
      if (this.#touchedBy === database.transactionNumber && this.#record.moved() !== undefined) this.#only = undefined;
    });
  }

  get #now(): ChainState {
    return this.#only === "before" ? this.#before : this.#after;
  }

  /** Who answers for a version. */
  #at(version: number): ChainState {
    return this.#only === undefined && version <= this.#base ? this.#before : this.#now;
  }

  get head(): number {
    return this.#now.head;
  }

  get oldest(): number {
    return this.#at(0).oldest;
  }

  notReady(): string | undefined {
    return this.#now.notReady?.();
  }

  reader(version: number = this.head): StateReader {
    return this.#at(version).reader(version);
  }

  prepare(writes: StateWrites): PreparedState | Promise<PreparedState> {
    return this.#now.prepare(writes);
  }

  commit(version: number, prepared: PreparedState): void {
    this.#now.commit(version, prepared);
  }

  proof(version: number, address: Uint8Array, slots: readonly Uint8Array[]): AccountProof | Promise<AccountProof> {
    return this.#at(version).proof(version, address, slots);
  }

  rollback(version: number): void {
    if (this.#only !== undefined || version >= this.#base) {
      this.#now.rollback(version);
      return;
    }
    this.#before.rollback(version);
    this.#end("before");
  }

  prune(version: number): boolean {
    if (this.#only !== undefined) return this.#now.prune(version);
    if (version <= this.#base) return this.#before.prune(version);
    this.#database.transaction(() => this.#end("after"));
    return this.#after.prune(version);
  }

  /** From here on one of the two is the state, and what the other one stored goes. Within a transaction. */
  #end(only: "before" | "after"): void {
    this.#touchedBy = this.#database.transactionNumber;
    this.#only = only;
    this.#record.removeMoved();
    const gone = only === "before" ? this.#after : this.#before;
    const isSingleGone = (only === "before") === (this.#from === "shards");
    if (isSingleGone) {
      gone.rollback(-1);
      return;
    }
    // Whatever is read of blocks above the move is void.
    if (only === "before") gone.rollback(this.#base);
    this.#record.removeShards();
    this.#database.flushed().then(
      () => {
        if (this.#only === only && !this.#record.hasShards) this.#shardsAreFree();
      },
      () => undefined, // the disk is full or gone, which the next transaction tells
    );
  }
}
