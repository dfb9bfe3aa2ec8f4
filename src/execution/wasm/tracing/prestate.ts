/**
 * Owns geth's prestateTracer: what a transaction needed of the state, and with `diffMode` what it changed. Accounts that
 * were not there before are left out unless `includeEmpty` asks for them.
 */
import { toHex, toHexKey } from "../../../base/bytes.ts";
import { EMPTY_CODE_HASH } from "../../../protocol/ordered-trie.ts";
import type { StateWrites } from "../../../protocol/state-writes.ts";
import type { Account, StateReader } from "../../execution.ts";
import type { TraceLimits } from "./trace-limits.ts";

export type PrestateConfig = {
  readonly diffMode?: boolean;
  readonly disableCode?: boolean;
  readonly disableStorage?: boolean;
  readonly includeEmpty?: boolean;
};

export type PrestateAccount = {
  balance?: string;
  nonce?: number;
  code?: string;
  codeHash?: string;
  storage?: Record<string, string>;
};
export type Prestate = Record<string, PrestateAccount>;

export type Accessed = readonly { readonly address: Uint8Array; readonly slots: readonly Uint8Array[] }[];

const ZERO = "00".repeat(32);
const EMPTY_CODE_KEY = toHexKey(EMPTY_CODE_HASH);
const ACCOUNT_BYTES = 240;
const SLOT_BYTES = 138;

function isEmpty(account: Account | undefined): boolean {
  return (
    account === undefined ||
    (account.nonce === 0n && account.balanceWei === 0n && toHexKey(account.codeHash) === EMPTY_CODE_KEY)
  );
}

function accountOf(
  state: StateReader,
  account: Account | undefined,
  config: PrestateConfig,
  limits: TraceLimits,
): PrestateAccount {
  limits.spend(ACCOUNT_BYTES);
  limits.tick();
  const entry: PrestateAccount = { balance: `0x${(account?.balanceWei ?? 0n).toString(16)}` };
  if (account === undefined) return entry;
  if (account.nonce > 0n) entry.nonce = Number(account.nonce);
  if (toHexKey(account.codeHash) !== EMPTY_CODE_KEY) {
    if (config.disableCode !== true) {
      const code = state.code(account.codeHash);
      limits.spend(2 * code.length);
      entry.code = toHex(code);
    }
    entry.codeHash = toHex(account.codeHash);
  }
  return entry;
}

/** Accounts and slots used, as they were before. */
export function prestate(
  state: StateReader,
  accessed: Accessed,
  config: PrestateConfig,
  limits: TraceLimits,
): Prestate {
  const result: Prestate = {};
  for (const { address, slots } of accessed) {
    const account = state.account(address);
    if (isEmpty(account) && config.includeEmpty !== true) continue;
    const entry = accountOf(state, account, config, limits);
    if (config.disableStorage !== true && slots.length > 0) {
      limits.spend(SLOT_BYTES * slots.length);
      entry.storage = Object.fromEntries(slots.map((slot) => [toHex(slot), toHex(state.storage(address, slot))]));
    }
    result[toHex(address)] = entry;
  }
  return result;
}

/** What changed: `pre` holds the changed accounts as they were, `post` only the fields that differ. */
export function stateDiff(
  state: StateReader,
  accessed: Accessed,
  writes: StateWrites,
  config: PrestateConfig,
  limits: TraceLimits,
): { post: Prestate; pre: Prestate } {
  const pre: Prestate = {};
  const post: Prestate = {};
  for (const { address, slots } of accessed) {
    const write = writes.accounts.get(toHexKey(address));
    if (write === undefined) continue;
    const account = state.account(address);
    // Touched, and there is still nothing.
    if (write.account === undefined && account === undefined) continue;
    const before = accountOf(state, account, config, limits);
    const storageBefore: Record<string, string> = {};
    const storageAfter: Record<string, string> = {};
    for (const slot of slots) {
      const was = toHexKey(state.storage(address, slot));
      const written = write.storage.get(toHexKey(slot));
      const is = written === undefined ? (write.cleared ? ZERO : was) : toHexKey(written);
      if (was === is) continue;
      limits.spend(2 * SLOT_BYTES);
      if (was !== ZERO) storageBefore[toHex(slot)] = `0x${was}`;
      if (is !== ZERO) storageAfter[toHex(slot)] = `0x${is}`;
    }
    const isStorageChanged = Object.keys(storageBefore).length > 0 || Object.keys(storageAfter).length > 0;
    if (config.disableStorage !== true && Object.keys(storageBefore).length > 0) before.storage = storageBefore;
    const isPrePrinted = !isEmpty(account) || config.includeEmpty === true;
    if (write.account === undefined) {
      // Gone: there is no state after.
      if (isPrePrinted) pre[toHex(address)] = before;
      continue;
    }
    const after: PrestateAccount = {};
    const balance = `0x${write.account.balanceWei.toString(16)}`;
    if (balance !== before.balance) after.balance = balance;
    if (Number(write.account.nonce) !== (before.nonce ?? 0)) after.nonce = Number(write.account.nonce);
    const codeHash = toHex(write.account.codeHash);
    if (codeHash !== (before.codeHash ?? toHex(EMPTY_CODE_HASH))) {
      const code = writes.codes.get(toHexKey(write.account.codeHash)) ?? state.code(write.account.codeHash);
      after.codeHash = codeHash;
      limits.spend(2 * code.length);
      if (config.disableCode !== true && code.length > 0) after.code = toHex(code);
    }
    if (config.disableStorage !== true && Object.keys(storageAfter).length > 0) after.storage = storageAfter;
    if (Object.keys(after).length === 0 && !isStorageChanged) continue;
    post[toHex(address)] = after;
    if (isPrePrinted) pre[toHex(address)] = before;
  }
  return { post, pre };
}
