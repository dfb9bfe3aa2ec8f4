import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../wasm/testing/random-program.ts";
import { hintOf, type TxHint } from "./hints.ts";
import { Planner } from "./planner.ts";
import { Workload } from "./testing/workloads.ts";

const hint = (p: Partial<TxHint>): TxHint => ({
  gasLimit: 100_000,
  template: 1,
  target: 1,
  keys: [],
  sender: 0,
  to: new Uint8Array(20),
  ...p,
});

test("what shares a key runs on one executor, in order, and the rest is spread evenly", () => {
  const hints = Array.from({ length: 400 }, (_, i) => hint({ keys: [i % 10 === 0 ? 7 : 1_000 + i], sender: i }));
  const { owners, loads, edges, keptEdges } = new Planner().plan(hints, 4, 30_000_000);
  const hot = new Set(hints.flatMap((h, i) => (h.keys[0] === 7 ? [owners[i]] : [])));
  assert.equal(hot.size, 1);
  assert.equal(keptEdges, edges);
  assert.ok(Math.max(...loads) / (loads.reduce((sum, load) => sum + load, 0) / 4) < 1.4);
});

test("a conflict is learned: the next time both run on one executor", () => {
  const planner = new Planner();
  const pair = Array.from({ length: 200 }, (_, i) => hint({ template: 1 + (i % 2), keys: [1_000 + i], sender: i }));
  assert.ok(new Set(planner.plan(pair, 8, 30_000_000).owners).size > 1);
  planner.learnConflict(pair[0] as TxHint, pair[1], 99);
  assert.equal(new Set(planner.plan(pair, 8, 30_000_000).owners).size, 1);
});

test("what no executor may run waits for the watermark", () => {
  const { owners } = new Planner().plan([hint({ gasLimit: undefined }), hint({ gasLimit: 31_000_000 })], 2, 30_000_000);
  assert.deepEqual([...owners], [-1, -1]);
});

test("a glance at a transaction gives its gas limit and target, and at rubbish nothing", () => {
  const { txs } = new Workload("M1", new Random(3, 3), 8).epoch(50);
  for (const tx of txs) {
    const { gasLimit, to } = hintOf(tx);
    assert.ok(gasLimit !== undefined && gasLimit >= 21_000);
    assert.equal(to?.length, 20);
    for (let end = 0; end < tx.raw.length; end += 7)
      assert.equal(hintOf({ ...tx, raw: tx.raw.subarray(0, end) }).gasLimit, undefined);
  }
  const random = new Random(4, 4);
  for (let i = 0; i < 2_000; i++)
    hintOf({ raw: random.bytes(random.below(80)), sender: new Uint8Array(20), l1FeeWei: 0n });
});
