/**
 * Owns reading L1 over JSON-RPC. Every field of every answer is checked; what belongs together must agree (parent hashes
 * link, logs of one block carry one hash, events match the question), or the call throws a retryable error.
 * Blocks are cached by hash, where an answer can never change; log ranges that an endpoint refuses are halved.
 *
 * A header must hash to itself and the events of one block are proven by its receipts (`l1-header.ts`, `l1-receipts.ts`),
 * so what is said of a block whose hash is known needs no trust. Long ranges are asked for as events: history that every
 * node has indexed, compared between endpoints by `quorum-l1.ts`.
 * @see https://ethereum.github.io/execution-apis/
 */
import { assert } from "../base/assert.ts";
import { bytesEqual, toHex, toHexKey } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import { bloomMatches } from "../protocol/bloom.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
import { type BlobSchedule, blobScheduleOf } from "./blob-fee.ts";
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
import { type L1Header, readHeader } from "./l1-header.ts";
import { provenLogs } from "./l1-receipts.ts";
import { matchesL1Filter } from "./log-filter.ts";

/** Ranges up to this long are checked for completeness; longer ones are history, which every node has indexed. */
const CHECKED_RANGE_MAX_BLOCKS = 16;

/** Headers kept: a bit more than a day of reorg-prone history, about half a megabyte. */
const BLOCK_CACHE_MAX = 1024;

