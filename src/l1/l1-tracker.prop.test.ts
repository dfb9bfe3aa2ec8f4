/** Properties of the tracker: whatever L1 does, the followed chain is linked and ends at L1's own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toHexKey } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import type { L1Origin } from "../protocol/block.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
import { l1Error } from "./l1.ts";
import { L1Tracker } from "./l1-tracker.ts";
import { MemoryL1 } from "./memory-l1.ts";

type Action =
  | { kind: "mine"; count: number }
  | { kind: "reorg"; depth: number; length: number }
  | { kind: "step"; count: number }
  | { kind: "fault" };

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constant("mine" as const), count: fc.integer({ min: 1, max: 6 }) }),
  fc.record({
    kind: fc.constant("reorg" as const),
    depth: fc.integer({ min: 1, max: 14 }),
    length: fc.integer({ min: 1, max: 16 }),
  }),
  fc.record({ kind: fc.constant("step" as const), count: fc.integer({ min: 1, max: 8 }) }),
  fc.record({ kind: fc.constant("fault" as const) }),
);

/** A follower that only believes the steps it is given. */
class Follower {
  readonly chain: { number: number; hash: Uint8Array }[];
  readonly tracker: L1Tracker;

  constructor(l1: MemoryL1, genesis: L1BlockInfo) {
    this.chain = [{ number: genesis.number, hash: genesis.hash }];
    this.tracker = new L1Tracker(l1, { from: this.chain.slice(), aheadMax: 4 });
  }

  /** Applies one step; false when idle. */
  async step(): Promise<boolean> {
    const step = await this.tracker.next();
    if (step.kind === "idle") return false;
    if (step.kind === "block") {
      const tip = this.chain.at(-1) as L1Origin;
      assert.equal(step.block.number, tip.number + 1);
      assert.deepEqual(step.block.parentHash, tip.hash);
      this.chain.push({ number: step.block.number, hash: step.block.hash });
      return true;
    }
    assert.ok(step.dropped.length > 0, "a reorg drops something");
    assert.deepEqual(this.chain.splice(this.chain.length - step.dropped.length), step.dropped);
    assert.deepEqual(this.chain.at(-1), step.ancestor);
    return true;
  }
}

test("a follower of any L1 history ends on L1's own chain, each reorg back to the exact common ancestor", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
      const l1 = new MemoryL1();
      const follower = new Follower(l1, (await l1.block(0)) as L1BlockInfo);
      for (const a of actions) {
        if (a.kind === "mine") l1.mineMany(a.count);
        else if (a.kind === "reorg") {
          const depth = Math.min(a.depth, l1.headNumber);
          if (depth > 0)
            l1.reorg(
              depth,
              Array.from({ length: a.length }, () => ({})),
            );
        } else if (a.kind === "fault") {
          l1.failNext("head", l1Error("L1_ENDPOINT_DOWN", "armed", {}));
          await assert.rejects(
            async () => {
              while (await follower.step());
            },
            (error) => hasCode(error, "L1_ENDPOINT_DOWN"),
          );
        } else for (let i = 0; i < a.count; i++) await follower.step();
      }
      while (await follower.step());
      // A chain that shrank to a prefix of what was seen is a node that lags, until it grows another way.
      l1.mineMany(20);
      while (await follower.step());
      const expected = (await l1.blocks(0, l1.headNumber)).map((b) => toHexKey(b.hash));
      assert.deepEqual(
        follower.chain.map((b) => toHexKey(b.hash)),
        expected,
      );
    }),
    { numRuns: 150 },
  );
});
