/** Owns how a storage slot lies in the flat state: its 32 bytes without leading zeros. */

const SLOT_BYTES = 32;

/** Writes the record of a value that is not zero at `at`; returns its length. */
export function encodeSlot(out: Uint8Array, at: number, value: Uint8Array): number {
  let start = 0;
  while (value[start] === 0) start++;
  out.set(value.subarray(start), at);
  return SLOT_BYTES - start;
}

/** The value whose record lies in [start, end). */
export function slotValue(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const value = new Uint8Array(SLOT_BYTES);
  value.set(bytes.subarray(start, end), SLOT_BYTES - (end - start));
  return value;
}

export function isZero(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}
