/** Settings of the orderer. */
import { type ConfigOf, defineConfig, int } from "../base/config.ts";

export const ordererConfig = defineConfig("orderer", {
  blockTimeMs: int("SHEAF_BLOCK_TIME_MS", {
    default: 1_000,
    min: 1_000,
    max: 60_000,
    help: "Time between blocks; block timestamps are whole seconds and always rise.",
  }),
  cutIntervalMs: int("SHEAF_CUT_INTERVAL_MS", {
    default: 50,
    min: 5,
    max: 1_000,
    help: "Time between cuts: how often waiting transactions are ordered and executed.",
  }),
  cutSizeMaxBytes: int("SHEAF_CUT_SIZE_MAX_BYTES", {
    default: 4_194_304,
    min: 131_072,
    max: 67_108_864,
    help: "Most bytes of transactions one cut orders.",
  }),
  blockSizeMaxBytes: int("SHEAF_BLOCK_SIZE_MAX_BYTES", {
    default: 4_194_304,
    min: 131_072,
    max: 8_388_608,
    help: "Most bytes of transactions in one block. Whatever it says, a block ends where it would not fit one segment of six blobs, compressed.",
  }),
  cutGasMax: int("SHEAF_CUT_GAS_MAX", {
    default: 30_000_000,
    min: 1_000_000,
    max: 1_000_000_000_000,
    help: "Gas (by gas limit) that ends a cut once it is reached; also bounded by what the block has left.",
  }),
  l1ConfDepth: int("SHEAF_L1_CONF_DEPTH", {
    default: 0,
    min: 0,
    max: 1_000,
    help: "How many L1 blocks an origin must be below the L1 head before it is used; deposits wait as long.",
  }),
  l1PollMs: int("SHEAF_L1_POLL_MS", {
    default: 500,
    min: 50,
    max: 60_000,
    help: "Time between looks at L1.",
  }),
  unpostedBlocksMax: int("SHEAF_UNPOSTED_BLOCKS_MAX", {
    default: 3_600,
    min: 16,
    max: 10_000_000,
    help: "Sealed blocks not yet safe on L1 beyond which no further transactions are ordered.",
  }),
});

export type OrdererConfig = ConfigOf<typeof ordererConfig>;
