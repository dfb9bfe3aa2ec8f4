/**
 * The network under load, end to end: a devnet as its users start it, and beside it anvil with the same chain id, accounts,
 * gas limit, block time and token code. Both get the same signed transactions over JSON-RPC from a load generator in a
 * process of its own, in turns, so that neither disturbs the other. What is printed is sealed transactions, never only
 * accepted ones, with the mix, the machine and the spread over the repetitions beside it.
 * Run: npm run bench -- --help
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { memoryBytes, threadTimes, usedMs } from "../src/bench/processor-time.ts";
import { type Latency, latencyOf, type Spread, spread } from "../src/bench/statistics.ts";
import { renderTable } from "../src/commands/table.ts";
import { userAccounts } from "../src/devnet/accounts.ts";
import { buildStale } from "../src/devnet/build.ts";
import { hottest, Profiler, stageTimes, type ThreadProfile } from "./lib/cpu-profile.ts";
import { type L1Cost, l1CostOf } from "./lib/l1-cost.ts";
import type { LoadResult } from "./lib/load-protocol.ts";
import { AnvilPeer, CHAIN_ID, LoadGenerator, type Peer, SheafPeer, sleep } from "./lib/peers.ts";
import { KINDS, type Kind, TOKEN, WorkloadMaker, writeBodies } from "./lib/workload.ts";

const HELP = `npm run bench -- [options]

Runs a devnet of one cluster and, beside it, anvil; sends both the same signed transactions; prints ingest, sealed
transactions per second, latency, bytes and gas on L1, replay rate, and CPU time by stage. Takes two to four minutes.

  --txs <n>          transactions of one repetition (20000)
  --repetitions <n>  repetitions of each load (3)
  --seconds <n>      length of each latency run (10)
  --senders <n>      accounts that send (400)
  --connections <n>  HTTP connections (8)
  --batch <n>        eth_sendRawTransaction calls in one request (100)
  --gas-limit <n>    block gas limit of both chains (1000000000)
  --engine <name>    engine of the devnet (its default)
  --only <kind>      eth or erc20 alone
  --no-anvil         without the peer
  --no-profile       without the profiled run
  --no-latency       without the latency runs
  --node-args <args> options of Node for the devnet, separated by spaces
  --save-profile <folder>  keep the CPU profiles (.cpuprofile)
  --json             one JSON object instead of tables
`;

const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    txs: { type: "string", default: "20000" },
    repetitions: { type: "string", default: "3" },
    seconds: { type: "string", default: "10" },
    senders: { type: "string", default: "400" },
    connections: { type: "string", default: "8" },
    batch: { type: "string", default: "100" },
    "gas-limit": { type: "string", default: "1000000000" },
    engine: { type: "string" },
    only: { type: "string" },
    anvil: { type: "boolean", default: true },
    profile: { type: "boolean", default: true },
    latency: { type: "boolean", default: true },
    "node-args": { type: "string", default: "" },
    "save-profile": { type: "string" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  process.stdout.write(HELP);
  process.exit(0);
}

function count(name: "txs" | "repetitions" | "seconds" | "senders" | "connections" | "batch" | "gas-limit"): number {
  const value = Number(options[name]);
  if (!Number.isSafeInteger(value) || value < 1) {
    process.stderr.write(`--${name} wants a whole number above 0, got ${options[name]}\n`);
    process.exit(2);
  }
  return value;
}

const settings = {
  txs: count("txs"),
  repetitions: count("repetitions"),
  seconds: count("seconds"),
  senders: count("senders"),
  connections: count("connections"),
  batch: count("batch"),
  gasLimit: count("gas-limit"),
  engine: options.engine ?? "default",
};
const kinds = KINDS.filter((kind) => options.only === undefined || options.only === kind);
if (kinds.length === 0) {
  process.stderr.write("--only wants eth or erc20\n");
  process.exit(2);
}

const SEAL_TIMEOUT_MS = 120_000;
const IDLE_RATE = 10;
const LOAD_SHARE = 0.8;

const started = performance.now();
const note = (text: string): void => {
  process.stderr.write(`${((performance.now() - started) / 1_000).toFixed(1).padStart(6)} s  ${text}\n`);
};

/** CPU of a devnet without users: L1 polling, empty blocks, two verified heads. */
let idleCpuMsPerSecond: number | undefined;
async function idleCpu(peer: Peer): Promise<number> {
  const before = threadTimes(peer.pid);
  const startMs = performance.now();
  await sleep(3_000);
  const ms = [...usedMs(before, threadTimes(peer.pid)).values()].reduce((sum, n) => sum + n, 0);
  return (ms * 1_000) / (performance.now() - startMs);
}

