/**
 * What others may ask of a key shard: reads at a version, the root of a write set, and storing it. One shard owns the
 * whole key space here; a range of it later, with the same interface.
 */
import type { StateStore } from "../state/state.ts";

export type KeyShardApi = Omit<StateStore, "prune">;
