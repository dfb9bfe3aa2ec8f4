/** Owns the methods about the order of transactions: the policy in force, and signed receipts of when one was accepted. */
import { toHex } from "../base/bytes.ts";
import type { OrderReceipt } from "../protocol/order-receipt.ts";
import { type Json, quantity } from "./encode.ts";
import { RpcError } from "./errors.ts";
import { type Method, method } from "./method.ts";
import { hash, required } from "./params.ts";
import type { OrderView, Services } from "./services.ts";

function requireOrder(s: Services): OrderView {
  if (s.order === undefined)
    throw new RpcError("METHOD_NOT_SUPPORTED", "this node orders nothing; ask a gateway of the cluster");
  return s.order;
}

function encodeReceipt(receipt: OrderReceipt, signer: Uint8Array): Json {
  return {
    chainId: quantity(receipt.chainId),
    lane: quantity(receipt.arrival.lane),
    sequence: quantity(receipt.arrival.sequence),
    transactionHash: toHex(receipt.hash),
    acceptedMs: quantity(receipt.arrival.acceptedMs),
    index: quantity(receipt.index),
    count: quantity(receipt.count),
    proof: receipt.proof.map(toHex),
    signature: toHex(receipt.signature),
    signer: toHex(signer),
  };
}

export const ORDER_METHODS: readonly Method[] = [
  method({
    name: "sheaf_getOrdering",
    summary: "The ordering policy of the cluster, its number of lanes, and who signs its order receipts.",
    params: [],
    result: "{ordering, lanes, signer}",
    run: (s) => {
      const { ordering, lanes, signer } = requireOrder(s);
      return { ordering, lanes: quantity(lanes), signer: toHex(signer) };
    },
  }),
  method({
    name: "sheaf_getOrderReceipt",
    summary:
      "Signed receipt of when a transaction was accepted, and in which place of its lane (`sheaf receipt verify` checks it offline); null when it is not known, or not any more.",
    params: [required("transactionHash", hash)],
    result: "OrderReceipt or null",
    run: async (s, [transactionHash]) => {
      const order = requireOrder(s);
      const receipt = await order.receipt(transactionHash);
      return receipt === undefined ? null : encodeReceipt(receipt, order.signer);
    },
  }),
];
