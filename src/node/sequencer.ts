/**
 * Owns the sequencing side of a cluster as one unit: lanes, orderer, executor, key shard and sealer joined in one
 * process, started from their logs. Opening it replays what the order log holds beyond the stored chain, so that when
 * it resolves the chain is where it was when the process ended, and nothing accepted is missing.
 */
import { assert } from "../base/assert.ts";
import { bytesEqual } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import { defineErrors } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import { runAll, type Service } from "../base/service.ts";
import type { Engine } from "../execution/execution.ts";
import { genesisWrites } from "../execution/genesis-state.ts";
import { isDelegation } from "../execution/transaction-rules.ts";
import { Executor } from "../executor/executor.ts";
import { executorMetrics } from "../executor/metrics.ts";
import { keyshardConfig } from "../keyshard/config.ts";
import { KeyShard } from "../keyshard/keyshard.ts";
import { keyshardMetrics } from "../keyshard/metrics.ts";
import type { L1Reader } from "../l1/l1.ts";
import { laneConfig } from "../lane/config.ts";
import { Lane } from "../lane/lane.ts";
import { laneOf } from "../lane/lane-of.ts";
import { LaneTail } from "../lane/lane-tail.ts";
import { LaneTails } from "../lane/lane-tails.ts";
import { Lanes } from "../lane/lanes.ts";
import { laneMetrics } from "../lane/metrics.ts";
import { fence, isLeaseRecord, type Leadership, takeLead } from "../log/lease.ts";
import type { AppendLog } from "../log/log.ts";
import { logError } from "../log/record.ts";
import { recordsBehind } from "../log/record-reader.ts";
import type { SafeChain } from "../orderer/api.ts";
import { ordererConfig } from "../orderer/config.ts";
import { ordererMetrics } from "../orderer/metrics.ts";
import { Orderer } from "../orderer/orderer.ts";
import { decodeOrderRecord, type OrderRecord } from "../protocol/cut.ts";
import type { Genesis } from "../protocol/genesis.ts";
import { genesisHeader } from "../protocol/genesis-codec.ts";
import { headerHash } from "../protocol/header-codec.ts";
import { l1DataFeeWei } from "../protocol/l1-fee.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { orderingPolicy } from "../protocol/ordering.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
import type { ChainEvents, ChainView } from "../rpc/chain-view.ts";
import { StoredChain } from "../rpc/stored-chain.ts";
import { sealerMetrics } from "../sealer/metrics.ts";
import { Sealer, type SealPosition } from "../sealer/sealer.ts";
import type { ShadowApi } from "../shadow/api.ts";
import type { StateStore } from "../state/state.ts";
import type { ChainStore } from "../store/chain-store.ts";
import type { Database } from "../store/database.ts";

export const sequencerError = defineErrors("Sequencer", {
  SEQUENCER_LOG_LOST: {
    summary: "The order log is shorter than what the stored chain was built from.",
    action:
      "Bring the log back. Where it is lost for good, restore the database with `sheaf snapshot restore --without-logs`; what was accepted and not posted is then lost too.",
    retryable: false,
  },
});

export type SequencerDeps = {
  readonly genesis: Genesis;
  /** L1 block of the GenesisPublished event. */
  readonly genesisOrigin: L1BlockInfo;
  readonly database: Database;
  readonly chain: ChainStore;
  readonly state: StateStore;
  readonly engine: Engine;
  /** Checks every block with another engine. */
  readonly shadow?: ShadowApi | undefined;
  readonly orderLog: AppendLog;
  /** By lane: at least as many as there are lanes, and those of an earlier start that had more. */
  readonly laneLogs: readonly AppendLog[];
  /** See SealerDeps. */
  readonly keepLogsFrom?: (() => SealPosition | undefined) | undefined;
  readonly l1: L1Reader;
  readonly safeChain: SafeChain;
  readonly l1Heads: () => { safe: number; finalized: number };
  /** Share of new transactions to admit, given the bytes the pool holds; absent: all. */
  readonly admissionShare?: (poolBytes: number) => number;
  /** What L1 asks of a new leadership's term, at the least. */
  readonly termAtLeast?: number;
  /** For logs that several processes open: this one's name, and how long a leader may be silent. */
  readonly lease?: { readonly holder: string; readonly leaseMs: number };
  /** Ends a start that waits for the leadership. */
  readonly signal?: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
};

export class Sequencer implements Service {
  readonly name = "sequencer";
  readonly lanes: Lanes;
  readonly sealer: Sealer;
  readonly orderer: Orderer;
  readonly view: ChainView;
  readonly term: number;
  readonly #leadership: Leadership;
  readonly #logs: readonly AppendLog[];

