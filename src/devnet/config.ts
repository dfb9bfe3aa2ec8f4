/** Settings of a development L1 that runs as a process of a network. */
import { defineConfig, int } from "../base/config.ts";

export const devnetConfig = defineConfig("devnet", {
  l1BlockSeconds: int("SHEAF_DEVNET_L1_BLOCK_SECONDS", {
    default: 2,
    min: 1,
    max: 60,
    help: "Time between blocks of a development L1 (role `l1` of a network file), in seconds.",
  }),
});
