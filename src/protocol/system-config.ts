/** Owns the parameters that L1's SystemConfig steers and that each block takes as of its L1 origin. */
export type SystemConfigValues = {
  readonly gasLimit: number;
  readonly baseFeeScalar: number;
  readonly blobBaseFeeScalar: number;
};

/** What a block needs to know of its L1 origin. */
export type L1BlockInfo = {
  readonly number: number;
  readonly hash: Uint8Array;
  readonly parentHash: Uint8Array;
  readonly timestamp: number;
  readonly baseFeePerGasWei: bigint;
  readonly blobBaseFeeWei: bigint;
  readonly prevRandao: Uint8Array;
  readonly parentBeaconBlockRoot: Uint8Array;
};
