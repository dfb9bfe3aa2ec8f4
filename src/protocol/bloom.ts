/**
 * Owns the 2048-bit log bloom: three bits per address and topic. No false negatives.
 * @see yellow paper, section 4.3.1
 */
import { keccak256 } from "./keccak.ts";
import type { Log } from "./receipt.ts";

export const BLOOM_BYTES = 256;

/** Sets the three bits of one value. */
function addToBloom(bloom: Uint8Array, value: Uint8Array): void {
  const hash = keccak256(value);
  for (let i = 0; i < 6; i += 2) {
    const bit = (((hash[i] as number) << 8) | (hash[i + 1] as number)) & 0x7ff;
    const at = BLOOM_BYTES - 1 - (bit >> 3);
    bloom[at] = (bloom[at] as number) | (1 << (bit & 7));
  }
}

/** Bloom of the logs, as new bytes. */
export function logsBloom(logs: readonly Log[]): Uint8Array {
  const bloom = new Uint8Array(BLOOM_BYTES);
  for (const log of logs) {
    addToBloom(bloom, log.address);
    for (const topic of log.topics) addToBloom(bloom, topic);
  }
  return bloom;
}

/** Adds the bits of `other` to `bloom`, in place: the bloom of a block is the union of those of its receipts. */
export function mergeBloom(bloom: Uint8Array, other: Uint8Array): void {
  for (let i = 0; i < BLOOM_BYTES; i++) bloom[i] = (bloom[i] as number) | (other[i] as number);
}

function bitsOf(value: Uint8Array): Uint8Array {
  const bloom = new Uint8Array(BLOOM_BYTES);
  addToBloom(bloom, value);
  return bloom;
}

function containsAll(bloom: Uint8Array, bits: readonly (readonly [at: number, mask: number])[]): boolean {
  return bits.every(([at, mask]) => ((bloom[at] as number) & mask) === mask);
}

/**
 * A test for many blooms: hashes the wanted values once. `addresses`: any of them, empty means all. `topics`: by
 * position, any of each, an empty position means all.
 */
export function bloomMatcher(
  addresses: readonly Uint8Array[],
  topics: readonly (readonly Uint8Array[])[],
): (bloom: Uint8Array) => boolean {
  const groups = [addresses, ...topics]
    .filter((group) => group.length > 0)
    .map((group) => group.map((value) => [...bitsOf(value).entries()].filter(([, mask]) => mask !== 0)));
  return (bloom) => groups.every((group) => group.some((bits) => containsAll(bloom, bits)));
}

/** One-off form of {@link bloomMatcher}: false means that no log in the bloom's set can match. */
export function bloomMatches(
  bloom: Uint8Array,
  addresses: readonly Uint8Array[],
  topics: readonly (readonly Uint8Array[])[],
): boolean {
  return bloomMatcher(addresses, topics)(bloom);
}
