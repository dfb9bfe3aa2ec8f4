/** Owns log queries, polled filters and subscriptions, over one reading of filter objects. */
import { bytesEqual } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import type { FoundLog, LogFilter } from "../store/chain-store.ts";
import { encodeLog } from "./encode.ts";
import { invalidParams, RpcError } from "./errors.ts";
import type { LogFilterRequest } from "./filter-store.ts";
import { logsOfBlock } from "./log-match.ts";
import { type Method, method } from "./method.ts";
import {
  address,
  arrayOf,
  type BlockRef,
  blockNumberOrTag,
  field,
  hash,
  LATEST,
  objectOf,
  optional,
  type Parser,
  required,
  text,
} from "./params.ts";
import { headerNotFound, isPending, resolveNumber } from "./resolve.ts";
import type { Client, Services } from "./services.ts";
import type { Subscriptions } from "./subscriptions.ts";
import { Turns } from "./turns.ts";

const ADDRESSES_MAX = 1_000;
const TOPICS_MAX = 4;
const TOPIC_CHOICES_MAX = 1_000;

/** A filter as a client writes it. */
type LogQuery = {
  readonly blockHash: Uint8Array | undefined;
  readonly from: BlockRef | undefined;
  readonly to: BlockRef | undefined;
  readonly addresses: readonly Uint8Array[];
  readonly topics: readonly (readonly Uint8Array[] | undefined)[];
};

const addressChoices: Parser<Uint8Array[]> = {
  kind: "DATA, 20 bytes, or Array",
  parse: (value, at) =>
    Array.isArray(value) ? arrayOf(address, ADDRESSES_MAX).parse(value, at) : [address.parse(value, at)],
};

/** Null and an empty list both mean any. A list with a null in it matches anything too. */
const topicChoices: Parser<Uint8Array[] | undefined> = {
  kind: "DATA, 32 bytes, Array or null",
  parse: (value, at) => {
    if (value === null || value === undefined) return undefined;
    if (!Array.isArray(value)) return [hash.parse(value, at)];
    if (value.some((item) => item === null)) return undefined;
    return arrayOf(hash, TOPIC_CHOICES_MAX).parse(value, at);
  },
};

const logQuery: Parser<LogQuery> = {
  kind: "Filter",
  parse: (value, at) => {
    const object = objectOf(value, at);
    const blockHash = field(object, "blockHash", hash, at);
    const from = field(object, "fromBlock", blockNumberOrTag, at);
    const to = field(object, "toBlock", blockNumberOrTag, at);
    if (blockHash !== undefined && (from !== undefined || to !== undefined))
      throw invalidParams(
        `invalid ${at}: cannot specify both blockHash and fromBlock/toBlock, choose one or the other`,
      );
    const topics = object["topics"] ?? [];
    if (Array.isArray(topics) && topics.length > TOPICS_MAX)
      throw invalidParams(`invalid ${at}.topics: exceed max topics (${TOPICS_MAX})`);
    return {
      blockHash,
      from,
      to,
      addresses: field(object, "address", addressChoices, at) ?? [],
      topics: arrayOf(topicChoices, TOPICS_MAX).parse(topics, `${at}.topics`),
    };
  },
};

/** Number of one end of a range. Tags beyond the head mean the head; numbers beyond it are an error. */
function boundOf(s: Services, ref: BlockRef): number {
  if (isPending(ref)) return s.chain.heads().latest;
  const number = resolveNumber(s, ref);
  return number ?? ("number" in ref ? ref.number : s.chain.heads().latest);
}

/** Logs of one step. Indexers split their range when they read these words. */
function logsUpTo(s: Services, filter: LogFilter): readonly FoundLog[] {
  try {
    return s.chain.logs(filter);
  } catch (error) {
    if (!hasCode(error, "LOG_RESULT_LIMIT")) throw error;
    throw new RpcError("LIMIT_EXCEEDED", `query returned more than ${s.config.logResultsMax} results`);
  }
}

/** Blocks searched between two turns of the event loop. */
const SEARCH_BLOCKS = 2_048;
const SEARCH_ROUNDS_MAX = 3;

/** Searches a range in steps. A reorg meanwhile would mix two chains, so the search starts over then. */
async function searchLogs(s: Services, filter: Omit<LogFilter, "limit">): Promise<unknown[]> {
  const { logBlocksMax, logResultsMax } = s.config;
  const span = filter.toBlock - filter.fromBlock + 1;
  if (span > logBlocksMax)
    throw new RpcError("LIMIT_EXCEEDED", `block range too large: ${span} blocks, at most ${logBlocksMax}`);
  const turns = new Turns(s.clock);
  for (let round = 1; ; round++) {
    const last = s.blocks.get(filter.toBlock)?.block.hash;
    if (last === undefined) throw headerNotFound({ number: filter.toBlock });
    const found: unknown[] = [];
    for (let fromBlock = filter.fromBlock; fromBlock <= filter.toBlock; fromBlock += SEARCH_BLOCKS) {
      const toBlock = Math.min(fromBlock + SEARCH_BLOCKS - 1, filter.toBlock);
      for (const log of logsUpTo(s, { ...filter, fromBlock, toBlock, limit: logResultsMax - found.length }))
        found.push(encodeLog(log, false));
      await turns.giveWay();
    }
    const now = s.blocks.get(filter.toBlock)?.block.hash;
    if (now !== undefined && bytesEqual(now, last)) return found;
    if (round === SEARCH_ROUNDS_MAX) throw new RpcError("SERVER_ERROR", "the chain was reorganized during the search");
  }
}

