/**
 * I10, I14: a state on key shards against the state's twin: roots, reads of every version and proofs agree while blocks
 * are stored, dropped and unwound, shards are lost and opened again, and bytes move between any number of them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { toHex } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import { emptyWrites, type StateWrites } from "../protocol/state-writes.ts";
import { MemoryState } from "../state/memory-state.ts";
import type { ShardsIn } from "./links.ts";
import { Shards, writesArb } from "./testing/partitioned.ts";
import { assertSame } from "./testing/same-state.ts";

const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

type Step =
  | { readonly kind: "block"; readonly writes: StateWrites; readonly dropped: StateWrites | undefined }
  | { readonly kind: "abort"; readonly writes: StateWrites }
  | { readonly kind: "rollback"; readonly by: number }
  | { readonly kind: "reopen"; readonly shards: number }
  | { readonly kind: "shards"; readonly count: number }
  | { readonly kind: "rest"; readonly ms: number }
  | { readonly kind: "prune"; readonly keep: number };

const countArb = fc.constantFrom(1, 2, 3, 4, 16);
const stepArb: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      kind: fc.constant("block" as const),
      writes: writesArb,
      dropped: fc.option(writesArb, { nil: undefined, freq: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("abort" as const), writes: writesArb }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("rollback" as const), by: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const), shards: countArb }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("shards" as const), count: countArb }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("rest" as const), ms: fc.nat(15) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("prune" as const), keep: fc.nat(6) }) },
);

async function run(where: ShardsIn, first: number, steps: readonly Step[]): Promise<void> {
  const shards = new Shards(where);
  const twin = new MemoryState();
  try {
    await shards.open(first);
    for (const step of steps) {
      switch (step.kind) {
        case "block": {
          if (step.dropped !== undefined) await shards.state.prepare(step.dropped);
          const prepared = twin.prepare(step.writes);
          assert.equal(toHex(await shards.block(step.writes)), toHex(prepared.stateRoot));
          twin.commit(twin.head + 1, prepared);
          break;
        }
        case "abort": {
          const prepared = await shards.state.prepare(step.writes);
          assert.throws(() =>
            shards.database.transaction(() => {
              shards.state.commit(shards.state.head + 1, prepared);
              throw new Error("changed its mind");
            }),
          );
          break;
        }
        case "rollback": {
          const target = Math.max(twin.oldest, shards.state.oldest, twin.head - step.by, 0);
          if (target >= twin.head) break;
          shards.database.transaction(() => shards.state.rollback(target));
          twin.rollback(target);
          break;
        }
        case "reopen":
          await shards.close();
          await shards.open(step.shards);
          break;
        case "shards":
          shards.state.mover.target = step.count;
          break;
        case "rest":
          await sleep(step.ms);
          break;
        case "prune": {
          const horizon = twin.head - step.keep;
          if (horizon > 0) shards.state.prune(horizon);
          break;
        }
      }
      assert.equal(shards.failure, undefined);
    }
    await assertSame(shards.state, twin);
    await shards.close();
    await shards.open(2);
    await assertSame(shards.state, twin);
  } finally {
    await shards.remove();
  }
}

test("what was pruned stays pruned when the state is opened again", async () => {
  const shards = new Shards("here");
  try {
    await shards.open(2);
    for (let version = 0; version < 4; version++) await shards.block(emptyWrites());
    shards.state.prune(2);
    await shards.close();
    await shards.open(2);
    assert.equal(shards.state.oldest, 2);
    assert.throws(
      () => shards.state.reader(1),
      (error) => hasCode(error, "STATE_PRUNED"),
    );
  } finally {
    await shards.remove();
  }
});

test(`key shards in this thread give roots, reads and proofs of the twin (seed ${seed})`, async () => {
  await fc.assert(
    fc.asyncProperty(countArb, fc.array(stepArb, { minLength: 10, maxLength: 60 }), (first, steps) =>
      run("here", first, steps),
    ),
    { seed, numRuns: 12, includeErrorInReport: true, endOnFailure: true },
  );
});

for (const where of ["threads", "processes"] as const)
  test(`key shards in ${where} give roots, reads and proofs of the twin (seed ${seed})`, async () => {
    const counts = fc.constantFrom(2, 4);
    await fc.assert(
      fc.asyncProperty(
        counts,
        fc
          .array(stepArb, { minLength: 30, maxLength: 40 })
          .map((steps) => steps.filter(({ kind }) => kind !== "reopen")),
        (first, steps) => run(where, first, steps),
      ),
      { seed, numRuns: 1, includeErrorInReport: true, endOnFailure: true },
    );
  });
