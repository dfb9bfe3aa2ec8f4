/**
 * Owns the engines under comparison behind one shape: `run(count)` executes a workload `count` times and tells the time
 * on a processor, the output and the gas. @ethereumjs/evm runs in this thread, revm in a child process: anvil.
 */
import { spawn } from "node:child_process";
import { fromHex, toHex } from "../../src/base/bytes.ts";
import { processorMs, threadMs } from "../../src/bench/processor-time.ts";
import type { EthereumjsEngine } from "../../src/execution/ethereumjs-engine.ts";
import type { WasmEngine } from "../../src/execution/wasm/wasm.ts";
import { anvilBinary } from "../../src/l1/anvil.ts";
import {
  CALLER,
  callData,
  callInput,
  ENV,
  type EvmWorkload,
  GAS,
  REPEATER,
  REPEATER_CODE,
  TARGET,
  worldOf,
} from "./evm-workloads.ts";

export type RunOutcome = { readonly elapsedMs: number; readonly output: Uint8Array; readonly gasUsed: number };
export type Runner = (count: number) => Promise<RunOutcome>;

export function wasmRunner(engine: WasmEngine, workload: EvmWorkload): Runner {
  const world = worldOf(workload);
  return (count) => {
    const start = threadMs();
    const result = engine.callNow(ENV, callInput(workload, count), world);
    const elapsedMs = threadMs() - start;
    if (result.status !== "success") throw new Error(`${workload.name}: ${result.error}`);
    return Promise.resolve({ elapsedMs, output: result.output, gasUsed: result.gasUsed });
  };
}

export function ethereumjsRunner(engine: EthereumjsEngine, workload: EvmWorkload): Runner {
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
export class Anvil {
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

  async runner(workload: EvmWorkload): Promise<Runner> {
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
      const start = processorMs(this.#pid);
      const output = await this.request<string>("eth_call", [call, "latest"]);
      return { elapsedMs: processorMs(this.#pid) - start, output: fromHex(output), gasUsed: 0 };
    };
  }

  stop(): void {
    this.#stop();
  }
}
