/**
 * Owns the incremental Merkle Patricia trie: a batch of changes on top of a stored trie, of which only the touched
 * nodes are in memory. Keys are 32 bytes and already hashed. Nodes are found by their path; leaves have no node of
 * their own in storage, their place is known by their parent and their content by the flat state.
 * Invariant: the stored trie and its cached nodes are never changed by a batch: a batch works on copies, and the copies
 * become the trie when the caller stores them. Each changed node is hashed once, after all changes.
 */
import { assert } from "../base/assert.ts";
import { keccak256, keccak256Into } from "../protocol/keccak.ts";
import { EMPTY_TRIE_ROOT } from "../protocol/ordered-trie.ts";
import { Arena } from "./arena.ts";

export const KEY_NIBBLES = 64;
const NO_PATH = new Uint8Array(0);
const HASH_BYTES = 32;
/** Copied for a new node: cheaper than filling. */
const SIXTEEN: readonly undefined[] = Array.from({ length: 16 });
/** RLP of a hash: one byte ahead of it. */
const HASH_ITEM_BYTES = 33;

export type Children = (TrieNode | TrieLeaf | undefined)[];

export class TrieLeaf {
  readonly key: Uint8Array;
  /** Leaf value as it stands in the trie, before it is wrapped as a string. */
  readonly value: Uint8Array;

  constructor(key: Uint8Array, value: Uint8Array) {
    this.key = key;
    this.value = value;
  }
}

/** A branch, with the extension that leads to it from the slot it hangs in. */
export class TrieNode {
  /** Nibbles between the slot and the branch. */
  extension: Uint8Array;
  /** Bit n: there is a child at nibble n. */
  mask: number;
  /** Bit n: that child is a leaf. */
  leafMask: number;
  /** The branch in RLP; its references of dirty children are stale. */
  rlp: Uint8Array;
  /** Which children {@link rlp} has: while changing, {@link mask} runs ahead of it. */
  rlpMask: number;
  /** Some reference in {@link rlp} is a node of less than 32 bytes instead of a hash. */
  embeds: boolean;
  /** Children in memory: loaded ones, and all that changed. */
  children: Children | undefined;
  /** Bit n: the reference of child n must be computed anew. */
  dirty = 0;
  /** More than references changed: the stored record is replaced as a whole. */
  reshaped = false;
  /** The batch that may change this object; cached nodes belong to none. */
  owner: TrieBatch | undefined;
  /** Stamp of the stored record; undefined when there is none. */
  stamp: Uint8Array | undefined;
  /** Where the batch keeps the hashes that dirty children had. */
  oldHashesAt = -1;
  /** Where the branch of a cached node lives; undefined for nodes that are not cached. */
  home: Uint8Array | undefined;

  constructor(
    extension: Uint8Array,
    mask: number,
    leafMask: number,
    rlp: Uint8Array,
    embeds: boolean,
    stamp: Uint8Array | undefined,
  ) {
    this.extension = extension;
    this.mask = mask;
    this.leafMask = leafMask;
    this.rlp = rlp;
    this.rlpMask = mask;
    this.embeds = embeds;
    this.stamp = stamp;
  }
}

/** Where a batch gets what is stored. Paths are the first `depth` nibbles of `key`. */
export interface TrieSource {
  node(key: Uint8Array, depth: number, arena: Arena): TrieNode | undefined;
  /** The only entry below the path. */
  leaf(key: Uint8Array, depth: number): TrieLeaf;
}

/** The part of a key that names a stored node. */
export type NodePath = { readonly key: Uint8Array; readonly depth: number };

/**
 * What hangs in a slot, as far as nodes above it need it: a leaf, or a branch by its reference (the RLP item a parent
 * holds of it) with the extension that leads to it. With this a parent that collapses needs to ask nobody.
 */
export type SlotTop = TrieLeaf | { readonly extension: Uint8Array; readonly branch: Uint8Array };

/** Room for hashes of a few changed nodes; it grows. */
const OLD_HASHES_BYTES = 512;

