/**
 * Owns the bytes of a replicated log's messages. Appends that go out together are a frame; a frame is one message, or,
 * when it is larger than a message may be, several parts in a row. A frame counts when its last part is stored: parts
 * that stop before (their writer died) are void, and the next frame starts over. So an append is there whole or not.
 *
 *   part  version 1 ‖ index 2 ‖ count 2 ‖ frame id 16 ‖ first seq 8 ‖ records 4 ‖ term 8 ‖ prevHash 32 ‖ hash 32 ‖ bytes
 *
 * The bytes of all parts together are (length 4 ‖ payload)*. `hash` is that of the frame's last record, so that damage
 * to the newest frame shows although nothing links to it yet. Frame ids are unique: a writer knows its own again.
 */
import { bytesEqual } from "../base/bytes.ts";
import type { LogRecord, LogTip } from "./log.ts";
import { linkedRecords, logError, type RecordRun } from "./record.ts";

const VERSION = 1;
export const PART_HEAD_SIZE_BYTES = 105;
export const FRAME_ID_SIZE_BYTES = 16;
const PARTS_MAX = 0xffff;

export type Part = {
  readonly index: number;
  readonly count: number;
  readonly frameId: Buffer;
  readonly firstSeq: number;
  readonly records: number;
  readonly term: number;
  readonly prevHash: Buffer;
  readonly hash: Buffer;
  readonly bytes: Buffer;
};

/** The parts of a frame that turns `before` into `after`, none longer than `partSizeMaxBytes`. */
export function encodeParts(p: {
  frameId: Uint8Array;
  before: LogTip;
  after: LogTip;
  payloads: readonly Uint8Array[];
  partSizeMaxBytes: number;
}): Buffer[] {
  let sizeBytes = 0;
  for (const payload of p.payloads) sizeBytes += 4 + payload.length;
  const room = p.partSizeMaxBytes - PART_HEAD_SIZE_BYTES;
  const count = Math.max(1, Math.ceil(sizeBytes / room));
  if (count > PARTS_MAX)
    throw logError("LOG_RECORD_TOO_LARGE", `${sizeBytes} bytes in parts of ${p.partSizeMaxBytes} are too many parts`);
  const parts: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    const part = Buffer.allocUnsafe(PART_HEAD_SIZE_BYTES + Math.min(room, sizeBytes - index * room));
    part[0] = VERSION;
    part.writeUInt16BE(index, 1);
    part.writeUInt16BE(count, 3);
    part.set(p.frameId, 5);
    part.writeBigUInt64BE(BigInt(p.before.seq + 1), 21);
    part.writeUInt32BE(p.payloads.length, 29);
    part.writeBigUInt64BE(BigInt(p.after.term), 33);
    part.set(p.before.hash, 41);
    part.set(p.after.hash, 73);
    parts.push(part);
  }
  let current = 0;
  let at = PART_HEAD_SIZE_BYTES;
  const put = (bytes: Uint8Array): void => {
    for (let from = 0; from < bytes.length; ) {
      const part = parts[current] as Buffer;
      const taken = Math.min(bytes.length - from, part.length - at);
      part.set(taken === bytes.length ? bytes : bytes.subarray(from, from + taken), at);
      from += taken;
      at += taken;
      if (at === part.length) {
        current++;
        at = PART_HEAD_SIZE_BYTES;
      }
    }
  };
  const length = Buffer.alloc(4);
  for (const payload of p.payloads) {
    length.writeUInt32BE(payload.length);
    put(length);
    put(payload);
  }
  return parts;
}

/** @throws {LogError} LOG_CORRUPT when `message` is no part of a frame. */
export function decodePart(message: Uint8Array, where: string): Part {
  const m = Buffer.from(message.buffer, message.byteOffset, message.length);
  const index = m.length < PART_HEAD_SIZE_BYTES ? 0 : m.readUInt16BE(1);
  const count = m.length < PART_HEAD_SIZE_BYTES ? 0 : m.readUInt16BE(3);
  if (m.length < PART_HEAD_SIZE_BYTES || m[0] !== VERSION || index >= count)
    throw logError("LOG_CORRUPT", `${where} is not written by a log of Sheaf`, { sizeBytes: m.length });
  return {
    index,
    count,
    frameId: m.subarray(5, 21),
    firstSeq: Number(m.readBigUInt64BE(21)),
    records: m.readUInt32BE(29),
    term: Number(m.readBigUInt64BE(33)),
    prevHash: m.subarray(41, 73),
    hash: m.subarray(73, PART_HEAD_SIZE_BYTES),
    bytes: m.subarray(PART_HEAD_SIZE_BYTES),
  };
}

export type Frame = RecordRun & { readonly id: Buffer; readonly hash: Buffer };

/** Puts parts together as they come in the stream's order. */
export class FrameAssembler {
  #parts: Part[] = [];

  /** The frame that `part` completes, if it does. */
  push(part: Part): Frame | undefined {
    const first = this.#parts[0];
    const continues =
      first !== undefined && part.index === this.#parts.length && bytesEqual(first.frameId, part.frameId);
    if (!continues) this.#parts = [];
    // The rest of a frame whose start is void, or was dropped, is void too.
    if (part.index !== this.#parts.length) return undefined;
    this.#parts.push(part);
    if (this.#parts.length < part.count) return undefined;
    const parts = this.#parts;
    this.#parts = [];
    return {
      id: part.frameId,
      firstSeq: part.firstSeq,
      term: part.term,
      count: part.records,
      prevHash: part.prevHash,
      hash: part.hash,
      payloads: parts.length === 1 ? part.bytes : Buffer.concat(parts.map((p) => p.bytes)),
    };
  }
}

/** The records of a frame that must follow `before`. @throws {LogError} LOG_CORRUPT when it does not, or is damaged */
export function frameRecords(frame: Frame, before: LogTip, where: string): LogRecord[] {
  const records = linkedRecords(frame, before, where);
  const last = records.at(-1);
  if (last === undefined || !bytesEqual(last.hash, frame.hash))
    throw logError("LOG_CORRUPT", `${where}: record ${frame.firstSeq} or one stored with it is damaged`, {
      seq: frame.firstSeq,
    });
  return records;
}