async function queryLogs(s: Services, query: LogQuery): Promise<unknown[]> {
  if (query.blockHash !== undefined) {
    const bundle = s.blocks.byHash(query.blockHash);
    if (bundle === undefined) throw headerNotFound({ hash: query.blockHash, requireCanonical: false });
    return logsOfBlock(bundle, query).map((log) => encodeLog(log, false));
  }
  const fromBlock = boundOf(s, query.from ?? LATEST);
  const toBlock = boundOf(s, query.to ?? LATEST);
  if (fromBlock > toBlock) throw invalidParams("invalid block range params");
  if (toBlock > s.chain.heads().latest) throw invalidParams("block range extends beyond current head block");
  return searchLogs(s, { fromBlock, toBlock, addresses: query.addresses, topics: query.topics });
}

/** Open ends of a polled filter: from now on, unless numbers say otherwise. */
function filterRequest(s: Services, query: LogQuery): LogFilterRequest {
  if (query.blockHash !== undefined)
    throw invalidParams("invalid argument 0 (filter): blockHash fits eth_getLogs only");
  const numbered = (ref: BlockRef | undefined): number | undefined => {
    if (ref === undefined || ("tag" in ref && (ref.tag === "latest" || ref.tag === "pending"))) return undefined;
    return boundOf(s, ref);
  };
  const fromBlock = numbered(query.from);
  const toBlock = numbered(query.to);
  if (fromBlock !== undefined && toBlock !== undefined && fromBlock > toBlock)
    throw invalidParams("invalid block range params");
  return { addresses: query.addresses, topics: query.topics, fromBlock, toBlock };
}

function subscriptionsOf(client: Client): Subscriptions {
  if (client.subscriptions === undefined) throw new RpcError("METHOD_NOT_FOUND", "notifications not supported");
  return client.subscriptions;
}

const FILTER_ID = required("filterId", text);

export const LOG_METHODS: readonly Method[] = [
  method({
    name: "eth_getLogs",
    summary: "Logs of a block range or of one block.",
    params: [required("filter", logQuery)],
    result: "Array of Log",
    cost: "scan",
    run: (s, [query]) => queryLogs(s, query),
  }),
  method({
    name: "eth_newFilter",
    summary: "A filter for logs, to be polled.",
    params: [required("filter", logQuery)],
    result: "QUANTITY",
    run: (s, [query], client) => s.filters.create("logs", client.address, filterRequest(s, query)),
  }),
  method({
    name: "eth_newBlockFilter",
    summary: "A filter for new blocks, to be polled.",
    params: [],
    result: "QUANTITY",
    run: (s, _args, client) => s.filters.create("blocks", client.address),
  }),
  method({
    name: "eth_newPendingTransactionFilter",
    summary: "A filter for accepted transactions, to be polled.",
    params: [],
    result: "QUANTITY",
    run: (s, _args, client) => s.filters.create("pending", client.address),
  }),
  method({
    name: "eth_getFilterChanges",
    summary: "What happened since the last poll; logs of unwound blocks come again with `removed`.",
    params: [FILTER_ID],
    result: "Array of Log, or of DATA, 32 bytes",
    cost: "scan",
    run: (s, [id]) => s.filters.changes(id),
  }),
  method({
    name: "eth_getFilterLogs",
    summary: "All logs of a log filter.",
    params: [FILTER_ID],
    result: "Array of Log",
    cost: "scan",
    run: (s, [id]) => {
      const request = s.filters.logRequest(id);
      const { latest } = s.chain.heads();
      const fromBlock = request.fromBlock ?? latest;
      const toBlock = Math.min(request.toBlock ?? latest, latest);
      return fromBlock > toBlock ? [] : searchLogs(s, { ...request, fromBlock, toBlock });
    },
  }),
  method({
    name: "eth_uninstallFilter",
    summary: "Forgets a filter; true when there was one.",
    params: [FILTER_ID],
    result: "Boolean",
    run: (s, [id]) => s.filters.remove(id),
  }),
  method({
    name: "eth_subscribe",
    summary: "Notifications over WebSocket: newHeads, logs, newPendingTransactions, newFlashblocks, syncing.",
    params: [
      required("kind", text),
      optional("options", { kind: "Filter or Boolean", parse: (v: unknown) => v }, undefined),
    ],
    result: "DATA, the subscription id",
    connectionOnly: true,
    run: (s, [kind, options], client) => {
      const subscriptions = subscriptionsOf(client);
      switch (kind) {
        case "newHeads":
          return subscriptions.newHeads();
        case "logs": {
          const query = logQuery.parse(options ?? {}, "argument 1 (options)");
          return subscriptions.logs({ addresses: query.addresses, topics: query.topics });
        }
        case "newPendingTransactions":
          if (options !== undefined && typeof options !== "boolean")
            throw invalidParams("invalid argument 1 (options): want true or false");
          return subscriptions.newPendingTransactions(options ?? false, s.pool);
        case "newFlashblocks":
          return subscriptions.newFlashblocks();
        case "syncing":
          return subscriptions.syncing();
        default:
          throw new RpcError("METHOD_NOT_FOUND", `no "${kind.slice(0, 40)}" subscription in eth namespace`);
      }
    },
  }),
  method({
    name: "eth_unsubscribe",
    summary: "Ends a subscription of this connection; true when there was one.",
    params: [required("subscriptionId", text)],
    result: "Boolean",
    connectionOnly: true,
    run: (_s, [id], client) => {
      if (!subscriptionsOf(client).remove(id)) throw new RpcError("SERVER_ERROR", "subscription not found");
      return true;
    },
  }),
];
