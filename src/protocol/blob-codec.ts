/**
 * Owns how bytes lie in EIP-4844 blobs. A field element must be below the BLS12-381 scalar modulus, so of its 256 bits
 * the top two stay zero: 4 elements (128 bytes) carry 127 bytes, a blob 130,048.
 *
 * Group of 127 bytes → 4 elements: element k holds bytes 31k … 31k+30 in its low 31 bytes, and in its top byte 6 bits of
 * the last three bytes (most significant first). The bytes of all blobs of a segment form one stream:
 * version (0), length (3 bytes, big-endian), payload, zeros.
 * Invariant: exactly one packing per payload. Decoding refuses set top bits, non-zero padding and surplus blobs.
 */
import { assert } from "../base/assert.ts";
import { defineErrors } from "../base/error.ts";

export const BLOB_SIZE_BYTES = 131_072;
/** What one blob carries of the stream. */
export const BLOB_CAPACITY_BYTES = 130_048;
/** Version and length, once per segment. */
export const BLOB_HEADER_BYTES = 4;
/** Blobs one L1 transaction may carry, and so the most one segment may take. */
export const BLOBS_PER_SEGMENT_MAX = 6;

const GROUP_BYTES = 127;
const GROUPS = BLOB_CAPACITY_BYTES / GROUP_BYTES;
const VERSION = 0;

export const blobError = defineErrors("Blob", {
  BLOB_MALFORMED: {
    summary: "A blob does not hold bytes packed by Sheaf.",
    action: "None: derivation skips the segment. If Sheaf's own publisher posted it, report a bug.",
    retryable: false,
  },
});

/** Payload bytes that fit in `blobCount` blobs. */
export function blobPayloadMaxBytes(blobCount: number): number {
  return blobCount * BLOB_CAPACITY_BYTES - BLOB_HEADER_BYTES;
}

/** Blobs that a payload of `sizeBytes` takes. */
export function blobCountFor(sizeBytes: number): number {
  return Math.ceil((sizeBytes + BLOB_HEADER_BYTES) / BLOB_CAPACITY_BYTES);
}

/** Packs a payload of at most `blobPayloadMaxBytes(6)` bytes into blobs. */
export function encodeBlobs(payload: Uint8Array): Uint8Array[] {
  const blobCount = blobCountFor(payload.length);
  assert(blobCount <= BLOBS_PER_SEGMENT_MAX, `a segment fits in ${BLOBS_PER_SEGMENT_MAX} blobs`);
  const stream = new Uint8Array(blobCount * BLOB_CAPACITY_BYTES);
  stream[0] = VERSION;
  stream[1] = payload.length >>> 16;
  stream[2] = payload.length >>> 8;
  stream[3] = payload.length;
  stream.set(payload, BLOB_HEADER_BYTES);
  const blobs: Uint8Array[] = [];
  for (let b = 0; b < blobCount; b++) {
    const blob = new Uint8Array(BLOB_SIZE_BYTES);
    for (let g = 0; g < GROUPS; g++) {
      const from = b * BLOB_CAPACITY_BYTES + g * GROUP_BYTES;
      const to = g * 128;
      for (let k = 0; k < 4; k++) blob.set(stream.subarray(from + 31 * k, from + 31 * k + 31), to + 32 * k + 1);
      const rest =
        ((stream[from + 124] as number) << 16) | ((stream[from + 125] as number) << 8) | (stream[from + 126] as number);
      blob[to] = rest >>> 18;
      blob[to + 32] = (rest >>> 12) & 0x3f;
      blob[to + 64] = (rest >>> 6) & 0x3f;
      blob[to + 96] = rest & 0x3f;
    }
    blobs.push(blob);
  }
  return blobs;
}

/** The payload in `blobs`. @throws {BlobError} BLOB_MALFORMED */
export function decodeBlobs(blobs: readonly Uint8Array[]): Uint8Array {
  if (blobs.length === 0 || blobs.length > BLOBS_PER_SEGMENT_MAX)
    throw blobError("BLOB_MALFORMED", `${blobs.length} blobs where 1 to ${BLOBS_PER_SEGMENT_MAX} are possible`);
  const stream = new Uint8Array(blobs.length * BLOB_CAPACITY_BYTES);
  for (const [b, blob] of blobs.entries()) {
    if (blob.length !== BLOB_SIZE_BYTES) throw blobError("BLOB_MALFORMED", `a blob of ${blob.length} bytes`);
    for (let g = 0; g < GROUPS; g++) {
      const to = b * BLOB_CAPACITY_BYTES + g * GROUP_BYTES;
      const from = g * 128;
      const t0 = blob[from] as number;
      const t1 = blob[from + 32] as number;
      const t2 = blob[from + 64] as number;
      const t3 = blob[from + 96] as number;
      if ((t0 | t1 | t2 | t3) > 0x3f)
        throw blobError("BLOB_MALFORMED", `top bits set in one of elements ${4 * g} to ${4 * g + 3} of blob ${b}`);
      for (let k = 0; k < 4; k++) stream.set(blob.subarray(from + 32 * k + 1, from + 32 * k + 32), to + 31 * k);
      stream[to + 124] = (t0 << 2) | (t1 >>> 4);
      stream[to + 125] = (t1 << 4) | (t2 >>> 2);
      stream[to + 126] = (t2 << 6) | t3;
    }
  }
  if (stream[0] !== VERSION) throw blobError("BLOB_MALFORMED", `packing version ${stream[0]} is not ${VERSION}`);
  const sizeBytes = ((stream[1] as number) << 16) | ((stream[2] as number) << 8) | (stream[3] as number);
  if (blobCountFor(sizeBytes) !== blobs.length)
    throw blobError("BLOB_MALFORMED", `${sizeBytes} payload bytes in ${blobs.length} blobs`);
  const end = BLOB_HEADER_BYTES + sizeBytes;
  for (let i = end; i < stream.length; i++)
    if (stream[i] !== 0) throw blobError("BLOB_MALFORMED", "padding after the payload is not zero");
  return stream.subarray(BLOB_HEADER_BYTES, end);
}
