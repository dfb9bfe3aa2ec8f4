/**
 * Owns a whole network in one process: an L1 (anvil), the contracts, the clusters and their endpoints. The command line
 * and the end-to-end tests use the same thing. Everything it knows is in its data folder: a second start on the same
 * folder resumes the same chains. An L1 that outlived a killed devnet is taken over by its process id.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "viem";
import { bytesEqual, fromHex, toHex } from "../base/bytes.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { createLog, type Log, type LogLevel, silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { CloseStack, runAll } from "../base/service.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { ClusterNode, type ClusterNodeOptions } from "../node/cluster-node.ts";
import type { ClusterContracts } from "../protocol/genesis.ts";
import { HealthServer } from "../rpc/health-server.ts";
import { clusterAccounts, posterAccounts, userAccounts } from "./accounts.ts";
import { type Deployment, deployOnDevnetL1, L1_CHAIN_ID } from "./deployment.ts";
import { devnetError } from "./error.ts";
import { readJson, writeJson } from "./json-file.ts";
import { isAnvil, type L1Record, startL1 } from "./l1-process.ts";

export type DevnetOptions = {
  readonly dataDir: string;
  /** Begin again: forget what the folder holds. */
  readonly fresh?: boolean;
  readonly clusters?: number;
  /** First ports; 0 takes free ones. Cluster i listens on `cluster + i`, its verifier on `verifier + i`. */
  readonly ports?: {
    readonly l1?: number;
    readonly cluster?: number;
    readonly verifier?: number;
    readonly health?: number;
  };
  readonly l1BlockTimeSeconds?: number;
  /** In L1 blocks. */
  readonly sequencingWindow?: number;
  readonly challengePeriodSeconds?: number;
  /** In L2 blocks. */
  readonly submissionInterval?: number;
  readonly logLevel?: LogLevel;
  /** Environment settings are read from. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly createEngine?: ClusterNodeOptions["createEngine"];
  readonly onProgress?: (step: string) => void;
  readonly clock?: Clock;
};

export const DEFAULT_PORTS = { l1: 8545, cluster: 9545, verifier: 9645, health: 9700 } as const;
/** Where the devnet differs from production defaults: data reaches L1 in seconds though blobs are far from full. */
const DEVNET_SETTINGS = {
  SHEAF_PUBLISHER_AGE_MAX_SECONDS: "6",
  SHEAF_PUBLISHER_IDLE_AGE_MAX_SECONDS: "30",
  SHEAF_PUBLISHER_POLL_MS: "500",
} as const;

export type Endpoints = {
  readonly l1: { readonly rpcUrl: string; readonly beaconUrl: string; readonly chainId: number };
  readonly clusters: readonly {
    readonly name: string;
    readonly chainId: number;
    readonly rpcUrl: string;
    readonly wsUrl: string;
    readonly verifierRpcUrl: string;
    readonly contracts: Readonly<Record<keyof ClusterContracts, Address>>;
  }[];
  readonly accounts: readonly { readonly address: Address; readonly privateKey: `0x${string}` }[];
  /** `/livez`, `/readyz`, `/metrics` of the process. */
  readonly healthUrl: string;
  readonly ready: true;
};

export class Devnet {
  readonly endpoints: Endpoints;
  readonly l1: JsonRpcClient;
  readonly clusters: readonly ClusterNode[];
  readonly metrics: Metrics;
  readonly #close: CloseStack;
  readonly #l1Exited: Promise<void>;

  private constructor(p: {
    endpoints: Endpoints;
    l1: JsonRpcClient;
    clusters: readonly ClusterNode[];
    metrics: Metrics;
    close: CloseStack;
    l1Exited: Promise<void>;
  }) {
    this.endpoints = p.endpoints;
    this.l1 = p.l1;
    this.clusters = p.clusters;
    this.metrics = p.metrics;
    this.#close = p.close;
    this.#l1Exited = p.l1Exited;
  }

  /** Starts or resumes the network; when it resolves everything answers. Call `run` to keep it going. */
  static async create(options: DevnetOptions): Promise<Devnet> {
    const close = new CloseStack();
    try {
      return await Devnet.#create(options, close);
    } catch (error) {
      await close.close().catch(() => undefined);
      throw portTaken(error) ?? error;
    }
  }

  static async #create(options: DevnetOptions, close: CloseStack): Promise<Devnet> {
    const clock = options.clock ?? systemClock;
    const progress = options.onProgress ?? (() => undefined);
    const { dataDir } = options;
    if (options.fresh === true) await forget(dataDir, clock);
    mkdirSync(dataDir, { recursive: true });
    const log: Log =
      options.logLevel === "silent" || options.logLevel === undefined
        ? silentLog
        : createLog({ level: options.logLevel, destination: join(dataDir, "devnet.log") });
    const metrics = new Metrics();

    progress("starting L1");
    const blockTimeSeconds = options.l1BlockTimeSeconds ?? 2;
    const handle = await startL1(dataDir, options.ports?.l1 ?? DEFAULT_PORTS.l1, clock);
    close.add("l1", () => handle.stop());
    const l1 = new JsonRpcClient({ url: handle.rpcUrl, timeoutMs: 30_000 });

