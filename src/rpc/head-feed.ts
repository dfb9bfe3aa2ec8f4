/**
 * Owns what happened to the chain while clients listen: one subscription to the chain, fanned out to WebSocket
 * subscriptions at once and kept as a short history for polled filters. Invariant: the history is bounded; a filter
 * that fell behind it is told so and never served a gap in silence.
 */
import type { SignedTransaction } from "../protocol/transaction.ts";
import { BlockBundle, type BlockCache } from "./block-cache.ts";
import type { ChainView } from "./chain-view.ts";

/** At a block a second this is over an hour, far beyond the life of an unpolled filter. */
const EVENTS_MAX = 4_096;
const PENDING_MAX = 65_536;

export type HeadEvent =
  | { readonly kind: "block"; readonly number: number; readonly hash: Uint8Array }
  /** Unwound blocks, highest first. */
  | { readonly kind: "reorg"; readonly toBlock: number; readonly removed: readonly BlockBundle[] };

export type HeadListener = {
  block?(bundle: BlockBundle): void;
  reorg?(removed: readonly BlockBundle[]): void;
  accepted?(tx: SignedTransaction): void;
};

/** The newest `max` values with positions that only grow. */
class History<T> {
  readonly #values: T[] = [];
  readonly #max: number;
  #next = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get next(): number {
    return this.#next;
  }

  push(value: T): void {
    if (this.#values.length < this.#max) this.#values.push(value);
    else this.#values[this.#next % this.#max] = value;
    this.#next++;
  }

  /** Values from position `from` on; undefined when some of them are forgotten. */
  since(from: number): T[] | undefined {
    if (from < this.#next - this.#values.length) return undefined;
    const out: T[] = [];
    for (let i = from; i < this.#next; i++) out.push(this.#values[i % this.#max] as T);
    return out;
  }
}

export class HeadFeed {
  readonly events = new History<HeadEvent>(EVENTS_MAX);
  readonly pendingHashes = new History<Uint8Array>(PENDING_MAX);
  readonly #listeners = new Set<HeadListener>();
  readonly #unsubscribe: () => void;

  constructor(chain: ChainView, blocks: BlockCache) {
    this.#unsubscribe = chain.subscribe({
      block: (block, receipts) => {
        this.events.push({ kind: "block", number: block.header.number, hash: block.hash });
        if (this.#listeners.size === 0) return;
        const bundle = blocks.get(block.header.number) ?? new BlockBundle(chain, block, receipts);
        for (const listener of this.#listeners) listener.block?.(bundle);
      },
      reorg: (toBlock, removed) => {
        const bundles = removed.map(({ block, receipts }) => new BlockBundle(chain, block, receipts));
        this.events.push({ kind: "reorg", toBlock, removed: bundles });
        for (const listener of this.#listeners) listener.reorg?.(bundles);
      },
      accepted: (tx) => {
        this.pendingHashes.push(tx.hash);
        for (const listener of this.#listeners) listener.accepted?.(tx);
      },
    });
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  listen(listener: HeadListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#unsubscribe();
    this.#listeners.clear();
  }
}
