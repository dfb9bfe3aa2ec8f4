/** Owns the methods of the transaction pool: sending, and what waits in it. */
import { bytesEqual, toHex, toHexKey } from "../base/bytes.ts";
import type { PooledTransaction } from "./chain-view.ts";
import { encodePooled, quantity } from "./encode.ts";
import { RPC_ERRORS, RpcError, type RpcErrorName, rejectionError } from "./errors.ts";
import { type Method, method } from "./method.ts";
import { address, data, optional, type Parser, required } from "./params.ts";
import type { Ingest, Services } from "./services.ts";
import { sendSync } from "./sync-send.ts";

/** Transactions one txpool_content answer shows. */
const CONTENT_MAX = 1_000;
const SYNC_TIMEOUT_DEFAULT_MS = 2_000;
const SYNC_TIMEOUT_MAX_MS = 20_000;

/** EIP-7966: clients send it as a number or as a quantity, and one that makes no sense means the default. */
const syncTimeout: Parser<number> = {
  kind: "Number or QUANTITY, milliseconds",
  parse: (value) => {
    const ms = typeof value === "string" && /^0x[0-9a-fA-F]{1,12}$/.test(value) ? Number(value) : value;
    return typeof ms === "number" && Number.isInteger(ms) && ms > 0
      ? Math.min(ms, SYNC_TIMEOUT_MAX_MS)
      : SYNC_TIMEOUT_DEFAULT_MS;
  },
};

function requireIngest(s: Services): Ingest {
  if (s.ingest === undefined)
    throw new RpcError("METHOD_NOT_SUPPORTED", "this node takes no transactions; ask a gateway of the cluster");
  return s.ingest;
}

async function send(s: Services, raw: Uint8Array): Promise<Uint8Array> {
  const [outcome] = await requireIngest(s).submit([raw]);
  if (outcome === undefined) throw new RpcError("INTERNAL_ERROR", "internal error");
  if (outcome.accepted) return outcome.hash;
  const body = rejectionError(outcome.reason, outcome.message);
  throw new RpcError(nameOfCode(body.code), body.message, body.data);
}

function nameOfCode(code: number): RpcErrorName {
  if (code === RPC_ERRORS.INVALID_PARAMS.rpcCode) return "INVALID_PARAMS";
  return code === RPC_ERRORS.LIMIT_EXCEEDED.rpcCode ? "LIMIT_EXCEEDED" : "TRANSACTION_REJECTED";
}

type BySender = Record<string, Record<string, unknown>>;

function grouped(transactions: readonly PooledTransaction[], show: (pooled: PooledTransaction) => unknown): BySender {
  const out: BySender = {};
  for (const pooled of transactions) {
    const sender = toHex(pooled.sender);
    const own = (out[sender] ??= {});
    own[pooled.tx.nonce.toString()] = show(pooled);
  }
  return out;
}

function inspect({ tx }: PooledTransaction): string {
  const target = tx.to === undefined ? "contract creation" : toHex(tx.to);
  return `${target}: ${tx.valueWei} wei + ${tx.gasLimit} gas × ${tx.maxFeePerGasWei} wei`;
}

export const POOL_METHODS: readonly Method[] = [
  method({
    name: "eth_sendRawTransaction",
    summary: "Takes a signed transaction; the answer comes when it is durable in the lane. Batches go in as one.",
    params: [required("transaction", data)],
    result: "DATA, 32 bytes",
    run: async (s, [raw]) => toHex(await send(s, raw)),
  }),
  method({
    name: "eth_sendRawTransactionSync",
    summary:
      "Takes a signed transaction and answers with its receipt once it is confirmed (blockHash is zero until sealed); code 4 after the timeout, code 6 at a nonce gap (EIP-7966).",
    params: [required("transaction", data), optional("timeoutMs", syncTimeout, SYNC_TIMEOUT_DEFAULT_MS)],
    result: "Receipt",
    run: (s, [raw, timeoutMs]) => sendSync(s, () => send(s, raw), timeoutMs),
  }),
  method({
    name: "txpool_status",
    summary: "Counts of executable and held-back transactions.",
    params: [],
    result: "{pending, queued}",
    run: async (s) => {
      const status = (await s.pool?.status()) ?? { pending: 0, queued: 0 };
      return { pending: quantity(status.pending), queued: quantity(status.queued) };
    },
  }),
  method({
    name: "txpool_content",
    summary: `Transactions in the pool by sender and nonce, at most ${CONTENT_MAX}.`,
    params: [],
    result: "{pending, queued}",
    run: async (s) => {
      const content = (await s.pool?.content(CONTENT_MAX)) ?? { pending: [], queued: [] };
      return { pending: grouped(content.pending, encodePooled), queued: grouped(content.queued, encodePooled) };
    },
  }),
  method({
    name: "txpool_contentFrom",
    summary: "Transactions of one sender in the pool, by nonce.",
    params: [required("address", address)],
    result: "{pending, queued}",
    run: async (s, [sender]) => {
      const content = (await s.pool?.content(CONTENT_MAX, sender)) ?? { pending: [], queued: [] };
      const own = (transactions: readonly PooledTransaction[]): Record<string, unknown> =>
        grouped(
          transactions.filter((pooled) => bytesEqual(pooled.sender, sender)),
          encodePooled,
        )[`0x${toHexKey(sender)}`] ?? {};
      return { pending: own(content.pending), queued: own(content.queued) };
    },
  }),
  method({
    name: "txpool_inspect",
    summary: `Transactions in the pool as short text, at most ${CONTENT_MAX}.`,
    params: [],
    result: "{pending, queued}",
    run: async (s) => {
      const content = (await s.pool?.content(CONTENT_MAX)) ?? { pending: [], queued: [] };
      return { pending: grouped(content.pending, inspect), queued: grouped(content.queued, inspect) };
    },
  }),
];
