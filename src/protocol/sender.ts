/**
 * Owns who sent a transaction: recovery from the signature, the stated `from` of a deposit.
 * A signature that recovers to no key is BAD_SIGNATURE. The batch form takes and gives plain arrays in order, so that
 * a worker pool can stand behind it; it marks failures instead of throwing.
 */
import { recoverAddress } from "./secp256k1.ts";
import type { Authorization, SignedTransaction, Transaction } from "./transaction.ts";
import { authorizationHash, DEPOSIT_TYPE, signingHash, transactionError } from "./transaction-codec.ts";

/** The 20-byte address that signed `tx`. @throws {CodedError} BAD_SIGNATURE */
export function recoverSender(tx: SignedTransaction): Uint8Array {
  const sender = recoverAddress(signingHash(tx), tx.yParity, tx.r, tx.s);
  if (sender === undefined) throw transactionError("BAD_SIGNATURE", "the signature recovers to no key");
  return sender;
}

/** Sender of each transaction in order, deposits included; undefined where the signature recovers to no key. */
export function recoverSenders(txs: readonly Transaction[]): (Uint8Array | undefined)[] {
  return txs.map((tx) =>
    tx.type === DEPOSIT_TYPE ? tx.from : recoverAddress(signingHash(tx), tx.yParity, tx.r, tx.s),
  );
}

/**
 * The account that signed an EIP-7702 authorization, or undefined: such a tuple is skipped, not an error.
 * High s and parities above 1 are refused as EIP-7702 states.
 */
export function recoverAuthority(authorization: Authorization): Uint8Array | undefined {
  if (!isAuthorizationWellFormed(authorization)) return undefined;
  const { yParity, r, s } = authorization;
  return recoverAddress(authorizationHash(authorization), yParity, r, s);
}

/** False where the signature cannot be an authority's whatever it recovers to. */
export function isAuthorizationWellFormed({ yParity, s }: Authorization): boolean {
  return yParity <= 1 && s <= LOW_S_MAX;
}

const LOW_S_MAX = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
