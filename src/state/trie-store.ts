/**
 * Owns tries in the database: the nodes of all tries, with history, and a bounded cache of the upper levels of tries in
 * use.
 * Invariant: cached nodes are exactly the stored ones of the newest version; whoever unwinds the tables calls `reset`.
 */
import { assert } from "../base/assert.ts";
import { accountLeaf } from "./account-record.ts";
import { Arena } from "./arena.ts";
import { entryKey, hashOfEntryKey, nodeKey, pathRange, UPPER_LEVELS } from "./state-key.ts";
import {
  hashOffset,
  nibbleAt,
  popCount,
  slotNodes,
  type TrieBatch,
  TrieLeaf,
  TrieNode,
  type TrieSource,
} from "./trie.ts";
import { slotLeafValue } from "./trie-node.ts";
import { STAMP_BYTES, type VersionedTable } from "./versioned-table.ts";

/** Levels of a trie that stay in memory: 1 + 16 + 256 + 4096 nodes at most. */
const CACHED_LEVELS = UPPER_LEVELS;
/** Nodes kept over all tries but the account trie; one takes less than a kilobyte. */
const CACHED_NODES_MAX = 32_768;
const HASH_BYTES = 32;
const NO_PREFIX: Uint8Array = new Uint8Array(0);
/** Extension length, masks, flags. */
const FIXED_BYTES = 6;

/** Leaf value of an entry whose payload starts at `at`. */
export type LeafValue = (trieId: number, bytes: Uint8Array, at: number) => Uint8Array;

function leafOfState(accountTries: number): LeafValue {
  return (trieId, bytes, at) => (trieId < accountTries ? accountLeaf(bytes, at) : slotLeafValue(bytes.subarray(at)));
}

type CachedTrie = { readonly root: TrieNode; readonly nodes: number };

export class TrieStore {
  readonly #records: VersionedTable;
  readonly #accountTries: number;
  readonly #leafValue: LeafValue;
  /** Path of the node being written, as a key. */
  readonly #path = new Uint8Array(HASH_BYTES);
  readonly #diff = new Uint8Array(2 + 16 * HASH_BYTES);
  /** Least recently committed first; account tries are never dropped. */
  readonly #cache = new Map<number, CachedTrie>();
  #cachedNodes = 0;

  /** `records`: entries and nodes of all tries. Those of ids below `accountTries` hold accounts, others slots. */
  constructor(records: VersionedTable, accountTries: number, leafValue: LeafValue = leafOfState(accountTries)) {
    this.#records = records;
    this.#accountTries = accountTries;
    this.#leafValue = leafValue;
  }

  cachedRoot(trieId: number): TrieNode | undefined {
    return this.#cache.get(trieId)?.root;
  }

  /** Drops the cache. */
  reset(): void {
    this.#cache.clear();
    this.#cachedNodes = 0;
  }

  /** The stored part of a trie, for a batch. */
  source(trieId: number): TrieSource {
    return {
      node: (key, depth, arena) => this.#node(trieId, key, depth, arena),
      leaf: (key, depth) => this.#leaf(trieId, key, depth),
    };
  }

  /** The newest node in the slot at the first `depth` nibbles of `key`. */
  #node(trieId: number, key: Uint8Array, depth: number, arena: Arena): TrieNode | undefined {
    const length = this.#records.read(nodeKey(trieId, key, depth));
    return length < 0 ? undefined : decodeNode(this.#records.buffer, length, arena);
  }

