/** Owns what the limit of time of a call means, whatever the engine. */
import { EMPTY_BYTES } from "../base/bytes.ts";
import { emptyWrites } from "../protocol/state-writes.ts";
import type { CallInput, CallResult } from "./execution.ts";

/** After this long in one turn the event loop gets its turn. */
export const CALL_TURN_MS = 10;

/** The answer to a call that was given up. */
export function timedOut(call: CallInput): CallResult {
  return {
    status: "halt",
    output: EMPTY_BYTES,
    gasUsed: call.gasLimit,
    gasRefunded: 0,
    logs: [],
    error: `execution aborted (timeout = ${call.timeoutMs}ms)`,
    contractAddress: undefined,
    writes: emptyWrites(),
    accessed: [],
  };
}
