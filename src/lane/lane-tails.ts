/**
 * Owns the lanes of a cluster as a replay of the order meets them: what a cut names, merged by its policy, and what
 * execution put back meanwhile, which whoever leads next must make durable again where it is not.
 * Invariant: what execution put back is durable before the next block opens (its leader waits for that, whether it
 * confirms by cut or by block), so only what came since can be owed.
 */
import { assert } from "../base/assert.ts";
import { toHexKey } from "../base/bytes.ts";
import type { OrderedTx, OrderRecord } from "../protocol/cut.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { type LaneTx, orderOfCut } from "../protocol/ordering.ts";
import type { ReplayLanes, Settlement } from "./api.ts";
import { runsLater } from "./lane.ts";
import type { LaneTail } from "./lane-tail.ts";

export class LaneTails implements ReplayLanes {
  /** By lane. */
  readonly tails: readonly LaneTail[];
  /** By hash: skipped for now or rewound since a block was opened last. */
  readonly #owed = new Map<string, Settlement["tx"]>();

  constructor(tails: readonly LaneTail[]) {
    this.tails = tails;
  }

  /** Put back by execution, and not known to be durable again. */
  get owed(): Iterable<Settlement["tx"]> {
    return this.#owed.values();
  }

  async orderOf(cut: Extract<OrderRecord, { kind: "cut" }>, baseFeeWei: bigint): Promise<readonly LaneTx[]> {
    const runs: (readonly LaneTx[])[] = [];
    for (const { lane, seq } of cut.positions) {
      const tail = this.tails[lane];
      assert(tail !== undefined, `lane ${lane} exists`);
      runs.push(await tail.batchAt(seq));
    }
    return orderOfCut(cut.ordering, runs, baseFeeWei);
  }

  /** Reads every lane up to the end of its log. */
  async readOn(): Promise<void> {
    await Promise.all(this.tails.map((tail) => tail.readOn()));
  }

  nextBlock(): void {
    this.#owed.clear();
  }

  async settle(settlements: readonly Settlement[]): Promise<void> {
    for (const s of settlements)
      if (runsLater(s)) this.#owed.set(toHexKey(s.hash), s.tx);
      else this.#owed.delete(toHexKey(s.hash));
  }

  async prepareReturn(txs: readonly OrderedTx[]): Promise<() => void> {
    for (const tx of txs) this.#owed.set(toHexKey(keccak256(tx.raw)), tx);
    return () => undefined;
  }
}
