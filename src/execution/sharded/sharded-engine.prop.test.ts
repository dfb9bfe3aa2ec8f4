import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { Random, randomCase } from "../wasm/testing/random-program.ts";
import { WasmEngine } from "../wasm/wasm.ts";
import { executorHere, executorThread } from "./executor-links.ts";
import { shardOverMessages, shardProcess, shardThread } from "./shard-links.ts";
import { ShardedEngine } from "./sharded-engine.ts";
import { differenceOf } from "./testing/adversary.ts";
import { chaosLink } from "./testing/chaos-link.ts";

test("I1: over links that lose, repeat, delay and cut off, batch after batch comes out as serially", async (t) => {
  const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));
  t.diagnostic(`seed ${seed}`);
  const serial = await WasmEngine.create();
  for (let group = 0; group < Number(process.env["CASES"] ?? 12); group++) {
    const random = new Random(seed, group);
    const calm = random.chance(30);
    const chaos = calm
      ? { losses: 0, repeats: 0, delays: 0, deaths: 0 }
      : { losses: random.pick([0, 10]), repeats: 20, delays: 30, deaths: random.pick([0, 10]) };
    const links = Array.from({ length: 1 + random.below(16) }, () => chaosLink(executorHere(serial), chaos, random));
    const shards = random.pick([1, 3, 8]);
    const shardChaos = calm
      ? { losses: 0, repeats: 0, delays: 10, deaths: 0, isOrdered: true }
      : { losses: random.pick([0, 2]), repeats: 10, delays: 10, deaths: random.pick([0, 2]), isOrdered: true };
    const engine = new ShardedEngine(serial, {
      links,
      shards: random.chance(30)
        ? shards
        : Array.from({ length: shards }, () => chaosLink(shardOverMessages, shardChaos, random)),
      always: true,
      stallMs: 15,
    });
    await engine.shardsReady();
    // The caches of the executors live on, over worlds that have nothing to do with each other: stale to the last key.
    for (let n = 0; n < 6; n++) {
      const c = randomCase(seed, group * 100 + n, 5 + random.below(40));
      const gasAvailable = random.chance(70) ? c.env.gasLimit : 100_000 + random.below(3_000_000);
      const expected = serial.execute(c.env, c.txs, c.world, gasAvailable, { bloom: true });
      const actual = await engine.executeBatch(c.env, c.txs, c.world, gasAvailable);
      assert.equal(
        differenceOf(c.world, expected, expected.writes, actual, actual.writes),
        undefined,
        `seed ${seed}, group ${group}, batch ${n}`,
      );
    }
    await engine.close();
  }
});

test("I1: key shards in threads and processes, one of them killed now and then, come out as serially", async (t) => {
  const seed = randomInt(2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const serial = await WasmEngine.create();
  const random = new Random(seed, 0);
  const mortal = chaosLink(shardThread, { losses: 0, repeats: 10, delays: 10, deaths: 5, isOrdered: true }, random);
  const engine = new ShardedEngine(serial, {
    links: [executorHere(serial), executorHere(serial)],
    shards: [shardThread, mortal, shardProcess],
    always: true,
  });
  await engine.shardsReady();
  let takenOver = 0;
  for (let n = 0; n < 40; n++) {
    const c = randomCase(seed, n, 30);
    const expected = serial.execute(c.env, c.txs, c.world, c.env.gasLimit, { bloom: true });
    const actual = await engine.executeBatch(c.env, c.txs, c.world, c.env.gasLimit);
    assert.equal(differenceOf(c.world, expected, expected.writes, actual, actual.writes), undefined, `batch ${n}`);
    takenOver += engine.lastOutcome?.stats.takenOver ?? 0;
  }
  const { messagesIn } = engine.shardTraffic;
  t.diagnostic(`${messagesIn} answers, ${takenOver} shards taken over`);
  assert.ok(messagesIn > 40, "the shards elsewhere validated");
  await engine.close();
});

test("I1: executors in threads, one of them killed now and then, come out as serially", async (t) => {
  const seed = randomInt(2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const serial = await WasmEngine.create();
  const random = new Random(seed, 0);
  // The second one is killed now and then in the middle of its work, and replaced.
  const mortal = chaosLink(executorThread, { losses: 0, repeats: 10, delays: 10, deaths: 5 }, random);
  const engine = new ShardedEngine(serial, { links: [executorThread, mortal], shards: 2, always: true });
  for (let n = 0; n < 40; n++) {
    const c = randomCase(seed, n, 30);
    const expected = serial.execute(c.env, c.txs, c.world, c.env.gasLimit, { bloom: true });
    const actual = await engine.executeBatch(c.env, c.txs, c.world, c.env.gasLimit);
    assert.equal(differenceOf(c.world, expected, expected.writes, actual, actual.writes), undefined, `batch ${n}`);
  }
  await engine.close();
});
