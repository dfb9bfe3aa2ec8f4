/**
 * Owns the log that lives in memory: for tests and simulations. Behaves like the file log, acknowledgements one turn
 * later included; what it holds is gone with the process.
 */
import { assert } from "../base/assert.ts";
import type { AppendLog, LogRecord, LogTip } from "./log.ts";
import { type Append, checkAppend, EMPTY_TIP, logError, recordHash } from "./record.ts";
import { TipWatch } from "./tip-watch.ts";

export class MemoryLog implements AppendLog {
  readonly name: string;
  #records: LogRecord[] = [];
  /** Sequence number of the first element of #records. */
  #firstSeq = 1;
  #end: LogTip = EMPTY_TIP;
  #tip: LogTip = EMPTY_TIP;
  readonly #watch = new TipWatch();
  #closed = false;

  constructor(name = "memory") {
    this.name = name;
  }

  get tip(): LogTip {
    return this.#tip;
  }

  get oldestSeq(): number {
    return this.#firstSeq;
  }

  async append(append: Append): Promise<LogTip> {
    if (this.#closed) throw logError("LOG_CLOSED", `${this.name} is closed`);
    checkAppend(this.#end, append);
    const appended: LogRecord[] = [];
    let { seq, hash } = this.#end;
    for (const bytes of append.payloads) {
      const payload = bytes.slice();
      const prevHash = hash;
      hash = recordHash(prevHash, ++seq, append.term, payload);
      appended.push({ seq, term: append.term, prevHash, payload, hash });
    }
    const tip = { seq, term: append.term, hash };
    this.#end = tip;
    await new Promise((resolve) => setImmediate(resolve));
    this.#records.push(...appended);
    this.#tip = tip;
    this.#watch.moved(tip);
    return tip;
  }

  async refresh(): Promise<LogTip> {
    if (this.#closed) throw logError("LOG_CLOSED", `${this.name} is closed`);
    // Who was refused because of records on their way must see them now.
    await new Promise((resolve) => setImmediate(resolve));
    return this.#tip;
  }

  async waitBeyond(seq: number, signal: AbortSignal): Promise<LogTip> {
    await this.#watch.beyond(this.#tip, seq, signal);
    return this.#tip;
  }

  notReady(): undefined {}

  async read(
    fromSeq: number,
    countMax: number,
    sizeMaxBytes = Number.POSITIVE_INFINITY,
  ): Promise<readonly LogRecord[]> {
    assert(fromSeq >= 1 && countMax >= 0, "reads start at a record and ask for a number of them");
    if (fromSeq < this.#firstSeq)
      throw logError("LOG_TRIMMED", `record ${fromSeq} is gone, the oldest is ${this.#firstSeq}`, {
        fromSeq,
        oldestSeq: this.#firstSeq,
      });
    const found: LogRecord[] = [];
    let sizeBytes = 0;
    for (let i = fromSeq - this.#firstSeq; i < this.#records.length && found.length < countMax; i++) {
      const record = this.#records[i] as LogRecord;
      sizeBytes += record.payload.length;
      if (found.length > 0 && sizeBytes > sizeMaxBytes) break;
      found.push(record);
    }
    return found;
  }

  async trim(seq: number): Promise<void> {
    const count = Math.max(0, Math.min(seq - this.#firstSeq, this.#records.length));
    this.#records = this.#records.slice(count);
    this.#firstSeq += count;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
