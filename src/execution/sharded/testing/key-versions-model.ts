/**
 * Owns the model of {@link KeyVersions}: the same in plain TypeScript, over effects as objects, big integers and maps by
 * hex keys. Slow, and easy to read against docs/decisions/0014-sharded-execution.md; the core is compared with it.
 */
import { assert } from "../../../base/assert.ts";
import { bytesEqual, fromHex, toHexKey } from "../../../base/bytes.ts";
import { EMPTY_CODE_HASH } from "../../../protocol/ordered-trie.ts";
import type { AccountWrite, StateWrites } from "../../../protocol/state-writes.ts";
import type { Account, StateReader } from "../../execution.ts";
import { ACCOUNT } from "../../wasm/layout.ts";
import type { TxRecord } from "../../wasm/result.ts";
import {
  type AccountEffect,
  CHECK_AT_LEAST,
  CHECK_BALANCE,
  CHECK_CODE,
  CHECK_EMPTY,
  CHECK_NONCE,
  type SlotEffect,
} from "../effects.ts";
import type { Conflict } from "../epoch-shard.ts";
import { lowerBound, VersionList } from "../versions.ts";

const ZERO_32 = new Uint8Array(32);

/** Changes that commute: a reader sees the sum of all below it. Sums are kept for as far as they were asked for. */
class DeltaList {
  readonly #at: number[] = [];
  readonly #deltas: bigint[] = [];
  /** `#sums[i]` is the sum of the first i deltas; valid for what is there. */
  readonly #sums: bigint[] = [0n];

  get isEmpty(): boolean {
    return this.#at.length === 0;
  }

