/** Chunks: they hold what was put in, and most of them outlive a change of a few entries. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { hasCode } from "../base/error.ts";
import { chunksOf, entriesOf } from "./chunk.ts";

const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
type Plain = { key: Uint8Array; value: Uint8Array };

function table(count: number, change: (i: number) => boolean): Plain[] {
  return Array.from({ length: count }, (_, i) => {
    const hash = createHash("sha256").update(String(i)).digest();
    return { key: new Uint8Array(hash), value: new Uint8Array(100).fill(change(i) ? 1 : 2) };
  }).toSorted((a, b) => Buffer.compare(a.key, b.key));
}

test("chunks give the entries back, in order", () => {
  const keys = fc.uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 40 }), {
    selector: (key) => Buffer.from(key).toString("hex"),
    maxLength: 60,
  });
  fc.assert(
    fc.property(keys, fc.nat(3_000_000), (found, size) => {
      const entries = found
        .toSorted((a, b) => Buffer.compare(a, b))
        .map((key, i) => ({ key, value: new Uint8Array(i % 7 === 0 ? size : i).fill(i) }));
      const again = [...chunksOf(entries)].flatMap(entriesOf);
      assert.equal(again.length, entries.length);
      for (const [i, { key, value }] of again.entries()) {
        assert.ok(Buffer.from(key).equals(entries[i]?.key as Uint8Array));
        assert.ok(Buffer.from(value).equals(entries[i]?.value as Uint8Array));
      }
    }),
    { seed, numRuns: 40 },
  );
});

test("a change of a few entries changes a few chunks", () => {
  const before = [...chunksOf(table(80_000, () => false))];
  const after = [...chunksOf(table(80_000, (i) => i === 7 || i === 40_000).filter((_, i) => i !== 20_000))];
  assert.ok(before.length > 10, `${before.length} chunks`);
  const known = new Set(before.map((chunk) => createHash("sha256").update(chunk).digest("hex")));
  const fresh = after.filter((chunk) => !known.has(createHash("sha256").update(chunk).digest("hex")));
  assert.ok(fresh.length <= 6, `${fresh.length} of ${after.length} chunks are new`);
});

test("foreign bytes are refused with a code", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        entriesOf(bytes);
      } catch (error) {
        assert.ok(hasCode(error, "SNAPSHOT_CORRUPT"));
      }
    }),
    { seed, numRuns: 500 },
  );
});
