/**
 * Owns what every log adapter shares: the hash link of a record, the checks of an append, and the error codes.
 * `hash = sha256(prevHash ‖ seq ‖ term ‖ payload)` with seq and term as 8-byte big-endian integers.
 */
import { createHash } from "node:crypto";
import { assert } from "../base/assert.ts";
import { defineErrors } from "../base/error.ts";
import type { LogTip } from "./log.ts";

export const logError = defineErrors("Log", {
  LOG_CONFLICT: {
    summary: "The log has moved on: the expected sequence number is not its end.",
    action: "Read what was appended since, decide again.",
    retryable: false,
  },
  LOG_STALE_TERM: {
    summary: "A higher term has written to the log: this writer has been replaced.",
    action: "Stop writing; the role must win a new term first.",
    retryable: false,
  },
  LOG_RECORD_TOO_LARGE: {
    summary: "A payload, or the payloads of one append together, exceed the size limit.",
    action: "Split the payload.",
    retryable: false,
  },
  LOG_DISK: {
    summary: "Writing or syncing failed; what was not acknowledged may or may not be stored.",
    action: "Check disk space and health, then restart: the log recovers what is durable.",
    retryable: false,
  },
  LOG_TRIMMED: {
    summary: "The records asked for have been dropped.",
    action: "Start from a snapshot, or from the oldest record.",
    retryable: false,
  },
  LOG_CORRUPT: {
    summary: "A stored record fails its checksum or its link to the record before.",
    action: "Restore the log from a replica or a backup; nothing behind the damage is trusted.",
    retryable: false,
  },
  LOG_LOCKED: {
    summary: "Another process has the log open.",
    action: "Stop the other process, or point this one at its own directory.",
    retryable: false,
  },
  LOG_CLOSED: {
    summary: "The log was closed while the request was waiting.",
    action: "Nothing, when the process is stopping.",
    retryable: false,
  },
});

export const ZERO_HASH = new Uint8Array(32);
export const EMPTY_TIP: LogTip = { seq: 0, term: 0, hash: ZERO_HASH };
export const PAYLOAD_SIZE_MAX_BYTES = 32 << 20;
/** Of all payloads of one append. */
export const APPEND_SIZE_MAX_BYTES = 64 << 20;

export type Append = {
  readonly expectedSeq: number;
  readonly term: number;
  readonly payloads: readonly Uint8Array[];
};

export function recordHash(prevHash: Uint8Array, seq: number, term: number, payload: Uint8Array): Uint8Array {
  const head = Buffer.allocUnsafe(48);
  head.set(prevHash, 0);
  head.writeBigUInt64BE(BigInt(seq), 32);
  head.writeBigUInt64BE(BigInt(term), 40);
  return new Uint8Array(createHash("sha256").update(head).update(payload).digest());
}

/** The end of the log after `payloads` follow `tip`. */
export function tipAfter(tip: LogTip, term: number, payloads: readonly Uint8Array[]): LogTip {
  let { seq, hash } = tip;
  for (const payload of payloads) hash = recordHash(hash, ++seq, term, payload);
  return { seq, term, hash };
}

/**
 * Checks an append against the end of the log, records on their way to the disk included.
 * @throws {LogError} LOG_STALE_TERM, LOG_CONFLICT, LOG_RECORD_TOO_LARGE
 */
export function checkAppend(end: LogTip, append: Append): void {
  const { expectedSeq, term, payloads } = append;
  assert(Number.isSafeInteger(term) && term >= 0, "a term is a natural number");
  assert(payloads.length > 0, "an append holds at least one payload");
  if (term < end.term)
    throw logError("LOG_STALE_TERM", `term ${term} writes after term ${end.term}`, { term, endTerm: end.term });
  if (expectedSeq !== end.seq)
    throw logError("LOG_CONFLICT", `expected the log to end at ${expectedSeq}, it ends at ${end.seq}`, {
      expectedSeq,
      endSeq: end.seq,
    });
  let sizeBytes = 0;
  for (const payload of payloads) {
    sizeBytes += payload.length;
    if (payload.length > PAYLOAD_SIZE_MAX_BYTES || sizeBytes > APPEND_SIZE_MAX_BYTES)
      throw logError("LOG_RECORD_TOO_LARGE", `payload of ${payload.length} bytes, append of ${sizeBytes} or more`, {
        payloadSizeMaxBytes: PAYLOAD_SIZE_MAX_BYTES,
        appendSizeMaxBytes: APPEND_SIZE_MAX_BYTES,
      });
  }
}
