/**
 * Owns the consensus encoding of receipts: what the receipts root commits to. Deposits carry nonce and version 1.
 * @see EIP-658, 2718; OP Stack specification, deposit receipt
 */
import { assert } from "../base/assert.ts";
import { bigIntToMinimalBytes, EMPTY_BYTES } from "../base/bytes.ts";
import { logsBloom } from "./bloom.ts";
import type { Receipt } from "./receipt.ts";
import { encodeRlp, type RlpItem } from "./rlp.ts";
import { DEPOSIT_TYPE } from "./transaction-codec.ts";

const DEPOSIT_RECEIPT_VERSION = 1;
const ONE = Uint8Array.of(1);

/** Encodes for the receipts trie. `bloom` saves computing it again where the caller has it. */
export function encodeReceipt(receipt: Receipt, bloom: Uint8Array = logsBloom(receipt.logs)): Uint8Array {
  const items: RlpItem[] = [
    receipt.status === 1 ? ONE : EMPTY_BYTES,
    bigIntToMinimalBytes(BigInt(receipt.cumulativeGasUsed)),
    bloom,
    receipt.logs.map((log) => [log.address, log.topics, log.data]),
  ];
  if (receipt.type === DEPOSIT_TYPE) {
    assert(receipt.depositNonce !== undefined, "a deposit receipt carries the nonce of its sender");
    items.push(bigIntToMinimalBytes(receipt.depositNonce), Uint8Array.of(DEPOSIT_RECEIPT_VERSION));
  }
  return encodeRlp(items, receipt.type === 0 ? EMPTY_BYTES : Uint8Array.of(receipt.type));
}
