/**
 * Owns the verifier: it knows L1, a source of blobs and the inbox address, and rebuilds the chain from them alone. It
 * walks L1, derives (protocol/derivation.ts), executes, stores, moves `safe` and `finalized`, unwinds when L1 does, and
 * compares with what was posted and sealed.
 * Invariants: a block, its state and the place in derivation are stored in one transaction, so that a restart at any point
 * continues with the next block; the stored chain is what the derived L1 blocks say and nothing else.
 * Bytes that nobody serves stop it in front of that entry, with a reason and a metric, while it goes on looking for an L1
 * reorg. Contradictions (outputs, sealed blocks) are coded, counted and told; derivation itself goes on: L1 decides.
 * @see docs/decisions/0002-chain-and-derivation.md
 */
import { assert, unreachable } from "../base/assert.ts";
import { bytesEqual, toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError, hasCode } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import type { Service } from "../base/service.ts";
import type { BlobSource } from "../da/da.ts";
import type { Engine } from "../execution/execution.ts";
import { AccessListReplay } from "../execution/parallel/access-list-replay.ts";
import type { ReplayThreads } from "../execution/parallel/replay-threads.ts";
import type { L1Reader } from "../l1/l1.ts";
import type { Block, L1Origin } from "../protocol/block.ts";
import {
  type ConsumedSegment,
  Derivation,
  type DerivedBlock,
  decodeOriginRecord,
  encodeOriginRecord,
  type PlacedEntry,
} from "../protocol/derivation.ts";
import type { Genesis } from "../protocol/genesis.ts";
import { parseGenesis } from "../protocol/genesis-codec.ts";
import { type OutputRootProof, outputRoot } from "../protocol/output-root.ts";
import { L2_TO_L1_MESSAGE_PASSER } from "../protocol/predeploys.ts";
import type { Receipt } from "../protocol/receipt.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
import type { StateStore } from "../state/state.ts";
import type { ChainStore } from "../store/chain-store.ts";
import type { Database } from "../store/database.ts";
import type { AccessListSource } from "./access-list-source.ts";
import type { Divergence, SealedChain, VerifiedHead, VerifierApi, VerifierEvents, VerifierStatus } from "./api.ts";
import type { VerifierConfig } from "./config.ts";
import {
  decodeCursor,
  decodeSnapshot,
  encodeCursor,
  encodeSnapshot,
  type ProposedOutput,
  readNumber,
  writeNumber,
} from "./cursor.ts";
import { compareBlocks, describeDivergence, type ExecutedBlock } from "./divergence.ts";
import { EntrySource } from "./entry-source.ts";
import { verifierError } from "./error.ts";
import { type FeedBlock, L1Feed, type L1Heads } from "./l1-feed.ts";
import type { VerifierMetrics } from "./metrics.ts";
import { type Posted, readPosted, recoverInPlace, replayBlock, type SenderRecoverer } from "./replay.ts";
import { checkGenesis, storeGenesis } from "./stored-genesis.ts";
import type { VerifierStore } from "./verifier-store.ts";

export type VerifierDeps = {
  readonly config: VerifierConfig;
  readonly l1: L1Reader;
  readonly blobs: BlobSource;
  readonly inbox: Uint8Array;
  readonly database: Pick<Database, "transaction" | "settled">;
  readonly chain: ChainStore;
  readonly state: StateStore;
  readonly store: VerifierStore;
  readonly engine: Engine;
  /** Recovers senders on other threads; default: in place. */
  readonly recovery?: SenderRecoverer;
  /** The sequencer's own chain, where one runs beside this verifier. */
  readonly sealed?: SealedChain;
  /** Replays blocks in parallel where somebody has their access list; default: in order. */
  readonly parallel?: { readonly threads: ReplayThreads; readonly lists: AccessListSource };
  readonly log: Log;
  readonly metrics: VerifierMetrics;
  readonly clock: Clock;
};

/** L1 blocks without any block of ours are stored this many at a time: each store is a sync to disk. */
const UNSTORED_L1_MAX = 64;
/** Blocks of a segment whose senders are recovered while one is executed. */
const READ_AHEAD_BLOCKS = 3;
/** L1 blocks between two looks at L1's finality while catching up. */
const FINALITY_EVERY = 32;
/** Snapshots and origins dropped per L1 block, so that pruning never holds up derivation. */
const PRUNE_MAX = 256;
/** Posted outputs above the safe head that are remembered. Honest proposers post below it. */
const OUTPUTS_WAITING_MAX = 1_024;

