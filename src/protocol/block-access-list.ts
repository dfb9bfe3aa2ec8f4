/**
 * Owns the block access list of EIP-7928: its typed form, its RLP and its hash. For each account used in a block: which
 * slots were read and which got what value, balance, nonce and code by which part of the block. Index 0 is what happens
 * before the transactions (system calls), transaction i has index i + 1; deposits are transactions.
 * Invariant: decoding accepts only what encoding gives: accounts, slots and indices strictly ascending, no slot both read
 * and changed, integers without leading zeros, so that equal lists have equal bytes. Bad bytes throw a CodedError.
 * @see https://eips.ethereum.org/EIPS/eip-7928 (as of July 2026)
 */
import { compareBytes, padLeft } from "../base/bytes.ts";
import { defineErrors } from "../base/error.ts";
import { keccak256 } from "./keccak.ts";
import { RlpReader, rlpHeaderLength, writeRlpHeader } from "./rlp.ts";

const accessListError = defineErrors("AccessList", {
  ACCESS_LIST_UNORDERED: {
    summary: "Entries of a block access list are not strictly ascending, or a slot is both read and changed.",
    action: "Take the list from another node; the block itself is not in doubt.",
    retryable: false,
  },
  ACCESS_LIST_EMPTY_CHANGE: {
    summary: "A slot of a block access list is named as changed without a change.",
    action: "Take the list from another node; the block itself is not in doubt.",
    retryable: false,
  },
  ACCESS_LIST_TOO_LARGE: {
    summary: "A block access list has more entries than the gas of its block pays for.",
    action: "Take the list from another node; the block itself is not in doubt.",
    retryable: false,
  },
});

/** The value something has from this part of the block on. */
export type Change<V> = { readonly index: number; readonly value: V };

/** `slot` and its values have 32 bytes. */
export type SlotChanges = { readonly slot: Uint8Array; readonly changes: readonly Change<Uint8Array>[] };

export type AccountChanges = {
  readonly address: Uint8Array;
  readonly storageChanges: readonly SlotChanges[];
  readonly storageReads: readonly Uint8Array[];
  /** Wei. */
  readonly balanceChanges: readonly Change<bigint>[];
  readonly nonceChanges: readonly Change<bigint>[];
  readonly codeChanges: readonly Change<Uint8Array>[];
};

export type BlockAccessList = readonly AccountChanges[];

/** Gas an entry (an account or a slot) stands for at the least: bounds how long a list can be. */
export const ACCESS_LIST_ITEM_GAS = 2_000;
/** System calls use a few entries that no gas of the block pays for. */
const UNPAID_ITEMS = 64;
/** Indices fit 32 bits. */
const INDEX_MAX = 0xffff_ffff;

/**
 * Writes RLP from its end to its start: a list's length is known when its header is due, so nothing is measured first.
 * Lists are hundreds of thousands of small items a second; a tree of them would cost more than all else.
 */
class BackwardWriter {
  #bytes = new Uint8Array(16_384);
  /** Everything from here on is written. */
  #at = this.#bytes.length;
  readonly #word = new Uint8Array(32);
  readonly #wordView = new DataView(this.#word.buffer);

  /** What {@link list} needs to close the list that ends here. */
  get end(): number {
    return this.#bytes.length - this.#at;
  }

  #room(length: number): void {
    if (this.#at >= length) return;
    const written = this.end;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, 2 * (written + length)));
    larger.set(this.#bytes.subarray(this.#at), larger.length - written);
    this.#bytes = larger;
    this.#at = larger.length - written;
  }

  #header(offset: 0x80 | 0xc0, length: number): void {
    const size = rlpHeaderLength(length);
    this.#room(size);
    this.#at -= size;
    writeRlpHeader(this.#bytes, this.#at, offset, length);
  }

  /** Ends the list whose items were written since `end` was asked. */
  list(end: number): void {
    this.#header(0xc0, this.end - end);
  }

  string(bytes: Uint8Array): void {
    this.#part(bytes, 0);
  }

  /** A big-endian integer, without its leading zeros. */
  integer(bytes: Uint8Array): void {
    let from = 0;
    while (from < bytes.length && bytes[from] === 0) from++;
    this.#part(bytes, from);
  }

  #part(bytes: Uint8Array, from: number): void {
    const length = bytes.length - from;
    this.#room(length);
    this.#at -= length;
    for (let i = 0; i < length; i++) this.#bytes[this.#at + i] = bytes[from + i] as number;
    if (length !== 1 || (bytes[from] as number) >= 0x80) this.#header(0x80, length);
  }

  bigint(value: bigint): void {
    for (let at = 24; at >= 0; at -= 8, value >>= 64n) this.#wordView.setBigUint64(at, BigInt.asUintN(64, value));
    this.integer(this.#word);
  }

  /** Below 2^32. */
  index(index: number): void {
    this.#room(5);
    let length = 0;
    for (let rest = index; rest > 0; rest = Math.floor(rest / 256), length++) this.#bytes[--this.#at] = rest % 256;
    if (length !== 1 || index >= 0x80) this.#bytes[--this.#at] = 0x80 + length;
  }

  finish(): Uint8Array {
    return this.#bytes.slice(this.#at);
  }
}

