/**
 * Owns reading L1 over JSON-RPC. Every field of every answer is checked; what belongs together must agree (parent hashes
 * link, logs of one block carry one hash, events match the question), or the call throws a retryable error.
 * Blocks are cached by hash, where an answer can never change; log ranges that an endpoint refuses are halved.
 *
 * Endpoints behind a balancer are known to leave events out when the node asked is behind the one asked before. Near the
 * head, where that happens, answers are compared with the headers of the range, asked for in the same request: a header
 * that is missing, or whose bloom announces an event that the answer lacks and the receipts have, makes them incomplete.
 * @see https://ethereum.github.io/execution-apis/
 */
import { assert } from "../base/assert.ts";
import { bytesEqual, toHex, toHexKey } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import { bloomMatches } from "../protocol/bloom.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
import { type BlobSchedule, blobBaseFeeOfHeader, blobScheduleOf } from "./blob-fee.ts";
import { type JsonRpc, quantity, readBytes, readList, readNumber, readObject, readQuantity } from "./json-rpc.ts";
import {
  BLOCKS_PER_CALL_MAX,
  type L1BlockRef,
  type L1Log,
  type L1LogFilter,
  type L1Reader,
  type L1Transaction,
  l1Error,
} from "./l1.ts";
import { matchesL1Filter } from "./log-filter.ts";

/** Ranges up to this long are checked for completeness; longer ones are history, which every node has indexed. */
const CHECKED_RANGE_MAX_BLOCKS = 16;

/** Headers kept: a bit more than a day of reorg-prone history, about half a megabyte. */
const BLOCK_CACHE_MAX = 1024;

const ZERO_HASH = new Uint8Array(32);

function blockParameter(ref: L1BlockRef): string {
  if (ref instanceof Uint8Array) return toHex(ref);
  return typeof ref === "number" ? quantity(ref) : ref;
}

/** Checks and decodes a block header as `eth_getBlockBy*` gives it. */
export function readBlock(value: unknown, schedule: BlobSchedule): L1BlockInfo {
  const raw = readObject(value, "block");
  const timestamp = readNumber(raw["timestamp"], "block.timestamp");
  const excess = raw["excessBlobGas"];
  const root = raw["parentBeaconBlockRoot"];
  return {
    number: readNumber(raw["number"], "block.number"),
    hash: readBytes(raw["hash"], "block.hash", 32),
    parentHash: readBytes(raw["parentHash"], "block.parentHash", 32),
    timestamp,
    baseFeePerGasWei: readQuantity(raw["baseFeePerGas"], "block.baseFeePerGas"),
    blobBaseFeeWei: blobBaseFeeOfHeader(
      schedule,
      timestamp,
      excess === undefined || excess === null ? undefined : readQuantity(excess, "block.excessBlobGas"),
    ),
    prevRandao: readBytes(raw["mixHash"], "block.mixHash", 32),
    parentBeaconBlockRoot:
      root === undefined || root === null ? ZERO_HASH : readBytes(root, "block.parentBeaconBlockRoot", 32),
  };
}

/** Checks and decodes one event. */
export function readLog(value: unknown): L1Log {
  const raw = readObject(value, "log");
  if (raw["removed"] === true) throw l1Error("L1_INCONSISTENT", "a log was removed by a reorg", {});
  return {
    address: readBytes(raw["address"], "log.address", 20),
    topics: readList(raw["topics"], "log.topics").map((t) => readBytes(t, "log.topic", 32)),
    data: readBytes(raw["data"], "log.data"),
    blockNumber: readNumber(raw["blockNumber"], "log.blockNumber"),
    blockHash: readBytes(raw["blockHash"], "log.blockHash", 32),
    transactionHash: readBytes(raw["transactionHash"], "log.transactionHash", 32),
    transactionIndex: readNumber(raw["transactionIndex"], "log.transactionIndex"),
    logIndex: readNumber(raw["logIndex"], "log.logIndex"),
  };
}

