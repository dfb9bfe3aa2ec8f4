import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../wasm/testing/random-program.ts";
import { WasmEngine } from "../wasm/wasm.ts";
import { fingerprint, hintOf, type TxHint } from "./hints.ts";
import { Planner } from "./planner.ts";
import { type Profile, Workload } from "./testing/workloads.ts";

/** An epoch of a workload with its hints, run serially and observed by `planner`. */
async function observed(profile: Profile, planner: Planner): Promise<readonly TxHint[]> {
  const engine = await WasmEngine.create();
  const c = new Workload(profile, new Random(5, 5), 128).epoch(128, 1_000_000_000);
  const hints = c.txs.map(hintOf);
  const { records } = engine.executePartial(c.env, c.txs, c.world, c.gasAvailable);
  for (const [i, record] of records.entries())
    planner.patterns.observe(hints[i] as TxHint, record?.gasUsed ?? 0, record);
  return hints;
}

const hint = (p: Partial<TxHint>): TxHint => ({
  gasLimit: 100_000,
  template: 1,
  target: 1,
  words: [],
  nonce: undefined,
  hasValue: false,
  sender: 1,
  toAt: 10,
  ...p,
});

test("what shares a key runs on one executor, in order, and the rest is spread evenly", () => {
  const hints = Array.from({ length: 400 }, (_, i) => hint({ words: [i % 10 === 0 ? 7 : 1_000 + i], sender: 1 + i }));
  const { owners, loads, edges, keptEdges } = new Planner().plan(hints, 4, 30_000_000);
  const hot = new Set(hints.flatMap((h, i) => (h.words[0] === 7 ? [owners[i]] : [])));
  assert.equal(hot.size, 1);
  assert.equal(keptEdges, edges);
  assert.ok(Math.max(...loads) / (loads.reduce((sum, load) => sum + load, 0) / 4) < 1.4);
});

test("a conflict is learned: the next time one follows the other", () => {
  const planner = new Planner();
  const pair = Array.from({ length: 200 }, (_, i) => hint({ template: 1 + (i % 2), sender: 1 + i }));
  assert.ok(new Set(planner.plan(pair, 8, 30_000_000).owners).size > 1);
  planner.patterns.learnConflict(pair[0] as TxHint, pair[1], "aa".repeat(20), "bb".repeat(32));
  const { owners, edges } = planner.plan(pair, 8, 30_000_000);
  assert.equal(edges, pair.length - 2, "each follows the latest writer before it");
  const writers = owners.filter((_, i) => i % 2 === 1).subarray(0, -1);
  assert.equal(new Set(writers).size, 1, "those that are waited for stay together");
});

test("what takes longest, with all that follows it, is begun first, wherever it stands", () => {
  const heavy = 5_000_000;
  const planner = new Planner();
  const call = (p: Partial<TxHint>): TxHint => hint({ template: 0, target: 0, toAt: -1, ...p });
  for (let n = 0; n < 20; n++) planner.patterns.observe(hint({ template: 9, gasLimit: heavy }), heavy, undefined);
  const light = Array.from({ length: 300 }, (_, i) => call({ sender: 1 + i }));
  const chain = Array.from({ length: 60 }, (_, i) => hint({ template: 8, words: [5], sender: 1_000 + i }));
  const hints = [...light, ...chain, hint({ template: 9, gasLimit: heavy, sender: 2_000 })];
  const { order, owners, makespanMicros, loads } = planner.plan(hints, 8, 30_000_000);
  assert.equal(order[0], 300, "the head of the chain");
  assert.ok(order.indexOf(360) < 10, "the long one");
  assert.equal(new Set(order).size, hints.length);
  assert.ok(
    makespanMicros < 1.3 * Math.max(...loads.map((load) => load), 2_300),
    `${makespanMicros}: ${loads.join(" ")}`,
  );
  assert.equal(new Set(chain.map((_, i) => owners[300 + i])).size, 1, "a chain stays together");
});

test("of one sender's transactions, those with other nonces than the next wait for the watermark", () => {
  const hints = [4, 5, 7, 6, 6].map((nonce) => hint({ nonce, sender: 3 }));
  const { owners } = new Planner().plan([...hints, hint({ nonce: 0, sender: 4 })], 2, 30_000_000);
  assert.deepEqual(
    [...owners].map((owner) => owner >= 0),
    [true, true, false, true, false, true],
  );
});

