/**
 * Owns the JSON-RPC error table: every code a client can get, with its meaning and what to do about it, and the words
 * in which a refused transaction is reported (wallets and libraries match on geth's, so those are used to the letter).
 * Invariant: whatever a method throws, a client sees a documented code and no inner detail of the process.
 * @see https://www.jsonrpc.org/specification#error_object, EIP-1474, EIP-1898, execution-apis (error code 3)
 */
import { CodedError, defineErrors, type ErrorDoc } from "../base/error.ts";
import type { PoolRejection } from "./chain-view.ts";

export type RpcErrorDoc = ErrorDoc & { readonly rpcCode: number };

/** Keys are our stable names; `rpcCode` is what travels. Several names may share a code, as the field's codes do. */
export const RPC_ERRORS = {
  PARSE_ERROR: {
    rpcCode: -32700,
    summary: "The body is not JSON in UTF-8.",
    action: "Send a JSON object, or an array of them.",
    retryable: false,
  },
  INVALID_REQUEST: {
    rpcCode: -32600,
    summary: "The JSON is not a JSON-RPC 2.0 request, or a batch or body is beyond its limit.",
    action: 'Send {"jsonrpc":"2.0","id":…,"method":…,"params":[…]}; split large batches.',
    retryable: false,
  },
  METHOD_NOT_FOUND: {
    rpcCode: -32601,
    summary: "The method does not exist here, or not over this transport.",
    action: "See docs/reference/rpc.md; subscriptions need WebSocket.",
    retryable: false,
  },
  INVALID_PARAMS: {
    rpcCode: -32602,
    summary: "A parameter is missing, malformed or out of range; the message names it.",
    action: "Correct the parameter.",
    retryable: false,
  },
  INTERNAL_ERROR: {
    rpcCode: -32603,
    summary: "The node failed; the cause is in its log.",
    action: "Report it with the time of the request.",
    retryable: true,
  },
  SERVER_ERROR: {
    rpcCode: -32000,
    summary: "The request is well formed and cannot be fulfilled: a call that halts, state that is pruned.",
    action: "Read the message.",
    retryable: false,
  },
  TRANSACTION_REJECTED: {
    rpcCode: -32000,
    summary: "The transaction is not accepted; `data.reason` is stable, the message is the one geth uses.",
    action: "Correct nonce, fees or balance, or wait.",
    retryable: false,
  },
  RESOURCE_NOT_FOUND: {
    rpcCode: -32001,
    summary: "A block that the parameters name is not known.",
    action: "Check number or hash, or wait for the block.",
    retryable: true,
  },
  TIMED_OUT: {
    rpcCode: -32002,
    summary: "The request did not finish in its time.",
    action: "Ask for less: a shorter range, less gas, a smaller batch.",
    retryable: true,
  },
  RESPONSE_TOO_LARGE: {
    rpcCode: -32003,
    summary: "The answer, or the answers of the batch so far, are beyond the byte limit.",
    action: "Ask for less at once.",
    retryable: false,
  },
  METHOD_NOT_SUPPORTED: {
    rpcCode: -32004,
    summary: "The method exists and this node cannot serve it (a verifier has no pool).",
    action: "Ask a gateway of the cluster.",
    retryable: false,
  },
  LIMIT_EXCEEDED: {
    rpcCode: -32005,
    summary: "A limit of this endpoint is reached: requests in flight, subscriptions, filters, results, ranges.",
    action: "Slow down or ask for less; the message names the limit.",
    retryable: true,
  },
  EXECUTION_REVERTED: {
    rpcCode: 3,
    summary: "The call reverted; `data` is what it returned.",
    action: "Decode `data` with the ABI of the contract.",
    retryable: false,
  },
  SYNC_TIMEOUT: {
    rpcCode: 4,
    summary: "eth_sendRawTransactionSync: accepted, but no receipt within the time given; `data` is the hash.",
    action: "Poll eth_getTransactionReceipt.",
    retryable: true,
  },
  SYNC_NONCE_GAP: {
    rpcCode: 6,
    summary:
      "eth_sendRawTransactionSync: accepted, but an earlier nonce of the sender is missing; `data` is that nonce.",
    action: "Send the transaction with that nonce; poll eth_getTransactionReceipt for this one.",
    retryable: false,
  },
  HISTORY_PRUNED: {
    rpcCode: 4444,
    summary: "The block is known, what is asked of it is not kept (any more).",
    action: "Ask a node that keeps more; for access lists, SHEAF_ACCESS_LIST_BLOCKS.",
    retryable: false,
  },
  SIMULATION_NONCE_TOO_LOW: {
    rpcCode: -38010,
    summary: "eth_simulateV1 with validation: the nonce is below the sender's.",
    action: "Correct the nonce.",
    retryable: false,
  },
  SIMULATION_NONCE_TOO_HIGH: {
    rpcCode: -38011,
    summary: "eth_simulateV1 with validation: the nonce is above the sender's.",
    action: "Correct the nonce.",
    retryable: false,
  },
  SIMULATION_FEE_TOO_LOW: {
    rpcCode: -38012,
    summary: "eth_simulateV1 with validation: the fee cap is below the base fee.",
    action: "Raise maxFeePerGas.",
    retryable: false,
  },
  SIMULATION_INTRINSIC_GAS: {
    rpcCode: -38013,
    summary: "eth_simulateV1: the gas does not pay for the transaction itself.",
    action: "Raise gas.",
    retryable: false,
  },
  SIMULATION_INSUFFICIENT_FUNDS: {
    rpcCode: -38014,
    summary: "eth_simulateV1: the sender cannot pay for gas and value.",
    action: "Override its balance, or send less.",
    retryable: false,
  },
  SIMULATION_GAS_LIMIT: {
    rpcCode: -38015,
    summary: "eth_simulateV1: the calls of a block need more gas than the block has.",
    action: "Use more blocks, or override gasLimit.",
    retryable: false,
  },
  SIMULATION_BLOCK_NUMBER: {
    rpcCode: -38020,
    summary: "eth_simulateV1: block numbers must increase.",
    action: "Order the blocks.",
    retryable: false,
  },
  SIMULATION_BLOCK_TIME: {
    rpcCode: -38021,
    summary: "eth_simulateV1: block times must increase.",
    action: "Order the blocks.",
    retryable: false,
  },
  SIMULATION_LIMIT: {
    rpcCode: -38026,
    summary: "eth_simulateV1: too many blocks or calls.",
    action: "Split the simulation.",
    retryable: false,
  },
} as const satisfies Record<string, RpcErrorDoc>;

