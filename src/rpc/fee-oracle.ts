/**
 * Owns fee suggestions and fee history. The suggested tip is the configured least one while blocks have room, and ten
 * percent above the median of the last block when it was nearly full (the rule op-geth uses, since ordering is by
 * priority and an empty chain needs no auction). Answers are kept per head.
 */
import { nextBaseFeeWei } from "../protocol/base-fee.ts";
import type { BlockBundle, BlockCache } from "./block-cache.ts";
import type { ChainView } from "./chain-view.ts";
import type { BaseFeeRule } from "./services.ts";

/** Above this share of the gas limit a block counts as contended. */
const FULL_SHARE = 0.9;
const TIP_MAX_WEI = 500_000_000_000n;

export type RewardSample = { readonly tipWei: bigint; readonly gasUsed: number };

/** Tips of the sequenced transactions of a block with the gas they used, lowest first. Deposits pay none and do not count. */
export function rewardSamples(bundle: BlockBundle): RewardSample[] {
  const baseFeeWei = bundle.block.header.baseFeePerGasWei;
  const samples: RewardSample[] = [];
  for (const receipt of bundle.receipts) {
    if (receipt.type === 0x7e) continue;
    const tipWei = receipt.effectiveGasPriceWei - baseFeeWei;
    samples.push({ tipWei: tipWei < 0n ? 0n : tipWei, gasUsed: receipt.gasUsed });
  }
  return samples.sort((a, b) => (a.tipWei < b.tipWei ? -1 : a.tipWei > b.tipWei ? 1 : 0));
}

/** Tip at each percentile of the gas used (ascending, 0..100). */
export function rewardsAt(samples: readonly RewardSample[], percentiles: readonly number[]): bigint[] {
  if (samples.length === 0) return percentiles.map(() => 0n);
  const total = samples.reduce((sum, sample) => sum + sample.gasUsed, 0);
  let at = 0;
  let reached = (samples[0] as RewardSample).gasUsed;
  return percentiles.map((percentile) => {
    const threshold = (total * percentile) / 100;
    while (reached < threshold && at < samples.length - 1) reached += (samples[++at] as RewardSample).gasUsed;
    return (samples[at] as RewardSample).tipWei;
  });
}

export class FeeOracle {
  readonly #chain: ChainView;
  readonly #blocks: BlockCache;
  readonly #rule: BaseFeeRule;
  readonly #tipMinWei: bigint;
  #tip: { hash: Uint8Array; wei: bigint } | undefined;

  constructor(chain: ChainView, blocks: BlockCache, rule: BaseFeeRule, tipMinWei: bigint) {
    this.#chain = chain;
    this.#blocks = blocks;
    this.#rule = rule;
    this.#tipMinWei = tipMinWei;
  }

  /** Base fee of the block after `bundle`. */
  baseFeeAfter(bundle: BlockBundle): bigint {
    return nextBaseFeeWei(bundle.block.header, this.#rule);
  }

  /** Base fee the next transaction will meet. */
  nextBaseFeeWei(): bigint {
    const pending = this.#chain.pending();
    if (pending !== undefined) return pending.env.baseFeePerGasWei;
    const head = this.#blocks.get(this.#chain.heads().latest);
    return head === undefined ? 0n : this.baseFeeAfter(head);
  }

  suggestedTipWei(): bigint {
    const head = this.#blocks.get(this.#chain.heads().latest);
    if (head === undefined) return this.#tipMinWei;
    if (this.#tip?.hash === head.block.hash) return this.#tip.wei;
    let wei = this.#tipMinWei;
    const { gasUsed, gasLimit } = head.block.header;
    if (gasUsed > gasLimit * FULL_SHARE) {
      const [median = 0n] = rewardsAt(rewardSamples(head), [50]);
      const raised = median + median / 10n;
      if (raised > wei) wei = raised < TIP_MAX_WEI ? raised : TIP_MAX_WEI;
    }
    this.#tip = { hash: head.block.hash, wei };
    return wei;
  }
}