test("what no executor may run waits for the watermark", () => {
  const { owners } = new Planner().plan([hint({ gasLimit: undefined }), hint({ gasLimit: 31_000_000 })], 2, 30_000_000);
  assert.deepEqual([...owners], [-1, -1]);
});

test("a glance at a transaction gives its gas limit and target, and at rubbish nothing", () => {
  const { txs } = new Workload("M1", new Random(3, 3), 8).epoch(50);
  for (const tx of txs) {
    const { gasLimit, toAt } = hintOf(tx);
    assert.ok(gasLimit !== undefined && gasLimit >= 21_000);
    assert.ok(toAt > 0 && toAt + 20 < tx.raw.length);
    for (let end = 0; end < tx.raw.length; end += 7)
      assert.equal(hintOf({ ...tx, raw: tx.raw.subarray(0, end) }).gasLimit, undefined);
  }
  const random = new Random(4, 4);
  for (let i = 0; i < 2_000; i++)
    hintOf({ raw: random.bytes(random.below(80)), sender: new Uint8Array(20), l1FeeWei: 0n });
});

test("a key that is rarely touched ties nobody: one conflict of a function leaves its other calls apart", async () => {
  const planner = new Planner();
  const hints = await observed("U1", planner);
  planner.patterns.learnConflict(hints[0] as TxHint, hints[1], "aa".repeat(20), "bb".repeat(32));
  assert.ok(planner.plan(hints, 2, 1_000_000_000).edges > 100, "at first it may concern all of them");
  await observed("U1", planner);
  const { loads, edges } = planner.plan(hints, 2, 1_000_000_000);
  assert.equal(edges, 0);
  assert.ok(Math.max(...loads) / Math.min(...loads) < 1.3, loads.join(" "));
});

test("what only reads holds nobody up", async () => {
  const planner = new Planner();
  const hints = await observed("B1", new Planner());
  const probes = hints.filter(({ words }) => words.length === 5);
  assert.ok(probes.length > 20);
  assert.ok(planner.plan(probes, 4, 1_000_000_000).edges > 20);
  await observed("B1", planner);
  assert.equal(planner.plan(probes, 4, 1_000_000_000).edges, 0);
});

test("an executor that becomes three times slower gets a third: imbalance falls below a fifth", () => {
  const planner = new Planner();
  const factors = [1, 1, 1, 1];
  const imbalances: number[] = [];
  for (let epoch = 0; epoch < 12; epoch++) {
    if (epoch === 3) factors[2] = 3;
    const calls = Array.from({ length: 800 }, (_, i) =>
      hint({ words: [i % 5 === 0 ? i % 40 : 1_000 + i], sender: 1 + i * 7, template: 1 + (i % 3) }),
    );
    const plan = planner.plan(calls, 4, 30_000_000);
    // The functions differ in time per gas, unknown to the planner, and so do the executors.
    const micros = factors.map((factor, executor) => {
      const own = calls.flatMap((_, i) => (plan.owners[i] === executor ? [i] : []));
      const took = own.reduce((sum, i) => sum + (13 + 60_000 * 0.0004 * (calls[i] as TxHint).template) * factor, 0);
      planner.observeTime(
        executor,
        plan,
        own,
        own.map(() => 60_000),
        took,
      );
      return took;
    });
    imbalances.push(Math.max(...micros) / (micros.reduce((sum, x) => sum + x, 0) / 4) - 1);
  }
  assert.ok((imbalances[3] as number) > 0.5, `the step is felt: ${imbalances.join(" ")}`);
  for (const imbalance of imbalances.slice(8)) assert.ok(imbalance < 0.2, imbalances.join(" "));
});

test("contracts that differ in any byte of the address are told apart, and a word names its address", () => {
  const address = (first: number): Uint8Array => Uint8Array.of(first, ...new Uint8Array(18), 1);
  assert.notEqual(fingerprint(address(1)), fingerprint(address(2)));
  assert.equal(fingerprint(Uint8Array.of(...new Uint8Array(12), ...address(1))), fingerprint(address(1)));
});
