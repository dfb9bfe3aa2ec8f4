/**
 * Owns the keys of one key shard, or of several, during an epoch: who wrote what at which position of the order, and the
 * validation of every result against it. Pure and synchronous. The work is done in WebAssembly (vm/src/versions.ts) on
 * the accounts of records as bytes, copied there when a result is taken: no strings, big integers or objects per key.
 * Validation goes in the order of transactions: the frontier is the first transaction whose part is missing or does not
 * hold; everything below it holds against the versions as they are now. Replacing a result takes the frontier back to it,
 * unless what it writes is what was there (cut-off). A transaction without keys here holds trivially.
 * An error of the state below comes out of whatever asked for the key; nothing is to be asked of the epoch after it.
 * Memory: that of the epoch's results, used again by the next epoch; after a huge one it is given back.
 * @see docs/decisions/0014-sharded-execution.md, DESIGN D3
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { assert } from "../../base/assert.ts";
import { bytesEqual, toHexKey } from "../../base/bytes.ts";
import { defineErrors } from "../../base/error.ts";
import { EMPTY_CODE_HASH } from "../../protocol/ordered-trie.ts";
import type { StateWrites } from "../../protocol/state-writes.ts";
import type { Account, StateReader } from "../execution.ts";
import { ACCOUNT, RECORD, SLOT } from "../wasm/layout.ts";
import { machineError } from "../wasm/machine.ts";
import { Output, type TxRecord } from "../wasm/result.ts";
import type { Conflict, EpochShard, ShardRead } from "./epoch-shard.ts";

const versionsError = defineErrors("Versions", {
  VERSIONS_FULL: {
    summary: "The results of one epoch take more memory than can be addressed.",
    action: "Lower the block's gas limit: what results take is paid for with gas.",
    retryable: false,
  },
  VERSIONS_MALFORMED: {
    summary: "The accounts of a result go beyond its record.",
    action: "Report it: records are made by the engine. Executors are trusted to run it.",
    retryable: false,
  },
});

/** The little of the WebAssembly API used here; Node's types leave it to the browser's. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

type Exports = {
  readonly memory: { readonly buffer: ArrayBuffer };
  seed(a: bigint, b: bigint): void;
  begin(count: number): void;
  reserve(size: number): number;
  install(index: number, at: number, size: number, count: number): number;
  advance(): number;
  conflict(index: number): number;
  staleSlot(index: number): number;
  account(index: number): number;
  storage(index: number): void;
  settle(index: number): number;
  release(index: number): number;
  net(): number;
  netEnd(): number;
  accesses(): number;
  questionAt(): number;
  correctedAt(): number;
};

/** What is asked with, and read from: vm/src/versions-layout.ts has the same numbers. */
const QUESTION = {
  address: 0,
  slot: 32,
  value: 64,
  writer: 96,
  nonce: 104,
  balance: 112,
  codeHash: 144,
  hasStorage: 176,
} as const;
/** Where an account of a part keeps its offset in the record: free in the engine's layout. */
const ORIGIN = 28;
const FIELDS_AT = ACCOUNT.nonceBefore;
const ABSENT = 0;
const PRESENT = 1;
const NOTHING = 0;
const ON_SLOT = 2;

/** Cores kept for later epochs in this thread, and the memory of one that is. */
const IDLE_MAX = 2;
const IDLE_BYTES_MAX = 32 * 1024 * 1024;

let compiled: object | undefined;
const idle: Core[] = [];

function compiledModule(): object {
  if (compiled !== undefined) return compiled;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array(readFileSync(new URL("../../../vm/build/versions.wasm", import.meta.url)));
  } catch (cause) {
    throw machineError("VM_NOT_BUILT", "vm/build/versions.wasm cannot be read", {}, { cause });
  }
  compiled = new WebAssembly.Module(bytes);
  return compiled;
}

/** One instance of the module with its memory, and views of it as it stands. */
class Core {
  readonly x: Exports;
  readonly questionAt: number;
  /** Views of the memory as it is: it grows under whatever is called. */
  bytes = new Uint8Array(0);
  view = new DataView(this.bytes.buffer);
  #base: StateReader | undefined;
  /** The account that was asked for last: its slots come one after the other. */
  #address = new Uint8Array(0);
  #addressAt = -1;

