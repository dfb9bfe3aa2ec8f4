/**
 * The engine against @ethereumjs/evm and revm (inside anvil): same machine, same run, same method, in turns.
 *
 * Loops: a contract of a few bytes calls the target N times. The time of a run with many calls less that of a run with
 * one, divided by the difference, is the time of one execution: transport, set-up, decoding and cold state fall out, for
 * all three alike (anvil gets the two runs as two eth_calls). Time is time on a processor, because the machine may be
 * shared; each round measures every engine once, a ratio is the median of the ratios of the rounds. The outputs of the
 * engines are compared, or nothing would keep them from being fast.
 * What is unfair to revm: anvil runs it with an inspector attached, whose hooks cost something per instruction, and there
 * is no revm on npm without one. And a loop repeats its 64-byte hashes, which this engine keeps (vm/src/keccak.ts): the
 * transfer does it in half the time of one between strangers. What is unfair to this engine: nothing runs ahead of time, a contract is decoded when it
 * is first called, but that falls out with the rest; blocks show it.
 *
 * Blocks: recorded mainnet blocks, whole: decoding, state reads from maps, precompiles, effects; senders are given to
 * both. The peer is runTx of @ethereumjs/vm on its in-memory state manager, once each, after one block to warm up.
 * Gas must agree in every transaction. revm has no part in this: anvil cannot be given such a pre-state whole.
 */
import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { replayOnEthereumjs } from "../scripts/replay/ethereumjs.ts";
import { blocksIn, loadBlock } from "../scripts/replay/load.ts";
import { bytesEqual, toHex } from "../src/base/bytes.ts";
import { threadMs } from "../src/bench/processor-time.ts";
import { type Spread, spread } from "../src/bench/statistics.ts";
import { renderTable } from "../src/commands/table.ts";
import { EthereumjsEngine } from "../src/execution/ethereumjs-engine.ts";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";
import { Anvil, ethereumjsRunner, type Runner, wasmRunner } from "./lib/evm-runners.ts";
import { type EvmWorkload, programs, TRANSFER, transfer } from "./lib/evm-workloads.ts";

const HELP = `npm run bench:evm -- [options]

Compares the engine with @ethereumjs/evm and revm on an ERC-20 transfer, the programs of ipsilon/evm-benchmarks and
mainnet blocks. Takes about four minutes. Test data is looked for in $SHEAF_SHARED, else beside the checkout.

  --only <text>     only what has this in its name ("erc20", "snailtracer", "block")
  --rounds <n>      rounds (9)
  --no-anvil        without revm
  --no-ethereumjs   without @ethereumjs
  --json            one JSON object instead of tables
  --json-file <f>   tables, and the JSON object into a file
`;

