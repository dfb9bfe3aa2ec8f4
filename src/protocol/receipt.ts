/** Owns the decoded form of logs and receipts; positions (log index, cumulative gas) are derived from order. */
export type Log = { readonly address: Uint8Array; readonly topics: readonly Uint8Array[]; readonly data: Uint8Array };

export type Receipt = {
  readonly type: number;
  readonly status: 0 | 1;
  readonly cumulativeGasUsed: number;
  readonly gasUsed: number;
  readonly logs: readonly Log[];
  readonly effectiveGasPriceWei: bigint;
  readonly contractAddress: Uint8Array | undefined;
  /** L1 data fee charged; 0 for deposits. */
  readonly l1FeeWei: bigint;
  /** Only in 0x7E receipts (part of the consensus encoding, with version 1). */
  readonly depositNonce: bigint | undefined;
};
