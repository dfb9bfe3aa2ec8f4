/**
 * Owns posting the sealed chain to L1 as segments. Every step looks at L1 anew and decides from there: what derivation
 * has consumed, what the inbox holds on the canonical chain, what is in flight; what is missing is encoded from the
 * sealed blocks and posted. Nothing is stored, so a restart after kill -9, a reorg and a foreign entry are all the same
 * case: look and continue.
 *
 * Invariants: an index is posted once with contiguous blocks (the inbox refuses doubles, the plan leaves no gap); bytes
 * are decoded and compared before they leave; after a revert nothing is sent until a simulation of the next post succeeds.
 *
 * States: starting (L1 not read yet, or transactions of an earlier run in flight) → posting ⇄ waiting (the sealed chain
 * and the safe chain differ, until the orderer has rewound) ; posting → halted (a post reverted or would; with the reason)
 * → posting (the simulation succeeds).
 */
import { bytesEqual, toHex } from "../base/bytes.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { CodedError, hasCode } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import type { Service } from "../base/service.ts";
import type { DaWriter } from "../da/da.ts";
import type { L1Reader } from "../l1/l1.ts";
import type { TransactionSender } from "../l1/sender.ts";
import { BLOB_CAPACITY_BYTES, blobCountFor, blobPayloadMaxBytes } from "../protocol/blob-codec.ts";
import type { L1Origin } from "../protocol/block.ts";
import { type BuiltSegment, SegmentBuilder } from "../protocol/segment-builder.ts";
import type { DerivedView, PublisherApi, PublisherStatus, SealedBlocks } from "./api.ts";
import { admissionShare, Backlog } from "./backlog.ts";
import type { PublisherConfig } from "./config.ts";
import { chooseDa, type DaKind, daCosts } from "./da-choice.ts";
import { InboxView } from "./inbox-view.ts";
import { type PublisherMetrics, SuccessRate } from "./metrics.ts";
import { type HeldSegment, type Plan, planSegments } from "./plan.ts";
import { checkSegment, encodeRange, publisherError, segmentBlock, sequencedBytes } from "./segment-source.ts";

export type PublisherDeps = {
  readonly l1: L1Reader;
  readonly inbox: Uint8Array;
  readonly chainId: number;
  /** L1 block of the genesis event: no entry is older. */
  readonly genesisOrigin: L1Origin;
  readonly sealed: SealedBlocks;
  /** What derivation says now. */
  readonly derived: () => DerivedView;
  /** In L1 blocks. */
  readonly sequencingWindow: number;
  readonly sender: TransactionSender;
  readonly writers: Readonly<Record<DaKind, DaWriter>>;
  /** Term of the leader whose blocks these are. */
  readonly term: () => number;
  readonly metrics: PublisherMetrics;
  readonly log: Log;
  readonly clock?: Clock;
};

/** A segment handed to a writer and not yet seen on the canonical chain. */
type Sent = HeldSegment & {
  /** The writer still works on it. */
  posting: boolean;
  /** When it was found neither posting nor pending; undefined while it is. */
  idleSinceMs: number | undefined;
};

type Candidate = HeldSegment & { readonly bytes: Uint8Array };

/** A segment that vanished is given this long to come back by itself (the sender and nodes send dropped ones again). */
const REAPPEAR_MS = 3_000;
/** Pause after a failure that may pass by itself: fees above the cap, missing funds. */
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** What is wrong with blobs and not with L1 as such, and how long calldata stands in for them. */
const FALLBACK_CODES = ["SENDER_FEE_CAP", "DA_ARCHIVE"] as const;
const FALLBACK_MS = 10 * 60_000;
/** Between two simulations while halted. */
const HALT_RETRY_MS = 2_000;
/** L1 blocks before the derived one that are read again at start: a reorg during the downtime is then no special case. */
const START_MARGIN_BLOCKS = 64;
/** Sealed blocks taken into the builder in one step. */
const BLOCKS_PER_STEP_MAX = 4_096;

