/**
 * Owns roots of ordered lists: the Merkle Patricia trie from `rlp(index)` to value that headers carry for
 * transactions and receipts. Built in one pass from the sorted keys, without nodes in memory or a database.
 * Invariant: equals the general trie for every length.
 * @see yellow paper, appendix D
 */
import { assert } from "../base/assert.ts";
import { fromHex } from "../base/bytes.ts";
import { keccak256 } from "./keccak.ts";
import { rlpHeaderLength, rlpStringLength, writeRlpHeader, writeRlpString } from "./rlp.ts";

/** Root of the empty trie: `keccak256(rlp(""))`. */
export const EMPTY_TRIE_ROOT = fromHex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");
/** `keccak256("")`: the code hash of accounts without code. */
export const EMPTY_CODE_HASH = fromHex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
/** `keccak256(rlp([]))`: the ommers hash of every block. */
export const EMPTY_OMMERS_HASH = fromHex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

/** One key of the list in nibbles, with the position of its value. */
type Entry = { readonly nibbles: Uint8Array; readonly value: Uint8Array };

/** Key of the list item at `index` (below 2^32): the nibbles of `rlp(index)`. */
export function indexNibbles(index: number): Uint8Array {
  if (index === 0) return Uint8Array.of(8, 0);
  if (index < 0x80) return Uint8Array.of(index >> 4, index & 15);
  const size = index < 0x100 ? 1 : index < 0x10000 ? 2 : index < 0x1000000 ? 3 : 4;
  const nibbles = new Uint8Array(2 + 2 * size);
  nibbles[0] = 8;
  nibbles[1] = size;
  for (let i = 0, rest = index; i < 2 * size; i++, rest = Math.floor(rest / 16)) nibbles[1 + 2 * size - i] = rest % 16;
  return nibbles;
}

/** Compact (hex-prefix) encoding of nibbles[from, to). */
function compactPath(nibbles: Uint8Array, from: number, to: number, isLeaf: boolean): Uint8Array {
  const length = to - from;
  const odd = length & 1;
  const out = new Uint8Array((length >> 1) + 1);
  out[0] = ((isLeaf ? 2 : 0) + odd) << 4;
  let at = from;
  if (odd === 1) out[0] |= nibbles[at++] as number;
  for (let i = 1; at < to; i++, at += 2) out[i] = ((nibbles[at] as number) << 4) | (nibbles[at + 1] as number);
  return out;
}

/** A list of two strings; `rawSecond` is copied as it stands (a node reference). */
function pairNode(path: Uint8Array, second: Uint8Array, rawSecond: boolean): Uint8Array {
  const payload = rlpStringLength(path) + (rawSecond ? second.length : rlpStringLength(second));
  const out = new Uint8Array(rlpHeaderLength(payload) + payload);
  const at = writeRlpString(out, writeRlpHeader(out, 0, 0xc0, payload), path);
  if (rawSecond) out.set(second, at);
  else writeRlpString(out, at, second);
  return out;
}

/** How a parent names a node: itself when shorter than a hash, otherwise its hash as a string. */
function reference(node: Uint8Array): Uint8Array {
  if (node.length < 32) return node;
  const out = new Uint8Array(33);
  out[0] = 0xa0;
  out.set(keccak256(node), 1);
  return out;
}

/** Encodes the subtrie of entries[from, to), whose keys agree on the first `depth` nibbles. */
function subtrie(entries: readonly Entry[], from: number, to: number, depth: number): Uint8Array {
  const first = entries[from] as Entry;
  if (to - from === 1)
    return pairNode(compactPath(first.nibbles, depth, first.nibbles.length, true), first.value, false);
  const last = (entries[to - 1] as Entry).nibbles;
  let fork = depth;
  while (first.nibbles[fork] === last[fork]) fork++;
  assert(fork < first.nibbles.length && fork < last.length, "RLP keys are prefix-free and distinct");
  const children = Array.from<Uint8Array | undefined>({ length: 16 });
  // An empty child costs a byte; so does the value of a branch, which is always empty here.
  let payload = 17;
  for (let start = from; start < to; ) {
    const nibble = (entries[start] as Entry).nibbles[fork] as number;
    let end = start + 1;
    while (end < to && (entries[end] as Entry).nibbles[fork] === nibble) end++;
    const child = reference(subtrie(entries, start, end, fork + 1));
    children[nibble] = child;
    payload += child.length - 1;
    start = end;
  }
  const branch = new Uint8Array(rlpHeaderLength(payload) + payload);
  let at = writeRlpHeader(branch, 0, 0xc0, payload);
  for (const child of children) {
    if (child === undefined) {
      branch[at++] = 0x80;
    } else {
      branch.set(child, at);
      at += child.length;
    }
  }
  branch[at] = 0x80;
  return fork === depth ? branch : pairNode(compactPath(first.nibbles, depth, fork, false), reference(branch), true);
}

/** Root over `values` in order (encoded transactions or receipts; never empty strings). */
export function orderedTrieRoot(values: readonly Uint8Array[]): Uint8Array {
  if (values.length === 0) return EMPTY_TRIE_ROOT;
  // In key order index 0 (0x80) stands between 127 (0x7f) and 128 (0x8180); all others ascend.
  const entries: Entry[] = [];
  const add = (index: number): void => {
    const value = values[index] as Uint8Array;
    assert(value.length > 0, "a trie holds no empty values");
    entries.push({ nibbles: indexNibbles(index), value });
  };
  for (let index = 1; index < Math.min(0x80, values.length); index++) add(index);
  add(0);
  for (let index = 0x80; index < values.length; index++) add(index);
  return keccak256(subtrie(entries, 0, entries.length, 0));
}