  sumBelow(index: number): bigint {
    const count = lowerBound(this.#at, index);
    const sums = this.#sums;
    for (let i = sums.length; i <= count; i++) sums.push((sums[i - 1] as bigint) + (this.#deltas[i - 1] as bigint));
    return sums[count] as bigint;
  }

  put(index: number, delta: bigint): void {
    const i = lowerBound(this.#at, index);
    if (this.#at[i] === index) this.#deltas[i] = delta;
    else if (i === this.#at.length) {
      this.#at.push(index);
      this.#deltas.push(delta);
    } else {
      this.#at.splice(i, 0, index);
      this.#deltas.splice(i, 0, delta);
    }
    if (this.#sums.length > i + 1) this.#sums.length = i + 1;
  }

  remove(index: number): void {
    const i = lowerBound(this.#at, index);
    if (this.#at[i] !== index) return;
    this.#at.splice(i, 1);
    this.#deltas.splice(i, 1);
    if (this.#sums.length > i + 1) this.#sums.length = i + 1;
  }
}

class SlotCell {
  readonly base: Uint8Array;
  readonly versions = new VersionList<Uint8Array>();

  constructor(base: Uint8Array) {
    this.base = base;
  }
}

class AccountCell {
  readonly address: Uint8Array;
  readonly base: Account | undefined;
  readonly balance = new DeltaList();
  readonly nonce = new VersionList<bigint>();
  readonly codeHash = new VersionList<Uint8Array>();
  readonly cleared = new VersionList<true>();
  readonly touched = new VersionList<true>();
  readonly slots = new Map<string, SlotCell>();

  constructor(address: Uint8Array, base: Account | undefined) {
    this.address = address;
    this.base = base;
  }

  balanceAt(index: number): bigint {
    return (this.base?.balanceWei ?? 0n) + this.balance.sumBelow(index);
  }
  nonceAt(index: number): bigint {
    return this.nonce.below(index) ?? this.base?.nonce ?? 0n;
  }
  codeHashAt(index: number): Uint8Array {
    return this.codeHash.below(index) ?? this.base?.codeHash ?? EMPTY_CODE_HASH;
  }
  isEmptyAt(index: number): boolean {
    return (
      this.nonceAt(index) === 0n && this.balanceAt(index) === 0n && bytesEqual(this.codeHashAt(index), EMPTY_CODE_HASH)
    );
  }
  slotAt(cell: SlotCell, index: number): Uint8Array {
    if (!this.cleared.isEmpty) {
      const wiped = this.cleared.writerBelow(index);
      if (wiped >= 0 && cell.versions.writerBelow(index) <= wiped) return ZERO_32;
    }
    return cell.versions.below(index) ?? cell.base;
  }
}

export class KeyVersionsModel {
  readonly #base: StateReader;
  readonly #cells = new Map<string, AccountCell>();
  readonly #parts: (readonly AccountEffect[] | undefined)[];
  #frontier = 0;
  #isBlocked = false;
  /** Accounts and slots of the results taken so far. */
  accesses = 0;

  /** Versions of `count` transactions on top of `base`. */
  constructor(base: StateReader, count: number) {
    this.#base = base;
    this.#parts = Array.from({ length: count });
  }

  /** First transaction that does not hold here (yet). */
  get frontier(): number {
    return this.#frontier;
  }

  /** Takes the result of a transaction as the current one, in the place of an earlier one. */
  install(index: number, part: readonly AccountEffect[]): void {
    const before = this.#parts[index];
    this.#parts[index] = part;
    for (const effect of part) this.accesses += 1 + effect.slots.length;
    if (before !== undefined && sameWrites(before, part)) {
      if (index >= this.#frontier) this.#isBlocked &&= index !== this.#frontier;
      else if (!this.holds(index)) this.#takeBack(index);
      return;
    }
    if (before !== undefined) for (const effect of before) this.#unwrite(index, effect);
    for (const effect of part) this.#write(index, effect);
    if (index <= this.#frontier) this.#takeBack(index);
  }

  #takeBack(index: number): void {
    this.#frontier = Math.min(this.#frontier, index);
    this.#isBlocked = false;
  }

  /** Validates as far as results are there and hold; the new frontier. */
  advance(): number {
    const parts = this.#parts;
    while (!this.#isBlocked && this.#frontier < parts.length && parts[this.#frontier] !== undefined) {
      if (this.holds(this.#frontier)) this.#frontier++;
      else this.#isBlocked = true;
    }
    return this.#frontier;
  }

  /** Does the current result of `index` hold against the current versions below it? */
  holds(index: number): boolean {
    return this.conflict(index) === undefined;
  }

  /** The first dependency of `index` that does not hold. */
  conflict(index: number): Conflict | undefined {
    for (const effect of this.#parts[index] ?? []) {
      const { checks, key } = effect;
      const cell = this.#cell(key);
      const isFieldWrong =
        checks !== 0 &&
        (((checks & CHECK_AT_LEAST) !== 0 && cell.balanceAt(index) < effect.balanceAtLeastWei) ||
          ((checks & CHECK_NONCE) !== 0 && cell.nonceAt(index) !== effect.nonceBefore) ||
          ((checks & CHECK_CODE) !== 0 && !sameBytes(cell.codeHashAt(index), effect.codeHashBefore)) ||
          ((checks & CHECK_BALANCE) !== 0 && cell.balanceAt(index) !== effect.balanceBeforeWei) ||
          ((checks & CHECK_EMPTY) !== 0 && cell.isEmptyAt(index) !== wasEmpty(effect)));
      if (isFieldWrong) return { address: key, slot: undefined, writer: -1, value: undefined };
      const slot = this.#slotConflict(cell, effect, index);
      if (slot !== undefined) return this.#explained(key, slot, index);
    }
    return undefined;
  }

  /**
   * A slot that `index` read and that somebody below has since given another value. Early and advisory: what is still
   * missing below may change the answer, so fields that add up are not looked at.
   */
  staleSlot(index: number): Conflict | undefined {
    for (const effect of this.#parts[index] ?? []) {
      const slot = this.#slotConflict(this.#cell(effect.key), effect, index);
      if (slot !== undefined) return this.#explained(effect.key, slot, index);
    }
    return undefined;
  }

  #slotConflict(cell: AccountCell, effect: AccountEffect, index: number): string | undefined {
    for (const { key, before } of effect.slots)
      if (!sameBytes(cell.slotAt(this.#slot(cell, key), index), before)) return key;
    return undefined;
  }

  /** The account as a transaction at `index` finds it. */
  account(key: string, index: number): Account | undefined {
    const cell = this.#cell(key);
    const { base } = cell;
    if (cell.balance.isEmpty && cell.nonce.isEmpty && cell.codeHash.isEmpty && cell.cleared.isEmpty) return base;
    const nonce = cell.nonceAt(index);
    const balanceWei = cell.balanceAt(index);
    const codeHash = cell.codeHashAt(index);
    const hasStorage = base?.hasStorage === true && cell.cleared.writerBelow(index) < 0;
    if (nonce === 0n && balanceWei === 0n && !hasStorage && bytesEqual(codeHash, EMPTY_CODE_HASH)) return undefined;
    // A balance above what is there yet may be spent by a speculation: what is missing comes later, or it fails to hold.
    return { nonce, balanceWei: balanceWei < 0n ? 0n : balanceWei, codeHash, hasStorage };
  }

  storage(key: string, slot: string, index: number): Uint8Array {
    const cell = this.#cell(key);
    return cell.slotAt(this.#slot(cell, slot), index);
  }

  #explained(address: string, slot: string, index: number): Conflict {
    const cell = this.#cell(address);
    const slotCell = this.#slot(cell, slot);
    return { address, slot, writer: slotCell.versions.writerBelow(index), value: cell.slotAt(slotCell, index) };
  }

  /** Corrects the account at `at` of a final result; true when it was other. */
  settle(index: number, record: TxRecord, at: number): boolean {
    return settleAccount(record, at, this.account(record.hex(at + ACCOUNT.address, 20), index));
  }

  /** Adds the net effect of all current results to `to`; `codeOf` knows those made in the epoch, by hex key of the hash. */
  net(to: StateWrites, codeOf: (codeHash: string) => Uint8Array | undefined): void {
    const end = this.#parts.length;
    assert(this.#frontier === end, "the net effect is that of a whole epoch");
    for (const [key, cell] of this.#cells) {
      const storage = new Map<string, Uint8Array>();
      const wiped = cell.cleared.writerBelow(end);
      for (const [slot, slotCell] of cell.slots)
        if (slotCell.versions.writerBelow(end) > wiped)
          storage.set(slot, (slotCell.versions.below(end) as Uint8Array).slice());
      const isEmpty = cell.isEmptyAt(end);
      const isChanged =
        storage.size > 0 ||
        wiped >= 0 ||
        !cell.nonce.isEmpty ||
        !cell.codeHash.isEmpty ||
        (!cell.balance.isEmpty && cell.balance.sumBelow(end) !== 0n) ||
        (isEmpty && !cell.touched.isEmpty);
      if (!isChanged) continue;
      const codeHash = cell.codeHashAt(end);
      const write: AccountWrite = {
        cleared: wiped >= 0,
        account: isEmpty
          ? undefined
          : {
              nonce: cell.nonceAt(end),
              balanceWei: cell.balanceAt(end),
              codeHash: cell.codeHash.isEmpty ? codeHash : codeHash.slice(),
            },
        storage,
      };
      to.accounts.set(key, write);
      if (cell.codeHash.isEmpty) continue;
      const codeKey = toHexKey(codeHash);
      const code = codeOf(codeKey);
      if (code !== undefined) to.codes.set(codeKey, code);
    }
  }

  #cell(key: string): AccountCell {
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      const address = fromHex(key);
      cell = new AccountCell(address, this.#base.account(address));
      this.#cells.set(key, cell);
    }
    return cell;
  }

  #slot(cell: AccountCell, key: string): SlotCell {
    let slot = cell.slots.get(key);
    if (slot === undefined) {
      slot = new SlotCell(this.#base.storage(cell.address, fromHex(key)));
      cell.slots.set(key, slot);
    }
    return slot;
  }

  #write(index: number, effect: AccountEffect): void {
    const cell = this.#cell(effect.key);
    if (effect.deltaWei !== 0n) cell.balance.put(index, effect.deltaWei);
    if (effect.nonce !== undefined) cell.nonce.put(index, effect.nonce);
    if (effect.codeHash !== undefined) cell.codeHash.put(index, effect.codeHash);
    if (effect.isCleared) cell.cleared.put(index, true);
    if (effect.isTouched) cell.touched.put(index, true);
    for (const { key, value } of effect.slots)
      if (value !== undefined) this.#slot(cell, key).versions.put(index, value);
  }

  #unwrite(index: number, effect: AccountEffect): void {
    const cell = this.#cell(effect.key);
    if (effect.deltaWei !== 0n) cell.balance.remove(index);
    if (effect.nonce !== undefined) cell.nonce.remove(index);
    if (effect.codeHash !== undefined) cell.codeHash.remove(index);
    if (effect.isCleared) cell.cleared.remove(index);
    if (effect.isTouched) cell.touched.remove(index);
    for (const { key, value } of effect.slots) if (value !== undefined) this.#slot(cell, key).versions.remove(index);
  }
}

function wasEmpty(effect: AccountEffect): boolean {
  return (
    effect.nonceBefore === 0n && effect.balanceBeforeWei === 0n && sameBytes(effect.codeHashBefore, EMPTY_CODE_HASH)
  );
}

/** Most hashes here are the one of no code, as one object. */
function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || bytesEqual(a, b);
}

/** Would readers see the same after either? */
function sameWrites(a: readonly AccountEffect[], b: readonly AccountEffect[]): boolean {
  return a.length === b.length && a.every((effect, i) => sameEffect(effect, b[i] as AccountEffect));
}

function sameEffect(a: AccountEffect, b: AccountEffect): boolean {
  return (
    a.key === b.key &&
    a.deltaWei === b.deltaWei &&
    a.nonce === b.nonce &&
    sameOptional(a.codeHash, b.codeHash) &&
    a.isCleared === b.isCleared &&
    a.isTouched === b.isTouched &&
    a.slots.length === b.slots.length &&
    a.slots.every((slot, i) => {
      const other = b.slots[i] as SlotEffect;
      return slot.key === other.key && sameOptional(slot.value, other.value);
    })
  );
}

function sameOptional(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : sameBytes(a, b);
}

/**
 * Writes into the account at `at` what a serial run would have found, `truth`: fields nobody depended on may have been
 * others. True when something was.
 */
function settleAccount(record: TxRecord, at: number, truth: Account | undefined): boolean {
  let isOther = false;
  const nonceBefore = truth?.nonce ?? 0n;
  const assumedNonce = record.u64(at + ACCOUNT.nonceBefore);
  if (assumedNonce !== nonceBefore) {
    isOther = true;
    if (record.u64(at + ACCOUNT.nonce) === assumedNonce) record.setU64(at + ACCOUNT.nonce, nonceBefore);
    record.setU64(at + ACCOUNT.nonceBefore, nonceBefore);
  }
  const balanceBefore = truth?.balanceWei ?? 0n;
  const assumedBalance = record.word(at + ACCOUNT.balanceBefore);
  if (assumedBalance !== balanceBefore) {
    isOther = true;
    record.setWord(at + ACCOUNT.balance, balanceBefore + (record.word(at + ACCOUNT.balance) - assumedBalance));
    record.setWord(at + ACCOUNT.balanceBefore, balanceBefore);
  }
  const codeHashBefore = truth?.codeHash ?? EMPTY_CODE_HASH;
  const hashAt = at + ACCOUNT.codeHashBefore;
  if (!bytesEqual(record.slice(hashAt, hashAt + 32), codeHashBefore)) {
    isOther = true;
    if (record.sameWord(at + ACCOUNT.codeHash, hashAt)) record.setCodeHash(at + ACCOUNT.codeHash, codeHashBefore);
    record.setCodeHash(hashAt, codeHashBefore);
  }
  return isOther;
}
