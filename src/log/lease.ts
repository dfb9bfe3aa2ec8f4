/**
 * Owns leadership of a role through its log: who leads is who wrote the newest claim, and a claim is a record appended
 * behind the end its candidate has read, with a term above it. The log lets one candidate win each term and refuses
 * every later append of the one before, so no clock has a part in safety. Clocks decide only when to try: a candidate
 * claims when, by its own clock, the log has been silent for the lease, or its leader has resigned. Clocks that run
 * apart cost a needless change of leaders, never two of them.
 *
 *   watching ──silence, resignation, empty log──▶ claiming ──won──▶ leading ──refused append──▶ lost
 *      ▲────────── refused: somebody else wrote ──────┘                └──resign──▶ over
 *
 * On failure: a leader that cannot append learns that it lost from the refusal; one that stalls finds its next append
 * refused. A leader's ordinary records renew its lease, `run` appends a renewal when there are none.
 *
 *   lease record  0 ‖ version 1 ‖ kind ‖ holder
 */
import { assert } from "../base/assert.ts";
import { codecError, Reader, Writer } from "../base/binary.ts";
import type { Clock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import type { AppendLog, LogTip } from "./log.ts";
import { LogWriter } from "./log-writer.ts";
import { logError } from "./record.ts";

export type LeaseRecord = {
  readonly kind: "claim" | "renewal" | "resignation";
  /** Who wrote it, for people: a process's name. */
  readonly holder: string;
};

export type LeaseOptions = {
  readonly holder: string;
  /** How long a leader may be silent before others take its place. 0: the log has one owner at a time anyway. */
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly termAtLeast?: number;
  /** Asked before each try: one that is not ready to lead does not stand. */
  readonly mayStand?: () => boolean;
};

const MARK = 0;
const VERSION = 1;
const KINDS = ["claim", "renewal", "resignation"] as const;
/** So often in a lease the leader is heard at least. */
const RENEWALS_PER_LEASE = 3;

/** True for the log's own records, which readers of the role's records pass over. */
export function isLeaseRecord(payload: Uint8Array): boolean {
  return payload[0] === MARK;
}

export function encodeLeaseRecord(record: LeaseRecord): Uint8Array {
  return new Writer(64).byte(MARK).byte(VERSION).byte(KINDS.indexOf(record.kind)).text(record.holder).finish();
}

/** @throws {CodecError} on anything that `encodeLeaseRecord` cannot have written. */
export function decodeLeaseRecord(payload: Uint8Array): LeaseRecord {
  const r = new Reader(payload);
  if (r.byte() !== MARK || r.byte() !== VERSION) throw codecError("CODEC_MALFORMED", "not a lease record");
  const kind = KINDS[r.byte()];
  if (kind === undefined) throw codecError("CODEC_MALFORMED", "lease record kind is not known");
  const record = { kind, holder: r.text() };
  r.end();
  return record;
}

/**
 * Waits until the log has no leader and takes its place.
 * @returns undefined when `signal` aborts first
 * @throws {LogError} when the log fails
 */
export async function takeLead(
  log: AppendLog,
  options: LeaseOptions,
  signal: AbortSignal,
): Promise<Leadership | undefined> {
  const { clock, leaseMs } = options;
  let seen = await log.refresh();
  let seenMs = clock.nowMs();
  let resigned = await hasResigned(log, seen);
  while (!signal.aborted) {
    const silentMs = clock.nowMs() - seenMs;
    const free = seen.seq === 0 || resigned || silentMs >= leaseMs;
    if (!free || options.mayStand?.() === false) {
      // One that may not stand looks again when the log moves, and now and then.
      await silence(
        log,
        seen.seq,
        free ? Math.max(20, leaseMs / RENEWALS_PER_LEASE) : leaseMs - silentMs,
        clock,
        signal,
      );
      if (log.tip.seq === seen.seq) continue;
    } else {
      const term = Math.max(seen.term + 1, options.termAtLeast ?? 1);
      const claim = encodeLeaseRecord({ kind: "claim", holder: options.holder });
      try {
        await log.append({ expectedSeq: seen.seq, term, payloads: [claim] });
        return new Leadership(log, term, options);
      } catch (error) {
        if (!hasCode(error, "LOG_CONFLICT") && !hasCode(error, "LOG_STALE_TERM")) throw error;
        await log.refresh();
      }
    }
    seen = log.tip;
    seenMs = clock.nowMs();
    resigned = await hasResigned(log, seen);
  }
  return undefined;
}

/** Writes a claim of `term` into a further log of the role, so that the leader before can add nothing to it. */
export async function fence(log: AppendLog, term: number, holder: string): Promise<void> {
  const payloads = [encodeLeaseRecord({ kind: "claim", holder })];
  await log.refresh();
  for (;;) {
    const { seq, term: before } = log.tip;
    // The same term is ours already: nobody else has it.
    if (before > term)
      throw logError("LOG_STALE_TERM", `${log.name} has seen term ${before}, this is term ${term}`, {
        term,
        endTerm: before,
      });
    try {
      await log.append({ expectedSeq: seq, term, payloads });
      return;
    } catch (error) {
      // The leader before is still writing; each try starts behind what it wrote.
      if (!hasCode(error, "LOG_CONFLICT")) throw error;
      await log.refresh();
    }
  }
}

async function hasResigned(log: AppendLog, tip: LogTip): Promise<boolean> {
  if (tip.seq === 0) return false;
  const [record] = await log.read(tip.seq, 1);
  return record !== undefined && isLeaseRecord(record.payload)
    ? decodeLeaseRecord(record.payload).kind === "resignation"
    : false;
}

/** Ends after `ms`, or when the log moves or `signal` aborts. */
async function silence(log: AppendLog, seq: number, ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const onAbort = (): void => stop.abort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    void clock.sleep(ms, stop.signal).then(onAbort);
    if (!signal.aborted) await log.waitBeyond(seq, stop.signal);
  } finally {
    signal.removeEventListener("abort", onAbort);
    stop.abort();
  }
}

export class Leadership {
  readonly term: number;
  /** The one way to append under this leadership. */
  readonly writer: LogWriter;
  readonly #log: AppendLog;
  readonly #options: LeaseOptions;
  #over = false;

  constructor(log: AppendLog, term: number, options: LeaseOptions) {
    this.#log = log;
    this.#options = options;
    this.term = term;
    this.writer = new LogWriter(log, term);
  }

  /** Renews the lease until `signal` aborts. @throws {LogError} LOG_STALE_TERM, LOG_CONFLICT when it is lost */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, leaseMs, holder } = this.#options;
    while (!signal.aborted) {
      const { seq } = this.#log.tip;
      await clock.sleep(leaseMs === 0 ? 60_000 : leaseMs / RENEWALS_PER_LEASE, signal);
      if (signal.aborted || leaseMs === 0 || this.#over || this.#log.tip.seq > seq) continue;
      await this.writer.append(encodeLeaseRecord({ kind: "renewal", holder }));
    }
  }

  /** Lets the next candidate claim at once. Nothing is appended after it. A log that does not answer is not waited for. */
  async resign(): Promise<void> {
    assert(!this.#over, "a leadership ends once");
    this.#over = true;
    const { clock, leaseMs, holder } = this.#options;
    if (leaseMs === 0) return; // nobody waits
    const resigned = this.writer.append(encodeLeaseRecord({ kind: "resignation", holder }));
    const stop = new AbortController();
    await Promise.race([resigned, clock.sleep(leaseMs, stop.signal)]).finally(() => stop.abort());
  }
}
