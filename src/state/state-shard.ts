/**
 * Owns a shard of the state's commitment: the accounts whose hashed address starts with one of its bytes, with their
 * storage tries, all in memory. It is told what a block writes there and tells what its slots of the account trie hold
 * then; the joiner makes the root of all shards' slots (root-joiner.ts).
 * Invariant: what a slot holds depends on the accounts below it alone, so moving bytes between shards changes no root.
 */
import { assert } from "../base/assert.ts";
import { bytesEqual, compareBytes, fromHex } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_TRIE_ROOT } from "../protocol/ordered-trie.ts";
import type { AccountWrite, StateWrites } from "../protocol/state-writes.ts";
import { SLOT_DEPTH, type TopChange } from "./root-joiner.ts";
import { TrieBatch, TrieLeaf, TrieNode, type TrieSource } from "./trie.ts";
import { accountLeafValue, slotLeafValue } from "./trie-node.ts";

type Trie = TrieNode | TrieLeaf | undefined;

/** An account as its leaf shows it, and its storage. */
type ShardAccount = { readonly key: Uint8Array; storage: Trie; storageRoot: Uint8Array };

/** The accounts of one first byte: what moves between shards. */
export type ShardByte = {
  readonly byte: number;
  readonly top: Trie;
  readonly accounts: ReadonlyMap<string, ShardAccount>;
};

type Slot = { top: Trie; readonly accounts: Map<string, ShardAccount> };

/** Everything is in memory: nothing is ever asked for. */
const NO_SOURCE: TrieSource = {
  node: () => undefined,
  leaf: () => {
    throw new Error("every leaf is in memory");
  },
};

export class StateShard {
  readonly #slots = new Map<number, Slot>();

  /** Bytes it owns, in order. */
  get bytes(): number[] {
    return [...this.#slots.keys()].sort((a, b) => a - b);
  }

  /** Takes ownership of a byte: a new one, or one that another shard gave away. */
  take(byte: number, given?: ShardByte): void {
    assert(!this.#slots.has(byte), "a byte has one owner");
    this.#slots.set(byte, { top: given?.top, accounts: new Map(given?.accounts) });
  }

  give(byte: number): ShardByte {
    const slot = this.#slots.get(byte);
    assert(slot !== undefined, "a shard gives what it owns");
    this.#slots.delete(byte);
    return { byte, top: slot.top, accounts: slot.accounts };
  }

  /** Applies what a block writes to accounts of this shard; what its changed slots hold then. */
  apply(writes: StateWrites): TopChange[] {
    const changes = new Map<number, { account: ShardAccount; write: AccountWrite; address: string }[]>();
    for (const [address, write] of writes.accounts) {
      const key = keccak256(fromHex(address));
      const byte = key[0] as number;
      const slot = this.#slots.get(byte);
      if (slot === undefined) continue;
      const account = slot.accounts.get(address) ?? { key, storage: undefined, storageRoot: EMPTY_TRIE_ROOT };
      const list = changes.get(byte);
      if (list === undefined) changes.set(byte, [{ account, write, address }]);
      else list.push({ account, write, address });
    }
    return [...changes].map(([byte, list]) => this.#change(byte, list));
  }

  #change(byte: number, list: { account: ShardAccount; write: AccountWrite; address: string }[]): TopChange {
    const slot = this.#slots.get(byte) as Slot;
    const batch = TrieBatch.below(NO_SOURCE, SLOT_DEPTH, slot.top);
    list.sort((a, b) => compareBytes(a.account.key, b.account.key));
    for (const { account, write, address } of list) {
      if (write.account === undefined) {
        if (slot.accounts.delete(address)) batch.delete(account.key);
        continue;
      }
      writeStorage(account, write);
      const { nonce, balanceWei, codeHash } = write.account;
      slot.accounts.set(address, account);
      batch.set(account.key, accountLeafValue(nonce, balanceWei, account.storageRoot, codeHash), false);
    }
    const top = batch.top();
    slot.top = settled(batch.content);
    return { byte, top };
  }
}

function writeStorage(account: ShardAccount, write: AccountWrite): void {
  if (write.cleared) {
    account.storage = undefined;
    account.storageRoot = EMPTY_TRIE_ROOT;
  }
  if (write.storage.size === 0) return;
  const batch = TrieBatch.below(NO_SOURCE, 0, account.storage);
  const slots = [...write.storage].map(([slot, value]) => ({ key: keccak256(fromHex(slot)), value }));
  slots.sort((a, b) => compareBytes(a.key, b.key));
  for (const { key, value } of slots) {
    if (value.some((byte) => byte !== 0)) batch.set(key, slotLeafValue(value), false);
    else if (has(batch.content, key)) batch.delete(key);
  }
  account.storageRoot = batch.hash();
  account.storage = settled(batch.content);
}

/** Whether a trie in memory has the key. */
function has(trie: Trie, key: Uint8Array): boolean {
  let at = 0;
  let node = trie;
  while (node instanceof TrieNode) {
    for (const nibble of node.extension) if (nibbleOf(key, at++) !== nibble) return false;
    const nibble = nibbleOf(key, at++);
    if ((node.mask & (1 << nibble)) === 0) return false;
    node = node.children?.[nibble];
  }
  return node !== undefined && bytesEqual(node.key, key);
}

function nibbleOf(key: Uint8Array, at: number): number {
  const byte = key[at >> 1] as number;
  return at & 1 ? byte & 15 : byte >> 4;
}

/** Makes the nodes of a hashed batch the stored ones: out of its arena, unchanged, and of no batch. */
function settled(trie: Trie): Trie {
  if (!(trie instanceof TrieNode) || trie.owner === undefined) return trie;
  if (trie.children !== undefined) for (const child of trie.children) settled(child);
  if (trie.home?.length === trie.rlp.length) trie.home.set(trie.rlp);
  else trie.home = trie.rlp.slice();
  trie.rlp = trie.home;
  trie.dirty = 0;
  trie.reshaped = false;
  trie.oldHashesAt = -1;
  trie.owner = undefined;
  return trie;
}