export class Verifier implements Service, VerifierApi {
  readonly name = "verifier";
  readonly genesis: Genesis;
  readonly #deps: VerifierDeps;
  readonly #entries: EntrySource;
  readonly #loop: Loop;
  readonly #listeners = new Set<VerifierEvents>();
  #feed: L1Feed;
  #machine: Derivation;
  #outputs: readonly ProposedOutput[];
  #finalized: VerifiedHead;
  /** Writes about L1 blocks that wait for the next transaction. */
  #unstored: (() => void)[] = [];
  /** True when the newest L1 block has its snapshot (stored or waiting). */
  #snapshotTaken: boolean;
  /** Blocks whose transactions are being read, by the list that derivation holds of them. */
  readonly #reading = new WeakMap<readonly Uint8Array[], Promise<Posted>>();
  #sinceFinality = 0;
  #l1Heads: L1Heads | undefined;
  #caughtUp = false;
  #waitingFor: string | undefined = "derivation has not started";
  #divergence: Divergence | undefined;

  private constructor(deps: VerifierDeps, genesis: Genesis) {
    this.#deps = deps;
    this.genesis = genesis;
    this.#entries = new EntrySource(deps.l1, deps.blobs);
    const { machine, outputs } = this.#load();
    this.#machine = machine;
    this.#outputs = outputs;
    this.#snapshotTaken = deps.store.snapshot(machine.l1Head.number) !== undefined;
    this.#finalized = this.#headAt(readNumber(deps.store.get("finalized")));
    this.#feed = this.#newFeed();
    this.#loop = new Loop("verifier", (signal) => this.#step(signal), {
      everyMs: deps.config.pollMs,
      log: deps.log,
      clock: deps.clock,
      backoffMaxMs: 2_000,
      isFatal: (error) => !passes(error),
    });
    this.#report();
  }

  /**
   * Opens the verifier on its database. An empty one is filled with the genesis that L1 has; otherwise L1 is not asked.
   * @throws {VerifierError} VERIFIER_NO_GENESIS, VERIFIER_WRONG_GENESIS; {L1Error}; {GenesisError}
   */
  static async open(deps: VerifierDeps): Promise<Verifier> {
    const stored = deps.store.get("genesis");
    const genesis = stored === undefined ? await storeGenesis(deps) : parseGenesis(stored);
    checkGenesis(genesis, deps.inbox);
    assert(deps.chain.head === deps.state.head, "chain and state are stored together");
    return new Verifier(deps, genesis);
  }

  // ---- what others ask ----

  safeHead(): VerifiedHead | undefined {
    return this.#caughtUp ? this.#headAt(this.#deps.chain.head) : undefined;
  }

  finalizedHead(): VerifiedHead {
    return this.#finalized;
  }

  block(number: number): Block | undefined {
    return this.#deps.chain.block(number);
  }

  outputRootAt(number: number): { readonly outputRoot: Uint8Array; readonly proof: OutputRootProof } | undefined {
    const block = this.#deps.chain.block(number);
    if (block === undefined) return undefined;
    const proof: OutputRootProof = {
      stateRoot: block.header.stateRoot,
      messagePasserStorageRoot: this.#deps.state.storageRoot(number, L2_TO_L1_MESSAGE_PASSER),
      blockHash: block.hash,
    };
    return { outputRoot: outputRoot(proof), proof };
  }

  /** Heads of L1 as last seen, and the L1 block that derivation has reached; undefined before the first look. */
  l1Heads(): (L1Heads & { readonly current: L1BlockInfo }) | undefined {
    const { number } = this.#machine.l1Head;
    const current = this.#machine.origin(number)?.info;
    assert(current !== undefined, "the newest L1 block may become an origin");
    return this.#l1Heads === undefined ? undefined : { ...this.#l1Heads, current };
  }

  divergence(): Divergence | undefined {
    return this.#divergence;
  }

  status(): VerifierStatus {
    const { number, hash } = this.#machine.l1Head;
    return {
      safe: this.#headAt(this.#deps.chain.head),
      finalized: this.#finalized,
      l1Derived: { number, hash },
      l1HeadNumber: this.#feed.headNumber,
      nextIndex: this.#machine.nextIndex,
      waitingEntries: this.#machine.waiting().length,
      divergence: this.#divergence,
      notReady: this.notReady(),
    };
  }

  subscribe(events: VerifierEvents): () => void {
    this.#listeners.add(events);
    return () => this.#listeners.delete(events);
  }

  notReady(): string | undefined {
    if (this.#divergence !== undefined) return describeDivergence(this.#divergence);
    return this.#waitingFor;
  }

  // ---- its life ----

  run(signal: AbortSignal): Promise<void> {
    return this.#loop.run(signal);
  }

  /** Looks at L1 now instead of at the next poll. */
  trigger(): void {
    this.#loop.trigger();
  }

  /** Derives all that L1 has now. @throws what stops it; retryable faults included */
  async catchUp(signal?: AbortSignal): Promise<void> {
    await this.#loop.runNow(signal);
  }

  async #step(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted && (await this.#advance()));
    } catch (error) {
      this.#deps.metrics.derivationIdle.set(0);
      this.#waitingFor = error instanceof CodedError ? error.message : "an unexpected fault";
      throw error;
    }
  }

  /** One step of derivation, or of reading L1 when there is none. False when everything is derived. */
  async #advance(): Promise<boolean> {
    const step = this.#machine.step();
    switch (step.kind) {
      case "block":
        await this.#execute(step.block);
        return true;
      case "fetch":
        await this.#supply(step.entry);
        return true;
      case "consumed":
        this.#consumed(step.segment);
        return true;
      case "idle":
        return await this.#nextL1Block();
      default:
        return unreachable(step, "derivation step");
    }
  }

  async #nextL1Block(): Promise<boolean> {
    this.#finishL1Block();
    const next = await this.#feed.next();
    switch (next.kind) {
      case "reorg":
        this.#unwind(next.ancestor);
        return true;
      case "idle":
        await this.#lookAtFinality();
        this.#flush();
        this.#caughtUp = true;
        this.#waitingFor = undefined;
        this.#report();
        return false;
      case "block":
        this.#push(next.block);
        if (++this.#sinceFinality >= FINALITY_EVERY) await this.#lookAtFinality();
        return true;
      default:
        return unreachable(next, "step of L1");
    }
  }

  #push(block: FeedBlock): void {
    const { info } = block.inputs;
    this.#machine.push(block.inputs);
    this.#snapshotTaken = false;
    const record = this.#machine.origin(info.number);
    assert(record !== undefined, "the newest L1 block may become an origin");
    const bytes = encodeOriginRecord(record);
    this.#unstored.push(() => this.#deps.store.putOrigin(info.number, bytes));
    let outputs = this.#outputs;
    for (const event of block.oracle) {
      if (event.kind === "deleted") {
        outputs = outputs.filter((o) => o.outputIndex < event.fromIndex);
        if (this.#divergence?.kind === "output" && this.#divergence.outputIndex >= event.fromIndex)
          this.#setDivergence(undefined);
      } else outputs = [...outputs, event].slice(-OUTPUTS_WAITING_MAX);
    }
    this.#outputs = outputs;
    if (this.#feed.headNumber > info.number) this.#waitingFor ??= undefined; // a verifier that was ready stays so while it follows the head
    if (!this.#caughtUp) this.#waitingFor = `deriving L1 block ${info.number} of ${this.#feed.headNumber}`;
    this.#prefetch();
  }

  /** All of the newest L1 block is derived: outputs can be checked, and a reorg may come back to here. */
  #finishL1Block(): void {
    if (this.#snapshotTaken) return;
    this.#snapshotTaken = true;
    this.#checkOutputs();
    const { number, hash } = this.#machine.l1Head;
    const snapshot = encodeSnapshot(hash, this.#machine.safe, this.#cursor());
    this.#unstored.push(() => this.#deps.store.putSnapshot(number, snapshot));
    if (this.#unstored.length > UNSTORED_L1_MAX) this.#flush();
  }

  /** Starts fetching what is due next: entries without a gap before them, then those of L1 blocks read ahead. */
  #prefetch(): void {
    const due: PlacedEntry[] = [];
    for (const entry of this.#machine.waiting())
      if (entry.index === this.#machine.nextIndex + due.length) due.push(entry);
    for (const { inputs } of this.#feed.ready)
      for (const entry of inputs.entries) due.push({ ...entry, l1: inputs.info });
    this.#entries.prefetch(due);
  }

  async #supply(entry: PlacedEntry): Promise<void> {
    try {
      this.#machine.supply(await this.#entries.get(entry));
      this.#deps.metrics.blobMissing.set(0);
      this.#prefetch();
    } catch (error) {
      if (hasCode(error, "DA_UNAVAILABLE")) {
        this.#deps.metrics.blobMissing.set(1);
        this.#flush();
      }
      // The L1 block that holds the entry may be gone, and with it the need for its bytes.
      const ancestor = await this.#feed.takeReorg();
      if (ancestor === undefined) throw error;
      this.#unwind(ancestor);
    }
  }

  #consumed(segment: ConsumedSegment): void {
    const { metrics, log } = this.#deps;
    metrics.segments.inc();
    for (const listener of this.#listeners) listener.consumed?.(segment);
    if (segment.reason === undefined) return;
    metrics.invalidSegments.inc(1, { reason: segment.reason });
    metrics.droppedBlocks.inc(segment.blocksDropped);
    log.warn("segment broke a rule", {
      index: segment.entry.index,
      reason: segment.reason,
      blocksTaken: segment.blocksTaken,
      blocksDropped: segment.blocksDropped,
      l1Block: segment.entry.l1.number,
    });
  }

  async #execute(derived: DerivedBlock): Promise<void> {
    const { chain, state, metrics, clock, parallel } = this.#deps;
    const startMs = clock.nowMs();
    const parent = chain.block(chain.head);
    assert(
      parent !== undefined && bytesEqual(parent.hash, derived.parentHash) && state.head === parent.header.number,
      "a derived block extends the stored chain and its state",
    );
    const reading = this.#read(derived.transactions);
    for (const raws of this.#machine.ahead(READ_AHEAD_BLOCKS)) void this.#read(raws);
    const replay =
      parallel === undefined
        ? undefined
        : new AccessListReplay(
            this.#deps.engine,
            parallel.threads,
            await parallel.lists.accessList(parent.header.number + 1),
          );
    const { block, receipts, prepared, accessList, skipped } = await replayBlock({
      derived,
      posted: await reading,
      parent,
      chain: this.genesis,
      state: state.reader(),
      engine: replay ?? this.#deps.engine,
      isOneBatch: replay !== undefined,
      withAccessList: chain.accessListBlocks > 0,
      prepare: (writes) => state.prepare(writes),
    });
    this.#machine.executed(block.hash);
    this.#store(() => {
      state.commit(block.header.number, prepared);
      chain.append(block, receipts, accessList);
    });
    await this.#deps.database.settled(); // replay outruns the disk: memory must not fill with what waits for it
    metrics.blockSeconds.observe((clock.nowMs() - startMs) / 1_000);
    if (replay !== undefined) metrics.replays.inc(1, { outcome: replay.outcome });
    metrics.transactions.inc(block.transactions.length);
    for (const { reason } of skipped) metrics.skipped.inc(1, { reason });
    if (derived.segmentIndex === undefined) metrics.forcedBlocks.inc();
    this.#compareWithSealed({ block, receipts }, derived);
    for (const listener of this.#listeners) listener.safe?.(block, receipts);
  }

  /** Decodes and recovers the transactions of a block, once. */
  #read(raws: readonly Uint8Array[]): Promise<Posted> {
    const known = this.#reading.get(raws);
    if (known !== undefined) return known;
    const reading = readPosted(raws, this.#deps.recovery ?? recoverInPlace);
    reading.catch(() => undefined); // told to whoever executes the block
    this.#reading.set(raws, reading);
    return reading;
  }

  /** Runs `body` in one transaction together with the cursor and what waits to be stored. */
  #store(body: () => void): void {
    const { database, store } = this.#deps;
    const cursor = this.#cursor();
    try {
      database.transaction(() => {
        body();
        for (const write of this.#unstored) write();
        store.put("cursor", cursor);
      });
    } catch (error) {
      // Nothing of it is stored: go on from what is.
      this.#restore();
      throw error;
    }
    this.#unstored = [];
  }

  #flush(): void {
    if (this.#unstored.length > 0) this.#store(() => undefined);
  }

  #cursor(): Uint8Array {
    return encodeCursor({ derivation: this.#machine.save(), outputs: this.#outputs });
  }

  #load(bytes: Uint8Array | undefined = this.#deps.store.get("cursor")): {
    machine: Derivation;
    outputs: readonly ProposedOutput[];
  } {
    assert(bytes !== undefined, "a stored genesis comes with a cursor");
    const cursor = decodeCursor(bytes);
    const machine = Derivation.restore(this.genesis, cursor.derivation, (number) => {
      const record = this.#deps.store.origin(number);
      return record === undefined ? undefined : decodeOriginRecord(record);
    });
    const { number, hash } = machine.safe;
    assert(
      this.#deps.chain.head < number || bytesEqual(this.#deps.chain.blockHash(number) as Uint8Array, hash),
      "the stored chain holds the derived head",
    );
    return { machine, outputs: cursor.outputs };
  }

  /** Takes the stored place as the present one. */
  #restore(): void {
    const { machine, outputs } = this.#load();
    assert(machine.safe.number === this.#deps.chain.head, "cursor and chain are stored together");
    this.#machine = machine;
    this.#outputs = outputs;
    this.#unstored = [];
    this.#snapshotTaken = this.#deps.store.snapshot(machine.l1Head.number) !== undefined;
    this.#entries.clear();
    this.#feed = this.#newFeed();
  }

  /** A view of L1 that goes on behind the newest derived block and knows the way back as far as snapshots reach. */
  #newFeed(): L1Feed {
    const { store, l1, config } = this.#deps;
    const tip = this.#machine.l1Head;
    const from: L1Origin[] = [{ number: tip.number, hash: tip.hash }];
    for (let number = tip.number - 1; number > tip.number - config.reorgDepthMax; number--) {
      const snapshot = store.snapshot(number);
      if (snapshot === undefined) break;
      from.push({ number, hash: decodeSnapshot(snapshot).l1Hash });
    }
    return new L1Feed(l1, this.genesis.contracts, from.reverse(), config.reorgDepthMax);
  }

  // ---- L1 goes back ----

  #unwind(ancestor: L1Origin): void {
    const { chain, state, store, metrics, log } = this.#deps;
    this.#flush();
    const depth = this.#machine.l1Head.number - ancestor.number;
    const stored = store.snapshot(ancestor.number);
    const snapshot = stored === undefined ? undefined : decodeSnapshot(stored);
    if (snapshot === undefined || !bytesEqual(snapshot.l1Hash, ancestor.hash))
      throw verifierError("VERIFIER_REORG_TOO_DEEP", `L1 went back to block ${ancestor.number}`, {
        ancestor: ancestor.number,
        oldest: store.oldestSnapshot(),
      });
    const { machine, outputs } = this.#load(snapshot.cursor);
    const toBlock = machine.safe.number;
    const removed: ExecutedBlock[] = [];
    for (let number = chain.head; number > toBlock; number--)
      removed.push({ block: chain.block(number) as Block, receipts: chain.receipts(number) as readonly Receipt[] });
    this.#machine = machine;
    this.#outputs = outputs;
    this.#snapshotTaken = true;
    this.#entries.clear();
    this.#store(() => {
      if (removed.length > 0) {
        state.rollback(toBlock);
        chain.rollback(toBlock);
      }
      store.dropAbove(ancestor.number);
      if (this.#finalized.number > toBlock) store.put("finalized", writeNumber(toBlock));
    });
    if (this.#finalized.number > toBlock) {
      log.error("L1 took finalized blocks back", { finalized: this.#finalized.number, toBlock });
      this.#finalized = this.#headAt(toBlock);
    }
    if (
      this.#divergence !== undefined &&
      (this.#divergence.kind === "output" || this.#divergence.blockNumber > toBlock)
    )
      this.#setDivergence(undefined);
    metrics.reorgs.inc();
    metrics.reorgDepth.set(depth);
    this.#report();
    log.warn("unwound an L1 reorg", { ancestor: ancestor.number, depth, toBlock, removedBlocks: removed.length });
    for (const listener of this.#listeners) listener.unwound?.(toBlock, removed);
  }

  // ---- finality and pruning ----

  async #lookAtFinality(): Promise<void> {
    this.#sinceFinality = 0;
    this.#report();
    const { store, state, config, database, l1 } = this.#deps;
    const heads = await this.#feed.heads();
    this.#l1Heads = heads;
    const { finalized } = heads;
    if (finalized === undefined) return;
    this.#flush();
    const tip = this.#machine.l1Head.number;
    // Above what is derived, finality reaches the newest block that was derived completely, if that is on L1 still.
    const number = Math.min(finalized.number, this.#snapshotTaken ? tip : tip - 1);
    const canonical = number === finalized.number ? finalized : await l1.block(number);
    const stored = store.snapshot(number);
    const snapshot = stored === undefined ? undefined : decodeSnapshot(stored);
    if (snapshot !== undefined && canonical !== undefined && bytesEqual(snapshot.l1Hash, canonical.hash)) {
      const { safeNumber } = snapshot;
      if (safeNumber > this.#finalized.number) {
        this.#finalized = this.#headAt(safeNumber);
        database.transaction(() => store.put("finalized", writeNumber(safeNumber)));
        for (const listener of this.#listeners) listener.finalized?.(this.#finalized);
      }
    }
    const keepFrom = Math.min(finalized.number, tip - config.reorgDepthMax);
    const oldest = store.snapshot(keepFrom);
    if (oldest === undefined) return;
    const unwindable = decodeSnapshot(oldest);
    database.transaction(() => {
      store.dropBelow(keepFrom, unwindable.originNumber, PRUNE_MAX);
      state.prune(Math.min(unwindable.safeNumber, state.head - config.historyBlocks));
    });
  }

  // ---- comparisons ----

  #checkOutputs(): void {
    if (this.#outputs.length === 0) return;
    const { chain, log, metrics } = this.#deps;
    const waiting: ProposedOutput[] = [];
    for (const output of this.#outputs) {
      if (output.blockNumber > chain.head) {
        waiting.push(output);
        continue;
      }
      let derivedRoot: Uint8Array | undefined;
      try {
        derivedRoot = this.outputRootAt(output.blockNumber)?.outputRoot;
      } catch (err) {
        if (!hasCode(err, "STATE_PRUNED")) throw err;
      }
      if (derivedRoot === undefined) {
        metrics.outputsChecked.inc(1, { result: "unknown" });
        log.warn("a posted output is too old to be checked", { ...output, outputRoot: toHex(output.outputRoot) });
      } else if (bytesEqual(derivedRoot, output.outputRoot)) metrics.outputsChecked.inc(1, { result: "agrees" });
      else {
        const { blockNumber, outputIndex } = output;
        // Kept until it is deleted on L1, so that it is found again after a restart.
        waiting.push(output);
        if (this.#divergence?.kind === "output" && this.#divergence.outputIndex === outputIndex) continue;
        metrics.outputsChecked.inc(1, { result: "differs" });
        this.#setDivergence({ kind: "output", blockNumber, outputIndex, postedRoot: output.outputRoot, derivedRoot });
      }
    }
    this.#outputs = waiting;
  }

  #compareWithSealed(derived: ExecutedBlock, posted: DerivedBlock): void {
    const { sealed, metrics, log } = this.#deps;
    const number = derived.block.header.number;
    const other = sealed?.block(number);
    if (sealed === undefined || other === undefined || bytesEqual(other.hash, derived.block.hash)) return;
    const result = compareBlocks(derived, posted.transactions, other, sealed.receipts(number));
    metrics.sealedMismatches.inc(1, { cause: result.cause });
    if (result.cause === "execution") this.#setDivergence(result.divergence);
    else log.warn("the derived block has other inputs than the sealed one", { number });
  }

  /** The first contradiction stays until it is resolved: later ones follow from it. */
  #setDivergence(divergence: Divergence | undefined): void {
    if (divergence !== undefined && this.#divergence !== undefined) return;
    this.#divergence = divergence;
    this.#deps.metrics.diverged.set(divergence === undefined ? 0 : 1);
    if (divergence === undefined) return;
    this.#deps.log.error("the derived chain contradicts what was posted or sealed", {
      err: verifierError("VERIFIER_DIVERGED", describeDivergence(divergence)),
    });
    for (const listener of this.#listeners) listener.diverged?.(divergence);
  }

  #headAt(number: number): VerifiedHead {
    const block = this.#deps.chain.block(number);
    assert(block !== undefined, "heads are stored blocks");
    return { number, hash: block.hash, timestamp: block.header.timestamp, originNumber: block.origin.number };
  }

  #report(): void {
    const { metrics } = this.#deps;
    const safe = this.#headAt(this.#deps.chain.head);
    metrics.safeNumber.set(safe.number);
    metrics.safeTimestamp.set(safe.timestamp);
    metrics.finalizedNumber.set(this.#finalized.number);
    metrics.l1DerivedNumber.set(this.#machine.l1Head.number);
    metrics.l1HeadNumber.set(this.#feed.headNumber);
    metrics.waitingEntries.set(this.#machine.waiting().length);
    metrics.derivationIdle.set(this.#caughtUp && this.#waitingFor === undefined ? 1 : 0);
  }
}

/**
 * True for faults of L1 and of data sources, even those that their adapters would not retry: an endpoint may be repaired
 * or replaced while the verifier waits. Everything else is a bug or a broken database.
 */
function passes(error: unknown): boolean {
  if (!(error instanceof CodedError) || error.code === "L1_REORG_TOO_DEEP") return false;
  return error.retryable || error.code.startsWith("L1_") || error.code.startsWith("DA_");
}
