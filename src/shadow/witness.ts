/**
 * Owns the state a block is checked on: what the sequencer's engine read of the parent's state, recorded as it goes and
 * given to the shadow, so that the second run needs no database of its own. Recorded are values below the block's own
 * writes. What the shadow reads beyond that it asks for, one key at a time: recording less costs time, never truth.
 */
import { Reader, Writer } from "../base/binary.ts";
import { EMPTY_BYTES, toHexKey } from "../base/bytes.ts";
import type { Account, StateReader } from "../execution/execution.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";

const ACCOUNT = 1;
const SLOT = 2;
const EMPTY_CODE_KEY = toHexKey(EMPTY_CODE_HASH);
/** Code is kept from block to block; beyond this it is asked for again. */
const CODE_CACHE_SIZE_MAX_BYTES = 64 << 20;

/** Passes reads on and notes accounts and slots; code and block hashes are few and asked for. */
export class RecordingReader implements StateReader {
  readonly #base: StateReader;
  #writer = new Writer(4_096);

  constructor(base: StateReader) {
    this.#base = base;
  }

  account(address: Uint8Array): Account | undefined {
    const account = this.#base.account(address);
    this.#writer.byte(ACCOUNT).fixed(address);
    writeAccount(this.#writer, account);
    return account;
  }

  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    const value = this.#base.storage(address, slot);
    this.#writer.byte(SLOT).fixed(address).fixed(slot).fixed(value);
    return value;
  }

  code(codeHash: Uint8Array): Uint8Array {
    return this.#base.code(codeHash);
  }

  blockHash(number: number): Uint8Array {
    return this.#base.blockHash(number);
  }

  /** What was read since the last call. */
  take(): Uint8Array {
    if (this.#writer.length === 0) return EMPTY_BYTES;
    const bytes = this.#writer.finish();
    this.#writer.truncate(0);
    return bytes;
  }
}

/** A read the witness does not hold. */
export type Question =
  | { readonly kind: "account"; readonly address: Uint8Array }
  | { readonly kind: "slot"; readonly address: Uint8Array; readonly slot: Uint8Array }
  | { readonly kind: "code"; readonly codeHash: Uint8Array }
  | { readonly kind: "blockHash"; readonly number: number };

/** The answer from `state`, packed. */
export function answer(state: StateReader, question: Question): Uint8Array {
  if (question.kind === "slot") return copy(state.storage(question.address, question.slot));
  if (question.kind === "code") return copy(state.code(question.codeHash));
  if (question.kind === "blockHash") return copy(state.blockHash(question.number));
  const w = new Writer(96);
  writeAccount(w, state.account(question.address));
  return w.finish();
}

/** A message carries the whole memory behind a view. */
const copy = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);

/** Code by hash, over many blocks. */
export class KnownCode {
  readonly #codes = new Map<string, Uint8Array>();
  #sizeBytes = 0;

  get(codeHash: Uint8Array, ask: () => Uint8Array): Uint8Array {
    const key = toHexKey(codeHash);
    if (key === EMPTY_CODE_KEY) return EMPTY_BYTES;
    let code = this.#codes.get(key);
    if (code === undefined) {
      code = ask();
      if (this.#sizeBytes + code.length > CODE_CACHE_SIZE_MAX_BYTES) {
        this.#codes.clear();
        this.#sizeBytes = 0;
      }
      this.#codes.set(key, code);
      this.#sizeBytes += code.length;
    }
    return code;
  }
}

/** The parent's state as far as it was read, and as far as `ask` answers. */
export class WitnessReader implements StateReader {
  readonly #accounts = new Map<string, Account | undefined>();
  readonly #slots = new Map<string, Uint8Array>();
  readonly #blockHashes = new Map<number, Uint8Array>();
  readonly #codes: KnownCode;
  readonly #ask: (question: Question) => Uint8Array;

  constructor(codes: KnownCode, ask: (question: Question) => Uint8Array) {
    this.#codes = codes;
    this.#ask = ask;
  }

  /** Takes in what a {@link RecordingReader} recorded. */
  add(reads: Uint8Array): void {
    const r = new Reader(reads);
    while (r.remaining > 0) {
      const kind = r.byte();
      const address = toHexKey(r.fixed(20));
      if (kind === ACCOUNT) this.#accounts.set(address, readAccount(r));
      else this.#slots.set(address + toHexKey(r.fixed(32)), r.fixed(32));
    }
  }

  account(address: Uint8Array): Account | undefined {
    const key = toHexKey(address);
    const known = this.#accounts.get(key);
    if (known !== undefined || this.#accounts.has(key)) return known;
    const account = readAccount(new Reader(this.#ask({ kind: "account", address: copy(address) })));
    this.#accounts.set(key, account);
    return account;
  }

  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    const key = toHexKey(address) + toHexKey(slot);
    let value = this.#slots.get(key);
    if (value === undefined) {
      value = this.#ask({ kind: "slot", address: copy(address), slot: copy(slot) });
      this.#slots.set(key, value);
    }
    return value;
  }

  code(codeHash: Uint8Array): Uint8Array {
    return this.#codes.get(codeHash, () => this.#ask({ kind: "code", codeHash: copy(codeHash) }));
  }

  blockHash(number: number): Uint8Array {
    let hash = this.#blockHashes.get(number);
    if (hash === undefined) {
      hash = this.#ask({ kind: "blockHash", number });
      this.#blockHashes.set(number, hash);
    }
    return hash;
  }
}

function writeAccount(w: Writer, account: Account | undefined): void {
  if (account === undefined) {
    w.byte(0);
    return;
  }
  w.byte(account.hasStorage === true ? 2 : 1);
  w.bigint(account.nonce).bigint(account.balanceWei).fixed(account.codeHash);
}

function readAccount(r: Reader): Account | undefined {
  const form = r.byte();
  if (form === 0) return undefined;
  return { nonce: r.bigint(), balanceWei: r.bigint(), codeHash: r.fixed(32), hasStorage: form === 2 };
}
