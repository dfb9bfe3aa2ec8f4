/**
 * Owns making a network of several processes on one machine: a development L1 with the contracts on it, a network file,
 * certificates and keys. What it writes is an example of everything a network file holds, and runs with `sheaf up`.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Document } from "yaml";
import { type Clock, systemClock } from "../base/clock.ts";
import { freePort } from "../base/free-port.ts";
import { silentLog } from "../base/log.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { readNetwork } from "../node/network-file.ts";
import { CERTIFICATE_DAYS, initAuthority, issueFor, writeAccountKey } from "../node/pki.ts";
import { clusterAccounts, posterAccounts } from "./accounts.ts";
import { type Deployment, type DeploymentOptions, deployOnDevnetL1, L1_CHAIN_ID } from "./deployment.ts";
import { devnetError } from "./error.ts";
import { startL1 } from "./l1-process.ts";

export const NETWORK_FILE = "network.yaml";

export type WriteNetworkOptions = DeploymentOptions & {
  readonly folder: string;
  /** Executor processes of each cluster. */
  readonly executors: number;
  /** Sequencers, publishers, and verifiers with a proposer, of each cluster; several take log servers. Default: 1. */
  readonly sequencers?: number;
  readonly publishers?: number;
  readonly verifiers?: number;
  /** 0 takes free ones, else ports from here on. */
  readonly firstPort: number;
  /** Log servers; without them logs are files. */
  readonly logs?: { readonly servers: readonly string[]; readonly replicas: number; readonly tokenFile?: string };
  /** Settings of all processes. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly onProgress?: (step: string) => void;
  readonly clock?: Clock;
};

/** @returns the path of the network file, and what stands on its L1. @throws {DevnetError} DEVNET_NETWORK_EXISTS */
export async function writeNetwork(
  options: WriteNetworkOptions,
): Promise<{ readonly path: string; readonly deployment: Deployment }> {
  const { folder } = options;
  const clock = options.clock ?? systemClock;
  const progress = options.onProgress ?? (() => undefined);
  const path = join(folder, NETWORK_FILE);
  if (existsSync(path)) throw devnetError("DEVNET_NETWORK_EXISTS", `${path} is there already`, { path });
  mkdirSync(folder, { recursive: true });
  let next = options.firstPort;
  const address = async (): Promise<string> => `127.0.0.1:${next === 0 ? await freePort() : next++}`;

  const l1Address = await address();
  const l1Folder = join(folder, "data", "l1");
  mkdirSync(l1Folder, { recursive: true });
  progress("starting L1");
  const handle = await startL1(l1Folder, Number(l1Address.split(":")[1]), clock);
  const l1 = new JsonRpcClient({ url: handle.rpcUrl, timeoutMs: 30_000 });
  let deployment: Deployment;
  try {
    deployment = await deployOnDevnetL1(handle.rpcUrl, l1, options, { progress, clock, log: silentLog });
  } finally {
    await handle.stop();
  }

  progress("writing the network");
  const clusters: Record<string, unknown> = {};
  const processes: Record<string, unknown> = { l1: { roles: ["l1"], rpc: l1Address } };
  for (const [i, cluster] of deployment.clusters.entries()) {
    const { name, chainId } = cluster;
    clusters[name] = { chainId, inbox: cluster.contracts.inbox };
    const posters = posterAccounts(i).map((account, n) => {
      const file = join("keys", `${name}-poster-${n + 1}.key`);
      writeAccountKey(join(folder, file), account.privateKey);
      return file;
    });
    const proposer = join("keys", `${name}-proposer.key`);
    writeAccountKey(join(folder, proposer), clusterAccounts(i).proposer.privateKey);
    const own = async (fields: object): Promise<object> => ({ cluster: name, ...fields, health: await address() });
    const names = (role: string, count = 1): string[] =>
      Array.from({ length: count }, (_, n) => `${role}-${chainId}${count === 1 ? "" : `-${n + 1}`}`);
    for (const process of names("sequencer", options.sequencers))
      processes[process] = await own({
        roles: ["sequencer"],
        rpc: await address(),
        verifierRpc: await address(),
        links: await address(),
      });
    for (const process of names("verifier", options.verifiers))
      processes[process] = await own({
        roles: ["verifier", "proposer"],
        rpc: await address(),
        links: await address(),
        keys: { proposer },
      });
    for (const process of names("publisher", options.publishers))
      processes[process] = await own({ roles: ["publisher"], keys: { posters } });
    for (let n = 1; n <= options.executors; n++)
      processes[`executor-${chainId}-${n}`] = await own({ roles: ["executor"] });
  }
  const document = new Document({
    version: 1,
    network: "devnet",
    dataDir: "data",
    pki: "pki",
    l1: { chainId: L1_CHAIN_ID, rpc: [`http://${l1Address}`], beacon: `http://${l1Address}` },
    ...(options.logs === undefined ? {} : { logs: options.logs }),
    clusters,
    // Data reaches L1 in seconds though blobs are far from full: nobody wants to wait in a development network.
    settings: {
      SHEAF_PUBLISHER_AGE_MAX_SECONDS: 6,
      SHEAF_PUBLISHER_IDLE_AGE_MAX_SECONDS: 30,
      SHEAF_PUBLISHER_POLL_MS: 500,
      ...options.settings,
    },
    processes,
  });
  document.commentBefore =
    " A network of several processes on this machine: sheaf up --config network.yaml\n Fields: docs/reference/network.md. Keys in keys/ are the public development keys.";
  writeFileSync(path, document.toString());
  const network = readNetwork(path);
  const nowMs = clock.nowMs();
  initAuthority(network, nowMs);
  for (const process of network.processes)
    if (process.cluster !== undefined) issueFor(network, process, { nowMs, days: CERTIFICATE_DAYS });
  return { path, deployment };
}
