/**
 * What others may ask of the key shards together: reads at a version, the root of a write set, and storing it. How many
 * there are and where they run does not show.
 */
import type { ChainState } from "../state/state.ts";

export type KeyShardApi = Omit<ChainState, "prune" | "proof">;
