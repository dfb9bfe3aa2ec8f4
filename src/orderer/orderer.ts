/**
 * Owns the order of a cluster while it leads: decides when a block opens and closes, which L1 origin it takes, and cuts
 * the lanes every few milliseconds. Its only product is the order log; the sealer executes the same records, live here
 * and in replay after a restart.
 * Invariants: timestamps and origins keep the rules of decision 0002; nothing executed is shown as sealed before its
 * record is durable; the sequenced chain never contradicts the chain derived from L1: where they differ the derived
 * chain is adopted, and where L1 took an origin back, the blocks on it are rewound.
 * When the shadow does not agree on a block it stops for good and says why: others go on, a restart executes it again.
 * On an L1 fault it goes on with the origin it has until the drift limit, then stops building and says so.
 */
import { assert } from "../base/assert.ts";
import { bytesEqual, toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError, isRetryable } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import { runAll, type Service } from "../base/service.ts";
import type { ExecutorApi } from "../executor/api.ts";
import type { L1Reader } from "../l1/l1.ts";
import type { LedLanes } from "../lane/api.ts";
import type { LogWriter } from "../log/log-writer.ts";
import { BLOBS_PER_SEGMENT_MAX, blobPayloadMaxBytes } from "../protocol/blob-codec.ts";
import type { Block } from "../protocol/block.ts";
import { blockContextOf } from "../protocol/block-context.ts";
import { type BlockContext, encodeOrderRecord, type LanePosition, type OrderedTx } from "../protocol/cut.ts";
import { SEGMENT_TX_OVERHEAD_BYTES } from "../protocol/segment.ts";
import type { SystemConfigValues } from "../protocol/system-config.ts";
import { DEPOSIT_TYPE } from "../protocol/transaction-codec.ts";
import type { SealedBlock, SealerApi } from "../sealer/api.ts";
import type { OrdererApi, SafeChain } from "./api.ts";
import { BlockSize } from "./block-size.ts";
import { ClockJumps } from "./clock-jumps.ts";
import type { OrdererConfig } from "./config.ts";
import type { OrdererMetrics } from "./metrics.ts";
import { OriginFeed } from "./origin-feed.ts";

/** What the orderer needs of the sealer beyond what others see. */
export interface SealerDriver extends SealerApi {
  readonly openContext: BlockContext | undefined;
  open(context: BlockContext): Promise<void>;
  execute(txs: readonly OrderedTx[]): Promise<void>;
  executed(positions: readonly LanePosition[]): void;
  confirm(): Promise<void>;
  close(seq: number): Promise<SealedBlock>;
  rewind(seq: number, toBlock: number, reason: string): Promise<void>;
}

export type OrdererDeps = {
  readonly chainId: number;
  readonly l1: L1Reader;
  readonly lanes: LedLanes;
  /** Of the order log, under this leadership. */
  readonly writer: LogWriter;
  readonly sealer: SealerDriver;
  readonly executor: ExecutorApi;
  readonly safeChain: SafeChain;
  readonly contracts: { readonly portal: Uint8Array; readonly systemConfig: Uint8Array };
  readonly maxDriftSeconds: number;
  /** Parameters in force at genesis. */
  readonly genesisConfig: SystemConfigValues;
  /** Gas that may be executed now; what checks the execution may want a pause. */
  readonly gasRoom?: (() => number) | undefined;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: OrdererMetrics;
};

/** L1 clocks further ahead than this are followed (test chains warp time); less is ordinary skew. */
const L1_AHEAD_TOLERANCE_MS = 60_000;
const L1_AHEAD_HYSTERESIS_MS = 15_000;
/** A block this much ahead of the clock is not of an ordinary skew. */
const AHEAD_SECONDS_MAX = 5;

export class Orderer implements Service, OrdererApi {
  readonly name = "orderer";
  readonly #config: OrdererConfig;
  readonly #deps: OrdererDeps;
  readonly #writer: LogWriter;
  readonly #feed: OriginFeed;
  readonly #steps: Loop;
  readonly #polls: Loop;
  readonly #clockJumps: ClockJumps;
  #waitingFor: string | undefined = "not started";
  /** The open block is closed at once: it only walks to the next origin. */
  #walking = false;
  readonly #openSize: BlockSize;
  /** The open block's context is not in the log yet. */
  #openUnlogged = false;
  #safeSeen: Uint8Array | undefined;
  #l1AheadMs = 0;
  /** Why it stopped for good. */
  #halted: string | undefined;

