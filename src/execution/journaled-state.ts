/**
 * Owns the working state of one batch: a cache over a `StateReader` with an undo log, warm sets (EIP-2929) and the
 * original values of the running transaction (EIP-2200). Synchronous; engines adapt it to their own interfaces.
 * Invariant: after `revertTo(mark)` everything reads as it did when `mark()` was taken; `endTransaction` returns exactly
 * what differs from the state at `beginTransaction`.
 * Storage values are kept without leading zeros (zero is empty), as SSTORE's rules want them.
 */
import { assert } from "../base/assert.ts";
import { bytesEqual, EMPTY_BYTES, toHexKey } from "../base/bytes.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { type AccountWrite, emptyWrites, type StateWrites } from "../protocol/state-writes.ts";
import type { StateReader } from "./execution.ts";

type Fields = {
  readonly exists: boolean;
  readonly nonce: bigint;
  readonly balanceWei: bigint;
  readonly codeHash: Uint8Array;
};

/** One account as the batch sees it. Fields are read directly; they change only through {@link JournaledState}. */
export type Cell = {
  readonly key: string;
  readonly address: Uint8Array;
  exists: boolean;
  nonce: bigint;
  balanceWei: bigint;
  codeHash: Uint8Array;
  /** Storage below this batch does not show through. */
  wiped: boolean;
  /** Values read or written so far, by slot key. */
  storage: Map<string, Uint8Array>;
  /** Values at the start of the transaction of the slots it has written; undefined when it wrote none. */
  originals: Map<string, Uint8Array> | undefined;
  /** Fields at the start of the transaction, from the first change in it on. */
  before: Fields | undefined;
  /** Serial of the transaction that last wiped the storage. */
  wipedIn: number;
  /** Serial of the transaction that last warmed the account, and its warm slots. */
  warmIn: number;
  warmSlotsIn: number;
  warmSlots: Set<string> | undefined;
};

type Undo =
  | { readonly kind: "fields"; readonly cell: Cell; readonly fields: Fields }
  | { readonly kind: "slot"; readonly cell: Cell; readonly slot: string; readonly value: Uint8Array }
  | {
      readonly kind: "wipe";
      readonly cell: Cell;
      readonly wiped: boolean;
      readonly wipedIn: number;
      readonly storage: Map<string, Uint8Array>;
    }
  | { readonly kind: "warm"; readonly cell: Cell }
  | { readonly kind: "warm-slot"; readonly cell: Cell; readonly slot: string };

/** Code by hash, kept across batches; the least recently used goes first. */
export class CodeCache {
  readonly #codes = new Map<string, Uint8Array>();
  readonly #sizeMaxBytes: number;
  #sizeBytes = 0;

  constructor(sizeMaxBytes: number) {
    this.#sizeMaxBytes = sizeMaxBytes;
  }

  get(hashKey: string): Uint8Array | undefined {
    const code = this.#codes.get(hashKey);
    if (code !== undefined) {
      this.#codes.delete(hashKey);
      this.#codes.set(hashKey, code);
    }
    return code;
  }

  set(hashKey: string, code: Uint8Array): void {
    if (this.#codes.has(hashKey)) return;
    this.#codes.set(hashKey, code);
    this.#sizeBytes += code.length;
    while (this.#sizeBytes > this.#sizeMaxBytes) {
      const [oldest] = this.#codes;
      if (oldest === undefined) break;
      this.#codes.delete(oldest[0]);
      this.#sizeBytes -= oldest[1].length;
    }
  }
}

/** Storage words without leading zeros. */
export function stripZeros(word: Uint8Array): Uint8Array {
  let at = 0;
  while (at < word.length && word[at] === 0) at++;
  return at === 0 ? word : word.subarray(at);
}

function toWord(value: Uint8Array): Uint8Array {
  const word = new Uint8Array(32);
  word.set(value, 32 - value.length);
  return word;
}

export class JournaledState {
  readonly #reader: StateReader;
  readonly #codeCache: CodeCache;
  readonly #cells = new Map<string, Cell>();
  /** Code created in this batch. */
  readonly #newCodes = new Map<string, Uint8Array>();
  #undo: Undo[] = [];
  #serial = 0;
  /** Cells that the running transaction changed. */
  #changed: Cell[] = [];
  #txCodes = new Map<string, Uint8Array>();

  constructor(reader: StateReader, codeCache: CodeCache) {
    this.#reader = reader;
    this.#codeCache = codeCache;
  }

