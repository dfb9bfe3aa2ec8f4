/**
 * The engine against @ethereumjs/evm and revm (inside anvil), same machine, same run, same method: a contract calls the
 * target N times; the time of a run with many calls less that of a run with one, divided by the difference, is the time
 * of one execution (time on a processor, since the machine may be shared). That takes transport, set-up and cold state out of all three. The output of each run is compared.
 * Workloads: an ERC-20 transfer (OpenZeppelin, solc with optimizer) and the main set of ipsilon/evm-benchmarks.
 * Run: npx tsx bench/evm.bench.ts [--only NAME] [--no-anvil] [--no-ethereumjs] [--json FILE]
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bigIntToBytes, bytesEqual, concatBytes, fromHex, padLeft, toHex, toHexKey } from "../src/base/bytes.ts";
import { EthereumjsEngine } from "../src/execution/ethereumjs-engine.ts";
import type { BlockEnv, CallInput } from "../src/execution/execution.ts";
import { EMPTY_CODE_HASH, World } from "../src/execution/wasm/testing/world.ts";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";
import { anvilBinary } from "../src/l1/anvil.ts";
import { keccak256 } from "../src/protocol/keccak.ts";

const { values: flags } = parseArgs({
  options: {
    only: { type: "string" },
    json: { type: "string" },
    "no-anvil": { type: "boolean" },
    "no-ethereumjs": { type: "boolean" },
  },
});

type Workload = {
  readonly name: string;
  readonly code: Uint8Array;
  readonly storage: ReadonlyMap<string, Uint8Array>;
  readonly input: Uint8Array;
};

const REPEATER = fromHex("00000000000000000000000000000000000be4c4");
const TARGET = fromHex("be7c43a580000000000000000000000000000001");
const CALLER = fromHex("a94f5374fce5edbc8e2a8697c15331677e6ebf0b");

/**
 * calldata: count, target, payload. Calls the target with the payload `count` times, reverts when a call fails, answers
 * with the return data of the last.
 */
const REPEATER_CODE = fromHex(
  [
    "60403603", // payload length
    "80",
    "6040",
    "6000",
    "37", // payload to memory 0
    "600035", // count
    "5b", // loop (at 13)
    "80",
    "15",
    "6031",
    "57", // done when the count is 0
    "6000",
    "6000",
    "83",
    "6000",
    "6000",
    "602035",
    "5a",
    "f1", // call
    "15",
    "602c",
    "57", // failed?
    "6001",
    "90",
    "03",
    "600d",
    "56", // count - 1, loop
    "5b",
    "6000",
    "80",
    "fd", // failed (at 44)
    "5b",
    "3d",
    "6000",
    "80",
    "3e",
    "3d",
    "6000",
    "f3", // done (at 49)
  ].join(""),
);

const ENV: BlockEnv = {
  chainId: 1,
  number: 1,
  timestamp: 1_638_519_433,
  gasLimit: 1_000_000_000_000,
  baseFeePerGasWei: 0n,
  blobBaseFeeWei: 1n,
  coinbase: new Uint8Array(20),
  prevRandao: new Uint8Array(32),
  fork: "prague",
  feePolicy: "ethereum",
};
const GAS = 900_000_000_000;

const word = (value: bigint | number): Uint8Array => bigIntToBytes(BigInt(value), 32);

function transfer(): Workload {
  const require = createRequire(import.meta.url);
  const solc = require("solc") as { compile(input: string, callbacks: object): string };
  const content = `// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
contract Token is ERC20 { constructor() ERC20("Token", "TOK") {} }`;
  const output = JSON.parse(
    solc.compile(
      JSON.stringify({
        language: "Solidity",
        sources: { "Token.sol": { content } },
        settings: {
          optimizer: { enabled: true, runs: 200 },
          evmVersion: "cancun",
          outputSelection: { "Token.sol": { Token: ["evm.deployedBytecode.object"] } },
        },
      }),
      { import: (path: string) => ({ contents: readFileSync(require.resolve(path), "utf8") }) },
    ),
  ) as { contracts: { "Token.sol": { Token: { evm: { deployedBytecode: { object: string } } } } } };
  const slot = keccak256(concatBytes(padLeft(REPEATER, 32), new Uint8Array(32)));
  return {
    name: "erc20 transfer",
    code: fromHex(output.contracts["Token.sol"].Token.evm.deployedBytecode.object),
    storage: new Map([[toHexKey(slot), word(10n ** 30n)]]),
    input: concatBytes(fromHex("a9059cbb"), word(0xbeefn), word(1)),
  };
}

