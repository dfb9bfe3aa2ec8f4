/**
 * Owns what an executor believes the state to be: the newest value it heard of each key, its own writes included.
 * A hint, never a version: whoever validates decides. Only code and the hashes of ancestor blocks are relied on. Bounded;
 * when full it forgets everything and asks again.
 */
import { toHexKey } from "../../base/bytes.ts";
import { EMPTY_CODE_HASH } from "../../protocol/ordered-trie.ts";
import type { StateWrites } from "../../protocol/state-writes.ts";
import { type Account, MissingRead, type StateReader } from "../execution.ts";
import type { StateEntry } from "./messages.ts";

/** Accounts and slots; about 200 bytes each. */
const ENTRIES_MAX = 400_000;
const CODE_BYTES_MAX = 64 * 1024 * 1024;
const ZERO_32 = new Uint8Array(32);
const NO_CODE = new Uint8Array(0);
const EMPTY_CODE_KEY = toHexKey(EMPTY_CODE_HASH);

type Cached = { account: Account | undefined; isKnown: boolean; slots: Map<string, Uint8Array> };

export class StateCache implements StateReader {
  readonly #accounts = new Map<string, Cached>();
  readonly #codes = new Map<string, Uint8Array>();
  readonly #blockHashes = new Map<number, Uint8Array>();
  #entries = 0;
  #codeBytes = 0;

  account(address: Uint8Array): Account | undefined {
    const cached = this.#accounts.get(toHexKey(address));
    if (cached === undefined || !cached.isKnown) throw new MissingRead();
    return cached.account;
  }

  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    const cached = this.#accounts.get(toHexKey(address));
    const value = cached?.slots.get(toHexKey(slot));
    if (value !== undefined) return value;
    // What does not exist, or has neither code nor nonce, has no storage either.
    if (cached?.isKnown === true && cached.account === undefined) return ZERO_32;
    throw new MissingRead();
  }

  code(codeHash: Uint8Array): Uint8Array {
    const key = toHexKey(codeHash);
    if (key === EMPTY_CODE_KEY) return NO_CODE;
    const code = this.#codes.get(key);
    if (code === undefined) throw new MissingRead();
    return code;
  }

  blockHash(number: number): Uint8Array {
    const hash = this.#blockHashes.get(number);
    if (hash === undefined) throw new MissingRead();
    return hash;
  }

  /** A new block, perhaps after a reorg: hashes of ancestors are asked for again. */
  forgetBlockHashes(): void {
    this.#blockHashes.clear();
  }

  forget(): void {
    this.#accounts.clear();
    this.#codes.clear();
    this.#blockHashes.clear();
    this.#entries = 0;
    this.#codeBytes = 0;
  }

  /** Takes entries as they are; those behind one another may be views of one message, so what stays is copied. */
  take(entries: readonly StateEntry[]): void {
    if (this.#entries + entries.length > ENTRIES_MAX) this.forget();
    for (const entry of entries) {
      switch (entry.kind) {
        case "account":
          this.#setAccount(toHexKey(entry.address), copyAccount(entry.account));
          break;
        case "slot":
          this.#setSlot(toHexKey(entry.address), toHexKey(entry.slot), entry.value.slice());
          break;
        case "code":
          this.#setCode(toHexKey(entry.codeHash), entry.code.slice());
          break;
        case "blockHash":
          this.#blockHashes.set(entry.number, entry.hash.slice());
          break;
      }
    }
  }

  /** Takes the effect of own runs. */
  apply(writes: StateWrites): void {
    if (this.#entries > ENTRIES_MAX) this.forget();
    for (const [hash, code] of writes.codes) this.#setCode(hash, code);
    for (const [key, write] of writes.accounts) {
      if (write.cleared) this.#accounts.get(key)?.slots.clear();
      this.#setAccount(key, write.account);
      for (const [slot, value] of write.storage) this.#setSlot(key, slot, value);
    }
  }

  #cached(key: string): Cached {
    let cached = this.#accounts.get(key);
    if (cached === undefined) {
      cached = { account: undefined, isKnown: false, slots: new Map() };
      this.#accounts.set(key, cached);
      this.#entries++;
    }
    return cached;
  }

  #setAccount(key: string, account: Account | undefined): void {
    const cached = this.#cached(key);
    cached.account = account;
    cached.isKnown = true;
  }

  #setSlot(key: string, slot: string, value: Uint8Array): void {
    const { slots } = this.#cached(key);
    if (!slots.has(slot)) this.#entries++;
    slots.set(slot, value);
  }

  #setCode(key: string, code: Uint8Array): void {
    if (this.#codes.has(key)) return;
    if (this.#codeBytes + code.length > CODE_BYTES_MAX) {
      this.#codes.clear();
      this.#codeBytes = 0;
    }
    this.#codes.set(key, code);
    this.#codeBytes += code.length;
  }
}

function copyAccount(account: Account | undefined): Account | undefined {
  if (account === undefined) return undefined;
  const { nonce, balanceWei, codeHash, hasStorage } = account;
  return { nonce, balanceWei, codeHash: codeHash.slice(), hasStorage: hasStorage === true };
}
