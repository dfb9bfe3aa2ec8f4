/**
 * Owns the node's end of a lane elsewhere: its worker, started again when it is lost or silent, and its log, which the
 * node reads and fences through the worker.
 *
 *   opening ──log open──▶ open ──lost, silent──▶ lost ──a pause──▶ opening
 *
 * Invariant: one worker at a time has the log: the next is started when the one before has ended.
 */
import type { Clock } from "../base/clock.ts";
import { defineErrors } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { Calls } from "../link/calls.ts";
import type { Link, OpenLink } from "../link/link.ts";
import { releaseOwnLock } from "../log/directory-lock.ts";
import type { AppendLog, LogRecord, LogTip } from "../log/log.ts";
import { EMPTY_TIP } from "../log/record.ts";
import { type Fact, LANE, NODE } from "./lane-calls.ts";
import type { LaneSettings } from "./lane-host.ts";

export const laneError = defineErrors("Lane", {
  LANE_LOST: {
    summary: "The worker of a lane has ended or is silent; what it accepted is in its log, and it is started again.",
    action: "Nothing; clients of this lane's senders send again (-32005, UNAVAILABLE).",
    retryable: true,
  },
});

export type LaneSeatDeps = {
  readonly settings: LaneSettings;
  readonly openLink: OpenLink;
  /** Silence after which the worker is given up. */
  readonly timeoutMs: number;
  readonly log: Log;
  readonly clock: Clock;
};

/** What the node does for a lane while it leads. */
export type SeatOwner = {
  readonly facts: (addresses: readonly Uint8Array[]) => readonly Fact[];
  readonly dropped: (reason: string, count: number) => void;
  readonly opened: () => void;
  readonly lost: () => void;
};

/** A worker that cannot start is not tried more often. */
const REOPEN_MS = 500;
const BEATS_MAX = 5;
const LEVELS = ["debug", "info", "warn", "error"] as const;

export class LaneSeat {
  readonly index: number;
  readonly log: AppendLog;
  readonly #deps: LaneSeatDeps;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #calls: Calls | undefined;
  #state: { tip: LogTip; oldestSeq: number } = { tip: EMPTY_TIP, oldestSeq: 1 };
  #usage = { txs: 0, sizeBytes: 0, notReady: "" };
  #waiting: ((error: Error | undefined) => void)[] = [];
  #owner: SeatOwner | undefined;
  #fault: unknown;

  private constructor(deps: LaneSeatDeps) {
    this.#deps = deps;
    this.index = deps.settings.index;
    this.log = new LinkedLog(this, `lane-${this.index}`, deps.clock);
    this.#running = this.#run();
  }

  /** Starts the worker. @throws what keeps its log from opening, when that is no passing fault */
  static async open(deps: LaneSeatDeps): Promise<LaneSeat> {
    const seat = new LaneSeat(deps);
    try {
      await seat.whenOpen();
    } catch (error) {
      await seat.close();
      throw error;
    }
    return seat;
  }

  get isOpen(): boolean {
    return this.#calls !== undefined;
  }

  get usage(): { readonly txs: number; readonly sizeBytes: number } {
    return this.#usage;
  }

  get tip(): LogTip {
    return this.#state.tip;
  }

  get oldestSeq(): number {
    return this.#state.oldestSeq;
  }

  notReady(): string | undefined {
    if (!this.isOpen) return `lane ${this.index} is being restarted`;
    return this.#usage.notReady === "" ? undefined : this.#usage.notReady;
  }

  /** Whose lane this is from now on. */
  belongTo(owner: SeatOwner): void {
    this.#owner = owner;
  }