type Runs = { readonly results: LoadResult[]; readonly cpuUsPerTx: number[]; memoryBytes: number | undefined };
const runs = new Map<string, Runs>();
const runsOf = (peer: string, kind: Kind): Runs => {
  const key = `${peer}/${kind}`;
  const known = runs.get(key) ?? { results: [], cpuUsPerTx: [], memoryBytes: undefined };
  runs.set(key, known);
  return known;
};
type LatencyRow = {
  readonly peer: string;
  readonly load: string;
  readonly rate: number;
  readonly answer: Latency | undefined;
  readonly acceptToSealed: Latency | undefined;
  readonly acceptToConfirmed: Latency | undefined;
  readonly sealedShare: number;
};
const latencies: LatencyRow[] = [];
const costs = new Map<Kind, L1Cost>();
type StageRow = { readonly stage: string; readonly usPerTx: number; readonly thread: string };
type ProfileSummary = {
  readonly transactions: number;
  readonly stages: readonly StageRow[];
  readonly threads: readonly { readonly name: string; readonly usPerTx: number }[];
  readonly safeBlocks: number;
  readonly hottest: readonly { readonly name: string; readonly usPerTx: number }[];
};
let profiled: ProfileSummary | undefined;
type Replay = { readonly transactions: number; readonly seconds: number; readonly perSecond: number };
let replay: Replay | undefined;
let engineName = settings.engine;

const folder = mkdtempSync(join(tmpdir(), "sheaf-bench-"));
const generator = new LoadGenerator();
const peers: Peer[] = [];
let sheaf: SheafPeer | undefined;
let anvil: AnvilPeer | undefined;
let stopping: Promise<void> | undefined;

function stopAll(): Promise<void> {
  stopping ??= (async () => {
    await Promise.all([generator.stop(), anvil?.stop(), sheaf?.stop()]);
    rmSync(folder, { recursive: true, force: true });
  })();
  return stopping;
}
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void stopAll().finally(() => process.exit(130)));

try {
  await main();
} finally {
  await stopAll();
}

async function main(): Promise<void> {
  await buildStale();
  note("starting the devnet");
  sheaf = await SheafPeer.start({
    dataDir: folder,
    inspect: options.profile,
    nodeArgs: options["node-args"].split(" ").filter((arg) => arg !== ""),
    env: options.engine === undefined ? {} : { SHEAF_ENGINE: options.engine },
  });
  peers.push(sheaf);
  await sheaf.setGasLimit(settings.gasLimit);
  idleCpuMsPerSecond = await idleCpu(sheaf);
  if (options.anvil) {
    note("starting anvil");
    const tokenCode = (await sheaf.rpc.call("eth_getCode", [
      `0x${Buffer.from(TOKEN).toString("hex")}`,
      "latest",
    ])) as string;
    anvil = await AnvilPeer.start({ gasLimit: settings.gasLimit, blockTimeSeconds: 1, tokenCode });
    peers.push(anvil);
  }
  const maker = new WorkloadMaker({
    chainId: CHAIN_ID,
    connections: settings.connections,
    senders: settings.senders,
    receivers: 1_000,
    funderKeys: userAccounts().map((account) => account.privateKey),
  });
  note(`funding ${settings.senders} senders on both chains`);
  for (const workload of [maker.funding(), maker.wrapping()]) {
    const path = join(folder, "setup.json");
    writeBodies(workload, settings.batch, path);
    for (const peer of peers) {
      const result = await generator.run(peer, path, { sealTimeoutMs: SEAL_TIMEOUT_MS });
      if (result.sealed !== workload.count)
        throw new Error(
          `${peer.name}: ${result.sealed} of ${workload.count} set-up transactions sealed ${JSON.stringify(result.refused)}`,
        );
    }
  }

  for (const kind of kinds) {
    note(`${kind}: warming up`);
    await repetition(maker, kind, Math.ceil(settings.txs / 2), undefined);
    for (let i = 0; i < settings.repetitions; i++) await repetition(maker, kind, settings.txs, i);
    costs.set(kind, await cost(kind, sheaf));
  }
  const main = kinds.at(-1) as Kind;
  if (options.latency) for (const peer of peers) await latency(maker, peer, main);
  if (options.profile) profiled = await profile(maker, sheaf, main);
  replay = await replayRate(sheaf);
  report();
}