    const count = options.clusters ?? 2;
    const deploymentPath = join(dataDir, "deployment.json");
    let deployment = readJson(deploymentPath) as Deployment | undefined;
    const l1GenesisHash = ((await l1.call("eth_getBlockByNumber", ["0x0", false])) as { hash: string }).hash;
    if (deployment !== undefined) {
      if (deployment.l1GenesisHash !== l1GenesisHash || !(await hasCode(l1, deployment.clusters[0]?.contracts.inbox)))
        throw devnetError("DEVNET_L1_CHANGED", `the L1 at ${handle.rpcUrl} does not hold this devnet's contracts`);
      if (deployment.clusters.length !== count)
        throw devnetError(
          "DEVNET_OPTIONS_CHANGED",
          `the folder holds ${deployment.clusters.length} clusters, ${count} are asked for`,
        );
    } else {
      deployment = await deployOnDevnetL1(handle.rpcUrl, l1, { ...options, clusters: count }, { progress, clock, log });
      writeJson(deploymentPath, deployment);
    }
    await l1.call("evm_setIntervalMining", [blockTimeSeconds]);

    progress("starting clusters");
    const ports = { ...DEFAULT_PORTS, ...options.ports };
    const at = (first: number, i: number): number => (first === 0 ? 0 : first + i);
    const clusters: ClusterNode[] = [];
    for (const [i, c] of deployment.clusters.entries()) {
      const keys = clusterAccounts(i);
      const node = await ClusterNode.create({
        name: c.name,
        dataDir: join(dataDir, c.name),
        l1: { rpcUrl: handle.rpcUrl, beaconUrl: handle.beaconUrl, chainId: L1_CHAIN_ID },
        inbox: fromHex(c.contracts.inbox),
        ports: { rpc: at(ports.cluster, i), verifierRpc: at(ports.verifier, i) },
        keys: { posters: posterAccounts(i).map((a) => a.privateKey), proposer: keys.proposer.privateKey },
        env: { ...DEVNET_SETTINGS, ...options.env },
        createEngine: options.createEngine,
        log: log.child({ rollup: "devnet", cluster: c.name }),
        metrics: metrics.withLabels({ rollup: "devnet", cluster: c.name }),
        clock,
      });
      close.add(c.name, () => node.close());
      clusters.push(node);
    }
    const health = await HealthServer.create({
      host: "127.0.0.1",
      port: ports.health,
      parts: () => clusters,
      metrics,
      log,
    });
    close.add("health", () => health.close());

    const endpoints: Endpoints = {
      l1: { rpcUrl: handle.rpcUrl, beaconUrl: handle.beaconUrl, chainId: L1_CHAIN_ID },
      clusters: clusters.map((node, i) => ({
        name: node.name,
        chainId: node.chainId,
        rpcUrl: node.rpcUrl,
        wsUrl: node.wsUrl,
        verifierRpcUrl: node.verifierRpcUrl,
        contracts: (deployment.clusters[i] as Deployment["clusters"][number]).contracts,
      })),
      accounts: userAccounts().map((a) => ({ address: a.signer.address, privateKey: toHex(a.privateKey) })),
      healthUrl: health.url,
      ready: true,
    };
    return new Devnet({ endpoints, l1, clusters, metrics, close, l1Exited: handle.exited });
  }

  /** Runs until `signal` aborts; a fault that cannot be retried ends it with that fault. */
  run(signal: AbortSignal): Promise<void> {
    return runAll(signal, this.clusters);
  }

  /** Resolves when every cluster builds blocks and its verifier follows. */
  async ready(signal?: AbortSignal): Promise<void> {
    while (this.clusters.some((c) => c.notReady() !== undefined)) {
      if (signal?.aborted === true) return;
      await systemClock.sleep(20, signal);
    }
  }

  /** Resolves when the L1 process is gone. */
  get l1Exited(): Promise<void> {
    return this.#l1Exited;
  }

  async close(): Promise<void> {
    await this.#close.close();
  }
}

/** What a server says that found its port in use, in our words. */
function portTaken(error: unknown): Error | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, port } = error as Error & { code?: unknown; port?: unknown };
  if (code !== "EADDRINUSE") return undefined;
  return devnetError(
    "DEVNET_PORT_TAKEN",
    `another program listens on port ${String(port)}`,
    { port },
    { cause: error },
  );
}

/** Stops an L1 that was left running and removes what the devnet wrote. */
async function forget(dataDir: string, clock: Clock): Promise<void> {
  const record = readJson(join(dataDir, "l1.json")) as L1Record | undefined;
  if (record !== undefined && isAnvil(record.pid)) {
    process.kill(record.pid, "SIGKILL");
    while (isAnvil(record.pid)) await clock.sleep(20);
  }
  const deployment = readJson(join(dataDir, "deployment.json")) as Deployment | undefined;
  for (const name of deployment?.clusters.map((c) => c.name) ?? [])
    rmSync(join(dataDir, name), { recursive: true, force: true });
  for (const name of ["l1", "l1.json", "l1.log", "deployment.json", "endpoints.json", "devnet.log"])
    rmSync(join(dataDir, name), { recursive: true, force: true });
}

async function hasCode(l1: JsonRpcClient, address: string | undefined): Promise<boolean> {
  if (address === undefined) return false;
  return !bytesEqual(fromHex((await l1.call("eth_getCode", [address, "latest"])) as string), new Uint8Array(0));
}
