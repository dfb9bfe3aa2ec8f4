/**
 * Owns the durable chain store: blocks, receipts and logs by number, the indexes from block hash, transaction hash and
 * log content, and named values. Invariant: all tables speak of the same blocks 0..head, because every change happens
 * in the caller's transaction; a rolled-back transaction takes the head in memory back with it.
 * Decoded blocks and receipts of recent and recently asked blocks are kept; they are immutable.
 */

import { assert } from "../base/assert.ts";
import { bytesEqual, concatBytes } from "../base/bytes.ts";
import type { Block } from "../protocol/block.ts";
import { blockAccessListHash } from "../protocol/block-access-list.ts";
import { keccak256 } from "../protocol/keccak.ts";
import type { Receipt } from "../protocol/receipt.ts";
import { decodeBlock, decodeReceipts, encodeBlock, encodeLogs, encodeReceipts, LogScan } from "./block-codec.ts";
import type { ChainStore, FoundLog, LogFilter, StoredAccessList } from "./chain-store.ts";
import type { StoreConfig } from "./config.ts";
import type { Database, Table } from "./database.ts";
import { storeError } from "./error.ts";
import { blockFingerprints, LogIndex } from "./log-index.ts";
import { LogMatcher } from "./log-match.ts";

/** Bumped when stored bytes change their meaning. */
const FORMAT = 1;
const FORMAT_KEY = "chain/format";
/** Transactions (and receipts) kept decoded, over all blocks kept: about a kilobyte each. */
const DECODED_TRANSACTIONS_MAX = 16_384;
/** What a block weighs in that besides its transactions: bounds the number of empty ones. */
const DECODED_BLOCK_WEIGHT = 32;
/** Logs one search may look at: about a quarter of a second. */
const SCANNED_LOGS_MAX = 2_000_000;
/** Blocks one search may open: each costs some microseconds even when it holds few logs. */
const SCANNED_BLOCKS_MAX = 100_000;
/** Old access lists dropped with one block: more than it adds, so that a lowered bound is reached soon. */
const DROPPED_LISTS_MAX = 8;
const NO_BYTES = new Uint8Array(0);

export class LmdbChainStore implements ChainStore {
  readonly #database: Database;
  readonly #blocks: Table;
  readonly #receipts: Table;
  readonly #logs: Table;
  readonly #numbers: Table;
  readonly #transactions: Table;
  readonly #meta: Table;
  readonly #accessLists: Table;
  readonly accessListBlocks: number;
  readonly #logIndex: LogIndex;
  readonly #decodedBlocks = new Decoded<Block>((block) => block.transactions.length);
  readonly #decodedReceipts = new Decoded<readonly Receipt[]>((receipts) => receipts.length);
  #head = -1;

