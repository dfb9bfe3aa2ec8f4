/**
 * Owns the state of a chain that is spread over key shards: sends each shard its part of a block, joins what they hash
 * into the root, and answers reads of every version in this thread, from maps of the shards' databases and from what the
 * newest blocks wrote.
 * Invariants: the chain's own database decides which block is the head, in the transaction that stores the block; with it
 * goes what the block wrote, for shards that must be sent it again. Shards that are ahead of the chain take versions
 * back, shards that are behind are sent what they lack. The root is that of the whole state however it is spread (I10).
 * @see docs/decisions/0006-key-shards.md
 */
import { assert } from "../base/assert.ts";
import { Reader, Writer } from "../base/binary.ts";
import { bytesEqual, fromHex, toHex } from "../base/bytes.ts";
import type { Log } from "../base/log.ts";
import type { Account, StateReader } from "../execution/execution.ts";
import type { OpenLink } from "../link/link.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_TRIE_ROOT } from "../protocol/ordered-trie.ts";
import type { AccountWrite, StateWrites } from "../protocol/state-writes.ts";
import { CodeStore } from "../state/code-store.ts";
import { requireVersion, stateError } from "../state/error.ts";
import { PartitionRecord } from "../state/partition-record.ts";
import { BYTES, type Move, type Place, Placement, SHARDS_MAX } from "../state/placement.ts";
import { RootJoiner, type TopChange } from "../state/root-joiner.ts";
import type { AccountProof, ChainState, PreparedState } from "../state/state.ts";
import type { Database, Table } from "../store/database.ts";
import { keyshardError } from "./error.ts";
import { encodeGroups, type TimedTop, type WriteGroup } from "./messages.ts";
import type { KeyShardMetrics } from "./metrics.ts";
import { Mover } from "./mover.ts";
import { NewestBlocks, type SavedBlocks } from "./newest-blocks.ts";
import { type SeatChain, ShardSeat } from "./seat.ts";
import { ShardReads } from "./shard-reads.ts";

const HASH_BYTES = 32;
const ZERO_32 = new Uint8Array(HASH_BYTES);
/** Of a head that the chain has gone back to, until the next block. */
const UNKNOWN_ROOT = ZERO_32;
const NO_GROUPS = encodeGroups([]);
/** Blocks that shards may be behind the chain before the next one waits. */
const BLOCKS_BEHIND_MAX = 8;
/** What blocks wrote is kept until shards have it on disk; they are asked this often, in blocks. */
const FLUSH_EVERY_BLOCKS = 64;
/** Joined tops of old versions kept for proofs. */
const JOINERS_KEPT = 4;

class PreparedParts implements PreparedState {
  readonly stateRoot: Uint8Array;
  readonly base: number;
  readonly generation: number;
  readonly writes: StateWrites;
  /** By shard. */
  readonly parts: readonly Uint8Array[];

  constructor(p: {
    stateRoot: Uint8Array;
    base: number;
    generation: number;
    writes: StateWrites;
    parts: Uint8Array[];
  }) {
    this.stateRoot = p.stateRoot;
    this.base = p.base;
    this.generation = p.generation;
    this.writes = p.writes;
    this.parts = p.parts;
  }
}

export type PartitionedStateOptions = {
  /** Shards that are to hold the state; it moves there beside the blocks. */
  readonly shards: number;
  /** Of a shard's database. */
  readonly folderOf: (shard: number) => string;
  readonly linkOf: (folder: string) => OpenLink;
  readonly blockHash?: (number: number) => Uint8Array | undefined;
  readonly log: Log;
  readonly metrics: KeyShardMetrics;
};

export class PartitionedState implements ChainState {
  readonly #options: PartitionedStateOptions;
  readonly #database: Database;
  readonly #record: PartitionRecord;
  readonly #redo: Table;
  readonly #codes: CodeStore;
  readonly #blockHash: (number: number) => Uint8Array | undefined;
  readonly #seats: ShardSeat[] = [];
  #placement: Placement;
  readonly #mover: Mover;

  #head = -1;
  #oldest = 0;
  #root = EMPTY_TRIE_ROOT;
  /** Everything up to here is on the disks of all shards; what blocks up to here wrote is no longer kept. */
  #flushedTo = -1;
  #flushing = false;

  readonly #joiner = new RootJoiner();
  /** What the slots held before the prepared state that the joiner shows; it is committed or taken back. */
  #tentative: readonly TopChange[] = [];
  readonly #joiners = new Map<number, RootJoiner>();

