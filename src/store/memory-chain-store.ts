/**
 * Owns the in-memory twin of the chain store: arrays and maps, logs searched by looking at every one. For tests.
 */

import { assert } from "../base/assert.ts";
import { bytesEqual, toHexKey } from "../base/bytes.ts";
import type { Block } from "../protocol/block.ts";
import { blockAccessListHash } from "../protocol/block-access-list.ts";
import { keccak256 } from "../protocol/keccak.ts";
import type { Receipt } from "../protocol/receipt.ts";
import type { ChainStore, FoundLog, LogFilter, StoredAccessList } from "./chain-store.ts";
import { storeError } from "./error.ts";
import { logMatches } from "./log-match.ts";

type Stored = {
  readonly block: Block;
  readonly receipts: readonly Receipt[];
  readonly hashes: readonly Uint8Array[];
  accessList: Uint8Array | undefined;
};

export class MemoryChainStore implements ChainStore {
  readonly #blocks: Stored[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #transactions = new Map<string, { blockNumber: number; index: number }>();
  readonly #meta = new Map<string, Uint8Array>();
  readonly accessListBlocks: number;

  constructor(options: { readonly accessListBlocks?: number } = {}) {
    this.accessListBlocks = options.accessListBlocks ?? 0;
  }

  get head(): number {
    return this.#blocks.length - 1;
  }

  block(number: number): Block | undefined {
    return this.#blocks[number]?.block;
  }

  numberOfHash(blockHash: Uint8Array): number | undefined {
    return this.#numbers.get(toHexKey(blockHash));
  }

  blockHash(number: number): Uint8Array | undefined {
    return this.#blocks[number]?.block.hash;
  }

  receipts(number: number): readonly Receipt[] | undefined {
    return this.#blocks[number]?.receipts;
  }

  transaction(hash: Uint8Array): { blockNumber: number; index: number } | undefined {
    return this.#transactions.get(toHexKey(hash));
  }

  logs(filter: LogFilter): readonly FoundLog[] {
    const found: FoundLog[] = [];
    const last = Math.min(filter.toBlock, this.head);
    for (let number = Math.max(filter.fromBlock, 0); number <= last; number++) {
      const { block, receipts, hashes } = this.#blocks[number] as Stored;
      let logIndex = 0;
      for (const [transactionIndex, receipt] of receipts.entries()) {
        for (const log of receipt.logs) {
          if (logMatches(log, filter)) {
            if (found.length >= filter.limit)
              throw storeError("LOG_RESULT_LIMIT", `more than ${filter.limit} logs match`, { limit: filter.limit });
            found.push({
              ...log,
              blockNumber: number,
              blockHash: block.hash,
              blockTimestamp: block.header.timestamp,
              transactionHash: hashes[transactionIndex] as Uint8Array,
              transactionIndex,
              logIndex,
            });
          }
          logIndex++;
        }
      }
    }
    return found;
  }

  accessList(number: number): StoredAccessList | undefined {
    const encoded = this.#blocks[number]?.accessList;
    return encoded === undefined ? undefined : { hash: blockAccessListHash(encoded), encoded };
  }

  append(block: Block, receipts: readonly Receipt[], accessList?: Uint8Array): void {
    const number = this.head + 1;
    assert(block.header.number === number, "blocks are appended in order");
    assert(receipts.length === block.transactions.length, "every transaction has a receipt");
    const parent = this.#blocks.at(-1)?.block;
    assert(parent === undefined || bytesEqual(parent.hash, block.header.parentHash), "a block extends the head");
    const hashes = block.transactions.map((raw) => keccak256(raw));
    this.#blocks.push({ block, receipts, hashes, accessList });
    const old = this.#blocks[number - this.accessListBlocks];
    if (old !== undefined) old.accessList = undefined;
    this.#numbers.set(toHexKey(block.hash), number);
    for (const [index, hash] of hashes.entries())
      this.#transactions.set(toHexKey(hash), { blockNumber: number, index });
  }

  rollback(number: number): void {
    while (this.head > number) {
      const { block, hashes } = this.#blocks.pop() as Stored;
      this.#numbers.delete(toHexKey(block.hash));
      for (const hash of hashes) this.#transactions.delete(toHexKey(hash));
    }
  }

  getMeta(key: string): Uint8Array | undefined {
    return this.#meta.get(key);
  }

  putMeta(key: string, value: Uint8Array): void {
    this.#meta.set(key, value.slice());
  }
}
