/**
 * Owns the interface of durable logs (DESIGN D6): compare-and-append with fencing terms and hash links.
 * Invariant: at most one record per sequence number; `prevHash` of record n is the hash of record n-1; terms never fall.
 * A reader verifies both and refuses what breaks them, so a log fault is detected and never executed.
 * Adapters: `file-log.ts` (one machine), `jetstream-log.ts` (replicated, several processes), `memory-log.ts` (tests).
 * Payloads that start with a zero byte are the log's own (lease.ts); those of roles start with their version, from 1.
 * @see docs/decisions/0012-replicated-log.md
 */
export type LogRecord = {
  /** From 1. */
  readonly seq: number;
  readonly term: number;
  readonly prevHash: Uint8Array;
  readonly payload: Uint8Array;
  readonly hash: Uint8Array;
};

export type LogTip = { readonly seq: number; readonly term: number; readonly hash: Uint8Array };

export interface AppendLog {
  readonly name: string;
  /** The newest durable record this process knows of; seq 0 and zero hash when empty. */
  readonly tip: LogTip;
  /** Sequence number of the oldest record still held. */
  readonly oldestSeq: number;
  /**
   * Appends all payloads or none, durable when it resolves. Concurrent appends are grouped into one sync.
   * @throws {LogError} LOG_CONFLICT when `expectedSeq` is not the tip, LOG_STALE_TERM, LOG_RECORD_TOO_LARGE, LOG_DISK
   */
  append(p: { expectedSeq: number; term: number; payloads: readonly Uint8Array[] }): Promise<LogTip>;
  /** Records from `fromSeq` on, at most `countMax` or about `sizeMaxBytes`. @throws {LogError} LOG_TRIMMED, LOG_CORRUPT */
  read(fromSeq: number, countMax: number, sizeMaxBytes?: number): Promise<readonly LogRecord[]>;
  /** The tip, asked for anew: other processes may have appended. @throws {LogError} LOG_CORRUPT, LOG_CLOSED */
  refresh(): Promise<LogTip>;
  /** Resolves to the tip when it is beyond `seq`, or to the tip as it is when `signal` aborts. */
  waitBeyond(seq: number, signal: AbortSignal): Promise<LogTip>;
  /** Undefined while appends go through; else why they wait. */
  notReady(): string | undefined;
  /** Allows records below `seq` to be dropped. */
  trim(seq: number): Promise<void>;
  close(): Promise<void>;
}
