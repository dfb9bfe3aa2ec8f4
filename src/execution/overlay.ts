/**
 * Owns reads through write sets: `OverlayReader` answers from the writes first, the newest set before the others, and
 * from the base below. It is the state of a block that is still being built, and of eth_call with state overrides.
 */
import { toHexKey } from "../base/bytes.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import type { Account, StateReader } from "./execution.ts";

const ZERO_32 = new Uint8Array(32);

export class OverlayReader implements StateReader {
  readonly #base: StateReader;
  readonly #layers: readonly StateWrites[];

  /** `layers`: newest first; their owner may replace and change them between reads. */
  constructor(base: StateReader, layers: readonly StateWrites[]) {
    this.#base = base;
    this.#layers = layers;
  }

  account(address: Uint8Array): Account | undefined {
    const key = toHexKey(address);
    for (const { accounts } of this.#layers) {
      const write = accounts.get(key);
      if (write !== undefined) return write.account;
    }
    return this.#base.account(address);
  }

  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    const key = toHexKey(address);
    let slotKey: string | undefined;
    for (const { accounts } of this.#layers) {
      const write = accounts.get(key);
      if (write === undefined) continue;
      slotKey ??= toHexKey(slot);
      const value = write.storage.get(slotKey);
      if (value !== undefined) return value;
      if (write.cleared) return ZERO_32;
    }
    return this.#base.storage(address, slot);
  }

  code(codeHash: Uint8Array): Uint8Array {
    const key = toHexKey(codeHash);
    for (const { codes } of this.#layers) {
      const code = codes.get(key);
      if (code !== undefined) return code;
    }
    return this.#base.code(codeHash);
  }

  blockHash(number: number): Uint8Array {
    return this.#base.blockHash(number);
  }
}
