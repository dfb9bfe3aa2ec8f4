/**
 * Owns reading a replicated log: finding its end and the place of a record in the stream, and giving records checked
 * and linked. Short reads ask for messages one by one, long ones through a consumer that is kept for the next read;
 * messages read or written lately are kept, so that who reads near the end asks nobody.
 * On failure: whatever does not answer is an ordinary error and may be tried again; what does not link is LOG_CORRUPT.
 */
import type { JetStream, Run, StoredMessage, StreamState } from "./jetstream.ts";
import { decodePart, type Frame, FrameAssembler, frameRecords, type Part } from "./jetstream-part.ts";
import type { LogRecord, LogTip } from "./log.ts";
import { EMPTY_TIP, logError } from "./record.ts";

/** The log ends with `tip` when the stream ends with message `streamSeq`. */
export type Place = { readonly streamSeq: number; readonly tip: LogTip };

export type StoredFrame = { readonly frameId: Buffer; readonly records: readonly LogRecord[]; readonly place: Place };

const CACHE_SIZE_MAX_BYTES = 16 << 20;
/** Up to so many messages are asked for one by one. */
const SINGLES_MAX = 8;
const PULL_MESSAGES = 64;
/** Known places; beyond it every second one is forgotten. */
const PLACES_MAX = 4_096;

export class StreamReader {
  readonly #js: JetStream;
  readonly #stream: string;
  #oldestSeq: number;
  #firstStreamSeq: number;
  readonly #cache = new Map<number, Uint8Array>();
  #cacheSizeBytes = 0;
  /** Sorted; behind each starts a frame. */
  #places: Place[] = [];
  #placeStep = 1;
  #placesSkipped = 0;
  /** Where the last long read stopped. */
  #run: Run | undefined;
  /** Waits at the end. */
  #tailRun: Run | undefined;

  constructor(js: JetStream, stream: string, oldestSeq: number, firstStreamSeq: number) {
    this.#js = js;
    this.#stream = stream;
    this.#oldestSeq = oldestSeq;
    this.#firstStreamSeq = firstStreamSeq;
  }

  get oldestSeq(): number {
    return this.#oldestSeq;
  }