/** The programs of ipsilon/evm-benchmarks, each input a workload. */
function programs(): Workload[] {
  const shared = process.env["SHEAF_SHARED"] ?? resolve(import.meta.dirname, "../../shared");
  const directory = join(shared, "evm-benchmarks/benchmarks/main");
  if (!existsSync(directory)) {
    console.log(`no programs: ${directory} is not there`);
    return [];
  }
  type Program = {
    pre: Record<string, { code: string; storage: Record<string, string> }>;
    transaction: { to: string; data: string[] };
    _info: { labels?: Record<string, string> };
  };
  return readdirSync(directory)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .flatMap((file) => {
      const [[name, program] = ["", undefined]] = Object.entries(
        JSON.parse(readFileSync(join(directory, file), "utf8")) as Record<string, Program>,
      );
      if (program === undefined) return [];
      const account = program.pre[program.transaction.to];
      return program.transaction.data.map((data, i) => ({
        name: `${name}/${program._info.labels?.[String(i)] ?? i}`,
        code: fromHex(account?.code ?? "0x"),
        storage: new Map(
          Object.entries(account?.storage ?? {}).map(([slot, value]) => [
            toHexKey(padLeft(fromHex(slot), 32)),
            padLeft(fromHex(value), 32),
          ]),
        ),
        input: fromHex(data),
      }));
    });
}

function worldOf(workload: Workload): World {
  const world = new World();
  for (const [address, code, storage] of [
    [REPEATER, REPEATER_CODE, new Map<string, Uint8Array>()],
    [TARGET, workload.code, new Map(workload.storage)],
  ] as const) {
    const codeHash = keccak256(code);
    world.codes.set(toHexKey(codeHash), code);
    world.accounts.set(toHexKey(address), { nonce: 1n, balanceWei: 0n, codeHash, storage });
  }
  world.accounts.set(toHexKey(CALLER), {
    nonce: 0n,
    balanceWei: 10n ** 30n,
    codeHash: EMPTY_CODE_HASH,
    storage: new Map(),
  });
  return world;
}

const callData = (workload: Workload, count: number): Uint8Array =>
  concatBytes(word(count), padLeft(TARGET, 32), workload.input);

