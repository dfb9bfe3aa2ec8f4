/**
 * Owns a verifier with its own database: what `sheaf verify` runs alone and a cluster node runs beside its sequencer.
 * It is given L1, blobs and the inbox address; nothing of the sequencer's but, to compare, its sealed blocks.
 */
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { BlobSource } from "../da/da.ts";
import type { Engine } from "../execution/execution.ts";
import { ReplayThreads } from "../execution/parallel/replay-threads.ts";
import type { L1Reader } from "../l1/l1.ts";
import type { ChainView } from "../rpc/chain-view.ts";
import { StoredChain } from "../rpc/stored-chain.ts";
import { LmdbState } from "../state/lmdb-state.ts";
import { storeConfig } from "../store/config.ts";
import { Database } from "../store/database.ts";
import { LmdbChainStore } from "../store/lmdb-chain-store.ts";
import type { AccessListSource } from "../verifier/access-list-source.ts";
import type { SealedChain } from "../verifier/api.ts";
import { verifierConfig } from "../verifier/config.ts";
import { verifierMetrics } from "../verifier/metrics.ts";
import type { SenderRecoverer } from "../verifier/replay.ts";
import { Verifier } from "../verifier/verifier.ts";
import { LmdbVerifierStore } from "../verifier/verifier-store.ts";

export type VerifierNodeOptions = {
  /** Folder of its database. */
  readonly path: string;
  readonly l1: L1Reader;
  readonly blobs: BlobSource;
  readonly inbox: Uint8Array;
  readonly engine: Engine;
  /** Recovers senders on other threads; default: in place. */
  readonly recovery?: SenderRecoverer;
  readonly sealed?: SealedChain;
  /** Where access lists come from, for parallel replay; how many threads is a setting. */
  readonly lists?: AccessListSource;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
};

export class VerifierNode {
  readonly verifier: Verifier;
  readonly chain: LmdbChainStore;
  /** What its JSON-RPC serves: `latest` is its safe head. */
  readonly view: ChainView;
  readonly database: Database;
  readonly #threads: ReplayThreads | undefined;

  private constructor(p: {
    verifier: Verifier;
    chain: LmdbChainStore;
    view: ChainView;
    database: Database;
    threads: ReplayThreads | undefined;
  }) {
    this.verifier = p.verifier;
    this.chain = p.chain;
    this.view = p.view;
    this.database = p.database;
    this.#threads = p.threads;
  }

  static async open(options: VerifierNodeOptions): Promise<VerifierNode> {
    const database = Database.open(options.path);
    let threads: ReplayThreads | undefined;
    try {
      const config = readConfig(verifierConfig, options.env);
      const { lists } = options;
      // Threads have machines of their own engine; on another they would defeat its purpose.
      if (lists !== undefined && config.replayThreads > 0 && options.engine.name === "wasm")
        threads = await ReplayThreads.create(config.replayThreads, options.log.child({ role: "verifier" }));
      const chain = new LmdbChainStore(database, readConfig(storeConfig, options.env));
      const state = new LmdbState(database, { blockHash: (n) => chain.blockHash(n) });
      const verifier = await Verifier.open({
        config,
        l1: options.l1,
        blobs: options.blobs,
        inbox: options.inbox,
        database,
        chain,
        state,
        store: new LmdbVerifierStore(database),
        engine: options.engine,
        ...(options.recovery === undefined ? {} : { recovery: options.recovery }),
        ...(options.sealed === undefined ? {} : { sealed: options.sealed }),
        ...(lists === undefined || threads === undefined ? {} : { parallel: { lists, threads } }),
        log: options.log.child({ role: "verifier" }),
        metrics: verifierMetrics(options.metrics.withLabels({ role: "verifier" })),
        clock: options.clock,
      });
      const view = new StoredChain({
        chainId: verifier.genesis.chainId,
        engine: options.engine,
        chain,
        state,
        genesisConfig: verifier.genesis.systemConfig,
        l1Heads: () => ({ safe: chain.head, finalized: verifier.finalizedHead().number }),
        pending: () => undefined,
        subscribe: (events) =>
          verifier.subscribe({
            safe: (block, receipts) => events.block?.(block, receipts),
            unwound: (toBlock, removed) => events.reorg?.(toBlock, removed),
          }),
      });
      return new VerifierNode({ verifier, chain, view, database, threads });
    } catch (error) {
      await threads?.close();
      await database.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#threads?.close();
    await this.database.close();
  }
}
