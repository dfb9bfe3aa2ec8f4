/**
 * Owns the network of one drill: an L1, its contracts, fault proxies before it, log servers behind lines that fail, and
 * nodes as processes. Everything is in one folder and on free ports of loopback, and is gone when it is closed.
 */
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { defineErrors } from "../base/error.ts";
import { freePort } from "../base/free-port.ts";
import { silentLog } from "../base/log.ts";
import { CloseStack } from "../base/service.ts";
import { clusterAccounts, posterAccounts, userAccounts } from "../devnet/accounts.ts";
import { type Deployment, deployOnDevnetL1, L1_CHAIN_ID } from "../devnet/deployment.ts";
import { Anvil } from "../l1/anvil.ts";
import { FaultProxy } from "../l1/fault-proxy.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { NatsCluster, natsMissing } from "../log/nats-cluster.ts";
import { NodeProcess } from "./node-process.ts";
import type { Shape } from "./scenario.ts";
import { TcpProxy } from "./tcp-proxy.ts";

export const chaosError = defineErrors("Chaos", {
  CHAOS_UNKNOWN_SCENARIO: {
    summary: "There is no drill of that name.",
    action: "Choose from `sheaf chaos list`.",
    retryable: false,
  },
  CHAOS_FAILED: {
    summary: "A drill broke an invariant or passed a bound.",
    action: "Read the report (--report); run the drill again with the seed it names.",
    retryable: false,
  },
  CHAOS_CANNOT_RUN: {
    summary: "This machine lacks what the drill needs.",
    action: "Install what the message names, or run the drill elsewhere.",
    retryable: false,
  },
  CHAOS_STEP_FAILED: {
    summary: "A step of a drill could not be carried out.",
    action: "Read the message; the network's logs are in the folder that the report names.",
    retryable: false,
  },
});

/** Settings of every drill: what is idle goes to L1 in seconds, and faults show in seconds. */
const SETTINGS = {
  SHEAF_PUBLISHER_AGE_MAX_SECONDS: "2",
  SHEAF_PUBLISHER_IDLE_AGE_MAX_SECONDS: "4",
  SHEAF_PUBLISHER_POLL_MS: "300",
  SHEAF_L1_REPLACE_AFTER_MS: "10000",
  SHEAF_L1_ADOPT_TIMEOUT_MS: "10000",
} as const;
const LOG_SETTINGS = { SHEAF_LOG: "nats", SHEAF_LOG_NATS_REQUEST_TIMEOUT_MS: "1000" } as const;
const START_MS_MAX = 240_000;

/** Why no network of this shape can be made here; undefined when one can. */
export function missingFor(shape: Shape): string | undefined {
  if (shape.logServers > 0) {
    const missing = natsMissing();
    if (missing !== false) return missing;
  }
  if (shape.diskMiB !== undefined && process.getuid?.() !== 0)
    return "a file system of its own for a node takes root (mount)";
  return undefined;
}

export class ChaosNetwork {
  readonly folder: string;
  readonly shape: Shape;
  readonly l1: Anvil;
  readonly cluster: Deployment["clusters"][number];
  readonly endpoints: readonly FaultProxy[];
  readonly logServers: NatsCluster | undefined;
  /** By node, then by log server. */
  readonly lines: readonly (readonly TcpProxy[])[];
  readonly nodes: readonly NodeProcess[];
  readonly #close: CloseStack;

  private constructor(p: {
    folder: string;
    shape: Shape;
    l1: Anvil;
    cluster: Deployment["clusters"][number];
    endpoints: readonly FaultProxy[];
    logServers: NatsCluster | undefined;
    lines: readonly (readonly TcpProxy[])[];
    nodes: readonly NodeProcess[];
    close: CloseStack;
  }) {
    this.folder = p.folder;
    this.shape = p.shape;
    this.l1 = p.l1;
    this.cluster = p.cluster;
    this.endpoints = p.endpoints;
    this.logServers = p.logServers;
    this.lines = p.lines;
    this.nodes = p.nodes;
    this.#close = p.close;
  }

  /** Starts everything; resolves when the first node's gateway answers. */
  static async start(
    shape: Shape,
    p: { folder: string; random: () => number; clock: Clock; onEvent: (what: string) => void; signal: AbortSignal },
  ): Promise<ChaosNetwork> {
    const close = new CloseStack();
    try {
      return await ChaosNetwork.#start(shape, p, close);
    } catch (error) {
      await close.close().catch(() => undefined);
      throw error;
    }
  }

