/** Owns the proposer's settings. How far outputs are apart is the oracle contract's to say. */
import { type ConfigOf, defineConfig, int, oneOf } from "../base/config.ts";

export const proposerConfig = defineConfig("proposer", {
  basis: oneOf("SHEAF_PROPOSER_BASIS", ["safe", "finalized"], {
    default: "safe",
    help: "Propose blocks derived from L1 at all, or only those derived from finalized L1 blocks.",
  }),
  pollMs: int("SHEAF_PROPOSER_POLL_MS", {
    default: 2_000,
    min: 10,
    max: 600_000,
    help: "Pause between two looks at the oracle, in milliseconds.",
  }),
});

export type ProposerConfig = ConfigOf<typeof proposerConfig>;
