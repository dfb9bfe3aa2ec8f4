/**
 * Owns recorded state: a reader that notes whatever is read through it, and one that answers from such notes alone. What
 * a run reads on one thread lets another thread do the same run without the state; they copy what they keep.
 * Invariant: the same execution on the notes gives the same result; a read outside them is a bug and throws.
 */
import { assert } from "../base/assert.ts";
import { EMPTY_BYTES, toHexKey } from "../base/bytes.ts";
import { defineErrors } from "../base/error.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import type { Account, StateReader } from "./execution.ts";

export const recordingError = defineErrors("Recording", {
  RECORDING_TOO_LARGE: {
    summary: "A run reads more state than is held for it.",
    action: "Trace a single transaction instead of a block, or one that touches less.",
    retryable: false,
  },
});

/** Plain maps, so that it can be posted to a worker. Keys are hex; of a slot: address, then slot. */
export type RecordedState = {
  readonly accounts: ReadonlyMap<string, Account | undefined>;
  readonly slots: ReadonlyMap<string, Uint8Array>;
  readonly codes: ReadonlyMap<string, Uint8Array>;
  readonly blockHashes: ReadonlyMap<number, Uint8Array>;
};

/** What a key and its value take in memory besides code, roughly. */
const ENTRY_BYTES = 300;
const EMPTY_CODE_KEY = toHexKey(EMPTY_CODE_HASH);

export class RecordingReader implements StateReader {
  readonly #base: StateReader;
  readonly #sizeMaxBytes: number;
  readonly #accounts = new Map<string, Account | undefined>();
  readonly #slots = new Map<string, Uint8Array>();
  readonly #codes = new Map<string, Uint8Array>();
  readonly #blockHashes = new Map<number, Uint8Array>();
  #sizeBytes = 0;

  /** The methods throw {RecordingError} RECORDING_TOO_LARGE beyond `sizeMaxBytes`. */
  constructor(base: StateReader, sizeMaxBytes: number) {
    this.#base = base;
    this.#sizeMaxBytes = sizeMaxBytes;
  }

  #hold(bytes: number): void {
    this.#sizeBytes += bytes;
    if (this.#sizeBytes > this.#sizeMaxBytes)
      throw recordingError("RECORDING_TOO_LARGE", `more than ${this.#sizeMaxBytes} bytes of state are read`);
  }

  account(address: Uint8Array): Account | undefined {
    const key = toHexKey(address);
    if (this.#accounts.has(key)) return this.#accounts.get(key);
    this.#hold(ENTRY_BYTES);
    const account = this.#base.account(address);
    this.#accounts.set(key, account === undefined ? undefined : { ...account, codeHash: account.codeHash.slice() });
    // Engines keep code, so whether they ask for it says nothing.
    if (account !== undefined) this.code(account.codeHash);
    return account;
  }

  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    const key = toHexKey(address) + toHexKey(slot);
    let value = this.#slots.get(key);
    if (value === undefined) {
      this.#hold(ENTRY_BYTES);
      value = this.#base.storage(address, slot).slice();
      this.#slots.set(key, value);
    }
    return value;
  }

  code(codeHash: Uint8Array): Uint8Array {
    const key = toHexKey(codeHash);
    if (key === EMPTY_CODE_KEY) return EMPTY_BYTES;
    let code = this.#codes.get(key);
    if (code === undefined) {
      code = this.#base.code(codeHash).slice();
      this.#hold(ENTRY_BYTES + code.length);
      this.#codes.set(key, code);
    }
    return code;
  }

  blockHash(number: number): Uint8Array {
    const hash = this.#blockHashes.get(number) ?? this.#base.blockHash(number).slice();
    this.#blockHashes.set(number, hash);
    return hash;
  }

  /** What was read so far. */
  recorded(): RecordedState {
    return { accounts: this.#accounts, slots: this.#slots, codes: this.#codes, blockHashes: this.#blockHashes };
  }
}

export class RecordedReader implements StateReader {
  readonly #recorded: RecordedState;

  constructor(recorded: RecordedState) {
    this.#recorded = recorded;
  }

  account(address: Uint8Array): Account | undefined {
    const key = toHexKey(address);
    const account = this.#recorded.accounts.get(key);
    assert(account !== undefined || this.#recorded.accounts.has(key), "accounts that are read were recorded");
    return account;
  }

  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    const value = this.#recorded.slots.get(toHexKey(address) + toHexKey(slot));
    assert(value !== undefined, "slots that are read were recorded");
    return value;
  }

  code(codeHash: Uint8Array): Uint8Array {
    const key = toHexKey(codeHash);
    const code = key === EMPTY_CODE_KEY ? EMPTY_BYTES : this.#recorded.codes.get(key);
    assert(code !== undefined, "code that is read was recorded");
    return code;
  }

  blockHash(number: number): Uint8Array {
    const hash = this.#recorded.blockHashes.get(number);
    assert(hash !== undefined, "block hashes that are read were recorded");
    return hash;
  }
}
