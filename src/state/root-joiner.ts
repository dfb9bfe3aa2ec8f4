/**
 * Owns the top of a partitioned trie: 256 slots two nibbles deep, each filled by whoever owns that first byte of the
 * hashed keys, and the at most 17 branches above them. The root is that of the whole trie, however the slots are shared
 * out: branches with one child collapse into it, small nodes are embedded, a trie may be one leaf or nothing.
 * Pure: holds the tops it was told last, and hashes again what lies above changed ones (DESIGN D4, I10).
 */
import { assert } from "../base/assert.ts";
import { Reader, Writer } from "../base/binary.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_TRIE_ROOT } from "../protocol/ordered-trie.ts";
import { KEY_NIBBLES, nibbleAt, type SlotTop, TrieLeaf } from "./trie.ts";
import { branchNode, extensionNode, leafNode, nodeRef } from "./trie-node.ts";

/** Nibbles above the slots. */
export const SLOT_DEPTH = 2;
const SLOTS = 256;
const NO_EXTENSION = new Uint8Array(0);

/** What a first byte's slot holds now. */
export type TopChange = { readonly byte: number; readonly top: SlotTop | undefined };

export class RootJoiner {
  readonly #tops: (SlotTop | undefined)[] = Array.from({ length: SLOTS });
  /** What hangs in each slot one nibble deep. */
  readonly #middles: (SlotTop | undefined)[] = Array.from({ length: 16 });
  /** First nibbles below which something changed. */
  #stale = 0;
  #root = EMPTY_TRIE_ROOT;
  #isStale = false;

  /** What the changed slots held before: to take the changes back. */
  update(changes: readonly TopChange[]): TopChange[] {
    const before: TopChange[] = [];
    for (const { byte, top } of changes) {
      assert(Number.isInteger(byte) && byte >= 0 && byte < SLOTS, "a slot is named by one byte");
      before.push({ byte, top: this.#tops[byte] });
      this.#tops[byte] = top;
      this.#stale |= 1 << (byte >> 4);
      this.#isStale = true;
    }
    return before.reverse();
  }

  top(byte: number): SlotTop | undefined {
    return this.#tops[byte];
  }

  /** Root hash of the whole trie. */
  root(): Uint8Array {
    if (!this.#isStale) return this.#root;
    const top = this.#top();
    if (top === undefined) this.#root = EMPTY_TRIE_ROOT;
    else if (top instanceof TrieLeaf) this.#root = keccak256(leafNode(pathOf(top, 0), top.value));
    else if (top.extension.length > 0) this.#root = keccak256(extensionNode(top.extension, top.branch));
    // Its reference is the hash; the root is hashed however short it is.
    else this.#root = top.branch.length === 33 ? top.branch.slice(1) : keccak256(top.branch);
    this.#isStale = false;
    return this.#root;
  }

  /** Brings what is hashed up to date; what hangs at the very top. */
  #top(): SlotTop | undefined {
    for (let rest = this.#stale; rest !== 0; rest &= rest - 1) {
      const nibble = 31 - Math.clz32(rest & -rest);
      this.#middles[nibble] = join(this.#tops.slice(16 * nibble, 16 * nibble + 16), SLOT_DEPTH - 1);
    }
    this.#stale = 0;
    return join(this.#middles, 0);
  }

  /**
   * Nodes from the root towards `key` that are above the slots, without those embedded in their parent, and whether the
   * way goes on in the slot's own branch.
   */
  prove(key: Uint8Array): { nodes: Uint8Array[]; goesOn: boolean } {
    const nodes: Uint8Array[] = [];
    const add = (node: Uint8Array): void => {
      if (nodes.length === 0 || node.length >= 32) nodes.push(node);
    };
    let top = this.#top();
    for (let depth = 0; ; ) {
      if (top === undefined) return { nodes, goesOn: false };
      if (top instanceof TrieLeaf) {
        add(leafNode(pathOf(top, depth), top.value));
        return { nodes, goesOn: false };
      }
      if (top.extension.length > 0) add(extensionNode(top.extension, top.branch));
      for (const nibble of top.extension) if (nibbleAt(key, depth++) !== nibble) return { nodes, goesOn: false };
      if (depth >= SLOT_DEPTH) return { nodes, goesOn: true };
      const first = 16 * nibbleAt(key, 0);
      const children = depth === 0 ? this.#middles : this.#tops.slice(first, first + 16);
      add(branchOf(children, depth));
      top = children[nibbleAt(key, depth++)];
    }
  }
}

/** What hangs in a slot at `depth` with these children: nothing, the only child with a longer path, or a branch. */
function join(children: readonly (SlotTop | undefined)[], depth: number): SlotTop | undefined {
  let only = -1;
  let count = 0;
  for (let nibble = 0; nibble < 16; nibble++)
    if (children[nibble] !== undefined) {
      only = nibble;
      count++;
    }
  if (count === 0) return undefined;
  if (count === 1) {
    const child = children[only] as SlotTop;
    if (child instanceof TrieLeaf) return child;
    return { extension: Uint8Array.of(only, ...child.extension), branch: child.branch };
  }
  return { extension: NO_EXTENSION, branch: nodeRef(branchOf(children, depth)) };
}

/** RLP of the branch at `depth` with these children. */
function branchOf(children: readonly (SlotTop | undefined)[], depth: number): Uint8Array {
  return branchNode(children.map((child) => (child === undefined ? undefined : referenceOf(child, depth + 1))));
}

/** What a branch holds of a child in a slot at `depth`. */
function referenceOf(top: SlotTop, depth: number): Uint8Array {
  if (top instanceof TrieLeaf) return nodeRef(leafNode(pathOf(top, depth), top.value));
  return top.extension.length === 0 ? top.branch : nodeRef(extensionNode(top.extension, top.branch));
}

function pathOf({ key }: TrieLeaf, depth: number): Uint8Array {
  return Uint8Array.from({ length: KEY_NIBBLES - depth }, (_, i) => nibbleAt(key, depth + i));
}

const NOTHING = 0;
const LEAF = 1;
const BRANCH = 2;

/** Changes as they cross threads or processes: some 40 bytes each. */
export function encodeTops(changes: readonly TopChange[]): Uint8Array {
  const w = new Writer(64 * changes.length + 16);
  return w
    .list(changes, ({ byte, top }) => {
      w.byte(byte);
      if (top === undefined) w.byte(NOTHING);
      else if (top instanceof TrieLeaf) w.byte(LEAF).fixed(top.key).bytes(top.value);
      else w.byte(BRANCH).bytes(top.extension).bytes(top.branch);
    })
    .finish();
}

/** @throws {CodecError} */
export function decodeTops(bytes: Uint8Array): TopChange[] {
  const r = new Reader(bytes);
  const changes = r.list(SLOTS, (): TopChange => {
    const byte = r.byte();
    const kind = r.byte();
    if (kind === NOTHING) return { byte, top: undefined };
    if (kind === LEAF) return { byte, top: new TrieLeaf(r.fixed(32), r.bytes(255)) };
    return { byte, top: { extension: r.bytes(KEY_NIBBLES), branch: r.bytes(33) } };
  });
  r.end();
  return changes;
}
