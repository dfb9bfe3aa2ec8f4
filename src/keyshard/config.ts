/** Settings of a key shard. */
import { type ConfigOf, defineConfig, int } from "../base/config.ts";

export const keyshardConfig = defineConfig("keyshard", {
  historyBlocks: int("SHEAF_HISTORY_BLOCKS", {
    default: 100_000,
    min: 128,
    max: 2_147_483_647,
    help: "How many blocks of historical state (reads and proofs) are kept.",
  }),
});

export type KeyShardConfig = ConfigOf<typeof keyshardConfig>;
