/** Placement: what is stored is what is read back, through moves, unwinding and pruning; and bytes are spread by load. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BYTES, type Place, Placement } from "../state/placement.ts";
import { imbalance, planMoves } from "./balance.ts";

const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

type Step =
  | { readonly kind: "move"; readonly later: number; readonly bytes: readonly { byte: number; shard: number }[] }
  | { readonly kind: "rollback"; readonly by: number }
  | { readonly kind: "prune"; readonly to: number };

const stepArb: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("move" as const),
      later: fc.nat(3),
      bytes: fc.array(fc.record({ byte: fc.nat(BYTES - 1), shard: fc.nat(15) }), { minLength: 1, maxLength: 6 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rollback" as const), by: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("prune" as const), to: fc.nat(10) }) },
);

test(`a placement answers for every version as its history says, also when read back (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 16 }), fc.array(stepArb, { maxLength: 30 }), (shards, steps) => {
      let placement = Placement.even(shards);
      /** Places by version, from genesis on. */
      let model: (readonly Place[])[] = [placement.current];
      let oldest = 0;
      const given = new Set(placement.triesOf(0));
      for (const step of steps) {
        if (step.kind === "move") {
          for (let n = 0; n < step.later; n++) model.push(placement.current);
          const moves = step.bytes.map(({ byte, shard }) => ({ byte, to: { shard, trieId: placement.takeTrieId() } }));
          for (const { to } of moves) {
            assert.ok(!given.has(to.trieId), "no number is given twice");
            given.add(to.trieId);
          }
          placement.move(model.length, moves);
          model.push(placement.current);
        } else if (step.kind === "rollback") {
          const head = Math.max(oldest, model.length - 1 - step.by);
          model = model.slice(0, head + 1);
          placement.rollback(head);
        } else {
          oldest = Math.max(oldest, Math.min(model.length - 1, step.to));
          placement.prune(oldest);
        }
        placement = Placement.decode(placement.encode());
        for (let version = oldest; version < model.length; version++)
          assert.deepEqual(placement.at(version), model[version]);
        const needed = new Set(model.slice(oldest).flatMap((places) => places.map(({ trieId }) => trieId)));
        const kept = new Set(Array.from({ length: placement.shards }, (_, shard) => placement.triesOf(shard)).flat());
        assert.deepEqual(kept, needed);
      }
    }),
    { seed, numRuns: 150 },
  );
});

test(`planned moves leave no byte on a shard that goes, and spread the load (seed ${seed})`, () => {
  const loadArb = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 100 }), fc.constant(4_000));
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 16 }),
      fc.array(fc.nat(15), { minLength: BYTES, maxLength: BYTES }),
      fc.array(loadArb, { minLength: BYTES, maxLength: BYTES }),
      (shards, shardOf, loads) => {
        const moves = planMoves(shardOf, loads, shards);
        const after = shardOf.slice();
        for (const { byte, to } of moves) {
          assert.notEqual(after[byte], to);
          after[byte] = to;
        }
        assert.equal(new Set(moves.map(({ byte }) => byte)).size, moves.length);
        assert.ok(after.every((shard) => shard < shards));
        if (shardOf.every((shard) => shard < shards))
          assert.ok(imbalance(after, loads, shards) <= imbalance(shardOf, loads, shards) + 1e-9);
        // Beside bytes that alone are more than a share nobody has much more than one.
        const heaviest = (Math.max(...loads) * shards) / loads.reduce((sum, load) => sum + load, 1);
        if (heaviest < 0.2) assert.ok(imbalance(after, loads, shards) <= 1.26, `${imbalance(after, loads, shards)}`);
        assert.deepEqual(planMoves(after, loads, shards), [], "what is planned is planned once");
      },
    ),
    { seed, numRuns: 150 },
  );
});

test("a byte with most of the load keeps its shard, and the others leave it", () => {
  const loads = Array.from({ length: BYTES }, (_, byte) => (byte === 7 ? 1_000 : 1));
  const shardOf = Array.from({ length: BYTES }, (_, byte) => (byte < 128 ? 0 : 1));
  const moves = planMoves(shardOf, loads, 2);
  assert.ok(!moves.some(({ byte }) => byte === 7));
  assert.ok(moves.length > 100);
});
