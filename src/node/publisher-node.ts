/**
 * Owns a publisher in a process of its own: it follows the sealed chain over a link to the sequencer and derivation over
 * one to a verifier, and posts with its own accounts. It keeps nothing but the blob archive. Where logs are replicated,
 * several of them share the accounts and settle in a log who posts (leased-role.ts); the others follow the chain.
 */
import { join } from "node:path";
import { readConfig } from "../base/config.ts";
import { Loop } from "../base/loop.ts";
import type { Service } from "../base/service.ts";
import { BeaconBlobs } from "../da/beacon.ts";
import { BlobArchive } from "../da/blob-archive.ts";
import { l1Config } from "../l1/config.ts";
import { connectL1 } from "../l1/connect-l1.ts";
import { findGenesis } from "../l1/genesis-source.ts";
import { untilL1Answers } from "../l1/until-l1-answers.ts";
import { linkMetrics } from "../link/metrics.ts";
import { callingService } from "../link/tls-link.ts";
import { DERIVED_SERVICE, DerivedClient } from "../publisher/derived-link.ts";
import type { Publisher } from "../publisher/publisher.ts";
import { SEALED_SERVICE, SealedClient } from "../publisher/sealed-link.ts";
import { openLeaseLog } from "./cluster-logs.ts";
import { nodeConfig } from "./config.ts";
import { LeasedRole } from "./leased-role.ts";
import { roleLeaseMetrics } from "./metrics.ts";
import { processesOf, type RoleName } from "./network-file.ts";
import { nodeError } from "./node-data.ts";
import { openPublisher } from "./publisher-part.ts";
import type { RoleContext, RoleNode } from "./role-node.ts";

/** How often the sequencer hears how far posting is: admission follows it. */
const REPORT_MS = 1_000;

export async function openPublisherNode(context: RoleContext): Promise<RoleNode> {
  const { network, cluster, env, log, metrics, clock } = context;
  const l1 = connectL1(context.l1.rpcUrl, {
    ...readConfig(l1Config, env),
    chainId: context.l1.chainId,
    metrics,
    log: log.child({ role: "l1" }),
    clock,
  });
  const published = await untilL1Answers(() => findGenesis(l1.reader, context.inbox), { log, clock });
  if (published === undefined) throw nodeError("NODE_NO_GENESIS", "the inbox has not published a genesis document");
  const { genesis, origin } = published;
  const derived = new DerivedClient();
  const sealed = new SealedClient(() => derived.known?.safe.number);
  const own = { log: log.child({ role: "link" }), metrics: linkMetrics(metrics), clock };
  let working: Publisher | undefined;
  const open = (): readonly Service[] => {
    const { publisher, services } = openPublisher({
      ...{ env, l1, l1ChainId: context.l1.chainId, inbox: context.inbox, genesis, genesisOrigin: origin },
      keys: context.posters,
      sealed,
      derived: () => derived.view(),
      term: () => sealed.term(),
      archive: new BlobArchive(join(context.dataDir, "blobs")),
      beacon: new BeaconBlobs({ url: context.l1.beaconUrl }),
      ...{ log, metrics, clock },
    });
    working = publisher;
    return services;
  };
  const leased = await openLeaseLog("publisher", {
    ...context,
    chainId: genesis.chainId,
    genesisOriginHash: origin.hash,
  });
  const role =
    leased === undefined
      ? undefined
      : new LeasedRole({
          name: "publisher",
          ...leased,
          holder: context.process.name,
          patienceMs: readConfig(nodeConfig, env).progressMs,
          notReady: () => (sealed.isLinked && derived.known !== undefined ? undefined : "waits for its links"),
          open,
          ...{ log, clock },
          metrics: roleLeaseMetrics(metrics.withLabels({ role: "publisher" })),
        });
  // Who stands by follows the chain too; the one that works says how far it is.
  const report = (): Promise<void> => {
    sealed.report(role?.works === false ? undefined : working?.status());
    return Promise.resolve();
  };
  // Any of them will do.
  const callAll = (name: RoleName) =>
    processesOf(network, cluster, name).map((target) => context.callTo(target, name, "publisher"));
  const sequencers = callAll("sequencer");
  const verifiers = callAll("verifier");
  const services = [
    callingService({
      name: "link to the sequencer",
      calls: sequencers.map((to) => ({ ...to, service: SEALED_SERVICE, frameBytesMax: sealed.frameBytesMax })),
      host: sealed.host,
      lost: () => sealed.lost(),
      ...own,
    }),
    callingService({
      name: "link to a verifier",
      // Verifiers of their own, where there are any: the sequencer is not believed about what L1 says.
      calls: (verifiers.length > 0 ? verifiers : sequencers).map((to) => ({ ...to, service: DERIVED_SERVICE })),
      host: derived.host,
      ...own,
    }),
    ...(role === undefined ? open() : [role]),
    new Loop("reports", report, { everyMs: REPORT_MS, log, clock }),
  ];
  return { services };
}
