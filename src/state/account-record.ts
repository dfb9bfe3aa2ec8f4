/**
 * Owns how an account lies in the flat state, and its leaf value in the trie, which is made from the stored bytes
 * without going through big integers. An account with storage names its storage by a number of its own, so wiping the
 * storage of an account is giving it another number.
 */
import { bytesToBigInt } from "../base/bytes.ts";
import type { Account } from "../execution/execution.ts";
import { EMPTY_CODE_HASH, EMPTY_TRIE_ROOT } from "../protocol/ordered-trie.ts";
import { readTrieId, TRIE_ID_BYTES, writeTrieId } from "./state-key.ts";

export type AccountRecord = Account & {
  /** 0: no storage. */
  readonly storageId: number;
  readonly storageRoot: Uint8Array;
};

const HAS_CODE = 1;
const HAS_STORAGE = 2;

/** Writes the record at `at`; returns its length. */
export function encodeAccount(out: Uint8Array, at: number, record: AccountRecord): number {
  const start = at++;
  at = writeInteger(out, at, record.nonce);
  at = writeInteger(out, at, record.balanceWei);
  let flags = 0;
  if (!isSame(record.codeHash, EMPTY_CODE_HASH)) {
    flags |= HAS_CODE;
    out.set(record.codeHash, at);
    at += 32;
  }
  if (record.storageId !== 0) {
    flags |= HAS_STORAGE;
    writeTrieId(out, at, record.storageId);
    out.set(record.storageRoot, at + TRIE_ID_BYTES);
    at += TRIE_ID_BYTES + 32;
  }
  out[start] = flags;
  return at - start;
}

/** Copies what it keeps. */
export function decodeAccount(bytes: Uint8Array, at: number): AccountRecord {
  const flags = bytes[at++] as number;
  const nonceEnd = at + 1 + (bytes[at] as number);
  const nonce = bytesToBigInt(bytes.subarray(at + 1, nonceEnd));
  const balanceEnd = nonceEnd + 1 + (bytes[nonceEnd] as number);
  const balanceWei = bytesToBigInt(bytes.subarray(nonceEnd + 1, balanceEnd));
  at = balanceEnd;
  let codeHash = EMPTY_CODE_HASH;
  if (flags & HAS_CODE) {
    codeHash = bytes.slice(at, at + 32);
    at += 32;
  }
  if ((flags & HAS_STORAGE) === 0) return { nonce, balanceWei, codeHash, storageId: 0, storageRoot: EMPTY_TRIE_ROOT };
  const storageRoot = bytes.slice(at + TRIE_ID_BYTES, at + TRIE_ID_BYTES + 32);
  return { nonce, balanceWei, codeHash, storageId: readTrieId(bytes, at), storageRoot };
}

/** Leaf value of the record at `at`: RLP of [nonce, balance, storage root, code hash]. */
export function accountLeaf(bytes: Uint8Array, at: number): Uint8Array {
  const flags = bytes[at++] as number;
  const nonceAt = at + 1;
  const nonceLength = bytes[at] as number;
  const balanceAt = nonceAt + nonceLength + 1;
  const balanceLength = bytes[nonceAt + nonceLength] as number;
  const nonceItem = integerItemLength(bytes, nonceAt, nonceLength);
  const balanceItem = integerItemLength(bytes, balanceAt, balanceLength);
  const payload = nonceItem + balanceItem + 66;
  const out = new Uint8Array(2 + payload); // 66 and more: always a two-byte list head
  out[0] = 0xf8;
  out[1] = payload;
  let to = writeIntegerItem(out, 2, bytes, nonceAt, nonceLength);
  to = writeIntegerItem(out, to, bytes, balanceAt, balanceLength);
  const codeAt = balanceAt + balanceLength;
  const storageAt = codeAt + (flags & HAS_CODE ? 32 : 0) + TRIE_ID_BYTES;
  out[to++] = 0xa0;
  if (flags & HAS_STORAGE) for (let i = 0; i < 32; i++) out[to + i] = bytes[storageAt + i] as number;
  else out.set(EMPTY_TRIE_ROOT, to);
  to += 32;
  out[to++] = 0xa0;
  if (flags & HAS_CODE) for (let i = 0; i < 32; i++) out[to + i] = bytes[codeAt + i] as number;
  else out.set(EMPTY_CODE_HASH, to);
  return out;
}

function integerItemLength(bytes: Uint8Array, at: number, length: number): number {
  return length === 0 || (length === 1 && (bytes[at] as number) < 0x80) ? 1 : 1 + length;
}

function writeIntegerItem(out: Uint8Array, to: number, bytes: Uint8Array, at: number, length: number): number {
  if (length === 1 && (bytes[at] as number) < 0x80) {
    out[to] = bytes[at] as number;
    return to + 1;
  }
  out[to++] = 0x80 + length;
  for (let i = 0; i < length; i++) out[to + i] = bytes[at + i] as number;
  return to + length;
}

/** Length byte and big-endian bytes without leading zeros. */
function writeInteger(out: Uint8Array, at: number, value: bigint): number {
  if (value <= 0xffff_ffffn) {
    const small = Number(value);
    const length = small === 0 ? 0 : (39 - Math.clz32(small)) >> 3;
    out[at++] = length;
    for (let shift = (length - 1) * 8; shift >= 0; shift -= 8) out[at++] = small >>> shift;
    return at;
  }
  let limbs = 0;
  for (let rest = value; rest !== 0n; rest >>= 32n) limb[limbs++] = Number(BigInt.asUintN(32, rest));
  const top = limb[limbs - 1] as number;
  const topLength = (39 - Math.clz32(top)) >> 3;
  out[at++] = topLength + 4 * (limbs - 1);
  for (let shift = (topLength - 1) * 8; shift >= 0; shift -= 8) out[at++] = top >>> shift;
  for (let i = limbs - 2; i >= 0; i--) {
    const part = limb[i] as number;
    out[at++] = part >>> 24;
    out[at++] = part >>> 16;
    out[at++] = part >>> 8;
    out[at++] = part;
  }
  return at;
}

/** Scratch for {@link writeInteger}: 256 bits. */
const limb: number[] = Array.from({ length: 8 }, () => 0);

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  for (let i = 0; i < 32; i++) if (a[i] !== b[i]) return false;
  return true;
}
