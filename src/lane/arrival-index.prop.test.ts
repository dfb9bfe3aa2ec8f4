import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toHexKey } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { ArrivalIndex } from "./arrival-index.ts";

/** Few first words: most hashes share a bucket. */
const hashOf = (i: number): Uint8Array => {
  const hash = keccak256(Uint8Array.of(i & 255, i >> 8)).slice();
  hash.set([i % 3, 0, 0, 0]);
  return hash;
};

test("the index is a map of the newest entries, whatever comes and comes again", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0, 1, 2, 7, 64, 1_500),
      fc.array(fc.nat({ max: 3_000 }), { maxLength: 4_000, size: "max" }),
      (max, adds) => {
        const index = new ArrivalIndex(max);
        for (const [n, i] of adds.entries()) index.add(hashOf(i), n + 1, 2 ** 40 + n, n * 1_000);
        const newest = new Map<string, number>();
        for (const [n, i] of adds.entries()) if (n >= adds.length - max) newest.set(toHexKey(hashOf(i)), n);
        for (const i of new Set(adds.slice(-200).concat(adds.slice(0, 200), 3_001))) {
          const n = newest.get(toHexKey(hashOf(i)));
          const place = n === undefined ? undefined : { seq: n + 1, sequence: 2 ** 40 + n, acceptedMs: n * 1_000 };
          assert.deepEqual(index.find(hashOf(i)), place);
        }
      },
    ),
    { numRuns: 60 },
  );
});
