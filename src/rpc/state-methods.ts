/** Owns the methods that read accounts: balance, nonce, code, storage and proofs, at any block whose state is kept. */
import { bytesToBigInt, toHex } from "../base/bytes.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { answered } from "./chain-view.ts";
import { quantity } from "./encode.ts";
import { type Method, method } from "./method.ts";
import { address, arrayOf, blockRef, LATEST, optional, required, slot, text } from "./params.ts";
import { isPending, sealedNumber, stateOf } from "./resolve.ts";

const ADDRESS = required("address", address);
const AT = optional("block", blockRef, LATEST);
const PROOF_SLOTS_MAX = 1_024;

export const STATE_METHODS: readonly Method[] = [
  method({
    name: "eth_getBalance",
    summary: "Balance of an account in wei.",
    params: [ADDRESS, AT],
    result: "QUANTITY",
    run: (s, [account, ref]) => quantity(stateOf(s, ref).account(account)?.balanceWei ?? 0n),
  }),
  method({
    name: "eth_getTransactionCount",
    summary: "Nonce of an account; at `pending` counting its transactions in the pool.",
    params: [ADDRESS, AT],
    result: "QUANTITY",
    run: (s, [account, ref]) => {
      const nonce = stateOf(s, ref).account(account)?.nonce ?? 0n;
      return answered(isPending(ref) ? s.pool?.nextNonce(account) : undefined, (pooled) =>
        quantity(pooled !== undefined && pooled > nonce ? pooled : nonce),
      );
    },
  }),
  method({
    name: "eth_getCode",
    summary: "Code of an account.",
    params: [ADDRESS, AT],
    result: "DATA",
    run: (s, [account, ref]) => {
      const state = stateOf(s, ref);
      const found = state.account(account);
      return found === undefined ? "0x" : toHex(state.code(found.codeHash));
    },
  }),
  method({
    name: "eth_getStorageAt",
    summary: "One storage slot of an account.",
    params: [ADDRESS, required("slot", slot), AT],
    result: "DATA, 32 bytes",
    run: (s, [account, key, ref]) => toHex(stateOf(s, ref).storage(account, key)),
  }),
  method({
    name: "eth_getProof",
    summary: "Merkle proof of an account and of some of its slots (EIP-1186).",
    params: [
      ADDRESS,
      // Read as text first: the answer names each key as it was asked.
      required(
        "storageKeys",
        arrayOf(
          { kind: slot.kind, parse: (v, at) => [text.parse(v, at), slot.parse(v, at)] as const },
          PROOF_SLOTS_MAX,
        ),
      ),
      AT,
    ],
    result: "AccountProof",
    cost: "scan",
    run: async (s, [account, keys, ref]) => {
      const proof = await s.chain.proof(
        sealedNumber(s, ref),
        account,
        keys.map(([, key]) => key),
      );
      return {
        address: toHex(account),
        accountProof: proof.accountProof.map(toHex),
        balance: quantity(proof.account?.balanceWei ?? 0n),
        codeHash: toHex(proof.account?.codeHash ?? EMPTY_CODE_HASH),
        nonce: quantity(proof.account?.nonce ?? 0n),
        storageHash: toHex(proof.storageRoot),
        storageProof: proof.storageProofs.map((entry, i) => ({
          key: keyAsAsked((keys[i] as readonly [string, Uint8Array])[0], entry.slot),
          value: quantity(bytesToBigInt(entry.value)),
          proof: entry.proof.map(toHex),
        })),
      };
    },
  }),
];

/** Keys sent as whole words come back as words, keys sent as quantities as quantities (geth's rule). */
function keyAsAsked(asked: string, key: Uint8Array): string {
  return asked.length === 66 ? toHex(key) : quantity(bytesToBigInt(key));
}