export type RpcErrorName = keyof typeof RPC_ERRORS;

defineErrors("Rpc", RPC_ERRORS);

/** What a method throws to answer with an error. `message` travels as it is. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly errorName: RpcErrorName;
  readonly rpcCode: number;
  readonly data: unknown;

  constructor(errorName: RpcErrorName, message: string, data?: unknown) {
    super(message);
    this.errorName = errorName;
    this.rpcCode = RPC_ERRORS[errorName].rpcCode;
    this.data = data;
  }
}

export function invalidParams(message: string): RpcError {
  return new RpcError("INVALID_PARAMS", message);
}

/** Geth's words for each refusal; clients parse them. */
const POOL_MESSAGES: Readonly<Record<PoolRejection, string>> = {
  ALREADY_KNOWN: "already known",
  NONCE_TOO_LOW: "nonce too low",
  NONCE_TOO_FAR: "nonce too high",
  UNDERPRICED: "transaction underpriced",
  REPLACEMENT_UNDERPRICED: "replacement transaction underpriced",
  INSUFFICIENT_FUNDS: "insufficient funds for gas * price + value",
  INTRINSIC_GAS: "intrinsic gas too low",
  GAS_LIMIT_EXCEEDED: "exceeds block gas limit",
  TX_TOO_LARGE: "oversized data",
  UNSUPPORTED_TYPE: "transaction type not supported",
  WRONG_CHAIN: "invalid chain id for signer",
  TIP_ABOVE_FEE: "max priority fee per gas higher than max fee per gas",
  FEE_TOO_HIGH: "tx fee exceeds the configured cap",
  INIT_CODE_TOO_LARGE: "max initcode size exceeded",
  SENDER_NOT_EOA: "sender not an eoa",
  POOL_FULL: "txpool is full",
  SENDER_LIMIT: "account limit exceeded",
  DELEGATED_LIMIT: "in-flight transaction limit reached for delegated accounts",
  DELEGATED_GAP: "gapped-nonce tx from delegated accounts",
  AUTHORITY_RESERVED: "authority already reserved",
  BACKLOG_FULL: "the chain is behind with posting to L1",
  NO_LEADER: "no sequencer leads at the moment, send it again",
  UNAVAILABLE: "the sequencer does not accept transactions at the moment",
};