  /** @throws {StoreError} STORE_FORMAT */
  constructor(database: Database, config: StoreConfig = { accessListBlocks: 0 }) {
    this.#database = database;
    this.accessListBlocks = config.accessListBlocks;
    this.#accessLists = database.table("access-lists");
    this.#blocks = database.table("blocks");
    this.#receipts = database.table("receipts");
    this.#logs = database.table("logs");
    this.#numbers = database.table("block-numbers");
    this.#transactions = database.table("transactions");
    this.#meta = database.table("meta");
    this.#logIndex = new LogIndex(database.table("log-index"));
    this.#reload();
    const format = this.getMeta(FORMAT_KEY)?.[0];
    if (format === undefined && this.#head === -1) this.putMeta(FORMAT_KEY, Uint8Array.of(FORMAT));
    else if (format !== FORMAT)
      throw storeError("STORE_FORMAT", `chain data has format ${format}, this program reads ${FORMAT}`, { format });
    database.onAbort(() => this.#reload());
  }

  #reload(): void {
    const [last] = this.#blocks.keys({ start: numberKey(0xffffffff), reverse: true, limit: 1 });
    this.#head = last === undefined ? -1 : readNumber(last, 0);
    this.#decodedBlocks.clear();
    this.#decodedReceipts.clear();
  }

  get head(): number {
    return this.#head;
  }

  block(number: number): Block | undefined {
    if (!this.#has(number)) return undefined;
    const kept = this.#decodedBlocks.get(number);
    if (kept !== undefined) return kept;
    const bytes = this.#blocks.get(numberKey(number));
    assert(bytes !== undefined, "every block up to the head is stored");
    return this.#decodedBlocks.set(number, decodeBlock(bytes));
  }

  #has(number: number): boolean {
    return Number.isInteger(number) && number >= 0 && number <= this.#head;
  }

  numberOfHash(blockHash: Uint8Array): number | undefined {
    const length = blockHash.length === 32 ? this.#numbers.read(blockHash) : -1;
    return length < 0 ? undefined : readNumber(this.#numbers.buffer, 0);
  }

  blockHash(number: number): Uint8Array | undefined {
    return this.block(number)?.hash;
  }

  receipts(number: number): readonly Receipt[] | undefined {
    if (!this.#has(number)) return undefined;
    const kept = this.#decodedReceipts.get(number);
    if (kept !== undefined) return kept;
    const key = numberKey(number);
    const bytes = this.#receipts.get(key);
    assert(bytes !== undefined, "every block up to the head has its receipts");
    return this.#decodedReceipts.set(number, decodeReceipts(bytes, this.#logs.get(key) ?? NO_BYTES));
  }

  transaction(hash: Uint8Array): { blockNumber: number; index: number } | undefined {
    const length = hash.length === 32 ? this.#transactions.read(hash) : -1;
    if (length < 0) return undefined;
    const { buffer } = this.#transactions;
    return { blockNumber: readNumber(buffer, 0), index: readNumber(buffer, 4) };
  }

  logs(filter: LogFilter): readonly FoundLog[] {
    const found: FoundLog[] = [];
    const matcher = new LogMatcher(filter);
    const last = Math.min(filter.toBlock, this.#head);
    let scannedLogs = 0;
    let scannedBlocks = 0;
    for (const number of this.#logIndex.candidates(filter, Math.max(filter.fromBlock, 0), last)) {
      const scan = new LogScan(this.#logs.get(numberKey(number)) ?? NO_BYTES);
      for (let logIndex = 0; scan.next(); logIndex++) {
        scannedLogs++;
        if (!matcher.matches(scan)) continue;
        if (found.length >= filter.limit)
          throw storeError("LOG_RESULT_LIMIT", `more than ${filter.limit} logs match`, { limit: filter.limit });
        const block = this.block(number) as Block;
        const { transactionIndex } = scan;
        const previous = found.at(-1);
        const transactionHash =
          previous?.blockNumber === number && previous.transactionIndex === transactionIndex
            ? previous.transactionHash
            : keccak256(block.transactions[transactionIndex] as Uint8Array);
        found.push({
          ...scan.log(),
          blockNumber: number,
          blockHash: block.hash,
          blockTimestamp: block.header.timestamp,
          transactionHash,
          transactionIndex,
          logIndex,
        });
      }
      scannedBlocks++;
      if (scannedLogs > SCANNED_LOGS_MAX || scannedBlocks > SCANNED_BLOCKS_MAX)
        throw storeError("LOG_SCAN_LIMIT", `block ${number} reached after ${scannedLogs} logs`, {
          fromBlock: filter.fromBlock,
          reachedBlock: number,
        });
    }
    return found;
  }

  accessList(number: number): StoredAccessList | undefined {
    if (!this.#has(number) || number <= this.#head - this.accessListBlocks) return undefined;
    const bytes = this.#accessLists.get(numberKey(number));
    return bytes === undefined ? undefined : { hash: bytes.subarray(0, 32), encoded: bytes.subarray(32) };
  }

  append(block: Block, receipts: readonly Receipt[], accessList?: Uint8Array): void {
    const { number } = block.header;
    assert(this.#database.inTransaction, "blocks are appended inside the database's transaction");
    assert(number === this.#head + 1, "blocks are appended in order");
    assert(
      receipts.length === block.transactions.length && block.senders.length === receipts.length,
      "every transaction has a sender and a receipt",
    );
    assert(
      number === 0 || bytesEqual(this.blockHash(number - 1) as Uint8Array, block.header.parentHash),
      "a block extends the head",
    );
    const key = numberKey(number);
    this.#blocks.put(key, encodeBlock(block));
    this.#receipts.put(key, encodeReceipts(receipts));
    this.#numbers.put(block.hash, key);
    const logs = encodeLogs(receipts);
    if (logs.length > 0) {
      this.#logs.put(key, logs);
      this.#logIndex.add(number, blockFingerprints(receipts));
    }
    if (accessList !== undefined && this.accessListBlocks > 0)
      this.#accessLists.put(key, concatBytes(blockAccessListHash(accessList), accessList));
    this.#dropAccessLists(number - this.accessListBlocks);
    const position = new Uint8Array(8);
    position.set(key);
    for (let index = 0; index < block.transactions.length; index++) {
      writeNumber(position, 4, index);
      this.#transactions.put(keccak256(block.transactions[index] as Uint8Array), position);
    }
    this.#head = number;
    this.#decodedBlocks.set(number, block);
    this.#decodedReceipts.set(number, receipts);
  }

  /** Forgets some of the access lists up to block `last`. */
  #dropAccessLists(last: number): void {
    if (last < 0) return;
    const range = { start: numberKey(0), end: numberKey(last + 1), limit: DROPPED_LISTS_MAX };
    for (const key of this.#accessLists.keys(range)) this.#accessLists.remove(key);
  }

  rollback(number: number): void {
    assert(this.#database.inTransaction, "blocks are unwound inside the database's transaction");
    assert(number >= -1, "rollback names a block or, as -1, nothing");
    for (; this.#head > number; this.#head--) {
      const key = numberKey(this.#head);
      const block = this.block(this.#head) as Block;
      const receipts = this.receipts(this.#head) as readonly Receipt[];
      for (const raw of block.transactions) this.#transactions.remove(keccak256(raw));
      this.#logIndex.remove(this.#head, blockFingerprints(receipts));
      this.#logs.remove(key);
      this.#numbers.remove(block.hash);
      this.#receipts.remove(key);
      this.#accessLists.remove(key);
      this.#blocks.remove(key);
      this.#decodedBlocks.delete(this.#head);
      this.#decodedReceipts.delete(this.#head);
    }
  }

  getMeta(key: string): Uint8Array | undefined {
    return this.#meta.get(Buffer.from(key));
  }

  /** Joins the running transaction, or makes one of its own. */
  putMeta(key: string, value: Uint8Array): void {
    this.#database.transaction(() => this.#meta.put(Buffer.from(key), value));
  }
}

function writeNumber(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function readNumber(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

/** Big-endian, so that key order is block order. */
function numberKey(number: number): Uint8Array {
  const key = new Uint8Array(4);
  writeNumber(key, 0, number);
  return key;
}

/** Decoded values by block number, the least recently used dropped. */
class Decoded<V> {
  readonly #transactions: (value: V) => number;
  /** Maps keep insertion order: taking an entry out and in again makes it the youngest. */
  readonly #kept = new Map<number, V>();
  #weight = 0;

  constructor(transactions: (value: V) => number) {
    this.#transactions = transactions;
  }

  get(number: number): V | undefined {
    const value = this.#kept.get(number);
    if (value !== undefined) {
      this.#kept.delete(number);
      this.#kept.set(number, value);
    }
    return value;
  }

  /** Keeps and returns `value`; a block too large to keep is only returned. */
  set(number: number, value: V): V {
    this.delete(number);
    this.#kept.set(number, value);
    this.#weight += this.#weightOf(value);
    for (const oldest of this.#kept.keys()) {
      if (this.#weight <= DECODED_TRANSACTIONS_MAX) break;
      this.delete(oldest);
    }
    return value;
  }

  delete(number: number): void {
    const value = this.#kept.get(number);
    if (value === undefined) return;
    this.#kept.delete(number);
    this.#weight -= this.#weightOf(value);
  }

  clear(): void {
    this.#kept.clear();
    this.#weight = 0;
  }

  #weightOf(value: V): number {
    return this.#transactions(value) + DECODED_BLOCK_WEIGHT;
  }
}
