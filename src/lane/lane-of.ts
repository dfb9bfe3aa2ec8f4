/**
 * Owns which lane a sender belongs to: a fixed hash (FNV-1a) of its address, mapped to the number of lanes. Every
 * process finds the same lane; a nonce order never spans two.
 */
export const LANES_MAX = 16;

export function laneOf(sender: Uint8Array, lanes: number): number {
  if (lanes === 1) return 0;
  let hash = 0x811c9dc5;
  for (const byte of sender) hash = Math.imul(hash ^ byte, 0x01000193);
  return Math.floor(((hash >>> 0) / 0x1_0000_0000) * lanes);
}
