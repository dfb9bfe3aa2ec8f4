/**
 * Owns a scriptable L1 in memory: the twin of `rpc-l1.ts` for tests of everything that follows L1. Blocks are mined by
 * hand with events, transactions and blobs; `reorg` replaces the newest blocks. Hashes are a function of the content
 * and a fork counter, so two forks never share a hash. Faults can be armed per method.
 */
import { createHash } from "node:crypto";
import { assert } from "../base/assert.ts";
import { bytesEqual, concatBytes, EMPTY_BYTES, toHexKey } from "../base/bytes.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
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

export type MemoryEvent = {
  readonly address: Uint8Array;
  readonly topics: readonly Uint8Array[];
  readonly data: Uint8Array;
};

/** A transaction to mine, with the events it emits. */
export type MemoryTransaction = {
  readonly from?: Uint8Array;
  readonly to?: Uint8Array;
  readonly input?: Uint8Array;
  readonly blobHashes?: readonly Uint8Array[];
  readonly events?: readonly MemoryEvent[];
};

export type MemoryBlockOptions = {
  readonly transactions?: readonly MemoryTransaction[];
  /** Defaults to parent + 12 seconds. */
  readonly timestamp?: number;
  readonly baseFeePerGasWei?: bigint;
  readonly blobBaseFeeWei?: bigint;
};

type StoredBlock = {
  readonly info: L1BlockInfo;
  readonly logs: readonly L1Log[];
  readonly transactions: readonly L1Transaction[];
};

export type MemoryL1Method = keyof L1Reader;

const sha256 = (...parts: Uint8Array[]): Uint8Array =>
  new Uint8Array(
    createHash("sha256")
      .update(concatBytes(...parts))
      .digest(),
  );

function numberBytes(value: number): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

export class MemoryL1 implements L1Reader {
  readonly #chainId: number;
  #blocks: StoredBlock[] = [];
  /** All blocks ever mined, by hash: a node still answers for blocks of a dead fork for a while. */
  readonly #known = new Map<string, StoredBlock>();
  readonly #faults: { method: MemoryL1Method; error: unknown; times: number }[] = [];
  #forks = 0;
  #safeDepth = 1;
  #finalizedDepth = 2;
  /** Calls per method, for tests that bound traffic. */
  readonly calls = new Map<MemoryL1Method, number>();
  /** Answers `eth_call`; tests install what they need. */
  onCall: (request: { to: Uint8Array; data: Uint8Array; at: L1BlockInfo }) => Uint8Array = () => EMPTY_BYTES;

  constructor(options: { chainId?: number; timestamp?: number } = {}) {
    this.#chainId = options.chainId ?? 31_337;
    this.mine({ timestamp: options.timestamp ?? 1_700_000_000 });
  }

  /** Distance of `safe` and `finalized` from the head. */
  setFinality(depths: { safe: number; finalized: number }): void {
    assert(depths.safe >= 0 && depths.finalized >= depths.safe, "finalized is at or below safe");
    this.#safeDepth = depths.safe;
    this.#finalizedDepth = depths.finalized;
  }

  /** The next `times` calls of `method` throw `error`. */
  failNext(method: MemoryL1Method, error: unknown, times = 1): void {
    this.#faults.push({ method, error, times });
  }

  get headNumber(): number {
    return this.#blocks.length - 1;
  }

