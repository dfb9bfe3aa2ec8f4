/**
 * Owns the running of ordered transactions: holds the open block's execution on the engine and nothing else. Stateless
 * across blocks: killing it loses work, never data; a replay of the order log gives the same effects.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { BlockExecution, type ChainParameters, type ParentBlock } from "../execution/block-execution.ts";
import type { Engine, TxResult } from "../execution/execution.ts";
import type { KeyShardApi } from "../keyshard/api.ts";
import type { BlockContext, OrderedTx } from "../protocol/cut.ts";
import type { PendingBlock } from "../rpc/chain-view.ts";
import type { ShadowApi } from "../shadow/api.ts";
import type { ExecutorApi, FinishedBlock } from "./api.ts";
import type { ExecutorMetrics } from "./metrics.ts";

export type ExecutorDeps = {
  readonly engine: Engine;
  readonly keyshard: KeyShardApi;
  readonly chain: ChainParameters;
  /** Whether blocks come with their access list. */
  readonly withAccessLists: boolean;
  /** Runs every block a second time, beside this. */
  readonly shadow?: ShadowApi | undefined;
  readonly clock: Clock;
  readonly metrics: ExecutorMetrics;
};

export class Executor implements ExecutorApi {
  readonly #deps: ExecutorDeps;
  #open: { execution: BlockExecution; parent: ParentBlock } | undefined;

  constructor(deps: ExecutorDeps) {
    this.#deps = deps;
  }

  async open(context: BlockContext, parent: ParentBlock): Promise<void> {
    assert(this.#open === undefined, "one block is open at a time");
    const { engine, keyshard, chain, withAccessLists, shadow } = this.#deps;
    assert(keyshard.head === parent.header.number, "the state is that of the parent");
    const state = keyshard.reader();
    const execution = await BlockExecution.begin({
      chain,
      parent,
      attributes: context,
      state,
      engine,
      withAccessList: withAccessLists,
      observer: shadow?.open(context, parent, state),
    });
    this.#open = { execution, parent };
  }

  async execute(txs: readonly OrderedTx[]): Promise<readonly TxResult[]> {
    const { execution } = this.#required();
    const startMs = this.#deps.clock.nowMs();
    const gasBefore = execution.gasUsed;
    const applied = await execution.apply(txs);
    this.#deps.metrics.batchSeconds.observe((this.#deps.clock.nowMs() - startMs) / 1_000);
    this.#deps.metrics.gas.inc(execution.gasUsed - gasBefore);
    return applied.map((a) => (a.included ? a.result : a));
  }

  pending(): PendingBlock | undefined {
    if (this.#open === undefined) return undefined;
    const { execution, parent } = this.#open;
    return {
      env: execution.env,
      parentHash: parent.hash,
      parentBeaconBlockRoot: execution.attributes.origin.parentBeaconBlockRoot,
      ...execution.confirmed,
    };
  }

  confirm(): void {
    this.#required().execution.confirm();
  }

  gasLeft(): number {
    return this.#required().execution.gasLeft;
  }

  async finish(): Promise<FinishedBlock> {
    const { execution } = this.#required();
    const finished = await execution.finishBeside((writes) => this.#deps.keyshard.prepare(writes));
    await this.#deps.shadow?.finish(finished);
    return finished;
  }

  abandon(): void {
    this.#open = undefined;
    this.#deps.shadow?.abandon();
  }

  #required(): { execution: BlockExecution; parent: ParentBlock } {
    assert(this.#open !== undefined, "a block is open");
    return this.#open;
  }
}
