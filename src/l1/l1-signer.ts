/**
 * Owns signing for L1 senders: one account, transaction fields in, signed bytes out. Asynchronous, because a key may live
 * in another process or a KMS; `localSigner` holds one in memory for the devnet and tests.
 */
import { addressOfPrivateKey } from "../protocol/secp256k1.ts";
import { signTransaction, type TransactionFields } from "../protocol/transaction-codec.ts";

export type SignedL1Transaction = { readonly raw: Uint8Array; readonly hash: Uint8Array };

export interface L1Signer {
  readonly address: Uint8Array;
  /** Signs exactly these fields; blob transactions come back as their body, without the blobs. */
  sign(fields: TransactionFields): Promise<SignedL1Transaction>;
}

/** Signs with a key in memory. */
export function localSigner(privateKey: Uint8Array): L1Signer {
  const key = privateKey.slice();
  return {
    address: addressOfPrivateKey(key),
    sign: async (fields) => {
      const { raw, hash } = signTransaction(fields, key);
      return { raw, hash };
    },
  };
}
