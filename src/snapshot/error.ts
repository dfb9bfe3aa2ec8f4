/** Faults of snapshots. */
import { defineErrors } from "../base/error.ts";

export const snapshotError = defineErrors("Snapshot", {
  SNAPSHOT_CORRUPT: {
    summary: "A chunk or manifest is missing or is not what its hash says.",
    action: "Take another snapshot of the folder, or copy the folder anew from where it came.",
    retryable: false,
  },
  SNAPSHOT_UNTRUSTED: {
    summary: "A manifest is not signed by a key that is trusted here.",
    action: "Name the signer's address if you do trust it; restore from L1 alone otherwise.",
    retryable: false,
  },
  SNAPSHOT_OTHER_CHAIN: {
    summary: "The snapshot is of another cluster.",
    action: "Choose a snapshot of this cluster: chain id and genesis hash must agree.",
    retryable: false,
  },
  SNAPSHOT_TARGET_NOT_EMPTY: {
    summary: "The folder to restore into holds data already.",
    action: "Move that data away first; a restore never overwrites.",
    retryable: false,
  },
  SNAPSHOT_NONE: {
    summary: "The folder holds no snapshot, or not the one asked for.",
    action: "List the folder with `sheaf snapshot list`.",
    retryable: false,
  },
});
