/**
 * What planning and dealing of sharded execution cost the coordinator, warm and by themselves: reading hints, the plan,
 * choosing batches, and writing them as messages. Executors answer at once, with nothing. CPU time of this process in µs
 * a transaction, lower fifth over rounds.
 * Usage: node --import tsx bench/planning.bench.ts [--rounds 60] [--txs 1000] [--executors 1,16]
 */
import { parseArgs } from "node:util";
import { processMicros } from "../src/bench/processor-time.ts";
import type { TxInput } from "../src/execution/execution.ts";
import { DealQueues } from "../src/execution/sharded/deal-queues.ts";
import { hintOf } from "../src/execution/sharded/hints.ts";
import { encodeRun } from "../src/execution/sharded/messages.ts";
import { Planner } from "../src/execution/sharded/planner.ts";
import { Workload } from "../src/execution/sharded/testing/workloads.ts";
import { Random } from "../src/execution/wasm/testing/random-program.ts";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "60" },
    txs: { type: "string", default: "1000" },
    executors: { type: "string", default: "1,16" },
    workloads: { type: "string", default: "M1,B1,H1" },
  },
});
const count = Number(values.txs);
const WARMUPS = 20;
const STAGES = ["hints", "plan", "deal", "encode", "learn"] as const;

const engine = await WasmEngine.create();

for (const profile of ["M1", "B1", "H1"] as const) {
  if (!values.workloads.split(",").includes(profile)) continue;
  const c = new Workload(profile, new Random(11, 1), count).epoch(count, 1_000_000_000_000);
  const { records } = engine.executePartial(c.env, c.txs, c.world, c.gasAvailable, { bloom: true });
  for (const executors of values.executors.split(",").map(Number)) {
    const planner = new Planner();
    const times = STAGES.map((): number[] => []);
    let messages = 0;
    for (let round = 0; round < Number(values.rounds) + WARMUPS; round++) {
      const marks = [processMicros()];
      const hints = c.txs.map(hintOf);
      marks.push(processMicros());
      const plan = planner.plan(hints, executors, Number.MAX_SAFE_INTEGER);
      marks.push(processMicros());
      const installed = new Uint8Array(count);
      const queues = new DealQueues(plan, executors, { watermark: 0, isInstalled: (index) => installed[index] === 1 });
      const batches: (readonly number[])[] = [];
      for (let dealt = 0; dealt < plan.dealt; )
        for (let seat = 0; seat < executors; seat++) {
          let batch = queues.take(seat, () => false);
          if (batch.length === 0 && queues.steal(seat)) batch = queues.take(seat, () => false);
          if (batch.length === 0) continue;
          dealt += batch.length;
          batches.push(batch);
          queues.returned(seat, batch);
          for (const index of batch) {
            installed[index] = 1;
            queues.came(index);
          }
        }
      marks.push(processMicros());
      for (const indexes of batches) {
        const txs = indexes.map((index) => c.txs[index] as TxInput);
        encodeRun({ epoch: round, batch: round, entries: [], versions: [], news: [], indexes, txs });
      }
      marks.push(processMicros());
      for (const [i, record] of records.entries()) {
        const hint = hints[i];
        if (hint !== undefined && record !== undefined) planner.patterns.observe(hint, record.gasUsed, record);
      }
      marks.push(processMicros());
      messages = batches.length;
      if (round < WARMUPS) continue;
      for (const [i, stage] of times.entries()) stage.push(((marks[i + 1] as number) - (marks[i] as number)) / count);
    }
    const parts = times.map((samples, i) => {
      const least = samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 5)] as number;
      return `${STAGES[i]} ${least.toFixed(2)}`;
    });
    console.log(`${profile} ${executors} executors: ${parts.join(", ")} µs a transaction, ${messages} batches`);
  }
}