  /** Resolves when a worker has the log open. */
  whenOpen(): Promise<void> {
    if (this.isOpen) return Promise.resolve();
    if (this.#fault !== undefined) return Promise.reject(this.#fault as Error);
    return new Promise((resolve, reject) => {
      this.#waiting.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  /** The way to the worker. @throws {LaneError} LANE_LOST */
  get calls(): Calls {
    if (this.#calls === undefined) throw this.lostError("has no worker");
    return this.#calls;
  }

  lostError(why: string): Error {
    return laneError("LANE_LOST", `lane ${this.index} ${why}`, { lane: this.index });
  }

  /** What the log's end is now, as the worker told. */
  learnLog(state: { seq: number; term: number; hash: Uint8Array; oldestSeq: number }): LogTip {
    const { seq, term, hash, oldestSeq } = state;
    this.#state = { tip: { seq, term, hash: hash.slice() }, oldestSeq };
    return this.#state.tip;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const cause = await this.#serve(signal);
      if (signal.aborted) break;
      log.warn("a lane's worker is lost, another one is started", { lane: this.index, err: cause });
      await clock.sleep(REOPEN_MS, signal);
    }
    this.#fault = this.lostError("is closed");
    for (const resolve of this.#waiting.splice(0)) resolve(this.#fault as Error);
  }

  /** One worker, from its start to its end. Resolves to why it ended. */
  async #serve(signal: AbortSignal): Promise<Error | undefined> {
    const { openLink, settings, clock, log, timeoutMs } = this.#deps;
    const ended = new AbortController();
    let cause: Error | undefined;
    const end = (error: Error | undefined): void => {
      cause ??= error;
      ended.abort();
    };
    const onAbort = (): void => end(undefined);
    signal.addEventListener("abort", onAbort, { once: true });
    let link: Link | undefined;
    const calls = new Calls((message) => link?.send(message));
    calls.serve(NODE.facts, ({ addresses }) => this.#owner?.facts(addresses) ?? []);
    calls.serve(NODE.news, ({ txs, sizeBytes, dropped, notReady }) => {
      this.#usage = { txs, sizeBytes, notReady };
      for (const { reason, count } of dropped) this.#owner?.dropped(reason, count);
    });
    calls.serve(NODE.log, ({ level, message, fields }) => {
      const known = LEVELS.find((name) => name === level) ?? "info";
      log[known](message, { ...(JSON.parse(fields) as object), lane: this.index });
    });
    link = openLink({
      received: (message) => {
        try {
          calls.receive(message);
        } catch (error) {
          end(error as Error);
        }
      },
      lost: end,
    });
    const opening = calls.ask(LANE.open, { settings: JSON.stringify(settings) }).then(
      (state) => {
        if (ended.signal.aborted) return;
        this.learnLog(state);
        this.#calls = calls;
        for (const resolve of this.#waiting.splice(0)) resolve(undefined);
        this.#owner?.opened();
      },
      (error: unknown) => {
        // A fault of the log itself, at the first start: nobody waits for what does not come.
        for (const resolve of this.#waiting.splice(0)) resolve(error as Error);
        end(error as Error);
      },
    );
    // Its first word may take long: it may wait for log servers. After that it is heard from.
    let silent = 0;
    while (!ended.signal.aborted) {
      await clock.sleep(timeoutMs / BEATS_MAX, ended.signal);
      if (this.#calls !== calls || ended.signal.aborted) continue;
      if (silent++ >= BEATS_MAX) end(new Error(`lane ${this.index} was silent for ${timeoutMs} ms`));
      else
        calls.ask(LANE.ping, undefined).then(
          () => {
            silent = 0;
          },
          () => undefined,
        );
    }
    signal.removeEventListener("abort", onAbort);
    const wasOpen = this.#calls === calls;
    this.#calls = undefined;
    // At once: what asks a lane that it takes for live finds a way to its worker.
    if (wasOpen) this.#owner?.lost();
    calls.lose(this.lostError(cause === undefined ? "is closed" : `has lost its worker: ${cause.message}`));
    // The next worker opens the log: this one must have ended.
    await link.close();
    if (settings.place.store === "file") releaseOwnLock(settings.place.folder);
    await opening;
    return cause;
  }
}

/** The log of a lane elsewhere, as the node reads and fences it. */
class LinkedLog implements AppendLog {
  readonly name: string;
  readonly #seat: LaneSeat;
  readonly #clock: Clock;

  constructor(seat: LaneSeat, name: string, clock: Clock) {
    this.#seat = seat;
    this.name = name;
    this.#clock = clock;
  }

  get tip(): LogTip {
    return this.#seat.tip;
  }

  get oldestSeq(): number {
    return this.#seat.oldestSeq;
  }

  notReady(): string | undefined {
    return this.#seat.notReady();
  }

  async append(p: { expectedSeq: number; term: number; payloads: readonly Uint8Array[] }): Promise<LogTip> {
    await this.#seat.whenOpen();
    return this.#seat.learnLog(await this.#seat.calls.ask(LANE.appendLog, p));
  }

  async refresh(): Promise<LogTip> {
    await this.#seat.whenOpen();
    return this.#seat.learnLog(await this.#seat.calls.ask(LANE.refreshLog, undefined));
  }

  async read(fromSeq: number, countMax: number, sizeMaxBytes = 16 << 20): Promise<readonly LogRecord[]> {
    await this.#seat.whenOpen();
    return this.#seat.calls.ask(LANE.readLog, { fromSeq, countMax, sizeMaxBytes });
  }

  async waitBeyond(seq: number, signal: AbortSignal): Promise<LogTip> {
    while (!signal.aborted && this.tip.seq <= seq) {
      await this.refresh();
      if (this.tip.seq <= seq) await this.#clock.sleep(100, signal);
    }
    return this.tip;
  }

  async trim(seq: number): Promise<void> {
    await this.#seat.whenOpen();
    this.#seat.learnLog(await this.#seat.calls.ask(LANE.trimLog, { seq }));
  }

  async close(): Promise<void> {
    await this.#seat.close();
  }
}