  private constructor(p: {
    lanes: Lanes;
    sealer: Sealer;
    orderer: Orderer;
    view: ChainView;
    leadership: Leadership;
    logs: readonly AppendLog[];
  }) {
    this.lanes = p.lanes;
    this.sealer = p.sealer;
    this.orderer = p.orderer;
    this.view = p.view;
    this.term = p.leadership.term;
    this.#leadership = p.leadership;
    this.#logs = p.logs;
  }

  static async open(deps: SequencerDeps): Promise<Sequencer> {
    const { chain, state, database, genesis, engine, clock, metrics, log } = deps;
    storeGenesis(deps);
    const keyshard = new KeyShard(readConfig(keyshardConfig, deps.env), {
      state,
      clock,
      metrics: keyshardMetrics(metrics.withLabels({ role: "keyshard" })),
    });
    const executor = new Executor({
      engine,
      keyshard,
      chain: genesis,
      withAccessLists: chain.accessListBlocks > 0,
      shadow: deps.shadow,
      clock,
      metrics: executorMetrics(metrics.withLabels({ role: "executor" })),
    });
    const sealer = new Sealer({
      database,
      chain,
      keyshard,
      executor,
      confirms: deps.shadow?.mode === "required" ? "block" : "cut",
      orderLog: deps.orderLog,
      keepLogsFrom: deps.keepLogsFrom,
      log: log.child({ role: "sealer" }),
      clock,
      metrics: sealerMetrics(metrics.withLabels({ role: "sealer" })),
    });
    const listeners = new Set<ChainEvents>();
    const view = new StoredChain({
      chainId: genesis.chainId,
      engine,
      chain,
      state,
      genesisConfig: genesis.systemConfig,
      l1Heads: deps.l1Heads,
      pending: () => executor.pending(),
      subscribe: (events) => {
        listeners.add(events);
        return () => listeners.delete(events);
      },
    });
    sealer.subscribe({
      confirmed: (hashes) => {
        for (const l of listeners) l.confirmed?.(hashes);
      },
      sealed: ({ block, receipts }) => {
        for (const l of listeners) l.block?.(block, receipts);
      },
      rewound: (toBlock, removed) => {
        for (const l of listeners) l.reorg?.(toBlock, removed);
      },
    });

    const leadership = await lead(deps);
    const { term } = leadership;
    const tail = await readTail(deps.orderLog, sealer.position.orderSeq);
    const tails = new LaneTails(
      await Promise.all(deps.laneLogs.map((journal, lane) => LaneTail.open(lane, journal, sealer.orderedSeq(lane)))),
    );
    sealer.follow(tails);
    for (const { seq, record } of tail) await sealer.replay(seq, record);
    if (tail.length > 0)
      log.info("order log replayed", { records: tail.length, head: sealer.head.header.number, term });
    // Read once a head, not once a transaction.
    let l1Fees = { head: -1, parameters: view.l1FeesAt(chain.head) };
    const l1FeeParameters = () => {
      if (l1Fees.head !== chain.head) l1Fees = { head: chain.head, parameters: view.l1FeesAt(chain.head) };
      return l1Fees.parameters;
    };
    const reader = () => executor.pending()?.state ?? keyshard.reader();
    const config = readConfig(laneConfig, deps.env);
    const laneLog = log.child({ role: "lane" });
    const ownMetrics = laneMetrics(metrics.withLabels({ role: "lane" }));
    ownMetrics.poolTxsMax.set(config.poolTxsMax * config.lanes);
    const owed = [...tails.owed];
    const opened = await Promise.all(
      tails.tails.map(async (laneTail) => {
        await laneTail.readOn();
        const own = owed.filter(({ sender }) => laneOf(sender, config.lanes) === laneTail.index);
        return Lane.open(
          config,
          {
            index: laneTail.index,
            ordering: orderingPolicy(config.ordering),
            chainId: genesis.chainId,
            clock,
            account: (address) => reader().account(address),
            l1FeeWei: (raw) => l1DataFeeWei(raw, l1FeeParameters()),
            codeKind: ({ codeHash }) => {
              if (bytesEqual(codeHash, EMPTY_CODE_HASH)) return "none";
              return isDelegation(reader().code(codeHash)) ? "delegation" : "contract";
            },
            log: laneLog,
            journal: laneTail.journal,
            term,
            onDropped: (code) => ownMetrics.rejected.inc(1, { code }),
          },
          laneTail,
          own,
        );
      }),
    );
    const lanes = await Lanes.open({
      lanes: opened,
      count: config.lanes,
      ordering: config.ordering,
      admissionShare: deps.admissionShare,
      onAccepted: (tx) => {
        for (const l of listeners) l.accepted?.(tx);
      },
      nonceOf: (address) => reader().account(address)?.nonce ?? 0n,
      metrics: ownMetrics,
      log: laneLog,
      clock,
    });
    lanes.onHead({ gasLimit: sealer.head.header.gasLimit, changed: [] });
    sealer.lead(lanes);

    const orderer = new Orderer(readConfig(ordererConfig, deps.env), {
      chainId: genesis.chainId,
      l1: deps.l1,
      lanes,
      writer: leadership.writer,
      sealer,
      executor,
      safeChain: deps.safeChain,
      contracts: { portal: genesis.contracts.portal, systemConfig: genesis.contracts.systemConfig },
      maxDriftSeconds: genesis.maxDriftSeconds,
      genesisConfig: genesis.systemConfig,
      gasRoom: deps.shadow === undefined ? undefined : () => deps.shadow?.gasRoom() ?? 0,
      log: log.child({ role: "orderer" }),
      clock,
      metrics: ordererMetrics(metrics.withLabels({ role: "orderer" })),
    });
    const logs = [deps.orderLog];
    return new Sequencer({ lanes, sealer, orderer, view, leadership, logs });
  }

