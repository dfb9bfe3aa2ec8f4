/**
 * Owns the recently served blocks in decoded form: transactions, their hashes, receipts and log positions, each
 * computed once when first asked for. A poll for the receipt of every transaction of a block must not decode the block
 * every time. Invariant: what is served is the canonical block; a reorg drops everything above its fork point.
 */
import { bytesEqual } from "../base/bytes.ts";
import type { Block } from "../protocol/block.ts";
import { keccak256 } from "../protocol/keccak.ts";
import type { L1FeeParameters } from "../protocol/l1-fee.ts";
import type { Receipt } from "../protocol/receipt.ts";
import type { Transaction } from "../protocol/transaction.ts";
import { decodeTransaction } from "../protocol/transaction-codec.ts";
import type { FoundLog } from "../store/chain-store.ts";
import type { ChainView } from "./chain-view.ts";

const BLOCKS_MAX = 128;
/** Bound on what the cache holds by content: a full block is thousands of transactions. */
const TRANSACTIONS_MAX = 50_000;

/** A canonical block and what is derived from it. */
export class BlockBundle {
  readonly block: Block;
  readonly #chain: ChainView;
  #receipts: readonly Receipt[] | undefined;
  #hashes: Uint8Array[] | undefined;
  readonly #transactions = new Map<number, Transaction>();
  #firstLogs: number[] | undefined;
  #l1Fees: L1FeeParameters | undefined;

  /** `l1Fees`: where the chain cannot tell them by the block's number. */
  constructor(chain: ChainView, block: Block, receipts: readonly Receipt[] | undefined, l1Fees?: L1FeeParameters) {
    this.#chain = chain;
    this.block = block;
    this.#receipts = receipts;
    this.#l1Fees = l1Fees;
  }

  get number(): number {
    return this.block.header.number;
  }

  get receipts(): readonly Receipt[] {
    this.#receipts ??= this.#chain.receipts(this.number) ?? [];
    return this.#receipts;
  }

  /** Transaction hashes by index. */
  get hashes(): readonly Uint8Array[] {
    this.#hashes ??= this.block.transactions.map((raw) => keccak256(raw));
    return this.#hashes;
  }

  transaction(index: number): Transaction | undefined {
    const raw = this.block.transactions[index];
    if (raw === undefined) return undefined;
    let decoded = this.#transactions.get(index);
    if (decoded === undefined) {
      decoded = decodeTransaction(raw);
      this.#transactions.set(index, decoded);
    }
    return decoded;
  }

  /** Position in the block of the first log of each transaction. */
  get firstLogs(): readonly number[] {
    if (this.#firstLogs === undefined) {
      const firsts: number[] = [];
      let next = 0;
      for (const receipt of this.receipts) {
        firsts.push(next);
        next += receipt.logs.length;
      }
      this.#firstLogs = firsts;
    }
    return this.#firstLogs;
  }

  get l1Fees(): L1FeeParameters {
    this.#l1Fees ??= this.#chain.l1FeesAt(this.number);
    return this.#l1Fees;
  }

  /** Logs of one transaction with their positions. */
  logsOf(index: number): FoundLog[] {
    const receipt = this.receipts[index];
    const transactionHash = this.hashes[index];
    if (receipt === undefined || transactionHash === undefined) return [];
    const first = this.firstLogs[index] ?? 0;
    return receipt.logs.map((log, i) => ({
      address: log.address,
      topics: log.topics,
      data: log.data,
      blockNumber: this.number,
      blockHash: this.block.hash,
      blockTimestamp: this.block.header.timestamp,
      transactionHash,
      transactionIndex: index,
      logIndex: first + i,
    }));
  }
}

export class BlockCache {
  readonly #chain: ChainView;
  /** By number; insertion order is age of use. */
  readonly #bundles = new Map<number, BlockBundle>();
  readonly #unsubscribe: () => void;
  #transactions = 0;

  constructor(chain: ChainView) {
    this.#chain = chain;
    this.#unsubscribe = chain.subscribe({
      block: (block, receipts) => this.#put(new BlockBundle(chain, block, receipts)),
      reorg: (toBlock) => {
        for (const number of this.#bundles.keys()) if (number > toBlock) this.#drop(number);
      },
    });
  }

  close(): void {
    this.#unsubscribe();
    this.#bundles.clear();
  }

  /** The canonical block at `number`. */
  get(number: number): BlockBundle | undefined {
    const held = this.#bundles.get(number);
    if (held !== undefined) {
      this.#bundles.delete(number);
      this.#bundles.set(number, held);
      return held;
    }
    const block = this.#chain.block(number);
    if (block === undefined) return undefined;
    const bundle = new BlockBundle(this.#chain, block, undefined);
    this.#put(bundle);
    return bundle;
  }

  byHash(hash: Uint8Array): BlockBundle | undefined {
    const number = this.#chain.numberOfHash(hash);
    if (number === undefined) return undefined;
    const bundle = this.get(number);
    return bundle !== undefined && bytesEqual(bundle.block.hash, hash) ? bundle : undefined;
  }

  #put(bundle: BlockBundle): void {
    this.#drop(bundle.number);
    this.#bundles.set(bundle.number, bundle);
    this.#transactions += bundle.block.transactions.length;
    for (const number of this.#bundles.keys()) {
      if (this.#bundles.size <= BLOCKS_MAX && this.#transactions <= TRANSACTIONS_MAX) break;
      if (number !== bundle.number) this.#drop(number);
    }
  }

  #drop(number: number): void {
    const held = this.#bundles.get(number);
    if (held === undefined) return;
    this.#bundles.delete(number);
    this.#transactions -= held.block.transactions.length;
  }
}
