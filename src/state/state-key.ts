/**
 * Owns the keys of the state table. All of one trie lies together: first the nodes of its upper levels, then entries
 * (accounts or slots) and, between the entries below them, the deeper nodes; so a changed entry and the nodes that change
 * with it mostly share a database page. Trie 0 is the account trie, others are the storage of one account.
 * Upper node: id, 0, a byte per nibble. Entry: id, 1, hashed key. Deeper node: id, 1, packed nibbles, depth.
 */
import { nibbleAt } from "./trie.ts";

export const ACCOUNT_TRIE = 0;
/** Tries of ids below this hold accounts: in the whole state the one. */
export const WHOLE_ACCOUNT_TRIES = 1;
/** In a part of the state one for each first byte it holds or held (0 is none). */
export const PART_ACCOUNT_TRIES = 2 ** 20;
export const TRIE_ID_BYTES = 6;
const HASH_BYTES = 32;
const UPPER = 0;
const LOWER = 1;
const PREFIX_BYTES = TRIE_ID_BYTES + 1;
export const ENTRY_KEY_BYTES = PREFIX_BYTES + HASH_BYTES;
/** Nodes of fewer nibbles are upper ones. */
export const UPPER_LEVELS = 4;
/** From this depth on node keys are padded: none may be as long as an entry's. */
const PADDED_DEPTH = 60;

export function writeTrieId(out: Uint8Array, at: number, id: number): void {
  const high = Math.floor(id / 0x1_0000_0000);
  out[at] = high >>> 8;
  out[at + 1] = high;
  out[at + 2] = id >>> 24;
  out[at + 3] = id >>> 16;
  out[at + 4] = id >>> 8;
  out[at + 5] = id;
}

export function readTrieId(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  const low =
    ((bytes[at + 2] as number) << 24) |
    ((bytes[at + 3] as number) << 16) |
    ((bytes[at + 4] as number) << 8) |
    (bytes[at + 5] as number);
  return high * 0x1_0000_0000 + (low >>> 0);
}

const entryKeyBytes = new Uint8Array(ENTRY_KEY_BYTES);
const nodeKeyBytes = new Uint8Array(ENTRY_KEY_BYTES + 4);
/** `nodeKeyBytes` cut to each length: no allocation per key. */
const nodeKeys = Array.from({ length: nodeKeyBytes.length + 1 }, (_, length) => nodeKeyBytes.subarray(0, length));

/** Key of an entry; valid until the next call. */
export function entryKey(trieId: number, key: Uint8Array): Uint8Array {
  writeTrieId(entryKeyBytes, 0, trieId);
  entryKeyBytes[TRIE_ID_BYTES] = LOWER;
  entryKeyBytes.set(key, PREFIX_BYTES);
  return entryKeyBytes;
}

/** The hashed key of an entry's key; undefined for a node's key. A view. */
export function hashOfEntryKey(key: Uint8Array): Uint8Array | undefined {
  return key.length === ENTRY_KEY_BYTES ? key.subarray(PREFIX_BYTES) : undefined;
}

/** Key of the node in the slot at the first `depth` nibbles of `key`; valid until the next call. */
export function nodeKey(trieId: number, key: Uint8Array, depth: number): Uint8Array {
  writeTrieId(nodeKeyBytes, 0, trieId);
  let at = PREFIX_BYTES;
  if (depth < UPPER_LEVELS) {
    nodeKeyBytes[TRIE_ID_BYTES] = UPPER;
    for (let i = 0; i < depth; i++) nodeKeyBytes[at++] = nibbleAt(key, i);
  } else {
    nodeKeyBytes[TRIE_ID_BYTES] = LOWER;
    for (let i = 0; i < depth >> 1; i++) nodeKeyBytes[at++] = key[i] as number;
    if (depth & 1) nodeKeyBytes[at++] = (key[depth >> 1] as number) & 0xf0;
    nodeKeyBytes[at++] = depth;
    if (depth >= PADDED_DEPTH) {
      nodeKeyBytes[at++] = 0;
      nodeKeyBytes[at++] = 0;
    }
  }
  return nodeKeys[at] as Uint8Array;
}

/** [start, end) of all keys of a trie. */
export function trieRange(trieId: number): [Uint8Array, Uint8Array] {
  const start = new Uint8Array(TRIE_ID_BYTES);
  const end = new Uint8Array(TRIE_ID_BYTES);
  writeTrieId(start, 0, trieId);
  writeTrieId(end, 0, trieId + 1);
  return [start, end];
}

/** [start, end) of the entries below a path; node keys lie in between. */
export function pathRange(trieId: number, key: Uint8Array, depth: number): [Uint8Array, Uint8Array] {
  const start = new Uint8Array(ENTRY_KEY_BYTES);
  // Longer than every entry's key, and not below any of the path.
  const end = new Uint8Array(ENTRY_KEY_BYTES + 1).fill(0xff);
  writeTrieId(start, 0, trieId);
  start[TRIE_ID_BYTES] = LOWER;
  const whole = PREFIX_BYTES + (depth >> 1);
  start.set(key.subarray(0, depth >> 1), PREFIX_BYTES);
  end.set(start.subarray(0, whole));
  if (depth & 1) {
    const high = (key[depth >> 1] as number) & 0xf0;
    start[whole] = high;
    end[whole] = high | 0x0f;
  }
  return [start, end];
}
