/**
 * Owns the reading of result records: what the VM wrote about one transaction, as the engine's types. The record is
 * copied out of the machine once; logs, writes, reads and deltas are made when asked for.
 */
import { EMPTY_BYTES } from "../../base/bytes.ts";
import type { AccessListBuilder } from "../../protocol/block-access-list.ts";
import { EMPTY_CODE_HASH } from "../../protocol/ordered-trie.ts";
import type { Log } from "../../protocol/receipt.ts";
import type { AccountWrite, StateWrites } from "../../protocol/state-writes.ts";
import type {
  Account,
  DeltaRecord,
  IncludedResult,
  ReadRecord,
  SkippedResult,
  SkipReason,
  TxResult,
} from "../execution.ts";
import {
  ACCOUNT,
  ACCOUNT_DESTROYED,
  ACCOUNT_NONCE_PREDICATE,
  ACCOUNT_READ_BALANCE,
  ACCOUNT_READ_CODE,
  ACCOUNT_READ_EMPTY,
  ACCOUNT_READ_NONCE,
  ACCOUNT_TOUCHED,
  NET,
  NET_ACCOUNT,
  NET_SLOT_SIZE,
  RECORD,
  SLOT,
  STATUS_SKIPPED,
} from "./layout.ts";

const EMPTY_CODE_LIMBS = new BigUint64Array(EMPTY_CODE_HASH.slice().buffer);

/** Index: the VM's number (vm/src/skip.ts). */
export const SKIP_REASONS: readonly SkipReason[] = [
  "UNDECODABLE",
  "UNDECODABLE",
  "UNSUPPORTED_TYPE",
  "WRONG_CHAIN",
  "NONCE_TOO_LOW",
  "NONCE_TOO_HIGH",
  "NONCE_MAX",
  "FEE_BELOW_BASE",
  "TIP_ABOVE_FEE",
  "INSUFFICIENT_FUNDS",
  "INTRINSIC_GAS",
  "GAS_LIMIT_EXCEEDED",
  "SENDER_NOT_EOA",
  "INIT_CODE_TOO_LARGE",
  "BLOBS_INVALID",
  "AUTHORIZATIONS_INVALID",
  "RESOURCE",
];

/** Index: the VM's number (vm/src/ops.ts, Halt), in geth's words. */
export const HALT_REASONS: readonly string[] = [
  "",
  "execution reverted",
  "out of gas",
  "invalid opcode",
  "stack underflow",
  "stack limit reached 1024 (1023)",
  "invalid jump destination",
  "write protection",
  "return data out of bounds",
  "max code size exceeded",
  "invalid code: must not begin with 0xef",
  "contract address collision",
  "max call depth exceeded",
  "insufficient balance for transfer",
  "contract creation code storage out of gas",
  "precompile failed",
  "nonce uint64 overflow",
  "max initcode size exceeded",
];

/**
 * A copy of a batch's output with the views its records share. What is likely to live on (writes, logs, return data) is
 * copied out of it, so that a slot in a cache does not hold the batch.
 */
export class Output {
  readonly bytes: Uint8Array;
  readonly buffer: Buffer;
  readonly words: Uint32Array;
  readonly limbs: BigUint64Array;

  /** `bytes` in a buffer of its own. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.buffer = Buffer.from(bytes.buffer, 0, bytes.length);
    this.words = new Uint32Array(bytes.buffer, 0, bytes.length >>> 2);
    this.limbs = new BigUint64Array(bytes.buffer, 0, bytes.length >>> 3);
  }

  /** A word of four little-endian limbs. */
  word(at: number): bigint {
    const { limbs } = this;
    const limb = at >>> 3;
    const low = limbs[limb] as bigint;
    const next = limbs[limb + 1] as bigint;
    const upper = limbs[limb + 2] as bigint;
    const high = limbs[limb + 3] as bigint;
    if (upper === 0n && high === 0n) return next === 0n ? low : (next << 64n) | low;
    return (high << 192n) | (upper << 128n) | (next << 64n) | low;
  }

