/**
 * Owns the replicated log: one JetStream stream, written behind its expected last sequence, so that of several writers
 * one wins each place. Appends given while others are on their way leave together as one frame (jetstream-part.ts);
 * several frames may be on their way, each expecting the place the one before takes.
 * Invariant: an append resolves only when a majority of servers has its frame. Whatever happens to an answer, the
 * stream itself is asked what became of a frame: frames carry unique ids, sending one twice stores it at most once.
 * On failure: without a majority appends wait and `notReady` says so; when the stream holds something else than what
 * was acknowledged before, or what does not link, the log is LOG_CORRUPT for good and nothing of it is given out.
 */
import { randomBytes } from "node:crypto";
import { assert } from "../base/assert.ts";
import { bytesEqual } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { JetStream, JetStreamRefusal, JS_STREAM_NOT_FOUND, type StreamState } from "./jetstream.ts";
import { encodeParts, FRAME_ID_SIZE_BYTES, PART_HEAD_SIZE_BYTES } from "./jetstream-part.ts";
import { findTail, type Place, StreamReader } from "./jetstream-reader.ts";
import type { AppendLog, LogRecord, LogTip } from "./log.ts";
import { type Append, checkAppend, logError, tipAfter } from "./record.ts";
import { TipWatch } from "./tip-watch.ts";

export type JetStreamLogOptions = {
  readonly replicas: number;
  readonly log: Log;
  readonly clock: Clock;
  /** A stream that lost acknowledged records is believed to have after this long: a cut-off server may say so too. */
  readonly truncationConfirmMs?: number;
  /** Largest message; by default what the servers take, at most 1 MiB. */
  readonly partSizeMaxBytes?: number;
};

/** Frames on their way at once. More only adds messages: what waits meanwhile leaves in one. */
const IN_FLIGHT_MAX = 4;
const PART_SIZE_MAX_BYTES = 1 << 20;
/** Of a message, beside its body. */
const MESSAGE_HEADERS_SIZE_BYTES = 512;
/** Longer than a server without its majority takes to see that it leads no more (10 s in nats-server). */
const TRUNCATION_CONFIRM_MS = 15_000;
const RETRY_MAX_MS = 1_000;

type Waiting = {
  readonly before: LogTip;
  readonly after: LogTip;
  readonly append: Append;
  readonly sizeBytes: number;
  readonly resolve: (tip: LogTip) => void;
  readonly reject: (error: unknown) => void;
};

type InFlight = {
  readonly id: Uint8Array;
  readonly group: readonly Waiting[];
  readonly parts: readonly Buffer[];
  readonly after: LogTip;
  /** Stream sequence of its last part, if it is stored where it was sent to last. */
  lastStreamSeq: number;
  sent: Promise<unknown>;
  done: boolean;
};

export class JetStreamLog implements AppendLog {
  readonly name: string;
  readonly #js: JetStream;
  readonly #stream: string;
  readonly #options: JetStreamLogOptions;
  readonly #partSizeMaxBytes: number;
  readonly #reader: StreamReader;
  readonly #watch = new TipWatch();
  readonly #writerId = randomBytes(8);
  #frames = 0n;
  /** What is durable, and where in the stream it ends. */
  #durable: Place;
  /** Last message of the stream as far as known: behind the last whole frame may be parts of one that is not. */
  #lastStreamSeq: number;
  /** The end of the log when all that waits is written. */
  #end: LogTip;
  #waiting: Waiting[] = [];
  #inFlight: InFlight[] = [];
  #sendScheduled = false;
  /** While it runs nothing is sent: the end of the stream is being looked at. */
  #settling: Promise<void> | undefined;
  #watching = false;
  #poison: CodedError | undefined;
  #stalled: { sinceMs: number; reason: string } | undefined;
  #closed = false;
  readonly #closing = new AbortController();

  private constructor(
    js: JetStream,
    stream: string,
    options: JetStreamLogOptions,
    tail: Place,
    lastStreamSeq: number,
    reader: StreamReader,
  ) {
    this.name = stream;
    this.#js = js;
    this.#stream = stream;
    this.#options = options;
    this.#partSizeMaxBytes =
      options.partSizeMaxBytes ?? Math.min(PART_SIZE_MAX_BYTES, js.messageSizeMaxBytes - MESSAGE_HEADERS_SIZE_BYTES);
    this.#durable = tail;
    this.#lastStreamSeq = lastStreamSeq;
    this.#end = tail.tip;
    this.#reader = reader;
  }

