/**
 * Owns the embedded database of one node: an LMDB environment whose named tables state, chain data and cursors share,
 * so that a block and all it changes are stored in one transaction or not at all.
 * A transaction is visible when `transaction` returns and on its way to disk: LMDB's own thread applies transactions
 * whole and in order, so the event loop never waits for pages or for the disk. `kill -9` can take back the newest
 * transactions, a loss of power those of about the last sync; what remains is always the chain as of some transaction
 * (LMDB keeps the last synced root until the next one is synced). Whoever must not lose one awaits `flushed`; the order
 * of transactions is what the order log keeps, and execution repeats the rest.
 * What waits is bounded: `settled` slows writers down, and beyond the bound transactions are refused.
 * A write that fails (disk full) stops the database for good: memory is then ahead of the disk.
 */
import { mkdirSync } from "node:fs";
import { type Database as LmdbDatabase, open, type RootDatabase, type Transaction } from "lmdb";
import { assert } from "../base/assert.ts";
import { compareBytes } from "../base/bytes.ts";
import { storeError } from "./error.ts";
import { Memtable } from "./memtable.ts";

/**
 * Address space reserved for the map, not disk or memory: growing a map means remapping it. LMDB grows beyond by itself.
 */
const MAP_SIZE_BYTES = 2 ** 36;
/** `settled` waits above this much unwritten data: some ten full blocks. */
const BACKLOG_BYTES_SOFT = 32 * 1024 * 1024;
/** Transactions are refused above this much. */
const BACKLOG_BYTES_MAX = 1024 * 1024 * 1024;

export type DatabaseOptions = {
  /** Sync to disk behind the commits; default true. False leaves it to the kernel: safe against kill only. */
  readonly durable?: boolean;
  /** Reads what another thread or process stores, see {@link Database.refresh}; nothing is written. */
  readonly readOnly?: boolean;
};

/** The writes of one transaction, by table. */
type Layer = { readonly tables: Map<Table, Memtable>; sizeBytes: number; landed: boolean };

type FastRoot = RootDatabase<Uint8Array, Uint8Array> & {
  resetReadTxn(): void;
  readonly env: { startWriting(address: number, onStatus: (status: number) => unknown): void };
};

/** What lmdb's writing thread tells on its way: committed, and a callback to run. Anything else ends it. */
const STATUS_COMMITTED = 1;
const STATUS_CALLBACK = 2;

export class Database {
  readonly #root: FastRoot;
  readonly #tables = new Map<string, Table>();
  readonly #abortListeners: (() => void)[] = [];
  /** Oldest first; those on their way to disk. */
  readonly #pending: Layer[] = [];
  #open: Layer | undefined;
  #transactions = 0;
  #backlogBytes = 0;
  #written: Promise<void> = Promise.resolve();
  /** Runs of lmdb's writing thread that have not ended. */
  readonly #runs = new Set<Promise<void>>();
  #failure: unknown;
  #closed = false;

  private constructor(root: FastRoot) {
    this.#root = root;
    // lmdb 3.5 tells of a commit while its thread still works on the environment, and frees that in `close` whether the
    // thread is through or not: so the end of each run is watched here, at the only place where it shows.
    const { env } = root;
    const startWriting = env.startWriting.bind(env);
    const watched: typeof startWriting = (address, onStatus) => {
      let end = (): void => {};
      const run = new Promise<void>((resolve) => {
        end = resolve;
      });
      this.#runs.add(run);
      startWriting(address, (status) => {
        if (status !== STATUS_COMMITTED && status !== STATUS_CALLBACK) {
          this.#runs.delete(run);
          end();
        }
        return onStatus(status);
      });
    };
    Object.defineProperty(env, "startWriting", { value: watched }); // on its prototype it is read-only
  }

  /** Opens or creates the environment in the folder `path`. */
  static open(path: string, options: DatabaseOptions = {}): Database {
    const root = open<Uint8Array, Uint8Array>({
      path,
      encoding: "binary",
      keyEncoding: "binary",
      maxDbs: 48,
      noSubdir: false,
      mapSize: MAP_SIZE_BYTES,
      noSync: options.durable === false,
      readOnly: options.readOnly === true,
      // A transaction is one explicit batch; batching by event turn would delay and merge them.
      eventTurnBatching: false,
    });
    return new Database(root as unknown as FastRoot);
  }