  /** The hash at `at`; the one of empty code is always the same object. */
  codeHash(at: number): Uint8Array {
    return this.isEmptyCode(at) ? EMPTY_CODE_HASH : this.bytes.slice(at, at + 32);
  }
  isEmptyCode(at: number): boolean {
    const limb = at >>> 3;
    for (let i = 0; i < 4; i++) if (this.limbs[limb + i] !== EMPTY_CODE_LIMBS[i]) return false;
    return true;
  }

  hex(at: number, length: number): string {
    return this.buffer.toString("hex", at, at + length);
  }

  /** Codes as they stand at `at`: hash, u64 length, bytes, padded to 8. */
  codes(at: number, count: number): Map<string, Uint8Array> {
    const codes = new Map<string, Uint8Array>();
    for (let n = count; n > 0; n--) {
      const length = this.words[(at + 32) >>> 2] as number;
      codes.set(this.hex(at, 32), this.bytes.slice(at + 40, at + 40 + length));
      at = (at + 40 + length + 7) & ~7;
    }
    return codes;
  }

  /** The net effect of a batch that the VM wrote at `at`. */
  net(at: number): StateWrites {
    const accounts = new Map<string, AccountWrite>();
    const { words, limbs } = this;
    let entry = at + NET.header;
    for (let n = words[(at + NET.accounts) >>> 2] as number; n > 0; n--) {
      const storage = new Map<string, Uint8Array>();
      let slot = entry + NET_ACCOUNT.size;
      for (let s = words[(entry + NET_ACCOUNT.slotCount) >>> 2] as number; s > 0; s--, slot += NET_SLOT_SIZE)
        storage.set(this.hex(slot, 32), this.bytes.slice(slot + 32, slot + 64));
      const nonce = limbs[(entry + NET_ACCOUNT.nonce) >>> 3] as bigint;
      const balanceWei = this.word(entry + NET_ACCOUNT.balance);
      const codeHash = this.codeHash(entry + NET_ACCOUNT.codeHash);
      const empty = nonce === 0n && balanceWei === 0n && codeHash === EMPTY_CODE_HASH;
      accounts.set(this.hex(entry + NET_ACCOUNT.address, 20), {
        cleared: words[(entry + NET_ACCOUNT.wiped) >>> 2] !== 0,
        account: empty ? undefined : { nonce, balanceWei, codeHash },
        storage,
      });
      entry = slot;
    }
    return { accounts, codes: this.codes(entry, words[(at + NET.codes) >>> 2] as number) };
  }
}

export class TxRecord {
  readonly #output: Output;
  readonly #at: number;

  /** The record at `at` of an output. Offsets of the methods count from there. */
  constructor(output: Output, at: number) {
    this.#output = output;
    this.#at = at;
  }

  u32(at: number): number {
    return this.#output.words[(this.#at + at) >>> 2] as number;
  }
  u64(at: number): bigint {
    return this.#output.limbs[(this.#at + at) >>> 3] as bigint;
  }
  slice(from: number, to: number): Uint8Array {
    return this.#output.bytes.subarray(this.#at + from, this.#at + to);
  }
  word(at: number): bigint {
    return this.#output.word(this.#at + at);
  }

  get size(): number {
    return this.u32(RECORD.size);
  }
  get status(): number {
    return this.u32(RECORD.status);
  }
  get reason(): number {
    return this.u32(RECORD.reason);
  }
  get gasUsed(): number {
    return Number(this.u64(RECORD.gasUsed));
  }
  get gasRefunded(): number {
    return Number(this.u64(RECORD.gasRefunded));
  }
  get price(): bigint {
    return this.word(RECORD.price);
  }
  get output(): Uint8Array {
    const length = this.u32(RECORD.outputLength);
    if (length === 0) return EMPTY_BYTES;
    const at = this.u32(RECORD.output);
    return this.slice(at, at + length).slice();
  }
  get contractAddress(): Uint8Array | undefined {
    return this.u32(RECORD.hasCreated) === 0 ? undefined : this.slice(RECORD.created, RECORD.created + 20).slice();
  }

