/**
 * Owns what every log adapter shares: the hash link of a record, the checks of an append, and the error codes.
 * `hash = sha256(prevHash ‖ seq ‖ term ‖ payload)` with seq and term as 8-byte big-endian integers.
 */
import { createHash } from "node:crypto";
import { assert } from "../base/assert.ts";
import { bytesEqual } from "../base/bytes.ts";
import { defineErrors } from "../base/error.ts";
import type { LogRecord, LogTip } from "./log.ts";

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
  LOG_UNAVAILABLE: {
    summary: "No log server could be reached, or none leads the log, within the time a start may take.",
    action: "Check SHEAF_LOG_NATS_SERVERS, the network, and that a majority of the log servers runs with JetStream.",
    retryable: true,
  },
  LOG_REFUSED: {
    summary: "The log servers refuse this process: its token, key or certificate, or theirs.",
    action: "Check the SHEAF_LOG_NATS_* credentials and certificates on both sides.",
    retryable: false,
  },
  LOG_MISCONFIGURED: {
    summary: "A stream that should hold a log may drop or reorder records as it is configured.",
    action: "Correct the stream as the message says, or choose another SHEAF_LOG_NATS_PREFIX.",
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

/** Records that are stored together. */
export type RecordRun = {
  readonly firstSeq: number;
  readonly term: number;
  readonly count: number;
  /** Hash of the record before the first. */
  readonly prevHash: Uint8Array;
  /** The payloads, each behind its length (4 bytes, big-endian). */
  readonly payloads: Buffer;
};

/**
 * The records of a run that must follow `before`, each hash computed and so each link checked.
 * @throws {LogError} LOG_CORRUPT when it does not follow
 */
export function linkedRecords(run: RecordRun, before: LogTip, where: string): LogRecord[] {
  const broken = (what: string): Error =>
    logError("LOG_CORRUPT", `${where}: record ${run.firstSeq} ${what} record ${before.seq}`, {
      seq: run.firstSeq,
      term: run.term,
      beforeSeq: before.seq,
      beforeTerm: before.term,
    });
  if (run.firstSeq !== before.seq + 1) throw broken("is where the next one should be after");
  if (run.term < before.term) throw broken(`of term ${run.term} comes from a writer that was replaced before`);
  if (!bytesEqual(run.prevHash, before.hash)) throw broken("links to something else than");
  const records: LogRecord[] = [];
  let prevHash = before.hash;
  let at = 0;
  for (let i = 0; i < run.count; i++) {
    const end = at + 4 <= run.payloads.length ? at + 4 + run.payloads.readUInt32BE(at) : Number.POSITIVE_INFINITY;
    if (end > run.payloads.length) throw broken("is cut off behind");
    const payload = new Uint8Array(run.payloads.subarray(at + 4, end));
    at = end;
    const seq = run.firstSeq + i;
    const hash = recordHash(prevHash, seq, run.term, payload);
    records.push({ seq, term: run.term, prevHash, payload, hash });
    prevHash = hash;
  }
  return records;
}
