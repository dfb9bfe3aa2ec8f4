/**
 * Owns the choice between blobs and calldata by price: pure, with hysteresis, since changing costs time (one account
 * never has both kinds in flight). Gas of calldata by the floor price of EIP-7623.
 */
import { blobCountFor } from "../protocol/blob-codec.ts";

export type DaKind = "blobs" | "calldata";

const BLOB_GAS = 131_072n;
/** Gas of `postBlobs` with one blob, measured at about 70,000 when the index is in order. */
const POST_GAS = 75_000n;
/** The other kind must be this much cheaper before it is taken. */
const HYSTERESIS_PERCENT = 125n;

export type DaPrices = { readonly baseFeePerGasWei: bigint; readonly blobBaseFeeWei: bigint };

/** What a segment of these bytes costs as blobs and as calldata, in wei. */
export function daCosts(bytes: Uint8Array, prices: DaPrices): Record<DaKind, bigint> {
  let zeros = 0;
  for (const b of bytes) if (b === 0) zeros++;
  const tokens = BigInt(zeros + 4 * (bytes.length - zeros));
  const floorGas = 21_000n + 10n * tokens;
  const executionGas = POST_GAS + 4n * tokens;
  return {
    blobs: BigInt(blobCountFor(bytes.length)) * BLOB_GAS * prices.blobBaseFeeWei + POST_GAS * prices.baseFeePerGasWei,
    calldata: (floorGas > executionGas ? floorGas : executionGas) * prices.baseFeePerGasWei,
  };
}

/** The kind to use next, given the one used last. */
export function chooseDa(last: DaKind, costs: Record<DaKind, bigint>): DaKind {
  const other: DaKind = last === "blobs" ? "calldata" : "blobs";
  return costs[last] * 100n > costs[other] * HYSTERESIS_PERCENT ? other : last;
}