/** The same transactions to each chain, one chain after the other; the order turns with each repetition. */
async function repetition(maker: WorkloadMaker, kind: Kind, txs: number, index: number | undefined): Promise<void> {
  const path = join(folder, "load.json");
  writeBodies(maker.transfers(kind, txs), settings.batch, path);
  const order = index !== undefined && index % 2 === 1 ? peers.toReversed() : peers;
  for (const peer of order) {
    const before = threadTimes(peer.pid);
    const result = await generator.run(peer, path, { sealTimeoutMs: SEAL_TIMEOUT_MS });
    const cpuMs = [...usedMs(before, threadTimes(peer.pid)).values()].reduce((sum, ms) => sum + ms, 0);
    const refused = Object.entries(result.refused).map(([message, n]) => `${n} × ${message}`);
    if (result.sealed < result.sent)
      note(`${peer.name}: ${result.sent - result.sealed} of ${result.sent} not sealed; refused: ${refused.join(", ")}`);
    if (index === undefined) continue;
    const into = runsOf(peer.name, kind);
    into.results.push(result);
    into.cpuUsPerTx.push((cpuMs * 1_000) / Math.max(1, result.sealed));
    into.memoryBytes = memoryBytes(peer.pid);
    note(
      `${kind} ${index + 1}/${settings.repetitions} ${peer.name}: accepted ${rate(result.accepted, result.ingestMs)}/s, ` +
        `sealed ${rate(result.sealed, result.sealedMs)}/s in ${result.blocks.length} blocks, ` +
        `CPU ${((cpuMs * 1_000) / Math.max(1, result.sealed)).toFixed(0)} µs per transaction`,
    );
  }
}

function rate(transactions: number, ms: number): number {
  return Math.round((transactions * 1_000) / Math.max(1, ms));
}

/** Idle, then at a share of what the chain sealed under full load. Single requests when idle, as a wallet sends. */
async function latency(maker: WorkloadMaker, peer: Peer, kind: Kind): Promise<void> {
  const best = spread(runsOf(peer.name, kind).results.map((r) => (r.sealed * 1_000) / r.sealedMs))?.median ?? 100;
  const loads = [
    { load: "idle", perSecond: IDLE_RATE, batch: 1 },
    { load: "80%", perSecond: Math.max(IDLE_RATE, best * LOAD_SHARE), batch: Math.min(settings.batch, 20) },
  ];
  for (const { load, perSecond, batch } of loads) {
    const path = join(folder, "latency.json");
    // Each chain has its own rate, so its own transactions: the other chain gets them too, to keep nonces together.
    const workload = maker.transfers(kind, Math.ceil(perSecond * settings.seconds));
    writeBodies(workload, batch, path);
    note(`${peer.name}: latency ${load} at ${perSecond.toFixed(0)}/s`);
    const before = peer === sheaf ? await confirmations(sheaf) : undefined;
    const result = await generator.run(peer, path, { ratePerSecond: perSecond, sealTimeoutMs: SEAL_TIMEOUT_MS });
    const after = peer === sheaf ? await confirmations(sheaf) : undefined;
    latencies.push({
      peer: peer.name,
      load,
      rate: perSecond,
      answer: latencyOf(result.answerMs),
      acceptToSealed: latencyOf(result.acceptToSealedMs),
      acceptToConfirmed: before === undefined || after === undefined ? undefined : bucketLatency(before, after),
      sealedShare: result.sealed / result.sent,
    });
    for (const other of peers) if (other !== peer) await generator.run(other, path, { sealTimeoutMs: SEAL_TIMEOUT_MS });
  }
}

type Buckets = ReadonlyMap<number, number>;

/** The gateway's own histogram: arrival to confirmation (executed, order durable). */
async function confirmations(peer: SheafPeer): Promise<Buckets> {
  const buckets = new Map<number, number>();
  for (const line of (await peer.metrics()).split("\n")) {
    const match = /^sequencer_confirmation_delay_seconds_bucket\{(?:.*,)?le="([^"]+)".*\} (\d+)/.exec(line);
    if (match !== null)
      buckets.set(match[1] === "+Inf" ? Number.POSITIVE_INFINITY : Number(match[1]) * 1_000, Number(match[2]));
  }
  return buckets;
}