  /** The only entry below a path of the newest trie. */
  #leaf(trieId: number, key: Uint8Array, depth: number): TrieLeaf {
    const found = this.#anyLeaf(trieId, key, depth);
    assert(found !== undefined, "a leaf of a trie has its entry");
    return found;
  }

  /** What hangs in the slot at the first `depth` nibbles of `key`, of a trie that begins there. */
  content(trieId: number, key: Uint8Array, depth: number, arena = new Arena()): TrieNode | TrieLeaf | undefined {
    return this.#node(trieId, key, depth, arena) ?? this.#anyLeaf(trieId, key, depth);
  }

  /** As {@link content}, of an old version. */
  contentAt(trieId: number, key: Uint8Array, depth: number, version: number): TrieNode | TrieLeaf | undefined {
    const node = this.#nodeAt(trieId, key, depth, version);
    if (node !== undefined) return node;
    for (const entry of this.#records.keysEver(...pathRange(trieId, key, depth))) {
      const leaf = this.#leafOf(trieId, entry, version);
      if (leaf !== undefined) return leaf;
    }
    return undefined;
  }

  #anyLeaf(trieId: number, key: Uint8Array, depth: number): TrieLeaf | undefined {
    for (const entry of this.#records.records(...pathRange(trieId, key, depth))) {
      const hash = hashOfEntryKey(entry.key);
      if (hash === undefined) continue;
      return new TrieLeaf(hash, this.#leafValue(trieId, entry.value, STAMP_BYTES));
    }
    return undefined;
  }

  /** As {@link #node}, of an old version. */
  #nodeAt(trieId: number, key: Uint8Array, depth: number, version: number): TrieNode | undefined {
    const payload = this.#records.at(nodeKey(trieId, key, depth).slice(), version);
    if (payload === undefined) return undefined;
    const record = new Uint8Array(STAMP_BYTES + payload.length);
    record.set(payload, STAMP_BYTES);
    return decodeNode(record, record.length, new Arena());
  }

  /**
   * Nodes of an old version from the root towards `key`, without those embedded in their parent. `top`: of a trie that
   * begins at this depth, where its first branch is all it adds: the way to it is known above.
   */
  prove(trieId: number, key: Uint8Array, version: number, top = 0): Uint8Array[] {
    const proof: Uint8Array[] = [];
    const add = (nodes: readonly Uint8Array[]): void => {
      for (const node of nodes) if ((proof.length === 0 && top === 0) || node.length >= 32) proof.push(node);
    };
    for (let depth = top; ; ) {
      const node = this.#nodeAt(trieId, key, depth, version);
      if (node === undefined) {
        // Only at the root: the trie has one entry, or none.
        const leaf = this.#leafAt(trieId, key, depth, version);
        if (leaf !== undefined) add(slotNodes(leaf, depth));
        return proof;
      }
      const { extension } = node;
      const nodes = top > 0 && depth === top ? [node.rlp] : slotNodes(node, depth);
      for (let i = 0; i < extension.length; i++)
        if (extension[i] !== nibbleAt(key, depth + i)) {
          add(nodes.slice(0, 1));
          return proof;
        }
      add(nodes);
      depth += extension.length;
      const bit = 1 << nibbleAt(key, depth++);
      if ((node.mask & bit) === 0) return proof;
      if (node.leafMask & bit) {
        const leaf = this.#leafAt(trieId, key, depth, version);
        assert(leaf !== undefined, "a leaf of a trie has its entry");
        add(slotNodes(leaf, depth));
        return proof;
      }
    }
  }

  /** The only entry below a path of an old version, if there is one. */
  #leafAt(trieId: number, key: Uint8Array, depth: number, version: number): TrieLeaf | undefined {
    // Mostly it is the key itself; else whoever is or was below the path is asked in turn.
    const own = this.#leafOf(trieId, entryKey(trieId, key).slice(), version);
    if (own !== undefined) return own;
    for (const entry of this.#records.keysEver(...pathRange(trieId, key, depth))) {
      const leaf = this.#leafOf(trieId, entry, version);
      if (leaf !== undefined) return leaf;
    }
    return undefined;
  }

  /** The leaf of the entry with this key in the table, at a version; undefined also for keys of nodes. */
  #leafOf(trieId: number, entry: Uint8Array, version: number): TrieLeaf | undefined {
    const hash = hashOfEntryKey(entry);
    const payload = hash && this.#records.at(entry, version);
    return hash && payload && new TrieLeaf(hash, this.#leafValue(trieId, payload, 0));
  }

  /**
   * Stores what a hashed batch changed as part of `version`, and keeps its upper levels. `prefix`: of all keys, where
   * the trie begins below it.
   */
  write(trieId: number, batch: TrieBatch, version: number, prefix = NO_PREFIX): void {
    const { root } = batch;
    const reshaped = new Set<string>();
    this.#path.set(prefix);
    this.#retained = this.#cache.get(trieId)?.nodes ?? 0;
    if (root !== undefined && (root.dirty !== 0 || root.reshaped))
      this.#writeNode(trieId, root, 2 * prefix.length, batch, version, reshaped);
    for (const { key, depth } of batch.removed) {
      const stored = nodeKey(trieId, key, depth);
      if (!reshaped.has(keyText(stored)) && this.#records.read(stored) >= 0) this.#records.remove(stored, version);
    }
    this.#remember(trieId, root);
  }

  #retained = 0;

  /** `#path` starts with the node's path on entry. */
  #writeNode(
    trieId: number,
    node: TrieNode,
    slotDepth: number,
    batch: TrieBatch,
    version: number,
    reshaped: Set<string>,
  ): void {
    const key = nodeKey(trieId, this.#path, slotDepth);
    const length = encodeNode(this.#records.record, STAMP_BYTES, node);
    if (node.reshaped || node.oldHashesAt < 0 || node.stamp === undefined) {
      this.#records.put(key, length, version);
      // Only a batch that removed nodes asks which paths it wrote again.
      if (batch.removed.length > 0) reshaped.add(keyText(key));
    } else {
      const { dirty } = node;
      const bytes = HASH_BYTES * popCount(dirty);
      this.#diff[0] = dirty >> 8;
      this.#diff[1] = dirty;
      this.#diff.set(batch.oldHashes.subarray(node.oldHashesAt, node.oldHashesAt + bytes), 2);
      this.#records.putDiff(key, length, version, node.stamp, this.#diff.subarray(0, 2 + bytes));
    }
    // Before the children write their records over it.
    const stamp = slotDepth < CACHED_LEVELS ? this.#records.record.slice(0, STAMP_BYTES) : undefined;
    const { extension, children, dirty } = node;
    for (let i = 0; i < extension.length; i++) setNibble(this.#path, slotDepth + i, extension[i] as number);
    const depth = slotDepth + extension.length;
    let kept = false;
    if (children !== undefined) {
      for (let nibble = 0; nibble < 16; nibble++) {
        const child = children[nibble];
        if (child === undefined) continue;
        if (child instanceof TrieLeaf) {
          children[nibble] = undefined;
          continue;
        }
        if (child.dirty !== 0 || child.reshaped) {
          assert((dirty & (1 << nibble)) !== 0, "a changed node hangs in a dirty slot");
          setNibble(this.#path, depth, nibble);
          this.#writeNode(trieId, child, depth + 1, batch, version, reshaped);
        }
        if (depth + 1 < CACHED_LEVELS) kept = true;
        else children[nibble] = undefined;
      }
    }
    if (!kept) node.children = undefined;
    node.dirty = 0;
    node.reshaped = false;
    node.oldHashesAt = -1;
    node.owner = undefined;
    if (slotDepth >= CACHED_LEVELS) return;
    // Kept nodes leave the batch's arena for a place of their own, the same one as long as their size stays.
    node.stamp = stamp;
    if (node.home === undefined) this.#retained++;
    if (node.home?.length === node.rlp.length) node.home.set(node.rlp);
    else node.home = node.rlp.slice();
    node.rlp = node.home;
  }

  #remember(trieId: number, root: TrieNode | undefined): void {
    this.forget(trieId);
    if (root === undefined) return;
    this.#cache.set(trieId, { root, nodes: this.#retained });
    if (trieId < this.#accountTries) return;
    this.#cachedNodes += this.#retained;
    for (const [oldest] of this.#cache) {
      if (this.#cachedNodes <= CACHED_NODES_MAX) return;
      if (oldest >= this.#accountTries) this.forget(oldest);
    }
  }

  /** Drops what is kept in memory of a trie. */
  forget(trieId: number): void {
    const known = this.#cache.get(trieId);
    if (known === undefined) return;
    this.#cache.delete(trieId);
    if (trieId >= this.#accountTries) this.#cachedNodes -= known.nodes;
  }
}

function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}

function setNibble(path: Uint8Array, depth: number, nibble: number): void {
  const byte = path[depth >> 1] as number;
  path[depth >> 1] = depth & 1 ? (byte & 0xf0) | nibble : (byte & 0x0f) | (nibble << 4);
}

/** Extension length and nibbles, mask, leaf mask, whether nodes are embedded, the branch. Returns the length. */
function encodeNode(out: Uint8Array, at: number, node: TrieNode): number {
  const { extension, mask, leafMask, rlp } = node;
  const start = at;
  out[at++] = extension.length;
  for (let i = 0; i < extension.length; i++) out[at++] = extension[i] as number;
  out[at++] = mask >> 8;
  out[at++] = mask;
  out[at++] = leafMask >> 8;
  out[at++] = leafMask;
  out[at++] = node.embeds ? 1 : 0;
  out.set(rlp, at);
  return at + rlp.length - start;
}

const NO_EXTENSION = new Uint8Array(0);

/** Decodes a record (with stamp) of `length` bytes at the start of `bytes`. */
function decodeNode(bytes: Uint8Array, length: number, arena: Arena): TrieNode {
  let at = STAMP_BYTES;
  const extensionLength = bytes[at++] as number;
  const extension = extensionLength === 0 ? NO_EXTENSION : bytes.slice(at, at + extensionLength);
  at += extensionLength;
  const mask = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  const leafMask = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
  const embeds = bytes[at + 4] === 1;
  const rlp = arena.copy(bytes, at + 5, length);
  return new TrieNode(extension, mask, leafMask, rlp, embeds, arena.copy(bytes, 0, STAMP_BYTES));
}

/** Puts back the hashes that a reference-only change replaced. */
export function applyNodeDiff(payload: Uint8Array, diff: Uint8Array): void {
  const extensionLength = payload[0] as number;
  const maskAt = 1 + extensionLength;
  const mask = ((payload[maskAt] as number) << 8) | (payload[maskAt + 1] as number);
  const rlp = payload.subarray(extensionLength + FIXED_BYTES);
  const changed = ((diff[0] as number) << 8) | (diff[1] as number);
  let from = 2;
  for (let nibble = 0; nibble < 16; nibble++) {
    if ((changed & (1 << nibble)) === 0) continue;
    rlp.set(diff.subarray(from, from + HASH_BYTES), hashOffset(rlp, mask, nibble));
    from += HASH_BYTES;
  }
}
