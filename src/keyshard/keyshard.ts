/**
 * Owns the state for the roles above, in one database or on key shards: delegates to the store, measures it, and prunes
 * history behind the configured horizon in small steps. Invariant: versions are contiguous block numbers.
 */
import type { Clock } from "../base/clock.ts";
import type { StateReader } from "../execution/execution.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import type { ChainState, PreparedState } from "../state/state.ts";
import type { KeyShardApi } from "./api.ts";
import type { KeyShardConfig } from "./config.ts";
import type { KeyShardMetrics } from "./metrics.ts";

export class KeyShard implements KeyShardApi {
  readonly #config: KeyShardConfig;
  readonly #state: ChainState;
  readonly #clock: Clock;
  readonly #metrics: KeyShardMetrics;

  constructor(config: KeyShardConfig, deps: { state: ChainState; clock: Clock; metrics: KeyShardMetrics }) {
    this.#config = config;
    this.#state = deps.state;
    this.#clock = deps.clock;
    this.#metrics = deps.metrics;
  }

  get head(): number {
    return this.#state.head;
  }

  get oldest(): number {
    return this.#state.oldest;
  }

  reader(version?: number): StateReader {
    return this.#state.reader(version);
  }

  prepare(writes: StateWrites): PreparedState | Promise<PreparedState> {
    const startMs = this.#clock.nowMs();
    const prepared = this.#state.prepare(writes);
    const observe = (): void => this.#metrics.rootSeconds.observe((this.#clock.nowMs() - startMs) / 1_000);
    if (prepared instanceof Promise) void prepared.then(observe, () => undefined);
    else observe();
    return prepared;
  }

  commit(version: number, prepared: PreparedState): void {
    const startMs = this.#clock.nowMs();
    this.#state.commit(version, prepared);
    const horizon = version - this.#config.historyBlocks;
    // One call does a bounded piece of work: in every block, so that it keeps pace with what blocks add.
    if (horizon > 0) this.#state.prune(horizon);
    this.#metrics.commitSeconds.observe((this.#clock.nowMs() - startMs) / 1_000);
    this.#metrics.oldestVersion.set(this.#state.oldest);
  }

  notReady(): string | undefined {
    return this.#state.notReady?.();
  }

  rollback(version: number): void {
    this.#state.rollback(version);
  }
}
