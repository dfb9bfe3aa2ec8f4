/**
 * Owns the shapes of JSON-RPC answers that are used as they come: an answer of another shape is a fault of the endpoint
 * and another one is asked. Answers that readers take apart field by field (blocks, receipts, events) are checked there.
 */
import { readBytes, readQuantity } from "./json-rpc.ts";

type Check = (value: unknown, what: string) => unknown;

const HASH: Check = (value, what) => readBytes(value, what, 32);

const SHAPES: Readonly<Record<string, Check>> = {
  eth_chainId: readQuantity,
  eth_blockNumber: readQuantity,
  eth_getBalance: readQuantity,
  eth_getTransactionCount: readQuantity,
  eth_estimateGas: readQuantity,
  eth_maxPriorityFeePerGas: readQuantity,
  eth_call: readBytes,
  eth_sendRawTransaction: HASH,
};

/** Gives the answer back. @throws {L1Error} L1_ENDPOINT_MALFORMED */
export function checkAnswer(method: string, answer: unknown): unknown {
  SHAPES[method]?.(answer, method);
  return answer;
}
