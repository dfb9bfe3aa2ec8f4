/** Limits of a gateway's intake of transactions. */
import { type ConfigOf, defineConfig, int } from "../base/config.ts";

export const gatewayConfig = defineConfig("gateway", {
  submitBatchMax: int("SHEAF_GATEWAY_SUBMIT_BATCH_MAX", {
    default: 2_048,
    min: 1,
    max: 1_000_000,
    help: "Transactions handed to the lane at once; what arrives meanwhile forms the next batch.",
  }),
  intakeTxsMax: int("SHEAF_GATEWAY_INTAKE_TXS_MAX", {
    default: 65_536,
    min: 1,
    max: 10_000_000,
    help: "Transactions being decoded, recovered or waiting for the lane; beyond it new ones are refused.",
  }),
  recoveryThreads: int("SHEAF_GATEWAY_RECOVERY_THREADS", {
    default: 1,
    min: 0,
    max: 64,
    help: "Threads that recover senders from signatures; 0 does it on the main thread.",
  }),
  feeMaxGwei: int("SHEAF_GATEWAY_FEE_MAX_GWEI", {
    default: 1_000_000_000,
    min: 0,
    max: 9_000_000_000_000_000,
    help: "Most one transaction may offer for its gas, in gwei: a guard against slips of the keyboard. 0 is no limit.",
  }),
});

export type GatewayConfig = ConfigOf<typeof gatewayConfig>;