  readonly #newest = new NewestBlocks();
  /** All shards show this version. */
  #landed = -1;
  readonly #landings = new Set<() => void>();
  /** What the shards show, below the newest blocks. */
  readonly #reads = new ShardReads({
    place: (byte, version) => this.#placement.at(version)[byte] as Place,
    view: (shard) => (this.#seats[shard] as ShardSeat).view,
    shown: () => this.#landed,
  });

  #generation = 0;
  readonly #rollbacks: number[] = [];
  #touchedBy = -1;
  /** What was known before the transaction that unwound last: if it is aborted, shards were told nothing of it. */
  #unwound: { readonly transaction: number; readonly newest: SavedBlocks; readonly landed: number } | undefined;
  /** Ends when all shards have followed the last rollback. */
  #following: Promise<void> = Promise.resolve();
  #failure: unknown;
  /** Shards on their way to be seats. */
  readonly #opening = new Set<ShardSeat>();
  #isClosed = false;

  private constructor(database: Database, options: PartitionedStateOptions) {
    this.#options = options;
    this.#database = database;
    this.#blockHash = options.blockHash ?? (() => undefined);
    this.#record = new PartitionRecord(database);
    this.#redo = database.table("keyshard-writes");
    this.#codes = new CodeStore(database.table("codes"));
    this.#placement = this.#record.placement() ?? Placement.even(options.shards);
    this.#loadHead();
    this.#mover = new Mover({
      seats: this.#seats,
      placement: () => this.#placement,
      store: () => this.#database.transaction(() => this.#storePlacement()),
      head: () => this.#head,
      top: (byte) => this.#joiner.top(byte),
      grow: (count) => this.#grow(count),
      showing: (version) => this.#showing(version),
      log: options.log,
      metrics: options.metrics,
    });
    database.onAbort(() => {
      if (this.#touchedBy !== database.transactionNumber) return;
      this.#loadHead();
      if (this.#unwound?.transaction === database.transactionNumber) {
        this.#newest.restore(this.#unwound.newest);
        this.#landed = this.#unwound.landed;
      }
      this.#follow(this.#head);
    });
  }

  /**
   * Opens the shards and brings them to the head of the chain in `database`.
   * @throws {KeyShardError} KEYSHARD_BEHIND, KEYSHARD_ROOT
   */
  static async open(database: Database, options: PartitionedStateOptions): Promise<PartitionedState> {
    const state = new PartitionedState(database, options);
    try {
      await state.#grow(Math.max(state.#placement.shards, options.shards));
      const held = await Promise.all(state.#seats.map((seat) => seat.holds()));
      for (const [shard, { tops, oldest }] of held.entries()) {
        state.#joiner.update(tops);
        // A chain that lost its newest blocks may know less of what shards have pruned; what began later says nothing.
        if (oldest > state.#placement.since(shard)) state.#oldest = Math.max(state.#oldest, oldest);
      }
      if (!bytesEqual(state.#root, UNKNOWN_ROOT) && !bytesEqual(state.#joiner.root(), state.#root))
        throw keyshardError(
          "KEYSHARD_ROOT",
          `the shards' root is ${toHex(state.#joiner.root())}, that of block ${state.#head} is ${toHex(state.#root)}`,
        );
      if (!state.#record.hasShards) database.transaction(() => state.#storePlacement());
      state.#mover.target = options.shards;
      options.metrics.shards.set(state.#mover.shards);
      return state;
    } catch (error) {
      await state.close();
      throw error;
    }
  }

  get head(): number {
    return this.#head;
  }

  get oldest(): number {
    return this.#oldest;
  }

  /** Of the shards' databases. */
  get folders(): readonly string[] {
    return this.#seats.map(({ folder }) => folder);
  }

  /** Moves of bytes between shards, and what they weigh. */
  get mover(): Mover {
    return this.#mover;
  }

  /** Why blocks would have to wait; undefined when they would not. */
  notReady(): string | undefined {
    if (this.#failure !== undefined) return "a key shard cannot follow the chain";
    const missing = this.#seats.find((seat) => !seat.isReady);
    return missing === undefined ? undefined : `key shard ${missing.index} is being opened`;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#seats, ...this.#opening].map((seat) => seat.close()));
  }

  // --- the head and what is kept of it ---

  #loadHead(): void {
    const stored = this.#record.head();
    this.#head = stored?.head ?? -1;
    this.#oldest = stored?.oldest ?? 0;
    this.#root = stored?.root ?? EMPTY_TRIE_ROOT;
    this.#flushedTo = stored?.flushedTo ?? -1;
  }

  #storeHead(): void {
    this.#record.putHead({ head: this.#head, oldest: this.#oldest, root: this.#root, flushedTo: this.#flushedTo });
  }

  #storePlacement(): void {
    this.#record.putPlacement(this.#placement);
  }

  #seatChain(): SeatChain {
    return {
      head: () => this.#head,
      tries: (shard) => this.#placement.currentOn(shard),
      keep: (shard) => this.#placement.triesOf(shard),
      redo: (version, shard) => this.#writesOf(version, shard),
      landed: () => this.#advance(),
      failed: (error) => {
        this.#failure ??= error;
        this.#options.log.error("a key shard cannot follow the chain", { err: error });
        for (const wake of this.#landings) wake();
      },
    };
  }

  #writesOf(version: number, shard: number): Uint8Array | undefined {
    const bytes = this.#redo.get(versionKey(version));
    if (bytes === undefined) return undefined;
    const r = new Reader(bytes);
    return r.list(SHARDS_MAX, () => r.bytes())[shard] ?? NO_GROUPS;
  }

  async #grow(count: number): Promise<void> {
    const added: ShardSeat[] = [];
    for (let index = this.#seats.length; index < count; index++) {
      const folder = this.#options.folderOf(index);
      const { log } = this.#options;
      const seat = new ShardSeat(index, { folder, open: this.#options.linkOf(folder), chain: this.#seatChain(), log });
      added.push(seat);
    }
    for (const seat of added) this.#opening.add(seat);
    try {
      await Promise.all(added.map((seat) => seat.start()));
    } catch (error) {
      await Promise.all(added.map((seat) => seat.close()));
      throw error;
    } finally {
      for (const seat of added) this.#opening.delete(seat);
    }
    if (this.#isClosed) {
      await Promise.all(added.map((seat) => seat.close()));
      return;
    }
    // Blocks do not wait for a shard that is being opened; from here on it gets its part of them.
    this.#seats.push(...added);
    for (const seat of added) seat.follow();
    this.#advance();
  }

  /** A shard shows more: forgets what all show. */
  #advance(): void {
    let landed = this.#head;
    for (const seat of this.#seats) landed = Math.min(landed, seat.landed);
    if (landed <= this.#landed) return;
    this.#landed = landed;
    for (const { writes } of this.#newest.shift(landed)) this.#reads.landed(writes);
    for (const wake of this.#landings) wake();
  }

  #forgetReads(): void {
    this.#reads.clear();
    this.#joiners.clear();
  }

  /** Resolves when all shards show `version`, or it is gone. */
  async #showing(version: number): Promise<void> {
    while (this.#landed < Math.min(version, this.#head)) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#landings.delete(wake);
          resolve();
        };
        this.#landings.add(wake);
      });
    }
  }

  // --- reading ---

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
    return {
      account: (address): Account | undefined => {
        requireValid();
        const write = this.#newest.account(address, version);
        return write === undefined ? this.#reads.account(address, version) : write.account;
      },
      storage: (address, slot) => {
        requireValid();
        return this.#newest.slot(address, slot, version) ?? this.#reads.slot(address, slot, version);
      },
      code: (codeHash) => this.#codes.get(codeHash),
      blockHash: (number) =>
        number > version || number < version - 256 ? ZERO_32 : (this.#blockHash(number) ?? ZERO_32),
    };
  }

  // --- changing ---

  async prepare(writes: StateWrites): Promise<PreparedState> {
    await this.#following;
    await this.#showing(this.#head - BLOCKS_BEHIND_MAX);
    this.#takeBack();
    const moves = await this.#mover.due();
    if (moves.length > 0) this.#switch(moves);
    const base = this.#head;
    const generation = this.#generation;
    const parts = this.#split(writes);
    const answers = await Promise.all(this.#seats.map((seat, i) => seat.prepare(base + 1, parts[i] ?? NO_GROUPS)));
    assert(
      generation === this.#generation && base === this.#head,
      "the chain stands still while its next block is hashed",
    );
    const { current } = this.#placement;
    const tops: TimedTop[] = [];
    for (const [shard, list] of answers.entries())
      for (const top of list) if (current[top.byte]?.shard === shard) tops.push(top); // others are on their way there
    this.#tentative = this.#joiner.update(tops);
    this.#mover.weigh(tops);
    return new PreparedParts({ stateRoot: this.#joiner.root(), base, generation, writes, parts });
  }

  /** Makes the joiner show the head again. */
  #takeBack(): void {
    this.#joiner.update(this.#tentative);
    this.#tentative = [];
  }

  /** What each shard is sent of a block: writes below its bytes, and below those that are on their way to it. */
  #split(writes: StateWrites): Uint8Array[] {
    const byByte: (Map<string, AccountWrite> | undefined)[] = Array.from({ length: BYTES });
    for (const [address, write] of writes.accounts) {
      const byte = this.#reads.hash(fromHex(address))[0] as number;
      const list = byByte[byte];
      if (list === undefined) byByte[byte] = new Map([[address, write]]);
      else list.set(address, write);
    }
    const groups: WriteGroup[][] = this.#seats.map(() => []);
    const { current } = this.#placement;
    for (let byte = 0; byte < BYTES; byte++) {
      const accounts = byByte[byte];
      if (accounts === undefined) continue;
      const { shard, trieId } = current[byte] as Place;
      groups[shard]?.push({ byte, trieId, accounts });
      const coming = this.#mover.coming(byte);
      if (coming !== undefined) groups[coming.shard]?.push({ byte, trieId: coming.trieId, accounts });
    }
    return groups.map((list) => (list.length === 0 ? NO_GROUPS : encodeGroups(list)));
  }

  commit(version: number, prepared: PreparedState): void {
    assert(this.#database.inTransaction, "states are committed inside the database's transaction");
    assert(prepared instanceof PreparedParts, "a prepared state comes from the store that commits it");
    assert(
      version === this.#head + 1 && prepared.base === this.#head && prepared.generation === this.#generation,
      "a prepared state is committed on its base",
    );
    this.#touchedBy = this.#database.transactionNumber;
    const w = new Writer(4096);
    this.#redo.put(versionKey(version), w.list(prepared.parts, (part) => w.bytes(part)).finish());
    this.#codes.put(prepared.writes.codes);
    this.#head = version;
    this.#root = prepared.stateRoot;
    this.#storeHead();
    this.#tentative = [];
    this.#newest.push({ version, writes: prepared.writes });
    for (const seat of this.#seats) seat.commit(version, this.#oldest);
    if (version % FLUSH_EVERY_BLOCKS === 0) void this.#flush();
  }

  /** Lets the chain forget what blocks wrote when all shards have it on disk. */
  async #flush(): Promise<void> {
    if (this.#flushing) return;
    this.#flushing = true;
    const generation = this.#generation;
    try {
      const flushed = Math.min(...(await Promise.all(this.#seats.map((seat) => seat.flush()))));
      if (generation !== this.#generation || this.#failure !== undefined || flushed <= this.#flushedTo) return;
      this.#database.transaction(() => {
        for (let v = this.#flushedTo + 1; v <= flushed; v++) this.#redo.remove(versionKey(v));
        this.#flushedTo = flushed;
        this.#storeHead();
      });
    } catch {
      // A shard was lost: what blocks wrote is kept until the next time.
    } finally {
      this.#flushing = false;
    }
  }

  rollback(version: number): void {
    assert(this.#database.inTransaction, "states are unwound inside the database's transaction");
    if (version >= this.#head) return;
    if (version !== -1) requireVersion(this, version);
    const transaction = this.#database.transactionNumber;
    this.#touchedBy = transaction;
    if (this.#unwound?.transaction !== transaction)
      this.#unwound = { transaction, newest: this.#newest.save(), landed: this.#landed };
    for (let v = version + 1; v <= this.#head; v++) this.#redo.remove(versionKey(v));
    this.#head = version;
    this.#flushedTo = Math.min(this.#flushedTo, version);
    this.#root = UNKNOWN_ROOT;
    this.#storeHead();
    if (this.#placement.rollback(version)) this.#storePlacement();
    this.#follow(version);
  }

  /** Everything follows a head that has gone back to `version`. */
  #follow(version: number): void {
    this.#generation++;
    this.#rollbacks.push(version);
    this.#newest.rollback(version);
    this.#landed = Math.min(this.#landed, version);
    this.#forgetReads();
    this.#takeBack();
    this.#mover.abort();
    const generation = this.#generation;
    // Shards cannot take a rollback back: they are told when the transaction is over, unless it was aborted.
    this.#following = Promise.resolve().then(async () => {
      if (generation !== this.#generation) return;
      const lists = await Promise.all(this.#seats.map((seat) => seat.rollback(version)));
      if (generation !== this.#generation) return;
      for (const tops of lists) this.#joiner.update(tops);
    });
    this.#following.catch(() => undefined); // whoever prepares next is told
  }

  // --- bytes that move ---

  /** From the next block on `moves` hold. */
  #switch(moves: readonly Move[]): void {
    this.#placement.move(this.#head + 1, moves);
    this.#forgetReads();
    this.#database.transaction(() => this.#storePlacement());
    this.#mover.switched(moves);
  }

  // --- copies, history and proofs ---

  /**
   * Copies the chain's database and then the shards' while all go on: what shards have of later blocks by then, opening
   * the copies takes back. @throws {KeyShardError} KEYSHARD_COPY when the chain went back, or history away, meanwhile
   */
  async copyTo(chainFolder: string, folderOf: (shard: number) => string): Promise<void> {
    const { length: rollbacks } = this.#rollbacks;
    const head = this.#head;
    await this.#following;
    await this.#database.copyTo(chainFolder);
    for (const seat of this.#seats) await seat.view.copyTo(folderOf(seat.index));
    if (rollbacks !== this.#rollbacks.length || this.#oldest > head)
      throw keyshardError("KEYSHARD_COPY", "the chain did not stand on the copied block while it was copied", { head });
  }

  prune(version: number): boolean {
    assert(version <= this.#head, "only history is pruned");
    if (version <= this.#oldest) return true;
    this.#oldest = version;
    for (const known of this.#joiners.keys()) if (known < version) this.#joiners.delete(known);
    const before = this.#seats.map((seat) => this.#placement.triesOf(seat.index));
    const isChanged = this.#placement.prune(version);
    // Stored at once: with an older bound, versions whose tries are gone would be answered from newer ones.
    this.#database.transaction(() => {
      this.#storeHead();
      if (isChanged) this.#storePlacement();
    });
    if (!isChanged) return true;
    for (const seat of this.#seats) {
      const kept = new Set(this.#placement.triesOf(seat.index));
      const gone = (before[seat.index] ?? []).filter((trieId) => !kept.has(trieId));
      // After a loss the shard finds them by itself.
      if (gone.length > 0) seat.request({ kind: "drop", trieIds: gone, after: version - 1 }).catch(() => undefined);
    }
    return true;
  }

  async proof(version: number, address: Uint8Array, slots: readonly Uint8Array[]): Promise<AccountProof> {
    requireVersion(this, version);
    await this.#following;
    await this.#showing(version);
    requireVersion(this, version);
    const key = keccak256(address);
    const places = this.#placement.at(version);
    const { shard, trieId } = places[key[0] as number] as Place;
    const { view } = this.#seats[shard] as ShardSeat;
    const record = view.account(trieId, key, version);
    const { nodes, goesOn } = this.#joinerAt(version, places).prove(key);
    const accountProof = goesOn ? [...nodes, ...view.proveAccount(trieId, key, version)] : nodes;
    const storageId = record?.storageId ?? 0;
    const storageProofs = slots.map((slot) => {
      if (storageId === 0) return { slot, value: ZERO_32, proof: [] };
      const slotKey = keccak256(slot);
      return {
        slot,
        value: view.slot(storageId, slotKey, version),
        proof: view.proveSlot(storageId, slotKey, version),
      };
    });
    return { account: record, storageRoot: record?.storageRoot ?? EMPTY_TRIE_ROOT, accountProof, storageProofs };
  }

  /** What lies above the slots at a version. */
  #joinerAt(version: number, places: readonly Place[]): RootJoiner {
    const known = this.#joiners.get(version);
    if (known !== undefined) return known;
    const joiner = new RootJoiner();
    joiner.update(
      places.map(({ shard, trieId }, byte) => ({
        byte,
        top: (this.#seats[shard] as ShardSeat).view.top(trieId, byte, version),
      })),
    );
    this.#joiners.set(version, joiner);
    for (const oldest of this.#joiners.keys()) {
      if (this.#joiners.size <= JOINERS_KEPT) break;
      this.#joiners.delete(oldest);
    }
    return joiner;
  }
}

function versionKey(version: number): Uint8Array {
  const key = new Uint8Array(4);
  new DataView(key.buffer).setUint32(0, version);
  return key;
}
