/**
 * Owns the in-memory twin of the state store: a full copy of the accounts per version and tries built from scratch.
 * Simple enough to be right by reading; for tests and small chains, not for load.
 */
import { assert } from "../base/assert.ts";
import { EMPTY_BYTES, fromHex, toHexKey } from "../base/bytes.ts";
import type { Account, StateReader } from "../execution/execution.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import { requireVersion } from "./error.ts";
import { PlainTrie } from "./plain-trie.ts";
import type { AccountProof, PreparedState, StateStore } from "./state.ts";
import { accountLeafValue, slotLeafValue } from "./trie-node.ts";

const ZERO_32 = new Uint8Array(32);
const EMPTY_CODE_KEY = toHexKey(EMPTY_CODE_HASH);

type Entry = { readonly account: Account; readonly storage: ReadonlyMap<string, Uint8Array> };
type Accounts = ReadonlyMap<string, Entry>;

class MemoryPrepared implements PreparedState {
  readonly stateRoot: Uint8Array;
  readonly base: number;
  readonly accounts: Accounts;
  readonly codes: ReadonlyMap<string, Uint8Array>;

  constructor(base: number, accounts: Accounts, codes: ReadonlyMap<string, Uint8Array>) {
    this.base = base;
    this.accounts = accounts;
    this.codes = codes;
    this.stateRoot = accountTrie(accounts).root;
  }
}

export class MemoryState implements StateStore {
  readonly #versions = new Map<number, Accounts>();
  readonly #codes = new Map<string, Uint8Array>();
  readonly #blockHash: (number: number) => Uint8Array | undefined;
  #head = -1;
  #oldest = 0;

  /** `blockHash` answers for stored blocks; it serves BLOCKHASH. */
  constructor(blockHash: (number: number) => Uint8Array | undefined = () => undefined) {
    this.#blockHash = blockHash;
  }

  get head(): number {
    return this.#head;
  }

  get oldest(): number {
    return this.#oldest;
  }

  #at(version: number): Accounts {
    requireVersion(this, version);
    return this.#versions.get(version) ?? new Map(); // empty before the first
  }

  reader(version: number = this.#head): StateReader {
    const accounts = this.#at(version);
    return {
      account: (address) => accounts.get(toHexKey(address))?.account,
      storage: (address, slot) => accounts.get(toHexKey(address))?.storage.get(toHexKey(slot)) ?? ZERO_32,
      code: (codeHash) => {
        const key = toHexKey(codeHash);
        if (key === EMPTY_CODE_KEY) return EMPTY_BYTES;
        const code = this.#codes.get(key);
        assert(code !== undefined, `code ${key} is stored`);
        return code;
      },
      blockHash: (number) =>
        number > version || number < version - 256 ? ZERO_32 : (this.#blockHash(number) ?? ZERO_32),
    };
  }

  prepare(writes: StateWrites): PreparedState {
    const accounts = new Map(this.#at(this.#head));
    for (const [address, write] of writes.accounts) {
      if (write.account === undefined) {
        accounts.delete(address);
        continue;
      }
      const storage = new Map(write.cleared ? undefined : accounts.get(address)?.storage);
      for (const [slot, value] of write.storage) {
        if (value.every((byte) => byte === 0)) storage.delete(slot);
        else storage.set(slot, value.slice());
      }
      accounts.set(address, { account: { ...write.account }, storage });
    }
    return new MemoryPrepared(this.#head, accounts, new Map(writes.codes));
  }

  commit(version: number, prepared: PreparedState): void {
    assert(prepared instanceof MemoryPrepared, "a prepared state comes from the store that commits it");
    assert(version === this.#head + 1 && prepared.base === this.#head, "a prepared state is committed on its base");
    this.#versions.set(version, prepared.accounts);
    for (const [hash, code] of prepared.codes) this.#codes.set(hash, code);
    this.#head = version;
  }

  rollback(version: number): void {
    assert(version >= this.#oldest || this.#oldest === 0, "rollback stays within the history");
    for (let v = this.#head; v > version; v--) this.#versions.delete(v);
    this.#head = Math.min(this.#head, version);
  }

  proof(version: number, address: Uint8Array, slots: readonly Uint8Array[]): AccountProof {
    const accounts = this.#at(version);
    const entry = accounts.get(toHexKey(address));
    const storage = storageTrie(entry);
    return {
      account: entry?.account,
      storageRoot: storage.root,
      accountProof: accountTrie(accounts).prove(keccak256(address)),
      storageProofs: slots.map((slot) => ({
        slot,
        value: entry?.storage.get(toHexKey(slot)) ?? ZERO_32,
        proof: storage.prove(keccak256(slot)),
      })),
    };
  }

  storageRoot(version: number, address: Uint8Array): Uint8Array {
    return storageTrie(this.#at(version).get(toHexKey(address))).root;
  }

  prune(version: number): boolean {
    assert(version <= this.#head, "only history is pruned");
    for (; this.#oldest < version; this.#oldest++) this.#versions.delete(this.#oldest);
    return true;
  }
}

function storageTrie(entry: Entry | undefined): PlainTrie {
  const slots = [...(entry?.storage ?? [])];
  return new PlainTrie(slots.map(([slot, value]) => ({ key: keccak256(fromHex(slot)), value: slotLeafValue(value) })));
}

function accountTrie(accounts: Accounts): PlainTrie {
  return new PlainTrie(
    [...accounts].map(([address, entry]) => ({
      key: keccak256(fromHex(address)),
      value: accountLeafValue(
        entry.account.nonce,
        entry.account.balanceWei,
        storageTrie(entry).root,
        entry.account.codeHash,
      ),
    })),
  );
}
