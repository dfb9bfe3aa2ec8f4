/**
 * Owns the L1 data fee by the Fjord formula: what posting a transaction on L1 is estimated to cost, from the length
 * FastLZ would give it. Consensus-critical: the length equals op-geth's and Solady's for every input.
 * Never fails; the fee of a deposit is not asked for, deposits are not posted.
 * @see OP Stack specification, Fjord, L1 cost changes; FastLZ level 1
 */
import type { L1BlockInfo, SystemConfigValues } from "./system-config.ts";

const HASH_BITS = 13;
const HASH_MULTIPLIER = 0x9e3779b9;
/** A back reference reaches at most this far (exclusive). */
const WINDOW_BYTES = 8192;
/** No match starts within the last 14 bytes, none extends into the last 4. */
const START_MARGIN_BYTES = 14;
const END_MARGIN_BYTES = 4;
const LITERAL_RUN_MAX = 32;
const MATCH_RUN_MAX = 262;

/**
 * Position last seen per hash, offset by `tableBase`: entries below the base belong to earlier inputs and count as
 * empty, which saves clearing 32 KiB for each transaction.
 */
const table = new Uint32Array(1 << HASH_BITS);
let tableBase = 0;

/** Bytes that FastLZ level 1 compresses `bytes` to. */
export function flzCompressLength(bytes: Uint8Array): number {
  const length = bytes.length;
  const startLimit = length - START_MARGIN_BYTES;
  const endLimit = length - END_MARGIN_BYTES;
  if (tableBase + length > 0xffff_ffff) {
    table.fill(0);
    tableBase = 0;
  }
  const base = tableBase;
  tableBase += length;

  let total = 0;
  let anchor = 0;
  let at = 2;
  while (at < startLimit) {
    // Find the next position whose three bytes occurred before, within the window.
    let previous = 0;
    let found = false;
    while (at < startLimit) {
      const a = bytes[at] as number;
      const b = bytes[at + 1] as number;
      const c = bytes[at + 2] as number;
      const slot = Math.imul(a | (b << 8) | (c << 16), HASH_MULTIPLIER) >>> (32 - HASH_BITS);
      const entry = table[slot] as number;
      // An empty slot stands for position 0, which is a legitimate match.
      previous = entry >= base ? entry - base : 0;
      table[slot] = base + at;
      if (
        at - previous < WINDOW_BYTES &&
        bytes[previous] === a &&
        bytes[previous + 1] === b &&
        bytes[previous + 2] === c
      ) {
        found = true;
        break;
      }
      at++;
    }
    if (!found) break;
    total += literalsLength(at - anchor);

    // Count equal bytes behind the three; the first unequal one belongs to the match length as FastLZ counts it.
    let matched = 0;
    const limit = endLimit - (at + 3);
    while (matched < limit) {
      const equal = bytes[previous + 3 + matched] === bytes[at + 3 + matched];
      matched++;
      if (!equal) break;
    }
    total += 3 * Math.floor((matched - 1) / MATCH_RUN_MAX) + ((matched - 1) % MATCH_RUN_MAX >= 6 ? 3 : 2);

    at += matched;
    table[hashAt(bytes, at)] = base + at;
    table[hashAt(bytes, at + 1)] = base + at + 1;
    at += 2;
    anchor = at;
  }
  return total + literalsLength(length - anchor);
}

function hashAt(bytes: Uint8Array, at: number): number {
  const word = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
  return Math.imul(word, HASH_MULTIPLIER) >>> (32 - HASH_BITS);
}

/** Encoded length of `count` literal bytes: a header byte for each run of 32. */
function literalsLength(count: number): number {
  return count + Math.ceil(count / LITERAL_RUN_MAX);
}

/** Linear regression of brotli size on FastLZ size, scaled by 1e6. */
const INTERCEPT = -42_585_600;
const FASTLZ_COEFFICIENT = 836_500;
const MIN_SIZE_SCALED = 100_000_000;

/** Prices of an L1 origin as the fee takes them. */
export type L1FeeParameters = {
  readonly l1BaseFeeWei: bigint;
  readonly l1BlobBaseFeeWei: bigint;
  readonly baseFeeScalar: number;
  readonly blobBaseFeeScalar: number;
};

/** The parameters that hold in blocks of this origin. */
export function l1FeeParametersOf(
  origin: Pick<L1BlockInfo, "baseFeePerGasWei" | "blobBaseFeeWei">,
  { baseFeeScalar, blobBaseFeeScalar }: SystemConfigValues,
): L1FeeParameters {
  return {
    l1BaseFeeWei: origin.baseFeePerGasWei,
    l1BlobBaseFeeWei: origin.blobBaseFeeWei,
    baseFeeScalar,
    blobBaseFeeScalar,
  };
}

/** Estimated posted size of the canonical transaction `raw`, in millionths of a byte. */
export function estimatedSizeScaled(raw: Uint8Array): number {
  return Math.max(MIN_SIZE_SCALED, INTERCEPT + FASTLZ_COEFFICIENT * flzCompressLength(raw));
}

/** L1 data fee of the signed transaction `raw` (canonical bytes, signature included), in wei. */
export function l1DataFeeWei(raw: Uint8Array, parameters: L1FeeParameters): bigint {
  const { l1BaseFeeWei, l1BlobBaseFeeWei, baseFeeScalar, blobBaseFeeScalar } = parameters;
  const feeScaled = 16n * BigInt(baseFeeScalar) * l1BaseFeeWei + BigInt(blobBaseFeeScalar) * l1BlobBaseFeeWei;
  if (feeScaled === 0n) return 0n;
  return (BigInt(estimatedSizeScaled(raw)) * feeScaled) / 1_000_000_000_000n;
}
