/**
 * Owns a publisher in a process of its own: it follows the sealed chain over a link to the sequencer and derivation over
 * one to a verifier, and posts with accounts of its own. It keeps nothing but the blob archive.
 */
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Service } from "../base/service.ts";
import { BeaconBlobs } from "../da/beacon.ts";
import { BlobArchive } from "../da/blob-archive.ts";
import { l1Config } from "../l1/config.ts";
import { connectL1 } from "../l1/connect-l1.ts";
import { findGenesis } from "../l1/genesis-source.ts";
import { linkMetrics } from "../link/metrics.ts";
import { type CallOptions, callingService } from "../link/tls-link.ts";
import { DERIVED_SERVICE, DerivedClient } from "../publisher/derived-link.ts";
import { SEALED_SERVICE, SealedClient } from "../publisher/sealed-link.ts";
import { nodeError } from "./cluster-node.ts";
import { openPublisher } from "./publisher-part.ts";

/** How often the sequencer hears how far posting is: admission follows it. */
const REPORT_MS = 1_000;

export async function openPublisherNode(p: {
  readonly dataDir: string;
  readonly l1: { readonly rpcUrl: string; readonly beaconUrl: string; readonly chainId: number };
  readonly inbox: Uint8Array;
  readonly keys: readonly Uint8Array[];
  /** Whom it calls, one at a time: any of them will do. */
  readonly sequencers: readonly Omit<CallOptions, "service">[];
  readonly verifiers: readonly Omit<CallOptions, "service">[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
}): Promise<readonly Service[]> {
  const { env, log, metrics, clock } = p;
  const l1 = connectL1(p.l1.rpcUrl, {
    ...readConfig(l1Config, env),
    chainId: p.l1.chainId,
    metrics,
    log: log.child({ role: "l1" }),
    clock,
  });
  const published = await findGenesis(l1.reader, p.inbox);
  if (published === undefined) throw nodeError("NODE_NO_GENESIS", "the inbox has not published a genesis document");
  const derived = new DerivedClient();
  const sealed = new SealedClient(() => derived.known?.safe.number);
  const own = { log: log.child({ role: "link" }), metrics: linkMetrics(metrics), clock };
  const { publisher, services } = openPublisher({
    env,
    l1,
    l1ChainId: p.l1.chainId,
    inbox: p.inbox,
    genesis: published.genesis,
    genesisOrigin: published.origin,
    keys: p.keys,
    sealed,
    derived: () => derived.view(),
    term: () => sealed.term(),
    archive: new BlobArchive(join(p.dataDir, "blobs")),
    beacon: new BeaconBlobs({ url: p.l1.beaconUrl }),
    log,
    metrics,
    clock,
  });
  const report = (): Promise<void> => {
    sealed.report(publisher.status());
    return Promise.resolve();
  };
  return [
    callingService({
      name: "link to the sequencer",
      calls: p.sequencers.map((to) => ({ ...to, service: SEALED_SERVICE, frameBytesMax: sealed.frameBytesMax })),
      host: sealed.host,
      lost: () => sealed.lost(),
      ...own,
    }),
    callingService({
      name: "link to a verifier",
      calls: p.verifiers.map((to) => ({ ...to, service: DERIVED_SERVICE })),
      host: derived.host,
      ...own,
    }),
    ...services,
    new Loop("reports", report, { everyMs: REPORT_MS, log, clock }),
  ];
}
