/** Owns the decoded form of headers and blocks: standard Ethereum, Prague fields (decision 0002). */
export type Header = {
  readonly parentHash: Uint8Array;
  readonly ommersHash: Uint8Array;
  readonly coinbase: Uint8Array;
  readonly stateRoot: Uint8Array;
  readonly transactionsRoot: Uint8Array;
  readonly receiptsRoot: Uint8Array;
  readonly logsBloom: Uint8Array;
  readonly difficulty: bigint;
  readonly number: number;
  readonly gasLimit: number;
  readonly gasUsed: number;
  readonly timestamp: number;
  readonly extraData: Uint8Array;
  readonly prevRandao: Uint8Array;
  readonly nonce: Uint8Array;
  readonly baseFeePerGasWei: bigint;
  readonly withdrawalsRoot: Uint8Array;
  readonly blobGasUsed: number;
  readonly excessBlobGas: number;
  readonly parentBeaconBlockRoot: Uint8Array;
  readonly requestsHash: Uint8Array;
};

/** Where a block stands in L1: what the L1-attributes transaction of the block says. */
export type L1Origin = { readonly number: number; readonly hash: Uint8Array };

/** A sealed block as stored and served. `transactions` are canonical bytes, deposits included. */
export type Block = {
  readonly hash: Uint8Array;
  readonly header: Header;
  readonly transactions: readonly Uint8Array[];
  /** Sender of each transaction (deposits: their `from`). */
  readonly senders: readonly Uint8Array[];
  readonly origin: L1Origin;
  /** 0 in the first block of an origin. */
  readonly sequenceNumber: number;
};