  static async #start(
    shape: Shape,
    p: { folder: string; random: () => number; clock: Clock; onEvent: (what: string) => void; signal: AbortSignal },
    close: CloseStack,
  ): Promise<ChaosNetwork> {
    const { folder, clock } = p;
    mkdirSync(folder, { recursive: true });
    const l1 = await Anvil.start({
      ...{ chainId: L1_CHAIN_ID, logPath: join(folder, "l1.log"), clock },
      ...(shape.l1EpochSlots === undefined ? {} : { epochSlots: shape.l1EpochSlots }),
    });
    close.add("l1", () => l1.kill());
    const { clusters } = await deployOnDevnetL1(
      l1.rpcUrl,
      l1.rpc,
      {
        clusters: 1,
        challengePeriodSeconds: 2,
        submissionInterval: 3,
        ...(shape.sequencingWindow === undefined ? {} : { sequencingWindow: shape.sequencingWindow }),
        ...(shape.maxDriftSeconds === undefined ? {} : { maxDriftSeconds: shape.maxDriftSeconds }),
      },
      { progress: () => undefined, clock, log: silentLog },
    );
    await l1.rpc.call("evm_setIntervalMining", [shape.l1BlockSeconds ?? 1]);
    const cluster = clusters[0] as Deployment["clusters"][number];

    const endpoints: FaultProxy[] = [];
    for (let i = 0; i < shape.l1Endpoints; i++) {
      const proxy = await FaultProxy.start(l1.rpcUrl);
      close.add(`l1 endpoint ${i}`, () => proxy.stop());
      endpoints.push(proxy);
    }
    const logServers =
      shape.logServers === 0 ? undefined : await NatsCluster.start({ nodes: shape.logServers, advertise: false });
    if (logServers !== undefined) close.add("log servers", () => logServers.stop());

    const lines: TcpProxy[][] = [];
    const nodes: NodeProcess[] = [];
    const posterKeys = posterAccounts(0).map((a) => toHex(a.privateKey));
    for (let i = 0; i < shape.nodes; i++) {
      const own: TcpProxy[] = [];
      for (const server of logServers?.nodes ?? []) {
        const line = await TcpProxy.start(server.port, p.random);
        close.add(`line ${i} ${server.name}`, () => line.stop());
        own.push(line);
      }
      lines.push(own);
      const dataDir = join(folder, `node-${i}`);
      mkdirSync(dataDir, { recursive: true });
      if (shape.diskMiB !== undefined) {
        execFileSync("mount", ["-t", "tmpfs", "-o", `size=${shape.diskMiB}m`, "tmpfs", dataDir]);
        close.add(`disk of node ${i}`, () => void execFileSync("umount", ["-l", dataDir]));
      }
      const node = new NodeProcess(
        {
          name: `node-${i}`,
          cluster: cluster.name,
          dataDir,
          logPath: join(folder, `node-${i}.log`),
          l1: {
            rpcUrl: endpoints.map((e) => e.url).join(","),
            beaconUrl: (endpoints[0] as FaultProxy).url,
            chainId: L1_CHAIN_ID,
          },
          inbox: cluster.contracts.inbox,
          ports: { rpc: await freePort(), verifierRpc: await freePort(), health: await freePort() },
          posterKeys,
          proposerKey: toHex(clusterAccounts(0).proposer.privateKey),
          env: {
            ...SETTINGS,
            SHEAF_PUBLISHER_DA: shape.da ?? "blobs",
            ...(logServers === undefined ? {} : LOG_SETTINGS),
            ...(logServers === undefined ? {} : { SHEAF_LOG_NATS_SERVERS: own.map((l) => l.address).join(",") }),
            ...(shape.snapshots === true
              ? { SHEAF_SNAPSHOT_FOLDER: join(folder, "snapshots"), SHEAF_SNAPSHOT_INTERVAL_SECONDS: "5" }
              : {}),
            ...shape.env,
          },
        },
        clock,
        p.onEvent,
      );
      close.add(node.name, () => node.stop());
      node.start();
      nodes.push(node);
      // The first leads: who stands by is then known.
      if (i > 0) continue;
      const endMs = clock.nowMs() + START_MS_MAX;
      while (!node.open || !(await leads(node))) {
        if (p.signal.aborted || clock.nowMs() > endMs)
          throw chaosError("CHAOS_STEP_FAILED", `${node.name} does not start; see ${node.config.logPath}`);
        await clock.sleep(50);
      }
    }
    return new ChaosNetwork({ folder, shape, l1, cluster, endpoints, logServers, lines, nodes, close });
  }

  get chainId(): number {
    return this.cluster.chainId;
  }

  /** Where nodes of a shape with snapshots keep them. */
  get snapshotFolder(): string {
    return join(this.folder, "snapshots");
  }

  /** Keys of the funded users. */
  users(): Uint8Array[] {
    return userAccounts().map((a) => a.privateKey);
  }

  /** Takes what is left of a node's disk; only where it has one of its own. */
  fillDisk(node: NodeProcess): void {
    const path = join(node.config.dataDir, BALLAST);
    const file = openSync(path, "w");
    try {
      for (let chunk = Buffer.alloc(1 << 20, 1); chunk.length > 0; )
        try {
          writeSync(file, chunk);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
          chunk = chunk.subarray(0, chunk.length >> 1);
        }
    } finally {
      closeSync(file);
    }
  }

  freeDisk(node: NodeProcess): void {
    rmSync(join(node.config.dataDir, BALLAST), { force: true });
  }

  loseDisk(node: NodeProcess): void {
    for (const name of ["sequencer", "verifier", "blobs"])
      rmSync(join(node.config.dataDir, name), { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await this.#close.close();
  }
}

async function leads(node: NodeProcess): Promise<boolean> {
  const rpc = new JsonRpcClient({ url: node.rpcUrl, timeoutMs: 2_000 });
  const standing = await rpc.call("sheaf_leader", []).catch(() => undefined);
  return (standing as { leads?: boolean } | undefined)?.leads === true;
}

const BALLAST = "ballast";
