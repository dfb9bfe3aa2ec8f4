import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { Random, randomCase } from "../wasm/testing/random-program.ts";
import { WasmEngine } from "../wasm/wasm.ts";
import { type Adversity, differenceFromSerial, runAdversely } from "./testing/adversary.ts";

function randomAdversity(random: Random): Adversity {
  return {
    executors: 1 + random.below(16),
    shards: random.pick([1, 2, 4, 16]),
    staleness: random.pick([0, 20, 100]),
    lies: random.pick([0, 0, 5, 40]),
    losses: random.pick([0, 5, 50]),
    repeats: random.pick([0, 30]),
    deaths: random.pick([0, 5]),
  };
}

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