/** Reasons for a refusal before the pool is asked. */
export type StaticRejection = "UNDECODABLE" | "INVALID_SENDER" | "UNPROTECTED" | "BLOB_TRANSACTION";

const STATIC_MESSAGES: Readonly<Record<StaticRejection, string>> = {
  UNDECODABLE: "rlp: cannot decode transaction",
  INVALID_SENDER: "invalid sender",
  UNPROTECTED: "only replay-protected (EIP-155) transactions allowed over RPC",
  BLOB_TRANSACTION: "transaction type not supported",
};

/** Refusals that say nothing about the transaction: the same one may be taken a little later. */
const PASSING: ReadonlySet<PoolRejection | StaticRejection> = new Set<PoolRejection>([
  "UNAVAILABLE",
  "NO_LEADER",
  "POOL_FULL",
  "BACKLOG_FULL",
]);

/** The wire form of an error. */
export type RpcErrorBody = { code: number; message: string; data?: unknown };

/**
 * The error of a refused transaction: geth's words, then what the pool adds.
 * `detail` starts with the same words when the pool speaks geth already; it is not doubled then.
 */
export function rejectionError(reason: PoolRejection | StaticRejection, detail: string): RpcErrorBody {
  const words =
    reason in POOL_MESSAGES ? POOL_MESSAGES[reason as PoolRejection] : STATIC_MESSAGES[reason as StaticRejection];
  const message = detail === "" || detail === words ? words : detail.startsWith(words) ? detail : `${words}: ${detail}`;
  const rpcCode = PASSING.has(reason) ? -32005 : -32000;
  return { code: reason === "UNDECODABLE" ? -32602 : rpcCode, message, data: { reason } };
}

/**
 * Turns whatever was thrown into a wire error. Faults of stores and engines that say something to the client (pruned
 * state, result limits) keep their words; anything else becomes -32603 without detail, and `unexpected` is true.
 */
export function toWireError(error: unknown): { body: RpcErrorBody; unexpected: boolean } {
  if (error instanceof RpcError) {
    const body: RpcErrorBody = { code: error.rpcCode, message: error.message };
    if (error.data !== undefined) body.data = error.data;
    return { body, unexpected: false };
  }
  if (error instanceof CodedError) {
    const words = error.message.slice(error.code.length + 2);
    switch (error.code) {
      case "STATE_PRUNED":
        return { body: { code: -32000, message: `historical state is not available: ${words}` }, unexpected: false };
      case "STATE_UNKNOWN":
        return { body: { code: -32001, message: `state is not known: ${words}` }, unexpected: false };
      case "TRACE_TIMED_OUT":
        return { body: { code: -32002, message: words }, unexpected: false };
      case "TRACE_TOO_LARGE":
      case "RECORDING_TOO_LARGE":
        return { body: { code: -32003, message: `response too large: ${words}` }, unexpected: false };
      case "LANE_LOST":
        return { body: { code: -32005, message: `ask again: ${words}` }, unexpected: false };
      case "TRACE_THREAD_FAILED":
        return { body: { code: -32005, message: `the trace was stopped: ${words}` }, unexpected: false };
      case "LOG_RESULT_LIMIT":
        return { body: { code: -32005, message: `query returned too many results: ${words}` }, unexpected: false };
      default:
        break;
    }
  }
  return { body: { code: -32603, message: "internal error" }, unexpected: true };
}
