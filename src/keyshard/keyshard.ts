/**
 * Owns a range of the state (here: all of it) for the roles above: delegates to the state store, measures it, and
 * prunes history behind the configured horizon in small steps. Invariant: versions are contiguous block numbers.
 */
import type { Clock } from "../base/clock.ts";
import type { StateReader } from "../execution/execution.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import type { AccountProof, PreparedState, StateStore } from "../state/state.ts";
import type { KeyShardApi } from "./api.ts";
import type { KeyShardConfig } from "./config.ts";
import type { KeyShardMetrics } from "./metrics.ts";

export class KeyShard implements KeyShardApi {
  readonly #config: KeyShardConfig;
  readonly #state: StateStore;
  readonly #clock: Clock;
  readonly #metrics: KeyShardMetrics;

  constructor(config: KeyShardConfig, deps: { state: StateStore; clock: Clock; metrics: KeyShardMetrics }) {
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

  prepare(writes: StateWrites): PreparedState {
    const startMs = this.#clock.nowMs();
    const prepared = this.#state.prepare(writes);
    this.#metrics.rootSeconds.observe((this.#clock.nowMs() - startMs) / 1_000);
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

  rollback(version: number): void {
    this.#state.rollback(version);
  }

  proof(version: number, address: Uint8Array, slots: readonly Uint8Array[]): AccountProof {
    return this.#state.proof(version, address, slots);
  }

  storageRoot(version: number, address: Uint8Array): Uint8Array {
    return this.#state.storageRoot(version, address);
  }
}