  cell(address: Uint8Array): Cell {
    const key = toHexKey(address);
    const known = this.#cells.get(key);
    if (known !== undefined) return known;
    const account = this.#reader.account(address);
    const cell: Cell = {
      key,
      address: address.slice(),
      exists: account !== undefined,
      nonce: account?.nonce ?? 0n,
      balanceWei: account?.balanceWei ?? 0n,
      codeHash: account?.codeHash ?? EMPTY_CODE_HASH,
      wiped: false,
      wipedIn: -1,
      storage: new Map(),
      originals: undefined,
      before: undefined,
      warmIn: -1,
      warmSlotsIn: -1,
      warmSlots: undefined,
    };
    this.#cells.set(key, cell);
    return cell;
  }

  beginTransaction(): void {
    assert(this.#undo.length === 0 && this.#changed.length === 0, "the previous transaction has ended");
    this.#serial++;
  }

  /** A point to return to. */
  mark(): number {
    return this.#undo.length;
  }

  revertTo(mark: number): void {
    const undo = this.#undo;
    for (let i = undo.length - 1; i >= mark; i--) {
      const entry = undo[i] as Undo;
      const cell = entry.cell;
      switch (entry.kind) {
        case "fields":
          cell.exists = entry.fields.exists;
          cell.nonce = entry.fields.nonce;
          cell.balanceWei = entry.fields.balanceWei;
          cell.codeHash = entry.fields.codeHash;
          break;
        case "slot":
          cell.storage.set(entry.slot, entry.value);
          break;
        case "wipe":
          cell.wiped = entry.wiped;
          cell.wipedIn = entry.wipedIn;
          cell.storage = entry.storage;
          break;
        case "warm":
          cell.warmIn = -1;
          break;
        case "warm-slot":
          cell.warmSlots?.delete(entry.slot);
          break;
      }
    }
    undo.length = mark;
  }

  #pushFields(cell: Cell): void {
    const fields: Fields = {
      exists: cell.exists,
      nonce: cell.nonce,
      balanceWei: cell.balanceWei,
      codeHash: cell.codeHash,
    };
    this.#noteChange(cell, fields);
    this.#undo.push({ kind: "fields", cell, fields });
  }

  #noteChange(cell: Cell, fields: Fields): void {
    if (cell.before !== undefined) return;
    cell.before = fields;
    this.#changed.push(cell);
  }

  /** Sets the fields; the account exists after it. */
  setFields(cell: Cell, nonce: bigint, balanceWei: bigint, codeHash: Uint8Array): void {
    assert(nonce >= 0n && balanceWei >= 0n, "nonces and balances are not negative");
    this.#pushFields(cell);
    cell.exists = true;
    cell.nonce = nonce;
    cell.balanceWei = balanceWei;
    cell.codeHash = codeHash;
  }

  addBalance(cell: Cell, amountWei: bigint): void {
    this.setFields(cell, cell.nonce, cell.balanceWei + amountWei, cell.codeHash);
  }

  /** The account and all of its storage go away. */
  remove(cell: Cell): void {
    this.wipeStorage(cell);
    this.#pushFields(cell);
    cell.exists = false;
    cell.nonce = 0n;
    cell.balanceWei = 0n;
    cell.codeHash = EMPTY_CODE_HASH;
  }

  wipeStorage(cell: Cell): void {
    if (cell.before === undefined) this.#pushFields(cell);
    this.#undo.push({ kind: "wipe", cell, wiped: cell.wiped, wipedIn: cell.wipedIn, storage: cell.storage });
    cell.wiped = true;
    cell.wipedIn = this.#serial;
    cell.storage = new Map();
  }

  code(cell: Cell): Uint8Array {
    const hash = cell.codeHash;
    if (hash === EMPTY_CODE_HASH) return EMPTY_BYTES;
    const key = toHexKey(hash);
    const known = this.#newCodes.get(key) ?? this.#codeCache.get(key);
    if (known !== undefined) return known;
    if (bytesEqual(hash, EMPTY_CODE_HASH)) return EMPTY_BYTES;
    const code = this.#reader.code(hash);
    this.#codeCache.set(key, code);
    return code;
  }

  setCode(cell: Cell, codeHash: Uint8Array, code: Uint8Array): void {
    if (code.length > 0) {
      const key = toHexKey(codeHash);
      this.#newCodes.set(key, code);
      this.#txCodes.set(key, code);
    }
    this.setFields(cell, cell.nonce, cell.balanceWei, code.length === 0 ? EMPTY_CODE_HASH : codeHash);
  }

  storage(cell: Cell, slot: Uint8Array): Uint8Array {
    return this.#storage(cell, toHexKey(slot), slot);
  }

