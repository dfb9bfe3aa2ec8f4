import assert from "node:assert/strict";
import { test } from "node:test";
import { createBlockHeader } from "@ethereumjs/block";
import { Common, Hardfork, Mainnet } from "@ethereumjs/common";
import * as fc from "fast-check";
import { effectiveGasPriceWei, nextBaseFeeWei } from "./base-fee.ts";
import { unsigned } from "./testing/arbitraries.ts";

const MAINNET = { elasticity: 2, baseFeeDenominator: 8 };

test("the base fee equals that of ethereumjs with mainnet's parameters", () => {
  const common = new Common({ chain: Mainnet, hardfork: Hardfork.London });
  fc.assert(
    fc.property(
      fc.integer({ min: 5000, max: 2 ** 40 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      unsigned(128),
      (gasLimit, share, baseFeePerGasWei) => {
        const gasUsed = Math.floor(gasLimit * share);
        const header = createBlockHeader(
          { gasLimit, gasUsed, baseFeePerGas: baseFeePerGasWei, number: 13_000_000 },
          { common, skipConsensusFormatValidation: true },
        );
        assert.equal(nextBaseFeeWei({ gasLimit, gasUsed, baseFeePerGasWei }, MAINNET), header.calcNextBaseFee());
      },
    ),
    { numRuns: 300 },
  );
});

test("the values of the EIP-1559 text hold: full, empty and target blocks", () => {
  const parent = { gasLimit: 30_000_000, baseFeePerGasWei: 1_000_000_000n };
  assert.equal(nextBaseFeeWei({ ...parent, gasUsed: 15_000_000 }, MAINNET), 1_000_000_000n);
  assert.equal(nextBaseFeeWei({ ...parent, gasUsed: 30_000_000 }, MAINNET), 1_125_000_000n);
  assert.equal(nextBaseFeeWei({ ...parent, gasUsed: 0 }, MAINNET), 875_000_000n);
  assert.equal(nextBaseFeeWei({ gasLimit: 30_000_000, gasUsed: 15_000_001, baseFeePerGasWei: 7n }, MAINNET), 8n);
});

test("the base fee is never negative and falls at most by a denominator's share", () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 2 ** 40 }),
      fc.nat({ max: 2 ** 40 }),
      unsigned(128),
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 1, max: 250 }),
      (gasLimit, used, baseFeePerGasWei, elasticity, baseFeeDenominator) => {
        const gasUsed = Math.min(used, gasLimit);
        const next = nextBaseFeeWei({ gasLimit, gasUsed, baseFeePerGasWei }, { elasticity, baseFeeDenominator });
        assert.ok(next >= baseFeePerGasWei - baseFeePerGasWei / BigInt(baseFeeDenominator));
      },
    ),
  );
});

test("the effective price is the base fee plus tip, capped by the maximum", () => {
  const tx = { maxFeePerGasWei: 100n, maxPriorityFeePerGasWei: 10n };
  assert.equal(effectiveGasPriceWei(tx, 50n), 60n);
  assert.equal(effectiveGasPriceWei(tx, 95n), 100n);
  assert.equal(effectiveGasPriceWei({ maxFeePerGasWei: 70n, maxPriorityFeePerGasWei: 70n }, 50n), 70n);
});
