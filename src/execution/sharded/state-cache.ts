/**
 * Owns what an executor believes the state to be: the newest value it heard of each key between epochs and, within one,
 * which transaction wrote which value of a slot, so that each transaction reads what is before it in the order. A hint:
 * whoever validates decides. Only code and the hashes of ancestor blocks are relied on. What it does not know it reads
 * from a state of its own, where there is one, or is missing. Bounded; when full it forgets everything and asks again.
 */
import { toHexKey } from "../../base/bytes.ts";
import { EMPTY_CODE_HASH } from "../../protocol/ordered-trie.ts";
import { type Account, MissingRead, type StateReader } from "../execution.ts";
import { ACCOUNT, ACCOUNT_DESTROYED, SLOT } from "../wasm/layout.ts";
import type { TxRecord } from "../wasm/result.ts";
import { decodeToExecutor, type SlotVersion, type StateEntry } from "./messages.ts";
import { ToldLayers } from "./told-layers.ts";
import { VersionList } from "./versions.ts";

/** Accounts and slots; about 200 bytes each. */
const ENTRIES_MAX = 400_000;
const CODE_BYTES_MAX = 64 * 1024 * 1024;
const ZERO_32 = new Uint8Array(32);
const NO_CODE = new Uint8Array(0);
const EMPTY_CODE_KEY = toHexKey(EMPTY_CODE_HASH);
/** One for all: making an error takes longer than running a transfer. */
const MISSING = new MissingRead();

/** A state that an executor reads itself; what it does not have yet is a {@link MissingRead}. */
export interface OwnState extends StateReader {
  /** Moves on to what is stored now; the newest version there is, or -1. */
  refresh(): number;
}

/** A value, and the newest update that was looked at for it. */
type Slot = { value: Uint8Array; seen: number };

type Cached = {
  account: Account | undefined;
  isKnown: boolean;
  /** As of a slot, of the account. */
  seen: number;
  readonly slots: Map<string, Slot>;
  /** Of the running epoch, by slot. */
  versions: Map<string, VersionList<Uint8Array>> | undefined;
};

export class StateCache implements StateReader {
  readonly #own: OwnState | undefined;
  /** What was told and not looked at yet; empty without a state of its own, where there is no other place for it. */
  readonly #told = new ToldLayers();
  #head = -1;
  readonly #accounts = new Map<string, Cached>();
  readonly #codes = new Map<string, Uint8Array>();
  readonly #blockHashes = new Map<number, Uint8Array>();
  /** Those with versions. */
  readonly #versioned: Cached[] = [];
  /** By position in the order: 1 when something was written there. */
  #written = new Uint8Array(4_096);
  #index = 0;
  #entries = 0;
  #codeBytes = 0;

  constructor(own?: OwnState) {
    this.#own = own;
  }