type CachedBlock = { readonly info: L1BlockInfo; readonly bloom: Uint8Array };

export class RpcL1 implements L1Reader {
  readonly #rpc: JsonRpc;
  readonly #schedule: BlobSchedule;
  readonly #chainId: number;
  /** Hash → block, oldest use first. */
  readonly #cache = new Map<string, CachedBlock>();
  /** Number of the newest block that `head` gave. */
  #headNumber = -1;

  constructor(rpc: JsonRpc, options: { chainId: number; blobSchedule?: BlobSchedule }) {
    this.#rpc = rpc;
    this.#chainId = options.chainId;
    this.#schedule = options.blobSchedule ?? blobScheduleOf(options.chainId);
  }

  async chainId(): Promise<number> {
    return readNumber(await this.#rpc.call("eth_chainId", []), "chain id");
  }

  /** @throws {L1Error} L1_WRONG_CHAIN when the endpoint serves another chain than configured */
  async checkChain(): Promise<void> {
    const chainId = await this.chainId();
    if (chainId !== this.#chainId)
      throw l1Error("L1_WRONG_CHAIN", `the endpoint serves chain ${chainId}, want ${this.#chainId}`, { chainId });
  }

  /**
   * Compares the blob fee computed here with the one L1 states for its newest block; false means that the configured
   * blob schedule is not the chain's, and every fee derived from it would be wrong.
   */
  async checkBlobSchedule(): Promise<boolean> {
    const head = await this.head();
    const answer = readObject(
      await this.#rpc.call("eth_feeHistory", ["0x1", quantity(head.number), []]),
      "fee history",
    );
    const fees = answer["baseFeePerBlobGas"];
    if (!Array.isArray(fees) || fees.length === 0) return true; // an L1 without blobs
    const again = await this.block(head.number);
    if (again === undefined || !bytesEqual(again.hash, head.hash)) return this.checkBlobSchedule();
    return readQuantity(fees[0], "baseFeePerBlobGas") === head.blobBaseFeeWei;
  }

  #remember(block: CachedBlock): CachedBlock {
    const key = toHexKey(block.info.hash);
    this.#cache.delete(key);
    this.#cache.set(key, block);
    if (this.#cache.size > BLOCK_CACHE_MAX) {
      const oldest = this.#cache.keys().next();
      assert(oldest.done !== true, "a full cache has a first key");
      this.#cache.delete(oldest.value);
    }
    return block;
  }

  async head(): Promise<L1BlockInfo> {
    const head = await this.block("latest");
    if (head === undefined) throw l1Error("L1_ENDPOINT_MALFORMED", "L1 has no newest block", {});
    this.#headNumber = head.number;
    return head;
  }

  async block(ref: L1BlockRef): Promise<L1BlockInfo | undefined> {
    return (await this.#header(ref))?.info;
  }

  async #header(ref: L1BlockRef): Promise<CachedBlock | undefined> {
    if (ref instanceof Uint8Array) {
      const cached = this.#cache.get(toHexKey(ref));
      if (cached !== undefined) return this.#remember(cached);
    }
    const method = ref instanceof Uint8Array ? "eth_getBlockByHash" : "eth_getBlockByNumber";
    let answer: unknown;
    try {
      answer = await this.#rpc.call(method, [blockParameter(ref), false]);
    } catch (error) {
      if (hasCode(error, "L1_BLOCK_UNKNOWN")) return undefined; // some servers say null, some say so
      throw error;
    }
    if (answer === null) return undefined;
    const block = readBlock(answer, this.#schedule);
    if (typeof ref === "number" && block.number !== ref)
      throw l1Error("L1_ENDPOINT_MALFORMED", `asked for block ${ref}, got ${block.number}`, { number: ref });
    if (ref instanceof Uint8Array && !bytesEqual(block.hash, ref))
      throw l1Error("L1_ENDPOINT_MALFORMED", `asked for block ${toHex(ref)}, got another`, { hash: toHex(ref) });
    return this.#remember({ info: block, bloom: readBytes(readObject(answer, "block")["logsBloom"], "bloom", 256) });
  }

  async blocks(fromBlock: number, toBlock: number): Promise<readonly L1BlockInfo[]> {
    assert(fromBlock >= 0, "block numbers are not negative");
    const last = Math.min(toBlock, fromBlock + BLOCKS_PER_CALL_MAX - 1);
    const asked = await Promise.all(
      Array.from({ length: Math.max(0, last - fromBlock + 1) }, (_, i) => this.block(fromBlock + i)),
    );
    const out: L1BlockInfo[] = [];
    for (const block of asked) {
      if (block === undefined) break;
      const parent = out.at(-1);
      if (parent !== undefined && !bytesEqual(block.parentHash, parent.hash))
        throw l1Error("L1_INCONSISTENT", `block ${block.number} is not a child of ${parent.number} as answered`, {
          number: block.number,
        });
      out.push(block);
    }
    return out;
  }

  async logs(filter: L1LogFilter): Promise<readonly L1Log[]> {
    if ("blockHash" in filter) return this.#logsOf(filter);
    if (filter.fromBlock > filter.toBlock) return [];
    try {
      return await this.#logsOf(filter);
    } catch (error) {
      const { fromBlock, toBlock } = filter;
      if (!hasCode(error, "L1_LIMIT") || fromBlock === toBlock) throw error;
      const middle = Math.floor((fromBlock + toBlock) / 2);
      // One after the other: the endpoint has just said that it is asked too much.
      const low = await this.logs({ ...filter, fromBlock, toBlock: middle });
      return [...low, ...(await this.logs({ ...filter, fromBlock: middle + 1, toBlock }))];
    }
  }

  async #logsOf(filter: L1LogFilter): Promise<readonly L1Log[]> {
    const where =
      "blockHash" in filter
        ? { blockHash: toHex(filter.blockHash) }
        : { fromBlock: quantity(filter.fromBlock), toBlock: quantity(filter.toBlock) };
    const [answer, headers] = await Promise.all([
      this.#rpc.call("eth_getLogs", [
        {
          ...where,
          ...(filter.addresses.length === 0 ? {} : { address: filter.addresses.map(toHex) }),
          topics: filter.topics.map((t) => (t === undefined || t.length === 0 ? null : t.map(toHex))),
        },
      ]),
      this.#headersToCheck(filter),
    ]);
    const logs = readList(answer, "logs").map(readLog);
    logs.sort((a, b) => a.blockNumber - b.blockNumber || a.logIndex - b.logIndex);
    let previous: L1Log | undefined;
    for (const log of logs) {
      const inRange =
        "blockHash" in filter
          ? bytesEqual(log.blockHash, filter.blockHash)
          : log.blockNumber >= filter.fromBlock && log.blockNumber <= filter.toBlock;
      if (!inRange || !matchesL1Filter(log, filter))
        throw l1Error("L1_ENDPOINT_MALFORMED", "eth_getLogs answered an event that was not asked for", {
          blockNumber: log.blockNumber,
          logIndex: log.logIndex,
        });
      if (previous !== undefined && previous.blockNumber === log.blockNumber) {
        if (!bytesEqual(previous.blockHash, log.blockHash))
          throw l1Error("L1_INCONSISTENT", `logs of two blocks ${log.blockNumber}`, { number: log.blockNumber });
        if (previous.logIndex === log.logIndex)
          throw l1Error("L1_ENDPOINT_MALFORMED", `log ${log.logIndex} of block ${log.blockNumber} twice`, {});
      }
      previous = log;
    }
    for (const header of headers) await this.#checkComplete(header, logs, filter);
    return logs;
  }

  /** Headers of a short range or of one block; those above the head that was seen last may be missing. */
  async #headersToCheck(filter: L1LogFilter): Promise<readonly CachedBlock[]> {
    if ("blockHash" in filter) {
      const header = await this.#header(filter.blockHash);
      return header === undefined ? [] : [header]; // eth_getLogs itself refuses an unknown hash
    }
    const { fromBlock, toBlock } = filter;
    const length = toBlock - fromBlock + 1;
    if (length > CHECKED_RANGE_MAX_BLOCKS) return [];
    const headers = await Promise.all(Array.from({ length }, (_, i) => this.#header(fromBlock + i)));
    for (const [i, header] of headers.entries())
      if (header === undefined && fromBlock + i <= this.#headNumber)
        throw l1Error("L1_INCONSISTENT", `L1 does not know block ${fromBlock + i} any more, or not here`, {
          number: fromBlock + i,
        });
    return headers.filter((header) => header !== undefined);
  }

  /** @throws {L1Error} L1_INCONSISTENT when `logs` are of another fork than the header, or lack events of its block */
  async #checkComplete(header: CachedBlock, logs: readonly L1Log[], filter: L1LogFilter): Promise<void> {
    const { info, bloom } = header;
    const own = logs.filter((log) => log.blockNumber === info.number);
    if (own.some((log) => !bytesEqual(log.blockHash, info.hash)))
      throw l1Error("L1_INCONSISTENT", `events and header of block ${info.number} are of two forks`, {
        number: info.number,
      });
    if (own.length > 0) return;
    const announced = bloomMatches(
      bloom,
      filter.addresses,
      filter.topics.map((t) => t ?? []),
    );
    if (!announced) return;
    // A bloom may announce what is not there: the receipts decide.
    const receipts = await this.#receiptsOf(info);
    const missed = receipts?.some((receipt) =>
      readList(readObject(receipt, "receipt")["logs"], "receipt.logs").some((raw) =>
        matchesL1Filter(readLog(raw), filter),
      ),
    );
    if (missed === true)
      throw l1Error("L1_INCONSISTENT", `eth_getLogs left out events of block ${info.number}`, { number: info.number });
  }

  /** Undefined when the endpoint cannot tell. */
  async #receiptsOf(block: L1BlockInfo): Promise<readonly unknown[] | undefined> {
    try {
      const answer = await this.#rpc.call("eth_getBlockReceipts", [toHex(block.hash)]);
      return answer === null ? undefined : readList(answer, "receipts");
    } catch (error) {
      if (hasCode(error, "L1_REFUSED") || hasCode(error, "L1_BLOCK_UNKNOWN")) return undefined;
      throw error;
    }
  }

  async transaction(hash: Uint8Array): Promise<L1Transaction | undefined> {
    const answer = await this.#rpc.call("eth_getTransactionByHash", [toHex(hash)]);
    if (answer === null) return undefined;
    const raw = readObject(answer, "transaction");
    const found = readBytes(raw["hash"], "transaction.hash", 32);
    if (!bytesEqual(found, hash))
      throw l1Error("L1_ENDPOINT_MALFORMED", `asked for transaction ${toHex(hash)}, got another`, {
        hash: toHex(hash),
      });
    const to = raw["to"];
    const blockHash = raw["blockHash"];
    const blobHashes = raw["blobVersionedHashes"];
    return {
      hash: found,
      from: readBytes(raw["from"], "transaction.from", 20),
      to: to === null || to === undefined ? undefined : readBytes(to, "transaction.to", 20),
      input: readBytes(raw["input"], "transaction.input"),
      blobHashes:
        blobHashes === undefined || blobHashes === null
          ? []
          : readList(blobHashes, "transaction.blobVersionedHashes").map((h) => readBytes(h, "versioned hash", 32)),
      blockHash:
        blockHash === null || blockHash === undefined ? undefined : readBytes(blockHash, "transaction.blockHash", 32),
    };
  }

  async call(request: { to: Uint8Array; data: Uint8Array; at: L1BlockRef }): Promise<Uint8Array> {
    const at = request.at instanceof Uint8Array ? { blockHash: toHex(request.at) } : blockParameter(request.at);
    const answer = await this.#rpc.call("eth_call", [{ to: toHex(request.to), data: toHex(request.data) }, at]);
    return readBytes(answer, "eth_call");
  }
}
