/**
 * Owns the set-up of an end-to-end story: a devnet of its own in a temporary folder on free ports, run until the test
 * ends, and the clients users have (viem, cast).
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { createPublicClient, createWalletClient, defineChain, http, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { chainConfig, publicActionsL1, publicActionsL2, walletActionsL1, walletActionsL2 } from "viem/op-stack";
import { systemClock } from "../../src/base/clock.ts";
import { buildStale } from "../../src/devnet/build.ts";
import { Devnet, type DevnetOptions, type Endpoints } from "../../src/devnet/devnet.ts";

const root = resolve(import.meta.dirname, "..", "..");
const POLL_MS = 100;
/** Long, to end a test that is broken and not one on a busy machine. */
const WAIT_MAX_MS = 180_000;
export const REQUEST_MAX_MS = 60_000;
/** A story waits for L1 at every turn: what is idle goes there in seconds, not after the half minute of a devnet. */
export const STORY_SETTINGS = {
  SHEAF_PUBLISHER_AGE_MAX_SECONDS: "2",
  SHEAF_PUBLISHER_IDLE_AGE_MAX_SECONDS: "4",
} as const;

/** Starts a devnet and stops it when the test ends. */
export async function startDevnet(t: TestContext, options: Partial<DevnetOptions> = {}): Promise<Devnet> {
  await buildStale();
  const dataDir = mkdtempSync(join(tmpdir(), "sheaf-e2e-"));
  const devnet = await Devnet.create({
    dataDir,
    clusters: 1,
    ports: { l1: 0, cluster: 0, verifier: 0, health: 0 },
    l1BlockTimeSeconds: 1,
    logLevel: "info",
    ...options,
    env: { ...STORY_SETTINGS, ...options.env },
  });
  const stop = new AbortController();
  const running = devnet.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
    await devnet.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
  await Promise.race([devnet.ready(), running]);
  return devnet;
}

/** The chain definitions and clients of one cluster, as a user of viem/op-stack writes them. */
export function clientsOf(endpoints: Endpoints, clusterIndex = 0, accountIndex = 0) {
  const cluster = endpoints.clusters[clusterIndex];
  const account = endpoints.accounts[accountIndex];
  if (cluster === undefined || account === undefined) throw new Error("no such cluster or account");
  const l1Chain = defineChain({
    id: endpoints.l1.chainId,
    name: "L1",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [endpoints.l1.rpcUrl] } },
    contracts: { multicall3: { address: "0xca11bde05977b3631167028862be2a173976ca11" } },
  });
  const l2Chain = defineChain({
    ...chainConfig,
    id: cluster.chainId,
    name: cluster.name,
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [cluster.rpcUrl], webSocket: [cluster.wsUrl] } },
    sourceId: endpoints.l1.chainId,
    contracts: {
      ...chainConfig.contracts,
      multicall3: { address: "0xca11bde05977b3631167028862be2a173976ca11" },
      portal: { [endpoints.l1.chainId]: { address: cluster.contracts.portal } },
      l2OutputOracle: { [endpoints.l1.chainId]: { address: cluster.contracts.outputOracle } },
      l1StandardBridge: { [endpoints.l1.chainId]: { address: cluster.contracts.l1StandardBridge } },
    },
  });
  const signer = privateKeyToAccount(account.privateKey);
  const options = { pollingInterval: POLL_MS };
  // viem repeats a request that takes longer than this: one that only waits for a busy machine must not be sent twice.
  const patient = { timeout: REQUEST_MAX_MS };
  return {
    account: signer,
    l1Chain,
    l2Chain,
    l1: createWalletClient({ chain: l1Chain, account: signer, transport: http(undefined, patient), ...options })
      .extend(publicActions)
      .extend(publicActionsL1())
      .extend(walletActionsL1()),
    l2: createWalletClient({ chain: l2Chain, account: signer, transport: http(undefined, patient), ...options })
      .extend(publicActions)
      .extend(publicActionsL2())
      .extend(walletActionsL2()),
    verifier: createPublicClient({
      chain: l2Chain,
      transport: http(cluster.verifierRpcUrl, patient),
      ...options,
    }).extend(publicActionsL2()),
    cluster,
  };
}

/** Resolves when `condition` gives a value; the wait is bounded only to end a broken test. */
export async function until<T>(
  what: string,
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = WAIT_MAX_MS,
): Promise<T> {
  const endMs = systemClock.nowMs() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (systemClock.nowMs() > endMs) throw new Error(`waited ${timeoutMs} ms for: ${what}`);
    await systemClock.sleep(POLL_MS);
  }
}

/** A devnet in a process of its own, to be killed. */
export class NetworkProcess {
  readonly dataDir: string;
  readonly #options: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;

  constructor(dataDir: string, options: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
    this.dataDir = dataDir;
    this.#options = options;
    this.#env = env;
  }

  /** `env`: settings for this run beside those of all runs. */
  async start(fresh: boolean, env: Readonly<Record<string, string>> = {}): Promise<Endpoints> {
    const path = join(this.dataDir, "endpoints.json");
    rmSync(path, { force: true });
    const args = [
      "devnet",
      "--clusters",
      "1",
      "--l1-block-time",
      "1",
      "--data-dir",
      this.dataDir,
      "--ports",
      "0,0,0,0",
      ...this.#options,
    ];
    const child = spawn(process.execPath, [join(root, "bin", "sheaf.js"), ...args, ...(fresh ? ["--fresh"] : [])], {
      cwd: root,
      stdio: "ignore",
      env: { ...process.env, ...STORY_SETTINGS, ...this.#env, ...env },
    });
    this.#child = child;
    await until("the network", () => {
      assert.equal(child.exitCode, null, "the network started");
      return existsSync(path);
    });
    await until("the endpoints", () => readFileSync(path, "utf8").endsWith("}\n"));
    return JSON.parse(readFileSync(path, "utf8")) as Endpoints;
  }

  /** Process id of the running network. */
  get pid(): number {
    const pid = this.#child?.pid;
    assert.ok(pid !== undefined, "the network runs");
    return pid;
  }

  /** Null while it runs. */
  get exitCode(): number | null {
    return this.#child?.exitCode ?? null;
  }

  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.#end("SIGINT");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((done) => child.once("exit", done));
    child.kill(signal);
    await gone;
  }
}

const run = promisify(execFile);

/** Runs the CLI as a user would; resolves to its trimmed output, rejects with what it said on failure. */
export async function sheaf(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [join(root, "bin", "sheaf.js"), ...args], { cwd: root });
  return stdout.trim();
}

/** Runs cast as a user would, against `rpcUrl`; resolves to its trimmed output. */
export async function cast(rpcUrl: string, ...args: string[]): Promise<string> {
  const platform = `${process.platform}-${process.arch}`.replace("x64", "amd64");
  const binary = createRequire(import.meta.url).resolve(`@foundry-rs/cast-${platform}/bin/cast`);
  const { stdout } = await run(binary, args, { env: { ...process.env, NO_COLOR: "1", ETH_RPC_URL: rpcUrl } });
  return stdout.trim();
}