  /**
   * Opens or creates the log in the stream called `stream`.
   * @throws {LogError} LOG_UNAVAILABLE, LOG_CORRUPT, LOG_MISCONFIGURED
   */
  static async open(js: JetStream, stream: string, options: JetStreamLogOptions): Promise<JetStreamLog> {
    let lastError: unknown;
    for (let attempt = 0; attempt < 5; attempt++) {
      const state = await js.openStream(stream, options.replicas);
      try {
        const { tail, oldestSeq } = await findTail(js, stream, state);
        const reader = new StreamReader(js, stream, oldestSeq, state.firstSeq);
        return new JetStreamLog(js, stream, options, tail, state.lastSeq, reader);
      } catch (error) {
        if (error instanceof CodedError) throw error;
        lastError = error;
        await options.clock.sleep(500);
      }
    }
    throw logError("LOG_UNAVAILABLE", `the end of ${stream} cannot be read`, { stream }, { cause: lastError });
  }

  get tip(): LogTip {
    return this.#durable.tip;
  }

  get oldestSeq(): number {
    return this.#reader.oldestSeq;
  }

  notReady(): string | undefined {
    if (this.#poison !== undefined) return `${this.name}: ${this.#poison.message}`;
    if (this.#stalled === undefined) return undefined;
    const seconds = Math.round((this.#options.clock.nowMs() - this.#stalled.sinceMs) / 1_000);
    return `${this.name} takes no appends for ${seconds} s: ${this.#stalled.reason}`;
  }

  append(append: Append): Promise<LogTip> {
    try {
      this.#assertUsable();
      checkAppend(this.#end, append);
    } catch (error) {
      return Promise.reject(error);
    }
    const before = this.#end;
    // Its own copy: the caller may use the bytes again before they leave.
    const payloads = append.payloads.map((payload) => payload.slice());
    const after = tipAfter(before, append.term, payloads);
    this.#end = after;
    let sizeBytes = 0;
    for (const payload of payloads) sizeBytes += 4 + payload.length;
    const done = new Promise<LogTip>((resolve, reject) => {
      this.#waiting.push({ before, after, append: { ...append, payloads }, sizeBytes, resolve, reject });
    });
    this.#scheduleSend();
    return done;
  }

  /** Lets the appends of this turn of the event loop leave together. */
  #scheduleSend(): void {
    if (this.#sendScheduled) return;
    this.#sendScheduled = true;
    queueMicrotask(() => {
      this.#sendScheduled = false;
      this.#sendWaiting();
    });
  }

  #sendWaiting(): void {
    while (
      this.#waiting.length > 0 &&
      this.#inFlight.length < IN_FLIGHT_MAX &&
      this.#settling === undefined &&
      this.#poison === undefined
    ) {
      const { term } = (this.#waiting[0] as Waiting).append;
      let count = 0;
      let sizeBytes = 0;
      for (const waiting of this.#waiting) {
        sizeBytes += waiting.sizeBytes;
        if (count > 0 && (sizeBytes > this.#partSizeMaxBytes - PART_HEAD_SIZE_BYTES || waiting.append.term !== term))
          break;
        count++;
      }
      const group = this.#waiting.splice(0, count);
      const last = this.#inFlight.at(-1)?.after ?? this.#durable.tip;
      assert(
        bytesEqual((group[0] as Waiting).before.hash, last.hash),
        "what is sent follows what is there or on its way",
      );
      const after = (group.at(-1) as Waiting).after;
      const id = Buffer.alloc(FRAME_ID_SIZE_BYTES);
      id.set(this.#writerId);
      id.writeBigUInt64BE(++this.#frames, 8);
      const frame: InFlight = {
        id,
        group,
        parts: encodeParts({
          frameId: id,
          before: (group[0] as Waiting).before,
          after,
          payloads:
            group.length === 1 ? (group[0] as Waiting).append.payloads : group.flatMap((w) => w.append.payloads),
          partSizeMaxBytes: this.#partSizeMaxBytes,
        }),
        after,
        lastStreamSeq: 0,
        sent: Promise.resolve(),
        done: false,
      };
      this.#send(frame, this.#inFlight.at(-1)?.lastStreamSeq ?? this.#lastStreamSeq);
      this.#inFlight.push(frame);
      void frame.sent.then(
        () => this.#acknowledged(frame),
        (error: unknown) => this.#settle(error),
      );
    }
  }

  #send(frame: InFlight, afterStreamSeq: number): void {
    frame.lastStreamSeq = afterStreamSeq + frame.parts.length;
    frame.sent = Promise.all(frame.parts.map((part, i) => this.#js.publish(this.#stream, part, afterStreamSeq + i)));
  }

  #acknowledged(frame: InFlight): void {
    frame.done = true;
    this.#resolveDone();
    this.#sendWaiting();
  }

  /** Tells those whose frames are durable, in the log's order. */
  #resolveDone(): void {
    while (this.#inFlight[0]?.done === true) {
      const frame = this.#inFlight.shift() as InFlight;
      const firstStreamSeq = frame.lastStreamSeq - frame.parts.length + 1;
      this.#reader.noteWritten(firstStreamSeq, (frame.group[0] as Waiting).before, frame.parts);
      this.#advance({ streamSeq: frame.lastStreamSeq, tip: frame.after });
      for (const waiting of frame.group) waiting.resolve(waiting.after);
    }
  }

  #advance(place: Place): void {
    this.#durable = place;
    this.#stalled = undefined;
    this.#lastStreamSeq = Math.max(this.#lastStreamSeq, place.streamSeq);
    this.#watch.moved(place.tip);
  }

  /** Finds out what became of the frames on their way, and brings them to an end. */
  #settle(error: unknown): Promise<void> {
    this.#settling ??= this.#settleAll(error).finally(() => {
      this.#settling = undefined;
      this.#stalled = undefined;
      this.#sendWaiting();
    });
    return this.#settling;
  }

  async #settleAll(cause: unknown): Promise<void> {
    let reason = cause;
    let truncatedSinceMs: number | undefined;
    for (let failures = 0; !this.#closed && this.#poison === undefined; ) {
      // The order of answers is not the order of the stream: first all of them, or their time is over.
      await Promise.allSettled(this.#inFlight.map((frame) => frame.sent));
      this.#resolveDone();
      try {
        const state = await this.#js.streamState(this.#stream);
        if (state.lastSeq < this.#durable.streamSeq) throw new Truncated(state);
        truncatedSinceMs = undefined;
        await this.#readOn(state.lastSeq);
        await this.#reader.noteFirst(state.firstSeq, this.#durable);
        const next = (this.#inFlight[0]?.group ?? this.#waiting)[0];
        if (!bytesEqual((next?.before ?? this.#end).hash, this.#durable.tip.hash)) this.#refuseAll();
        if (this.#inFlight.length === 0) return;
        let streamSeq = this.#lastStreamSeq;
        for (const frame of this.#inFlight) {
          this.#send(frame, streamSeq);
          streamSeq = frame.lastStreamSeq;
        }
        await Promise.all(this.#inFlight.map((frame) => frame.sent));
        for (const frame of this.#inFlight) frame.done = true;
        this.#resolveDone();
        return;
      } catch (error) {
        reason = error;
        if (error instanceof CodedError && error.code === "LOG_CORRUPT") return this.#fail(error);
        const gone = error instanceof JetStreamRefusal && error.code === JS_STREAM_NOT_FOUND;
        const nowMs = this.#options.clock.nowMs();
        if (error instanceof Truncated || gone) {
          truncatedSinceMs ??= nowMs;
          if (nowMs - truncatedSinceMs >= (this.#options.truncationConfirmMs ?? TRUNCATION_CONFIRM_MS))
            return this.#fail(this.#truncatedError(error instanceof Truncated ? error.state.lastSeq : 0));
        }
        failures++;
      }
      const text = reason instanceof Error ? reason.message : String(reason);
      if (this.#stalled === undefined)
        this.#options.log.warn("the log does not answer, trying again", { log: this.name, reason: text });
      this.#stalled = { sinceMs: this.#stalled?.sinceMs ?? this.#options.clock.nowMs(), reason: text };
      await this.#options.clock.sleep(Math.min(RETRY_MAX_MS, 20 * 2 ** Math.min(failures, 10)), this.#closing.signal);
    }
  }

  /** Reads what the stream holds behind what is known, and tells those whose frames are among it. */
  async #readOn(lastStreamSeq: number): Promise<void> {
    for await (const { frameId, place } of this.#reader.frames(this.#durable, lastStreamSeq)) {
      this.#advance(place);
      if (this.#inFlight[0] === undefined || !bytesEqual(this.#inFlight[0].id, frameId)) continue;
      const { group } = this.#inFlight.shift() as InFlight;
      for (const waiting of group) waiting.resolve(waiting.after);
    }
    this.#lastStreamSeq = lastStreamSeq;
  }

  /** Others have written where ours should have been: all that waits was decided on an end that is not the end. */
  #refuseAll(): void {
    const end = this.#durable.tip;
    const refused = [...this.#inFlight.flatMap((frame) => frame.group), ...this.#waiting];
    this.#inFlight = [];
    this.#waiting = [];
    this.#end = end;
    for (const { append, reject } of refused) {
      const { expectedSeq, term } = append;
      reject(
        term < end.term
          ? logError("LOG_STALE_TERM", `term ${term} writes after term ${end.term}`, { term, endTerm: end.term })
          : logError("LOG_CONFLICT", `another writer moved the end from ${expectedSeq} to ${end.seq}`, {
              expectedSeq,
              endSeq: end.seq,
            }),
      );
    }
  }

  #fail(error: CodedError): void {
    this.#poison = error;
    this.#options.log.error("the log is damaged, nothing of it is used any more", { log: this.name, err: error });
    this.#rejectAll(error);
  }

  #rejectAll(error: unknown): void {
    const failed = [...this.#inFlight.flatMap((frame) => frame.group), ...this.#waiting];
    this.#inFlight = [];
    this.#waiting = [];
    for (const waiting of failed) waiting.reject(error);
  }

  #truncatedError(lastSeq: number): CodedError {
    const { tip, streamSeq } = this.#durable;
    return logError(
      "LOG_CORRUPT",
      `${this.name}: acknowledged records are gone: the stream ends at message ${lastSeq}, record ${tip.seq} was message ${streamSeq}`,
      { seq: tip.seq, lastStreamSeq: lastSeq, streamSeq },
    );
  }

  async refresh(): Promise<LogTip> {
    this.#assertUsable();
    // What was sent or looked at before says nothing of what others have written since.
    await this.#settling;
    await this.#inFlight.at(-1)?.sent.catch(() => undefined);
    await this.#settling;
    if (this.#inFlight.length === 0 && this.#waiting.length === 0) await this.#settle("looking at the end");
    else {
      this.#sendWaiting();
      // An append that succeeds was at the end; one that does not has the end looked at.
      await this.#inFlight[0]?.sent.catch(() => undefined);
      await this.#settling;
    }
    this.#assertUsable();
    return this.tip;
  }

  async waitBeyond(seq: number, signal: AbortSignal): Promise<LogTip> {
    this.#assertUsable();
    const waited = this.#watch.beyond(this.tip, seq, AbortSignal.any([signal, this.#closing.signal]));
    if (!this.#watching) void this.#watchStream();
    await waited;
    return this.tip;
  }

  /** Looks at the end of the stream whenever it moves, while somebody waits for that. */
  async #watchStream(): Promise<void> {
    this.#watching = true;
    while (!this.#watch.idle && !this.#closed && this.#poison === undefined) {
      try {
        if (await this.#reader.waitFor(this.#durable.streamSeq + 1, this.#closing.signal)) await this.refresh();
      } catch {
        // The servers do not answer: whoever waits does so with a signal of their own.
        await this.#options.clock.sleep(200, this.#closing.signal);
      }
    }
    this.#watching = false;
  }

  async read(
    fromSeq: number,
    countMax: number,
    sizeMaxBytes = Number.POSITIVE_INFINITY,
  ): Promise<readonly LogRecord[]> {
    assert(fromSeq >= 1 && countMax >= 0, "reads start at a record and ask for a number of them");
    this.#assertUsable();
    const end = this.#durable;
    for (let failures = 0; ; failures++) {
      if (fromSeq < this.oldestSeq) throw this.#trimmedError(fromSeq);
      if (fromSeq > end.tip.seq || countMax === 0) return [];
      try {
        return await this.#reader.read(fromSeq, countMax, sizeMaxBytes, end);
      } catch (error) {
        if (error instanceof CodedError) {
          if (error.code === "LOG_CORRUPT") this.#fail(error);
          throw error;
        }
        if (this.#closed) throw this.#closedError();
        if (fromSeq < this.oldestSeq) throw this.#trimmedError(fromSeq);
        if (failures === 0) this.#options.log.info("reading again", { log: this.name, err: error });
        await this.#options.clock.sleep(Math.min(RETRY_MAX_MS, 20 * 2 ** Math.min(failures, 10)), this.#closing.signal);
      }
    }
  }

  async trim(seq: number): Promise<void> {
    this.#assertUsable();
    try {
      await this.#reader.trim(Math.min(seq, this.tip.seq), this.#durable);
    } catch (error) {
      if (error instanceof CodedError) throw error;
      // What is not dropped now is dropped by the next trim.
      this.#options.log.info("trimming failed", { log: this.name, seq, err: error });
    }
  }

  /** Waits for nothing: an append that is on its way may or may not be stored, as after a crash. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing.abort();
    this.#rejectAll(this.#closedError());
    this.#reader.close();
  }

  #assertUsable(): void {
    if (this.#closed) throw this.#closedError();
    if (this.#poison !== undefined) throw this.#poison;
  }

  #closedError(): CodedError {
    return logError("LOG_CLOSED", `${this.name} is closed`);
  }

  #trimmedError(fromSeq: number): Error {
    const { oldestSeq } = this;
    return logError("LOG_TRIMMED", `record ${fromSeq} is gone, the oldest is ${oldestSeq}`, { fromSeq, oldestSeq });
  }
}

/** The stream ends before what was acknowledged. */
class Truncated extends Error {
  readonly state: StreamState;
  constructor(state: StreamState) {
    super(`the stream ends at message ${state.lastSeq}, before what was acknowledged`);
    this.state = state;
  }
}