  #storage(cell: Cell, slotKey: string, slot: Uint8Array): Uint8Array {
    const known = cell.storage.get(slotKey);
    if (known !== undefined) return known;
    const value = cell.wiped ? EMPTY_BYTES : stripZeros(this.#reader.storage(cell.address, slot));
    cell.storage.set(slotKey, value);
    return value;
  }

  /** Value at the start of the transaction. */
  originalStorage(cell: Cell, slot: Uint8Array): Uint8Array {
    const slotKey = toHexKey(slot);
    return cell.originals?.get(slotKey) ?? this.#storage(cell, slotKey, slot);
  }

  /** `value` without leading zeros. */
  setStorage(cell: Cell, slot: Uint8Array, value: Uint8Array): void {
    const slotKey = toHexKey(slot);
    const before = this.#storage(cell, slotKey, slot);
    if (cell.before === undefined) this.#pushFields(cell);
    cell.originals ??= new Map();
    if (!cell.originals.has(slotKey)) cell.originals.set(slotKey, before);
    this.#undo.push({ kind: "slot", cell, slot: slotKey, value: before });
    cell.storage.set(slotKey, value);
  }

  isWarm(cell: Cell): boolean {
    return cell.warmIn === this.#serial;
  }

  /** Warms until the end of the transaction or a revert beyond this point. */
  warm(cell: Cell): void {
    if (cell.warmIn === this.#serial) return;
    cell.warmIn = this.#serial;
    this.#undo.push({ kind: "warm", cell });
  }

  isWarmSlot(cell: Cell, slot: Uint8Array): boolean {
    return cell.warmSlotsIn === this.#serial && cell.warmSlots?.has(toHexKey(slot)) === true;
  }

  warmSlot(cell: Cell, slot: Uint8Array): void {
    const slotKey = toHexKey(slot);
    if (cell.warmSlotsIn !== this.#serial || cell.warmSlots === undefined) {
      cell.warmSlotsIn = this.#serial;
      cell.warmSlots = new Set();
    }
    if (cell.warmSlots.has(slotKey)) return;
    cell.warmSlots.add(slotKey);
    this.#undo.push({ kind: "warm-slot", cell, slot: slotKey });
  }

  /** Ends the transaction: drops touched empty accounts (EIP-161) and returns what it changed. */
  endTransaction(): StateWrites {
    const writes = emptyWrites();
    for (const cell of this.#changed) {
      const before = cell.before;
      assert(before !== undefined, "a changed account has its fields before the transaction");
      if (cell.exists && cell.nonce === 0n && cell.balanceWei === 0n && bytesEqual(cell.codeHash, EMPTY_CODE_HASH))
        this.remove(cell);
      const write = changeOf(cell, before, cell.wipedIn === this.#serial);
      if (write !== undefined) writes.accounts.set(cell.key, write);
      cell.before = undefined;
      cell.originals = undefined;
    }
    // Code of a creation that was reverted in the end belongs to nobody; keep only what an account points to.
    if (this.#txCodes.size > 0) {
      for (const write of writes.accounts.values()) {
        if (write.account === undefined) continue;
        const key = toHexKey(write.account.codeHash);
        const code = this.#txCodes.get(key);
        if (code !== undefined) writes.codes.set(key, code);
      }
      this.#txCodes = new Map();
    }
    this.#changed = [];
    this.#undo = [];
    return writes;
  }
}

function changeOf(cell: Cell, before: Fields, wipedNow: boolean): AccountWrite | undefined {
  const storage = new Map<string, Uint8Array>();
  // Wiping the storage of an account that was not there wipes nothing.
  const cleared = wipedNow && before.exists;
  if (cleared && cell.exists) {
    for (const [slot, value] of cell.storage) if (value.length > 0) storage.set(slot, toWord(value));
  } else if (cell.originals !== undefined && cell.exists) {
    for (const [slot, original] of cell.originals) {
      const value = cell.storage.get(slot) ?? EMPTY_BYTES;
      if (!bytesEqual(value, original)) storage.set(slot, toWord(value));
    }
  }
  const fieldsChanged =
    cell.exists !== before.exists ||
    cell.nonce !== before.nonce ||
    cell.balanceWei !== before.balanceWei ||
    !bytesEqual(cell.codeHash, before.codeHash);
  if (!fieldsChanged && !cleared && storage.size === 0) return undefined;
  return {
    cleared,
    account: cell.exists ? { nonce: cell.nonce, balanceWei: cell.balanceWei, codeHash: cell.codeHash } : undefined,
    storage,
  };
}