export class TrieBatch {
  readonly #source: TrieSource;
  /** Of everything that lives until the batch is stored or dropped. */
  readonly arena: Arena;
  #root: TrieNode | TrieLeaf | undefined;
  /** Of the slot whose trie this is; 0 but for a part of a trie. */
  readonly #depth: number;
  /** Slots whose stored node is gone, unless the batch put another one there. */
  readonly removed: NodePath[] = [];
  /** Hashes that dirty children of reference-only changes had before, by {@link TrieNode.oldHashesAt}. */
  oldHashes: Uint8Array;
  #oldHashesLength = 0;
  #rootHash: Uint8Array | undefined;

  /**
   * `cached`: the root node as an earlier batch left it, to save loading it. `arena`: of batches that live as long as
   * this one; with one each, hundreds of small batches would be mostly allocation.
   */
  constructor(
    source: TrieSource,
    rootHash: Uint8Array,
    cached: TrieNode | undefined,
    arena: Arena = new Arena(),
    depth = 0,
  ) {
    this.arena = arena;
    this.oldHashes = arena.take(OLD_HASHES_BYTES);
    this.#source = source;
    this.#depth = depth;
    this.#rootHash = rootHash;
    if (cached !== undefined) this.#root = cached;
    else if (!isEmptyRoot(rootHash)) {
      const stored = source.node(NO_PATH, 0, this.arena);
      if (stored !== undefined) stored.owner = this;
      this.#root = stored ?? source.leaf(NO_PATH, 0);
    }
  }

  /** A batch on what hangs in a slot at `depth` of a trie: keys share as many nibbles. It has no root hash. */
  static below(source: TrieSource, depth: number, top: TrieNode | TrieLeaf | undefined, arena?: Arena): TrieBatch {
    const batch = new TrieBatch(source, EMPTY_TRIE_ROOT, undefined, arena, depth);
    batch.#root = top;
    batch.#rootHash = undefined;
    return batch;
  }

  /** What the slot holds after the changes. */
  get content(): TrieNode | TrieLeaf | undefined {
    return this.#root;
  }

  /** {@link content} as nodes above it need it; references of all changed nodes are up to date afterwards. */
  top(): SlotTop | undefined {
    const root = this.#root;
    if (root === undefined || root instanceof TrieLeaf) return root;
    if (root.dirty !== 0) this.#updateReferences(root, this.#depth + root.extension.length);
    return { extension: root.extension, branch: reference.slice(0, refer(root.rlp, root.rlp.length)) };
  }

  /** The root node after the changes, if it is a branch or extension. */
  get root(): TrieNode | undefined {
    return this.#root instanceof TrieNode ? this.#root : undefined;
  }

  /** Sets the value of a key; `existed` says whether the stored trie has the key. One change per key and batch. */
  set(key: Uint8Array, value: Uint8Array, existed: boolean): void {
    this.#rootHash = undefined;
    const leaf = new TrieLeaf(key, value);
    const root = this.#root;
    if (root === undefined) this.#root = leaf;
    else if (root instanceof TrieLeaf)
      this.#root = sameKey(root.key, key) ? leaf : this.#split(root, leaf, this.#depth);
    else this.#root = this.#set(this.#own(root), this.#depth, leaf, existed);
  }

  /** Deletes a key that the stored trie has. */
  delete(key: Uint8Array): void {
    this.#rootHash = undefined;
    const root = this.#root;
    assert(root !== undefined, "a deleted key is in the trie");
    if (root instanceof TrieLeaf) {
      assert(sameKey(root.key, key), "a deleted key is in the trie");
      this.#root = undefined;
    } else this.#root = this.#delete(this.#own(root), this.#depth, key);
  }

