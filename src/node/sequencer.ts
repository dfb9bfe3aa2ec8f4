/**
 * Owns the sequencing side of a cluster as one unit: executor, key shard and sealer, and, while this process leads, lane
 * and orderer. It follows the logs (replica.ts) until it wins the leadership, leads until that is lost, given up or
 * handed over, and follows again: no restart in between.
 *
 *   following ──claim won──▶ taking over (fence, last records, pool) ──▶ leading ──refused append──▶ following
 *       ▲                                                                  └──stuck, handed over: resigns──┘
 *
 * Invariants: what is sealed is what the order log says, so a leader that lost forgets its open block and nothing else;
 * only a node that is ready stands: caught up, with a derived chain, room on its disk and a shadow that agrees.
 * On failure: a fault of the logs or of an engine ends the process, and a start reads the logs.
 */
import { assert } from "../base/assert.ts";
import { bytesEqual } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import { runAll, type Service } from "../base/service.ts";
import { aborted, abortWith } from "../base/signal.ts";
import type { Engine } from "../execution/execution.ts";
import { genesisWrites } from "../execution/genesis-state.ts";
import { Executor } from "../executor/executor.ts";
import { executorMetrics } from "../executor/metrics.ts";
import { keyshardConfig } from "../keyshard/config.ts";
import { KeyShard } from "../keyshard/keyshard.ts";
import { keyshardMetrics } from "../keyshard/metrics.ts";
import type { L1Reader } from "../l1/l1.ts";
import type { LaneSeat } from "../lane/lane-seat.ts";
import type { Lanes } from "../lane/lanes.ts";
import { fence, isLeadLost, type Leadership, type LeaseOptions, takeLead } from "../log/lease.ts";
import type { AppendLog } from "../log/log.ts";
import type { SafeChain } from "../orderer/api.ts";
import { ordererConfig } from "../orderer/config.ts";
import { ordererMetrics } from "../orderer/metrics.ts";
import { Orderer } from "../orderer/orderer.ts";
import type { Block } from "../protocol/block.ts";
import type { Genesis } from "../protocol/genesis.ts";
import { genesisBlock } from "../protocol/genesis-codec.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
import type { SignedTransaction } from "../protocol/transaction.ts";
import type { ChainEvents, ChainView } from "../rpc/chain-view.ts";
import { StoredChain } from "../rpc/stored-chain.ts";
import { sealerMetrics } from "../sealer/metrics.ts";
import { Sealer, type SealPosition } from "../sealer/sealer.ts";
import type { ShadowApi } from "../shadow/api.ts";
import type { ChainState } from "../state/state.ts";
import type { ChainStore } from "../store/chain-store.ts";
import type { Database } from "../store/database.ts";
import { LeaderLine } from "./leader-line.ts";
import { openLedLanes } from "./led-lanes.ts";
import { type ReplicaMetrics, replicaMetrics } from "./metrics.ts";
import { type Leader, Replica, sequencerError } from "./replica.ts";

/** For logs that several processes open. */
export type LeaseSettings = {
  /** This process's name. */
  readonly holder: string;
  /** How long a leader may be silent. 0: the logs have one owner at a time. */
  readonly leaseMs: number;
  /** Where others reach this process, once it listens. */
  readonly address?: () => string;
  /** False: it only follows. */
  readonly stands?: boolean;
  /** Why this node should not lead now, beside what the replay knows, when nobody was heard for so long. */
  readonly notReadyToLead?: (silentMs: number) => string | undefined;
  /** A leader that seals nothing for so long resigns. */
  readonly progressMs?: number;
};

