/**
 * Owns the plain trie: a Merkle Patricia trie built from scratch out of sorted entries, by definition and without
 * any cleverness. It is what the memory twin commits with and what the incremental trie is tested against.
 */
import { compareBytes } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_TRIE_ROOT } from "../protocol/ordered-trie.ts";
import { branchNode, extensionNode, leafNode, nodeRef, toNibbles } from "./trie-node.ts";

/** `key` as it stands in the trie: 32 bytes, already hashed, in the state; of any lengths in public test files. */
export type TrieEntry = { readonly key: Uint8Array; readonly value: Uint8Array };

type Node = { readonly rlp: Uint8Array; readonly path: Uint8Array; readonly children: readonly (Node | undefined)[] };

export class PlainTrie {
  readonly root: Uint8Array;
  readonly #top: Node | undefined;

  /** `entries` in any order, keys unique. */
  constructor(entries: readonly TrieEntry[]) {
    const sorted = entries
      .toSorted((a, b) => compareBytes(a.key, b.key))
      .map((e) => ({ path: toNibbles(e.key), value: e.value }));
    this.#top = sorted.length === 0 ? undefined : build(sorted, 0);
    this.root = this.#top === undefined ? EMPTY_TRIE_ROOT : keccak256(this.#top.rlp);
  }

  /** RLP nodes from the root towards `key`, without nodes embedded in their parent. */
  prove(key: Uint8Array): Uint8Array[] {
    const path = toNibbles(key);
    const proof: Uint8Array[] = [];
    let node = this.#top;
    let depth = 0;
    while (node !== undefined) {
      if (proof.length === 0 || node.rlp.length >= 32) proof.push(node.rlp);
      const { path: own, children } = node;
      if (!own.every((nibble, i) => nibble === path[depth + i])) break;
      depth += own.length;
      if (children.length === 1) node = children[0];
      else node = children[path[depth++] as number];
    }
    return proof;
  }
}

/** Leaves have no children, extensions one, branches sixteen. */
function build(entries: readonly { path: Uint8Array; value: Uint8Array }[], depth: number): Node {
  const first = entries[0] as { path: Uint8Array; value: Uint8Array };
  const last = entries.at(-1) as { path: Uint8Array; value: Uint8Array };
  if (entries.length === 1) {
    const path = first.path.subarray(depth);
    return { rlp: leafNode(path, first.value), path, children: [] };
  }
  let shared = 0;
  while (depth + shared < first.path.length && first.path[depth + shared] === last.path[depth + shared]) shared++;
  if (shared > 0) {
    const path = first.path.subarray(depth, depth + shared);
    const child = build(entries, depth + shared);
    return { rlp: extensionNode(path, nodeRef(child.rlp)), path, children: [child] };
  }
  const children = Array.from({ length: 16 }, (_, nibble) => {
    const below = entries.filter((e) => e.path[depth] === nibble);
    return below.length === 0 ? undefined : build(below, depth + 1);
  });
  return {
    rlp: branchNode(
      children.map((child) => child && nodeRef(child.rlp)),
      first.path.length === depth ? first.value : undefined,
    ),
    path: new Uint8Array(0),
    children,
  };
}