/** RLP of the list, which is in order. */
export function encodeBlockAccessList(list: BlockAccessList): Uint8Array {
  const writer = new BackwardWriter();
  const integer = (value: Uint8Array): void => writer.integer(value);
  const bigint = (value: bigint): void => writer.bigint(value);
  const string = (value: Uint8Array): void => writer.string(value);
  const changes = <V>(items: readonly Change<V>[], write: (value: V) => void): void => {
    const end = writer.end;
    for (let i = items.length - 1; i >= 0; i--) {
      const { index, value } = items[i] as Change<V>;
      const changeEnd = writer.end;
      write(value);
      writer.index(index);
      writer.list(changeEnd);
    }
    writer.list(end);
  };
  for (let a = list.length - 1; a >= 0; a--) {
    const account = list[a] as AccountChanges;
    const end = writer.end;
    changes(account.codeChanges, string);
    changes(account.nonceChanges, bigint);
    changes(account.balanceChanges, bigint);
    const readsEnd = writer.end;
    for (let i = account.storageReads.length - 1; i >= 0; i--) integer(account.storageReads[i] as Uint8Array);
    writer.list(readsEnd);
    const slotsEnd = writer.end;
    for (let i = account.storageChanges.length - 1; i >= 0; i--) {
      const slot = account.storageChanges[i] as SlotChanges;
      const slotEnd = writer.end;
      changes(slot.changes, integer);
      integer(slot.slot);
      writer.list(slotEnd);
    }
    writer.list(slotsEnd);
    string(account.address);
    writer.list(end);
  }
  writer.list(0);
  return writer.finish();
}

/** Hash of an encoded list; what a header of the Amsterdam fork would carry. */
export function blockAccessListHash(encoded: Uint8Array): Uint8Array {
  return keccak256(encoded);
}

/** Entries a list may have, by EIP-7928's rule, in a block of this gas limit. */
export function accessListItemsMax(gasLimit: number): number {
  return Math.floor(gasLimit / ACCESS_LIST_ITEM_GAS) + UNPAID_ITEMS;
}

/**
 * @throws {CodedError} RLP_*, ACCESS_LIST_UNORDERED, ACCESS_LIST_EMPTY_CHANGE, or ACCESS_LIST_TOO_LARGE beyond
 * `itemsMax` accounts and slots. Fields are views of the bytes where they can be.
 */
export function decodeBlockAccessList(bytes: Uint8Array, itemsMax: number = Number.MAX_SAFE_INTEGER): BlockAccessList {
  const decoder = new Decoder(bytes, itemsMax);
  const list = decoder.list();
  decoder.reader.finish();
  return list;
}

class Decoder {
  readonly reader: RlpReader;
  #itemsLeft: number;

  constructor(bytes: Uint8Array, itemsMax: number) {
    this.reader = new RlpReader(bytes);
    this.#itemsLeft = itemsMax;
  }

  list(): BlockAccessList {
    const accounts = this.#items(() => this.#account());
    ascending(accounts.map(({ address }) => address));
    return accounts;
  }