  /** A new block, perhaps after a reorg: hashes of ancestors are asked for again, versions are over. */
  beginEpoch(): void {
    this.#blockHashes.clear();
    for (const cached of this.#versioned) cached.versions = undefined;
    this.#versioned.length = 0;
    this.#written.fill(0);
    if (this.#own === undefined) return;
    const head = this.#own.refresh();
    // Taken back: what was told is of another chain.
    if (head < this.#head) this.forget();
    this.#head = head;
    this.#told.stored(head);
  }

  /** Takes an update as it came. @throws {CodecError} */
  tell(update: Uint8Array): void {
    if (this.#own === undefined) {
      const message = decodeToExecutor(update);
      if (message.kind === "update") this.take(message.entries);
      return;
    }
    this.#told.add(update, this.#head, (codeHash, code) => this.#setCode(toHexKey(codeHash), code.slice()));
  }

  /** Reads are those of the transaction at this position from now on. */
  readAt(index: number): void {
    this.#index = index;
  }

  /** Is a value known that was written from position `from` on and below `to`? */
  isWrittenBetween(from: number, to: number): boolean {
    const written = this.#written.indexOf(1, from);
    return written >= 0 && written < to;
  }

  account(address: Uint8Array): Account | undefined {
    const key = toHexKey(address);
    const cached = this.#accounts.get(key);
    const told = this.#told;
    if (cached?.isKnown === true && cached.seen === told.newest) return cached.account;
    const isGood = cached?.isKnown === true && cached.seen >= told.base;
    const news = told.account(address, isGood ? cached.seen : 0);
    if (news === undefined && isGood) {
      cached.seen = told.newest;
      return cached.account;
    }
    if (news === undefined && this.#own === undefined) throw MISSING;
    const account = news === undefined ? this.#own?.account(address) : news.account;
    this.#setAccount(key, account);
    return account;
  }

  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    const key = toHexKey(address);
    const slotKey = toHexKey(slot);
    const cached = this.#accounts.get(key);
    const version = cached?.versions?.get(slotKey)?.below(this.#index);
    if (version !== undefined) return version;
    const told = this.#told;
    const known = cached?.slots.get(slotKey);
    if (known !== undefined && known.seen === told.newest) return known.value;
    const isGood = known !== undefined && known.seen >= told.base;
    const news = told.slot(address, slot, isGood ? known.seen : 0);
    if (news === undefined && isGood) {
      known.seen = told.newest;
      return known.value;
    }
    if (news === undefined) {
      // What does not exist has no storage either.
      if (cached?.isKnown === true && cached.seen === told.newest && cached.account === undefined) return ZERO_32;
      if (this.#own === undefined) throw MISSING;
    }
    const value = news ?? (this.#own as OwnState).storage(address, slot);
    this.#setSlot(key, slotKey, value);
    return value;
  }

  code(codeHash: Uint8Array): Uint8Array {
    const key = toHexKey(codeHash);
    if (key === EMPTY_CODE_KEY) return NO_CODE;
    const code = this.#codes.get(key);
    if (code !== undefined) return code;
    if (this.#own === undefined) throw MISSING;
    const own = this.#own.code(codeHash);
    this.#setCode(key, own);
    return own;
  }

  blockHash(number: number): Uint8Array {
    const hash = this.#blockHashes.get(number);
    if (hash === undefined) throw MISSING;
    return hash;
  }

  forget(): void {
    this.#told.clear();
    this.#accounts.clear();
    this.#codes.clear();
    this.#blockHashes.clear();
    this.#versioned.length = 0;
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

  /** Takes what transactions elsewhere wrote; what was believed to be written in between is not true. */
  takeVersions(versions: readonly SlotVersion[]): void {
    for (const { address, slot, value, writer, reader } of versions) {
      const key = toHexKey(address);
      const slotKey = toHexKey(slot);
      const known = this.#accounts.get(key)?.versions?.get(slotKey);
      if (known !== undefined)
        for (let at = known.writerBelow(reader); at > writer; at = known.writerBelow(reader)) known.remove(at);
      if (writer < 0) this.#setSlot(key, slotKey, value.slice());
      else this.#putVersion(this.#cached(key), slotKey, writer, value.slice());
    }
  }

  /** Takes the effect of an own run at position `index`. */
  apply(record: TxRecord, index: number): void {
    if (this.#entries > ENTRIES_MAX) this.forget();
    for (const [hash, code] of record.codes()) this.#setCode(hash, code);
    record.forEachAccount((at, slotsAt, slotCount) => {
      const isGone = (record.u32(at + ACCOUNT.flags) & ACCOUNT_DESTROYED) !== 0;
      let cached: Cached | undefined;
      if (isGone) {
        cached = this.#cached(record.hex(at + ACCOUNT.address, 20));
        cached.slots.clear();
        cached.versions = undefined;
      } else
        for (let i = 0, slot = slotsAt; i < slotCount; i++, slot += SLOT.size) {
          if (record.u32(slot + SLOT.written) === 0) continue;
          cached ??= this.#cached(record.hex(at + ACCOUNT.address, 20));
          const value = record.slice(slot + SLOT.value, slot + SLOT.value + 32).slice();
          this.#putVersion(cached, record.hex(slot + SLOT.key, 32), index, value);
        }
      const nonce = record.u64(at + ACCOUNT.nonce);
      const isRecoded = !record.sameWord(at + ACCOUNT.codeHash, at + ACCOUNT.codeHashBefore);
      const isMoved = !record.sameWord(at + ACCOUNT.balance, at + ACCOUNT.balanceBefore);
      if (!isGone && !isRecoded && !isMoved && nonce === record.u64(at + ACCOUNT.nonceBefore)) return;
      cached ??= this.#cached(record.hex(at + ACCOUNT.address, 20));
      const balanceWei = record.word(at + ACCOUNT.balance);
      const codeHash = record.codeHash(at + ACCOUNT.codeHash);
      const isEmpty = nonce === 0n && balanceWei === 0n && codeHash === EMPTY_CODE_HASH;
      cached.account = isGone || isEmpty ? undefined : { nonce, balanceWei, codeHash };
      cached.isKnown = true;
      cached.seen = this.#told.newest;
    });
  }

  #putVersion(cached: Cached, slot: string, index: number, value: Uint8Array): void {
    if (cached.versions === undefined) {
      cached.versions = new Map();
      this.#versioned.push(cached);
    }
    let versions = cached.versions.get(slot);
    if (versions === undefined) {
      versions = new VersionList();
      cached.versions.set(slot, versions);
      this.#entries++;
    }
    versions.put(index, value);
    if (index >= this.#written.length) {
      const larger = new Uint8Array(2 * index);
      larger.set(this.#written);
      this.#written = larger;
    }
    this.#written[index] = 1;
  }

  #cached(key: string): Cached {
    let cached = this.#accounts.get(key);
    if (cached === undefined) {
      cached = { account: undefined, isKnown: false, seen: 0, slots: new Map(), versions: undefined };
      this.#accounts.set(key, cached);
      this.#entries++;
    }
    return cached;
  }

  #setAccount(key: string, account: Account | undefined): void {
    const cached = this.#cached(key);
    cached.account = account;
    cached.isKnown = true;
    cached.seen = this.#told.newest;
  }

  #setSlot(key: string, slot: string, value: Uint8Array): void {
    const { slots } = this.#cached(key);
    const seen = this.#told.newest;
    const known = slots.get(slot);
    if (known === undefined) {
      this.#entries++;
      slots.set(slot, { value, seen });
      return;
    }
    known.value = value;
    known.seen = seen;
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