  /** The table of this name, created when missing. Tables are opened before the first transaction. */
  table(name: string): Table {
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    assert(this.#open === undefined, "tables are opened outside of transactions");
    const store = this.#root.openDB<Uint8Array, Uint8Array>(name, { encoding: "binary", keyEncoding: "binary" });
    const table: Table = new Table(store as FastStore, () => this.#memtable(table));
    this.#tables.set(name, table);
    return table;
  }

  #memtable(table: Table): Memtable {
    const layer = this.#open;
    assert(layer !== undefined, "tables are written inside a transaction");
    let memtable = layer.tables.get(table);
    if (memtable === undefined) {
      memtable = new Memtable(table.sizeHintBytes, table.countHint);
      layer.tables.set(table, memtable);
      table.layers.unshift(memtable);
    }
    return memtable;
  }

  /** Names of all tables on disk, also of those not opened here. */
  tableNames(): string[] {
    // lmdb ends the names with a zero byte.
    return [...this.#root.getKeys()].map((name) => Buffer.from(name).toString().replace("\0", ""));
  }

  /**
   * Copies the database as of one transaction into a new folder, while it goes on. What was transacted before the call
   * is in it.
   * @throws {StoreError} STORE_WRITE_FAILED
   */
  async copyTo(folder: string): Promise<void> {
    await this.flushed();
    mkdirSync(folder, { recursive: true });
    await (this.#root as unknown as { backup(path: string, compact: boolean): Promise<void> }).backup(folder, true);
  }

  get inTransaction(): boolean {
    return this.#open !== undefined;
  }

  /** Number of the running or last transaction: who keeps memory of the tables notes with it what a transaction touched. */
  get transactionNumber(): number {
    return this.#transactions;
  }

  /** Bytes of memory that transactions on their way to disk take. */
  get backlogBytes(): number {
    return this.#backlogBytes;
  }

  /**
   * Runs `body` as one transaction; a throw takes all of it back. Synchronous on purpose: a block is one step.
   * Inside a transaction it joins that one, and a throw must then reach the outer caller.
   * @throws {StoreError} STORE_WRITE_FAILED, STORE_BACKLOG
   */
  transaction<T>(body: () => T): T {
    if (this.#open !== undefined) return body();
    assert(!this.#closed, "the database is open");
    this.#requireHealthy();
    if (this.#backlogBytes > BACKLOG_BYTES_MAX)
      throw storeError("STORE_BACKLOG", `${this.#backlogBytes} bytes wait for the disk`, {
        backlogBytes: this.#backlogBytes,
      });
    const layer: Layer = { tables: new Map(), sizeBytes: 0, landed: false };
    this.#open = layer;
    this.#transactions++;
    try {
      const result = body();
      this.#open = undefined;
      this.#write(layer);
      return result;
    } catch (error) {
      this.#open = undefined;
      for (const [table, memtable] of layer.tables) table.drop(memtable);
      for (const listener of this.#abortListeners) listener();
      throw error;
    }
  }

  #requireHealthy(): void {
    if (this.#failure !== undefined)
      throw storeError(
        "STORE_WRITE_FAILED",
        "an earlier write failed, nothing is stored since",
        {},
        {
          cause: this.#failure,
        },
      );
  }

  /** Hands a layer to LMDB's thread; the layer answers reads until its commit is visible. */
  #write(layer: Layer): void {
    if (layer.tables.size === 0) return;
    const committed = this.#root.batch(() => {
      for (const [table, memtable] of layer.tables) table.enqueue(memtable);
    });
    for (const memtable of layer.tables.values()) layer.sizeBytes += memtable.sizeBytes;
    this.#backlogBytes += layer.sizeBytes;
    this.#pending.push(layer);
    this.#written = committed.then(
      () => this.#landed(layer),
      (error: unknown) => {
        this.#failure ??= error;
        // lmdb tells the reason through a second promise.
        (error as { commitError?: Promise<unknown> }).commitError?.catch((reason: unknown) => {
          if (this.#failure === error) this.#failure = reason;
        });
      },
    );
  }

  #landed(layer: Layer): void {
    if (this.#failure !== undefined) return;
    layer.landed = true;
    this.#root.resetReadTxn(); // the snapshot being read may be older than the commit
    // Oldest first: a newer layer alone must never uncover an older one.
    for (let oldest = this.#pending[0]; oldest?.landed === true; oldest = this.#pending[0]) {
      this.#pending.shift();
      this.#backlogBytes -= oldest.sizeBytes;
      for (const [table, memtable] of oldest.tables) table.drop(memtable);
    }
  }

  /** Makes reads see what others have committed to the environment. */
  refresh(): void {
    this.#root.resetReadTxn();
  }

  /**
   * A view of what is committed now, for reads that take several turns; others go on writing. It holds pages back from
   * reuse until it is closed.
   */
  snapshot(): Snapshot {
    const transaction = this.#root.useReadTransaction();
    return { transaction, close: () => transaction.done() };
  }

  /** Calls `listener` after a transaction was taken back: memory that ran ahead of the tables is reloaded there. */
  onAbort(listener: () => void): void {
    this.#abortListeners.push(listener);
  }

  /**
   * Resolves when little enough waits for the disk: writers in a loop await it once per transaction.
   * @throws {StoreError} STORE_WRITE_FAILED
   */
  async settled(): Promise<void> {
    while (this.#backlogBytes > BACKLOG_BYTES_SOFT && this.#failure === undefined) await this.#written;
    this.#requireHealthy();
  }

  /**
   * Resolves when everything transacted so far is committed: others see it, and no end of a process takes it back.
   * @throws {StoreError} STORE_WRITE_FAILED
   */
  async landed(): Promise<void> {
    await this.#written;
    this.#requireHealthy();
  }

  /**
   * Resolves when everything transacted so far is on disk.
   * @throws {StoreError} STORE_WRITE_FAILED
   */
  async flushed(): Promise<void> {
    await this.#written;
    this.#requireHealthy();
    await Promise.all(this.#runs); // a run ends after its sync
    this.#requireHealthy();
  }

  /** Closes after outstanding writes; idempotent. Nothing may read or write afterwards. */
  async close(): Promise<void> {
    assert(this.#open === undefined, "a database is not closed within a transaction");
    if (this.#closed) return;
    this.#closed = true;
    await this.#written;
    await Promise.all(this.#runs);
    // After a failed write lmdb waits for a sync that never comes; the process is about to end anyway.
    if (this.#failure === undefined) await this.#root.close();
  }
}

/** Committed state of one moment. */
export type Snapshot = { readonly transaction: Transaction; readonly close: () => void };

/** What lmdb's fast reads need beyond its published type. */
type FastStore = LmdbDatabase<Uint8Array, Uint8Array> & { readonly lastSize: number };

export type Entry = { readonly key: Uint8Array; readonly value: Uint8Array };

export type Range = {
  /** First key, inclusive. */
  readonly start: Uint8Array;
  /** Exclusive end. */
  readonly end?: Uint8Array;
  readonly limit?: number;
  /** Walks downwards from `start` (inclusive) to `end` (exclusive). */
  readonly reverse?: boolean;
};

/** One table: byte keys and values only; encoding belongs to its user. Writes only inside a transaction. */
export class Table {
  readonly #store: FastStore;
  readonly #memtable: () => Memtable;
  /** Writes that are not in the stored table yet, newest first. */
  readonly layers: Memtable[] = [];
  /** Where the last {@link read} left its bytes. */
  buffer: Uint8Array = new Uint8Array(0);
  #stored: Uint8Array = this.buffer;
  /** Size and number of the last transaction's writes: the next one's are likely alike. */
  sizeHintBytes = 4096;
  countHint = 100;

  constructor(store: FastStore, memtable: () => Memtable) {
    this.#store = store;
    this.#memtable = memtable;
  }

  /** A copy of the value. */
  get(key: Uint8Array): Uint8Array | undefined {
    const length = this.read(key);
    return length < 0 ? undefined : this.buffer.slice(0, length);
  }

  /**
   * Reads without copying: returns the length of the value, or -1 when absent, and leaves its bytes at the start of
   * {@link buffer} until the next read of any table.
   */
  read(key: Uint8Array): number {
    for (let i = 0; i < this.layers.length; i++) {
      const layer = this.layers[i] as Memtable;
      const entry = layer.find(key);
      if (entry >= 0) {
        const value = layer.value(entry);
        if (value === undefined) return -1;
        this.buffer = value;
        return value.length;
      }
      if (layer.cleared) return -1;
    }
    const bytes = this.#store.getBinaryFast(key);
    if (bytes === undefined) return -1;
    // lmdb reuses one large Buffer whose `length` it overrides; a plain view of it slices as Uint8Arrays do.
    if (bytes.buffer !== this.#stored.buffer) this.#stored = new Uint8Array(bytes.buffer, bytes.byteOffset);
    this.buffer = this.#stored;
    return this.#store.lastSize;
  }

  has(key: Uint8Array): boolean {
    return this.read(key) >= 0;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#memtable().put(key, value);
  }

  remove(key: Uint8Array): void {
    this.#memtable().put(key, undefined);
  }

  /** Removes every entry. */
  clear(): void {
    this.#memtable().clear();
  }

  /** Entries in key order; keys and values are copies. */
  range(range: Range): Entry[] {
    return [...this.iterate(range)];
  }

  /** Keys in order, as copies. */
  keys(range: Range): Uint8Array[] {
    const keys: Uint8Array[] = [];
    if (this.layers.length > 0) for (const { key } of this.iterate(range)) keys.push(key);
    else for (const key of this.#store.getKeys(range)) keys.push(plain(key));
    return keys;
  }

  /** As {@link iterate}, of what was committed when the snapshot was made. */
  *iterateSnapshot({ transaction }: Snapshot, { start, end }: Range): Generator<Entry> {
    const options = { start, transaction, ...(end === undefined ? {} : { end }) };
    for (const { key, value } of this.#store.getRange(options))
      yield { key: plain(key).slice(), value: plain(value).slice() };
  }

  /** Entries in key order, one at a time, as copies. The table must not be written while iterating. */
  *iterate(range: Range): Generator<Entry> {
    const direction = range.reverse === true ? -1 : 1;
    const { start } = range;
    const cleared = this.layers.findIndex((layer) => layer.cleared);
    const layers = cleared < 0 ? this.layers : this.layers.slice(0, cleared + 1);
    const sources = layers.map((layer) => walkLayer(layer, start, direction));
    if (cleared < 0) sources.push(this.#walkStored(range));
    try {
      yield* merge(sources, range, direction);
    } finally {
      // A cursor left open outlives its read transaction, and the environment when that is closed.
      for (const source of sources) source.return();
    }
  }

  *#walkStored({ start, end, reverse }: Range): Generator<Found, void> {
    const options = { start, reverse: reverse === true, ...(end === undefined ? {} : { end }) };
    for (const { key, value } of this.#store.getRange(options)) yield { key: plain(key), value: plain(value) };
  }

  /** Hands sealed writes to LMDB; called within a batch. The memtable must live until they are committed. */
  enqueue(memtable: Memtable): void {
    if (memtable.cleared) void this.#store.clearAsync();
    for (const entry of memtable.seal()) {
      const value = memtable.value(entry);
      if (value === undefined) void this.#store.remove(memtable.key(entry));
      else void this.#store.put(memtable.key(entry), value);
    }
    this.countHint = Math.min(memtable.count, 1 << 16);
    this.sizeHintBytes = Math.max(4096, Math.min(memtable.bytes.length, 1 << 20));
  }

  drop(memtable: Memtable): void {
    const at = this.layers.indexOf(memtable);
    assert(at >= 0, "a layer is dropped once");
    this.layers.splice(at, 1);
  }
}

/** An undefined value hides older ones. */
type Found = { readonly key: Uint8Array; readonly value: Uint8Array | undefined };

/** Merges sources, newest first, each in key order; the newest with a key decides on it. */
function* merge(sources: readonly Generator<Found, void>[], range: Range, direction: 1 | -1): Generator<Entry> {
  const { end } = range;
  const heads = sources.map((source) => source.next());
  for (let left = range.limit ?? Number.POSITIVE_INFINITY; left > 0; ) {
    let next: Uint8Array | undefined;
    for (const head of heads)
      if (head.done !== true && (next === undefined || direction * compareBytes(head.value.key, next) < 0))
        next = head.value.key;
    if (next === undefined || (end !== undefined && direction * compareBytes(next, end) >= 0)) return;
    // The newest source with the key decides; the others move past it.
    let value: Uint8Array | undefined;
    let decided = false;
    for (let i = 0; i < heads.length; i++) {
      const head = heads[i] as IteratorResult<Found, void>;
      if (head.done === true || compareBytes(head.value.key, next) !== 0) continue;
      if (!decided) value = head.value.value;
      decided = true;
      heads[i] = (sources[i] as Generator<Found, void>).next();
    }
    if (value === undefined) continue;
    left--;
    yield { key: next.slice(), value: value.slice() };
  }
}

function* walkLayer(layer: Memtable, start: Uint8Array, direction: number): Generator<Found, void> {
  const sorted = layer.sorted();
  let at = layer.lowerBound(start);
  if (direction < 0 && (at === sorted.length || compareBytes(layer.key(sorted[at] as number), start) !== 0)) at--;
  for (; at >= 0 && at < sorted.length; at += direction) {
    const entry = sorted[at] as number;
    yield { key: layer.key(entry), value: layer.value(entry) };
  }
}

/** lmdb hands out Buffers, whose `slice` is a view: the rest of the program expects Uint8Arrays. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