  notReady(): string | undefined {
    for (const log of this.#logs) {
      const reason = log.notReady();
      if (reason !== undefined) return reason;
    }
    return this.lanes.notReady() ?? this.orderer.notReady();
  }

  /** Leads until `signal` aborts, then lets the next process in. @throws {LogError} when leadership is lost */
  async run(signal: AbortSignal): Promise<void> {
    await runAll(signal, [this.orderer, { name: "leadership", run: (s) => this.#leadership.run(s) }]);
    await this.#leadership.resign();
  }
}

/**
 * Every start is a new leadership, with a term above all earlier ones. It is won on the order log, then the lanes' logs are
 * closed to the leader before: what that one accepts from then on it cannot acknowledge, so reading the logs from here
 * on misses nothing.
 */
async function lead(deps: SequencerDeps): Promise<Leadership> {
  const { orderLog, laneLogs, clock, log } = deps;
  const { holder, leaseMs } = deps.lease ?? { holder: "sequencer", leaseMs: 0 };
  let termAtLeast = deps.termAtLeast ?? 1;
  for (const laneLog of laneLogs) termAtLeast = Math.max(termAtLeast, (await laneLog.refresh()).term + 1);
  if (leaseMs > 0) log.info("standing for the leadership", { holder, term: orderLog.tip.term + 1 });
  const leadership = await takeLead(
    orderLog,
    { holder, leaseMs, clock, termAtLeast },
    deps.signal ?? new AbortController().signal,
  );
  if (leadership === undefined) throw logError("LOG_CLOSED", "stopped while standing for the leadership");
  await Promise.all(laneLogs.map((laneLog) => fence(laneLog, leadership.term, holder)));
  return leadership;
}

/** Writes block 0 when the database is empty; else checks that it holds this cluster's. */
function storeGenesis(deps: SequencerDeps): void {
  const { chain, state, database, genesis, genesisOrigin } = deps;
  if (chain.head >= 0) {
    const stored = chain.block(0);
    assert(stored !== undefined, "block 0 is stored");
    assert(bytesEqual(stored.origin.hash, genesisOrigin.hash), "the database holds the chain of this genesis");
    return;
  }
  const prepared = state.prepare(genesisWrites(genesis.alloc));
  const header = genesisHeader(genesis, prepared.stateRoot, genesisOrigin);
  const block = {
    hash: headerHash(header),
    header,
    transactions: [],
    senders: [],
    origin: { number: genesisOrigin.number, hash: genesisOrigin.hash },
    sequenceNumber: 0,
  };
  database.transaction(() => {
    state.commit(0, prepared);
    chain.append(block, []);
  });
}

async function readTail(orderLog: AppendLog, afterSeq: number): Promise<{ seq: number; record: OrderRecord }[]> {
  const tail: { seq: number; record: OrderRecord }[] = [];
  if (orderLog.tip.seq < afterSeq)
    throw sequencerError(
      "SEQUENCER_LOG_LOST",
      `the order log ends at record ${orderLog.tip.seq}, the stored chain has consumed ${afterSeq}`,
    );
  for await (const { seq, payload } of recordsBehind(orderLog, { seq: afterSeq }))
    if (!isLeaseRecord(payload)) tail.push({ seq, record: decodeOrderRecord(payload) });
  return tail;
}
