/**
 * Owns the bytes of one log file: a header, then frames. A frame is one append, so that an append is there whole or not
 * at all. Every checksum is a CRC-32 of all that follows it in its header or frame; those of frames start from the file's own
 * random id, so that a frame of another file, copied or carried as a payload, is none here.
 *
 *   header  magic 8 ‖ crc 4 ‖ file id 8 ‖ first seq 8 ‖ hash before the first record 32
 *   frame   marker 4 ‖ crc 4 ‖ body length 4 ‖ group seq 8 ‖ first seq 8 ‖ term 8 ‖ count 4 ‖ prevHash 32 ‖ (length 4 ‖ payload)*
 *
 * `group seq` is the first sequence number that was written and synced together with this frame: everything below it was
 * durable when the frame was written. That tells a torn end (drop it) from damage to acknowledged records (refuse).
 */
import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import type { LogTip } from "./log.ts";
import { APPEND_SIZE_MAX_BYTES, type RecordRun } from "./record.ts";

const MAGIC = Buffer.from("SHEAFLG1", "latin1");
const MARKER = 0x53464c47;
export const HEADER_SIZE_BYTES = 60;
/** Marker, checksum and body length. */
export const FRAME_HEAD_SIZE_BYTES = 12;
const BODY_HEAD_SIZE_BYTES = 60;
const BODY_SIZE_MAX_BYTES = APPEND_SIZE_MAX_BYTES * 2;

/** File name of the segment that starts with record `seq`; names sort as their numbers do. */
export function segmentName(seq: number): string {
  return `${seq.toString().padStart(16, "0")}.log`;
}

export function segmentSeq(name: string): number | undefined {
  const match = /^(\d{16})\.log$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

export type Header = {
  /** What checksums of the frames start from. */
  readonly seed: number;
  readonly firstSeq: number;
  readonly prevHash: Uint8Array;
};

export function encodeHeader(firstSeq: number, prevHash: Uint8Array): Buffer {
  const out = Buffer.alloc(HEADER_SIZE_BYTES);
  MAGIC.copy(out, 0);
  out.set(randomBytes(8), 12);
  out.writeBigUInt64BE(BigInt(firstSeq), 20);
  out.set(prevHash, 28);
  out.writeUInt32BE(crc32(out.subarray(12)), 8);
  return out;
}

/** Undefined when the bytes are no intact header. */
export function decodeHeader(bytes: Buffer): Header | undefined {
  if (bytes.length < HEADER_SIZE_BYTES || !MAGIC.equals(bytes.subarray(0, 8))) return undefined;
  if (bytes.readUInt32BE(8) !== crc32(bytes.subarray(12, HEADER_SIZE_BYTES))) return undefined;
  return {
    seed: crc32(bytes.subarray(12, 20)),
    firstSeq: Number(bytes.readBigUInt64BE(20)),
    prevHash: new Uint8Array(bytes.subarray(28, 60)),
  };
}

export function encodeFrame(p: {
  seed: number;
  groupSeq: number;
  before: LogTip;
  term: number;
  payloads: readonly Uint8Array[];
}): Buffer {
  let bodySize = BODY_HEAD_SIZE_BYTES;
  for (const payload of p.payloads) bodySize += 4 + payload.length;
  const out = Buffer.allocUnsafe(FRAME_HEAD_SIZE_BYTES + bodySize);
  out.writeUInt32BE(MARKER, 0);
  out.writeUInt32BE(bodySize, 8);
  out.writeBigUInt64BE(BigInt(p.groupSeq), 12);
  out.writeBigUInt64BE(BigInt(p.before.seq + 1), 20);
  out.writeBigUInt64BE(BigInt(p.term), 28);
  out.writeUInt32BE(p.payloads.length, 36);
  out.set(p.before.hash, 40);
  let at = 72;
  for (const payload of p.payloads) {
    out.writeUInt32BE(payload.length, at);
    out.set(payload, at + 4);
    at += 4 + payload.length;
  }
  out.writeUInt32BE(crc32(out.subarray(8), p.seed), 4);
  return out;
}

export type Frame = RecordRun & { readonly sizeBytes: number; readonly groupSeq: number };

/** Size of the frame whose head starts `bytes`; undefined when it is none. `bytes` holds at least a frame head. */
export function frameSize(bytes: Buffer): number | undefined {
  if (bytes.readUInt32BE(0) !== MARKER) return undefined;
  const bodySize = bytes.readUInt32BE(8);
  return bodySize < BODY_HEAD_SIZE_BYTES || bodySize > BODY_SIZE_MAX_BYTES
    ? undefined
    : FRAME_HEAD_SIZE_BYTES + bodySize;
}

/** The frame at the start of `bytes`; undefined when it is not whole and intact. */
export function decodeFrame(bytes: Buffer, seed: number): Frame | undefined {
  if (bytes.length < FRAME_HEAD_SIZE_BYTES + BODY_HEAD_SIZE_BYTES) return undefined;
  const sizeBytes = frameSize(bytes);
  if (sizeBytes === undefined || bytes.length < sizeBytes) return undefined;
  if (bytes.readUInt32BE(4) !== crc32(bytes.subarray(8, sizeBytes), seed)) return undefined;
  return {
    sizeBytes,
    groupSeq: Number(bytes.readBigUInt64BE(12)),
    firstSeq: Number(bytes.readBigUInt64BE(20)),
    term: Number(bytes.readBigUInt64BE(28)),
    count: bytes.readUInt32BE(36),
    prevHash: bytes.subarray(40, 72),
    payloads: bytes.subarray(72, sizeBytes),
  };
}

/** True when a frame stands anywhere in `bytes` that was written after everything up to `seq` was durable. */
export function hasLaterGroup(bytes: Buffer, seed: number, seq: number): boolean {
  const marker = Buffer.alloc(4);
  marker.writeUInt32BE(MARKER);
  for (let at = bytes.indexOf(marker); at !== -1; at = bytes.indexOf(marker, at + 1)) {
    const frame = decodeFrame(bytes.subarray(at), seed);
    if (frame !== undefined && frame.groupSeq > seq) return true;
  }
  return false;
}