  /** Whoever leads has trimmed the log: its first message is `firstStreamSeq` now. */
  async noteFirst(firstStreamSeq: number, end: Place): Promise<void> {
    if (firstStreamSeq <= this.#firstStreamSeq || firstStreamSeq > end.streamSeq) return;
    this.#oldestSeq = (await this.#part(firstStreamSeq)).firstSeq;
    this.#firstStreamSeq = firstStreamSeq;
    this.#places = this.#places.filter((p) => p.streamSeq >= firstStreamSeq - 1);
  }

  close(): void {
    if (this.#js.closed) return;
    this.#run?.close();
    this.#tailRun?.close();
  }

  /** A frame was stored from message `streamSeq` on, behind `before`. */
  noteWritten(streamSeq: number, before: LogTip, parts: readonly Uint8Array[]): void {
    for (const [i, part] of parts.entries()) this.#keep(streamSeq + i, part);
    this.#notePlace({ streamSeq: streamSeq - 1, tip: before });
  }

  #keep(streamSeq: number, message: Uint8Array): void {
    if (this.#cache.has(streamSeq)) return;
    this.#cache.set(streamSeq, message);
    this.#cacheSizeBytes += message.length;
    for (const [seq, kept] of this.#cache) {
      if (this.#cacheSizeBytes <= CACHE_SIZE_MAX_BYTES) break;
      this.#cache.delete(seq);
      this.#cacheSizeBytes -= kept.length;
    }
  }

  #notePlace(place: Place): void {
    const last = this.#places.at(-1);
    if (last !== undefined && place.streamSeq <= last.streamSeq) return;
    if (++this.#placesSkipped < this.#placeStep) return;
    this.#placesSkipped = 0;
    this.#places.push(place);
    if (this.#places.length < PLACES_MAX) return;
    this.#places = this.#places.filter((_, i) => i % 2 === 0);
    this.#placeStep *= 2;
  }

  /** Frames behind `from` up to message `lastStreamSeq`, about `hint` at a time. @throws {LogError} LOG_CORRUPT */
  async *frames(from: Place, lastStreamSeq: number, hint = PULL_MESSAGES): AsyncGenerator<StoredFrame> {
    const assembler = new FrameAssembler();
    let before = from.tip;
    for (let next = from.streamSeq + 1; next <= lastStreamSeq; ) {
      for (const { seq, bytes } of await this.#messages(next, Math.min(lastStreamSeq, next + hint - 1))) {
        const where = `${this.#stream} message ${seq}`;
        const frame = assembler.push(decodePart(bytes, where));
        next = seq + 1;
        if (frame === undefined) continue;
        const records = frameRecords(frame, before, where);
        before = tipOf(records);
        yield { frameId: frame.id, records, place: { streamSeq: seq, tip: before } };
      }
    }
  }

  /** At least one message from `from` on. */
  async #messages(from: number, to: number): Promise<StoredMessage[]> {
    const kept: StoredMessage[] = [];
    for (let seq = from; seq <= to && kept.length < PULL_MESSAGES; seq++) {
      const bytes = this.#cache.get(seq);
      if (bytes === undefined) break;
      kept.push({ seq, bytes });
    }
    if (kept.length > 0) return kept;
    const found = await (to - from < SINGLES_MAX ? this.#singles(from, to) : this.#pull(from, to));
    for (const { seq, bytes } of found) this.#keep(seq, bytes);
    return found;
  }

  async #singles(from: number, to: number): Promise<StoredMessage[]> {
    const wanted = Array.from({ length: to - from + 1 }, (_, i) => from + i);
    const found = await Promise.all(wanted.map((seq) => this.#js.message(this.#stream, seq)));
    const missing = found.indexOf(undefined);
    if (missing !== -1) throw await this.#missing(from + missing);
    return found as StoredMessage[];
  }

  async #pull(from: number, to: number): Promise<StoredMessage[]> {
    if (this.#run?.nextSeq !== from) {
      this.#run?.close();
      this.#run = undefined;
      this.#run = await this.#js.consume(this.#stream, from);
    }
    try {
      const found = await this.#run.pull(Math.min(PULL_MESSAGES, to - from + 1));
      if (found.length === 0) throw new Error(`consumer of ${this.#stream} stops before message ${from}`);
      return found;
    } catch (error) {
      this.#run = undefined;
      // The consumer may skip what the stream lost; asking for it by name tells.
      if ((await this.#js.message(this.#stream, from)) === undefined) throw await this.#missing(from);
      throw error;
    }
  }

  /** Not there: trimmed by whoever leads (an ordinary error, the reader knows the new start then) or lost. */
  async #missing(streamSeq: number): Promise<Error> {
    const { firstSeq, lastSeq } = await this.#js.streamState(this.#stream);
    if (firstSeq > streamSeq && firstSeq <= lastSeq) {
      this.#firstStreamSeq = firstSeq;
      this.#oldestSeq = (await this.#part(firstSeq)).firstSeq;
      return new Error(`message ${streamSeq} was trimmed`);
    }
    return logError("LOG_CORRUPT", `${this.#stream}: message ${streamSeq} is missing`, { streamSeq });
  }

  /** True when message `streamSeq` is there; false when it did not come for a while or `signal` aborted. */
  async waitFor(streamSeq: number, signal: AbortSignal): Promise<boolean> {
    if (this.#tailRun?.nextSeq !== streamSeq) {
      this.#tailRun?.close();
      this.#tailRun = undefined;
      this.#tailRun = await this.#js.consume(this.#stream, streamSeq);
    }
    try {
      const found = await this.#tailRun.pull(1, signal);
      for (const { seq, bytes } of found) this.#keep(seq, bytes);
      return found.length > 0;
    } catch (error) {
      this.#tailRun = undefined;
      throw error;
    }
  }

  /** Records from `fromSeq` on, which must be held, up to `end`. */
  async read(fromSeq: number, countMax: number, sizeMaxBytes: number, end: Place): Promise<LogRecord[]> {
    const found: LogRecord[] = [];
    let sizeBytes = 0;
    const start = await this.#placeBefore(fromSeq, end);
    // Each frame holds a record at least: no more messages than records are of use.
    for await (const frame of this.frames(start, end.streamSeq, countMax)) {
      this.#notePlace(frame.place);
      for (const record of frame.records) {
        if (record.seq < fromSeq) continue;
        if (found.length > 0 && sizeBytes + record.payload.length > sizeMaxBytes) return found;
        found.push(record);
        sizeBytes += record.payload.length;
        if (found.length >= countMax || record.seq >= end.tip.seq) return found;
      }
    }
    return found;
  }

  async #part(streamSeq: number): Promise<Part> {
    const [message] = await this.#messages(streamSeq, streamSeq);
    return decodePart((message as StoredMessage).bytes, `${this.#stream} message ${streamSeq}`);
  }

  /** A place at or before record `seq`, near it. */
  async #placeBefore(seq: number, end: Place): Promise<Place> {
    if (seq > end.tip.seq) return end;
    const known = this.#places.findLast((place) => place.tip.seq < seq);
    const next = this.#places.find((place) => place.tip.seq >= seq);
    // Frames between two known places; the first message behind the answer is part 0 of a frame that starts at or before `seq`.
    let low = known === undefined ? this.#firstStreamSeq : known.streamSeq + 1;
    let high = next?.streamSeq ?? end.streamSeq;
    if (known !== undefined && high - low < SINGLES_MAX) return known;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((await this.#part(middle)).firstSeq <= seq) low = middle;
      else high = middle - 1;
    }
    const part = await this.#part(low);
    const streamSeq = low - part.index - 1;
    const start = { streamSeq, tip: { seq: part.firstSeq - 1, term: 0, hash: new Uint8Array(part.prevHash) } };
    return known !== undefined && known.streamSeq >= streamSeq ? known : start;
  }

  /** Drops what is before the frame of record `seq`; the newest frame stays. */
  async trim(seq: number, end: Place): Promise<void> {
    if (seq <= this.#oldestSeq) return;
    const start = await this.#placeBefore(seq, end);
    for await (const frame of this.frames(start, end.streamSeq, 1)) {
      if (frame.place.tip.seq >= seq) {
        const first = frame.records[0] as LogRecord;
        const streamSeq = frame.place.streamSeq - (await this.#part(frame.place.streamSeq)).index;
        // Before the servers are asked: whoever reads meanwhile must know that it is going.
        this.#firstStreamSeq = streamSeq;
        this.#oldestSeq = first.seq;
        this.#places = this.#places.filter((p) => p.streamSeq >= streamSeq - 1);
        await this.#js.purge(this.#stream, streamSeq);
        return;
      }
    }
  }
}

/**
 * The end of the log in a stream as it is now, and its oldest record. The newest frame is checked, and that it follows
 * the one before it.
 * @throws {LogError} LOG_CORRUPT
 */
export async function findTail(
  js: JetStream,
  stream: string,
  state: StreamState,
): Promise<{ tail: Place; oldestSeq: number }> {
  if (state.lastSeq === 0) return { tail: { streamSeq: 0, tip: EMPTY_TIP }, oldestSeq: 1 };
  if (state.firstSeq > state.lastSeq)
    throw logError("LOG_CORRUPT", `${stream}: all ${state.lastSeq} messages were dropped from outside`, { stream });
  const part = async (seq: number): Promise<Part> => {
    const message = await js.message(stream, seq);
    if (message !== undefined) return decodePart(message.bytes, `${stream} message ${seq}`);
    if ((await js.streamState(stream)).firstSeq > seq) throw new Error(`message ${seq} was trimmed`);
    throw logError("LOG_CORRUPT", `${stream}: message ${seq} is missing`, { streamSeq: seq });
  };
  /** The newest whole frame up to message `last`. */
  const frameUpTo = async (last: number): Promise<{ frame: Frame; first: number; last: number } | undefined> => {
    while (last >= state.firstSeq) {
      const newest = await part(last);
      const first = last - newest.index;
      if (newest.index === newest.count - 1 && first >= state.firstSeq) {
        const assembler = new FrameAssembler();
        for (let seq = first; seq < last; seq++) assembler.push(await part(seq));
        const frame = assembler.push(newest);
        if (frame !== undefined) return { frame, first, last };
        throw logError("LOG_CORRUPT", `${stream}: the parts up to message ${last} are no whole`, { streamSeq: last });
      }
      last = first - 1;
    }
    return undefined;
  };
  const oldestSeq = (await part(state.firstSeq)).firstSeq;
  const newest = await frameUpTo(state.lastSeq);
  if (newest === undefined) {
    if (oldestSeq !== 1) throw logError("LOG_CORRUPT", `${stream}: holds no whole frame`, { stream });
    return { tail: { streamSeq: 0, tip: EMPTY_TIP }, oldestSeq: 1 };
  }
  const own = ({ firstSeq, prevHash }: Frame): LogTip => ({
    seq: firstSeq - 1,
    term: 0,
    hash: new Uint8Array(prevHash),
  });
  const previous = await frameUpTo(newest.first - 1);
  const before =
    previous === undefined
      ? own(newest.frame)
      : tipOf(frameRecords(previous.frame, own(previous.frame), `${stream} message ${previous.last}`));
  const records = frameRecords(newest.frame, before, `${stream} message ${newest.last}`);
  return { tail: { streamSeq: newest.last, tip: tipOf(records) }, oldestSeq };
}

function tipOf(records: readonly LogRecord[]): LogTip {
  const { seq, term, hash } = records.at(-1) as LogRecord;
  return { seq, term, hash };
}
