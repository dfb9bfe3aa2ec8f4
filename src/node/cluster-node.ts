/**
 * Owns one node of a cluster with all roles in it: picks the adapters (L1 over JSON-RPC, LMDB, logs, blobs), joins
 * the roles and closes everything in reverse order. Reading this file shows what a node is made of.
 */
import { mkdirSync, statfsSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { bytesEqual, toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import { CloseStack, runAll, type Service } from "../base/service.ts";
import { BeaconBlobs } from "../da/beacon.ts";
import { BlobArchive } from "../da/blob-archive.ts";
import { BlobSources } from "../da/blob-sources.ts";
import { engineConfig } from "../execution/config.ts";
import { type createEngine, openEngine, otherEngine } from "../execution/engines.ts";
import type { Engine } from "../execution/execution.ts";
import { readingExecutor } from "../executor/executor-links.ts";
import { gatewayConfig } from "../gateway/config.ts";
import { Gateway } from "../gateway/gateway.ts";
import { LeaderPool } from "../gateway/leader-pool.ts";
import { SenderMemo } from "../gateway/sender-memo.ts";
import { SenderRecovery } from "../gateway/sender-recovery.ts";
import { openState } from "../keyshard/open-state.ts";
import { l1Config } from "../l1/config.ts";
import { connectL1 } from "../l1/connect-l1.ts";
import { findGenesis } from "../l1/genesis-source.ts";
import { readInbox } from "../l1/inbox.ts";
import { untilL1Answers } from "../l1/until-l1-answers.ts";
import { laneConfig } from "../lane/config.ts";
import { OrderReceipts, orderReceiptKey } from "../lane/order-receipts.ts";
import type { SealedBlocks } from "../publisher/api.ts";
import type { Publisher } from "../publisher/publisher.ts";
import { rpcConfig } from "../rpc/config.ts";
import { RpcError } from "../rpc/errors.ts";
import { RpcServer } from "../rpc/server.ts";
import type { SealPosition } from "../sealer/sealer.ts";
import type { ShadowReport } from "../shadow/api.ts";
import { shadowConfig } from "../shadow/config.ts";
import { shadowMetrics } from "../shadow/metrics.ts";
import { Shadow } from "../shadow/shadow.ts";
import { snapshotConfig } from "../snapshot/config.ts";
import { snapshotMetrics } from "../snapshot/metrics.ts";
import { Snapshotter, snapshotKeyOf } from "../snapshot/snapshotter.ts";
import { storeConfig } from "../store/config.ts";
import { Database } from "../store/database.ts";
import { LmdbChainStore } from "../store/lmdb-chain-store.ts";
import type { Verifier } from "../verifier/verifier.ts";

import { adminResources } from "./admin-resources.ts";
import { AdminSocket } from "./admin-socket.ts";
import { openClusterLogs } from "./cluster-logs.ts";
import { nodeConfig } from "./config.ts";
import { databaseFolder, nodeError, SEQUENCER, shardFolder, shardName, storedFolders, VERIFIER } from "./node-data.ts";
import { openProposer } from "./proposer-part.ts";
import { openPublisher } from "./publisher-part.ts";
import { rollupView } from "./rollup-view.ts";
import { Sequencer } from "./sequencer.ts";
import { VerifierNode, type VerifierNodeOptions } from "./verifier-node.ts";

export type ClusterNodeOptions = {
  readonly name: string;
  readonly dataDir: string;
  /** `rpcUrl` may hold several, with commas between them, in order of preference. */
  readonly l1: { readonly rpcUrl: string; readonly beaconUrl: string; readonly chainId: number };
  readonly inbox: Uint8Array;
  /** 0 takes free ones. */
  readonly ports: { readonly rpc: number; readonly verifierRpc: number };
  /** `posters`: accounts that post side by side; without one, or without a proposer, that is done elsewhere. */
  readonly keys: { readonly posters: readonly Uint8Array[]; readonly proposer?: Uint8Array | undefined };
  /** A publisher elsewhere: the share of new transactions to admit, given the bytes the pool holds. */
  readonly admissionShare?: (poolBytes: number) => number;
  /** Executors come by themselves, see {@link ClusterNode.engine}. */
  readonly guests?: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Opens the sequencer's and the verifier's engine. */
  readonly createEngine?: typeof createEngine | undefined;
  readonly log: Log;
  /** With the labels rollup and cluster bound. */
  readonly metrics: Metrics;
  readonly clock: Clock;
};

export class ClusterNode implements Service {
  readonly name: string;
  readonly chainId: number;
  readonly sequencer: Sequencer;
  readonly gateway: Gateway;
  readonly verifier: Verifier;
  readonly engine: Engine;
  readonly chain: LmdbChainStore;
  readonly #verifierRpc: RpcServer;
  readonly #services: readonly Service[];
  readonly #close: CloseStack;

  private constructor(p: {
    name: string;
    chainId: number;
    sequencer: Sequencer;
    gateway: Gateway;
    verifier: Verifier;
    engine: Engine;
    chain: LmdbChainStore;
    verifierRpc: RpcServer;
    services: readonly Service[];
    close: CloseStack;
  }) {
    this.name = p.name;
    this.chainId = p.chainId;
    this.sequencer = p.sequencer;
    this.gateway = p.gateway;
    this.verifier = p.verifier;
    this.engine = p.engine;
    this.chain = p.chain;
    this.#verifierRpc = p.verifierRpc;
    this.#services = p.services;
    this.#close = p.close;
  }

  static async create(options: ClusterNodeOptions): Promise<ClusterNode> {
    const close = new CloseStack();
    try {
      return await ClusterNode.#create(options, close);
    } catch (error) {
      await close.close().catch(() => undefined);
      throw error;
    }
  }

  static async #create(options: ClusterNodeOptions, close: CloseStack): Promise<ClusterNode> {
    const { env, log, metrics, clock, dataDir } = options;
    const { rpc, reader: l1 } = connectL1(options.l1.rpcUrl, {
      ...readConfig(l1Config, env),
      chainId: options.l1.chainId,
      metrics,
      log: log.child({ role: "l1" }),
      clock,
    });
    const engineSettings = readConfig(engineConfig, env);
    const engineName = engineSettings.engine;
    const engine = await openEngine(engineSettings, {
      log,
      metrics,
      create: options.createEngine,
      openExecutor: (where) => readingExecutor(where, storedFolders(dataDir)),
      guests: options.guests === true,
    });
    close.add("engine", () => engine.close());
    const archive = new BlobArchive(join(dataDir, "blobs"));
    const beacon = new BeaconBlobs({ url: options.l1.beaconUrl });
    const blobs = new BlobSources({
      sources: [beacon],
      archive,
      log: log.child({ role: "da" }),
    });

    const started = { log: log.child({ role: "l1" }), clock };
    const published = await untilL1Answers(() => findGenesis(l1, options.inbox), started);
    if (published === undefined)
      throw nodeError("NODE_NO_GENESIS", `inbox ${toHex(options.inbox)} has not published a genesis document`);
    const { genesis } = published;
    const database = Database.open(databaseFolder(dataDir, SEQUENCER));
    close.add("sequencer database", () => database.close());
    const chain = new LmdbChainStore(database, readConfig(storeConfig, env));
    const stored = await openState(database, {
      env,
      folderOf: (shard) => shardFolder(dataDir, shard),
      blockHash: (n) => chain.blockHash(n),
      log,
      metrics,
    });
    close.add("key shards", () => stored.close());
    const { state } = stored;
    const logs = await openClusterLogs(
      { dataDir, chainId: genesis.chainId, genesisOriginHash: published.origin.hash, env, log, clock },
      close,
    );

    // Of its own: what is derived again gives way to what users wait for.
    const senderMemo = new SenderMemo();
    const recovery = new SenderRecovery(1, log.child({ role: "verifier" }), { background: true, memo: senderMemo });
    close.add("verifier's recovery", () => recovery.close());
    const verifying: VerifierNodeOptions = {
      path: databaseFolder(dataDir, VERIFIER),
      l1,
      blobs,
      inbox: options.inbox,
      engine,
      recovery,
      sealed: chain,
      lists: { accessList: (number) => Promise.resolve(chain.accessList(number)?.encoded) },
      env,
      log,
      metrics,
      clock,
    };
    const derived = await untilL1Answers(() => VerifierNode.open(verifying), started);
    close.add("verifier", () => derived.close());
    const { verifier } = derived;
    const l1Heads = (): { safe: number; finalized: number } => ({
      // What was derived before a restart stays safe until derivation has looked at L1 again and takes it back.
      safe: agreed(derived.chain.head, derived.chain, chain),
      finalized: agreed(verifier.finalizedHead().number, derived.chain, chain),
    });
    const { mode, lagGasMax } = readConfig(shadowConfig, env);
    const shadow =
      mode === "off"
        ? undefined
        : new Shadow({
            mode,
            lagGasMax,
            engine: engineName,
            shadowEngine: otherEngine(engineName),
            chain: genesis,
            log: log.child({ role: "shadow" }),
            metrics: shadowMetrics(metrics.withLabels({ role: "shadow" })),
            clock,
            onReport: (report) => writeReport(join(dataDir, "shadow"), report, log),
          });
    if (shadow !== undefined) close.add("shadow", () => shadow.close());
    const snapshotSettings = readConfig(snapshotConfig, env);
    let snapshotter: Snapshotter<SealPosition> | undefined;
    const nodeSettings = readConfig(nodeConfig, env);
    let gateway: Gateway | undefined;
    // What posts to L1 does so while this node leads, and is made anew for each leadership.
    const connection = { rpc, reader: l1 };
    const posting = { env, l1: connection, l1ChainId: options.l1.chainId, genesis, log, metrics, clock };
    const [posterKey] = options.keys.posters;
    let publisher: Publisher | undefined;
    const sequencer = await Sequencer.open({
      admissionShare: (poolBytes) => (publisher ?? options).admissionShare?.(poolBytes) ?? 1,
      genesis,
      genesisOrigin: published.origin,
      database,
      chain,
      state,
      engine,
      shadow,
      orderLog: logs.order,
      laneLogs: logs.lanes,
      laneSeats: logs.laneSeats,
      lease: {
        holder: `${options.name}@${hostname()}:${process.pid}`,
        leaseMs: logs.leaseMs,
        address: () => nodeSettings.address || (gateway?.url ?? ""),
        stands: nodeSettings.standby === "stands",
        progressMs: nodeSettings.progressMs,
        notReadyToLead: (silentMs) => notReadyToLead(verifier, dataDir, silentMs),
      },
      companions: (term) => {
        const { posters, proposer } = options.keys;
        const publishing =
          posters.length === 0
            ? undefined
            : openPublisher({
                ...posting,
                inbox: options.inbox,
                genesisOrigin: published.origin,
                keys: posters,
                sealed: sealedBlocks(chain, sequencer),
                derived: () => verifier.status(),
                term: () => term,
                archive,
                beacon,
              });
        publisher = publishing?.publisher;
        const proposing = proposer === undefined ? [] : openProposer({ ...posting, key: proposer, verifier });
        return [...(publishing?.services ?? []), ...proposing];
      },
      keepLogsFrom: snapshotSettings.folder === "" ? undefined : () => snapshotter?.keepFrom(),
      l1,
      safeChain: verifier,
      l1Heads,
      termAtLeast: (await untilL1Answers(() => readInbox(l1, options.inbox, "latest"), started)).currentTerm + 1,
      env,
      log,
      metrics,
      clock,
    });
    if (snapshotSettings.folder !== "" && posterKey === undefined)
      throw nodeError("NODE_NO_SNAPSHOT_KEY", "snapshots are signed with a poster's key, and this process has none");
    if (snapshotSettings.folder !== "" && posterKey !== undefined)
      snapshotter = new Snapshotter(snapshotSettings, {
        chainId: genesis.chainId,
        genesisHash: chain.blockHash(0) as Uint8Array,
        sources: [
          { name: SEQUENCER, copyTo: (of) => stored.copyTo(of(SEQUENCER), (shard) => of(shardName(shard))) },
          { name: VERIFIER, copyTo: (of) => derived.database.copyTo(of(VERIFIER)) },
        ],
        privateKey: snapshotKeyOf(posterKey),
        position: () => sequencer.sealer.position,
        clock,
        log: log.child({ role: "snapshotter" }),
        metrics: snapshotMetrics(metrics),
      });
    const laneSettings = readConfig(laneConfig, env);
    const pool = new LeaderPool({
      source: {
        get pool() {
          return sequencer.leads ? sequencer.lanes : undefined;
        },
        get leader() {
          return sequencer.leader;
        },
        get isCutOff() {
          return sequencer.isCutOff;
        },
        isIncluded: (hash) => chain.transaction(hash) !== undefined,
      },
      address: nodeSettings.leader,
      waitMs: nodeSettings.forwardWaitMs,
      txsMax: nodeSettings.forwardTxsMax,
      log: log.child({ role: "gateway" }),
      clock,
    });
    gateway = await Gateway.create(
      { config: readConfig(gatewayConfig, env), rpcConfig: readConfig(rpcConfig, env), port: options.ports.rpc },
      {
        chain: sequencer.view,
        pool,
        standing: () => ({
          leads: sequencer.leads,
          reason: sequencer.notReady(),
          leader: sequencer.leader,
          notStanding: sequencer.notStanding(),
          behind: sequencer.behind,
        }),
        order: new OrderReceipts({
          chainId: genesis.chainId,
          lanes: laneSettings.lanes,
          ordering: laneSettings.ordering,
          privateKey: orderReceiptKey(laneSettings, join(dataDir, SEQUENCER)),
          arrivalOf: async (hash) => {
            if (sequencer.leads) return sequencer.lanes.arrivalOf(hash);
            throw new RpcError("METHOD_NOT_SUPPORTED", "this node does not lead; sheaf_leader says who does");
          },
        }),
        baseFeeRule: genesis,
        rollup: rollupView(derived.verifier),
        senderMemo,
        clock,
        log: log.child({ role: "gateway" }),
        metrics: metrics.withLabels({ role: "gateway" }),
      },
    );
    const opened = gateway;
    close.add("gateway", () => opened.close());
    const verifierRpc = await RpcServer.create(
      { config: readConfig(rpcConfig, env), port: options.ports.verifierRpc },
      {
        chain: derived.view,
        baseFeeRule: genesis,
        rollup: rollupView(derived.verifier),
        clock,
        log: log.child({ role: "verifier-rpc" }),
        metrics: metrics.withLabels({ role: "verifier" }),
      },
    );
    close.add("verifier rpc", () => verifierRpc.close());
    const resources = adminResources({ shards: stored.shards, handOver: () => sequencer.handOver() });
    const admin = await AdminSocket.open(dataDir, resources, log.child({ role: "admin" }));
    close.add("admin socket", () => admin.close());
    return new ClusterNode({
      name: options.name,
      chainId: genesis.chainId,
      sequencer,
      gateway,
      verifier,
      engine,
      chain,
      verifierRpc,
      services: [...[sequencer, verifier, gateway, verifierRpc], ...(snapshotter === undefined ? [] : [snapshotter])],
      close,
    });
  }

  get rpcUrl(): string {
    return this.gateway.url;
  }

  get wsUrl(): string {
    return this.gateway.wsUrl;
  }

  get verifierRpcUrl(): string {
    return this.#verifierRpc.url;
  }

  notReady(): string | undefined {
    for (const service of this.#services) {
      const reason = service.notReady?.();
      if (reason !== undefined) return `${this.name} ${service.name}: ${reason}`;
    }
    return undefined;
  }

  /** Gives the lead to another node that is ready. @throws {SequencerError} SEQUENCER_NOT_LEADING */
  handOver(): Promise<void> {
    return this.sequencer.handOver();
  }

  run(signal: AbortSignal): Promise<void> {
    return runAll(signal, this.#services);
  }

  close(): Promise<void> {
    return this.#close.close();
  }
}

/** The sealed chain as a publisher sees it. */
export function sealedBlocks(chain: LmdbChainStore, sequencer: Sequencer): SealedBlocks {
  return {
    get head() {
      return chain.head;
    },
    block: (n) => chain.block(n),
    onSeal: (listener) => sequencer.sealer.subscribe({ sealed: ({ block }) => listener(block) }),
  };
}

/** Room that a leader's disk has at least: a block, its log records and what a database grows at a time. */
const DISK_FREE_MIN_BYTES = 256 << 20;

/** An L1 that nobody reaches is no reason for nobody to lead: blocks go on without it for a while. */
const L1_PATIENCE_MS = 10_000;

/** Why a node that has replayed everything should not lead all the same. */
function notReadyToLead(verifier: Verifier, dataDir: string, silentMs: number): string | undefined {
  if (verifier.safeHead() === undefined) return "its verifier has not caught up with L1";
  const verifying = verifier.notReady();
  if (verifying !== undefined && (silentMs < L1_PATIENCE_MS || verifier.divergence() !== undefined))
    return `its verifier: ${verifying}`;
  const { bavail, bsize } = statfsSync(dataDir);
  const freeBytes = bavail * bsize;
  return freeBytes < DISK_FREE_MIN_BYTES ? `its disk has ${Math.floor(freeBytes / 1e6)} MB left` : undefined;
}

/** Keeps what the shadow found for the people who look into it; it is in the log too. */
function writeReport(folder: string, report: ShadowReport, log: Log): void {
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `block-${report.blockNumber}.json`), `${JSON.stringify(report, null, 2)}\n`);
  } catch (err) {
    log.error("the shadow's report could not be written", { err });
  }
}

/** The newest block up to `number` that both chains hold alike: what the sequencer's view may call safe. */
function agreed(number: number, derived: LmdbChainStore, sealed: LmdbChainStore): number {
  let n = Math.min(number, sealed.head);
  while (n > 0) {
    const a = derived.blockHash(n);
    const b = sealed.blockHash(n);
    if (a !== undefined && b !== undefined && bytesEqual(a, b)) break;
    n--;
  }
  return n;
}