const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    only: { type: "string" },
    rounds: { type: "string", default: "9" },
    anvil: { type: "boolean", default: true },
    ethereumjs: { type: "boolean", default: true },
    json: { type: "boolean", default: false },
    "json-file": { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const rounds = Number(options.rounds);
if (!Number.isSafeInteger(rounds) || rounds < 1) {
  process.stderr.write(`--rounds wants a whole number above 0, got ${options.rounds}\n`);
  process.exit(2);
}

/** A run of many executions takes about this long, and a block is executed again until it did. */
const RUN_MS = 40;
/** An execution beyond this is measured in three rounds only: that is the peer's time, not ours. */
const SLOW_MS = 150;
const SLOW_ROUNDS = 3;
const BLOCK_ROUNDS = 5;

const engines = ["wasm", "revm", "ethereumjs"] as const;
type EngineName = (typeof engines)[number];

type LoopRow = {
  readonly name: string;
  readonly gas: number;
  readonly us: Partial<Record<EngineName, Spread>>;
  /** Times the engine's time, median over the rounds. */
  readonly ratio: Partial<Record<EngineName, number>>;
};
type BlockRow = {
  readonly name: string;
  readonly fork: string;
  readonly transactions: number;
  readonly gas: number;
  readonly wasmMs: Spread;
  readonly ethereumjsMs: number | undefined;
};

const wanted = (name: string): boolean => options.only === undefined || name.includes(options.only);
const median = (samples: readonly number[]): number => (spread(samples) as Spread).median;
const geometricMean = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** How many executions make a run of RUN_MS; warms up on the way. */
async function countFor(run: Runner): Promise<number> {
  await run(1);
  for (let count = 2; ; ) {
    const { elapsedMs } = await run(count);
    if (elapsedMs > RUN_MS / 2 || count >= 200_000) return count;
    count = Math.min(200_000, Math.ceil(count * Math.min(8, Math.max(2, RUN_MS / Math.max(elapsedMs, 0.5)))));
  }
}

async function loop(workload: EvmWorkload, runners: ReadonlyMap<EngineName, Runner>): Promise<LoopRow> {
  const counts = new Map<EngineName, number>();
  const outputs: Uint8Array[] = [];
  const samples = new Map<EngineName, number[]>();
  for (const [name, run] of runners) {
    counts.set(name, await countFor(run));
    outputs.push((await run(1)).output);
    samples.set(name, []);
  }
  for (const output of outputs)
    if (!bytesEqual(output, outputs[0] as Uint8Array))
      throw new Error(`${workload.name}: outputs differ: ${outputs.map(toHex).join(" and ")}`);
  let gas = 0;
  for (let round = 0; round < rounds; round++)
    for (const [name, run] of runners) {
      const into = samples.get(name) as number[];
      if (round >= SLOW_ROUNDS && (into[0] as number) > SLOW_MS * 1_000) continue;
      const count = counts.get(name) as number;
      const one = await run(1);
      const many = await run(count);
      into.push(((many.elapsedMs - one.elapsedMs) * 1_000) / (count - 1));
      if (name === "wasm") gas = Math.round((many.gasUsed - one.gasUsed) / (count - 1));
    }
  const own = samples.get("wasm") as number[];
  const us: Partial<Record<EngineName, Spread>> = {};
  const ratio: Partial<Record<EngineName, number>> = {};
  for (const [name, taken] of samples) {
    us[name] = spread(taken) as Spread;
    if (name !== "wasm") ratio[name] = median(taken.map((time, i) => time / (own[i] as number)));
  }
  return { name: workload.name, gas, us, ratio };
}

async function block(engine: WasmEngine, path: string, withPeer: boolean): Promise<BlockRow> {
  const recorded = loadBlock(path);
  const world = recorded.world();
  const samples: number[] = [];
  let gasEach: number[] = [];
  const execute = () => engine.execute(recorded.env, recorded.txs, world, recorded.env.gasLimit);
  // The first compiles host functions and is not counted.
  gasEach = execute().map((result) => (result.included ? result.gasUsed : 0));
  for (let round = 0; round < BLOCK_ROUNDS; round++) {
    const start = threadMs();
    let count = 0;
    do {
      execute();
      count++;
    } while (threadMs() - start < RUN_MS);
    samples.push((threadMs() - start) / count);
  }
  let ethereumjsMs: number | undefined;
  if (withPeer) {
    const peer = await replayOnEthereumjs(recorded);
    ethereumjsMs = peer.elapsedMs;
    peer.receipts.forEach((receipt, i) => {
      const peerGas = receipt.included ? receipt.gasUsed : 0;
      if (peerGas !== gasEach[i])
        throw new Error(`block ${recorded.name}, transaction ${i}: gas ${gasEach[i]} and ${peerGas}`);
    });
  }
  const gas = gasEach.reduce((sum, used) => sum + used, 0);
  const wasmMs = spread(samples) as Spread;
  return { name: recorded.name, fork: recorded.env.fork, transactions: gasEach.length, gas, wasmMs, ethereumjsMs };
}

const note = (text: string): void => {
  process.stderr.write(`${text}\n`);
};
const shared = process.env["SHEAF_SHARED"] ?? resolve(import.meta.dirname, "../../shared");

async function measureLoops(wasm: WasmEngine, ethereumjs: EthereumjsEngine | undefined): Promise<LoopRow[]> {
  const workloads = [transfer(), ...programs(shared)].filter(({ name }) => wanted(name));
  if (workloads.length === 0) return [];
  const anvil = options.anvil ? await Anvil.start() : undefined;
  const rows: LoopRow[] = [];
  try {
    for (const workload of workloads) {
      note(workload.name);
      const runners = new Map<EngineName, Runner>([["wasm", wasmRunner(wasm, workload)]]);
      if (anvil !== undefined) runners.set("revm", await anvil.runner(workload));
      if (ethereumjs !== undefined) runners.set("ethereumjs", ethereumjsRunner(ethereumjs, workload));
      rows.push(await loop(workload, runners));
    }
  } finally {
    anvil?.stop();
  }
  return rows;
}

async function measureBlocks(wasm: WasmEngine): Promise<BlockRow[]> {
  const paths = [...blocksIn(join(shared, "mainnet-blocks"))].filter((path) => wanted(`block ${path}`));
  const rows: BlockRow[] = [];
  for (const [i, path] of paths.entries()) {
    note(`block ${path}`);
    if (i === 0) await block(wasm, path, options.ethereumjs);
    rows.push(await block(wasm, path, options.ethereumjs));
  }
  return rows;
}

const time = (us: number | undefined): string =>
  us === undefined ? "" : us >= 1_000 ? `${(us / 1_000).toFixed(2)} ms` : `${us.toFixed(2)} µs`;
const share = (s: Spread | undefined): string =>
  s === undefined ? "" : `${(((s.max - s.min) / s.median) * 100).toFixed(0)}%`;
const times = (x: number | undefined): string => (x === undefined ? "" : `${x.toFixed(x < 10 ? 2 : 0)}x`);
const mgas = (gas: number, us: number): string => (gas / us).toFixed(0);

/** Geometric means over the programs, without the transfer. */
function means(rows: readonly LoopRow[]): Partial<Record<EngineName, number>> {
  const of = (name: EngineName): number | undefined =>
    geometricMean(rows.filter((row) => row.name !== TRANSFER).flatMap((row) => row.ratio[name] ?? []));
  const revm = of("revm");
  const ethereumjs = of("ethereumjs");
  return { ...(revm === undefined ? {} : { revm }), ...(ethereumjs === undefined ? {} : { ethereumjs }) };
}

const peerRatio = (row: BlockRow): number | undefined =>
  row.ethereumjsMs === undefined ? undefined : row.ethereumjsMs / row.wasmMs.median;

function printLoops(rows: readonly LoopRow[]): void {
  const table = rows.map(({ name, gas, us, ratio }) => [
    name,
    String(gas),
    time(us.wasm?.median),
    share(us.wasm),
    mgas(gas, us.wasm?.median ?? Number.NaN),
    time(us.revm?.median),
    share(us.revm),
    time(us.ethereumjs?.median),
    share(us.ethereumjs),
    times(ratio.revm),
    times(ratio.ethereumjs),
  ]);
  const header = ["loop", "gas", "wasm", "±", "Mgas/s", "revm", "±", "ethereumjs", "±", "to revm", "to ethereumjs"];
  const { revm, ethereumjs } = means(rows);
  console.log(renderTable(header, table));
  if (revm !== undefined) console.log(`geometric mean of the programs, to revm: ${times(revm)}`);
  if (ethereumjs !== undefined) console.log(`geometric mean of the programs, to @ethereumjs/evm: ${times(ethereumjs)}`);
  console.log("");
}

function printBlocks(rows: readonly BlockRow[]): void {
  const table = rows.map((row) => [
    row.name,
    row.fork,
    String(row.transactions),
    (row.gas / 1e6).toFixed(1),
    `${row.wasmMs.median.toFixed(1)} ms`,
    share(row.wasmMs),
    mgas(row.gas, row.wasmMs.median * 1_000),
    row.ethereumjsMs === undefined ? "" : mgas(row.gas, row.ethereumjsMs * 1_000),
    times(peerRatio(row)),
  ]);
  const header = ["block", "fork", "txs", "Mgas", "wasm", "±", "Mgas/s", "ethereumjs Mgas/s", "to ethereumjs"];
  console.log(renderTable(header, table));
  const speed = geometricMean(rows.map((row) => row.gas / row.wasmMs.median / 1_000));
  const mean = geometricMean(rows.flatMap((row) => peerRatio(row) ?? []));
  console.log(`geometric mean of the blocks: ${speed?.toFixed(0)} Mgas/s`);
  if (mean !== undefined) console.log(`geometric mean of the blocks, to @ethereumjs/vm: ${times(mean)}`);
}

const wasm = await WasmEngine.create();
const ethereumjs = options.ethereumjs ? new EthereumjsEngine() : undefined;
const machine = {
  cpu: cpus()[0]?.model.trim(),
  cores: cpus().length,
  node: process.version,
  loadAverage: loadavg()[0],
};
const loops = await measureLoops(wasm, ethereumjs);
const blocks = await measureBlocks(wasm);
await ethereumjs?.close();
const result = {
  bench: "evm",
  machine,
  rounds,
  loops,
  means: means(loops),
  blocks: blocks.map((row) => ({ ...row, mgasPerSecond: row.gas / row.wasmMs.median / 1_000, ratio: peerRatio(row) })),
};
if (options["json-file"] !== undefined) writeFileSync(options["json-file"], `${JSON.stringify(result, null, 2)}\n`);
if (options.json) console.log(JSON.stringify(result, null, 2));
else {
  console.log(
    `${machine.cores} x ${machine.cpu}, Node ${machine.node}, load average ${machine.loadAverage?.toFixed(1)}; median of ${rounds} rounds, ± from the least to the greatest; ratios above 1: this engine is faster\n`,
  );
  if (loops.length > 0) printLoops(loops);
  if (blocks.length > 0) printBlocks(blocks);
}
