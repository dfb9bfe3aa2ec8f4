/**
 * Owns EIP-1559: the base fee of a block from its parent, and the price a transaction pays at a base fee.
 * Total over valid headers: the fee never becomes negative and moves by at most 1/denominator a block below twice
 * the target.
 */
import { assert } from "../base/assert.ts";
import type { Header } from "./block.ts";
import type { Genesis } from "./genesis.ts";
import type { SignedTransaction } from "./transaction.ts";

/** Base fee of the block after `parent`. */
export function nextBaseFeeWei(
  parent: Pick<Header, "gasUsed" | "gasLimit" | "baseFeePerGasWei">,
  { elasticity, baseFeeDenominator }: Pick<Genesis, "elasticity" | "baseFeeDenominator">,
): bigint {
  assert(elasticity >= 1 && baseFeeDenominator >= 1, "fee parameters are positive");
  const target = Math.floor(parent.gasLimit / elasticity);
  const baseFee = parent.baseFeePerGasWei;
  if (parent.gasUsed === target || target === 0) return baseFee;
  const scale = BigInt(target) * BigInt(baseFeeDenominator);
  // Floor of the two divisions in a row equals floor of the one.
  if (parent.gasUsed > target) {
    const rise = (baseFee * BigInt(parent.gasUsed - target)) / scale;
    return baseFee + (rise > 1n ? rise : 1n);
  }
  return baseFee - (baseFee * BigInt(target - parent.gasUsed)) / scale;
}

/** What a unit of gas costs the sender. Below the base fee the transaction is not includable: check that first. */
export function effectiveGasPriceWei(
  tx: Pick<SignedTransaction, "maxFeePerGasWei" | "maxPriorityFeePerGasWei">,
  baseFeeWei: bigint,
): bigint {
  const wanted = baseFeeWei + tx.maxPriorityFeePerGasWei;
  return wanted < tx.maxFeePerGasWei ? wanted : tx.maxFeePerGasWei;
}