  constructor() {
    const instance = new WebAssembly.Instance(compiledModule(), {
      host: {
        account: (address: number, to: number) => this.#account(address >>> 0, to >>> 0),
        storage: (address: number, slot: number, to: number) => this.#storage(address >>> 0, slot >>> 0, to >>> 0),
        grown: () => this.#look(),
        full: () => {
          throw versionsError("VERSIONS_FULL", `an epoch takes more than ${this.bytes.length} bytes`, {
            size: this.bytes.length,
          });
        },
      },
    });
    this.x = instance.exports as Exports;
    this.#look();
    this.questionAt = this.x.questionAt();
    const seed = randomBytes(16);
    this.x.seed(seed.readBigInt64LE(0), seed.readBigInt64LE(8));
  }

  #look(): void {
    const { buffer } = this.x.memory;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }

  /** Starts an epoch on `base`; undefined: none is to be read any more. */
  begin(base: StateReader | undefined, count: number): void {
    this.#base = base;
    this.#addressAt = -1;
    this.x.begin(count);
  }

  #addressOf(at: number): Uint8Array {
    if (at !== this.#addressAt) {
      this.#address = this.bytes.slice(at, at + 20);
      this.#addressAt = at;
    }
    return this.#address;
  }

  #account(address: number, to: number): number {
    const account = this.#base?.account(this.#addressOf(address));
    if (account === undefined) return ABSENT;
    const { view } = this;
    view.setBigUint64(to, account.nonce, true);
    setWord(view, to + 8, account.balanceWei);
    this.bytes.set(account.codeHash, to + 40);
    view.setUint32(to + 72, account.hasStorage === true ? 1 : 0, true);
    return PRESENT;
  }

  #storage(address: number, slot: number, to: number): number {
    const value = this.#base?.storage(this.#addressOf(address), this.bytes.slice(slot, slot + 32));
    if (value === undefined) return ABSENT;
    this.bytes.set(value, to);
    return PRESENT;
  }
}

function setWord(view: DataView, at: number, value: bigint): void {
  view.setBigUint64(at, BigInt.asUintN(64, value), true);
  if (value >> 64n === 0n) {
    view.setBigUint64(at + 8, 0n, true);
    view.setBigUint64(at + 16, 0n, true);
    view.setBigUint64(at + 24, 0n, true);
    return;
  }
  view.setBigUint64(at + 8, BigInt.asUintN(64, value >> 64n), true);
  view.setBigUint64(at + 16, BigInt.asUintN(64, value >> 128n), true);
  view.setBigUint64(at + 24, BigInt.asUintN(64, value >> 192n), true);
}

function wordAt(view: DataView, at: number): bigint {
  const low = view.getBigUint64(at, true);
  const next = view.getBigUint64(at + 8, true);
  const upper = (view.getBigUint64(at + 24, true) << 64n) | view.getBigUint64(at + 16, true);
  return (upper << 128n) | (next << 64n) | low;
}

export class KeyVersions implements EpochShard {
  readonly #count: number;
  #core: Core | undefined;

  /** Versions of `count` transactions on top of `base`. */
  constructor(base: StateReader, count: number) {
    this.#count = count;
    const core = idle.pop() ?? new Core();
    core.begin(base, count);
    this.#core = core;
  }

  /** Gives the memory back; nothing can be asked any more. */
  close(): void {
    const core = this.#core;
    this.#core = undefined;
    if (core === undefined) return;
    core.begin(undefined, 0);
    if (idle.length < IDLE_MAX && core.bytes.length <= IDLE_BYTES_MAX) idle.push(core);
  }

  get #open(): Core {
    assert(this.#core !== undefined, "versions are not asked after their epoch");
    return this.#core;
  }

  /** Accounts and slots of the results taken so far. */
  get accesses(): number {
    return this.#open.x.accesses();
  }

  /** @throws {VersionsError} VERSIONS_MALFORMED, VERSIONS_FULL */
  install(index: number, record: TxRecord | undefined, accounts: readonly number[] | undefined): void {
    const core = this.#open;
    let at = 0;
    let size = 0;
    let count = 0;
    if (record !== undefined && accounts === undefined) {
      const from = record.u32(RECORD.accounts);
      size = record.u32(RECORD.output) - from;
      count = record.u32(RECORD.accountCount);
      if (count > 0) {
        at = core.x.reserve(size) >>> 0;
        core.bytes.set(record.slice(from, from + size), at);
      }
    } else if (record !== undefined && accounts !== undefined) {
      for (const from of accounts) size += accountSize(record, from);
      count = accounts.length;
      at = core.x.reserve(size) >>> 0;
      const { bytes, view } = core;
      let to = at;
      for (const from of accounts) {
        const length = accountSize(record, from);
        bytes.set(record.slice(from, from + length), to);
        view.setUint32(to + ORIGIN, from, true);
        to += length;
      }
    }
    if (core.x.install(index, at, size, count) === 0)
      throw versionsError("VERSIONS_MALFORMED", `${count} accounts of transaction ${index} in ${size} bytes`, {
        index,
        count,
        size,
      });
  }

