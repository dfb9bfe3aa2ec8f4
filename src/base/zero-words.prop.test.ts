import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hasCode } from "./error.ts";
import { packedSizeMax, packWords, unpackWords } from "./zero-words.ts";

const word = fc.oneof(
  { weight: 3, arbitrary: fc.constant(new Uint8Array(8)) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 8, maxLength: 8 }) },
);
const part = fc.array(word, { maxLength: 40 }).map((words) => new Uint8Array(Buffer.concat(words)).slice());

function packed(parts: readonly Uint8Array[], before: number): { readonly bytes: Uint8Array; readonly size: number } {
  const size = parts.reduce((sum, p) => sum + p.length, 0);
  const to = new Uint8Array(before + packedSizeMax(size));
  return { bytes: to.slice(0, packWords(parts, to, before)), size };
}

test("what is packed comes out as it was, and zeros take nearly nothing", () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 4 }), fc.nat(3), (parts, before) => {
      const { bytes, size } = packed(parts, before * 8);
      assert.deepEqual(Buffer.from(unpackWords(bytes, before * 8, size)), Buffer.concat(parts));
    }),
  );
  assert.ok(packed([new Uint8Array(6_400)], 0).bytes.length <= 104);
});

test("what was not packed is a coded error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(4_000), (noise, size) => {
      try {
        unpackWords(noise.slice(), 0, size);
      } catch (error) {
        assert.ok(hasCode(error, "CODEC_TRUNCATED") || hasCode(error, "CODEC_MALFORMED"), String(error));
      }
    }),
  );
});
