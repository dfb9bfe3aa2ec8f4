/**
 * Owns the decoded form of transactions (types 0, 1, 2, 3, 4 and the OP deposit 0x7E). `raw` is the canonical
 * EIP-2718 encoding and the truth; decoded fields are a view of it. `hash = keccak256(raw)`.
 */
export type AccessList = readonly { readonly address: Uint8Array; readonly slots: readonly Uint8Array[] }[];

export type Authorization = {
  readonly chainId: bigint;
  readonly address: Uint8Array;
  readonly nonce: bigint;
  readonly yParity: number;
  readonly r: bigint;
  readonly s: bigint;
};

export type SignedTransaction = {
  readonly type: 0 | 1 | 2 | 3 | 4;
  readonly raw: Uint8Array;
  readonly hash: Uint8Array;
  /** Undefined only for pre-EIP-155 legacy transactions. */
  readonly chainId: number | undefined;
  readonly nonce: bigint;
  /** Undefined creates a contract. */
  readonly to: Uint8Array | undefined;
  readonly valueWei: bigint;
  readonly data: Uint8Array;
  readonly gasLimit: bigint;
  /** For types 0 and 1 both equal the gas price. */
  readonly maxFeePerGasWei: bigint;
  readonly maxPriorityFeePerGasWei: bigint;
  readonly accessList: AccessList;
  readonly authorizations: readonly Authorization[];
  readonly maxFeePerBlobGasWei: bigint;
  readonly blobHashes: readonly Uint8Array[];
  /** Signature parity (0 or 1) whatever the type; for RPC `v` see the encoder. */
  readonly yParity: number;
  readonly r: bigint;
  readonly s: bigint;
};

export type DepositTransaction = {
  readonly type: 0x7e;
  readonly raw: Uint8Array;
  readonly hash: Uint8Array;
  readonly sourceHash: Uint8Array;
  readonly from: Uint8Array;
  readonly to: Uint8Array | undefined;
  readonly mintWei: bigint;
  readonly valueWei: bigint;
  readonly gasLimit: bigint;
  readonly isSystemTx: boolean;
  readonly data: Uint8Array;
};

export type Transaction = SignedTransaction | DepositTransaction;
