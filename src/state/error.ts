/** Owns the error codes of the state store, and what is answered for a version that is not there. */
import { defineErrors } from "../base/error.ts";

export const stateError = defineErrors("State", {
  STATE_PRUNED: {
    summary: "The version is older than the history this node keeps.",
    action: "Ask for a newer block, or a node with a longer history horizon.",
    retryable: false,
  },
  STATE_FORMAT: {
    summary: "The state was written by an incompatible version of the program.",
    action: "Use the program version that wrote it, or delete the data folder and derive the chain again.",
    retryable: false,
  },
  STATE_UNKNOWN: {
    summary: "The version does not exist, or was unwound after the reader was made.",
    action: "Ask for an existing block; after a reorg, take a new reader.",
    retryable: false,
  },
});

/** Of an empty state, -1 is there. @throws {StateError} STATE_UNKNOWN, STATE_PRUNED */
export function requireVersion({ head, oldest }: { head: number; oldest: number }, version: number): void {
  if (version === -1 && head === -1) return;
  if (!Number.isInteger(version) || version < 0 || version > head)
    throw stateError("STATE_UNKNOWN", `no state of version ${version}, the head is ${head}`, { version, head });
  if (version < oldest)
    throw stateError("STATE_PRUNED", `version ${version} is pruned, history starts at ${oldest}`, { version, oldest });
}