  constructor(config: OrdererConfig, deps: OrdererDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#writer = deps.writer;
    this.#clockJumps = new ClockJumps(deps.clock, deps.log);
    const open = deps.sealer.openContext;
    this.#feed = new OriginFeed(
      { l1: deps.l1, ...deps.contracts, confDepth: config.l1ConfDepth },
      open === undefined
        ? anchorOf(deps.sealer.head, deps.genesisConfig)
        : { origin: open.origin, systemConfig: open.systemConfig },
    );
    this.#openSize = new BlockSize({
      chainId: deps.chainId,
      segmentSizeMaxBytes: blobPayloadMaxBytes(BLOBS_PER_SEGMENT_MAX),
      blockSizeMaxBytes: config.blockSizeMaxBytes,
    });
    for (const raw of deps.executor.pending()?.transactions ?? []) if (raw[0] !== DEPOSIT_TYPE) this.#openSize.add(raw);
    deps.metrics.maxDriftSeconds.set(deps.maxDriftSeconds);
    // L1 may come back; a failed append or execution leaves the log's end unknown: only a restart, which reads it, goes on.
    this.#steps = new Loop("orderer", () => this.#stepUnlessHalted(), {
      everyMs: config.cutIntervalMs,
      log: deps.log,
      clock: deps.clock,
      isFatal: (error) => !(isRetryable(error) && (error as CodedError).name === "L1Error"),
    });
    this.#polls = new Loop("orderer-l1", () => this.#poll(), {
      everyMs: config.l1PollMs,
      log: deps.log,
      clock: deps.clock,
      backoffMaxMs: 5_000,
    });
  }

  notReady(): string | undefined {
    return this.#halted ?? this.#waitingFor;
  }

  /** Looks at L1 now instead of at the next poll. */
  pollNow(): void {
    this.#polls.trigger();
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#deps.metrics.active.set(1);
    try {
      await runAll(signal, [
        { name: "orderer steps", run: (s) => this.#steps.run(s) },
        { name: "orderer l1", run: (s) => this.#polls.run(s) },
      ]);
    } finally {
      this.#deps.metrics.active.set(0);
    }
  }

  async #poll(): Promise<void> {
    await this.#feed.poll();
    const head = this.#feed.head;
    if (head === undefined) return;
    this.#deps.metrics.clockJumpSeconds.set(this.#clockJumps.check(head.timestamp * 1_000) / 1_000);
    const aheadMs = head.timestamp * 1_000 - this.#deps.clock.nowMs();
    if (aheadMs < L1_AHEAD_TOLERANCE_MS) this.#l1AheadMs = 0;
    else if (Math.abs(aheadMs - this.#l1AheadMs) > L1_AHEAD_HYSTERESIS_MS) this.#l1AheadMs = aheadMs;
  }

  #nowMs(): number {
    return this.#deps.clock.nowMs() + this.#l1AheadMs;
  }

  async #stepUnlessHalted(): Promise<void> {
    if (this.#halted !== undefined) return;
    try {
      await this.#step();
    } catch (error) {
      if (!(error instanceof CodedError) || error.name !== "ShadowError") throw error;
      this.#halted = `halted, ${error.message}`;
      this.#deps.metrics.active.set(0);
      this.#deps.log.error("the sequencer halts", { err: error });
    }
  }

  async #step(): Promise<void> {
    this.#deps.lanes.tend();
    if (await this.#followSafeChain()) return;
    if (this.#feed.broken) return this.#rewindToL1();
    if (this.#feed.current === undefined) {
      this.#waitingFor = "L1 has not answered yet";
      return;
    }
    if (this.#deps.sealer.openContext === undefined) {
      const context = this.#nextContext();
      if (context === undefined) return;
      await this.#deps.sealer.open(context);
      this.#openUnlogged = true;
      this.#openSize.reset();
    }
    await this.#cut();
    this.#waitingFor = this.#aheadOfTime();
    this.#deps.metrics.heartbeat.set(this.#deps.clock.nowMs() / 1_000);
  }

  /** Blocks are not younger than their time: what came before had a clock that was ahead. */
  #aheadOfTime(): string | undefined {
    const timestamp = this.#deps.sealer.openContext?.timestamp ?? 0;
    const aheadSeconds = timestamp - this.#nowMs() / 1_000;
    if (aheadSeconds < AHEAD_SECONDS_MAX + this.#config.blockTimeMs / 1_000) return undefined;
    return `the chain is ${Math.round(aheadSeconds)} s ahead of the clock: transactions are confirmed, blocks wait for their time`;
  }

  /** The next block's context, or undefined while none may be built. */
  #nextContext(): BlockContext | undefined {
    const parent = this.#deps.sealer.head;
    const next = this.#feed.next();
    const blockTimeMs = this.#config.blockTimeMs;
    const nowMs = this.#nowMs();
    const slotEndSeconds = Math.ceil((Math.floor(nowMs / blockTimeMs) * blockTimeMs + blockTimeMs) / 1_000);
    const earliest = parent.header.timestamp + 1;
    // More than one origin waiting: we are behind L1 and walk, one block an origin, until we are not. A chain that is at
    // the clock's time (L1 was silent, blocks went on) would walk ahead of it: it takes an origin with each block.
    this.#walking =
      next !== undefined && this.#feed.waiting > 1 && Math.max(earliest, next.info.timestamp) * 1_000 <= nowMs;
    const timestamp =
      this.#walking && next !== undefined
        ? Math.max(earliest, next.info.timestamp)
        : Math.max(earliest, slotEndSeconds);
    const advance = next !== undefined && next.info.timestamp <= timestamp;
    const origin = advance ? next.info : this.#feed.current;
    assert(origin !== undefined, "an origin is known");
    this.#deps.metrics.originAgeSeconds.set(Math.max(0, Math.floor(nowMs / 1_000) - origin.timestamp));
    if (timestamp > origin.timestamp + this.#deps.maxDriftSeconds) {
      const ageSeconds = timestamp - origin.timestamp;
      if (!this.#waitingFor?.startsWith("L1 origin is too old"))
        this.#deps.log.error("building stops: L1 origin is too old", { origin: origin.number, ageSeconds });
      this.#waitingFor = `L1 origin is too old: block ${origin.number} is ${ageSeconds} s behind, limit ${this.#deps.maxDriftSeconds} s`;
      return undefined;
    }
    const context: BlockContext = {
      number: parent.header.number + 1,
      timestamp,
      origin,
      sequenceNumber: advance ? 0 : parent.sequenceNumber + 1,
      systemConfig: advance ? next.systemConfig : this.#feed.systemConfig,
      deposits: advance ? next.deposits : [],
    };
    if (advance) this.#feed.advance();
    return context;
  }

  async #cut(): Promise<void> {
    const { lanes, sealer, executor, metrics, clock } = this.#deps;
    const context = sealer.openContext;
    assert(context !== undefined, "a block is open");
    const startMs = clock.nowMs();
    const safe = this.#deps.safeChain.safeHead();
    const backlog = sealer.head.header.number - (safe?.number ?? 0);
    const gasRoom = this.#deps.gasRoom?.() ?? Number.POSITIVE_INFINITY;
    const throttled = backlog > this.#config.unpostedBlocksMax || gasRoom <= 0;
    const batch =
      throttled || this.#walking
        ? undefined
        : await lanes.take({
            gasMax: Math.min(this.#config.cutGasMax, gasRoom),
            gasLeft: executor.gasLeft(),
            sizeMaxBytes: Math.min(this.#config.cutSizeMaxBytes, this.#openSize.roomBytes()),
            txOverheadBytes: SEGMENT_TX_OVERHEAD_BYTES,
            baseFeeWei: executor.pending()?.env.baseFeePerGasWei ?? 0n,
          });
    const count = batch?.txs.length ?? 0;
    for (const tx of batch?.txs ?? []) this.#openSize.add(tx.raw);
    const close = this.#walking || this.#nowMs() >= context.timestamp * 1_000;
    if (count === 0 && !close) return;
    // Execution and durability go on side by side; the seal and its news wait for both.
    const write = async (): Promise<number> => {
      const { positions, inline } =
        batch === undefined || count === 0 ? { positions: [], inline: [] } : await lanes.release(batch);
      const seq = await this.#writer.append(
        encodeOrderRecord({
          kind: "cut",
          blockNumber: context.number,
          open: this.#openUnlogged ? context : undefined,
          ordering: lanes.ordering,
          positions,
          inline,
          close,
        }),
      );
      sealer.executed(positions);
      return seq;
    };
    // Both are waited for whatever becomes of either: a leader that lost forgets what it executed, at rest.
    const [written, executed] = await Promise.allSettled([
      write(),
      batch === undefined ? undefined : sealer.execute(batch.txs),
    ]);
    if (written.status === "rejected") throw written.reason;
    if (executed.status === "rejected") throw executed.reason;
    const seq = written.value;
    await sealer.confirm();
    this.#openUnlogged = false;
    metrics.cuts.inc();
    metrics.ordered.inc(count);
    if (close) {
      await sealer.close(seq);
      if (this.#feed.waiting > 0) this.#steps.trigger();
    }
    // A pause would only make those wait that this cut had no room for.
    if (batch?.more === true) this.#steps.trigger();
    metrics.cutSeconds.observe((clock.nowMs() - startMs) / 1_000);
  }

  /** True while the sequenced chain is not one with the derived chain (nothing may be built meanwhile). */
  async #followSafeChain(): Promise<boolean> {
    const { safeChain, sealer, l1, log } = this.#deps;
    const safe = safeChain.safeHead();
    if (safe === undefined) {
      this.#waitingFor = "the verifier has not caught up with L1 yet";
      return true;
    }
    if (this.#safeSeen !== undefined && bytesEqual(this.#safeSeen, safe.hash)) return false;
    const own = sealer.block(safe.number);
    if (own !== undefined && bytesEqual(own.hash, safe.hash)) {
      this.#safeSeen = safe.hash;
      return false;
    }
    if (safeChain.divergence?.() !== undefined) {
      // Two executions of the same inputs differ: nothing is settled, and taking over the other result would hide it.
      this.#waitingFor = "the verifier computes another chain from the same inputs; settlement is stopped";
      return false;
    }
    const safeBlock = safeChain.block(safe.number);
    const canonical = safeBlock === undefined ? undefined : await l1.block(safeBlock.origin.number);
    if (safeBlock === undefined || canonical === undefined || !bytesEqual(canonical.hash, safeBlock.origin.hash)) {
      this.#waitingFor = "the verifier is unwinding an L1 reorg";
      return true;
    }
    let common = Math.min(safe.number, sealer.head.header.number);
    while (!sameBlock(sealer.block(common), safeChain.block(common))) common--;
    log.warn("derived chain differs from the sequenced chain, adopting it", { common, safe: safe.number });
    if (sealer.head.header.number > common || sealer.openContext !== undefined)
      await this.#rewind(common, "the chain derived from L1 differs");
    for (let number = common + 1; number <= safe.number; number++) await this.#adopt(safeChain.block(number), number);
    this.#feed.reset(anchorOf(sealer.head, this.#deps.genesisConfig));
    this.#safeSeen = safe.hash;
    this.#polls.trigger();
    return true;
  }

  async #adopt(block: Block | undefined, number: number): Promise<void> {
    const { sealer } = this.#deps;
    assert(block !== undefined, `safe block ${number} is held by the verifier`);
    const context = blockContextOf(block, sealer.head, this.#deps.genesisConfig);
    const inline = block.transactions
      .map((raw, i) => ({ raw, sender: block.senders[i] as Uint8Array }))
      .filter((tx) => tx.raw[0] !== DEPOSIT_TYPE);
    const seq = await this.#writer.append(
      encodeOrderRecord({
        kind: "cut",
        blockNumber: number,
        open: context,
        ordering: this.#deps.lanes.ordering,
        positions: [],
        inline,
        close: true,
      }),
    );
    await sealer.open(context);
    await sealer.execute(inline);
    const sealed = await sealer.close(seq);
    assert(bytesEqual(sealed.block.hash, block.hash), `adopted block ${number} is ${toHex(block.hash)} here too`);
  }

  /** L1 took our origin back: rewind to the last block whose origin is canonical. */
  async #rewindToL1(): Promise<void> {
    const { sealer, l1, metrics } = this.#deps;
    let number = sealer.head.header.number;
    for (;;) {
      const block = sealer.block(number);
      assert(block !== undefined, "sealed blocks are stored");
      const canonical = await l1.block(block.origin.number);
      if (canonical !== undefined && bytesEqual(canonical.hash, block.origin.hash)) break;
      assert(number > 0, "L1 still holds the origin of genesis");
      number -= block.sequenceNumber + 1; // to the last block of the origin before
      number = Math.max(number, 0);
    }
    metrics.l1Reorgs.inc();
    await this.#rewind(number, "L1 reorg");
    this.#feed.reset(anchorOf(sealer.head, this.#deps.genesisConfig));
    this.#polls.trigger();
  }

  async #rewind(toBlock: number, reason: string): Promise<void> {
    const seq = await this.#writer.append(encodeOrderRecord({ kind: "rewind", toBlock, reason }));
    await this.#deps.sealer.rewind(seq, toBlock, reason);
    this.#openUnlogged = false;
    this.#safeSeen = undefined;
  }
}

function anchorOf(block: Block, genesisConfig: SystemConfigValues): ConstructorParameters<typeof OriginFeed>[1] {
  return { origin: block.origin, systemConfig: blockContextOf(block, undefined, genesisConfig).systemConfig };
}

function sameBlock(a: Block | undefined, b: Block | undefined): boolean {
  return a !== undefined && b !== undefined && bytesEqual(a.hash, b.hash);
}
