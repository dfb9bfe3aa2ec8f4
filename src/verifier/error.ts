/** Owns the error codes of the verifier. */
import { defineErrors } from "../base/error.ts";

export const verifierError = defineErrors("Verifier", {
  VERIFIER_NO_GENESIS: {
    summary: "The inbox contract has not published a genesis document.",
    action: "Check the inbox address and the L1 endpoint; publish the genesis of the cluster.",
    retryable: true,
  },
  VERIFIER_WRONG_GENESIS: {
    summary: "The genesis document belongs to another L1, another inbox, or another database.",
    action: "Check the inbox address and the L1 endpoint, or use an empty data folder.",
    retryable: false,
  },
  VERIFIER_REORG_TOO_DEEP: {
    summary: "L1 reorganised below the oldest block that the verifier can unwind to.",
    action: "Check the L1 endpoint; if it is right, delete the verifier's data folder and derive the chain again.",
    retryable: false,
  },
  VERIFIER_DIVERGED: {
    summary: "A posted output root or a sealed block contradicts the chain derived from L1.",
    action: "Stop settlement of the cluster; compare the block and transaction that the message names.",
    retryable: false,
  },
});
