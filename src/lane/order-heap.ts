/** Owns picking the first of many entries in the order of a policy, again and again, as a cut is filled. */
import { effectiveTipWei, type OrderingPolicy, type Ranked } from "../protocol/ordering.ts";
import type { TakeLimits } from "./api.ts";
import type { Entry } from "./pool.ts";

/** An entry in the order of the policy. */
export type Offered = Ranked & { readonly entry: Entry; readonly gasLimit: number };

/** Heap of entries, first in the order on top. Those the block cannot take yet are left out. */
export class OrderHeap {
  readonly #policy: OrderingPolicy;
  readonly #limits: TakeLimits;
  readonly #items: Offered[] = [];

  constructor(policy: OrderingPolicy, limits: TakeLimits) {
    this.#policy = policy;
    this.#limits = limits;
  }

  offer(entry: Entry): void {
    const { arrival } = entry;
    const tipWei = effectiveTipWei(entry.tx, this.#limits.baseFeeWei);
    if (entry.tx.maxFeePerGasWei < this.#limits.baseFeeWei || arrival.acceptedMs >= this.#limits.acceptedBeforeMs)
      return;
    const items = this.#items;
    let at = items.length;
    items.push({ entry, tipWei, arrival, gasLimit: Number(entry.tx.gasLimit) });
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  pop(): Offered | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (top === undefined || last === undefined) return undefined;
    if (items.length > 0) {
      items[0] = last;
      let at = 0;
      for (;;) {
        const left = 2 * at + 1;
        const right = left + 1;
        let best = at;
        if (left < items.length && this.#before(left, best)) best = left;
        if (right < items.length && this.#before(right, best)) best = right;
        if (best === at) break;
        this.#swap(at, best);
        at = best;
      }
    }
    return top;
  }

  #before(a: number, b: number): boolean {
    return this.#policy.before(this.#items[a] as Offered, this.#items[b] as Offered);
  }

  #swap(a: number, b: number): void {
    const x = this.#items[a] as Offered;
    this.#items[a] = this.#items[b] as Offered;
    this.#items[b] = x;
  }
}
