/**
 * Owns what a result means to validation, as objects: per account what the result depends on and what it changes.
 * Dependencies are values (slots, code, and balance or nonce where they were looked at) or predicates (enough balance,
 * emptiness, the nonce of the sender); balances change by deltas, everything else by absolute values (DESIGN D3). For
 * graphs of dependencies and for the model in tests: validation itself ({@link KeyVersions}) reads the bytes.
 */
import { EMPTY_CODE_HASH } from "../../protocol/ordered-trie.ts";
import {
  ACCOUNT,
  ACCOUNT_DESTROYED,
  ACCOUNT_NONCE_PREDICATE,
  ACCOUNT_READ_BALANCE,
  ACCOUNT_READ_CODE,
  ACCOUNT_READ_EMPTY,
  ACCOUNT_READ_NONCE,
  ACCOUNT_TOUCHED,
  SLOT,
} from "../wasm/layout.ts";
import type { TxRecord } from "../wasm/result.ts";

export const CHECK_BALANCE = 1;
export const CHECK_NONCE = 2;
export const CHECK_CODE = 4;
export const CHECK_EMPTY = 8;
export const CHECK_AT_LEAST = 16;

/** Flags of an account that make it matter by themselves. */
const CONSEQUENTIAL =
  ACCOUNT_DESTROYED |
  ACCOUNT_TOUCHED |
  ACCOUNT_READ_BALANCE |
  ACCOUNT_READ_NONCE |
  ACCOUNT_NONCE_PREDICATE |
  ACCOUNT_READ_CODE |
  ACCOUNT_READ_EMPTY;

export type SlotEffect = {
  /** Hex key. */
  readonly key: string;
  readonly before: Uint8Array;
  /** Undefined: read only. */
  readonly value: Uint8Array | undefined;
};

export type AccountEffect = {
  /** Hex key of the address. */
  readonly key: string;
  /** Which CHECK_* the result depends on. */
  readonly checks: number;
  /** The fields below are read when a check asks for them. */
  readonly nonceBefore: bigint;
  readonly balanceBeforeWei: bigint;
  readonly codeHashBefore: Uint8Array;
  readonly balanceAtLeastWei: bigint;
  readonly deltaWei: bigint;
  /** Written values; undefined when unchanged. */
  readonly nonce: bigint | undefined;
  readonly codeHash: Uint8Array | undefined;
  /** The storage was wiped. */
  readonly isCleared: boolean;
  /** It is deleted if it ends empty (EIP-161). */
  readonly isTouched: boolean;
  readonly slots: readonly SlotEffect[];
};

const NO_SLOTS: readonly SlotEffect[] = [];

/** Effects of one transaction, in the order of first use. Values are views of the record. */
export function effectsOf(record: TxRecord): AccountEffect[] {
  const effects: AccountEffect[] = [];
  record.forEachAccount((at) => {
    const effect = effectAt(record, at);
    if (effect !== undefined) effects.push(effect);
  });
  return effects;
}

/** The same of some of its accounts, by their offsets. */
export function effectsAt(record: TxRecord, accounts: readonly number[]): AccountEffect[] {
  const effects: AccountEffect[] = [];
  for (const at of accounts) {
    const effect = effectAt(record, at);
    if (effect !== undefined) effects.push(effect);
  }
  return effects;
}

/** Does the account at `at` depend on anything or change anything? Else validation need not know of it. */
export function hasEffect(record: TxRecord, at: number): boolean {
  return (
    (record.u32(at + ACCOUNT.flags) & CONSEQUENTIAL) !== 0 ||
    record.u32(at + ACCOUNT.slotCount) !== 0 ||
    record.u64(at + ACCOUNT.nonce) !== record.u64(at + ACCOUNT.nonceBefore) ||
    !record.sameWord(at + ACCOUNT.balance, at + ACCOUNT.balanceBefore) ||
    !record.sameWord(at + ACCOUNT.codeHash, at + ACCOUNT.codeHashBefore) ||
    record.word(at + ACCOUNT.balanceAtLeast) !== 0n
  );
}

function effectAt(record: TxRecord, at: number): AccountEffect | undefined {
  const slotCount = record.u32(at + ACCOUNT.slotCount);
  const flags = record.u32(at + ACCOUNT.flags);
  const isCleared = (flags & ACCOUNT_DESTROYED) !== 0;
  const balanceAtLeastWei = record.word(at + ACCOUNT.balanceAtLeast);
  const checks =
    ((flags & ACCOUNT_READ_BALANCE) !== 0 ? CHECK_BALANCE : 0) |
    ((flags & (ACCOUNT_READ_NONCE | ACCOUNT_NONCE_PREDICATE)) !== 0 ? CHECK_NONCE : 0) |
    ((flags & ACCOUNT_READ_CODE) !== 0 ? CHECK_CODE : 0) |
    ((flags & ACCOUNT_READ_EMPTY) !== 0 ? CHECK_EMPTY : 0) |
    (balanceAtLeastWei !== 0n ? CHECK_AT_LEAST : 0);
  const isMoved = !record.sameWord(at + ACCOUNT.balance, at + ACCOUNT.balanceBefore);
  const nonceBefore = record.u64(at + ACCOUNT.nonceBefore);
  const nonce = record.u64(at + ACCOUNT.nonce);
  const isRecoded = !record.sameWord(at + ACCOUNT.codeHash, at + ACCOUNT.codeHashBefore);
  const isTouched = (flags & ACCOUNT_TOUCHED) !== 0;
  if (checks === 0 && slotCount === 0 && !isMoved && !isTouched && !isRecoded && !isCleared && nonce === nonceBefore)
    return undefined;
  let slots: SlotEffect[] | undefined;
  for (let i = 0, slot = at + ACCOUNT.size; i < slotCount; i++, slot += SLOT.size) {
    slots ??= [];
    const isWritten = !isCleared && record.u32(slot + SLOT.written) !== 0;
    slots.push({
      key: record.hex(slot + SLOT.key, 32),
      before: record.slice(slot + SLOT.before, slot + SLOT.before + 32),
      value: isWritten ? record.slice(slot + SLOT.value, slot + SLOT.value + 32) : undefined,
    });
  }
  const needsBalance = isMoved || (checks & (CHECK_BALANCE | CHECK_EMPTY)) !== 0;
  const balanceBeforeWei = needsBalance ? record.word(at + ACCOUNT.balanceBefore) : 0n;
  return {
    key: record.hex(at + ACCOUNT.address, 20),
    checks,
    nonceBefore,
    balanceBeforeWei,
    codeHashBefore:
      (checks & (CHECK_CODE | CHECK_EMPTY)) !== 0 ? record.codeHash(at + ACCOUNT.codeHashBefore) : EMPTY_CODE_HASH,
    balanceAtLeastWei,
    deltaWei: isMoved ? record.word(at + ACCOUNT.balance) - balanceBeforeWei : 0n,
    nonce: nonce === nonceBefore ? undefined : nonce,
    codeHash: isRecoded ? record.codeHash(at + ACCOUNT.codeHash) : undefined,
    isCleared,
    isTouched,
    slots: slots ?? NO_SLOTS,
  };
}
