/**
 * A network of processes beside the same roles in one: both under `sheaf up` on this machine, both sent the same number
 * of signed transfers in turn; transactions sealed per second, and CPU time by process.
 * `tsx bench/processes.bench.ts [transactions] [repetitions]`
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parse, stringify } from "yaml";
import { toHex } from "../src/base/bytes.ts";
import { systemClock } from "../src/base/clock.ts";
import { userAccounts } from "../src/devnet/accounts.ts";
import { buildStale } from "../src/devnet/build.ts";
import { writeNetwork } from "../src/devnet/write-network.ts";
import { JsonRpcClient } from "../src/l1/json-rpc.ts";
import { readNetwork } from "../src/node/network-file.ts";
import { issueFor } from "../src/node/pki.ts";
import type { ChildState } from "../src/node/supervisor.ts";
import { signTransaction } from "../src/protocol/transaction-codec.ts";

const root = resolve(import.meta.dirname, "..");
const txs = Number(process.argv[2] ?? 4_000);
const repetitions = Number(process.argv[3] ?? 3);
const BATCH = 100;
const CONNECTIONS = 8;
/** Of /proc/<pid>/stat, on Linux. */
const TICKS_PER_SECOND = 100;

class Shape {
  readonly name: string;
  readonly rates: number[] = [];
  readonly cpuSeconds = new Map<string, number>();
  readonly #folder = mkdtempSync(join(tmpdir(), "sheaf-shape-"));
  #child: ChildProcess | undefined;
  #url = "";
  #nonce = 0;

  constructor(name: string) {
    this.name = name;
  }

  async start(isOne: boolean): Promise<void> {
    const { path } = await writeNetwork({ folder: this.#folder, clusters: 1, executors: 2, firstPort: 0 });
    if (isOne) {
      const file = parse(readFileSync(path, "utf8")) as { processes: Record<string, Record<string, unknown>> };
      const { l1, ...others } = file.processes;
      const sequencer = Object.values(others).find((p) => (p["roles"] as string[]).includes("sequencer"));
      const keys = Object.assign({}, ...Object.values(others).map((p) => p["keys"] ?? {})) as object;
      file.processes = {
        ...(l1 === undefined ? {} : { l1 }),
        all: { ...sequencer, roles: ["sequencer", "publisher", "proposer"], keys },
      };
      writeFileSync(path, stringify(file));
      const network = readNetwork(path);
      for (const p of network.processes)
        if (p.cluster !== undefined) issueFor(network, p, { nowMs: systemClock.nowMs(), days: 1 });
    }
    const network = readNetwork(path);
    const args = ["--import", "tsx", "src/main.ts", "up", "--config", path, "--log-level", "warn"];
    this.#child = spawn(process.execPath, args, { cwd: root, stdio: "ignore" });
    for (const { health } of network.processes)
      if (health !== undefined)
        while (
          !(await fetch(`http://${health}/readyz`)
            .then((answer) => answer.ok)
            .catch(() => false))
        )
          await systemClock.sleep(200);
    const rpc = network.processes.find((p) => p.roles.includes("sequencer"))?.rpc ?? "";
    this.#url = `http://${rpc}`;
  }

  get #processes(): readonly ChildState[] {
    const path = join(this.#folder, "data", "processes.json");
    return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as { processes: ChildState[] }).processes : [];
  }

  #cpu(): Map<string, number> {
    return new Map(
      this.#processes.map(({ name, pid }) => {
        const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
          .replace(/^.*\) /, "")
          .split(" ");
        return [name, (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND];
      }),
    );
  }

  async load(isWarmUp: boolean): Promise<void> {
    const rpc = new JsonRpcClient({ url: this.#url, timeoutMs: 60_000 });
    const users = userAccounts();
    const each = Math.floor(txs / users.length);
    const bodies: string[] = [];
    let calls: string[] = [];
    for (let i = 0; i < each; i++)
      for (const user of users) {
        const fees = { maxFeePerGasWei: 100_000_000_000n, maxPriorityFeePerGasWei: 1n };
        const to = new Uint8Array(20).fill(0xdd);
        const nonce = BigInt(this.#nonce + i);
        const plain = { type: 2 as const, chainId: 901, nonce, to, valueWei: 1n, data: new Uint8Array(0) };
        const { raw } = signTransaction({ ...plain, gasLimit: 21_000n, ...fees }, user.privateKey);
        calls.push(`{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["${toHex(raw)}"]}`);
        if (calls.length === BATCH) {
          bodies.push(`[${calls.join(",")}]`);
          calls = [];
        }
      }
    if (calls.length > 0) bodies.push(`[${calls.join(",")}]`);
    this.#nonce += each;
    const before = this.#cpu();
    const startMs = performance.now();
    const send = async (): Promise<void> => {
      for (let body = bodies.shift(); body !== undefined; body = bodies.shift()) {
        const answer = await fetch(this.#url, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body,
        });
        const text = await answer.text();
        if (text.includes('"error"')) throw new Error(`refused: ${text.slice(0, 300)}`);
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, send));
    for (const user of users)
      while (Number(await rpc.call("eth_getTransactionCount", [toHex(user.address), "latest"])) < this.#nonce)
        await systemClock.sleep(20);
    const seconds = (performance.now() - startMs) / 1_000;
    if (isWarmUp) return;
    this.rates.push((each * users.length) / seconds);
    for (const [name, cpu] of this.#cpu())
      this.cpuSeconds.set(name, (this.cpuSeconds.get(name) ?? 0) + cpu - (before.get(name) ?? 0));
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child !== undefined && child.exitCode === null) {
      const gone = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      await gone;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

await buildStale();
const shapes = [new Shape("one process"), new Shape("processes")] as const;
try {
  for (const [i, shape] of shapes.entries()) await shape.start(i === 0);
  for (let repetition = 0; repetition <= repetitions; repetition++)
    for (const shape of shapes) await shape.load(repetition === 0);
  for (const { name, rates, cpuSeconds } of shapes) {
    const median = [...rates].sort((a, b) => a - b)[Math.floor(rates.length / 2)] ?? 0;
    const sent = txs * repetitions;
    console.log(`${name}: ${Math.round(median)} transfers/s sealed (${rates.map((r) => Math.round(r)).join(", ")})`);
    for (const [process, seconds] of cpuSeconds)
      console.log(`  ${process.padEnd(16)} ${((seconds * 1e6) / sent).toFixed(0)} µs of CPU a transfer`);
  }
} finally {
  for (const shape of shapes) await shape.stop();
}
