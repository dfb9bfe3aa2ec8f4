/**
 * Owns the glance at a transaction that planning takes: its gas limit, its target and the first words of its call,
 * read without decoding the rest. Nothing here is trusted: what cannot be read is undefined, and no result depends on
 * more of it than the gas limit, which is read from the bytes the engine reads it from.
 */
import { DEPOSIT_TYPE } from "../../protocol/transaction-codec.ts";
import type { TxInput } from "../execution.ts";

export type TxHint = {
  /** Undefined when it cannot be read or is beyond 2^53. */
  readonly gasLimit: number | undefined;
  /** Fingerprint of the contract and function called; 0 for creations and plain transfers. */
  readonly template: number;
  /** Fingerprint of the target; 0 for creations. */
  readonly target: number;
  /** Fingerprints of the sender and of the first words that look like addresses, each within the target. */
  readonly keys: readonly number[];
  /** Fingerprints of those words by themselves, as {@link fingerprint} gives them for the addresses they name. */
  readonly words: readonly number[];
  /** Undefined when it cannot be read, has none (a deposit), or is beyond 2^53. */
  readonly nonce: number | undefined;
  /** It sends ether along. */
  readonly hasValue: boolean;
  /** Fingerprint of the sender. */
  readonly sender: number;
  /** View of the target, for prefetching. */
  readonly to: Uint8Array | undefined;
};

/** Words of a call that are looked at. */
const WORDS_MAX = 6;
const NO_KEYS: readonly number[] = [];

/** Positions of gas limit, target, value, data and nonce in the list of fields, by type. */
type Layout = readonly [gas: number, to: number, value: number, data: number, nonce: number];
const LEGACY: Layout = [2, 3, 4, 5, 0];
const LAYOUTS: Readonly<Record<number, Layout>> = {
  1: [3, 4, 5, 6, 1],
  2: [4, 5, 6, 7, 1],
  3: [4, 5, 6, 7, 1],
  4: [4, 5, 6, 7, 1],
  [DEPOSIT_TYPE]: [5, 2, 4, 7, -1],
};

/** 32-bit mix of two fingerprints. */
export function mixFingerprints(a: number, b: number): number {
  let h = Math.imul(a ^ (b >>> 15) ^ (b << 17), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13) ^ b, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0 || 1;
}

/** Fingerprint of up to the last 20 bytes: the same for an address and the word that names it. */
export function fingerprint(bytes: Uint8Array, from = 0, to: number = bytes.length): number {
  let h = 0x811c9dc5;
  for (let i = Math.max(from, to - 20); i < to; i++) h = Math.imul(h ^ (bytes[i] as number), 0x01000193);
  return (h ^ (h >>> 15)) >>> 0 || 1;
}

export function hintOf(tx: TxInput): TxHint {
  const { raw } = tx;
  const sender = fingerprint(tx.sender);
  const unread: TxHint = {
    gasLimit: undefined,
    template: 0,
    target: 0,
    keys: NO_KEYS,
    words: NO_KEYS,
    nonce: undefined,
    hasValue: false,
    sender,
    to: undefined,
  };
  const first = raw[0] ?? 0;
  const layout = first >= 0xc0 ? LEGACY : LAYOUTS[first];
  if (layout === undefined) return unread;
  const list = header(raw, first >= 0xc0 ? 0 : 1);
  if (list === undefined || !list.isList) return unread;
  let at = list.from;
  let gas: Item | undefined;
  let target: Item | undefined;
  let data: Item | undefined;
  let nonce: number | undefined;
  let hasValue = false;
  for (let field = 0; field <= layout[3]; field++) {
    const item = header(raw, at);
    if (item === undefined || item.to > list.to) return unread;
    if (field === layout[0]) gas = item;
    else if (field === layout[1]) target = item;
    else if (field === layout[2]) hasValue = item.to > item.from;
    else if (field === layout[3]) data = item;
    else if (field === layout[4]) nonce = integer(raw, item);
    at = item.to;
  }
  if (gas === undefined || target === undefined || data === undefined) return unread;
  const gasLimit = integer(raw, gas);
  if (gasLimit === undefined) return unread;
  const plain = { ...unread, gasLimit, nonce, hasValue };
  if (target.to - target.from !== 20) return plain;
  const to = raw.subarray(target.from, target.to);
  const contract = fingerprint(to);
  const size = data.to - data.from;
  if (size === 0) return { ...plain, target: contract, to };
  const template = mixFingerprints(contract, fingerprint(raw, data.from, data.from + Math.min(4, size)));
  const keys = [mixFingerprints(contract, sender)];
  const words: number[] = [];
  for (let word = data.from + 4, n = 0; n < WORDS_MAX && word + 32 <= data.to; n++, word += 32)
    if (isAddressLike(raw, word)) {
      const print = fingerprint(raw, word, word + 32);
      words.push(print);
      keys.push(mixFingerprints(contract, print));
    }
  return { gasLimit, template, target: contract, keys, words, nonce, hasValue, sender, to };
}

/** Undefined for a list and beyond six bytes. */
function integer(raw: Uint8Array, { isList, from, to }: Item): number | undefined {
  if (isList || to - from > 6) return undefined;
  let value = 0;
  for (let i = from; i < to; i++) value = value * 256 + (raw[i] as number);
  return value;
}

/** Amounts, flags and offsets are no keys: what they have in common means nothing. */
function isAddressLike(bytes: Uint8Array, word: number): boolean {
  for (let i = 0; i < 12; i++) if (bytes[word + i] !== 0) return false;
  for (let i = 12; i < 16; i++) if (bytes[word + i] !== 0) return true;
  return false;
}

type Item = { readonly isList: boolean; readonly from: number; readonly to: number };

/** Bounds of the payload of the RLP item at `at`. */
function header(bytes: Uint8Array, at: number): Item | undefined {
  const prefix = bytes[at];
  if (prefix === undefined) return undefined;
  if (prefix < 0x80) return { isList: false, from: at, to: at + 1 };
  const isList = prefix >= 0xc0;
  let length = prefix - (isList ? 0xc0 : 0x80);
  let from = at + 1;
  if (length > 55) {
    const end = from + length - 55;
    if (length > 61) return undefined;
    length = 0;
    for (; from < end; from++) length = length * 256 + (bytes[from] ?? 0);
  }
  const to = from + length;
  return to > bytes.length ? undefined : { isList, from, to };
}
