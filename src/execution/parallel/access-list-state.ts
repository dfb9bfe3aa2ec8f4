/**
 * Owns the state in the middle of a block as its access list claims it: what was there before the list's parts, and the
 * newest claimed value below a part on top. Nothing here trusts or checks the list.
 * Invariant: a read at part i depends on the base and on claims of parts below i alone; so where those are true, what
 * is read is true.
 */

import { type AccountChanges, type BlockAccessList, bytesKey, type Change } from "../../protocol/block-access-list.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { EMPTY_CODE_HASH } from "../../protocol/ordered-trie.ts";
import type { Account, StateReader } from "../execution.ts";

type ClaimedAccount = {
  readonly changes: AccountChanges;
  /** Hash of the code of each code change. */
  readonly codeHashes: readonly Change<Uint8Array>[];
  /** Changed slots by key. */
  readonly slots: ReadonlyMap<string, readonly Change<Uint8Array>[]>;
};

const NO_CHANGES: readonly Change<Uint8Array>[] = [];

/** The newest change below `index`. */
function newest<V>(changes: readonly Change<V>[], index: number): Change<V> | undefined {
  let low = 0;
  let high = changes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((changes[middle] as Change<V>).index < index) low = middle + 1;
    else high = middle;
  }
  return changes[low - 1];
}

export class AccessListState {
  readonly #base: StateReader;
  readonly #accounts = new Map<string, ClaimedAccount>();
  readonly #codes = new Map<string, Uint8Array>();

  /** `base` is the state before part `first`: claims of earlier parts are in it and are not looked at. */
  constructor(list: BlockAccessList, base: StateReader, first: number) {
    this.#base = base;
    const later = <V>(changes: readonly Change<V>[]): readonly Change<V>[] =>
      (changes[0]?.index ?? first) >= first ? changes : changes.filter(({ index }) => index >= first);
    for (const changes of list) {
      const codeHashes = later(changes.codeChanges).map(({ index, value }) => {
        const hash = value.length === 0 ? EMPTY_CODE_HASH : keccak256(value);
        this.#codes.set(bytesKey(hash), value);
        return { index, value: hash };
      });
      this.#accounts.set(bytesKey(changes.address), {
        changes: {
          ...changes,
          balanceChanges: later(changes.balanceChanges),
          nonceChanges: later(changes.nonceChanges),
        },
        codeHashes,
        slots: new Map(changes.storageChanges.map((slot) => [bytesKey(slot.slot), later(slot.changes)])),
      });
    }
  }

  /** The state that part `index` finds. */
  before(index: number): StateReader {
    return {
      account: (address) => this.#account(address, index),
      storage: (address, slot) => {
        const changes = this.#accounts.get(bytesKey(address))?.slots.get(bytesKey(slot)) ?? NO_CHANGES;
        return newest(changes, index)?.value ?? this.#base.storage(address, slot);
      },
      code: (codeHash) => this.#codes.get(bytesKey(codeHash)) ?? this.#base.code(codeHash),
      blockHash: (number) => this.#base.blockHash(number),
    };
  }

  #account(address: Uint8Array, index: number): Account | undefined {
    const claimed = this.#accounts.get(bytesKey(address));
    const base = this.#base.account(address);
    if (claimed === undefined) return base;
    const balance = newest(claimed.changes.balanceChanges, index);
    const nonce = newest(claimed.changes.nonceChanges, index);
    const codeHash = newest(claimed.codeHashes, index);
    if (balance === undefined && nonce === undefined && codeHash === undefined) return base;
    const account = {
      nonce: nonce?.value ?? base?.nonce ?? 0n,
      balanceWei: balance?.value ?? base?.balanceWei ?? 0n,
      codeHash: codeHash?.value ?? base?.codeHash ?? EMPTY_CODE_HASH,
    };
    if (account.nonce === 0n && account.balanceWei === 0n && bytesKey(account.codeHash) === EMPTY_CODE_KEY)
      return undefined;
    return base?.hasStorage === true ? { ...account, hasStorage: true } : account;
  }
}

const EMPTY_CODE_KEY = bytesKey(EMPTY_CODE_HASH);
