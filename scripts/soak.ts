/**
 * Runs random blocks through sharded execution under adversity and compares each with the serial run, field by field:
 * random programs, the workloads M1, B1, H1 and U1 (a chain of epochs each), and recorded blocks where a folder is given.
 * Key shards are here, elsewhere or some of both, behind messages that come late, twice or never; every twenty-fifth block
 * runs once more over real executors and key shards, in this thread, threads and processes.
 * Usage: npm run soak -- [--blocks 10000] [--seed N] [--recorded DIR]. Prints a line a second and stops at the first
 * difference with the seed and the block to run again (`--seed N --start BLOCK --blocks 1`).
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { systemClock } from "../src/base/clock.ts";
import { executorHere, executorProcess, executorThread } from "../src/execution/sharded/executor-links.ts";
import { shardOverMessages, shardProcess, shardThread } from "../src/execution/sharded/shard-links.ts";
import { ShardedEngine } from "../src/execution/sharded/sharded-engine.ts";
import {
  differenceFromSerial,
  differenceOf,
  type EpochCase,
  randomAdversity,
  runAdversely,
} from "../src/execution/sharded/testing/adversary.ts";
import { PROFILES, Workload } from "../src/execution/sharded/testing/workloads.ts";
import { Random, randomCase } from "../src/execution/wasm/testing/random-program.ts";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";
import { blocksIn, loadBlock } from "./replay/load.ts";

const { values } = parseArgs({
  options: {
    blocks: { type: "string", default: "10000" },
    seed: { type: "string" },
    start: { type: "string", default: "0" },
    recorded: { type: "string" },
  },
});
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
const first = Number(values.start);
const last = first + Number(values.blocks);
const engine = await WasmEngine.create();
const recorded = values.recorded === undefined ? [] : [...blocksIn(values.recorded)];

/** Block `n`: half of them random programs, the others a few epochs of a workload, recorded ones now and then. */
function* casesOf(n: number, random: Random): Generator<EpochCase> {
  if (recorded.length > 0 && n % 50 === 49) {
    const block = loadBlock(recorded[Math.floor(n / 50) % recorded.length] as string);
    yield { env: block.env, world: block.world(), txs: block.txs, gasAvailable: block.env.gasLimit };
  } else if (n % 8 === 7) {
    const workload = new Workload(random.pick(PROFILES), random, 16 + random.below(48));
    for (let epoch = 0; epoch < 3; epoch++) {
      const c = workload.epoch(20 + random.below(60), random.chance(70) ? 30_000_000 : 2_000_000);
      yield c;
      const { writes } = engine.execute(c.env, c.txs, c.world, c.gasAvailable);
      if (writes !== undefined) workload.world.apply(writes);
      workload.settle();
    }
  } else {
    const c = randomCase(seed, n, 2 + random.below(30));
    yield { ...c, gasAvailable: random.chance(70) ? c.env.gasLimit : 50_000 + random.below(2_000_000) };
  }
}

/** Real executors and key shards: one engine for each placement, over all blocks. */
const placements = [
  { links: [executorThread, executorHere(engine)], shards: [shardThread, shardThread, shardThread] },
  { links: [executorHere(engine), executorProcess], shards: [shardProcess, shardThread] },
  { links: [executorHere(engine)], shards: Array.from({ length: 8 }, () => shardOverMessages) },
].map((options) => new ShardedEngine(engine, { ...options, always: true }));
await Promise.all(placements.map((placed) => placed.shardsReady()));

async function differenceOverLinks(c: EpochCase, placed: ShardedEngine): Promise<string | undefined> {
  const expected = engine.execute(c.env, c.txs, c.world, c.gasAvailable, { bloom: true });
  const actual = await placed.executeBatch(c.env, c.txs, c.world, c.gasAvailable);
  return differenceOf(c.world, expected, expected.writes, actual, actual.writes);
}

let shownMs = systemClock.nowMs();
let blocks = 0;
let transactions = 0;
let conflicts = 0;
let exactRuns = 0;
/** Blocks with key shards elsewhere, shards lost of them, and blocks over real links. */
let elsewhere = 0;
let lost = 0;
let overLinks = 0;
for (let n = first; n < last; n++) {
  const random = new Random(seed, n);
  for (const c of casesOf(n, random)) {
    const adversity = randomAdversity(random);
    const outcome = runAdversely(engine, c, adversity, random);
    let difference = differenceFromSerial(engine, c, outcome);
    if (n % 25 === 24 && difference === undefined) {
      difference = await differenceOverLinks(c, placements[overLinks++ % placements.length] as ShardedEngine);
    }
    if (difference !== undefined) {
      console.error(`block ${n} of seed ${seed}, ${JSON.stringify(adversity)}: ${difference}`);
      process.exit(1);
    }
    blocks++;
    transactions += c.txs.length;
    conflicts += outcome.stats.slotConflicts + outcome.stats.fieldConflicts + outcome.stats.gasConflicts;
    exactRuns += outcome.stats.exactRuns;
    if (adversity.shardChaos !== undefined) elsewhere++;
    lost += outcome.stats.takenOver;
  }
  if (systemClock.nowMs() - shownMs > 1_000 || n === last - 1) {
    shownMs = systemClock.nowMs();
    console.log(
      `${n + 1 - first} of ${last - first}: ${blocks} blocks, ${transactions} transactions, ${conflicts} conflicts, ${exactRuns} exact runs; ${elsewhere} with key shards elsewhere, ${lost} shards lost, ${overLinks} over links; all as serially (seed ${seed})`,
    );
  }
}
await Promise.all(placements.map((placed) => placed.close()));
