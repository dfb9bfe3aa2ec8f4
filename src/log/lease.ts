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
 *   lease record  0 ‖ version 2 ‖ kind ‖ holder ‖ address ‖ block?
 */
import { assert } from "../base/assert.ts";
import { codecError, Reader, Writer } from "../base/binary.ts";
import type { Clock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import { abortWith } from "../base/signal.ts";
import type { AppendLog, LogTip } from "./log.ts";
import { LogWriter } from "./log-writer.ts";
import { logError } from "./record.ts";

export type LeaseRecord = {
  readonly kind: "claim" | "renewal" | "resignation";
  /** Who wrote it, for people: a process's name. */
  readonly holder: string;
  /** Where others reach the holder; empty when they do not. */
  readonly address: string;
  /** The newest block that the leader has sealed, for others to compare with theirs. */
  readonly block?: LeaseBlock | undefined;
};

export type LeaseBlock = { readonly number: number; readonly hash: Uint8Array };

export type LeaseOptions = {
  readonly holder: string;
  /** Where others reach this process, once it listens. */
  readonly address?: () => string;
  /** How long a leader may be silent before others take its place. 0: the log has one owner at a time anyway. */
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly termAtLeast?: number;
  /** Asked before each try: one that is not ready to lead does not stand. */
  readonly mayStand?: () => boolean;
  /** What else tells that the leader is gone, so that its lease need not be waited for. A hint: the log decides. */
  readonly gone?: { readonly isGone: boolean; onGone(listener: (() => void) | undefined): void };
};

const MARK = 0;
/** The first version had neither address nor block; logs of 0.1.0 hold it. */
const VERSIONS = [1, 2] as const;
const KINDS = ["claim", "renewal", "resignation"] as const;
/** So often in a lease the leader is heard at least. */
const RENEWALS_PER_LEASE = 3;
/** One that could lead and may not yet looks so often whether it may. */
const NOT_READY_LOOK_MS = 50;

/** True when a write was refused because somebody else has written where only a leader writes: the lead is lost. */
export function isLeadLost(error: unknown): boolean {
  return hasCode(error, "LOG_STALE_TERM") || hasCode(error, "LOG_CONFLICT");
}

/** True for the log's own records, which readers of the role's records pass over. */
export function isLeaseRecord(payload: Uint8Array): boolean {
  return payload[0] === MARK;
}

export function encodeLeaseRecord(record: LeaseRecord): Uint8Array {
  const w = new Writer(128).byte(MARK).byte(2).byte(KINDS.indexOf(record.kind));
  w.text(record.holder).text(record.address);
  return w.optional(record.block, (b) => w.uvarint(b.number).fixed(b.hash)).finish();
}

/** @throws {CodecError} on anything that `encodeLeaseRecord` cannot have written. */
export function decodeLeaseRecord(payload: Uint8Array): LeaseRecord {
  const r = new Reader(payload);
  if (r.byte() !== MARK) throw codecError("CODEC_MALFORMED", "not a lease record");
  const version = VERSIONS.find((known) => known === payload[1]);
  r.byte();
  const kind = KINDS[r.byte()];
  if (version === undefined || kind === undefined)
    throw codecError("CODEC_MALFORMED", "version or kind of a lease record is not known");
  const holder = r.text();
  const address = version === 1 ? "" : r.text();
  const block = version === 1 ? undefined : r.optional(() => ({ number: r.uvarint(), hash: r.fixed(32).slice() }));
  r.end();
  return { kind, holder, address, ...(block === undefined ? {} : { block }) };
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
  const { clock, leaseMs, gone } = options;
  let seen = await log.refresh();
  let seenMs = clock.nowMs();
  let resigned = await hasResigned(log, seen);
  while (!signal.aborted) {
    const silentMs = clock.nowMs() - seenMs;
    const isGone = gone?.isGone === true;
    const free = seen.seq === 0 || resigned || isGone || silentMs >= leaseMs;
    if (!free || options.mayStand?.() === false) {
      // One that may not stand looks again when the log moves, and now and then.
      await silence(
        log,
        seen.seq,
        free ? NOT_READY_LOOK_MS : leaseMs - silentMs,
        clock,
        signal,
        free ? undefined : gone,
      );
      if (log.tip.seq === seen.seq) continue;
    } else if (!resigned && !isGone && (await hasAnsweredLate(log, options))) {
      // The log was silent and not its leader, who waits for it as this does: the lease begins anew.
    } else {
      const term = Math.max(seen.term + 1, options.termAtLeast ?? 1);
      const claim = leaseRecord("claim", options);
      try {
        await log.append({ expectedSeq: seen.seq, term, payloads: [claim] });
        return new Leadership(log, term, options);
      } catch (error) {
        if (!isLeadLost(error)) throw error;
        await log.refresh();
      }
    }
    seen = log.tip;
    seenMs = clock.nowMs();
    resigned = await hasResigned(log, seen);
  }
  return undefined;
}

/** Looks at the end of the log. True when it took so long that silence says nothing about the leader. */
async function hasAnsweredLate(log: AppendLog, { clock, leaseMs }: LeaseOptions): Promise<boolean> {
  const startMs = clock.nowMs();
  const before = log.tip.seq;
  const { seq } = await log.refresh();
  return seq > before || clock.nowMs() - startMs > leaseMs / RENEWALS_PER_LEASE;
}

function leaseRecord(kind: LeaseRecord["kind"], options: LeaseOptions, block?: LeaseBlock): Uint8Array {
  return encodeLeaseRecord({ kind, holder: options.holder, address: options.address?.() ?? "", block });
}

/** Writes a claim of `term` into a further log of the role, so that the leader before can add nothing to it. */
export async function fence(log: AppendLog, term: number, holder: string): Promise<void> {
  const payloads = [encodeLeaseRecord({ kind: "claim", holder, address: "" })];
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

/** Ends after `ms`, or when the log moves, the leader is found gone or `signal` aborts. */
async function silence(
  log: AppendLog,
  seq: number,
  ms: number,
  clock: Clock,
  signal: AbortSignal,
  gone: LeaseOptions["gone"],
): Promise<void> {
  const stop = new AbortController();
  const untie = abortWith(stop, signal);
  gone?.onGone(() => stop.abort());
  try {
    void clock.sleep(ms, stop.signal).then(() => stop.abort());
    if (!signal.aborted) await log.waitBeyond(seq, stop.signal);
  } finally {
    untie();
    gone?.onGone(undefined);
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
    const { clock, leaseMs } = this.#options;
    while (!signal.aborted) {
      const { seq } = this.#log.tip;
      await clock.sleep(leaseMs === 0 ? 60_000 : leaseMs / RENEWALS_PER_LEASE, signal);
      if (signal.aborted || leaseMs === 0 || this.#over || this.#log.tip.seq > seq) continue;
      await this.writer.append(leaseRecord("renewal", this.#options));
    }
  }

  /** Tells what this leader has sealed. @throws {LogError} LOG_STALE_TERM, LOG_CONFLICT when leadership is lost */
  async tell(block: LeaseBlock): Promise<void> {
    if (!this.#over) await this.writer.append(leaseRecord("renewal", this.#options, block));
  }

  /** Lets the next candidate claim at once. Nothing is appended after it. A log that does not answer is not waited for. */
  async resign(): Promise<void> {
    assert(!this.#over, "a leadership ends once");
    this.#over = true;
    const { clock, leaseMs } = this.#options;
    if (leaseMs === 0) return; // nobody waits
    const resigned = this.writer.append(leaseRecord("resignation", this.#options));
    const stop = new AbortController();
    await Promise.race([resigned, clock.sleep(leaseMs, stop.signal)]).finally(() => stop.abort());
  }
}