export type SequencerDeps = {
  readonly genesis: Genesis;
  /** L1 block of the GenesisPublished event. */
  readonly genesisOrigin: L1BlockInfo;
  readonly database: Database;
  readonly chain: ChainStore;
  readonly state: ChainState;
  readonly engine: Engine;
  /** Checks every block with another engine. */
  readonly shadow?: ShadowApi | undefined;
  readonly orderLog: AppendLog;
  /** By lane: at least as many as there are lanes, and those of an earlier start that had more. */
  readonly laneLogs: readonly AppendLog[];
  /** By lane, where the lanes run elsewhere; their logs are the ones above. */
  readonly laneSeats?: readonly LaneSeat[];
  /** See SealerDeps. */
  readonly keepLogsFrom?: (() => SealPosition | undefined) | undefined;
  readonly l1: L1Reader;
  readonly safeChain: SafeChain;
  readonly l1Heads: () => { safe: number; finalized: number };
  /** Share of new transactions to admit, given the bytes the pool holds; absent: all. */
  readonly admissionShare?: (poolBytes: number) => number;
  /** What L1 asks of a new leadership's term, at the least. */
  readonly termAtLeast?: number;
  readonly lease?: LeaseSettings;
  /** What runs beside a leadership and ends with it; made anew for each. */
  readonly companions?: (term: number) => readonly Service[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
};

type Leading = {
  readonly leadership: Leadership;
  readonly lanes: Lanes;
  readonly orderer: Orderer;
  /** Ends this leadership, in order. */
  readonly stop: AbortController;
};

/** A replica further behind does not stand. */
const BEHIND_MAX_RECORDS = 256;
/** Pause before a node stands again that gave the lead up; doubled each time until it seals a block. */
const STUCK_PAUSE_MS = 5_000;
const STUCK_PAUSE_MAX_MS = 300_000;
const PROGRESS_MS = 15_000;

export class Sequencer implements Service {
  readonly name = "sequencer";
  readonly sealer: Sealer;
  readonly view: ChainView;
  readonly #deps: SequencerDeps;
  readonly #lease: LeaseSettings;
  readonly #keyshard: KeyShard;
  readonly #executor: Executor;
  readonly #metrics: ReplicaMetrics;
  readonly #onAccepted: (tx: SignedTransaction) => void;
  #replica: Replica | undefined;
  readonly #leaderLine: LeaderLine;
  #leading: Leading | undefined;
  /** The claim is won and the pool is not open yet. */
  #takingOver = false;
  #companions: readonly Service[] = [];
  /** Of the newest leadership, over or not: what is over may go on beside the next replay, not beside the next lead. */
  #companionsEnd: Promise<void> = Promise.resolve();
  #standFromMs = 0;
  /** The term that this node handed over, when that is why it pauses. */
  #handedOverTerm: number | undefined;
  #stuckPauseMs = STUCK_PAUSE_MS;
  #sealedMs = 0;
  /** Since when the logs of this leader take nothing. */
  #stalledMs: number | undefined;

  private constructor(p: {
    deps: SequencerDeps;
    sealer: Sealer;
    view: ChainView;
    keyshard: KeyShard;
    executor: Executor;
    onAccepted: (tx: SignedTransaction) => void;
  }) {
    this.#deps = p.deps;
    this.#lease = p.deps.lease ?? { holder: "sequencer", leaseMs: 0 };
    this.sealer = p.sealer;
    this.view = p.view;
    this.#keyshard = p.keyshard;
    this.#executor = p.executor;
    this.#onAccepted = p.onAccepted;
    this.#metrics = replicaMetrics(p.deps.metrics);
    this.#leaderLine = new LeaderLine(() => this.#replica?.leader, p.deps.clock);
    this.#metrics.term.set(0);
    p.sealer.subscribe({ sealed: ({ block }) => this.#onSealed(block) });
  }

  /**
   * Replays what the logs hold beyond the stored chain. Where the logs have one owner at a time it leads when this
   * resolves; else it follows and stands for the lead while it runs.
   */
  static async open(deps: SequencerDeps): Promise<Sequencer> {
    const { chain, state, database, genesis, engine, clock, metrics, log } = deps;
    await storeGenesis(deps);
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
    const onAccepted = (tx: SignedTransaction): void => {
      for (const l of listeners) l.accepted?.(tx);
    };
    const sequencer = new Sequencer({ deps, sealer, view, keyshard, executor, onAccepted });
    const replica = await sequencer.#follow();
    const from = replica.behind;
    await replica.catchUp();
    if (from > 0) log.info("order log replayed", { records: from, head: sealer.head.header.number });
    if (sequencer.#lease.leaseMs === 0) {
      const leadership = await takeLead(deps.orderLog, await sequencer.#candidacy(), new AbortController().signal);
      assert(leadership !== undefined, "nobody else stands on a log of one owner");
      sequencer.#leading = await sequencer.#takeOver(leadership, new AbortController());
    }
    return sequencer;
  }

  /** The lanes of this leadership. */
  get lanes(): Lanes {
    assert(this.#leading !== undefined, "only a leader has lanes");
    return this.#leading.lanes;
  }

  get leads(): boolean {
    return this.#leading !== undefined;
  }

  /** True while it leads and its logs have taken nothing for a lease: another node may have taken the lead. */
  get isCutOff(): boolean {
    return this.#stalledMs !== undefined && this.#deps.clock.nowMs() - this.#stalledMs >= this.#lease.leaseMs;
  }

  /** Term of the leadership that is known here, be it this node's or another's; 0 before the first. */
  get term(): number {
    return this.#leading?.leadership.term ?? this.#replica?.leader?.term ?? 0;
  }

  /** Who leads, or led last. */
  get leader(): Leader | undefined {
    const { holder, address } = this.#lease;
    return this.#leading === undefined
      ? this.#replica?.leader
      : { holder, address: address?.() ?? "", term: this.term };
  }

  /** Order records known and not replayed. */
  get behind(): number {
    return this.#leading === undefined ? (this.#replica?.behind ?? 0) : 0;
  }

  notReady(): string | undefined {
    const ordering = this.#deps.orderLog.notReady();
    const storing = ordering ?? this.#keyshard.notReady();
    if (storing !== undefined) return storing;
    if (this.#leading === undefined) return this.#notFollowing();
    const taking = this.#leading.lanes.notReady();
    if (taking !== undefined) return taking;
    for (const service of [this.#leading.orderer, ...this.#companions]) {
      const reason = service.notReady?.();
      if (reason !== undefined) return service === this.#leading.orderer ? reason : `${service.name}: ${reason}`;
    }
    return undefined;
  }

  #notFollowing(): string | undefined {
    if (this.#takingOver || this.#replica === undefined) return "taking over the lead";
    const { halted, behind, heardMs } = this.#replica;
    if (halted !== undefined) return `the replay has halted: ${halted.message}`;
    const silentMs = heardMs === undefined ? undefined : this.#deps.clock.nowMs() - heardMs;
    if (silentMs === undefined || silentMs > 2 * this.#lease.leaseMs) {
      const why = this.notStanding();
      return `no leader is heard${why === undefined ? "" : `; ${why}`}`;
    }
    return behind > BEHIND_MAX_RECORDS ? `replaying: ${behind} records behind` : undefined;
  }

  /** Why this node would not take the lead if nobody had it. */
  notStanding(): string | undefined {
    if (this.#leading !== undefined) return undefined;
    return this.#lease.stands === false ? "this node never stands" : this.#whyNotStanding();
  }

  /** Why this node does not stand for the lead. */
  #whyNotStanding(): string | undefined {
    const replica = this.#replica;
    if (replica === undefined) return "it does not follow the logs";
    if (replica.halted !== undefined) return `its replay has halted: ${replica.halted.message}`;
    if (replica.behind > BEHIND_MAX_RECORDS) return `it is ${replica.behind} records behind`;
    const pauseMs = this.#standFromMs - this.#deps.clock.nowMs();
    // Handed over and taken: whoever took it may hand it back at any time.
    const isOver = this.#handedOverTerm !== undefined && this.term > this.#handedOverTerm;
    if (pauseMs > 0 && !isOver) return `it gave the lead up and stands again in ${Math.ceil(pauseMs / 1_000)} s`;
    return this.#lease.notReadyToLead?.(this.#deps.clock.nowMs() - (replica.heardMs ?? replica.openedMs));
  }

  /** Follows and leads in turn until `signal` aborts, then lets the next process in. @throws what a restart must heal */
  async run(signal: AbortSignal): Promise<void> {
    try {
      for (let first = this.#leading?.leadership; !signal.aborted; first = undefined) {
        const leadership = first ?? (await this.#stand(signal));
        if (leadership === undefined) return;
        await this.#lead(leadership, signal);
      }
    } finally {
      await this.#companionsEnd.catch(() => undefined); // who failed was told already
    }
  }

  /** Gives the lead to whoever is ready, behind the block that is open now. Resolves when this node has resigned. */
  async handOver(): Promise<void> {
    const leading = this.#leading;
    if (leading === undefined || this.#lease.leaseMs === 0)
      throw sequencerError("SEQUENCER_NOT_LEADING", `${this.#lease.holder} does not lead on logs that others follow`);
    const { clock, log } = this.#deps;
    await new Promise<void>((resolve) => {
      const waited = new AbortController();
      const end = this.sealer.subscribe({ sealed: () => waited.abort() });
      abortWith(waited, leading.stop.signal);
      void clock.sleep(this.#lease.progressMs ?? PROGRESS_MS, waited.signal).then(() => {
        end();
        resolve();
      });
    });
    // Somebody else should; when nobody does, this node after all.
    this.#standFromMs = clock.nowMs() + 2 * this.#lease.leaseMs;
    this.#handedOverTerm = leading.leadership.term;
    log.info("handing the lead over", { head: this.sealer.head.header.number });
    this.#metrics.leaderChanges.inc(1, { event: "handed-over" });
    leading.stop.abort();
    while (this.#leading === leading) await clock.sleep(10);
  }

  // ---- following ----

  async #follow(): Promise<Replica> {
    this.sealer.abandon();
    const { orderLog, laneLogs, clock, log } = this.#deps;
    this.#replica = await Replica.open({
      orderLog,
      laneLogs,
      sealer: this.sealer,
      log: log.child({ role: "replica" }),
      clock,
      metrics: this.#metrics,
    });
    return this.#replica;
  }

  async #candidacy(): Promise<LeaseOptions> {
    const { laneLogs, clock } = this.#deps;
    const { holder, leaseMs, address } = this.#lease;
    let termAtLeast = this.#deps.termAtLeast ?? 1;
    for (const log of laneLogs) termAtLeast = Math.max(termAtLeast, (await log.refresh()).term + 1);
    return {
      holder,
      leaseMs,
      clock,
      ...(address === undefined ? {} : { address }),
      termAtLeast,
      // Logs of one owner have nobody else to lead: it gets ready while it does.
      ...(leaseMs === 0 ? {} : { mayStand: () => this.#whyNotStanding() === undefined, gone: this.#leaderLine }),
    };
  }

  /** Follows the logs until this node wins the lead; undefined when `signal` aborts first. */
  async #stand(signal: AbortSignal): Promise<Leadership | undefined> {
    const replica = this.#replica ?? (await this.#follow());
    const candidacy = await this.#candidacy();
    const stop = new AbortController();
    const untie = abortWith(stop, signal);
    const replaying = replica.run(stop.signal);
    const watching = this.#lease.leaseMs === 0 ? undefined : this.#leaderLine.run(stop.signal);
    const standing =
      this.#lease.stands === false
        ? replaying.then(() => undefined)
        : takeLead(this.#deps.orderLog, candidacy, stop.signal);
    try {
      await Promise.race([standing, replaying]);
    } finally {
      stop.abort();
      untie();
      await Promise.allSettled([replaying, standing, watching]);
    }
    const leadership = await standing;
    await replaying;
    if (!signal.aborted || leadership === undefined) return leadership;
    await leadership.resign();
    return undefined;
  }

  // ---- leading ----

  /** Leads until `signal` aborts or the lead is gone, one way or the other. */
  async #lead(leadership: Leadership, signal: AbortSignal): Promise<void> {
    const { log } = this.#deps;
    const stop = this.#leading?.stop ?? new AbortController();
    const untie = abortWith(stop, signal);
    const companionsStop = new AbortController();
    this.#takingOver = this.#leading === undefined;
    try {
      await runAll(stop.signal, [
        { name: "leadership", run: (s) => leadership.run(s) },
        {
          name: "leader",
          run: async (s) => {
            const leading = this.#leading ?? (await this.#takeOver(leadership, stop));
            this.#leading = leading;
            this.#takingOver = false;
            this.#companions = this.#deps.companions?.(leadership.term) ?? [];
            this.#companionsEnd = runAll(companionsStop.signal, this.#companions);
            await runAll(s, [
              leading.orderer,
              { name: "companions", run: (end) => untilAborted(end, this.#companionsEnd) },
              { name: "progress", run: (end) => this.#watchProgress(stop, end) },
            ]);
          },
        },
      ]);
      this.#leading = undefined; // nothing more is accepted here
      await leadership.resign();
    } catch (error) {
      if (!isLeadLost(error)) throw error;
      log.warn("the lead is lost", { term: leadership.term, err: error });
      this.#metrics.leaderChanges.inc(1, { event: "lost" });
    } finally {
      untie();
      companionsStop.abort();
      this.#leading = undefined;
      this.#takingOver = false;
      this.#stalledMs = undefined;
      this.#replica = undefined;
      this.#metrics.term.set(0);
    }
  }

  /** Closes the lane to the leader before, reads what is left of the logs, and opens the pool from what was read. */
  async #takeOver(leadership: Leadership, stop: AbortController): Promise<Leading> {
    const deps = this.#deps;
    const { laneLogs, chain, genesis, clock, metrics, log } = deps;
    const startMs = clock.nowMs();
    const replica = this.#replica;
    assert(replica !== undefined, "whoever stands follows");
    const { term } = leadership;
    // From here on the leader before can acknowledge nothing in any lane, so reading to the end misses nothing.
    await Promise.all([
      ...laneLogs.map((log) => fence(log, term, this.#lease.holder)),
      this.#companionsEnd.catch(() => undefined),
    ]);
    await replica.catchUp();
    // Read once a head, not once a transaction.
    let l1Fees = { head: -1, parameters: this.view.l1FeesAt(chain.head) };
    const l1FeeParameters = () => {
      if (l1Fees.head !== chain.head) l1Fees = { head: chain.head, parameters: this.view.l1FeesAt(chain.head) };
      return l1Fees.parameters;
    };
    const lanes = await openLedLanes({
      tails: replica.tails,
      seats: deps.laneSeats,
      chainId: genesis.chainId,
      term,
      holder: this.#lease.holder,
      reader: () => this.#executor.pending()?.state ?? this.#keyshard.reader(),
      l1Fees: l1FeeParameters,
      gasLimit: () => this.sealer.head.header.gasLimit,
      orderedSeq: (lane) => this.sealer.orderedSeq(lane),
      admissionShare: deps.admissionShare,
      onAccepted: this.#onAccepted,
      env: deps.env,
      log,
      metrics,
      clock,
    });
    this.sealer.lead(lanes);
    const orderer = new Orderer(readConfig(ordererConfig, deps.env), {
      chainId: genesis.chainId,
      l1: deps.l1,
      lanes,
      writer: leadership.writer,
      sealer: this.sealer,
      executor: this.#executor,
      safeChain: deps.safeChain,
      contracts: { portal: genesis.contracts.portal, systemConfig: genesis.contracts.systemConfig },
      maxDriftSeconds: genesis.maxDriftSeconds,
      genesisConfig: genesis.systemConfig,
      gasRoom: deps.shadow === undefined ? undefined : () => deps.shadow?.gasRoom() ?? 0,
      log: log.child({ role: "orderer" }),
      clock,
      metrics: ordererMetrics(metrics.withLabels({ role: "orderer" })),
    });
    this.#sealedMs = clock.nowMs();
    this.#metrics.term.set(term);
    this.#metrics.leaderChanges.inc(1, { event: "won" });
    log.info("this node leads", { term, head: this.sealer.head.header.number, tookMs: this.#sealedMs - startMs });
    return { leadership, lanes, orderer, stop };
  }

  #onSealed(block: Block): void {
    if (this.#leading === undefined) return;
    this.#sealedMs = this.#deps.clock.nowMs();
    this.#stuckPauseMs = STUCK_PAUSE_MS;
    if (this.#lease.leaseMs === 0) return; // nobody compares
    const { leadership } = this.#leading;
    // Lost: the orderer's next append says so too.
    leadership.tell({ number: block.header.number, hash: block.hash }).catch(() => undefined);
  }

  /** Gives the lead up when no block comes though the logs take appends: another node may fare better. */
  async #watchProgress(stop: AbortController, signal: AbortSignal): Promise<void> {
    const { clock, orderLog, laneLogs, log } = this.#deps;
    const progressMs = this.#lease.progressMs ?? PROGRESS_MS;
    while (!signal.aborted) {
      await clock.sleep(Math.min(1_000, progressMs / 4), signal);
      if (signal.aborted || this.#lease.leaseMs === 0) continue;
      if ([orderLog, ...laneLogs].some((l) => l.notReady() !== undefined)) {
        this.#sealedMs = clock.nowMs();
        this.#stalledMs ??= this.#sealedMs;
      } else this.#stalledMs = undefined;
      if (clock.nowMs() - this.#sealedMs < progressMs) continue;
      const reason = this.#leading?.orderer.notReady();
      log.error("no block is sealed, the lead is given up", { progressMs, reason, pauseMs: this.#stuckPauseMs });
      this.#standFromMs = clock.nowMs() + this.#stuckPauseMs;
      this.#handedOverTerm = undefined;
      this.#stuckPauseMs = Math.min(STUCK_PAUSE_MAX_MS, this.#stuckPauseMs * 2);
      this.#metrics.leaderChanges.inc(1, { event: "stuck" });
      stop.abort();
    }
  }
}

/** Resolves when `signal` aborts; rejects when `work` fails before. */
function untilAborted(signal: AbortSignal, work: Promise<void>): Promise<void> {
  return Promise.race([aborted(signal), work.then(() => aborted(signal))]);
}

/** Writes block 0 when the database is empty; else checks that it holds this cluster's. */
async function storeGenesis(deps: SequencerDeps): Promise<void> {
  const { chain, state, database, genesis, genesisOrigin } = deps;
  if (chain.head >= 0) {
    const stored = chain.block(0);
    assert(stored !== undefined, "block 0 is stored");
    assert(bytesEqual(stored.origin.hash, genesisOrigin.hash), "the database holds the chain of this genesis");
    return;
  }
  const prepared = await state.prepare(genesisWrites(genesis.alloc));
  database.transaction(() => {
    state.commit(0, prepared);
    chain.append(genesisBlock(genesis, prepared.stateRoot, genesisOrigin), []);
  });
}