function blockParameter(ref: L1BlockRef): string {
  if (ref instanceof Uint8Array) return toHex(ref);
  return typeof ref === "number" ? quantity(ref) : ref;
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

export class RpcL1 implements L1Reader {
  readonly #rpc: JsonRpc;
  readonly #schedule: BlobSchedule;
  readonly #chainId: number;
  readonly #checkHeaders: boolean;
  /** Hash → block, oldest use first. */
  readonly #cache = new Map<string, L1Header>();
  /** Number of the newest block that `head` gave. */
  #headNumber = -1;

  /** `checkHeaders` false: an L1 with header fields that are not known here; answers are then taken on trust. */
  constructor(rpc: JsonRpc, options: { chainId: number; blobSchedule?: BlobSchedule; checkHeaders?: boolean }) {
    this.#rpc = rpc;
    this.#chainId = options.chainId;
    this.#checkHeaders = options.checkHeaders ?? true;
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

  #remember(block: L1Header): L1Header {
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

  async #header(ref: L1BlockRef): Promise<L1Header | undefined> {
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
    const header = readHeader(answer, this.#schedule, this.#checkHeaders);
    const { number, hash } = header.info;
    if (typeof ref === "number" && number !== ref)
      throw l1Error("L1_ENDPOINT_MALFORMED", `asked for block ${ref}, got ${number}`, { number: ref });
    if (ref instanceof Uint8Array && !bytesEqual(hash, ref))
      throw l1Error("L1_ENDPOINT_MALFORMED", `asked for block ${toHex(ref)}, got another`, { hash: toHex(ref) });
    return this.#remember(header);
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
    if ("blockHash" in filter) return this.#logsOf(await this.#known(filter.blockHash), filter);
    const { fromBlock, toBlock } = filter;
    if (fromBlock > toBlock) return [];
    if (toBlock - fromBlock < CHECKED_RANGE_MAX_BLOCKS) {
      const headers = await this.#run(fromBlock, toBlock);
      return (await Promise.all(headers.map((header) => this.#logsOf(header, filter)))).flat();
    }
    try {
      return await this.claimedLogs(filter);
    } catch (error) {
      if (!hasCode(error, "L1_LIMIT")) throw error;
      const middle = Math.floor((fromBlock + toBlock) / 2);
      // One after the other: the endpoint has just said that it is asked too much.
      const low = await this.logs({ ...filter, fromBlock, toBlock: middle });
      return [...low, ...(await this.logs({ ...filter, fromBlock: middle + 1, toBlock }))];
    }
  }

  /** What the endpoint says `eth_getLogs` gives: well formed and as asked for, but neither complete nor true for certain. */
  async claimedLogs(filter: L1LogFilter): Promise<readonly L1Log[]> {
    const where =
      "blockHash" in filter
        ? { blockHash: toHex(filter.blockHash) }
        : { fromBlock: quantity(filter.fromBlock), toBlock: quantity(filter.toBlock) };
    const answer = await this.#rpc.call("eth_getLogs", [
      {
        ...where,
        ...(filter.addresses.length === 0 ? {} : { address: filter.addresses.map(toHex) }),
        topics: filter.topics.map((t) => (t === undefined || t.length === 0 ? null : t.map(toHex))),
      },
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
    return logs;
  }

  /** Linked headers of a short range; those above the head that was seen last may be missing. */
  async #run(fromBlock: number, toBlock: number): Promise<readonly L1Header[]> {
    const asked = await Promise.all(
      Array.from({ length: toBlock - fromBlock + 1 }, (_, i) => this.#header(fromBlock + i)),
    );
    const headers: L1Header[] = [];
    for (const [i, header] of asked.entries()) {
      const number = fromBlock + i;
      if (header === undefined) {
        if (number > this.#headNumber) break;
        throw l1Error("L1_INCONSISTENT", `L1 does not know block ${number} any more, or not here`, { number });
      }
      const parent = headers.at(-1);
      if (parent !== undefined && !bytesEqual(header.info.parentHash, parent.info.hash))
        throw l1Error("L1_INCONSISTENT", `block ${number} is not a child of ${number - 1} as answered`, { number });
      headers.push(header);
    }
    return headers;
  }

  async #logsOf(header: L1Header, { addresses, topics }: L1LogFilter): Promise<readonly L1Log[]> {
    const filter = { blockHash: header.info.hash, addresses, topics };
    return (await this.#proven(header, filter)) ?? this.claimedLogs(filter);
  }

  /**
   * Events of one block, proven; undefined when the endpoint cannot prove them (it has no `eth_getBlockReceipts`, or
   * headers are not checked). @throws {L1Error} L1_BLOCK_UNKNOWN for a hash that it does not know
   */
  async provenLogs(filter: L1LogFilter & { readonly blockHash: Uint8Array }): Promise<readonly L1Log[] | undefined> {
    return this.#proven(await this.#known(filter.blockHash), filter);
  }

  /** None when the bloom of the header rules them out, else those of receipts that make the header's receipts root. */
  async #proven(header: L1Header, filter: L1LogFilter): Promise<readonly L1Log[] | undefined> {
    if (!this.#checkHeaders) return undefined;
    const announced = bloomMatches(
      header.bloom,
      filter.addresses,
      filter.topics.map((t) => t ?? []),
    );
    if (!announced) return [];
    const receipts = await this.#receiptsOf(header.info);
    return receipts && provenLogs(receipts, header).filter((log) => matchesL1Filter(log, filter));
  }

  async #known(hash: Uint8Array): Promise<L1Header> {
    const header = await this.#header(hash);
    if (header === undefined) throw l1Error("L1_BLOCK_UNKNOWN", `no block ${toHex(hash)} here`, { hash: toHex(hash) });
    return header;
  }

  /** Undefined when the endpoint cannot tell. @throws {L1Error} L1_BLOCK_UNKNOWN when it does not know the block */
  async #receiptsOf(block: L1BlockInfo): Promise<readonly unknown[] | undefined> {
    try {
      const answer = await this.#rpc.call("eth_getBlockReceipts", [toHex(block.hash)]);
      if (answer !== null) return readList(answer, "receipts");
    } catch (error) {
      if (hasCode(error, "L1_REFUSED")) return undefined;
      throw error;
    }
    throw l1Error("L1_BLOCK_UNKNOWN", `no receipts of block ${block.number}`, { hash: toHex(block.hash) });
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
