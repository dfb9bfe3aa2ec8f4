/**
 * Owns a process that verifies: it derives the chain from L1 alone, serves it over JSON-RPC, tells publishers where
 * derivation is, and posts output roots when it is also the proposer.
 */
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { CloseStack, Service } from "../base/service.ts";
import { BeaconBlobs } from "../da/beacon.ts";
import { BlobArchive } from "../da/blob-archive.ts";
import { BlobSources } from "../da/blob-sources.ts";
import { createEngine, engineConfig } from "../execution/engines.ts";
import { SenderRecovery } from "../gateway/sender-recovery.ts";
import { l1Config } from "../l1/config.ts";
import { connectL1 } from "../l1/connect-l1.ts";
import { rpcConfig } from "../rpc/config.ts";
import { RpcServer } from "../rpc/server.ts";
import type { Verifier } from "../verifier/verifier.ts";
import { databaseFolder, VERIFIER } from "./cluster-node.ts";
import { openProposer } from "./proposer-part.ts";
import { rollupView } from "./rollup-view.ts";
import { VerifierNode } from "./verifier-node.ts";

export async function openVerifyingNode(
  p: {
    readonly dataDir: string;
    readonly l1: { readonly rpcUrl: string; readonly beaconUrl: string; readonly chainId: number };
    readonly inbox: Uint8Array;
    readonly rpc: { readonly host: string; readonly port: number };
    readonly proposerKey: Uint8Array | undefined;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly log: Log;
    readonly metrics: Metrics;
    readonly clock: Clock;
  },
  close: CloseStack,
): Promise<{ readonly verifier: Verifier; readonly services: readonly Service[] }> {
  const { env, log, metrics, clock } = p;
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
  const node = await VerifierNode.open({
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
  });
  close.add("verifier", () => node.close());
  const { verifier, view } = node;
  const { genesis } = verifier;
  const rpc = await RpcServer.create(
    { config: { ...readConfig(rpcConfig, env), host: p.rpc.host }, port: p.rpc.port },
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
  const proposing =
    p.proposerKey === undefined
      ? []
      : openProposer({ env, l1, l1ChainId: p.l1.chainId, genesis, key: p.proposerKey, verifier, log, metrics, clock });
  return { verifier, services: [verifier, rpc, ...proposing] };
}