  #own(node: TrieNode): TrieNode {
    if (node.owner === this) return node;
    const rlp = this.arena.copy(node.rlp, 0, node.rlp.length);
    const copy = new TrieNode(node.extension, node.mask, node.leafMask, rlp, node.embeds, node.stamp);
    copy.children = node.children?.slice();
    copy.home = node.home;
    copy.owner = this;
    return copy;
  }

  #newNode(extension: Uint8Array): TrieNode {
    const node = new TrieNode(extension, 0, 0, NO_PATH, false, undefined);
    node.owner = this;
    node.reshaped = true;
    return node;
  }

  /** The node in child slot `nibble` of `parent`, whose path is the first `depth` nibbles of `key`. */
  #childNode(parent: TrieNode, nibble: number, key: Uint8Array, depth: number): TrieNode {
    const known = parent.children?.[nibble];
    if (known !== undefined) {
      assert(known instanceof TrieNode, "the leaf mask tells nodes from leaves");
      return this.#own(known);
    }
    const loaded = this.#source.node(key, depth, this.arena);
    assert(loaded !== undefined, "a child that is not a leaf is stored");
    loaded.owner = this;
    return loaded;
  }

  #set(node: TrieNode, slotDepth: number, leaf: TrieLeaf, existed: boolean): TrieNode {
    const { key } = leaf;
    const { extension } = node;
    for (let i = 0; i < extension.length; i++) {
      const nibble = nibbleAt(key, slotDepth + i);
      if (extension[i] === nibble) continue;
      const fork = this.#newNode(extension.slice(0, i));
      adopt(fork, extension[i] as number, node);
      adopt(fork, nibble, leaf);
      node.extension = extension.slice(i + 1);
      node.reshaped = true;
      node.stamp = undefined;
      return fork;
    }
    const depth = slotDepth + extension.length;
    const nibble = nibbleAt(key, depth);
    const bit = 1 << nibble;
    if ((node.mask & bit) === 0) {
      adopt(node, nibble, leaf);
      node.reshaped = true;
    } else if (node.leafMask & bit) {
      const known = node.children?.[nibble] as TrieLeaf | undefined;
      if (known === undefined && existed) adopt(node, nibble, leaf);
      else {
        const other = known ?? this.#source.leaf(key, depth + 1);
        if (sameKey(other.key, key)) adopt(node, nibble, leaf);
        else {
          adopt(node, nibble, this.#split(other, leaf, depth + 1));
          node.reshaped = true;
        }
      }
    } else {
      const child = this.#childNode(node, nibble, key, depth + 1);
      adopt(node, nibble, this.#set(child, depth + 1, leaf, existed));
    }
    return node;
  }

  /** A branch over two leaves with different keys, for a slot at `slotDepth`. */
  #split(a: TrieLeaf, b: TrieLeaf, slotDepth: number): TrieNode {
    let depth = slotDepth;
    while (nibbleAt(a.key, depth) === nibbleAt(b.key, depth)) depth++;
    const extension = new Uint8Array(depth - slotDepth);
    for (let i = 0; i < extension.length; i++) extension[i] = nibbleAt(a.key, slotDepth + i);
    const node = this.#newNode(extension);
    adopt(node, nibbleAt(a.key, depth), a);
    adopt(node, nibbleAt(b.key, depth), b);
    return node;
  }

  #delete(node: TrieNode, slotDepth: number, key: Uint8Array): TrieNode | TrieLeaf {
    const { extension } = node;
    for (let i = 0; i < extension.length; i++)
      assert(extension[i] === nibbleAt(key, slotDepth + i), "a deleted key is in the trie");
    const depth = slotDepth + extension.length;
    const nibble = nibbleAt(key, depth);
    const bit = 1 << nibble;
    assert((node.mask & bit) !== 0, "a deleted key is in the trie");
    if ((node.leafMask & bit) === 0) {
      const child = this.#childNode(node, nibble, key, depth + 1);
      const rest = this.#delete(child, depth + 1, key);
      adopt(node, nibble, rest);
      if (rest instanceof TrieLeaf) node.reshaped = true;
      return node;
    }
    const leaf = node.children?.[nibble] as TrieLeaf | undefined;
    assert(leaf === undefined || sameKey(leaf.key, key), "a deleted key is in the trie");
    node.mask &= ~bit;
    node.leafMask &= ~bit;
    node.dirty |= bit;
    node.reshaped = true;
    if (node.children !== undefined) node.children[nibble] = undefined;
    if ((node.mask & (node.mask - 1)) !== 0) return node;
    return this.#collapse(node, slotDepth, key);
  }

  /** What takes the place of a branch with one child left: that child, with a longer path. */
  #collapse(node: TrieNode, slotDepth: number, key: Uint8Array): TrieNode | TrieLeaf {
    const depth = slotDepth + node.extension.length;
    const nibble = 31 - Math.clz32(node.mask);
    const path = withNibble(key, depth, nibble);
    if (node.leafMask !== 0) {
      this.removed.push({ key: path, depth: slotDepth });
      return (node.children?.[nibble] as TrieLeaf | undefined) ?? this.#source.leaf(path, depth + 1);
    }
    const child = this.#childNode(node, nibble, path, depth + 1);
    this.removed.push({ key: path, depth: depth + 1 });
    const extension = new Uint8Array(node.extension.length + 1 + child.extension.length);
    extension.set(node.extension);
    extension[node.extension.length] = nibble;
    extension.set(child.extension, node.extension.length + 1);
    child.extension = extension;
    child.reshaped = true;
    child.stamp = undefined;
    return child;
  }

  /** Root hash after the changes; references of all changed nodes are up to date afterwards. */
  hash(): Uint8Array {
    assert(this.#depth === 0, "a part of a trie has no root hash");
    if (this.#rootHash !== undefined) return this.#rootHash;
    const root = this.#root;
    if (root === undefined) this.#rootHash = EMPTY_TRIE_ROOT;
    else {
      const length = root instanceof TrieLeaf ? leafReference(root, 0) : this.#nodeReference(root, 0);
      this.#rootHash =
        length === HASH_ITEM_BYTES ? reference.slice(1, HASH_ITEM_BYTES) : keccak256(reference.subarray(0, length)); // a whole trie of less than 32 bytes
    }
    return this.#rootHash;
  }

  /** Leaves the reference of a node at the start of {@link reference}; returns its length. */
  #nodeReference(node: TrieNode, slotDepth: number): number {
    if (node.dirty !== 0) this.#updateReferences(node, slotDepth + node.extension.length);
    const length = refer(node.rlp, node.rlp.length);
    return node.extension.length === 0 ? length : extensionReference(node.extension, length);
  }

  #updateReferences(node: TrieNode, depth: number): void {
    let references = node.reshaped || node.embeds ? storedReferences(node) : undefined;
    let oldAt = 0;
    if (references === undefined) {
      oldAt = this.#reserveOldHashes(popCount(node.dirty));
      node.oldHashesAt = oldAt;
    }
    for (let rest = node.dirty; rest !== 0; rest &= rest - 1) {
      const nibble = 31 - Math.clz32(rest & -rest);
      const child = node.children?.[nibble];
      if (child === undefined) {
        assert(references !== undefined, "a branch that lost a child is reshaped");
        references[nibble] = undefined;
        continue;
      }
      const length =
        child instanceof TrieLeaf ? leafReference(child, depth + 1) : this.#nodeReference(child, depth + 1);
      if (references === undefined && length !== HASH_ITEM_BYTES) {
        references = storedReferences(node);
        node.reshaped = true;
      }
      if (references === undefined) {
        const at = hashOffset(node.rlp, node.rlpMask, nibble);
        for (let i = 0; i < HASH_BYTES; i++) {
          this.oldHashes[oldAt + i] = node.rlp[at + i] as number;
          node.rlp[at + i] = reference[1 + i] as number;
        }
        oldAt += HASH_BYTES;
      } else references[nibble] = this.arena.copy(reference, 0, length);
    }
    if (references !== undefined) encodeBranch(node, references, this.arena);
  }

  #reserveOldHashes(count: number): number {
    const at = this.#oldHashesLength;
    this.#oldHashesLength += count * HASH_BYTES;
    if (this.#oldHashesLength > this.oldHashes.length) {
      const grown = new Uint8Array(2 * this.#oldHashesLength);
      grown.set(this.oldHashes.subarray(0, at));
      this.oldHashes = grown;
    }
    return at;
  }
}