  /** Validates as far as results are there and hold; the new frontier: the first transaction that does not hold (yet). */
  advance(): number {
    return this.#open.x.advance();
  }

  conflict(index: number): Conflict | undefined {
    return this.#explained(this.#open.x.conflict(index));
  }

  staleSlot(index: number): Conflict | undefined {
    return this.#explained(this.#open.x.staleSlot(index));
  }

  #explained(kind: number): Conflict | undefined {
    if (kind === NOTHING) return undefined;
    const { bytes, view, questionAt: at } = this.#open;
    const address = toHexKey(bytes.subarray(at + QUESTION.address, at + QUESTION.address + 20));
    if (kind !== ON_SLOT) return { address, slot: undefined, writer: -1, value: undefined };
    return {
      address,
      slot: toHexKey(bytes.subarray(at + QUESTION.slot, at + QUESTION.slot + 32)),
      writer: view.getInt32(at + QUESTION.writer, true),
      value: bytes.slice(at + QUESTION.value, at + QUESTION.value + 32),
    };
  }

  /** The account as a transaction at `index` finds it. */
  account(address: Uint8Array, index: number): Account | undefined {
    const core = this.#open;
    const at = core.questionAt;
    core.bytes.set(address, at + QUESTION.address);
    if (core.x.account(index) === ABSENT) return undefined;
    const { bytes, view } = core;
    const codeHash = bytes.slice(at + QUESTION.codeHash, at + QUESTION.codeHash + 32);
    return {
      nonce: view.getBigUint64(at + QUESTION.nonce, true),
      balanceWei: wordAt(view, at + QUESTION.balance),
      codeHash: bytesEqual(codeHash, EMPTY_CODE_HASH) ? EMPTY_CODE_HASH : codeHash,
      hasStorage: view.getUint32(at + QUESTION.hasStorage, true) !== 0,
    };
  }

  storage(address: Uint8Array, slot: Uint8Array, index: number): Uint8Array {
    const core = this.#open;
    const at = core.questionAt;
    core.bytes.set(address, at + QUESTION.address);
    core.bytes.set(slot, at + QUESTION.slot);
    core.x.storage(index);
    return core.bytes.slice(at + QUESTION.value, at + QUESTION.value + 32);
  }

  read({ index, key, done }: ShardRead): void {
    if (key.kind === "account") done({ ...key, account: this.account(key.address, index) });
    else done({ ...key, value: this.storage(key.address, key.slot, index) });
  }

  /**
   * Corrects the record of a final result, of which all accounts were installed: fields nobody depended on become what a
   * serial run would have found. Its part is not looked at any more after that.
   */
  settle(index: number, record: TxRecord): void {
    const { x, bytes } = this.#open;
    if (x.settle(index) === 0) return;
    const from = record.u32(RECORD.accounts);
    const to = record.u32(RECORD.output);
    const at = x.release(index) >>> 0;
    record.slice(from, to).set(bytes.subarray(at, at + to - from));
  }

  /** The same of a result of which only some accounts were installed; the offsets of those that were other. */
  settlePart(index: number, record: TxRecord): number[] {
    const core = this.#open;
    const count = core.x.settle(index);
    const { bytes, view } = core;
    const list = core.x.correctedAt() >>> 0;
    const offsets: number[] = [];
    for (let n = 0; n < count; n++) {
      const at = view.getUint32(list + 4 * n, true);
      const origin = view.getUint32(at + ORIGIN, true);
      record.slice(origin + FIELDS_AT, origin + ACCOUNT.size).set(bytes.subarray(at + FIELDS_AT, at + ACCOUNT.size));
      offsets.push(origin);
    }
    return offsets;
  }

  /** The net effect of all results, once they hold; of codes that were set the hashes, without the code. */
  net(): StateWrites {
    const { x } = this.#open;
    assert(x.advance() === this.#count, "the net effect is that of a whole epoch");
    const from = x.net() >>> 0;
    return new Output(this.#open.bytes.slice(from, x.netEnd() >>> 0)).net(0);
  }
}

const accountSize = (record: TxRecord, at: number): number =>
  ACCOUNT.size + record.u32(at + ACCOUNT.slotCount) * SLOT.size;
