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
  /** Fingerprints of the first words of the call that look like addresses, the same as of the addresses they name. */
  readonly words: readonly number[];
  /** Undefined when it cannot be read, has none (a deposit), or is beyond 2^53. */
  readonly nonce: number | undefined;
  /** It sends ether along. */
  readonly hasValue: boolean;
  /** Fingerprint of the sender. */
  readonly sender: number;
  /** Where the 20 bytes of the target begin in the transaction; -1: it has none, or cannot be read. */
  readonly toAt: number;
};

/** Words of a call that are looked at. */
export const WORDS_MAX = 6;
const NO_WORDS: readonly number[] = [];

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

/** 32-bit mix of two fingerprints; never 0. */
export function mixFingerprints(a: number, b: number): number {
  let h = Math.imul(a ^ (b >>> 15) ^ (b << 17), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13) ^ b, 0xc2b2ae35);
  return h ^ (h >>> 16) || 1;
}

/**
 * Fingerprint of up to the last 20 bytes: the same for an address and the word that names it. Signed, as engines keep
 * small integers, and never 0.
 */
export function fingerprint(bytes: Uint8Array, from = 0, to: number = bytes.length): number {
  let h = 0x811c9dc5;
  for (let i = Math.max(from, to - 20); i < to; i++) h = Math.imul(h ^ (bytes[i] as number), 0x01000193);
  return h ^ (h >>> 15) || 1;
}

export function hintOf(tx: TxInput): TxHint {
  const { raw } = tx;
  const sender = fingerprint(tx.sender);
  const first = raw[0] ?? 0;
  const layout = first >= 0xc0 ? LEGACY : LAYOUTS[first];
  if (layout === undefined || !readHeader(raw, first >= 0xc0 ? 0 : 1) || !header.isList) return unread(sender);
  const listTo = header.to;
  const [gasField, toField, valueField, dataField, nonceField] = layout;
  let at = header.from;
  let gasLimit: number | undefined;
  let nonce: number | undefined;
  let hasValue = false;
  let toAt = -1;
  let dataAt = 0;
  for (let field = 0; field <= dataField; field++) {
    if (!readHeader(raw, at) || header.to > listTo) return unread(sender);
    if (field === gasField) gasLimit = integer(raw);
    else if (field === toField) toAt = header.to - header.from === 20 ? header.from : -1;
    else if (field === valueField) hasValue = header.to > header.from;
    else if (field === dataField) dataAt = header.from;
    else if (field === nonceField) nonce = integer(raw);
    at = header.to;
  }
  if (gasLimit === undefined) return unread(sender);
  const size = at - dataAt;
  if (toAt < 0) return { gasLimit, template: 0, target: 0, words: NO_WORDS, nonce, hasValue, sender, toAt };
  const target = fingerprint(raw, toAt, toAt + 20);
  if (size === 0) return { gasLimit, template: 0, target, words: NO_WORDS, nonce, hasValue, sender, toAt };
  const template = mixFingerprints(target, fingerprint(raw, dataAt, dataAt + Math.min(4, size)));
  let words: number[] | undefined;
  for (let word = dataAt + 4, n = 0; n < WORDS_MAX && word + 32 <= at; n++, word += 32)
    if (isAddressLike(raw, word)) {
      const print = fingerprint(raw, word + 12, word + 32);
      if (words === undefined) words = [print];
      else words.push(print);
    }
  return { gasLimit, template, target, words: words ?? NO_WORDS, nonce, hasValue, sender, toAt };
}

function unread(sender: number): TxHint {
  const nonce = undefined;
  return { gasLimit: undefined, template: 0, target: 0, words: NO_WORDS, nonce, hasValue: false, sender, toAt: -1 };
}

/** The item last read; undefined for a list and beyond six bytes. */
function integer(raw: Uint8Array): number | undefined {
  const { isList, from, to } = header;
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

/** Bounds of the payload of the RLP item that was read last: one for all, several are read per transaction. */
const header = { isList: false, from: 0, to: 0 };

/** Reads the item at `at`; false when there is none. */
function readHeader(bytes: Uint8Array, at: number): boolean {
  const prefix = bytes[at];
  if (prefix === undefined) return false;
  header.isList = prefix >= 0xc0;
  if (prefix < 0x80) {
    header.from = at;
    header.to = at + 1;
    return true;
  }
  let length = prefix - (header.isList ? 0xc0 : 0x80);
  let from = at + 1;
  if (length > 55) {
    const end = from + length - 55;
    if (length > 61) return false;
    length = 0;
    for (; from < end; from++) length = length * 256 + (bytes[from] ?? 0);
  }
  header.from = from;
  header.to = from + length;
  return header.to <= bytes.length;
}