/** The reference computed last: an RLP item of 33 bytes holding a hash, or a node of less than 32 bytes. */
const reference = new Uint8Array(HASH_ITEM_BYTES);
/** Leaves and extensions are put together here; an account's leaf has at most 150 bytes. */
const scratch = new Uint8Array(512);

function refer(node: Uint8Array, length: number): number {
  if (length < HASH_BYTES) {
    reference.set(node.subarray(0, length));
    return length;
  }
  reference[0] = 0x80 + HASH_BYTES;
  keccak256Into(node.length === length ? node : node.subarray(0, length), reference, 1);
  return HASH_ITEM_BYTES;
}

function leafReference(leaf: TrieLeaf, depth: number): number {
  return refer(scratch, encodeLeaf(scratch, leaf, depth));
}

/** RLP of the leaf in a slot at `depth`, into `out`; returns its length. */
function encodeLeaf(out: Uint8Array, leaf: TrieLeaf, depth: number): number {
  const { key, value } = leaf;
  const pathBytes = ((KEY_NIBBLES - depth) >> 1) + 1;
  const single = value.length === 1 && (value[0] as number) < 0x80;
  const valueHead = single ? 0 : value.length < 56 ? 1 : 2;
  const pathHead = pathBytes === 1 ? 0 : 1;
  const payload = pathHead + pathBytes + valueHead + value.length;
  assert(value.length < 256 && payload < 256, "leaves are short");
  let at = 0;
  if (payload < 56) out[at++] = 0xc0 + payload;
  else {
    out[at++] = 0xf8;
    out[at++] = payload;
  }
  if (pathHead === 1) out[at++] = 0x80 + pathBytes;
  if (depth & 1) {
    out[at++] = 0x30 | nibbleAt(key, depth);
    depth++;
  } else out[at++] = 0x20;
  for (let i = depth >> 1; i < key.length; i++) out[at++] = key[i] as number;
  if (valueHead === 1) out[at++] = 0x80 + value.length;
  else if (valueHead === 2) {
    out[at++] = 0xb8;
    out[at++] = value.length;
  }
  out.set(value, at);
  return at + value.length;
}