/** Percentiles out of cumulative buckets: the upper edge of the bucket, which can only be too large. */
function bucketLatency(before: Buckets, after: Buckets): Latency | undefined {
  const edges = [...after.keys()].sort((a, b) => a - b);
  const counts = edges.map((edge) => (after.get(edge) ?? 0) - (before.get(edge) ?? 0));
  const samples = counts.at(-1) ?? 0;
  if (samples === 0) return undefined;
  const at = (share: number): number =>
    edges[counts.findIndex((n) => n >= samples * share)] ?? Number.POSITIVE_INFINITY;
  return { p50Ms: at(0.5), p99Ms: at(0.99), samples };
}

async function cost(kind: Kind, peer: SheafPeer): Promise<L1Cost> {
  const results = runsOf(peer.name, kind).results;
  const [cluster] = peer.endpoints.clusters;
  if (cluster === undefined) throw new Error("the devnet has a cluster");
  const ask = (): Promise<L1Cost> =>
    l1CostOf({
      l1: peer.l1,
      l1ChainId: peer.endpoints.l1.chainId,
      beaconUrl: peer.endpoints.l1.beaconUrl,
      inbox: cluster.contracts.inbox,
      firstBlock: Math.min(...results.map((r) => r.firstBlock)),
      lastBlock: Math.max(...results.map((r) => r.lastBlock)),
    });
  // Posting goes on behind the load; it has come to rest when two looks agree.
  note(`${kind}: waiting for the segments on L1`);
  let last = await ask();
  for (let quiet = 0, i = 0; quiet < 2 && i < 30; i++) {
    await sleep(3_000);
    const next = await ask();
    quiet = next.segments === last.segments && (next.segments > 0 || i >= 4) ? quiet + 1 : 0;
    last = next;
  }
  return last;
}

/** One more repetition under the profiler. */
async function profile(maker: WorkloadMaker, peer: SheafPeer, kind: Kind): Promise<ProfileSummary | undefined> {
  if (peer.inspectorUrl === undefined) return undefined;
  note(`${kind}: profiling the devnet`);
  const path = join(folder, "load.json");
  writeBodies(maker.transfers(kind, settings.txs), settings.batch, path);
  const profiler = await Profiler.attach(peer.inspectorUrl);
  const safeBefore = await safeNumber(peer);
  await profiler.start();
  const before = threadTimes(peer.pid);
  const result = await generator.run(peer, path, { sealTimeoutMs: SEAL_TIMEOUT_MS });
  // What these transactions cause goes on: posting, deriving, executing again. A tail smaller than a blob waits longer.
  await settled(peer);
  const used = usedMs(before, threadTimes(peer.pid));
  const profiles = await profiler.stop();
  profiler.close();
  const safeAfter = await safeNumber(peer);
  if (options["save-profile"] !== undefined) saveProfiles(resolve(options["save-profile"]), profiles);
  const perTx = (us: number): number => us / Math.max(1, result.sealed);
  // Samples are of wall time: on a busy machine a thread that waits for a core is sampled too. The kernel knows better.
  const mainUs = (used.get("main") ?? 0) * 1_000;
  const otherUs = (used.get("node") ?? 0) * 1_000;
  const timed = profiles.map(({ thread, profile: cpuProfile }) => ({ thread, times: stageTimes(cpuProfile) }));
  const sampledUs = (main: boolean): number =>
    timed.reduce((sum, { thread, times }) => sum + ((thread === "main") === main ? times.busyUs : 0), 0);
  const scaleMain = Math.min(1, mainUs / Math.max(1, sampledUs(true)));
  const scaleOthers = Math.min(1, otherUs / Math.max(1, sampledUs(false)));
  const stages: StageRow[] = [];
  for (const { thread, times } of timed)
    for (const [stage, us] of times.stages)
      stages.push({ stage, usPerTx: perTx(us * (thread === "main" ? scaleMain : scaleOthers)), thread });
  stages.sort((a, b) => b.usPerTx - a.usPerTx);
  return {
    transactions: result.sealed,
    stages,
    threads: [...used]
      .map(([name, ms]) => ({ name, usPerTx: perTx(ms * 1_000) }))
      .sort((a, b) => b.usPerTx - a.usPerTx),
    safeBlocks: safeAfter - safeBefore,
    hottest: profiles
      .flatMap(({ profile: cpuProfile }) => hottest(cpuProfile, 25))
      .sort((a, b) => b.us - a.us)
      .slice(0, 25)
      .map(({ name, us }) => ({ name, usPerTx: perTx(us) })),
  };
}

/** Resolves when posting and deriving have come to rest. */
async function settled(peer: SheafPeer): Promise<void> {
  for (let quiet = 0, last = -1, i = 0; quiet < 3 && i < 30; i++) {
    await sleep(2_000);
    const safe = await safeNumber(peer);
    quiet = safe === last ? quiet + 1 : 0;
    last = safe;
  }
}

