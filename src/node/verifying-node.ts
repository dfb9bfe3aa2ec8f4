/**
 * Owns a process that verifies: it derives the chain from L1 alone, serves it over JSON-RPC, tells publishers where
 * derivation is, and posts output roots when it is also the proposer.
 */
import { join } from "node:path";
import { readConfig } from "../base/config.ts";
import type { Service } from "../base/service.ts";
import { BeaconBlobs } from "../da/beacon.ts";
import { BlobArchive } from "../da/blob-archive.ts";
import { BlobSources } from "../da/blob-sources.ts";
import { engineConfig } from "../execution/config.ts";
import { createEngine } from "../execution/engines.ts";
import { SenderRecovery } from "../gateway/sender-recovery.ts";
import { l1Config } from "../l1/config.ts";
import { connectL1, type L1Connection } from "../l1/connect-l1.ts";
import { untilL1Answers } from "../l1/until-l1-answers.ts";
import type { Block } from "../protocol/block.ts";
import { DerivedServer } from "../publisher/derived-link.ts";
import { rpcConfig } from "../rpc/config.ts";
import { RpcServer } from "../rpc/server.ts";
import type { Verifier } from "../verifier/verifier.ts";
import { openLeaseLog } from "./cluster-logs.ts";
import { nodeConfig } from "./config.ts";
import { LeasedRole } from "./leased-role.ts";
import { roleLeaseMetrics } from "./metrics.ts";
import { hostAndPort } from "./network-file.ts";
import { databaseFolder, VERIFIER } from "./node-data.ts";
import { openProposer } from "./proposer-part.ts";
import { PUBLISHERS_MAX, type RoleContext, type RoleNode } from "./role-node.ts";
import { rollupView } from "./rollup-view.ts";
import { VerifierNode, type VerifierNodeOptions } from "./verifier-node.ts";

export async function openVerifyingNode(p: RoleContext): Promise<RoleNode> {
  const { env, log, metrics, clock, close } = p;
  const l1 = connectL1(p.l1.rpcUrl, {
    ...readConfig(l1Config, env),
    chainId: p.l1.chainId,
    metrics,
    log: log.child({ role: "l1" }),
    clock,
  });
  const engine = await createEngine(readConfig(engineConfig, env).engine);
  close.add("engine", () => engine.close());
  const recovery = new SenderRecovery(1, log.child({ role: "verifier" }), { background: true });
  close.add("recovery", () => recovery.close());
  const options: VerifierNodeOptions = {
    path: databaseFolder(p.dataDir, VERIFIER),
    l1: l1.reader,
    blobs: new BlobSources({
      sources: [new BeaconBlobs({ url: p.l1.beaconUrl })],
      archive: new BlobArchive(join(p.dataDir, "blobs")),
      log: log.child({ role: "da" }),
    }),
    inbox: p.inbox,
    engine,
    recovery,
    env,
    log,
    metrics,
    clock,
  };
  const node = await untilL1Answers(() => VerifierNode.open(options), { log, clock });
  close.add("verifier", () => node.close());
  const { verifier, view } = node;
  const { genesis } = verifier;
  const address = hostAndPort(p.process.rpc ?? "");
  const rpc = await RpcServer.create(
    { config: { ...readConfig(rpcConfig, env), host: address.host }, port: address.port },
    {
      chain: view,
      baseFeeRule: genesis,
      rollup: rollupView(verifier),
      clock,
      log: log.child({ role: "verifier-rpc" }),
      metrics: metrics.withLabels({ role: "verifier" }),
    },
  );
  close.add("verifier rpc", () => rpc.close());
  const derived = new DerivedServer(() => verifier.status(), { log, clock });
  const key = p.proposer;
  const proposing =
    key === undefined
      ? []
      : await proposers(p, { l1, key, verifier, genesisOriginHash: (node.chain.block(0) as Block).origin.hash });
  return { services: [verifier, rpc, ...proposing, derived], offers: [derived.service(PUBLISHERS_MAX)] };
}

/** The proposer; where logs are replicated, only while it has the lease. */
async function proposers(
  p: RoleContext,
  own: {
    readonly l1: L1Connection;
    readonly key: Uint8Array;
    readonly verifier: Verifier;
    readonly genesisOriginHash: Uint8Array;
  },
): Promise<readonly Service[]> {
  const { env, log, metrics, clock } = p;
  const { verifier } = own;
  const { genesis } = verifier;
  const open = (): readonly Service[] =>
    openProposer({ ...own, env, l1ChainId: p.l1.chainId, genesis, log, metrics, clock });
  const leased = await openLeaseLog("proposer", {
    ...p,
    chainId: genesis.chainId,
    genesisOriginHash: own.genesisOriginHash,
  });
  if (leased === undefined) return open();
  const role = new LeasedRole({
    name: "proposer",
    ...leased,
    holder: p.process.name,
    patienceMs: readConfig(nodeConfig, env).progressMs,
    notReady: () => (verifier.safeHead() === undefined ? "its verifier has not caught up with L1" : undefined),
    open,
    ...{ log, clock },
    metrics: roleLeaseMetrics(metrics.withLabels({ role: "proposer" })),
  });
  return [role];
}
