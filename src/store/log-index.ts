/**
 * Owns the log index: which blocks hold a log of an address, of a topic at a position, of an address with a first
 * topic, or any log at all. An entry is a 53-bit fingerprint and a block number; a collision only costs a look at a
 * block that turns out not to match, so the index narrows and never decides.
 * A search intersects the block lists of all its clauses by skipping, so its cost follows the rarest clause.
 */
import type { Receipt } from "../protocol/receipt.ts";
import type { LogFilter } from "./chain-store.ts";
import type { Table } from "./database.ts";

const KEY_BYTES = 11;
const FINGERPRINT_BYTES = 7;
/** Every block with logs has this entry. */
const ANY_LOG = 0;
/** More pairs than this in one query are searched as two separate clauses. */
const PAIRS_MAX = 256;
/** Block numbers read ahead per fingerprint: one cursor step costs a tenth of one positioning. */
const READ_AHEAD = 64;

/** What a fingerprint stands for. Topic positions follow from TOPIC on. */
const ADDRESS = 1;
const ADDRESS_AND_TOPIC = 2;
const TOPIC = 3;

const FNV_PRIME = 0x01000193;

/** 53 bits, of the kind and the bytes; never {@link ANY_LOG}. */
function fingerprint(kind: number, a: Uint8Array, b?: Uint8Array): number {
  let low = 0x811c9dc5 ^ kind;
  let high = 0x9747b28c ^ kind;
  for (let i = 0; i < a.length; i++) {
    low = Math.imul(low ^ (a[i] as number), FNV_PRIME);
    high = Math.imul(high ^ (a[i] as number), 0x5bd1e995);
    high ^= high >>> 15;
  }
  if (b !== undefined)
    for (let i = 0; i < b.length; i++) {
      low = Math.imul(low ^ (b[i] as number), FNV_PRIME);
      high = Math.imul(high ^ (b[i] as number), 0x5bd1e995);
      high ^= high >>> 15;
    }
  const print = (high & 0x1fffff) * 0x1_0000_0000 + (low >>> 0);
  return print === ANY_LOG ? 1 : print;
}

function writeKey(key: Uint8Array, print: number, blockNumber: number): Uint8Array {
  const high = Math.floor(print / 0x1_0000_0000);
  const low = print >>> 0;
  key[0] = high >>> 16;
  key[1] = high >>> 8;
  key[2] = high;
  key[3] = low >>> 24;
  key[4] = low >>> 16;
  key[5] = low >>> 8;
  key[6] = low;
  key[7] = blockNumber >>> 24;
  key[8] = blockNumber >>> 16;
  key[9] = blockNumber >>> 8;
  key[10] = blockNumber;
  return key;
}

/** Fingerprints of everything in a block's logs, ascending; none when it has no logs. */
export function blockFingerprints(receipts: readonly Receipt[]): number[] {
  const prints = new Set<number>();
  for (const receipt of receipts) {
    for (const log of receipt.logs) {
      prints.add(fingerprint(ADDRESS, log.address));
      const [first] = log.topics;
      if (first !== undefined) prints.add(fingerprint(ADDRESS_AND_TOPIC, log.address, first));
      for (let i = 0; i < log.topics.length; i++) prints.add(fingerprint(TOPIC + i, log.topics[i] as Uint8Array));
    }
  }
  if (prints.size > 0) prints.add(ANY_LOG);
  return [...prints].sort((a, b) => a - b);
}

export class LogIndex {
  readonly #table: Table;
  readonly #key = new Uint8Array(KEY_BYTES);
  static readonly #empty = new Uint8Array(0);

  constructor(table: Table) {
    this.#table = table;
  }

  add(blockNumber: number, prints: readonly number[]): void {
    for (const print of prints) this.#table.put(writeKey(this.#key, print, blockNumber), LogIndex.#empty);
  }

  remove(blockNumber: number, prints: readonly number[]): void {
    for (const print of prints) this.#table.remove(writeKey(this.#key, print, blockNumber));
  }

  /** Numbers of blocks in [fromBlock, toBlock] that may hold a match, ascending. */
  *candidates(filter: LogFilter, fromBlock: number, toBlock: number): Generator<number> {
    const clauses = clausesOf(filter).map(
      (prints) => new Clause(prints.map((print) => new BlockList(this.#table, print, toBlock))),
    );
    for (let block = fromBlock; ; block++) {
      // Leapfrog: every clause moves the candidate forward until all agree on one.
      for (let agreed = 0, i = 0; agreed < clauses.length; i = (i + 1) % clauses.length) {
        const next = (clauses[i] as Clause).firstFrom(block);
        agreed = next === block ? agreed + 1 : 1;
        block = next;
        if (block > toBlock) return;
      }
      yield block;
    }
  }
}

/** Alternatives per clause; a block must satisfy every clause. */
function clausesOf(filter: LogFilter): number[][] {
  const { addresses, topics } = filter;
  const clauses: number[][] = [];
  const first = topics[0] ?? [];
  const pairs = addresses.length * first.length;
  if (pairs > 0 && pairs <= PAIRS_MAX)
    clauses.push(addresses.flatMap((address) => first.map((topic) => fingerprint(ADDRESS_AND_TOPIC, address, topic))));
  else {
    if (addresses.length > 0) clauses.push(addresses.map((address) => fingerprint(ADDRESS, address)));
    if (first.length > 0) clauses.push(first.map((topic) => fingerprint(TOPIC, topic)));
  }
  for (let i = 1; i < topics.length; i++) {
    const wanted = topics[i] ?? [];
    if (wanted.length > 0) clauses.push(wanted.map((topic) => fingerprint(TOPIC + i, topic)));
  }
  if (clauses.length === 0) clauses.push([ANY_LOG]);
  return clauses;
}

class Clause {
  readonly #lists: readonly BlockList[];

  constructor(lists: readonly BlockList[]) {
    this.#lists = lists;
  }

  /** First block >= `block` on any of the lists. */
  firstFrom(block: number): number {
    let first = Number.POSITIVE_INFINITY;
    for (const list of this.#lists) {
      const next = list.firstFrom(block);
      if (next < first) first = next;
      if (first === block) break;
    }
    return first;
  }
}

/** The blocks of one fingerprint, read ahead in runs. */
class BlockList {
  readonly #table: Table;
  readonly #print: number;
  readonly #end: Uint8Array;
  #run: number[] = [];
  #at = 0;
  #exhausted = false;

  constructor(table: Table, print: number, toBlock: number) {
    this.#table = table;
    this.#print = print;
    this.#end = writeKey(new Uint8Array(KEY_BYTES), print, toBlock + 1);
  }

  firstFrom(block: number): number {
    while (this.#at < this.#run.length && (this.#run[this.#at] as number) < block) this.#at++;
    if (this.#at === this.#run.length) {
      if (this.#exhausted) return Number.POSITIVE_INFINITY;
      const start = writeKey(new Uint8Array(KEY_BYTES), this.#print, block);
      this.#run = this.#table
        .keys({ start, end: this.#end, limit: READ_AHEAD })
        .map((key) => new DataView(key.buffer, key.byteOffset).getUint32(FINGERPRINT_BYTES));
      this.#at = 0;
      this.#exhausted = this.#run.length < READ_AHEAD;
    }
    return this.#run[this.#at] ?? Number.POSITIVE_INFINITY;
  }
}