/** Wraps the reference computed last (of `length` bytes) into an extension and refers to that. */
function extensionReference(extension: Uint8Array, length: number): number {
  return refer(scratch, encodeExtension(scratch, extension, reference.subarray(0, length)));
}

function encodeExtension(out: Uint8Array, extension: Uint8Array, ref: Uint8Array): number {
  const pathBytes = (extension.length >> 1) + 1;
  const pathHead = pathBytes === 1 ? 0 : 1;
  const payload = pathHead + pathBytes + ref.length;
  let at = 0;
  if (payload < 56) out[at++] = 0xc0 + payload;
  else {
    out[at++] = 0xf8;
    out[at++] = payload;
  }
  if (pathHead === 1) out[at++] = 0x80 + pathBytes;
  let i = 0;
  if (extension.length & 1) out[at++] = 0x10 | (extension[i++] as number);
  else out[at++] = 0;
  for (; i < extension.length; i += 2) out[at++] = ((extension[i] as number) << 4) | (extension[i + 1] as number);
  out.set(ref, at);
  return at + ref.length;
}

/** The RLP nodes of a slot: the leaf, or the extension (if any) and the branch. Nodes embedded in a parent included. */
export function slotNodes(child: TrieNode | TrieLeaf, slotDepth: number): Uint8Array[] {
  if (child instanceof TrieLeaf) return [scratch.slice(0, encodeLeaf(scratch, child, slotDepth))];
  if (child.extension.length === 0) return [child.rlp];
  const length = refer(child.rlp, child.rlp.length);
  const extension = scratch.slice(0, encodeExtension(scratch, child.extension, reference.subarray(0, length)));
  return [extension, child.rlp];
}

