/**
 * Owns joining a publisher with its accounts and its ways of posting, wherever it runs: beside its sequencer, or in a
 * process of its own that follows the sealed chain over a link.
 */
import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import { CodedError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Service } from "../base/service.ts";
import type { BeaconBlobs } from "../da/beacon.ts";
import { BlobWriter } from "../da/blob.ts";
import type { BlobArchive } from "../da/blob-archive.ts";
import { CalldataWriter } from "../da/calldata.ts";
import { inboxAbi } from "../l1/abi/inbox.ts";
import { l1Config, senderOptions } from "../l1/config.ts";
import type { L1Connection } from "../l1/connect-l1.ts";
import { L1Sender } from "../l1/l1-sender.ts";
import { localSigner } from "../l1/l1-signer.ts";
import { senderMetrics } from "../l1/metrics.ts";
import { SenderPool } from "../l1/sender-pool.ts";
import type { L1Origin } from "../protocol/block.ts";
import type { Genesis } from "../protocol/genesis.ts";
import type { DerivedView, SealedBlocks } from "../publisher/api.ts";
import { publisherConfig } from "../publisher/config.ts";
import { publisherMetrics } from "../publisher/metrics.ts";
import { Publisher } from "../publisher/publisher.ts";

export type PublisherPart = { readonly publisher: Publisher; readonly services: readonly Service[] };

export function openPublisher(p: {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly l1: Pick<L1Connection, "rpc" | "reader">;
  readonly l1ChainId: number;
  readonly inbox: Uint8Array;
  readonly genesis: Genesis;
  readonly genesisOrigin: L1Origin;
  /** Accounts that post side by side, at least one. */
  readonly keys: readonly Uint8Array[];
  readonly sealed: SealedBlocks;
  readonly derived: () => DerivedView;
  readonly term: () => number;
  readonly archive: BlobArchive;
  readonly beacon: BeaconBlobs;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
}): PublisherPart {
  assert(p.keys.length > 0, "a publisher has an account");
  const { inbox, clock } = p;
  const { rpc, reader: l1 } = p.l1;
  const log = p.log.child({ role: "publisher" });
  const metrics = p.metrics.withLabels({ role: "publisher" });
  const config = readConfig(publisherConfig, p.env);
  const options = senderOptions(readConfig(l1Config, p.env), p.l1ChainId);
  const posters = new SenderPool({
    name: "posters",
    senders: p.keys.slice(0, config.accountsMax).map((key, i) => {
      const name = i === 0 ? "poster" : `poster-${i + 1}`;
      return new L1Sender({
        name,
        rpc,
        reader: l1,
        signer: localSigner(key),
        options,
        abis: [inboxAbi],
        metrics: senderMetrics(metrics, name),
        log,
        clock,
      });
    }),
    blamesAccount: (error) => error instanceof CodedError && error.data["revert"] === "NotPoster",
    log,
    clock,
  });
  const own = publisherMetrics(metrics);
  const publisher = new Publisher(config, {
    l1,
    inbox,
    chainId: p.genesis.chainId,
    genesisOrigin: p.genesisOrigin,
    sealed: p.sealed,
    derived: p.derived,
    sequencingWindow: p.genesis.sequencingWindow,
    sender: posters,
    writers: {
      blobs: new BlobWriter({
        inbox,
        sender: posters,
        l1,
        proofs: options.blobProofs,
        archive: p.archive,
        readBack: p.beacon,
        readBackFailures: own.readBackFailures,
        log,
      }),
      calldata: new CalldataWriter({ inbox, sender: posters }),
    },
    term: p.term,
    metrics: own,
    log,
    clock,
  });
  return { publisher, services: [posters, publisher] };
}
