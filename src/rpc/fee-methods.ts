/** Owns the methods about fees: suggestions and history. */
import { quantity } from "./encode.ts";
import { invalidParams } from "./errors.ts";
import { rewardSamples, rewardsAt } from "./fee-oracle.ts";
import { type Method, method } from "./method.ts";
import { arrayOf, blockNumberOrTag, countParser, optional, type Parser, required } from "./params.ts";
import { sealedNumber } from "./resolve.ts";
import { Turns } from "./turns.ts";

const HISTORY_BLOCKS_MAX = 1_024;
const PERCENTILES_MAX = 100;
/** Blob gas is never used on this chain, so its price stays at the protocol's least. */
const BLOB_BASE_FEE = "0x1";

const percentile: Parser<number> = {
  kind: "Number 0..100",
  parse: (value, at) => {
    if (typeof value !== "number" || !(value >= 0 && value <= 100))
      throw invalidParams(`invalid ${at}: reward percentile must be a number from 0 to 100`);
    return value;
  },
};

export const FEE_METHODS: readonly Method[] = [
  method({
    name: "eth_gasPrice",
    summary: "A gas price that is included soon: the next base fee and the suggested tip.",
    params: [],
    result: "QUANTITY",
    run: (s) => quantity(s.fees.nextBaseFeeWei() + s.fees.suggestedTipWei()),
  }),
  method({
    name: "eth_maxPriorityFeePerGas",
    summary: "Suggested tip.",
    params: [],
    result: "QUANTITY",
    run: (s) => quantity(s.fees.suggestedTipWei()),
  }),
  method({
    name: "eth_blobBaseFee",
    summary: "Blob base fee of this chain, which carries no blobs: always the least, 1 wei.",
    params: [],
    result: "QUANTITY",
    run: () => BLOB_BASE_FEE,
  }),
  method({
    name: "eth_feeHistory",
    summary: "Base fees, fullness and tips of past blocks.",
    params: [
      required("blockCount", countParser),
      required("newestBlock", blockNumberOrTag),
      optional("rewardPercentiles", arrayOf(percentile, PERCENTILES_MAX), [] as readonly number[]),
    ],
    result: "FeeHistory",
    cost: "scan",
    run: async (s, [blockCount, newest, percentiles]) => {
      for (let i = 1; i < percentiles.length; i++)
        if ((percentiles[i] as number) < (percentiles[i - 1] as number))
          throw invalidParams(
            `invalid argument 2 (rewardPercentiles): must not decrease, ${percentiles[i - 1]} before ${percentiles[i]}`,
          );
      const last = sealedNumber(s, newest);
      const count = Math.min(blockCount, HISTORY_BLOCKS_MAX, last + 1);
      if (count === 0) return { oldestBlock: "0x0", gasUsedRatio: [] };
      const oldest = last - count + 1;
      const turns = new Turns(s.clock);
      const baseFeePerGas: string[] = [];
      const gasUsedRatio: number[] = [];
      const reward: string[][] = [];
      for (let number = oldest; number <= last; number++) {
        const bundle = s.blocks.get(number);
        if (bundle === undefined) break;
        const { header } = bundle.block;
        baseFeePerGas.push(quantity(header.baseFeePerGasWei));
        gasUsedRatio.push(header.gasLimit === 0 ? 0 : header.gasUsed / header.gasLimit);
        if (percentiles.length > 0) reward.push(rewardsAt(rewardSamples(bundle), percentiles).map(quantity));
        await turns.giveWay();
        if (number === last) baseFeePerGas.push(quantity(s.fees.baseFeeAfter(bundle)));
      }
      return {
        oldestBlock: quantity(oldest),
        baseFeePerGas,
        gasUsedRatio,
        baseFeePerBlobGas: baseFeePerGas.map(() => BLOB_BASE_FEE),
        blobGasUsedRatio: gasUsedRatio.map(() => 0),
        ...(percentiles.length === 0 ? {} : { reward }),
      };
    },
  }),
];
