/**
 * Owns reading on from a remembered place: what a reader has consumed is compared with what the log holds now. A log
 * that was cut back, restored from an older copy or continued by somebody else shows here, whatever the adapter.
 */
import { bytesEqual } from "../base/bytes.ts";
import type { AppendLog, LogRecord, LogTip } from "./log.ts";
import { logError } from "./record.ts";

/** What a reader remembers of the last record it consumed; without a hash only the length can be compared. */
export type ReadPosition = { readonly seq: number; readonly hash?: Uint8Array; readonly term?: number };

const READ_RECORDS = 256;

/**
 * The records behind `position` up to the log's tip, in order.
 * @throws {LogError} LOG_CORRUPT when the log does not hold the position, or what follows does not continue it
 */
export async function* recordsBehind(log: AppendLog, position: ReadPosition): AsyncGenerator<LogRecord> {
  const { tip } = log;
  if (tip.seq < position.seq)
    throw logError("LOG_CORRUPT", `${log.name} ends at record ${tip.seq}, record ${position.seq} was read from it`, {
      seq: position.seq,
      endSeq: tip.seq,
    });
  if (tip.seq === position.seq) assertSame(log, position, tip);
  let before: ReadPosition = position;
  while (before.seq < tip.seq) {
    const records = await log.read(before.seq + 1, READ_RECORDS);
    if (records.length === 0)
      throw logError("LOG_CORRUPT", `${log.name} does not give record ${before.seq + 1}`, { seq: before.seq + 1 });
    for (const record of records) {
      const follows =
        record.seq === before.seq + 1 &&
        record.term >= (before.term ?? 0) &&
        (before.hash === undefined || bytesEqual(record.prevHash, before.hash));
      if (!follows)
        throw logError("LOG_CORRUPT", `${log.name}: record ${record.seq} does not continue what was read before`, {
          seq: record.seq,
          term: record.term,
        });
      yield record;
      before = record;
    }
  }
}

function assertSame(log: AppendLog, position: ReadPosition, tip: LogTip): void {
  if (position.hash !== undefined && position.seq > 0 && !bytesEqual(position.hash, tip.hash))
    throw logError("LOG_CORRUPT", `${log.name}: record ${tip.seq} is another one than was read`, { seq: tip.seq });
}
