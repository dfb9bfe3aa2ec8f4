/** Owns the reading of revert data: the reason in the standard encodings `Error(string)` and `Panic(uint256)`. */
import { bytesToBigInt, toHexKey } from "../base/bytes.ts";

const ERROR_SELECTOR = "08c379a0";
const PANIC_SELECTOR = "4e487b71";

const PANICS: ReadonlyMap<bigint, string> = new Map([
  [0x00n, "generic panic"],
  [0x01n, "assert(false)"],
  [0x11n, "arithmetic underflow or overflow"],
  [0x12n, "division or modulo by zero"],
  [0x21n, "enum overflow"],
  [0x22n, "invalid encoded storage byte array accessed"],
  [0x31n, "out-of-bounds array access; popping on an empty array"],
  [0x32n, "out-of-bounds access of an array or bytesN"],
  [0x41n, "out of memory"],
  [0x51n, "uninitialized function"],
]);

/** The reason, at most `bytesMax` bytes of it; undefined for anything that is not in a standard encoding. */
export function revertReason(output: Uint8Array, bytesMax: number): string | undefined {
  if (output.length < 4) return undefined;
  const selector = toHexKey(output.subarray(0, 4));
  if (selector === PANIC_SELECTOR && output.length >= 36) {
    const code = bytesToBigInt(output.subarray(4, 36));
    return PANICS.get(code) ?? `unknown panic code: 0x${code.toString(16)}`;
  }
  if (selector !== ERROR_SELECTOR || output.length < 68) return undefined;
  const offset = bytesToBigInt(output.subarray(4, 36));
  if (offset !== 32n) return undefined;
  const length = bytesToBigInt(output.subarray(36, 68));
  if (length > BigInt(output.length - 68)) return undefined;
  return Buffer.from(output.subarray(68, 68 + Math.min(Number(length), bytesMax))).toString("utf8");
}
