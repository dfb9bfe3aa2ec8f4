import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Reader, Writer } from "./binary.ts";
import { CodedError } from "./error.ts";

test("what is written is read back", () => {
  fc.assert(
    fc.property(
      fc.array(fc.maxSafeNat()),
      fc.array(fc.uint8Array({ maxLength: 300 })),
      fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }),
      (numbers, chunks, word) => {
        const w = new Writer(16);
        w.list(numbers, (n) => w.uvarint(n)).list(chunks, (c) => w.bytes(c));
        w.bigint(word).optional(numbers[0], (n) => w.uvarint(n));
        const r = new Reader(w.finish());
        assert.deepEqual(
          r.list(1e6, () => r.uvarint()),
          numbers,
        );
        assert.deepEqual(
          r.list(1e6, () => Uint8Array.from(r.bytes())),
          chunks.map((c) => Uint8Array.from(c)),
        );
        assert.equal(r.bigint(), word);
        assert.equal(
          r.optional(() => r.uvarint()),
          numbers[0],
        );
        r.end();
      },
    ),
  );
});

test("foreign bytes give a coded error or a value, never anything else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const r = new Reader(bytes);
      try {
        r.list(1_000, () => r.bytes(100));
        r.bigint();
        r.end();
      } catch (error) {
        assert.ok(error instanceof CodedError);
      }
    }),
  );
});