/** Time this thread was on a processor, or wall time where the system does not tell: the machine may be shared. */
function threadMs(): number {
  return existsSync("/proc/self/schedstat")
    ? Number(readFileSync("/proc/self/schedstat", "utf8").split(" ")[0]) / 1e6
    : performance.now();
}
/** The same over all threads of another process. */
function cpuMs(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  if (!existsSync(tasks)) return performance.now();
  return readdirSync(tasks).reduce((sum, tid) => {
    try {
      return sum + Number(readFileSync(`${tasks}/${tid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
    } catch {
      return sum; // ended meanwhile
    }
  }, 0);
}

/** Runs `count` executions and answers with the milliseconds and the output. */
type Runner = (count: number) => Promise<{ elapsedMs: number; output: Uint8Array; gasUsed: number }>;

type Sample = { readonly medianUs: number; readonly spreadPercent: number; readonly calls: number };

/** Median over rounds of (time of many - time of one) / (many - 1), in µs. */
async function measure(run: Runner, budgetMs: number): Promise<Sample & { output: Uint8Array; gasUsed: number }> {
  const first = await run(1);
  // Warm up while finding a count that takes a tenth of the budget.
  let many = 2;
  for (;;) {
    const { elapsedMs } = await run(many);
    if (elapsedMs > budgetMs / 12 || many >= 200_000) break;
    many = Math.min(200_000, Math.ceil(many * Math.min(8, Math.max(1.5, budgetMs / 8 / Math.max(elapsedMs, 0.5)))));
  }
  const samples: number[] = [];
  let gasUsed = 0;
  for (let round = 0; round < 7; round++) {
    const one = await run(1);
    const all = await run(many);
    samples.push(((all.elapsedMs - one.elapsedMs) / (many - 1)) * 1000);
    gasUsed = (all.gasUsed - one.gasUsed) / (many - 1);
  }
  samples.sort((a, b) => a - b);
  const median = samples[3] as number;
  const spread = (((samples[5] as number) - (samples[1] as number)) / median) * 100;
  return { medianUs: median, spreadPercent: spread, calls: many, output: first.output, gasUsed };
}

function callInput(workload: Workload, count: number): CallInput {
  return {
    from: CALLER,
    to: REPEATER,
    data: callData(workload, count),
    valueWei: 0n,
    gasLimit: GAS,
    gasPriceWei: 0n,
    intrinsicGas: false,
  };
}

function wasmRunner(engine: WasmEngine, workload: Workload): Runner {
  const world = worldOf(workload);
  return (count) => {
    const start = threadMs();
    const result = engine.callNow(ENV, callInput(workload, count), world);
    const elapsedMs = threadMs() - start;
    if (result.status !== "success") throw new Error(`${workload.name}: ${result.error}`);
    return Promise.resolve({ elapsedMs, output: result.output, gasUsed: result.gasUsed });
  };
}

function ethereumjsRunner(engine: EthereumjsEngine, workload: Workload): Runner {
  const world = worldOf(workload);
  return async (count) => {
    const start = threadMs();
    const result = await engine.call(ENV, callInput(workload, count), world);
    const elapsedMs = threadMs() - start;
    if (result.status !== "success") throw new Error(`${workload.name}: ${result.error}`);
    return { elapsedMs, output: result.output, gasUsed: result.gasUsed };
  };
}

/** anvil as a child process, ended with the benchmark. */
class Anvil {
  readonly #url: string;
  readonly #pid: number;
  readonly #stop: () => void;
  #id = 0;

  private constructor(url: string, pid: number, stop: () => void) {
    this.#url = url;
    this.#pid = pid;
    this.#stop = stop;
  }

  static async start(): Promise<Anvil> {
    const options = ["--port", "0", "--hardfork", "prague", "--gas-limit", String(ENV.gasLimit), "--no-mining"];
    const child = spawn(anvilBinary(), [...options, "--disable-code-size-limit", "--memory-limit", String(2 ** 32)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const url = await new Promise<string>((done, fail) => {
      let text = "";
      child.stdout.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        const port = /Listening on 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
        if (port !== undefined) done(`http://127.0.0.1:${port}`);
      });
      child.on("exit", (code) => fail(new Error(`anvil ended with ${code}: ${text}`)));
    });
    return new Anvil(url, child.pid as number, () => child.kill());
  }

  async request<T>(method: string, params: unknown[]): Promise<T> {
    const response = await fetch(this.#url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: ++this.#id, method, params }),
    });
    const answer = (await response.json()) as { result?: T; error?: { message: string } };
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result as T;
  }

  async runner(workload: Workload): Promise<Runner> {
    await this.request("anvil_setCode", [toHex(REPEATER), toHex(REPEATER_CODE)]);
    await this.request("anvil_setCode", [toHex(TARGET), toHex(workload.code)]);
    for (const [slot, value] of workload.storage)
      await this.request("anvil_setStorageAt", [toHex(TARGET), `0x${slot}`, toHex(value)]);
    return async (count) => {
      const call = {
        from: toHex(CALLER),
        to: toHex(REPEATER),
        data: toHex(callData(workload, count)),
        gas: `0x${GAS.toString(16)}`,
      };
      const start = cpuMs(this.#pid);
      const output = await this.request<string>("eth_call", [call, "latest"]);
      return { elapsedMs: cpuMs(this.#pid) - start, output: fromHex(output), gasUsed: 0 };
    };
  }

  stop(): void {
    this.#stop();
  }
}

const time = (us: number | undefined): string =>
  (us === undefined ? "-" : us >= 1000 ? `${(us / 1000).toFixed(2)} ms` : `${us.toFixed(2)} µs`).padStart(10);
const ratio = (x: number | undefined): string => (x === undefined ? "-" : `${x.toFixed(2)}x`).padStart(9);
const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

async function main(): Promise<void> {
  const workloads = [transfer(), ...programs()].filter((w) => flags.only === undefined || w.name.includes(flags.only));
  const wasm = await WasmEngine.create();
  const ethereumjs = flags["no-ethereumjs"] === true ? undefined : new EthereumjsEngine();
  const anvil = flags["no-anvil"] === true ? undefined : await Anvil.start();
  const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Node ${process.version}`;
  console.log(`${machine}\nmedian of 7 rounds; spread: 5 middle rounds; ratios above 1: this engine is faster\n`);
  console.log(
    `${"workload".padEnd(36)}${"gas".padStart(11)}${"wasm".padStart(10)}${"Mgas/s".padStart(8)}${"spread".padStart(8)}${"revm".padStart(10)}${"spread".padStart(8)}${"ethereumjs".padStart(11)}${"/revm".padStart(9)}${"/ethjs".padStart(9)}`,
  );
  const rows: Record<string, unknown>[] = [];
  const overRevm: number[] = [];
  const overEthereumjs: number[] = [];
  for (const workload of workloads) {
    const own = await measure(wasmRunner(wasm, workload), 400);
    const revm = anvil === undefined ? undefined : await measure(await anvil.runner(workload), 400);
    const js = ethereumjs === undefined ? undefined : await measure(ethereumjsRunner(ethereumjs, workload), 600);
    for (const peer of [revm, js])
      if (peer !== undefined && !bytesEqual(peer.output, own.output))
        throw new Error(`${workload.name}: outputs differ: ${toHex(own.output)} and ${toHex(peer.output)}`);
    const toRevm = revm === undefined ? undefined : revm.medianUs / own.medianUs;
    const toJs = js === undefined ? undefined : js.medianUs / own.medianUs;
    if (toRevm !== undefined && workload.name !== "erc20 transfer") overRevm.push(toRevm);
    if (toJs !== undefined && workload.name !== "erc20 transfer") overEthereumjs.push(toJs);
    const percent = (sample: Sample | undefined): string =>
      (sample === undefined ? "-" : `${sample.spreadPercent.toFixed(0)}%`).padStart(8);
    console.log(
      `${workload.name.padEnd(36)}${own.gasUsed.toFixed(0).padStart(11)}${time(own.medianUs)}${(own.gasUsed / own.medianUs).toFixed(0).padStart(8)}${percent(own)}${time(revm?.medianUs)}${percent(revm)} ${time(js?.medianUs)}${ratio(toRevm)}${ratio(toJs)}`,
    );
    rows.push({
      name: workload.name,
      gas: own.gasUsed,
      wasmUs: own.medianUs,
      revmUs: revm?.medianUs,
      ethereumjsUs: js?.medianUs,
    });
  }
  if (overRevm.length > 0)
    console.log(`\ngeometric mean of the programs, revm: ${geometricMean(overRevm).toFixed(2)}x`);
  if (overEthereumjs.length > 0)
    console.log(`geometric mean of the programs, @ethereumjs/evm: ${geometricMean(overEthereumjs).toFixed(1)}x`);
  if (flags.json !== undefined) writeFileSync(flags.json, JSON.stringify({ machine, rows }, null, 2));
  anvil?.stop();
  await ethereumjs?.close();
}

await main();
