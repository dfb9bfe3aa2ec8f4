import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { blocksIn, loadBlock } from "../../../scripts/replay/load.ts";
import { sharedFolder } from "../../protocol/testing/shared-vectors.ts";
import { Random, randomCase } from "../wasm/testing/random-program.ts";
import { WasmEngine } from "../wasm/wasm.ts";
import { differenceFromSerial, randomAdversity, runAdversely } from "./testing/adversary.ts";
import { PROFILES, Workload } from "./testing/workloads.ts";

test("I1, I2, I3, I5: whatever executors do, random programs come out as serially, byte for byte", async (t) => {
  const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));
  t.diagnostic(`seed ${seed}`);
  const engine = await WasmEngine.create();
  for (let i = 0; i < Number(process.env["CASES"] ?? 150); i++) {
    const random = new Random(seed, i);
    const c = randomCase(seed, i, 2 + random.below(24));
    const gasAvailable = random.chance(70) ? c.env.gasLimit : 50_000 + random.below(2_000_000);
    const full = { ...c, gasAvailable };
    const adversity = randomAdversity(random);
    const outcome = runAdversely(engine, full, adversity, random);
    assert.equal(
      differenceFromSerial(engine, full, outcome),
      undefined,
      `case ${i} of seed ${seed}, ${c.env.fork}, ${JSON.stringify(adversity)}`,
    );
  }
});

test("I1, I8, I9: workloads M1, B1, H1 and U1 come out as serially under adversity, epoch after epoch", async (t) => {
  const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));
  t.diagnostic(`seed ${seed}`);
  const engine = await WasmEngine.create();
  for (const [p, profile] of PROFILES.entries()) {
    const random = new Random(seed, 1_000_000 + p);
    const workload = new Workload(profile, random, 24);
    for (let epoch = 0; epoch < 8; epoch++) {
      const c = workload.epoch(60, random.chance(70) ? 30_000_000 : 3_000_000);
      const adversity = randomAdversity(random);
      const outcome = runAdversely(engine, c, adversity, random);
      assert.equal(
        differenceFromSerial(engine, c, outcome),
        undefined,
        `${profile} of seed ${seed}, epoch ${epoch}, ${JSON.stringify(adversity)}`,
      );
      workload.world.apply(outcome.writes);
      workload.settle();
    }
  }
});

test("a transaction that touches ten thousand slots comes out as serially, wherever key shards are", async () => {
  const engine = await WasmEngine.create();
  const random = new Random(7, 7);
  const workload = new Workload("H1", random, 8);
  const c = workload.wide(10_000, 20);
  for (const shardChaos of [undefined, { elsewhere: 100, losses: 0, repeats: 10, deaths: 0 }]) {
    const outcome = runAdversely(
      engine,
      c,
      { executors: 3, shards: 4, staleness: 50, lies: 0, losses: 5, repeats: 5, deaths: 0, shardChaos },
      random,
    );
    assert.equal(differenceFromSerial(engine, c, outcome), undefined);
    assert.ok(outcome.results.some((result) => result.included && result.status === 1 && result.gasUsed > 200_000_000));
    assert.equal(outcome.stats.takenOver, 0);
  }
});

const mainnet = sharedFolder("mainnet-blocks");
test("recorded mainnet blocks come out as serially under adversity", { skip: mainnet.skip }, async (t) => {
  const seed = randomInt(2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const engine = await WasmEngine.create();
  const random = new Random(seed, 0);
  const paths = [...blocksIn(mainnet.path)];
  assert.ok(paths.length > 0);
  for (let n = 0; n < 3; n++) {
    const block = loadBlock(random.pick(paths));
    const c = { env: block.env, world: block.world(), txs: block.txs, gasAvailable: block.env.gasLimit };
    const adversity = randomAdversity(random);
    const outcome = runAdversely(engine, c, adversity, random);
    assert.equal(differenceFromSerial(engine, c, outcome), undefined, `${block.name}, ${JSON.stringify(adversity)}`);
  }
});
