/** Settings of a verifier. */
import { type ConfigOf, defineConfig, int } from "../base/config.ts";

export const verifierConfig = defineConfig("verifier", {
  pollMs: int("SHEAF_VERIFIER_POLL_MS", {
    default: 500,
    min: 10,
    max: 60_000,
    help: "Pause between looks at L1 once the verifier has caught up, in milliseconds.",
  }),
  l1StartBlock: int("SHEAF_VERIFIER_L1_START_BLOCK", {
    default: 0,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    help: "L1 block from which the genesis event is searched.",
  }),
  reorgDepthMax: int("SHEAF_VERIFIER_REORG_DEPTH_MAX", {
    default: 512,
    min: 16,
    max: 4_096,
    help: "L1 blocks that can be unwound, counted from the newest derived one; finalized ones are included.",
  }),
  replayThreads: int("SHEAF_VERIFIER_REPLAY_THREADS", {
    default: 0,
    min: 0,
    max: 64,
    help: "Threads that replay blocks in parallel from their access lists (wasm engine). Pays for heavy contracts only.",
  }),
  historyBlocks: int("SHEAF_VERIFIER_HISTORY_BLOCKS", {
    default: 100_000,
    min: 128,
    max: 2_147_483_647,
    help: "How many blocks of historical state (reads and proofs) the verifier keeps.",
  }),
});

export type VerifierConfig = ConfigOf<typeof verifierConfig>;