  logs(): Log[] {
    const logs: Log[] = [];
    let at = this.u32(RECORD.logs);
    for (let n = this.u32(RECORD.logCount); n > 0; n--) {
      const size = this.u32(at);
      const topicCount = this.u32(at + 4);
      const own = this.slice(at, at + size).slice();
      const dataAt = 32 + topicCount * 32;
      const topics: Uint8Array[] = [];
      for (let topic = 32; topic < dataAt; topic += 32) topics.push(own.subarray(topic, topic + 32));
      logs.push({ address: own.subarray(12, 32), topics, data: own.subarray(dataAt, dataAt + this.u32(at + 8)) });
      at += size;
    }
    return logs;
  }

  /** Calls `visit` for each account of the record with its offset and that of its first slot. */
  forEachAccount(visit: (at: number, slotsAt: number, slotCount: number) => void): void {
    let at = this.u32(RECORD.accounts);
    for (let n = this.u32(RECORD.accountCount); n > 0; n--) {
      const slotCount = this.u32(at + ACCOUNT.slotCount);
      visit(at, at + ACCOUNT.size, slotCount);
      at += ACCOUNT.size + slotCount * SLOT.size;
    }
  }

  #address(at: number): Uint8Array {
    return this.slice(at + ACCOUNT.address, at + ACCOUNT.address + 20);
  }
  #hash(at: number): Uint8Array {
    return this.slice(at, at + 32);
  }
  sameWord(a: number, b: number): boolean {
    const { limbs } = this.#output;
    const x = (this.#at + a) >>> 3;
    const y = (this.#at + b) >>> 3;
    for (let i = 0; i < 4; i++) if (limbs[x + i] !== limbs[y + i]) return false;
    return true;
  }
  hex(at: number, length: number): string {
    return this.#output.hex(this.#at + at, length);
  }

  /** Code made by the transaction, by hex key of its hash. */
  codes(): Map<string, Uint8Array> {
    return this.#output.codes(this.#at + this.u32(RECORD.codes), this.u32(RECORD.codeCount));
  }

  // Corrections of fields nothing depended on, by whoever knows the state the transaction really ran on.
  setU64(at: number, value: bigint): void {
    this.#output.limbs[(this.#at + at) >>> 3] = value;
  }
  setWord(at: number, value: bigint): void {
    for (let i = 0; i < 4; i++)
      this.#output.limbs[((this.#at + at) >>> 3) + i] = BigInt.asUintN(64, value >> BigInt(64 * i));
  }
  setCodeHash(at: number, hash: Uint8Array = EMPTY_CODE_HASH): void {
    this.#output.bytes.set(hash, this.#at + at);
  }

  writes(): StateWrites {
    const accounts = new Map<string, AccountWrite>();
    this.forEachAccount((at, slotsAt, slotCount) => {
      const flags = this.u32(at + ACCOUNT.flags);
      const destroyed = (flags & ACCOUNT_DESTROYED) !== 0;
      const changed =
        destroyed ||
        this.u64(at + ACCOUNT.nonce) !== this.u64(at + ACCOUNT.nonceBefore) ||
        !this.sameWord(at + ACCOUNT.balance, at + ACCOUNT.balanceBefore) ||
        !this.sameWord(at + ACCOUNT.codeHash, at + ACCOUNT.codeHashBefore);
      let storage: Map<string, Uint8Array> | undefined;
      if (!destroyed)
        for (let i = 0, slot = slotsAt; i < slotCount; i++, slot += SLOT.size)
          if (this.u32(slot + SLOT.written) !== 0) {
            storage ??= new Map();
            storage.set(this.hex(slot + SLOT.key, 32), this.#hash(slot + SLOT.value).slice());
          }
      const nonce = this.u64(at + ACCOUNT.nonce);
      const balanceWei = this.word(at + ACCOUNT.balance);
      const codeHash = this.codeHash(at + ACCOUNT.codeHash);
      const empty = nonce === 0n && balanceWei === 0n && codeHash === EMPTY_CODE_HASH;
      // Touched and empty: EIP-161 deletes it, if it was there.
      if (!changed && storage === undefined && !(empty && (flags & ACCOUNT_TOUCHED) !== 0)) return;
      accounts.set(this.hex(at + ACCOUNT.address, 20), {
        cleared: destroyed,
        account: destroyed || empty ? undefined : { nonce, balanceWei, codeHash },
        storage: storage ?? new Map(),
      });
    });
    return { accounts, codes: this.codes() };
  }

  codeHash(at: number): Uint8Array {
    return this.#output.codeHash(this.#at + at);
  }

  /** Of a skipped transaction a predicate counts as read: there is no delta to carry it. */
  reads(): ReadRecord[] {
    const reads: ReadRecord[] = [];
    const skipped = this.status === STATUS_SKIPPED;
    this.forEachAccount((at, slotsAt, slotCount) => {
      const flags = this.u32(at + ACCOUNT.flags);
      const address = this.#address(at);
      const nonceRead = ACCOUNT_READ_NONCE | (skipped ? ACCOUNT_NONCE_PREDICATE : 0);
      if ((flags & (ACCOUNT_READ_BALANCE | nonceRead | ACCOUNT_READ_CODE | ACCOUNT_READ_EMPTY)) !== 0) {
        const value: Account = {
          nonce: this.u64(at + ACCOUNT.nonceBefore),
          balanceWei: this.word(at + ACCOUNT.balanceBefore),
          codeHash: this.codeHash(at + ACCOUNT.codeHashBefore),
        };
        reads.push({
          address,
          slot: undefined,
          value,
          fields: {
            balance: (flags & ACCOUNT_READ_BALANCE) !== 0,
            nonce: (flags & nonceRead) !== 0,
            code: (flags & ACCOUNT_READ_CODE) !== 0,
            emptiness: (flags & ACCOUNT_READ_EMPTY) !== 0,
          },
        });
      }
      for (let i = 0, slot = slotsAt; i < slotCount; i++, slot += SLOT.size)
        reads.push({ address, slot: this.#hash(slot + SLOT.key), value: this.#hash(slot + SLOT.before) });
    });
    return reads;
  }

  deltas(): DeltaRecord[] {
    const deltas: DeltaRecord[] = [];
    this.forEachAccount((at) => {
      const flags = this.u32(at + ACCOUNT.flags);
      const nonceBefore = this.u64(at + ACCOUNT.nonceBefore);
      const nonceAfter = this.u64(at + ACCOUNT.nonce);
      const balanceDeltaWei = this.word(at + ACCOUNT.balance) - this.word(at + ACCOUNT.balanceBefore);
      const balanceAtLeastWei = this.word(at + ACCOUNT.balanceAtLeast);
      const counted = (flags & ACCOUNT_NONCE_PREDICATE) !== 0;
      const recoded = !this.sameWord(at + ACCOUNT.codeHash, at + ACCOUNT.codeHashBefore);
      if (balanceDeltaWei === 0n && balanceAtLeastWei === 0n && !counted && nonceAfter === nonceBefore && !recoded)
        return;
      deltas.push({
        address: this.#address(at),
        balanceDeltaWei,
        balanceAtLeastWei,
        nonceBefore: counted ? nonceBefore : undefined,
        nonceAfter: nonceAfter === nonceBefore ? undefined : nonceAfter,
        codeHashAfter: recoded ? this.codeHash(at + ACCOUNT.codeHash) : undefined,
      });
    });
    return deltas;
  }

  /** {@link IncludedResult.recordAccess}. */
  recordAccess(list: AccessListBuilder, index: number, code: (codeHash: Uint8Array) => Uint8Array): void {
    let made: Map<string, Uint8Array> | undefined;
    this.forEachAccount((at, slotsAt, slotCount) => {
      const account = list.account(this.#key(at + ACCOUNT.address, 20));
      if (!this.sameWord(at + ACCOUNT.balance, at + ACCOUNT.balanceBefore))
        account.balances.push({ index, value: this.word(at + ACCOUNT.balance) });
      const nonce = this.u64(at + ACCOUNT.nonce);
      if (nonce !== this.u64(at + ACCOUNT.nonceBefore)) account.nonces.push({ index, value: nonce });
      if (!this.sameWord(at + ACCOUNT.codeHash, at + ACCOUNT.codeHashBefore)) {
        made ??= this.#output.codes(this.#at + this.u32(RECORD.codes), this.u32(RECORD.codeCount));
        const hash = this.codeHash(at + ACCOUNT.codeHash);
        const value =
          hash === EMPTY_CODE_HASH ? EMPTY_BYTES : (made.get(this.hex(at + ACCOUNT.codeHash, 32)) ?? code(hash));
        account.codes.push({ index, value });
      }
      // What an account destroyed within its transaction wrote was only looked at, for those who see the outcome.
      const isGone = (this.u32(at + ACCOUNT.flags) & ACCOUNT_DESTROYED) !== 0;
      for (let i = 0, slot = slotsAt; i < slotCount; i++, slot += SLOT.size) {
        const key = this.#key(slot + SLOT.key, 32);
        if (this.u32(slot + SLOT.written) === 0 || isGone) account.read(key);
        else account.write(key, index, this.#hash(slot + SLOT.value).slice());
      }
    });
  }

  #key(at: number, length: number): string {
    const from = this.#at + at;
    return this.#output.buffer.toString("latin1", from, from + length);
  }

  /** Accounts and slots used, for access lists. */
  accessed(): { address: Uint8Array; slots: Uint8Array[] }[] {
    const accessed: { address: Uint8Array; slots: Uint8Array[] }[] = [];
    this.forEachAccount((at, slotsAt, slotCount) => {
      accessed.push({
        address: this.#address(at),
        slots: Array.from({ length: slotCount }, (_, i) => this.#hash(slotsAt + i * SLOT.size + SLOT.key)),
      });
    });
    return accessed;
  }
}

/** An included transaction; the costly parts are made on first use. */
export class WasmIncluded implements IncludedResult {
  readonly included = true;
  readonly status: 0 | 1;
  readonly gasUsed: number;
  readonly record: TxRecord;
  #logs: readonly Log[] | undefined;
  #writes: StateWrites | undefined;
  #output: Uint8Array | undefined;
  #settle: (() => void) | undefined;

  constructor(record: TxRecord) {
    this.record = record;
    this.status = record.status === 1 ? 1 : 0;
    this.gasUsed = record.gasUsed;
  }

  /** `settle` corrects the record, once, before anything is read of it that depends on the state it ran on. */
  settleWith(settle: () => void): void {
    this.#settle = settle;
  }
  #settled(): TxRecord {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.();
    return this.record;
  }

  get effectiveGasPriceWei(): bigint {
    return this.record.price;
  }
  get logs(): readonly Log[] {
    this.#logs ??= this.record.logs();
    return this.#logs;
  }
  get output(): Uint8Array {
    this.#output ??= this.record.output;
    return this.#output;
  }
  get contractAddress(): Uint8Array | undefined {
    return this.record.contractAddress;
  }
  get depositNonce(): bigint | undefined {
    return this.record.u32(RECORD.type) === 0x7e ? this.record.u64(RECORD.senderNonce) : undefined;
  }
  get writes(): StateWrites {
    this.#writes ??= this.#settled().writes();
    return this.#writes;
  }
  get reads(): readonly ReadRecord[] {
    return this.#settled().reads();
  }
  get deltas(): readonly DeltaRecord[] {
    return this.#settled().deltas();
  }
  recordAccess(list: AccessListBuilder, index: number, code: (codeHash: Uint8Array) => Uint8Array): void {
    this.#settled().recordAccess(list, index, code);
  }
  /** 256 bytes when the batch asked for blooms: a view, which holds the output of the whole batch as long as it lives. */
  get bloom(): Uint8Array | undefined {
    const at = this.record.u32(RECORD.bloom);
    return at === 0 ? undefined : this.record.slice(at, at + 256);
  }
  /** Why a failed one failed, in geth's words. */
  get error(): string | undefined {
    return this.status === 1 ? undefined : HALT_REASONS[this.record.reason];
  }
}

/** A skipped transaction; what the refusal depends on is read out on demand. */
export class WasmSkipped implements SkippedResult {
  readonly included = false;
  readonly reason: SkipReason;
  readonly #record: TxRecord;

  constructor(record: TxRecord) {
    this.reason = SKIP_REASONS[record.reason] as SkipReason;
    this.#record = record;
  }

  get reads(): readonly ReadRecord[] {
    return this.#record.reads();
  }
}

/** The result a record stands for. */
export function resultOf(record: TxRecord): TxResult {
  return record.status === STATUS_SKIPPED ? new WasmSkipped(record) : new WasmIncluded(record);
}