async function safeNumber(peer: SheafPeer): Promise<number> {
  const block = (await peer.rpc.call("eth_getBlockByNumber", ["safe", false])) as { number: string } | null;
  return Number(block?.number ?? 0);
}

function saveProfiles(into: string, profiles: readonly ThreadProfile[]): void {
  mkdirSync(into, { recursive: true });
  for (const [i, { thread, profile: cpuProfile }] of profiles.entries())
    writeFileSync(join(into, `${i}-${thread.replace(/\W+/g, "-")}.cpuprofile`), JSON.stringify(cpuProfile));
}

/** `sheaf verify` from nothing: derive, execute and compare everything that is on L1. */
async function replayRate(peer: SheafPeer): Promise<Replay | undefined> {
  note("replaying from L1 alone");
  const { l1, clusters } = peer.endpoints;
  const args = ["verify", "--l1", l1.rpcUrl, "--beacon", l1.beaconUrl, "--inbox", clusters[0]?.contracts.inbox ?? ""];
  if (options.engine !== undefined) args.push("--engine", options.engine);
  const keep = options["save-profile"];
  const nodeArgs = keep === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${join(resolve(keep), "verify")}`];
  const bin = resolve(import.meta.dirname, "..", "bin", "sheaf.js");
  const child = spawn(process.execPath, [...nodeArgs, bin, ...args, "--json"], { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4_000)));
  const timer = setTimeout(() => child.kill("SIGKILL"), 300_000);
  const code = await new Promise((done) => child.once("exit", done));
  clearTimeout(timer);
  if (code !== 0) {
    note(`verify failed: ${errors}`);
    return undefined;
  }
  const result = JSON.parse(text) as { transactions: number; seconds: number; engine: string };
  engineName = result.engine;
  return {
    transactions: result.transactions,
    seconds: result.seconds,
    perSecond: result.transactions / Math.max(0.001, result.seconds),
  };
}

function report(): void {
  const machine = {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
    loadAverage: loadavg()[0],
  };
  const throughput = kinds.flatMap((kind) =>
    peers.map((peer) => {
      const { results, cpuUsPerTx, memoryBytes: memory } = runsOf(peer.name, kind);
      return {
        kind,
        peer: peer.name,
        accepted: spread(results.map((r) => (r.accepted * 1_000) / r.ingestMs)),
        sealed: spread(results.map((r) => (r.sealed * 1_000) / r.sealedMs)),
        cpuUsPerTx: spread(cpuUsPerTx),
        acceptToSealed: latencyOf(results.flatMap((r) => [...r.acceptToSealedMs])),
        memoryBytes: memory,
      };
    }),
  );
  if (options.json) {
    const l1 = Object.fromEntries(costs);
    const all = {
      machine,
      idleCpuMsPerSecond,
      settings: { ...settings, engine: engineName },
      throughput,
      latencies,
      l1,
      replay,
      profiled,
    };
    process.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
    return;
  }
  const out: string[] = [];
  out.push(
    `machine     ${machine.cores} × ${machine.cpu}, ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GB, Node ${machine.node}, load average ${machine.loadAverage?.toFixed(1)}`,
    `workload    ${settings.txs} transfers a repetition, ${settings.repetitions} repetitions, ${settings.senders} senders, 1000 receivers, ` +
      `${settings.connections} connections, ${settings.batch} calls a request, signed beforehand`,
    `chains      block time 1 s, block gas limit ${settings.gasLimit.toExponential()}; sheaf with engine ${engineName}, LMDB and synced logs on disk; anvil in memory`,
    "",
  );
  const anvilOf = (kind: Kind) => throughput.find((t) => t.kind === kind && t.peer === "anvil");
  out.push(
    renderTable(
      ["load", "chain", "accepted/s", "to anvil", "sealed/s", "to anvil", "CPU µs/tx", "memory"],
      throughput.map((t) => [
        t.kind,
        t.peer,
        figure(t.accepted),
        ratio(t.accepted, anvilOf(t.kind)?.accepted),
        figure(t.sealed),
        ratio(t.sealed, anvilOf(t.kind)?.sealed),
        figure(t.cpuUsPerTx),
        t.memoryBytes === undefined ? "" : `${(t.memoryBytes / 2 ** 20).toFixed(0)} MB`,
      ]),
    ),
    `median (least–greatest); idle the devnet takes ${idleCpuMsPerSecond?.toFixed(0)} ms of CPU a second; the load generator takes ${generatorCpu()} µs per transaction`,
    "sealed/s from the first byte sent to the news of the block with the last transaction; CPU of the whole process",
    "",
  );
  if (latencies.length > 0)
    out.push(
      renderTable(
        ["latency", "chain", "rate", "answer p50/p99", "accept to confirmed", "accept to sealed p50/p99", "sealed"],
        latencies.map((l) => [
          l.load,
          l.peer,
          `${l.rate.toFixed(0)}/s`,
          ms(l.answer),
          l.acceptToConfirmed === undefined ? "" : `<= ${ms(l.acceptToConfirmed)}`,
          ms(l.acceptToSealed),
          `${(l.sealedShare * 100).toFixed(1)}%`,
        ]),
      ),
      "confirmed: executed and its order durable, by the gateway's histogram, from arrival",
      "",
    );
  out.push(
    renderTable(
      ["on L1", "segments", "blobs", "fill", "transactions", "bytes/tx", "blob gas/tx", "L1 gas/tx"],
      [...costs].map(([kind, c]) => [
        kind,
        String(c.segments),
        String(c.blobs),
        c.blobFill === undefined ? "" : `${(c.blobFill * 100).toFixed(1)}%`,
        String(c.transactions),
        each(c.segmentBytes, c.transactions),
        each(c.blobGas, c.transactions),
        each(c.l1Gas, c.transactions),
      ]),
    ),
    "",
  );
  if (replay !== undefined) {
    const live = throughput.find((t) => t.peer === "sheaf" && t.kind === kinds.at(-1))?.sealed?.median ?? 0;
    out.push(
      `replay      ${replay.transactions} transactions from L1 alone in ${replay.seconds.toFixed(1)} s: ${replay.perSecond.toFixed(0)}/s` +
        (live === 0 ? "" : `, ${(replay.perSecond / live).toFixed(2)} of the sealed rate`),
      "",
    );
  }
  if (profiled !== undefined) out.push(...profileReport(profiled));
  process.stdout.write(`${out.join("\n")}\n`);
}

function profileReport(p: ProfileSummary): string[] {
  const byStage = new Map<string, { main: number; workers: number }>();
  for (const { stage, usPerTx, thread } of p.stages) {
    const row = byStage.get(stage) ?? { main: 0, workers: 0 };
    if (thread === "main") row.main += usPerTx;
    else row.workers += usPerTx;
    byStage.set(stage, row);
  }
  const rows = [...byStage].sort((a, b) => b[1].main + b[1].workers - a[1].main - a[1].workers);
  const sum = rows.reduce((s, [, r]) => ({ main: s.main + r.main, workers: s.workers + r.workers }), {
    main: 0,
    workers: 0,
  });
  const us = (value: number): string => (value < 0.05 ? "" : value.toFixed(1));
  return [
    renderTable(
      ["µs per transaction, profiled", "main thread", "workers"],
      [...rows, ["sum", sum] as const].map(([stage, r]) => [stage, us(r.main), us(r.workers)]),
    ),
    `${p.transactions} ${kinds.at(-1)} transactions, from the first one sent until ${p.safeBlocks} blocks were posted, derived and executed again`,
    "",
    renderTable(
      ["CPU by kernel thread", "µs/tx"],
      p.threads.slice(0, 12).map((t) => [t.name, us(t.usPerTx)]),
    ),
    "",
    renderTable(
      ["hottest functions", "µs/tx"],
      p.hottest.map((h) => [h.name, us(h.usPerTx)]),
    ),
  ];
}

function generatorCpu(): string {
  const samples = [...runs.values()].flatMap(({ results }) =>
    results.map((r) => (r.generatorCpuMs * 1_000) / Math.max(1, r.sent)),
  );
  return spread(samples)?.median.toFixed(0) ?? "";
}

function figure(s: Spread | undefined): string {
  return s === undefined ? "" : `${s.median.toFixed(0)} (${s.min.toFixed(0)}–${s.max.toFixed(0)})`;
}

function ratio(s: Spread | undefined, to: Spread | undefined): string {
  return s === undefined || to === undefined ? "" : `${(s.median / to.median).toFixed(2)}x`;
}

function ms(l: Latency | undefined): string {
  return l === undefined ? "" : `${l.p50Ms.toFixed(0)} / ${l.p99Ms.toFixed(0)} ms`;
}

function each(total: number, transactions: number): string {
  return transactions === 0 ? "" : (total / transactions).toFixed(1);
}
