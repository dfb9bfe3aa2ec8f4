/** Owns geth's prestateTracer: what a transaction needed of the state, and with `diffMode` what it changed. */
import { toHex, toHexKey } from "../../../base/bytes.ts";
import { EMPTY_CODE_HASH } from "../../../protocol/ordered-trie.ts";
import type { StateWrites } from "../../../protocol/state-writes.ts";
import type { StateReader } from "../../execution.ts";

export type PrestateConfig = {
  readonly diffMode?: boolean;
  readonly disableCode?: boolean;
  readonly disableStorage?: boolean;
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

function accountOf(state: StateReader, address: Uint8Array, config: PrestateConfig): PrestateAccount {
  const account = state.account(address);
  const entry: PrestateAccount = { balance: `0x${(account?.balanceWei ?? 0n).toString(16)}` };
  if (account === undefined) return entry;
  if (account.nonce > 0n) entry.nonce = Number(account.nonce);
  if (toHexKey(account.codeHash) !== toHexKey(EMPTY_CODE_HASH)) {
    if (config.disableCode !== true) entry.code = toHex(state.code(account.codeHash));
    entry.codeHash = toHex(account.codeHash);
  }
  return entry;
}

/** Accounts and slots used, as they were before. */
export function prestate(state: StateReader, accessed: Accessed, config: PrestateConfig): Prestate {
  const result: Prestate = {};
  for (const { address, slots } of accessed) {
    const entry = accountOf(state, address, config);
    if (config.disableStorage !== true && slots.length > 0)
      entry.storage = Object.fromEntries(slots.map((slot) => [toHex(slot), toHex(state.storage(address, slot))]));
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
): { pre: Prestate; post: Prestate } {
  const pre: Prestate = {};
  const post: Prestate = {};
  for (const { address, slots } of accessed) {
    const key = toHexKey(address);
    const write = writes.accounts.get(key);
    if (write === undefined) continue;
    const before = accountOf(state, address, config);
    const existed = state.account(address) !== undefined;
    const storageBefore: Record<string, string> = {};
    const storageAfter: Record<string, string> = {};
    for (const slot of slots) {
      const was = toHexKey(state.storage(address, slot));
      const is = toHexKey(
        write.storage.get(toHexKey(slot)) ?? (write.cleared ? new Uint8Array(32) : state.storage(address, slot)),
      );
      if (was === is) continue;
      if (was !== ZERO) storageBefore[toHex(slot)] = `0x${was}`;
      if (is !== ZERO) storageAfter[toHex(slot)] = `0x${is}`;
    }
    if (config.disableStorage !== true && Object.keys(storageBefore).length > 0) before.storage = storageBefore;
    const codeAfter = write.account === undefined ? undefined : toHexKey(write.account.codeHash);
    // A contract made here has no state before; an account that was only paid has a balance of zero.
    if (existed || codeAfter === toHexKey(EMPTY_CODE_HASH)) pre[toHex(address)] = before;
    if (write.account === undefined) continue;
    const after: PrestateAccount = {};
    const balance = `0x${write.account.balanceWei.toString(16)}`;
    if (balance !== before.balance || !existed) after.balance = balance;
    if (Number(write.account.nonce) !== (before.nonce ?? 0)) after.nonce = Number(write.account.nonce);
    const codeHash = toHex(write.account.codeHash);
    if (codeHash !== (before.codeHash ?? toHex(EMPTY_CODE_HASH))) {
      after.codeHash = codeHash;
      const code = writes.codes.get(toHexKey(write.account.codeHash));
      if (code !== undefined && config.disableCode !== true) after.code = toHex(code);
    }
    if (config.disableStorage !== true && Object.keys(storageAfter).length > 0) after.storage = storageAfter;
    if (Object.keys(after).length > 0) post[toHex(address)] = after;
    else if (Object.keys(storageBefore).length === 0) delete pre[toHex(address)];
  }
  return { pre, post };
}
