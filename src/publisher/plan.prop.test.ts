/** Properties of planning: whatever L1 holds, what is planned completes it to exactly the sealed chain. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { chooseDa, daCosts } from "./da-choice.ts";
import { SuccessRate } from "./metrics.ts";
import { type HeldSegment, planSegments } from "./plan.ts";

/** Derivation by headings: what a verifier does with indexes and ranges. */
function derive(held: ReadonlyMap<number, HeldSegment>): { safe: number; nextIndex: number } {
  let safe = 0;
  let index = 0;
  for (let s = held.get(0); s !== undefined; s = held.get(++index)) if (s.firstBlock === safe + 1) safe = s.lastBlock;
  return { safe, nextIndex: index };
}

/** Segments in order, some of them foreign nonsense, some lost. */
const history = fc
  .array(
    fc.record({
      length: fc.integer({ min: 1, max: 9 }),
      kind: fc.constantFrom("ours", "ours", "ours", "lost", "foreign"),
    }),
    {
      maxLength: 20,
    },
  )
  .map((parts) => {
    const held = new Map<number, HeldSegment>();
    let first = 1;
    for (const [index, part] of parts.entries()) {
      if (part.kind === "foreign") {
        held.set(index, { index, firstBlock: part.length * 7, lastBlock: part.length * 7 + 2 });
        continue;
      }
      const last = first + part.length - 1;
      if (part.kind === "ours") held.set(index, { index, firstBlock: first, lastBlock: last });
      first = last + 1;
    }
    return held;
  });

test("filling the gaps and going on from the tail derives every block, and no index is used twice", () => {
  fc.assert(
    fc.property(history, fc.integer({ min: 1, max: 40 }), (start, more) => {
      const held = new Map(start);
      // A few rounds, as the publisher does: derive, plan, post.
      let head = 0;
      for (let round = 0; round < 30; round++) {
        const { safe, nextIndex } = derive(held);
        const plan = planSegments({ nextIndex, safeNumber: safe }, held);
        head = Math.max(head, safe, plan.tail.firstBlock - 1);
        for (const gap of plan.gaps) {
          assert.ok(!held.has(gap.index), "only free indexes are planned");
          assert.ok(gap.firstBlock >= 1 && gap.lastBlock >= gap.firstBlock);
          held.set(gap.index, gap);
        }
        assert.ok(!held.has(plan.tail.index));
        if (plan.tail.firstBlock <= head + more)
          held.set(plan.tail.index, {
            index: plan.tail.index,
            firstBlock: plan.tail.firstBlock,
            lastBlock: plan.tail.firstBlock + more - 1,
          });
        const after = derive(held);
        if (after.nextIndex === held.size && after.safe >= head + more) break;
      }
      const end = derive(held);
      assert.equal(end.nextIndex, held.size, "no index waits behind a gap");
      assert.ok(end.safe >= head, "every block came through");
    }),
    { numRuns: 500 },
  );
});

test("a plan from any snapshot of derivation goes on at the same place", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 }),
      fc.nat(),
      (lengths, seed) => {
        const held = new Map<number, HeldSegment>();
        let first = 1;
        for (const [index, length] of lengths.entries()) {
          held.set(index, { index, firstBlock: first, lastBlock: first + length - 1 });
          first += length;
        }
        const full = planSegments({ nextIndex: 0, safeNumber: 0 }, held);
        // Derivation anywhere, also in the middle of an entry.
        const nextIndex = seed % lengths.length;
        const entry = held.get(nextIndex) as HeldSegment;
        const safeNumber = entry.firstBlock - 1 + (seed % (entry.lastBlock - entry.firstBlock + 2));
        assert.deepEqual(planSegments({ nextIndex, safeNumber }, held), full);
      },
    ),
  );
});

test("what derivation dropped is posted again, behind what is already there", () => {
  const held = new Map<number, HeldSegment>([
    [0, { index: 0, firstBlock: 1, lastBlock: 10 }],
    [1, { index: 1, firstBlock: 11, lastBlock: 20 }],
    [2, { index: 2, firstBlock: 21, lastBlock: 30 }],
  ]);
  // Entry 0 gave blocks 1 to 4 only: 1 and 2 cannot follow.
  assert.deepEqual(planSegments({ nextIndex: 1, safeNumber: 4 }, held), {
    gaps: [],
    tail: { index: 3, firstBlock: 5 },
  });
});

test("blobs and calldata are chosen by price, and only a clear difference changes the choice", () => {
  const small = daCosts(new Uint8Array(500).fill(7), {
    baseFeePerGasWei: 1_000_000_000n,
    blobBaseFeeWei: 1_000_000_000n,
  });
  assert.equal(chooseDa("blobs", small), "calldata");
  const large = daCosts(new Uint8Array(100_000).fill(7), { baseFeePerGasWei: 1_000_000_000n, blobBaseFeeWei: 1n });
  assert.equal(chooseDa("calldata", large), "blobs");
  const near = { blobs: 100n, calldata: 90n };
  assert.equal(chooseDa("blobs", near), "blobs");
  assert.equal(chooseDa("calldata", near), "calldata");
});

test("the success rate looks back half an hour and has no value without attempts", () => {
  const rate = new SuccessRate();
  assert.ok(Number.isNaN(rate.at(0)));
  rate.add(true, 1_000);
  rate.add(false, 2_000);
  rate.add(true, 1_000_000);
  assert.equal(rate.at(1_000_000), 2 / 3);
  assert.equal(rate.at(1_802_001), 1);
  assert.ok(Number.isNaN(rate.at(10_000_000)));
});
