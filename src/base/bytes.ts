/**
 * Owns byte-level helpers: hex at the edges, comparison, big-endian integers. Inner paths carry `Uint8Array`.
 * Hex keys (without 0x, lower case) are what maps are keyed by; `0x` hex is for people and JSON.
 */
import { assert } from "./assert.ts";

export const EMPTY_BYTES = new Uint8Array(0);

/** The natives behind Buffer's hex, called on plain arrays: no view, no pool, no copy in between. */
type HexNatives = {
  readonly hexSlice: (this: Uint8Array, start: number, end: number) => string;
  readonly hexWrite: (this: Uint8Array, hex: string, offset: number, length: number) => number;
};
const { hexSlice, hexWrite } = Buffer.prototype as unknown as HexNatives;

/** Lower-case hex without prefix: the key form used by maps. */
export function toHexKey(bytes: Uint8Array): string {
  return hexSlice.call(bytes, 0, bytes.length);
}

/** `0x`-prefixed lower-case hex. */
export function toHex(bytes: Uint8Array): `0x${string}` {
  return `0x${toHexKey(bytes)}`;
}

/** Bytes of a hex string with or without `0x`. Asserts on odd length or a foreign character: validate strangers' input first. */
export function fromHex(hex: string): Uint8Array {
  const body = hex.startsWith("0x") ? hex.slice(2) : hex;
  assert(body.length % 2 === 0, "hex has an even number of hex digits");
  const bytes = new Uint8Array(body.length / 2);
  // It stops at the first pair that is none.
  assert(hexWrite.call(bytes, body, 0, bytes.length) === bytes.length, "hex has nothing but hex digits");
  return bytes;
}

/** Writes the bytes of a hex string without `0x` into `to` at `at`. Asserts as {@link fromHex}. */
export function writeHex(hex: string, to: Uint8Array, at: number): void {
  const length = hex.length >>> 1;
  assert(hexWrite.call(to, hex, at, length) === length && hex.length % 2 === 0, "hex has nothing but hex digits");
}

/** True when both hold the same bytes. */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Lexicographic order, as `Array.prototype.sort` wants it. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const d = (a[i] as number) - (b[i] as number);
    if (d !== 0) return d;
  }
  return a.length - b.length;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const p of parts) length += p.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** Big-endian unsigned integer of any length. */
export function bytesToBigInt(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${toHexKey(bytes)}`);
}

/** Big-endian, left-padded to `length` bytes. Asserts that it fits and is not negative. */
export function bigIntToBytes(value: bigint, length: number): Uint8Array {
  assert(value >= 0n, "integers on the wire are not negative");
  const hex = value.toString(16).padStart(length * 2, "0");
  assert(hex.length === length * 2, `integer fits in ${length} bytes`);
  return fromHex(hex);
}

/** Big-endian without leading zeros (the RLP form); zero is empty. */
export function bigIntToMinimalBytes(value: bigint): Uint8Array {
  assert(value >= 0n, "integers on the wire are not negative");
  if (value === 0n) return EMPTY_BYTES;
  if (value <= SMALL_MAX) return smallToBytes(Number(value));
  const hex = value.toString(16);
  return fromHex(hex.length % 2 === 0 ? hex : `0${hex}`);
}

const SMALL_MAX = 2n ** 48n - 1n;

/** Nonces, gas and most fees: without the detour over text. */
function smallToBytes(value: number): Uint8Array {
  let length = 1;
  for (let rest = Math.floor(value / 256); rest > 0; rest = Math.floor(rest / 256)) length++;
  const bytes = new Uint8Array(length);
  for (let at = length - 1, rest = value; at >= 0; at--, rest = Math.floor(rest / 256)) bytes[at] = rest % 256;
  return bytes;
}

/** Left-pads with zeros to `length`; asserts that it is not longer. */
export function padLeft(bytes: Uint8Array, length: number): Uint8Array {
  assert(bytes.length <= length, `value fits in ${length} bytes`);
  if (bytes.length === length) return bytes;
  const out = new Uint8Array(length);
  out.set(bytes, length - bytes.length);
  return out;
}
