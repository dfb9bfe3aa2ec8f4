/**
 * Owns the encoding of Merkle Patricia trie nodes: RLP of leaves, extensions and branches, hex-prefix paths, and node
 * references (the hash, or the node itself when shorter than 32 bytes).
 * @see https://ethereum.org/developers/docs/data-structures-and-encoding/patricia-merkle-trie
 */
import { bigIntToMinimalBytes, concatBytes } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";

/** The one-byte RLP of the empty string. */
const EMPTY_ITEM = Uint8Array.of(0x80);

export function rlpBytes(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 1 && (bytes[0] as number) < 0x80) return bytes;
  return concatBytes(rlpPrefix(0x80, bytes.length), bytes);
}

/** `items` are already encoded. */
export function rlpList(items: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const item of items) length += item.length;
  return concatBytes(rlpPrefix(0xc0, length), ...items);
}

function rlpPrefix(base: number, length: number): Uint8Array {
  if (length < 56) return Uint8Array.of(base + length);
  if (length < 0x100) return Uint8Array.of(base + 56, length);
  if (length < 0x10000) return Uint8Array.of(base + 57, length >> 8, length & 0xff);
  return Uint8Array.of(base + 58, length >> 16, (length >> 8) & 0xff, length & 0xff);
}

/** The two nibbles of each byte, high first. */
export function toNibbles(key: Uint8Array): Uint8Array {
  const nibbles = new Uint8Array(key.length * 2);
  for (let i = 0; i < key.length; i++) {
    const byte = key[i] as number;
    nibbles[2 * i] = byte >> 4;
    nibbles[2 * i + 1] = byte & 15;
  }
  return nibbles;
}

/** Hex-prefix form of a nibble path. */
export function hexPrefix(nibbles: Uint8Array, isLeaf: boolean): Uint8Array {
  const odd = nibbles.length & 1;
  const out = new Uint8Array((nibbles.length >> 1) + 1);
  out[0] = (isLeaf ? 0x20 : 0) + (odd ? 0x10 + (nibbles[0] as number) : 0);
  for (let i = odd, at = 1; i < nibbles.length; i += 2, at++)
    out[at] = ((nibbles[i] as number) << 4) | (nibbles[i + 1] as number);
  return out;
}

export function leafNode(path: Uint8Array, value: Uint8Array): Uint8Array {
  return rlpList([rlpBytes(hexPrefix(path, true)), rlpBytes(value)]);
}

/** `ref` is a node reference as {@link nodeRef} makes it. */
export function extensionNode(path: Uint8Array, ref: Uint8Array): Uint8Array {
  return rlpList([rlpBytes(hexPrefix(path, false)), ref]);
}

/** `value`: of the key that ends in the branch; keys of one length never do. */
export function branchNode(refs: readonly (Uint8Array | undefined)[], value?: Uint8Array): Uint8Array {
  return rlpList([...refs.map((ref) => ref ?? EMPTY_ITEM), value === undefined ? EMPTY_ITEM : rlpBytes(value)]);
}

/** What a parent holds of a node, in RLP: the node when shorter than 32 bytes, else its hash. */
export function nodeRef(node: Uint8Array): Uint8Array {
  return node.length < 32 ? node : rlpBytes(keccak256(node));
}

/** The value of an account's leaf. */
export function accountLeafValue(
  nonce: bigint,
  balanceWei: bigint,
  storageRoot: Uint8Array,
  codeHash: Uint8Array,
): Uint8Array {
  return rlpList([
    rlpBytes(bigIntToMinimalBytes(nonce)),
    rlpBytes(bigIntToMinimalBytes(balanceWei)),
    rlpBytes(storageRoot),
    rlpBytes(codeHash),
  ]);
}

/** The value of a storage slot's leaf: the slot without its leading zeros, as RLP. `value` is not zero. */
export function slotLeafValue(value: Uint8Array): Uint8Array {
  let start = 0;
  while (start < value.length && value[start] === 0) start++;
  return rlpBytes(value.subarray(start));
}