  /** Appends one block and returns its header. */
  mine(options: MemoryBlockOptions = {}): L1BlockInfo {
    const parent = this.#blocks.at(-1)?.info;
    const number = this.#blocks.length;
    const timestamp = options.timestamp ?? (parent === undefined ? 0 : parent.timestamp + 12);
    assert(parent === undefined || timestamp > parent.timestamp, "L1 time moves forward");
    const parentHash = parent?.hash ?? new Uint8Array(32);
    const content = (options.transactions ?? []).flatMap((t) => [
      t.input ?? EMPTY_BYTES,
      ...(t.events ?? []).flatMap((e) => [e.address, ...e.topics, e.data]),
    ]);
    const hash = sha256(parentHash, numberBytes(number), numberBytes(timestamp), numberBytes(this.#forks), ...content);
    const logs: L1Log[] = [];
    const transactions = (options.transactions ?? []).map((t, transactionIndex): L1Transaction => {
      const transactionHash = sha256(hash, numberBytes(transactionIndex));
      for (const event of t.events ?? [])
        logs.push({
          ...event,
          blockNumber: number,
          blockHash: hash,
          transactionHash,
          transactionIndex,
          logIndex: logs.length,
        });
      return {
        hash: transactionHash,
        from: t.from ?? new Uint8Array(20),
        to: t.to,
        input: t.input ?? EMPTY_BYTES,
        blobHashes: t.blobHashes ?? [],
        blockHash: hash,
      };
    });
    const info: L1BlockInfo = {
      number,
      hash,
      parentHash,
      timestamp,
      baseFeePerGasWei: options.baseFeePerGasWei ?? 1_000_000_000n,
      blobBaseFeeWei: options.blobBaseFeeWei ?? 1n,
      prevRandao: sha256(hash, numberBytes(1)),
      parentBeaconBlockRoot: sha256(parentHash, numberBytes(2)),
    };
    const stored = { info, logs, transactions };
    this.#blocks.push(stored);
    this.#known.set(toHexKey(hash), stored);
    return info;
  }

  /** Mines `count` empty blocks. */
  mineMany(count: number): void {
    for (let i = 0; i < count; i++) this.mine();
  }

  /** Drops the newest `depth` blocks and mines `replacement` in their place (default: as many empty ones). */
  reorg(depth: number, replacement?: readonly MemoryBlockOptions[]): void {
    assert(depth >= 1 && depth < this.#blocks.length, "a reorg leaves the genesis block");
    this.#blocks = this.#blocks.slice(0, this.#blocks.length - depth);
    this.#forks++;
    for (const options of replacement ?? Array.from({ length: depth }, () => ({}))) this.mine(options);
  }

  #enter(method: MemoryL1Method): void {
    this.calls.set(method, (this.calls.get(method) ?? 0) + 1);
    const at = this.#faults.findIndex((f) => f.method === method);
    const fault = this.#faults[at];
    if (fault === undefined) return;
    fault.times--;
    if (fault.times === 0) this.#faults.splice(at, 1);
    throw fault.error;
  }

  #find(ref: L1BlockRef): StoredBlock | undefined {
    if (ref instanceof Uint8Array) return this.#known.get(toHexKey(ref));
    const head = this.#blocks.length - 1;
    if (ref === "latest") return this.#blocks[head];
    if (ref === "safe") return this.#blocks[Math.max(0, head - this.#safeDepth)];
    if (ref === "finalized") return this.#blocks[Math.max(0, head - this.#finalizedDepth)];
    return this.#blocks[ref];
  }

  async chainId(): Promise<number> {
    this.#enter("chainId");
    return this.#chainId;
  }

  async head(): Promise<L1BlockInfo> {
    this.#enter("head");
    const head = this.#blocks.at(-1);
    assert(head !== undefined, "there is always a genesis block");
    return head.info;
  }

  async block(ref: L1BlockRef): Promise<L1BlockInfo | undefined> {
    this.#enter("block");
    return this.#find(ref)?.info;
  }

  async blocks(fromBlock: number, toBlock: number): Promise<readonly L1BlockInfo[]> {
    this.#enter("blocks");
    return this.#blocks.slice(fromBlock, Math.min(toBlock, fromBlock + BLOCKS_PER_CALL_MAX - 1) + 1).map((b) => b.info);
  }

  async logs(filter: L1LogFilter): Promise<readonly L1Log[]> {
    this.#enter("logs");
    let blocks: readonly StoredBlock[];
    if ("blockHash" in filter) {
      const block = this.#find(filter.blockHash);
      if (block === undefined)
        throw l1Error("L1_BLOCK_UNKNOWN", `no block ${toHexKey(filter.blockHash)}`, {
          hash: toHexKey(filter.blockHash),
        });
      blocks = [block];
    } else blocks = this.#blocks.slice(filter.fromBlock, filter.toBlock + 1);
    return blocks.flatMap((b) => b.logs.filter((log) => matchesL1Filter(log, filter)));
  }

  async transaction(hash: Uint8Array): Promise<L1Transaction | undefined> {
    this.#enter("transaction");
    return this.#blocks.flatMap((b) => b.transactions).find((t) => bytesEqual(t.hash, hash));
  }

  async call(request: { to: Uint8Array; data: Uint8Array; at: L1BlockRef }): Promise<Uint8Array> {
    this.#enter("call");
    const at = this.#find(request.at);
    if (at === undefined) throw l1Error("L1_BLOCK_UNKNOWN", "no such block to call at", {});
    return this.onCall({ to: request.to, data: request.data, at: at.info });
  }
}
