/**
 * Owns finding a transaction of the block being built by its hash: confirmed, gone from the pool and in no sealed block
 * yet, it must not look lost. Each transaction is hashed once, and only when somebody looks.
 */
import { toHexKey } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import type { ChainView, PendingBlock } from "./chain-view.ts";

export class PendingIndex {
  readonly #chain: ChainView;
  /** The body the places belong to; a new block brings a new one. */
  #body: readonly Uint8Array[] | undefined;
  readonly #places = new Map<string, number>();
  #hashed = 0;

  constructor(chain: ChainView) {
    this.#chain = chain;
  }

  find(hash: Uint8Array): { readonly pending: PendingBlock; readonly index: number } | undefined {
    const pending = this.#chain.pending();
    if (pending === undefined) return undefined;
    const body = pending.transactions;
    // A body only grows; one that is another or shorter is of another block.
    if (body !== this.#body || body.length < this.#hashed) {
      this.#body = body;
      this.#places.clear();
      this.#hashed = 0;
    }
    for (; this.#hashed < body.length; this.#hashed++)
      this.#places.set(toHexKey(keccak256(body[this.#hashed] as Uint8Array)), this.#hashed);
    const index = this.#places.get(toHexKey(hash));
    return index === undefined ? undefined : { pending, index };
  }
}
