/**
 * Owns what an L1 transaction offers to pay: pure arithmetic of quotes, caps and replacement. Networks take a replacement
 * only above a bump of every fee: 10% for ordinary transactions, 100% for those with blobs.
 * @see geth core/txpool/legacypool and blobpool
 */

/** What L1 asks right now. */
export type FeeQuote = {
  readonly baseFeePerGasWei: bigint;
  readonly blobBaseFeeWei: bigint;
  /** Tip that gets a transaction in. */
  readonly tipWei: bigint;
};

export type FeeCaps = {
  readonly maxFeePerGasWei: bigint;
  readonly maxFeePerBlobGasWei: bigint;
};

export type Fees = {
  readonly maxFeePerGasWei: bigint;
  readonly maxPriorityFeePerGasWei: bigint;
  readonly maxFeePerBlobGasWei: bigint;
};

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);

/**
 * Fees of a first attempt: room for the base fee to double. Undefined when even the bare price is above a cap: sending
 * would only block the nonce.
 */
export function firstFees(quote: FeeQuote, caps: FeeCaps, withBlobs: boolean): Fees | undefined {
  if (quote.baseFeePerGasWei + 1n > caps.maxFeePerGasWei) return undefined;
  if (withBlobs && quote.blobBaseFeeWei > caps.maxFeePerBlobGasWei) return undefined;
  const maxFeePerGasWei = min(quote.baseFeePerGasWei * 2n + quote.tipWei, caps.maxFeePerGasWei);
  return {
    maxFeePerGasWei,
    maxPriorityFeePerGasWei: min(quote.tipWei, maxFeePerGasWei),
    // Blob fees rise by an eighth a block at most, but a transaction may wait long; the market price is paid anyway.
    maxFeePerBlobGasWei: withBlobs ? min(max(quote.blobBaseFeeWei * 2n, 10n), caps.maxFeePerBlobGasWei) : 0n,
  };
}

/**
 * Fees that replace `old`: at least the network's bump on every one of them, and what L1 asks now.
 * Undefined when a cap leaves no room: then the transaction waits as it is.
 */
export function replacementFees(old: Fees, quote: FeeQuote, caps: FeeCaps, withBlobs: boolean): Fees | undefined {
  // One wei on top: rounding must not fall short of the network's own.
  const bump = (fee: bigint): bigint => (withBlobs ? fee * 2n : (fee * 110n) / 100n) + 1n;
  const tip = max(bump(old.maxPriorityFeePerGasWei), quote.tipWei);
  const fees = {
    maxPriorityFeePerGasWei: tip,
    maxFeePerGasWei: max(bump(old.maxFeePerGasWei), quote.baseFeePerGasWei + tip),
    maxFeePerBlobGasWei: withBlobs ? max(bump(old.maxFeePerBlobGasWei), quote.blobBaseFeeWei) : 0n,
  };
  if (fees.maxFeePerGasWei > caps.maxFeePerGasWei) return undefined;
  if (withBlobs && fees.maxFeePerBlobGasWei > caps.maxFeePerBlobGasWei) return undefined;
  return fees;
}
