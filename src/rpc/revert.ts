/** Owns how failed executions are reported: revert reasons decoded for people, raw data for programs. */
import { toHex } from "../base/bytes.ts";
import type { CallResult } from "../execution/execution.ts";
import { revertReason } from "../execution/revert-reason.ts";
import { RpcError } from "./errors.ts";

const REASON_BYTES_MAX = 1_024;

/** The error a client gets for a call that did not succeed. */
export function callError(result: CallResult): RpcError {
  if (result.status === "revert") {
    const reason = revertReason(result.output, REASON_BYTES_MAX);
    const message = reason === undefined ? "execution reverted" : `execution reverted: ${reason}`;
    return new RpcError("EXECUTION_REVERTED", message, toHex(result.output));
  }
  return new RpcError("SERVER_ERROR", result.error ?? "execution failed");
}
