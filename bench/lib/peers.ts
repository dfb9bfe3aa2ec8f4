/**
 * Owns the processes that are measured: a devnet of one cluster from `bin/sheaf.js`, and anvil with the same chain id,
 * the same funded accounts, block time and gas limit, and the devnet's token code. Each is stopped by its id.
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createWalletClient, defineChain, http, publicActions } from "viem";
import { toHex } from "../../src/base/bytes.ts";
import { freePort } from "../../src/base/free-port.ts";
import { clusterAccounts } from "../../src/devnet/accounts.ts";
import type { Endpoints } from "../../src/devnet/devnet.ts";
import { systemConfigAbi } from "../../src/l1/abi/system-config.ts";
import { anvilBinary, DEV_MNEMONIC } from "../../src/l1/anvil.ts";
import { JsonRpcClient } from "../../src/l1/json-rpc.ts";
import type { LoadOrder, LoadReply, LoadResult } from "./load-protocol.ts";
import { TOKEN } from "./workload.ts";

export const CHAIN_ID = 901;
const START_TIMEOUT_MS = 180_000;

export const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** One chain under load. */
export type Peer = {
  readonly name: string;
  readonly rpcUrl: string;
  readonly wsUrl: string;
  readonly pid: number;
  /** Transactions it adds to each block by itself. */
  readonly perBlockOverhead: number;
  readonly rpc: JsonRpcClient;
};

async function ended(child: ChildProcess, signal: NodeJS.Signals, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((done) => child.once("exit", () => done()));
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
  await gone;
  clearTimeout(timer);
}

/** What `npm start` gives to Node: the devnet is measured as its users run it. */
function startArguments(root: string): string[] {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: { start: string } };
  const [command, ...args] = scripts.start.split(" ");
  if (command !== "node") throw new Error(`npm start runs ${command}, not node`);
  return args;
}

export class SheafPeer implements Peer {
  readonly name = "sheaf";
  readonly perBlockOverhead = 1;
  readonly endpoints: Endpoints;
  readonly rpcUrl: string;
  readonly wsUrl: string;
  readonly pid: number;
  readonly rpc: JsonRpcClient;
  readonly l1: JsonRpcClient;
  /** Where a debugger attaches, when asked for. */
  readonly inspectorUrl: string | undefined;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, endpoints: Endpoints, inspectorUrl: string | undefined) {
    const [cluster] = endpoints.clusters;
    if (cluster === undefined) throw new Error("the devnet has a cluster");
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.endpoints = endpoints;
    this.rpcUrl = cluster.rpcUrl;
    this.wsUrl = cluster.wsUrl;
    this.rpc = new JsonRpcClient({ url: this.rpcUrl, timeoutMs: 60_000, answerSizeMaxBytes: 1 << 28 });
    this.l1 = new JsonRpcClient({ url: endpoints.l1.rpcUrl, timeoutMs: 60_000, answerSizeMaxBytes: 1 << 28 });
    this.inspectorUrl = inspectorUrl;
  }

  /** Starts the devnet as a user does, on free ports. */
  static async start(options: {
    dataDir: string;
    inspect: boolean;
    env: Readonly<Record<string, string>>;
    nodeArgs?: readonly string[];
  }): Promise<SheafPeer> {
    mkdirSync(options.dataDir, { recursive: true });
    const root = resolve(import.meta.dirname, "..", "..");
    const child = spawn(
      process.execPath,
      [
        ...(options.inspect ? ["--inspect=127.0.0.1:0"] : []),
        ...(options.nodeArgs ?? []),
        ...startArguments(root),
        ...["--clusters", "1", "--ports", "0,0,0,0", "--data-dir", join(options.dataDir, "devnet"), "--json"],
      ],
      { cwd: root, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...options.env } },
    );
    let errors = "";
    let inspectorUrl: string | undefined;
    child.stderr.on("data", (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-20_000);
      inspectorUrl ??= /Debugger listening on (ws:\/\/\S+)/.exec(errors)?.[1];
    });
    try {
      const endpoints = await new Promise<Endpoints>((done, fail) => {
        let text = "";
        const timer = setTimeout(() => fail(new Error(`the devnet is not ready:\n${errors}`)), START_TIMEOUT_MS);
        child.once("exit", (code) => fail(new Error(`the devnet ended with ${code}:\n${errors}`)));
        child.stdout.on("data", (chunk: Buffer) => {
          text += chunk.toString();
          const end = text.lastIndexOf("\n}");
          if (end < 0) return;
          clearTimeout(timer);
          done(JSON.parse(text.slice(text.indexOf("{"), end + 2)) as Endpoints);
        });
      });
      return new SheafPeer(child, endpoints, inspectorUrl);
    } catch (error) {
      await ended(child, "SIGINT", 20_000);
      throw error;
    }
  }

  /** Raises the block gas limit as an operator does: by SystemConfig on L1, waiting until a block carries it. */
  async setGasLimit(gasLimit: number): Promise<void> {
    const { operator } = clusterAccounts(0);
    const { l1, clusters } = this.endpoints;
    const chain = defineChain({
      id: l1.chainId,
      name: "L1",
      nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
      rpcUrls: { default: { http: [l1.rpcUrl] } },
    });
    const client = createWalletClient({ account: operator.signer, chain, transport: http() }).extend(publicActions);
    const hash = await client.writeContract({
      address: clusters[0]?.contracts.systemConfig ?? "0x",
      abi: systemConfigAbi,
      functionName: "setGasLimit",
      args: [BigInt(gasLimit)],
    });
    await client.waitForTransactionReceipt({ hash, pollingInterval: 200 });
    for (let i = 0; i < 300; i++) {
      const head = (await this.rpc.call("eth_getBlockByNumber", ["latest", false])) as { gasLimit: string };
      if (Number(head.gasLimit) === gasLimit) return;
      await sleep(100);
    }
    throw new Error("the cluster does not take the gas limit over");
  }

  async metrics(): Promise<string> {
    return await (await fetch(`${this.endpoints.healthUrl}/metrics`)).text();
  }

  stop(): Promise<void> {
    return ended(this.#child, "SIGINT", 25_000);
  }
}