  #items<T>(item: () => T): T[] {
    const outer = this.reader.enter();
    const items: T[] = [];
    while (!this.reader.isAtEnd) items.push(item());
    this.reader.leave(outer);
    return items;
  }

  #count(): void {
    if (this.#itemsLeft-- <= 0)
      throw accessListError("ACCESS_LIST_TOO_LARGE", "the list has more accounts and slots than its block pays for");
  }

  #account(): AccountChanges {
    this.#count();
    const { reader } = this;
    const outer = reader.enter();
    const address = reader.fixed(20, "address");
    const storageChanges = this.#items(() => this.#slot());
    const storageReads = this.#items(() => {
      this.#count();
      return this.#word("slot");
    });
    const changed = storageChanges.map(({ slot }) => slot);
    ascending(changed);
    ascending(storageReads);
    ascending([...changed, ...storageReads].sort(compareBytes));
    const balanceChanges = this.#changes(() => reader.integer(32, "balance"));
    const nonceChanges = this.#changes(() => reader.integer(8, "nonce"));
    const codeChanges = this.#changes(() => reader.string());
    reader.leave(outer);
    return { address, storageChanges, storageReads, balanceChanges, nonceChanges, codeChanges };
  }

  #slot(): SlotChanges {
    this.#count();
    const outer = this.reader.enter();
    const slot = this.#word("slot");
    const changes = this.#changes(() => this.#word("slot value"));
    this.reader.leave(outer);
    if (changes.length === 0) throw accessListError("ACCESS_LIST_EMPTY_CHANGE", "a changed slot has no change");
    return { slot, changes };
  }

  /** An integer of up to 32 bytes without leading zeros, as 32 bytes. */
  #word(what: string): Uint8Array {
    const at = this.reader.at;
    this.reader.integer(32, what);
    const probe = new RlpReader(this.reader.bytes, at, this.reader.at);
    return padLeft(probe.string(), 32);
  }

  #changes<V>(value: () => V): Change<V>[] {
    let last = -1;
    return this.#items(() => {
      const outer = this.reader.enter();
      const index = this.reader.safeInteger("block access index");
      const change = { index, value: value() };
      this.reader.leave(outer);
      if (index <= last || index > INDEX_MAX)
        throw accessListError("ACCESS_LIST_UNORDERED", `index ${index} follows ${last}`, { index });
      last = index;
      return change;
    });
  }
}

function ascending(keys: readonly Uint8Array[]): void {
  for (let i = 1; i < keys.length; i++)
    if (compareBytes(keys[i - 1] as Uint8Array, keys[i] as Uint8Array) >= 0)
      throw accessListError("ACCESS_LIST_UNORDERED", "addresses or slots are not strictly ascending", { at: i });
}

/** What a block did to one account, while it is collected. Slots are keys of {@link bytesKey}. */
export class AccountAccess {
  readonly balances: Change<bigint>[] = [];
  readonly nonces: Change<bigint>[] = [];
  readonly codes: Change<Uint8Array>[] = [];
  readonly #reads = new Set<string>();
  readonly #writes = new Map<string, Change<Uint8Array>[]>();

  read(slot: string): void {
    if (!this.#writes.has(slot)) this.#reads.add(slot);
  }

  /** `value` differs from the one before this part of the block; it is kept. */
  write(slot: string, index: number, value: Uint8Array): void {
    const changes = this.#writes.get(slot);
    if (changes !== undefined) changes.push({ index, value });
    else {
      this.#reads.delete(slot);
      this.#writes.set(slot, [{ index, value }]);
    }
  }

  finish(address: string): AccountChanges {
    return {
      address: keyBytes(address),
      storageChanges: [...this.#writes.keys()]
        .sort()
        .map((slot) => ({ slot: keyBytes(slot), changes: this.#writes.get(slot) ?? [] })),
      storageReads: [...this.#reads].sort().map(keyBytes),
      balanceChanges: this.balances,
      nonceChanges: this.nonces,
      codeChanges: this.codes,
    };
  }
}

/** Bytes as a string of as many characters: a short map key whose order is that of the bytes. */
export function bytesKey(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function keyBytes(key: string): Uint8Array {
  const bytes = new Uint8Array(key.length);
  for (let i = 0; i < key.length; i++) bytes[i] = key.charCodeAt(i);
  return bytes;
}

/** Collects a block's accesses in order of their indices. */
export class AccessListBuilder {
  readonly #accounts = new Map<string, AccountAccess>();

  /** The account with this address key ({@link bytesKey}); being asked for is being used. */
  account(address: string): AccountAccess {
    const known = this.#accounts.get(address);
    if (known !== undefined) return known;
    const made = new AccountAccess();
    this.#accounts.set(address, made);
    return made;
  }

  finish(): BlockAccessList {
    return [...this.#accounts.keys()].sort().map((address) => this.account(address).finish(address));
  }
}
