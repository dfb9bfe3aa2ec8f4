import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hasCode } from "../base/error.ts";
import {
  BLOB_CAPACITY_BYTES,
  BLOB_SIZE_BYTES,
  blobCountFor,
  blobPayloadMaxBytes,
  decodeBlobs,
  encodeBlobs,
} from "./blob-codec.ts";

const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const BLS_MODULUS = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001n;

/** Repeatable bytes without zero runs, of any length. */
function payloadOf(sizeBytes: number, salt: number): Uint8Array {
  const out = new Uint8Array(sizeBytes);
  let x = salt | 1;
  for (let i = 0; i < sizeBytes; i++) {
    x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    out[i] = x >>> 24;
  }
  return out;
}

const sizes = fc.oneof(
  fc.nat(2000),
  fc
    .integer({ min: 1, max: 6 })
    .chain((n) => fc.integer({ min: blobPayloadMaxBytes(n) - 3, max: blobPayloadMaxBytes(n) })),
  fc.integer({ min: 1, max: 5 }).map((n) => blobPayloadMaxBytes(n) + 1),
  fc.nat(blobPayloadMaxBytes(6)),
);

test("any payload comes back, in as few blobs as possible, every element below the modulus", () => {
  fc.assert(
    fc.property(sizes, fc.nat(), (size, salt) => {
      const payload = payloadOf(size, salt);
      const blobs = encodeBlobs(payload);
      assert.equal(blobs.length, Math.ceil((size + 4) / BLOB_CAPACITY_BYTES));
      assert.equal(blobs.length, blobCountFor(size));
      for (const blob of blobs) {
        assert.equal(blob.length, BLOB_SIZE_BYTES);
        for (let e = 0; e < 4096; e += 37)
          assert.ok(BigInt(`0x${Buffer.from(blob.subarray(32 * e, 32 * e + 32)).toString("hex")}`) < BLS_MODULUS);
      }
      assert.ok(Buffer.from(decodeBlobs(blobs)).equals(payload));
    }),
    { seed, numRuns: 40 },
  );
});

test("a full blob carries at least 130,000 bytes of payload", () => {
  assert.ok(blobPayloadMaxBytes(1) >= 130_000);
  assert.equal(encodeBlobs(payloadOf(blobPayloadMaxBytes(1), 7)).length, 1);
});

test("a flipped bit never gives the same payload, and never anything but a payload or BLOB_MALFORMED", () => {
  fc.assert(
    fc.property(fc.nat(200_000), fc.nat(), fc.nat(7), (size, at, bit) => {
      const payload = payloadOf(size, at);
      const blobs = encodeBlobs(payload);
      const blob = blobs[at % blobs.length] as Uint8Array;
      const where = at % BLOB_SIZE_BYTES;
      blob[where] = (blob[where] as number) ^ (1 << bit);
      try {
        assert.ok(!Buffer.from(decodeBlobs(blobs)).equals(payload));
      } catch (error) {
        assert.ok(hasCode(error, "BLOB_MALFORMED"), String(error));
      }
    }),
    { seed, numRuns: 60 },
  );
});

test("surplus, missing and misshapen blobs are refused", () => {
  const blobs = encodeBlobs(payloadOf(150_000, 3));
  const empty = new Uint8Array(BLOB_SIZE_BYTES);
  const wrong = [
    [],
    blobs.slice(0, 1),
    [...blobs, empty],
    [blobs[0] as Uint8Array, new Uint8Array(5)],
    Array.from({ length: 7 }, () => empty),
  ];
  const set = encodeBlobs(payloadOf(10, 1));
  (set[0] as Uint8Array)[64] = 0x40;
  const padded = encodeBlobs(payloadOf(10, 1));
  (padded[0] as Uint8Array)[BLOB_SIZE_BYTES - 1] = 1;
  for (const input of [...wrong, set, padded])
    assert.throws(
      () => decodeBlobs(input),
      (error) => hasCode(error, "BLOB_MALFORMED"),
    );
});
