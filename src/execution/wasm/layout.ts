/**
 * Owns the byte layout shared with the VM: environment, inputs and result records. The VM's side is vm/src/layout.ts;
 * the numbers must be the same there.
 */

export const ENV_SIZE_BYTES = 256;
export const ENV = {
  fork: 0,
  flags: 4,
  number: 8,
  timestamp: 16,
  gasLimit: 24,
  chainId: 32,
  gasAvailable: 40,
  seed: 48,
  baseFee: 64,
  randao: 96,
  blobBaseFee: 128,
  coinbase: 160,
  blobsMax: 180,
  ticks: 184,
} as const;

export const FLAG_OP_FEES = 1;
export const FLAG_ASSUME_NONCE = 2;
export const FLAG_TRACE = 4;
export const FLAG_BLOOM = 8;
export const FLAG_CLOCK = 16;

export const INPUT = { size: 0, kind: 4, sender: 8, l1Fee: 32, header: 64 } as const;
export const KIND_TRANSACTION = 0;
export const KIND_CALL = 1;
export const KIND_FREE_CALL = 2;
/** Size of the input region. */
export const INPUT_SIZE_BYTES = 32 * 1024 * 1024;

/** A call: gas u64, value and gas price as four little-endian limbs, then these offsets. */
export const CALL = {
  gas: 0,
  value: 8,
  gasPrice: 40,
  create: 72,
  to: 76,
  dataLength: 96,
  accessLength: 100,
  authLength: 104,
  header: 112,
} as const;

export const RECORD = {
  size: 0,
  status: 4,
  reason: 8,
  type: 12,
  gasUsed: 16,
  gasRefunded: 24,
  senderNonce: 32,
  hasCreated: 40,
  logCount: 44,
  price: 48,
  created: 80,
  output: 100,
  outputLength: 104,
  logs: 108,
  accounts: 112,
  accountCount: 116,
  missing: 120,
  codes: 172,
  codeCount: 176,
  bloom: 180,
} as const;
export const STATUS_SKIPPED = 2;
export const STATUS_MISSING = 3;
export const STATUS_PAUSED = 4;

/** One account of a record; `slotCount` slots follow it. */
export const ACCOUNT = {
  flags: 0,
  slotCount: 4,
  address: 8,
  nonceBefore: 32,
  nonce: 40,
  balanceBefore: 48,
  balance: 80,
  balanceAtLeast: 112,
  codeHashBefore: 144,
  codeHash: 176,
  size: 208,
} as const;
export const SLOT = { key: 0, before: 32, value: 64, written: 96, size: 104 } as const;

export const ACCOUNT_DESTROYED = 2;
export const ACCOUNT_TOUCHED = 4;
export const ACCOUNT_READ_BALANCE = 16;
export const ACCOUNT_READ_NONCE = 32;
export const ACCOUNT_READ_CODE = 64;
export const ACCOUNT_READ_EMPTY = 128;
export const ACCOUNT_NONCE_PREDICATE = 512;

/** Net effect of a batch. */
export const NET = { accounts: 0, codes: 4, header: 8 } as const;
export const NET_ACCOUNT = {
  wiped: 0,
  slotCount: 4,
  address: 8,
  nonce: 32,
  balance: 40,
  codeHash: 72,
  size: 104,
} as const;
export const NET_SLOT_SIZE = 64;
