/**
 * Owns the price of blob gas: a pure function of a block's excess blob gas and of the blob schedule in force at its
 * time. Schedules are data with activation times, because a wrong update fraction silently misprices every block: a
 * reader checks itself against what L1 answers (`RpcL1.checkBlobSchedule`).
 * @see https://eips.ethereum.org/EIPS/eip-4844, EIP-7691 (Prague), EIP-7840 and EIP-7892 (schedules)
 */
export type BlobSchedulePeriod = {
  /** Seconds; the period holds from the first block at or after it. */
  readonly fromTimestamp: number;
  readonly updateFraction: bigint;
  readonly targetBlobs: number;
  readonly maxBlobs: number;
};

export type BlobSchedule = readonly BlobSchedulePeriod[];

const CANCUN = { updateFraction: 3_338_477n, targetBlobs: 3, maxBlobs: 6 };
const PRAGUE = { updateFraction: 5_007_716n, targetBlobs: 6, maxBlobs: 9 };
const BPO1 = { updateFraction: 8_346_193n, targetBlobs: 10, maxBlobs: 15 };
const BPO2 = { updateFraction: 11_684_671n, targetBlobs: 14, maxBlobs: 21 };

/** Mainnet: Cancun, Prague (2025-05-07), BPO1 (2025-12-09), BPO2 (2026-01-07); activation times of EIP-7607. */
const MAINNET: BlobSchedule = [
  { fromTimestamp: 1_710_338_135, ...CANCUN },
  { fromTimestamp: 1_746_612_311, ...PRAGUE },
  { fromTimestamp: 1_765_290_071, ...BPO1 },
  { fromTimestamp: 1_767_747_671, ...BPO2 },
];

/** What anvil 1.7.1 does at every hardfork from Prague on: it knows no BPO forks. */
const PRAGUE_FOREVER: BlobSchedule = [{ fromTimestamp: 0, ...PRAGUE }];

/** The schedule of a known L1; Prague's for all others. */
export function blobScheduleOf(l1ChainId: number): BlobSchedule {
  return l1ChainId === 1 ? MAINNET : PRAGUE_FOREVER;
}

/** EIP-4844 `fake_exponential(1, excess, fraction)`: 1 wei times e^(excess / fraction), in integers. */
export function blobBaseFeeWei(excessBlobGas: bigint, updateFraction: bigint): bigint {
  let i = 1n;
  let output = 0n;
  let term = updateFraction;
  while (term > 0n) {
    output += term;
    term = (term * excessBlobGas) / (updateFraction * i);
    i++;
  }
  return output / updateFraction;
}

/** The fee of a block by its header. 1 wei where the chain has no blobs yet. */
export function blobBaseFeeOfHeader(
  schedule: BlobSchedule,
  timestamp: number,
  excessBlobGas: bigint | undefined,
): bigint {
  const period = schedule.findLast((p) => p.fromTimestamp <= timestamp);
  if (excessBlobGas === undefined || period === undefined) return 1n;
  return blobBaseFeeWei(excessBlobGas, period.updateFraction);
}
