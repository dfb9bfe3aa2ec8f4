/**
 * Owns the durable log of one machine: files of frames in a directory (segment-file.ts).
 * Invariant: an append resolves only after its frame and all before it are on disk; appends that wait at the same time
 * share one write and one sync. The end of the log is what is synced; only that is read.
 * On failure: a failed write or sync poisons the log (LOG_DISK from then on), because a sync that failed once may report
 * success the next time without the data being there. Opening again drops a torn end and keeps all that was acknowledged;
 * damage in front of acknowledged records is LOG_CORRUPT, and nothing is dropped.
 */
import { mkdirSync } from "node:fs";
import { type FileHandle, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "../base/assert.ts";
import { bytesEqual } from "../base/bytes.ts";
import { CodedError } from "../base/error.ts";
import { lockDirectory } from "./directory-lock.ts";
import type { AppendLog, LogRecord, LogTip } from "./log.ts";
import { type Append, checkAppend, EMPTY_TIP, linkedRecords, logError, tipAfter } from "./record.ts";
import {
  decodeFrame,
  decodeHeader,
  encodeFrame,
  encodeHeader,
  FRAME_HEAD_SIZE_BYTES,
  type Frame,
  frameSize,
  HEADER_SIZE_BYTES,
  type Header,
  hasLaterGroup,
  segmentName,
  segmentSeq,
} from "./segment-file.ts";
import { TipWatch } from "./tip-watch.ts";

export type FileLogOptions = {
  readonly name?: string;
  /** A file is closed and the next one started when it is at least this long. */
  readonly segmentSizeBytes?: number;
  /** Replaces the disk's sync in tests of its failure. */
  readonly sync?: (file: FileHandle) => Promise<void>;
};

const SEGMENT_SIZE_BYTES = 64 << 20;
/** One index entry per this many bytes of a file. */
const INDEX_STEP_BYTES = 256 << 10;
const READ_CHUNK_BYTES = 256 << 10;
/** Most bytes written and synced together. */
const GROUP_SIZE_MAX_BYTES = 16 << 20;
/** Places where readers stopped, so that followers of the log continue without searching. */
const CURSORS_MAX = 8;

/** A place in a file where a frame starts, and the record before it. */
type Place = { readonly offset: number; readonly before: LogTip };

type Segment = {
  readonly firstSeq: number;
  readonly path: string;
  readonly seed: number;
  /** Places, by offset, that reads start from; the first is behind the header. */
  readonly places: Place[];
  /** Durable length; undefined for a closed file whose end was not yet looked at. */
  sizeBytes: number | undefined;
};

type Waiting = {
  readonly before: LogTip;
  readonly after: LogTip;
  readonly append: Append;
  readonly sizeBytes: number;
  readonly resolve: (tip: LogTip) => void;
  readonly reject: (error: unknown) => void;
};

export class FileLog implements AppendLog {
  readonly name: string;
  readonly #directory: string;
  readonly #segmentSizeBytes: number;
  readonly #sync: (file: FileHandle) => Promise<void>;
  readonly #unlock: () => void;
  readonly #segments: Segment[] = [];
  readonly #watch = new TipWatch();
  readonly #cursors = new Map<number, { segment: Segment; place: Place }>();
  #file: FileHandle | undefined;
  #tip: LogTip = EMPTY_TIP;
  /** The end of the log when all that waits is written. */
  #end: LogTip = EMPTY_TIP;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #poison: unknown;
  #closed = false;

  private constructor(directory: string, options: FileLogOptions, unlock: () => void) {
    this.name = options.name ?? directory;
    this.#directory = directory;
    this.#segmentSizeBytes = options.segmentSizeBytes ?? SEGMENT_SIZE_BYTES;
    this.#sync = options.sync ?? ((file) => file.datasync());
    this.#unlock = unlock;
  }

  /** Opens or creates the log in `directory`. @throws {LogError} LOG_CORRUPT, LOG_LOCKED, LOG_DISK */
  static async open(directory: string, options: FileLogOptions = {}): Promise<FileLog> {
    mkdirSync(directory, { recursive: true });
    const unlock = lockDirectory(directory);
    const log = new FileLog(directory, options, unlock);
    try {
      await log.#recover();
      return log;
    } catch (error) {
      await log.#file?.close();
      unlock();
      if (error instanceof CodedError) throw error;
      throw logError("LOG_DISK", `${directory} cannot be opened`, { directory }, { cause: error });
    }
  }

  get tip(): LogTip {
    return this.#tip;
  }

  get oldestSeq(): number {
    return this.#segments[0]?.firstSeq ?? 1;
  }

  append(append: Append): Promise<LogTip> {
    if (this.#closed) return Promise.reject(logError("LOG_CLOSED", `${this.name} is closed`));
    if (this.#poison !== undefined) return Promise.reject(this.#diskError());
    try {
      checkAppend(this.#end, append);
    } catch (error) {
      return Promise.reject(error);
    }
    const before = this.#end;
    const after = tipAfter(before, append.term, append.payloads);
    this.#end = after;
    let sizeBytes = 0;
    for (const payload of append.payloads) sizeBytes += payload.length;
    const done = new Promise<LogTip>((resolve, reject) => {
      this.#waiting.push({ before, after, append, sizeBytes, resolve, reject });
    });
    this.#writing ??= this.#writeWaiting();
    return done;
  }

  /** Writes until nothing waits. Never rejects: failures reach those who wait. */
  async #writeWaiting(): Promise<void> {
    // Let the appends of this turn of the event loop join the first group.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      let count = 0;
      let sizeBytes = 0;
      for (const waiting of this.#waiting) {
        if (count > 0 && sizeBytes + waiting.sizeBytes > GROUP_SIZE_MAX_BYTES) break;
        sizeBytes += waiting.sizeBytes;
        count++;
      }
      const group = this.#waiting.splice(0, count);
      try {
        await this.#writeGroup(group);
      } catch (error) {
        this.#poison = error;
        const failed = [...group, ...this.#waiting];
        this.#waiting = [];
        for (const waiting of failed) waiting.reject(this.#diskError());
        break;
      }
      for (const waiting of group) waiting.resolve(waiting.after);
    }
    this.#writing = undefined;
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    const groupSeq = this.#tip.seq + 1;
    let segment = this.#segments.at(-1) as Segment;
    if ((segment.sizeBytes as number) >= this.#segmentSizeBytes) segment = await this.#startSegment();
    const file = this.#file as FileHandle;
    const frames = group.map(({ before, append }) =>
      encodeFrame({ seed: segment.seed, groupSeq, before, term: append.term, payloads: append.payloads }),
    );
    const start = segment.sizeBytes as number;
    let at = start;
    let rest: Buffer[] = frames;
    while (rest.length > 0) {
      const { bytesWritten } = await file.writev(rest, at);
      at += bytesWritten;
      rest = dropBytes(rest, bytesWritten);
    }
    await this.#sync(file);
    let offset = start;
    for (const [i, frame] of frames.entries()) {
      notePlace(segment, { offset, before: (group[i] as Waiting).before });
      offset += frame.length;
    }
    segment.sizeBytes = offset;
    this.#tip = (group.at(-1) as Waiting).after;
    this.#watch.moved(this.#tip);
  }

  async refresh(): Promise<LogTip> {
    if (this.#closed) throw logError("LOG_CLOSED", `${this.name} is closed`);
    // Who was refused because of records on their way must see them now.
    await this.#writing;
    if (this.#poison !== undefined) throw this.#diskError();
    return this.#tip;
  }

  async waitBeyond(seq: number, signal: AbortSignal): Promise<LogTip> {
    await this.#watch.beyond(this.#tip, seq, signal);
    return this.#tip;
  }

  notReady(): string | undefined {
    return this.#poison === undefined ? undefined : `${this.name}: a write to the disk failed`;
  }

  /** Starts the next file at the current end. */
  async #startSegment(): Promise<Segment> {
    const before = this.#tip;
    const path = join(this.#directory, segmentName(before.seq + 1));
    const header = encodeHeader(before.seq + 1, before.hash);
    const file = await open(path, "w+");
    try {
      await file.write(header, 0, HEADER_SIZE_BYTES, 0);
      await this.#sync(file);
      await this.#syncDirectory();
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    const segment: Segment = {
      firstSeq: before.seq + 1,
      path,
      seed: (decodeHeader(header) as Header).seed,
      places: [{ offset: HEADER_SIZE_BYTES, before }],
      sizeBytes: HEADER_SIZE_BYTES,
    };
    this.#segments.push(segment);
    return segment;
  }

  async #syncDirectory(): Promise<void> {
    const handle = await open(this.#directory, "r");
    try {
      await this.#sync(handle);
    } finally {
      await handle.close();
    }
  }

  async read(
    fromSeq: number,
    countMax: number,
    sizeMaxBytes = Number.POSITIVE_INFINITY,
  ): Promise<readonly LogRecord[]> {
    assert(fromSeq >= 1 && countMax >= 0, "reads start at a record and ask for a number of them");
    if (fromSeq < this.oldestSeq) throw this.#trimmedError(fromSeq);
    const found: LogRecord[] = [];
    const endSeq = this.#tip.seq;
    let sizeBytes = 0;
    let nextSeq = fromSeq;
    let last: Place | undefined;
    while (nextSeq <= endSeq && found.length < countMax && sizeBytes < sizeMaxBytes) {
      const start = this.#placeOf(nextSeq);
      if (last !== undefined) assertFollows(start.segment, start.place.before, last.before);
      last = start.place;
      for await (const { records, place } of this.#frames(start.segment, start.place)) {
        last = place;
        for (const record of records) {
          if (record.seq < nextSeq) continue;
          const full =
            found.length >= countMax || (found.length > 0 && sizeBytes + record.payload.length > sizeMaxBytes);
          if (full || record.seq > endSeq) return found;
          found.push(record);
          sizeBytes += record.payload.length;
          nextSeq = record.seq + 1;
        }
        this.#noteCursor(nextSeq, start.segment, last);
        if (found.length >= countMax || nextSeq > endSeq) return found;
      }
      // The file is read to its end: the next record starts the next file.
      assert(
        this.#segments.some((segment) => segment.firstSeq === nextSeq),
        "files follow each other without a gap",
      );
    }
    return found;
  }

  #noteCursor(nextSeq: number, segment: Segment, place: Place): void {
    if (place.before.seq + 1 !== nextSeq) return;
    this.#cursors.delete(nextSeq);
    this.#cursors.set(nextSeq, { segment, place });
    if (this.#cursors.size > CURSORS_MAX) {
      const [oldest] = this.#cursors.keys();
      if (oldest !== undefined) this.#cursors.delete(oldest);
    }
  }

  /** The nearest known place at or before record `seq`. */
  #placeOf(seq: number): { segment: Segment; place: Place } {
    const segment = this.#segments.findLast((candidate) => candidate.firstSeq <= seq);
    assert(segment !== undefined, "a record that is not trimmed has a file");
    const cursor = this.#cursors.get(seq);
    if (cursor !== undefined && cursor.segment === segment) return cursor;
    const place = segment.places.findLast((candidate) => candidate.before.seq < seq);
    assert(place !== undefined, "a file's first place is before its first record");
    return { segment, place };
  }

  /** Frames from `start` on, checked and linked, each with the place behind it. @throws {LogError} LOG_CORRUPT */
  async *#frames(segment: Segment, start: Place): AsyncGenerator<{ records: LogRecord[]; place: Place }> {
    const file = await open(segment.path, "r").catch((error: NodeJS.ErrnoException) => {
      // Trimmed between the look-up and here.
      if (error.code === "ENOENT" && !this.#segments.includes(segment)) throw this.#trimmedError(segment.firstSeq);
      throw error;
    });
    try {
      const sizeBytes = segment.sizeBytes ?? (await file.stat()).size;
      let { before, offset } = start;
      let chunk: Buffer = Buffer.alloc(0);
      while (offset < sizeBytes) {
        let frame = decodeFrame(chunk, segment.seed);
        if (frame === undefined) {
          chunk = await readFrameChunk(file, offset, sizeBytes);
          frame = decodeFrame(chunk, segment.seed);
        }
        if (frame === undefined)
          throw logError("LOG_CORRUPT", `${segment.path}: no intact frame at byte ${offset}`, {
            path: segment.path,
            offset,
            seq: before.seq + 1,
          });
        notePlace(segment, { offset, before });
        const records = linkedRecords(frame, before, segment.path);
        chunk = chunk.subarray(frame.sizeBytes);
        offset += frame.sizeBytes;
        before = tipOf(records, frame);
        yield { records, place: { offset, before } };
      }
      segment.sizeBytes ??= sizeBytes;
    } finally {
      await file.close();
    }
  }

  async trim(seq: number): Promise<void> {
    // A file goes when the next one starts at or below `seq`; the newest always stays.
    while (this.#segments.length > 1 && (this.#segments[1] as Segment).firstSeq <= seq) {
      const segment = this.#segments.shift() as Segment;
      await rm(segment.path, { force: true });
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writing;
    await this.#file?.close();
    this.#unlock();
  }

  #trimmedError(fromSeq: number): Error {
    const { oldestSeq } = this;
    return logError("LOG_TRIMMED", `record ${fromSeq} is gone, the oldest is ${oldestSeq}`, { fromSeq, oldestSeq });
  }

  #diskError(): Error {
    return logError(
      "LOG_DISK",
      `${this.name}: a write failed, the log takes no more`,
      { directory: this.#directory },
      {
        cause: this.#poison,
      },
    );
  }

  /** Finds the end of the log: reads the last file whole, drops a torn end, starts a file when there is none. */
  async #recover(): Promise<void> {
    const names = (await readdir(this.#directory)).filter((name) => segmentSeq(name) !== undefined).sort();
    for (const [i, name] of names.entries()) {
      const path = join(this.#directory, name);
      const file = await open(path, "r+");
      const isLast = i === names.length - 1;
      const head = Buffer.alloc(HEADER_SIZE_BYTES);
      const { bytesRead } = await file.read(head, 0, HEADER_SIZE_BYTES, 0);
      const header = decodeHeader(head.subarray(0, bytesRead));
      if (header === undefined || header.firstSeq !== segmentSeq(name)) {
        const { size } = await file.stat();
        await file.close();
        // A file that was being started holds nothing yet: it is written only behind a synced header.
        if (isLast && size <= HEADER_SIZE_BYTES) {
          await rm(path);
          await this.#syncDirectory();
          break;
        }
        throw logError("LOG_CORRUPT", `${path}: the file's header is damaged`, { path });
      }
      const { firstSeq, prevHash } = header;
      // The term of the record before is in the file before; links and terms inside the file are checked from here.
      const before: LogTip = { seq: firstSeq - 1, term: 0, hash: prevHash };
      const segment: Segment = {
        firstSeq,
        path,
        seed: header.seed,
        places: [{ offset: HEADER_SIZE_BYTES, before }],
        sizeBytes: undefined,
      };
      this.#segments.push(segment);
      if (isLast) this.#file = file;
      else await file.close();
    }
    const last = this.#segments.at(-1);
    if (last === undefined) {
      await this.#startSegment();
      return;
    }
    this.#file ??= await open(last.path, "r+");
    await this.#recoverEnd(last, this.#file);
    await this.#checkChain();
  }

  async #recoverEnd(segment: Segment, file: FileHandle): Promise<void> {
    const { size } = await file.stat();
    let { offset, before } = segment.places[0] as Place;
    let chunk: Buffer = Buffer.alloc(0);
    while (offset < size) {
      let frame = decodeFrame(chunk, segment.seed);
      if (frame === undefined) {
        chunk = await readFrameChunk(file, offset, size);
        frame = decodeFrame(chunk, segment.seed);
      }
      if (frame === undefined) break;
      notePlace(segment, { offset, before });
      const records = linkedRecords(frame, before, segment.path);
      chunk = chunk.subarray(frame.sizeBytes);
      offset += frame.sizeBytes;
      before = tipOf(records, frame);
    }
    if (offset < size) {
      const rest = Buffer.alloc(size - offset);
      await file.read(rest, 0, rest.length, offset);
      if (hasLaterGroup(rest, segment.seed, before.seq + 1))
        throw logError("LOG_CORRUPT", `${segment.path}: damaged at byte ${offset}, acknowledged records follow`, {
          path: segment.path,
          offset,
          seq: before.seq + 1,
        });
      await file.truncate(offset);
    }
    // Frames that a killed process had written but not synced become acknowledged by being read: make them durable.
    await this.#sync(file);
    segment.sizeBytes = offset;
    this.#tip = before;
    this.#end = before;
  }

  /** The last record of the file before the newest must be what the newest links to; its term is the floor for appends. */
  async #checkChain(): Promise<void> {
    const previous = this.#segments.at(-2);
    const last = this.#segments.at(-1) as Segment;
    if (previous === undefined) return;
    let before = (previous.places[0] as Place).before;
    for await (const { place } of this.#frames(previous, previous.places[0] as Place)) before = place.before;
    const first = (last.places[0] as Place).before;
    assertFollows(last, first, before);
    if (this.#tip.seq === first.seq) {
      this.#tip = before;
      this.#end = before;
    }
  }
}

/** A file must start where the one before it ends. @throws {LogError} LOG_CORRUPT */
function assertFollows(segment: Segment, start: LogTip, end: LogTip): void {
  if (start.seq !== end.seq || !bytesEqual(start.hash, end.hash))
    throw logError("LOG_CORRUPT", `${segment.path} does not follow record ${end.seq} of the file before it`, {
      path: segment.path,
      seq: end.seq + 1,
    });
}

/** Bytes of `file` from `offset` on: a chunk, or all of the frame when that is longer. */
async function readFrameChunk(file: FileHandle, offset: number, sizeBytes: number): Promise<Buffer> {
  const chunk = await readAt(file, offset, Math.min(READ_CHUNK_BYTES, sizeBytes - offset));
  if (chunk.length < FRAME_HEAD_SIZE_BYTES) return chunk;
  const size = frameSize(chunk);
  if (size === undefined || size <= chunk.length || offset + size > sizeBytes) return chunk;
  return await readAt(file, offset, size);
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

function tipOf(records: readonly LogRecord[], frame: Frame): LogTip {
  const last = records.at(-1) as LogRecord;
  return { seq: last.seq, term: frame.term, hash: last.hash };
}

function notePlace(segment: Segment, place: Place): void {
  const last = segment.places.at(-1) as Place;
  if (place.offset >= last.offset + INDEX_STEP_BYTES) segment.places.push(place);
}

function dropBytes(buffers: readonly Buffer[], count: number): Buffer[] {
  const rest = [...buffers];
  let left = count;
  while (left > 0) {
    const first = rest[0] as Buffer;
    if (left < first.length) {
      rest[0] = first.subarray(left);
      break;
    }
    left -= first.length;
    rest.shift();
  }
  return rest;
}
