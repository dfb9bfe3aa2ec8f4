/**
 * What validation costs, and whom: the results of an epoch, run before, are delivered to its core in batches, with key
 * shards in the same thread and behind messages, in turns. One thread does all the work, and each part is timed for
 * itself by CPU time: what a coordinator has to do is what remains with it when shards are elsewhere. Nothing is waited for.
 * Columns: the coordinator's and all shards' microseconds a transaction, microseconds of validation for each account and
 * slot of a result, bytes and messages a transaction, and the busiest shard's share of validation.
 * Usage: node --import tsx bench/key-shards.bench.ts [--rounds 7] [--txs 600] [--json FILE]
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { spread } from "../src/bench/statistics.ts";
import { Epoch } from "../src/execution/sharded/epoch.ts";
import { hintOf } from "../src/execution/sharded/hints.ts";
import { ShardEpochs } from "../src/execution/sharded/shard-epochs.ts";
import { decodeFromShard } from "../src/execution/sharded/shard-messages.ts";
import type { EpochCase } from "../src/execution/sharded/testing/adversary.ts";
import { PROFILES, Workload } from "../src/execution/sharded/testing/workloads.ts";
import type { TxRecord } from "../src/execution/wasm/result.ts";
import { Random } from "../src/execution/wasm/testing/random-program.ts";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    txs: { type: "string", default: "600" },
    json: { type: "string" },
  },
});
const rounds = Number(values.rounds);
/** Time this process was on a processor: others on the machine do not count. */
const usedMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};
const count = Number(values.txs);
/** Results of one executor's answer. */
const BATCH = 32;
const PLACES = [
  { shards: 1, isElsewhere: false },
  { shards: 4, isElsewhere: false },
  { shards: 1, isElsewhere: true },
  { shards: 2, isElsewhere: true },
  { shards: 4, isElsewhere: true },
  { shards: 8, isElsewhere: true },
];

type Cost = {
  readonly coordinatorMs: number;
  readonly shardMs: readonly number[];
  readonly accesses: number;
  readonly bytes: number;
  readonly messages: number;
};

/** Carries an epoch through to its end; every result holds, as with a good plan. */
function carry(c: EpochCase, records: readonly (TxRecord | undefined)[], place: (typeof PLACES)[number]): Cost {
  const startMs = usedMs();
  const shardMs: number[] = Array.from({ length: place.shards }, () => 0);
  let shardAccesses = 0;
  let bytes = 0;
  let messages = 0;
  const inboxes: Uint8Array[][] = shardMs.map(() => []);
  const outboxes: Uint8Array[][] = shardMs.map(() => []);
  const hosts = outboxes.map((outbox) => new ShardEpochs((answer) => outbox.push(answer)));
  const epoch = new Epoch({
    count: c.txs.length,
    gasLimits: c.txs.map((tx) => hintOf(tx).gasLimit),
    state: c.world,
    gasAvailable: c.gasAvailable,
    shards: place.shards,
    ...(place.isElsewhere && {
      elsewhere: { epoch: 1, sends: inboxes.map((inbox) => (message: Uint8Array) => inbox.push(message)) },
    }),
  });
  const exchange = (): void => {
    epoch.flush();
    for (const [shard, host] of hosts.entries()) {
      const beganMs = usedMs();
      for (const message of (inboxes[shard] as Uint8Array[]).splice(0)) {
        bytes += message.length;
        messages++;
        host.receive(message);
      }
      shardMs[shard] = (shardMs[shard] as number) + usedMs() - beganMs;
      for (const message of (outboxes[shard] as Uint8Array[]).splice(0)) {
        bytes += message.length;
        messages++;
        const answer = decodeFromShard(message);
        if (answer === undefined) continue;
        shardAccesses += answer.accesses;
        epoch.received(shard, answer);
      }
    }
    epoch.advance();
  };
  for (let from = 0; from < records.length; from += BATCH) {
    for (let index = from; index < Math.min(records.length, from + BATCH); index++) {
      const record = records[index];
      if (record !== undefined) epoch.deliver(index, 1, record);
    }
    epoch.advance();
    if (place.isElsewhere) exchange();
  }
  for (let n = 0; !epoch.isOver && n < 10; n++) exchange();
  if (!epoch.isOver) throw new Error(`the epoch stands at ${epoch.watermark} of ${epoch.count}`);
  for (const result of epoch.results()) if (result.included) void result.writes;
  epoch.net();
  const allShardsMs = shardMs.reduce((sum, ms) => sum + ms, 0);
  return {
    coordinatorMs: usedMs() - startMs - (place.isElsewhere ? allShardsMs : 0),
    shardMs,
    accesses: place.isElsewhere ? shardAccesses : epoch.accesses,
    bytes,
    messages,
  };
}

const median = (samples: readonly number[]): number => spread(samples)?.median ?? 0;
const engine = await WasmEngine.create();
const rows: object[] = [];
console.log("profile  shards            coordinator us/tx  shards us/tx  us/access  bytes/tx  messages/epoch  busiest");
for (const [p, profile] of PROFILES.entries()) {
  const workload = new Workload(profile, new Random(11, p), 256);
  const costs: Cost[][] = PLACES.map(() => []);
  for (let round = 0; round < rounds + 2; round++) {
    const c = workload.epoch(count, 1_000_000_000);
    for (let i = 0; i < PLACES.length; i++) {
      const at = (i + round) % PLACES.length;
      // Corrections change records: each place gets its own.
      const { records } = engine.executePartial(c.env, c.txs, c.world, c.gasAvailable, { bloom: true });
      const cost = carry(c, records, PLACES[at] as (typeof PLACES)[number]);
      if (round >= 2) costs[at]?.push(cost);
    }
    const { writes } = engine.execute(c.env, c.txs, c.world, c.gasAvailable);
    if (writes !== undefined) workload.world.apply(writes);
    workload.settle();
  }
  for (const [at, { shards, isElsewhere }] of PLACES.entries()) {
    const own = costs[at] as Cost[];
    const perTx = (of: (cost: Cost) => number): number => (median(own.map(of)) * 1_000) / count;
    const total = ({ shardMs }: Cost): number => shardMs.reduce((sum, ms) => sum + ms, 0);
    const row = {
      profile,
      shards,
      isElsewhere,
      coordinatorMicrosPerTx: perTx((cost) => cost.coordinatorMs),
      shardMicrosPerTx: isElsewhere ? perTx(total) : 0,
      microsPerAccess: median(
        own.map((cost) => ((isElsewhere ? total(cost) : cost.coordinatorMs) * 1_000) / cost.accesses),
      ),
      bytesPerTx: median(own.map((cost) => cost.bytes)) / count,
      messages: median(own.map((cost) => cost.messages)),
      busiest: isElsewhere ? median(own.map((cost) => Math.max(...cost.shardMs) / total(cost))) : 1,
    };
    rows.push(row);
    console.log(
      [
        profile.padEnd(7),
        `${shards} ${isElsewhere ? "elsewhere" : "here"}`.padStart(13),
        row.coordinatorMicrosPerTx.toFixed(2).padStart(20),
        row.shardMicrosPerTx.toFixed(2).padStart(13),
        row.microsPerAccess.toFixed(2).padStart(10),
        row.bytesPerTx.toFixed(0).padStart(9),
        row.messages.toFixed(0).padStart(15),
        `${(row.busiest * 100).toFixed(0)}%`.padStart(8),
      ].join(" "),
    );
  }
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ rows }, null, 2));
await engine.close();
