/**
 * Owns what a transaction must satisfy before it runs and what it costs before its first opcode: intrinsic gas
 * (EIP-2028, 2930, 3860, 7702), the calldata floor (EIP-7623), the price per gas (EIP-1559) and the named reasons to skip.
 * Pure: engines, admission and estimation share it, so they cannot disagree.
 */
import type { AccessList, SignedTransaction } from "../protocol/transaction.ts";
import type { Account, BlockEnv, Fork, SkipReason } from "./execution.ts";

const FORKS: readonly Fork[] = ["london", "paris", "shanghai", "cancun", "prague", "osaka"];

/** True when `fork` is `since` or later. */
export function isFork(fork: Fork, since: Fork): boolean {
  return FORKS.indexOf(fork) >= FORKS.indexOf(since);
}

export const TX_BASE_GAS = 21_000;
const TX_CREATE_GAS = 32_000;
const INIT_CODE_WORD_GAS = 2;
const ACCESS_LIST_ADDRESS_GAS = 2_400;
const ACCESS_LIST_SLOT_GAS = 1_900;
/** EIP-7702: charged per authorization; the difference comes back as a refund when the account exists. */
export const AUTHORIZATION_GAS = 25_000;
export const AUTHORIZATION_REFUND_GAS = 12_500;
/** EIP-3860: twice the size limit of code. */
export const INIT_CODE_SIZE_MAX = 49_152;
/** EIP-7825, from Osaka on; deposits are exempt. */
export const TX_GAS_LIMIT_MAX = 16_777_216;
/** EIP-4844. */
export const GAS_PER_BLOB = 131_072;
/** EIP-2681. */
export const NONCE_MAX = 2n ** 64n - 1n;
/** EIP-3529: at most this fraction of the gas used comes back. */
export const REFUND_QUOTIENT = 5n;

export type IntrinsicGas = {
  /** Charged before the first opcode. */
  readonly gas: number;
  /** The least the whole transaction pays (0 before Prague). */
  readonly floorGas: number;
};

export function intrinsicGas(
  fork: Fork,
  tx: {
    readonly data: Uint8Array;
    readonly isCreate: boolean;
    readonly accessList: AccessList;
    readonly authorizationCount: number;
  },
): IntrinsicGas {
  const { data } = tx;
  let zeros = 0;
  for (let i = 0; i < data.length; i++) if (data[i] === 0) zeros++;
  // A token is a zero byte; any other byte is four.
  const tokens = zeros + 4 * (data.length - zeros);
  let gas = TX_BASE_GAS + 4 * tokens + AUTHORIZATION_GAS * tx.authorizationCount;
  if (tx.isCreate) {
    gas += TX_CREATE_GAS;
    if (isFork(fork, "shanghai")) gas += INIT_CODE_WORD_GAS * Math.ceil(data.length / 32);
  }
  for (const entry of tx.accessList) gas += ACCESS_LIST_ADDRESS_GAS + ACCESS_LIST_SLOT_GAS * entry.slots.length;
  return { gas, floorGas: isFork(fork, "prague") ? TX_BASE_GAS + 10 * tokens : 0 };
}

/** What the sender must own for the transaction to be taken: all gas at its cap, value, blobs and the L1 data fee. */
export function requiredBalanceWei(tx: SignedTransaction, l1FeeWei: bigint): bigint {
  const blobsWei = BigInt(tx.blobHashes.length * GAS_PER_BLOB) * tx.maxFeePerBlobGasWei;
  return tx.gasLimit * tx.maxFeePerGasWei + tx.valueWei + blobsWei + l1FeeWei;
}

/** Why the transaction cannot be in a block of `env` whatever the state is. */
export function staticSkipReason(env: BlockEnv, tx: SignedTransaction): SkipReason | undefined {
  const { type } = tx;
  if (type === 3) {
    if (env.feePolicy === "op" || !isFork(env.fork, "cancun")) return "UNSUPPORTED_TYPE";
    const countMax = isFork(env.fork, "osaka") ? 6 : isFork(env.fork, "prague") ? 9 : 6;
    if (tx.to === undefined || tx.blobHashes.length === 0 || tx.blobHashes.length > countMax) return "BLOBS_INVALID";
    if (tx.blobHashes.some((hash) => hash[0] !== 0x01)) return "BLOBS_INVALID";
    if (tx.maxFeePerBlobGasWei < env.blobBaseFeeWei) return "FEE_BELOW_BASE";
  }
  if (type === 4) {
    if (!isFork(env.fork, "prague")) return "UNSUPPORTED_TYPE";
    if (tx.to === undefined || tx.authorizations.length === 0) return "AUTHORIZATIONS_INVALID";
  }
  if (tx.chainId !== undefined && tx.chainId !== env.chainId) return "WRONG_CHAIN";
  if (tx.nonce >= NONCE_MAX) return "NONCE_MAX";
  if (tx.maxPriorityFeePerGasWei > tx.maxFeePerGasWei) return "TIP_ABOVE_FEE";
  if (tx.to === undefined && tx.data.length > INIT_CODE_SIZE_MAX && isFork(env.fork, "shanghai"))
    return "INIT_CODE_TOO_LARGE";
  if (isFork(env.fork, "osaka") && tx.gasLimit > BigInt(TX_GAS_LIMIT_MAX)) return "GAS_LIMIT_EXCEEDED";
  return undefined;
}

/**
 * Why the transaction cannot run now. The sender has no code but a delegation (EIP-3607, EIP-7702).
 * `gasAvailable` is what is left of the block's gas.
 */
export function skipReason(
  env: BlockEnv,
  tx: SignedTransaction,
  p: {
    readonly sender: Account;
    readonly senderCode: () => Uint8Array;
    readonly l1FeeWei: bigint;
    readonly gasAvailable: number;
    readonly intrinsic: IntrinsicGas;
  },
): SkipReason | undefined {
  const reason = staticSkipReason(env, tx);
  if (reason !== undefined) return reason;
  if (tx.nonce < p.sender.nonce) return "NONCE_TOO_LOW";
  if (tx.nonce > p.sender.nonce) return "NONCE_TOO_HIGH";
  const code = p.senderCode();
  if (code.length > 0 && !(isFork(env.fork, "prague") && isDelegation(code))) return "SENDER_NOT_EOA";
  if (tx.maxFeePerGasWei < env.baseFeePerGasWei) return "FEE_BELOW_BASE";
  if (tx.gasLimit > BigInt(p.gasAvailable)) return "GAS_LIMIT_EXCEEDED";
  if (tx.gasLimit < BigInt(Math.max(p.intrinsic.gas, p.intrinsic.floorGas))) return "INTRINSIC_GAS";
  if (p.sender.balanceWei < requiredBalanceWei(tx, p.l1FeeWei)) return "INSUFFICIENT_FUNDS";
  return undefined;
}

/** EIP-7702 delegation designator: 0xef0100 and an address. */
export function isDelegation(code: Uint8Array): boolean {
  return code.length === 23 && code[0] === 0xef && code[1] === 0x01 && code[2] === 0x00;
}