export class AnvilPeer implements Peer {
  readonly name = "anvil";
  readonly perBlockOverhead = 0;
  readonly rpcUrl: string;
  readonly wsUrl: string;
  readonly pid: number;
  readonly rpc: JsonRpcClient;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.rpcUrl = `http://127.0.0.1:${port}`;
    this.wsUrl = `ws://127.0.0.1:${port}`;
    this.rpc = new JsonRpcClient({ url: this.rpcUrl, timeoutMs: 60_000, answerSizeMaxBytes: 1 << 28 });
  }

  /** Starts anvil with the devnet's accounts and puts the devnet's token code in place. */
  static async start(options: { gasLimit: number; blockTimeSeconds: number; tokenCode: string }): Promise<AnvilPeer> {
    const port = await freePort();
    const args = ["--port", String(port), "--chain-id", String(CHAIN_ID), "--mnemonic", DEV_MNEMONIC, "--quiet"];
    args.push("--gas-limit", String(options.gasLimit), "--block-time", String(options.blockTimeSeconds));
    args.push("--no-request-size-limit");
    const child = spawn(anvilBinary(), args, { stdio: "ignore" });
    const peer = new AnvilPeer(child, port);
    try {
      for (let i = 0; ; i++) {
        try {
          if (Number(await peer.rpc.call("eth_chainId", [])) === CHAIN_ID) break;
        } catch (error) {
          if (i > 300 || child.exitCode !== null) throw error;
        }
        await sleep(50);
      }
      await peer.rpc.call("anvil_setCode", [toHex(TOKEN), options.tokenCode]);
      return peer;
    } catch (error) {
      await peer.stop();
      throw error;
    }
  }

  stop(): Promise<void> {
    return ended(this.#child, "SIGINT", 5_000);
  }
}

/** The load generator, in a process of its own. */
export class LoadGenerator {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = fork(join(import.meta.dirname, "load-generator.ts"), [], {
      execArgv: ["--import", "tsx", "--max-old-space-size=4096"],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
    });
  }

  run(peer: Peer, path: string, options: { ratePerSecond?: number; sealTimeoutMs: number }): Promise<LoadResult> {
    const order: LoadOrder = {
      url: peer.rpcUrl,
      wsUrl: peer.wsUrl,
      path,
      perBlockOverhead: peer.perBlockOverhead,
      ...options,
    };
    return new Promise((done, fail) => {
      const onExit = (code: number | null): void => fail(new Error(`the load generator ended with ${code}`));
      this.#child.once("exit", onExit);
      this.#child.once("message", (reply: LoadReply) => {
        this.#child.off("exit", onExit);
        if ("error" in reply) fail(new Error(reply.error));
        else done(reply.result);
      });
      this.#child.send(order);
    });
  }

  stop(): Promise<void> {
    return ended(this.#child, "SIGTERM", 5_000);
  }
}