/** The 16 references in a branch's RLP, by its {@link TrieNode.rlpMask}; views. */
function storedReferences(node: TrieNode): (Uint8Array | undefined)[] {
  const references: (Uint8Array | undefined)[] = SIXTEEN.slice();
  if (node.rlpMask === 0) return references;
  let at = payloadOffset(node.rlp);
  for (let nibble = 0; nibble < 16; nibble++) {
    const length = itemLength(node.rlp, at);
    if (node.rlpMask & (1 << nibble)) references[nibble] = node.rlp.subarray(at, at + length);
    at += length;
  }
  return references;
}

function encodeBranch(node: TrieNode, references: readonly (Uint8Array | undefined)[], arena: Arena): void {
  let payload = 1;
  let mask = 0;
  let embeds = false;
  for (let nibble = 0; nibble < 16; nibble++) {
    const ref = references[nibble];
    if (ref === undefined) payload++;
    else {
      mask |= 1 << nibble;
      payload += ref.length;
      if (ref.length !== HASH_ITEM_BYTES) embeds = true;
    }
  }
  assert(mask === node.mask, "references and mask of a branch agree");
  const head = payload < 56 ? 1 : payload < 256 ? 2 : 3;
  const rlp = arena.take(head + payload);
  if (head === 1) rlp[0] = 0xc0 + payload;
  else if (head === 2) {
    rlp[0] = 0xf8;
    rlp[1] = payload;
  } else {
    rlp[0] = 0xf9;
    rlp[1] = payload >> 8;
    rlp[2] = payload;
  }
  let at = head;
  for (let nibble = 0; nibble < 16; nibble++) {
    const ref = references[nibble];
    if (ref === undefined) rlp[at++] = 0x80;
    else {
      rlp.set(ref, at);
      at += ref.length;
    }
  }
  rlp[at] = 0x80;
  node.rlp = rlp;
  node.rlpMask = mask;
  node.embeds = embeds;
}

function payloadOffset(rlp: Uint8Array): number {
  const first = rlp[0] as number;
  return first < 0xf8 ? 1 : first - 0xf6;
}

function itemLength(rlp: Uint8Array, at: number): number {
  const first = rlp[at] as number;
  return first < 0x80 ? 1 : first < 0xc0 ? first - 0x7f : first - 0xbf;
}

/** Where the hash of child `nibble` starts in a branch whose references are all hashes. */
export function hashOffset(rlp: Uint8Array, mask: number, nibble: number): number {
  return payloadOffset(rlp) + nibble + HASH_BYTES * popCount(mask & ((1 << nibble) - 1)) + 1;
}

function adopt(parent: TrieNode, nibble: number, child: TrieNode | TrieLeaf): void {
  parent.children ??= SIXTEEN.slice();
  parent.children[nibble] = child;
  const bit = 1 << nibble;
  parent.mask |= bit;
  if (child instanceof TrieLeaf) parent.leafMask |= bit;
  else parent.leafMask &= ~bit;
  parent.dirty |= bit;
}

export function nibbleAt(key: Uint8Array, depth: number): number {
  const byte = key[depth >> 1] as number;
  return depth & 1 ? byte & 15 : byte >> 4;
}

/** A copy of `key` with another nibble at `depth`. */
function withNibble(key: Uint8Array, depth: number, nibble: number): Uint8Array {
  const out = key.slice();
  const byte = out[depth >> 1] as number;
  out[depth >> 1] = depth & 1 ? (byte & 0xf0) | nibble : (byte & 0x0f) | (nibble << 4);
  return out;
}

export function popCount(bits: number): number {
  bits -= (bits >> 1) & 0x5555;
  bits = (bits & 0x3333) + ((bits >> 2) & 0x3333);
  bits = (bits + (bits >> 4)) & 0x0f0f;
  return (bits + (bits >> 8)) & 0x1f;
}

function sameKey(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function isEmptyRoot(root: Uint8Array): boolean {
  return sameKey(root, EMPTY_TRIE_ROOT);
}
