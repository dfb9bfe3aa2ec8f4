/** Owns a mutable world in maps, for tests of engines: it answers reads, takes writes, and can be copied and compared. */
import { assert } from "../../../base/assert.ts";
import { fromHex, toHexKey } from "../../../base/bytes.ts";
import type { StateWrites } from "../../../protocol/state-writes.ts";
import type { Account, StateReader } from "../../execution.ts";

export type WorldAccount = {
  nonce: bigint;
  balanceWei: bigint;
  codeHash: Uint8Array;
  storage: Map<string, Uint8Array>;
};

const ZERO_32 = new Uint8Array(32);
export const EMPTY_CODE_HASH = fromHex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");

export class World implements StateReader {
  readonly accounts = new Map<string, WorldAccount>();
  readonly codes = new Map<string, Uint8Array>();
  readonly #blockHash: (number: number) => Uint8Array;

  constructor(blockHash: (number: number) => Uint8Array = () => ZERO_32) {
    this.#blockHash = blockHash;
  }

  account(address: Uint8Array): Account | undefined {
    const entry = this.accounts.get(toHexKey(address));
    if (entry === undefined) return undefined;
    const { nonce, balanceWei, codeHash } = entry;
    return { nonce, balanceWei, codeHash, hasStorage: entry.storage.size > 0 };
  }
  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    return this.accounts.get(toHexKey(address))?.storage.get(toHexKey(slot)) ?? ZERO_32;
  }
  code(codeHash: Uint8Array): Uint8Array {
    const key = toHexKey(codeHash);
    const code = this.codes.get(key) ?? (key === toHexKey(EMPTY_CODE_HASH) ? new Uint8Array(0) : undefined);
    assert(code !== undefined, "the code of every account is known");
    return code;
  }
  blockHash(number: number): Uint8Array {
    return this.#blockHash(number);
  }

  apply(writes: StateWrites): void {
    for (const [hash, code] of writes.codes) this.codes.set(hash, code);
    for (const [address, write] of writes.accounts) {
      if (write.account === undefined) {
        this.accounts.delete(address);
        continue;
      }
      const before = write.cleared ? undefined : this.accounts.get(address);
      const storage = before?.storage ?? new Map<string, Uint8Array>();
      for (const [slot, value] of write.storage)
        if (value.every((byte) => byte === 0)) storage.delete(slot);
        else storage.set(slot, value);
      this.accounts.set(address, { ...write.account, storage });
    }
  }

  copy(): World {
    const copy = new World(this.#blockHash);
    for (const [address, account] of this.accounts)
      copy.accounts.set(address, { ...account, storage: new Map(account.storage) });
    for (const [hash, code] of this.codes) copy.codes.set(hash, code);
    return copy;
  }

  /** A line per account and slot, sorted: equal worlds give equal lines. */
  lines(): string[] {
    return [...this.accounts]
      .flatMap(([address, a]) => [
        `${address} nonce ${a.nonce} balance ${a.balanceWei} code ${toHexKey(a.codeHash)}`,
        ...[...a.storage].map(([slot, value]) => `${address} ${slot} = ${toHexKey(value)}`),
      ])
      .sort();
  }
}
