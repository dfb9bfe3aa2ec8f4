/**
 * What the core of sharded execution costs one thread, by itself: results of an epoch are taken, validated, settled and
 * summed up, without executors, messages or planning. Results come in batches of 16 transactions, as from so many
 * executors that work side by side. CPU time of this thread in µs a transaction, lower fifth over rounds.
 * Usage: node --import tsx bench/epoch-core.bench.ts [--rounds 40] [--txs 1000] [--shards 1] [--profile]
 */
import { parseArgs } from "node:util";
import { Epoch } from "../src/execution/sharded/epoch.ts";
import { hintOf } from "../src/execution/sharded/hints.ts";
import { Workload } from "../src/execution/sharded/testing/workloads.ts";
import { Output, TxRecord } from "../src/execution/wasm/result.ts";
import { Random } from "../src/execution/wasm/testing/random-program.ts";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "40" },
    txs: { type: "string", default: "1000" },
    shards: { type: "string", default: "1" },
    workloads: { type: "string", default: "M1,B1,H1" },
  },
});
const rounds = Number(values.rounds);
const count = Number(values.txs);
const BATCH_TXS = 16;

const STAGES = ["take", "validate", "settle", "net"] as const;
type Stage = (typeof STAGES)[number];

const engine = await WasmEngine.create();

/** Records of a serial run as executors send them: so many to a buffer. */
function batchesOf(c: ReturnType<Workload["epoch"]>): Uint8Array[] {
  const { records } = engine.executePartial(c.env, c.txs, c.world, c.gasAvailable, { bloom: true });
  const batches: Uint8Array[] = [];
  for (let from = 0; from < records.length; from += BATCH_TXS) {
    const own = records
      .slice(from, from + BATCH_TXS)
      .map((record) => (record as TxRecord).slice(0, (record as TxRecord).size));
    batches.push(new Uint8Array(Buffer.concat(own)));
  }
  return batches;
}

function runRound(c: ReturnType<Workload["epoch"]>, batches: readonly Uint8Array[], order: readonly number[]) {
  const times: Record<Stage, number> = { take: 0, validate: 0, settle: 0, net: 0 };
  const outputs = batches.map((bytes) => new Output(new Uint8Array(bytes)));
  const hints = c.txs.map(hintOf);
  let startMs = performance.now();
  const enter = (stage: Stage): void => {
    const nowMs = performance.now();
    times[stage] += nowMs - startMs;
    startMs = nowMs;
  };
  const epoch = new Epoch({
    count: c.txs.length,
    gasLimits: hints.map((hint) => hint.gasLimit),
    state: c.world,
    gasAvailable: c.gasAvailable,
    shards: Number(values.shards),
  });
  for (const batch of order) {
    const output = outputs[batch] as Output;
    let at = 0;
    for (let index = batch * BATCH_TXS; at < output.bytes.length; index++) {
      const record = new TxRecord(output, at);
      at += record.size;
      epoch.deliver(index, 1, record);
    }
    enter("take");
    epoch.advance();
    enter("validate");
  }
  if (!epoch.isDone) throw new Error(`the watermark stands at ${epoch.watermark}`);
  epoch.results();
  enter("settle");
  const writes = epoch.net();
  enter("net");
  (epoch as { close?: () => void }).close?.();
  return { times, accounts: writes.accounts.size };
}

for (const profile of values.workloads.split(",")) {
  const workload = new Workload(profile as "M1", new Random(11, 0), 600);
  const c = workload.epoch(count, Number.MAX_SAFE_INTEGER);
  const batches = batchesOf(c);
  // Sixteen executors, each with every sixteenth batch: they come out of order by a little.
  const random = new Random(5, 5);
  const order = batches.map((_, i) => i);
  for (let i = 0; i + 1 < order.length; i++) {
    const j = Math.min(order.length - 1, i + random.below(8));
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  const samples: Record<Stage, number[]> = { take: [], validate: [], settle: [], net: [] };
  let accounts = 0;
  for (let round = 0; round < rounds; round++) {
    const outcome = runRound(c, batches, order);
    accounts = outcome.accounts;
    for (const stage of STAGES) samples[stage].push((outcome.times[stage] * 1_000) / count);
  }
  const lower = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 5)] as number;
  const stages = STAGES.map((stage) => `${stage} ${lower(samples[stage]).toFixed(2)}`).join(", ");
  const all = STAGES.reduce((sum, stage) => sum + lower(samples[stage]), 0);
  console.log(`${profile}: ${all.toFixed(2)} µs a transaction: ${stages}; ${accounts} accounts changed`);
}