export class Publisher implements Service, PublisherApi {
  readonly name = "publisher";
  readonly #config: PublisherConfig;
  readonly #deps: PublisherDeps;
  readonly #clock: Clock;
  readonly #loop: Loop;
  readonly #rate = new SuccessRate();
  readonly #sent = new Map<number, Sent>();
  #view: InboxView | undefined;
  #builder: SegmentBuilder;
  /** Next block the builder takes. */
  #builderAt = 0;
  /** Hash of the newest block that the builder took; undefined when it holds none. */
  #lastTaken: Uint8Array | undefined;
  /** Time of the first block in the open segment that has sequenced transactions, in seconds. */
  #openSinceSeconds: number | undefined;
  /** Built and not yet posted; they follow each other and end where the builder starts. */
  #ready: BuiltSegment[] = [];
  #blobsPerSegment: number;
  #daKind: DaKind;
  /** In mode auto: blobs could not be posted, calldata is taken instead until then. */
  #fallbackUntilMs = 0;
  #builtForCalldata = false;
  #flushAsked = false;
  #highestPosted = -1;
  /** After a failure that is nobody's revert (fees above the cap, no funds): nothing is tried before. */
  #pause: { readonly untilMs: number; readonly lengthMs: number; readonly reason: string } | undefined;
  #lastIncluded: { index: number; seconds: number };
  #halt: { readonly reason: string; readonly sinceMs: number; triedMs: number } | undefined;
  readonly #backlog = new Backlog();
  /** Share of the sequencing window that the oldest unposted block has used up. */
  #windowUsed = 0;
  #status: PublisherStatus = {
    state: "starting",
    reason: "has not looked at L1 yet",
    postedThrough: 0,
    pendingBlocks: 0,
    openBytes: 0,
    backlogBytes: 0,
    inFlight: 0,
    nextIndex: 0,
    oldestUnpostedAgeSeconds: 0,
    windowUsed: 0,
  };
  #fault: string | undefined;

  constructor(config: PublisherConfig, deps: PublisherDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#clock = deps.clock ?? systemClock;
    this.#blobsPerSegment = Math.min(config.blobsMin, config.blobsMax);
    this.#daKind = config.da === "calldata" ? "calldata" : "blobs";
    this.#builder = this.#newBuilder();
    this.#loop = new Loop("publisher", () => this.#step(), {
      everyMs: config.pollMs,
      log: deps.log,
      clock: this.#clock,
      isFatal: (error) => !(error instanceof CodedError),
    });
    deps.metrics.halted.set(0);
    // Until something is posted, the clock of the alert runs from here.
    this.#lastIncluded = { index: -1, seconds: Math.floor(this.#clock.nowMs() / 1000) };
    deps.metrics.lastIncludedSeconds.set(this.#lastIncluded.seconds);
    deps.metrics.successRate.set(Number.NaN);
  }

  status(): PublisherStatus {
    return this.#status;
  }

  admissionShare(waitingBytes: number): number {
    const share = admissionShare({
      bytes: this.#backlog.bytes + waitingBytes,
      bytesMax: this.#config.backlogMaxBytes,
      windowUsed: this.#windowUsed,
    });
    this.#deps.metrics.admissionShare.set(share);
    return share;
  }

  flush(): void {
    this.#flushAsked = true;
    this.#loop.trigger();
  }

  notReady(): string | undefined {
    if (this.#fault !== undefined) return this.#fault;
    const { state, reason } = this.#status;
    return state === "posting" ? undefined : (reason ?? state);
  }

  async run(signal: AbortSignal): Promise<void> {
    const end = this.#deps.sealed.onSeal((block) => this.#backlog.sealed(block.header.number, sequencedBytes(block)));
    try {
      await this.#loop.run(signal);
    } finally {
      end();
    }
  }

  /** Segments that may be on their way at once: more accounts take more. */
  get #inFlightMax(): number {
    return this.#config.inFlightMax * this.#deps.sender.accounts;
  }

  async #step(): Promise<void> {
    try {
      await this.#lookAndPost();
      this.#fault = undefined;
    } catch (error) {
      this.#fault = error instanceof Error ? error.message : String(error);
      // Deeper than this view remembers: the next step opens another one where derivation stands by then.
      if (hasCode(error, "L1_REORG_TOO_DEEP")) this.#view = undefined;
      throw error;
    }
  }

  async #lookAndPost(): Promise<void> {
    const { sender, derived, sealed } = this.#deps;
    if (!sender.recovered) return this.#report("starting", "waits for transactions of an earlier run");
    this.#view ??= await this.#openView();
    const view = this.#view;
    const { atHead, dropped } = await view.advance();
    for (const segment of dropped) this.#onDropped(segment);
    this.#settleSent(view);
    if (!atHead) {
      this.#report("starting", `reads L1, at block ${view.tip.number}`);
      this.#loop.trigger();
      return;
    }
    const basis = derived();
    const l1Derived = view.hashAt(basis.l1Derived.number);
    if (
      basis.l1Derived.number > view.tip.number ||
      (l1Derived !== undefined && !bytesEqual(l1Derived, basis.l1Derived.hash))
    )
      return this.#report("waiting", "derivation and publisher follow different L1 forks");
    if (!view.covers(basis.l1Derived.number, basis.nextIndex)) {
      // Derivation started over from further back than what is remembered here.
      this.#view = undefined;
      return this.#report("starting", "reads L1 again from further back");
    }
    view.forgetBelow(basis.nextIndex);
    const safeBlock = sealed.block(basis.safe.number);
    if (safeBlock === undefined || !bytesEqual(safeBlock.hash, basis.safe.hash)) {
      this.#restartBuilder(basis.safe.number + 1);
      return this.#report("waiting", `the sealed chain has another block ${basis.safe.number} than the safe chain`);
    }

    const held = new Map<number, HeldSegment>([...this.#sent, ...view.posted]);
    const plan = planSegments({ nextIndex: basis.nextIndex, safeNumber: basis.safe.number }, held);
    await this.#measure(view, basis, plan);
    this.#alignBuilder(plan.tail.firstBlock);
    this.#build();
    await this.#post(plan);
    if (this.#halt !== undefined) this.#report("halted", this.#halt.reason);
    else if (this.#pause !== undefined) this.#report("waiting", this.#pause.reason);
    else this.#report("posting", undefined);
  }

  /** Starts following the inbox where derivation stands: older entries are consumed, unless some wait behind a gap. */
  async #openView(): Promise<InboxView> {
    const { l1, inbox, genesisOrigin, derived } = this.#deps;
    const { l1Derived, waitingEntries } = derived();
    const from = Math.max(genesisOrigin.number, l1Derived.number - START_MARGIN_BLOCKS);
    const start = waitingEntries > 0 ? undefined : await l1.block(from);
    return new InboxView(l1, inbox, start ?? genesisOrigin);
  }

  // -- what is on its way ----------------------------------------------------------------------------------------

  /** A reorg took a segment away: it may come back by itself, so its index stays taken for a while. */
  #onDropped(segment: HeldSegment): void {
    this.#deps.log.warn("L1 reorganised a segment away", { index: segment.index });
    if (this.#sent.has(segment.index)) return;
    this.#sent.set(segment.index, {
      index: segment.index,
      firstBlock: segment.firstBlock,
      lastBlock: segment.lastBlock,
      posting: false,
      idleSinceMs: undefined,
    });
  }

  /** Forgets what L1 holds by now, and what will not come any more. */
  #settleSent(view: InboxView): void {
    const nowMs = this.#clock.nowMs();
    for (const sent of [...this.#sent.values()]) {
      if (view.posted.has(sent.index)) {
        if (!sent.posting) this.#sent.delete(sent.index);
        continue;
      }
      if (sent.posting || this.#deps.sender.isPending(`segment ${sent.index}`)) {
        sent.idleSinceMs = undefined;
        continue;
      }
      sent.idleSinceMs ??= nowMs;
      if (nowMs - sent.idleSinceMs < REAPPEAR_MS) continue;
      this.#sent.delete(sent.index);
      this.#deps.log.warn("segment is gone, its index is free again", { index: sent.index });
    }
  }

  // -- building --------------------------------------------------------------------------------------------------

  #newBuilder(): SegmentBuilder {
    const { brotliQuality, calldataTargetBytes, blobsMax } = this.#config;
    this.#builtForCalldata = this.#onlyCalldata;
    return new SegmentBuilder({
      chainId: this.#deps.chainId,
      brotliQuality,
      ...(this.#builtForCalldata
        ? { targetBytes: calldataTargetBytes }
        : { targetBytes: blobPayloadMaxBytes(this.#blobsPerSegment), targetMaxBytes: blobPayloadMaxBytes(blobsMax) }),
      spanMaxSeconds: this.#idleAgeMaxSeconds,
    });
  }

  /** True while segments must fit into calldata. */
  get #onlyCalldata(): boolean {
    return this.#config.da === "calldata" || this.#clock.nowMs() < this.#fallbackUntilMs;
  }

  get #idleAgeMaxSeconds(): number {
    return Math.max(this.#config.idleAgeMaxSeconds, this.#config.ageMaxSeconds);
  }

  #restartBuilder(at: number): void {
    this.#builder = this.#newBuilder();
    this.#builderAt = at;
    this.#lastTaken = undefined;
    this.#openSinceSeconds = undefined;
    this.#ready = [];
  }

  /** Keeps what is built when it starts exactly where the plan goes on and its blocks are still the sealed ones. */
  #alignBuilder(firstBlock: number): void {
    const startsAt = this.#ready[0]?.firstBlock ?? this.#builder.openFrom ?? this.#builderAt;
    if (startsAt !== firstBlock || this.#rewound() || this.#builtForCalldata !== this.#onlyCalldata)
      this.#restartBuilder(firstBlock);
  }

  /** True when the newest block that the builder took is not sealed any more; older ones are its ancestors. */
  #rewound(): boolean {
    if (this.#lastTaken === undefined) return false;
    const block = this.#deps.sealed.block(this.#builderAt - 1);
    return block === undefined || !bytesEqual(block.hash, this.#lastTaken);
  }

  #build(): void {
    const { sealed } = this.#deps;
    const last = Math.min(sealed.head, this.#builderAt + BLOCKS_PER_STEP_MAX - 1);
    // Never more built than can be sent soon: a long backlog stays in the store, not in memory.
    while (this.#builderAt <= last && this.#ready.length < this.#inFlightMax) {
      const block = sealed.block(this.#builderAt);
      if (block === undefined) break;
      const taken = segmentBlock(block);
      this.#ready.push(...this.#builder.add(taken));
      // The block may have ended the open segment and started another, or ended its own.
      const { openFrom } = this.#builder;
      if (openFrom === undefined || openFrom === taken.number) this.#openSinceSeconds = undefined;
      if (openFrom !== undefined && taken.transactions.length > 0) this.#openSinceSeconds ??= taken.timestamp;
      this.#lastTaken = block.hash;
      this.#builderAt++;
    }
    if (this.#builderAt <= sealed.head) {
      this.#adapt("grow");
      return;
    }
    const oldest = this.#builder.openFrom === undefined ? undefined : sealed.block(this.#builder.openFrom);
    if (oldest === undefined) {
      this.#flushAsked = false;
      return;
    }
    const nowSeconds = this.#clock.nowMs() / 1000;
    const due =
      (this.#openSinceSeconds !== undefined && nowSeconds - this.#openSinceSeconds >= this.#config.ageMaxSeconds) ||
      nowSeconds - oldest.header.timestamp >= this.#idleAgeMaxSeconds;
    if (!this.#flushAsked && !due) return;
    this.#flushAsked = false;
    this.#openSinceSeconds = undefined;
    this.#ready.push(...this.#builder.flush());
    this.#adapt("shrink");
  }

  /** A backlog goes out in larger segments: fewer transactions, fuller blobs. The next builder uses the new size. */
  #adapt(direction: "grow" | "shrink"): void {
    const { blobsMin, blobsMax } = this.#config;
    const wanted =
      direction === "grow" ? Math.min(blobsMax, this.#blobsPerSegment * 2) : Math.max(Math.min(blobsMin, blobsMax), 1);
    if (wanted === this.#blobsPerSegment || this.#config.da === "calldata") return;
    this.#blobsPerSegment = wanted;
    // Blocks of the open segment are taken again: sizes are decided per segment.
    this.#builderAt = this.#builder.openFrom ?? this.#builderAt;
    this.#lastTaken = this.#ready.length === 0 ? undefined : this.#deps.sealed.block(this.#builderAt - 1)?.hash;
    this.#openSinceSeconds = undefined;
    this.#builder = this.#newBuilder();
  }

  // -- posting ---------------------------------------------------------------------------------------------------

  async #post(plan: Plan): Promise<void> {
    if (this.#pause !== undefined && this.#clock.nowMs() < this.#pause.untilMs) return;
    let { index } = plan.tail;
    for (const gap of plan.gaps) {
      if (this.#posting >= this.#inFlightMax) return;
      const bytes = encodeRange((n) => this.#deps.sealed.block(n), gap.firstBlock, gap.lastBlock, {
        chainId: this.#deps.chainId,
        brotliQuality: this.#config.brotliQuality,
      });
      if (!(await this.#start({ ...gap, bytes }))) return;
    }
    for (let next = this.#ready[0]; next !== undefined; next = this.#ready[0]) {
      if (this.#posting >= this.#inFlightMax) return;
      if (!(await this.#start({ ...next, index }))) return;
      this.#ready.shift();
      index++;
    }
    // Nothing is left to try: a halt without a cause is none.
    if (plan.gaps.length === 0 && this.#halt !== undefined && this.#sent.size === 0) this.#resume();
  }

  get #posting(): number {
    let count = 0;
    for (const sent of this.#sent.values()) if (sent.posting) count++;
    return count;
  }

  /** Hands a segment to its writer; false when posting is halted. */
  async #start(candidate: Candidate): Promise<boolean> {
    const { log, sealed } = this.#deps;
    const segment = { ...candidate, term: this.#deps.term() };
    const writer = await this.#writerFor(candidate.bytes);
    if (this.#halt !== undefined) {
      const nowMs = this.#clock.nowMs();
      if (nowMs - this.#halt.triedMs < HALT_RETRY_MS) return false;
      this.#halt.triedMs = nowMs;
      try {
        await writer.simulate(segment);
      } catch (error) {
        if (!hasCode(error, "SENDER_WOULD_REVERT")) throw error;
        this.#haltOn(error, segment.index);
        return false;
      }
      this.#resume();
    }
    let checked: { transactionBytes: number };
    try {
      if (candidate.bytes.length > writer.segmentSizeMaxBytes)
        throw publisherError(
          "PUBLISHER_TOO_LARGE",
          `block ${candidate.firstBlock} makes ${candidate.bytes.length} bytes, a post takes ${writer.segmentSizeMaxBytes}`,
          { blockNumber: candidate.firstBlock, sizeBytes: candidate.bytes.length },
        );
      checked = checkSegment(candidate.bytes, candidate.firstBlock, candidate.lastBlock, (n) => sealed.block(n));
    } catch (error) {
      if (!hasCode(error, "PUBLISHER_ENCODING") && !hasCode(error, "PUBLISHER_TOO_LARGE")) throw error;
      this.#haltOn(error, segment.index);
      this.#restartBuilder(candidate.firstBlock);
      return false;
    }
    const sent: Sent = {
      index: segment.index,
      firstBlock: segment.firstBlock,
      lastBlock: segment.lastBlock,
      posting: true,
      idleSinceMs: undefined,
    };
    this.#sent.set(segment.index, sent);
    if (segment.index <= this.#highestPosted) this.#deps.metrics.reposts.inc();
    this.#highestPosted = Math.max(this.#highestPosted, segment.index);
    log.info("segment goes out", {
      index: segment.index,
      firstBlock: segment.firstBlock,
      lastBlock: segment.lastBlock,
      sizeBytes: segment.bytes.length,
      da: writer.kind,
    });
    void writer.post(segment).then(
      (posted) => {
        sent.posting = false;
        this.#pause = undefined;
        this.#onSettled(true);
        const { metrics } = this.#deps;
        metrics.bytesIn.inc(checked.transactionBytes);
        metrics.bytesOut.inc(segment.bytes.length);
        if (writer.kind === "blobs")
          metrics.fillRatio.observe(segment.bytes.length / (blobCountFor(segment.bytes.length) * BLOB_CAPACITY_BYTES));
        log.info("segment is on L1", {
          index: segment.index,
          l1BlockNumber: posted.l1BlockNumber,
          hash: toHex(posted.transactionHash),
          feeWei: posted.feeWei.toString(),
        });
      },
      (error: unknown) => this.#onFailed(sent, writer.kind, error),
    );
    return true;
  }

  #onSettled(success: boolean): void {
    const nowMs = this.#clock.nowMs();
    this.#deps.metrics.submissions.inc(1, { result: success ? "success" : "failure" });
    this.#rate.add(success, nowMs);
    this.#deps.metrics.successRate.set(this.#rate.at(nowMs));
    this.#loop.trigger();
  }

  #onFailed(sent: Sent, kind: DaKind, error: unknown): void {
    sent.posting = false;
    if (hasCode(error, "SENDER_STOPPED")) return; // the process ends
    this.#sent.delete(sent.index);
    this.#onSettled(false);
    if (hasCode(error, "SENDER_REVERTED") || hasCode(error, "SENDER_WOULD_REVERT")) this.#haltOn(error, sent.index);
    else {
      const lengthMs = Math.min(RETRY_MAX_MS, (this.#pause?.lengthMs ?? RETRY_MIN_MS / 2) * 2);
      const reason = error instanceof Error ? error.message : String(error);
      if (this.#config.da === "auto" && kind === "blobs" && FALLBACK_CODES.some((code) => hasCode(error, code))) {
        this.#fallbackUntilMs = this.#clock.nowMs() + FALLBACK_MS;
        this.#deps.metrics.fallbackActive.set(1, { target: "calldata" });
      }
      this.#pause = { untilMs: this.#clock.nowMs() + lengthMs, lengthMs, reason };
      this.#deps.log.warn("segment could not be posted, it is decided anew", {
        index: sent.index,
        lengthMs,
        err: error,
      });
    }
  }

  #haltOn(error: CodedError, index: number): void {
    const nowMs = this.#clock.nowMs();
    const reason = `segment ${index}: ${error.message}`;
    if (this.#halt?.reason !== reason) this.#deps.log.error("posting is halted", { index, err: error });
    this.#halt = { reason, sinceMs: this.#halt?.sinceMs ?? nowMs, triedMs: nowMs };
    this.#deps.metrics.halted.set(1);
  }

  #resume(): void {
    if (this.#halt === undefined) return;
    this.#deps.log.info("posting goes on", { haltedMs: this.#clock.nowMs() - this.#halt.sinceMs });
    this.#halt = undefined;
    this.#deps.metrics.halted.set(0);
  }

  async #writerFor(bytes: Uint8Array): Promise<DaWriter> {
    const { writers, l1, metrics } = this.#deps;
    // A single block may be more than calldata takes: better blobs than never.
    if (this.#config.da === "blobs" || bytes.length > writers.calldata.segmentSizeMaxBytes) return writers.blobs;
    if (this.#config.da === "calldata") return writers.calldata;
    const fallback = this.#clock.nowMs() < this.#fallbackUntilMs;
    metrics.fallbackActive.set(fallback ? 1 : 0, { target: "calldata" });
    if (fallback) return writers.calldata;
    this.#daKind = chooseDa(this.#daKind, daCosts(bytes, await l1.head()));
    return writers[this.#daKind];
  }

  // -- what others see -------------------------------------------------------------------------------------------

  async #measure(view: InboxView, basis: DerivedView, plan: Plan): Promise<void> {
    const { metrics, sealed, l1 } = this.#deps;
    const onL1 = planSegments({ nextIndex: basis.nextIndex, safeNumber: basis.safe.number }, view.posted);
    // Above a gap nothing counts: it cannot be derived yet.
    const postedThrough = (onL1.gaps[0]?.firstBlock ?? onL1.tail.firstBlock) - 1;
    const nowMs = this.#clock.nowMs();
    const oldest = sealed.block(postedThrough + 1);
    this.#backlog.cover(postedThrough, sealed.head, (n) => {
      const block = sealed.block(n);
      return block === undefined ? 0 : sequencedBytes(block);
    });
    this.#windowUsed =
      oldest === undefined ? 0 : Math.max(0, view.tip.number - oldest.origin.number) / this.#deps.sequencingWindow;
    metrics.backlogBytes.set(this.#backlog.bytes);
    metrics.windowUsed.set(this.#windowUsed);
    this.#status = {
      ...this.#status,
      postedThrough,
      nextIndex: plan.tail.index,
      pendingBlocks: Math.max(0, sealed.head - postedThrough),
      backlogBytes: this.#backlog.bytes,
      oldestUnpostedAgeSeconds: oldest === undefined ? 0 : Math.max(0, nowMs / 1000 - oldest.header.timestamp),
      windowUsed: this.#windowUsed,
    };
    metrics.pendingBlocks.set(this.#status.pendingBlocks);
    metrics.oldestUnpostedSeconds.set(this.#status.oldestUnpostedAgeSeconds);
    metrics.successRate.set(this.#rate.at(nowMs));
    const newest = view.newest;
    if (newest !== undefined && newest.index !== this.#lastIncluded.index) {
      const block = await l1.block(newest.l1.hash);
      if (block === undefined) return; // reorganised this very moment
      this.#lastIncluded = { index: newest.index, seconds: block.timestamp };
      metrics.lastIncludedSeconds.set(block.timestamp);
    }
  }

  #report(state: PublisherStatus["state"], reason: string | undefined): void {
    this.#status = {
      ...this.#status,
      state,
      reason,
      openBytes: this.#builder.openBytesMax,
      inFlight: this.#posting,
    };
  }
}
