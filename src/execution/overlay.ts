/**
 * Owns reads through a write set: `OverlayReader` answers from the writes first and from the base below. It is the
 * state of a block that is still being built, and of eth_call with state overrides.
 */
import { toHexKey } from "../base/bytes.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import type { Account, StateReader } from "./execution.ts";

const ZERO_32 = new Uint8Array(32);

export class OverlayReader implements StateReader {
  readonly #base: StateReader;
  readonly #writes: StateWrites;

  constructor(base: StateReader, writes: StateWrites) {
    this.#base = base;
    this.#writes = writes;
  }

  account(address: Uint8Array): Account | undefined {
    const write = this.#writes.accounts.get(toHexKey(address));
    return write === undefined ? this.#base.account(address) : write.account;
  }

  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    const write = this.#writes.accounts.get(toHexKey(address));
    if (write === undefined) return this.#base.storage(address, slot);
    const value = write.storage.get(toHexKey(slot));
    if (value !== undefined) return value;
    return write.cleared ? ZERO_32 : this.#base.storage(address, slot);
  }

  code(codeHash: Uint8Array): Uint8Array {
    return this.#writes.codes.get(toHexKey(codeHash)) ?? this.#base.code(codeHash);
  }

  blockHash(number: number): Uint8Array {
    return this.#base.blockHash(number);
  }
}
