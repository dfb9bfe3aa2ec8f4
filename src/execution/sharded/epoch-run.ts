/**
 * Owns the running of one epoch over executors: deals batches out, takes results in, runs at the watermark what nobody
 * else is working on, and ends when the watermark has passed everything. Bounded: at most two batches wait with an
 * executor, a transaction is dealt again at most twice, and an executor or a key shard elsewhere that holds the watermark
 * up for longer than `stallMs` is passed over. It ends whatever they do: alone, it is a serial run.
 */
import { performance } from "node:perf_hooks";
import { fromHex, toHexKey } from "../../base/bytes.ts";
import { EMPTY_CODE_HASH } from "../../protocol/ordered-trie.ts";
import type { StateWrites } from "../../protocol/state-writes.ts";
import type { BlockEnv, MissingKey, StateReader, TxInput, TxResult } from "../execution.ts";
import { ACCOUNT, SLOT } from "../wasm/layout.ts";
import type { TxRecord } from "../wasm/result.ts";
import type { WasmEngine } from "../wasm/wasm.ts";
import { effectsOf } from "./effects.ts";
import { Epoch, type EpochStats } from "./epoch.ts";
import type { Conflict } from "./epoch-shard.ts";
import type { ExecutorSeat } from "./executor-seat.ts";
import type { TxHint } from "./hints.ts";
import { encodeToExecutor, type FromExecutor, type SlotVersion, type StateEntry } from "./messages.ts";
import type { Plan, Planner } from "./planner.ts";
import type { Answer } from "./shard-messages.ts";
import type { ShardSeat } from "./shard-seat.ts";
import type { StageClock } from "./stage-clock.ts";

/**
 * A batch ends at this many transactions or this much expected time: a few milliseconds, and less towards the end, so
 * that executors are done together.
 */
const BATCH_TXS_MAX = 128;
const BATCH_MICROS_MAX = 4_000;
const BATCH_MICROS_MIN = 400;
/** Share of what an executor has left that one batch may take. */
const BATCH_SHARE = 0.25;
/** Transactions looked at for a batch: some of them wait for others. */
const LOOK_AHEAD = 512;
/** Nothing is taken from an executor that has less than this left. */
const STEAL_MICROS_MIN = 800;
/** Batches an executor may have waiting: one to run, one to go on with. */
const WINDOW = 2;
const RETRIES_MAX = 2;
/** Slots of one result that others are told of. */
const TOLD_SLOTS_MAX = 16;
/** Transactions run at the watermark in one go, and for how long before others get the thread. */
const EXACT_TXS_MAX = 128;
const EXACT_GAS_MAX = 10_000_000;
const KNOCK_ONS_MAX = 7;
const EXACT_SLICE_MS = 8;
const ZERO_32 = new Uint8Array(32);

export type EpochRunInput = {
  readonly id: number;
  readonly env: BlockEnv;
  readonly txs: readonly TxInput[];
  readonly hints: readonly TxHint[];
  readonly state: StateReader;
  readonly gasAvailable: number;
  /** Key shards; those with a seat that answers are elsewhere. */
  readonly shards: number;
  readonly shardSeats: readonly ShardSeat[];
  readonly stallMs: number;
  readonly engine: WasmEngine;
  readonly planner: Planner;
  readonly plan: Plan;
  readonly seats: readonly ExecutorSeat[];
  /** They read the stored state themselves. */
  readonly areReading: boolean;
  /** Numbers batches over all epochs. */
  readonly nextBatch: () => number;
  readonly clock?: StageClock | undefined;
};

/**
 * conflict: its result did not hold. chain: it follows one that did not, see above. planned: nobody was dealt it.
 * missing: nobody had a result when the watermark came.
 */
export type ExactReason = "conflict" | "chain" | "planned" | "missing";

export type EpochOutcome = {
  readonly results: TxResult[];
  readonly writes: StateWrites;
  readonly stats: EpochStats;
  readonly plan: Plan;
  /** Time the executors spent running. */
  readonly executorMicros: number;
  /** Executors passed over because they did not answer. */
  readonly stalls: number;
  /** Transactions that another executor took because it had nothing to do. */
  readonly stolen: number;
  /** By executor: time it spent running. */
  readonly seatMicros: readonly number[];
  /** Transactions run at the watermark, by reason. */
  readonly exactReasons: Readonly<Record<ExactReason, number>>;
  /** Time of validation, here and in shards elsewhere, and the accounts and slots it was for. */
  readonly validation: { readonly micros: number; readonly accesses: number };
};

export class EpochRun {
  readonly #p: EpochRunInput;
  readonly #epoch: Epoch;
  readonly #plan: Plan;
  /** By seat: transactions to deal out, in order. */
  readonly #queues: number[][];
  readonly #inFlight: number[];
  /** By seat: expected time of its queue. */
  readonly #queuedMicros: number[];
  /** By transaction: 1 + the seat that has it or will be dealt it, 0 when nobody. */
  readonly #pending: Int16Array;
  /** By transaction: it is with the seat that has it, not in its queue. */
  readonly #isDealt: Uint8Array;
  readonly #retries: Uint8Array;
  readonly #batchSeats = new Map<number, number>();
  readonly #batchIndexes = new Map<number, readonly number[]>();
  /** By seat: slots it is known to be wrong about, with what is right, and whose results it was told of. */
  readonly #corrections: Map<string, SlotVersion>[];
  readonly #told: Map<number, TxRecord>[];
  /** By transaction: 1 + the seat whose result is the current one, 0 when it was run here. */
  readonly #ranBy: Int16Array;
  /** Keys of results that came to nothing; caches may hold their values. */
  readonly #repairs = new Map<string, Set<string>>();
  readonly #done: { resolve: () => void; reject: (error: unknown) => void; promise: Promise<void> };
  #timer: NodeJS.Timeout | undefined;
  #isPumpDue = false;
  #isOver = false;
  #executorMicros = 0;
  #stalls = 0;
  #stolen = 0;
  readonly #seatMicros: number[];
  readonly #exactReasons = { conflict: 0, chain: 0, planned: 0, missing: 0 };
  /** Conflicts in a row, each over what had to be run here. */
  #knockOns = 0;
  #validationMs = 0;
  #remoteMicros = 0;
  #remoteAccesses = 0;

  constructor(p: EpochRunInput) {
    this.#p = p;
    const count = p.txs.length;
    this.#epoch = new Epoch({
      count,
      gasLimits: p.hints.map((hint) => hint.gasLimit),
      state: p.state,
      gasAvailable: p.gasAvailable,
      shards: p.shards,
      elsewhere: {
        epoch: p.id,
        sends: p.shardSeats.map((seat) => (seat.isLive ? (message) => seat.send(message) : undefined)),
      },
    });
    this.#plan = p.plan;
    this.#queues = p.seats.map(() => []);
    this.#queuedMicros = p.seats.map(() => 0);
    this.#seatMicros = p.seats.map(() => 0);
    this.#inFlight = p.seats.map(() => 0);
    this.#corrections = p.seats.map(() => new Map());
    this.#told = p.seats.map(() => new Map());
    this.#ranBy = new Int16Array(count);
    this.#pending = new Int16Array(count);
    this.#isDealt = new Uint8Array(count);
    this.#retries = new Uint8Array(count);
    // Those that somebody elsewhere waits for go first.
    for (const urgent of [1, 0])
      for (const [index, owner] of this.#plan.owners.entries())
        if (owner >= 0 && this.#plan.isUrgent[index] === urgent) this.#enqueue(owner, index);
    let resolve: () => void = () => undefined;
    let reject: (error: unknown) => void = () => undefined;
    const promise = new Promise<void>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    this.#done = { resolve, reject, promise };
  }

  #enqueue(seat: number, index: number): void {
    this.#queues[seat]?.push(index);
    this.#queuedMicros[seat] = (this.#queuedMicros[seat] as number) + (this.#plan.micros[index] as number);
    this.#pending[index] = seat + 1;
    this.#isDealt[index] = 0;
  }

  async run(): Promise<EpochOutcome> {
    const { seats, id, env } = this.#p;
    for (const seat of seats) {
      if (seat.isLive) seat.send({ kind: "epoch", epoch: id, env });
      else this.#passOver(seat.index);
    }
    this.#pump();
    await this.#done.promise;
    this.#p.clock?.enter("settle");
    const results = this.#epoch.results();
    for (const [i, result] of results.entries())
      if (result.included)
        this.#p.planner.patterns.observe(this.#p.hints[i] as TxHint, result.gasUsed, this.#epoch.record(i));
    const writes = this.#epoch.net();
    this.#tellExecutors(writes);
    this.#p.clock?.enter("idle");
    return {
      results,
      writes,
      stats: this.#epoch.stats,
      plan: this.#plan,
      executorMicros: this.#executorMicros,
      stalls: this.#stalls,
      stolen: this.#stolen,
      seatMicros: this.#seatMicros,
      exactReasons: this.#exactReasons,
      validation: {
        micros: this.#validationMs * 1_000 + this.#remoteMicros,
        accesses: this.#epoch.accesses + this.#remoteAccesses,
      },
    };
  }

  /** A message of the executor at `seat`. */
  received(seat: number, message: FromExecutor): void {
    if (this.#isOver || message.epoch !== this.#p.id) return;
    const { clock } = this.#p;
    try {
      const left = clock?.enter(message.kind === "need" ? "answer" : "take");
      if (message.kind === "need") this.#answer(this.#p.seats[seat] as ExecutorSeat, message.batch, message.keys);
      else this.#take(seat, message);
      if (left !== undefined) clock?.enter(left);
      this.#schedulePump();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The executor at `seat` is gone. */
  lost(seat: number): void {
    if (this.#isOver) return;
    this.#passOver(seat);
    this.#schedulePump();
  }

  /** An answer of the key shard at `shard`. */
  shardReceived(shard: number, answer: Answer): void {
    if (this.#isOver || answer.epoch !== this.#p.id) return;
    try {
      this.#remoteMicros += answer.micros;
      this.#remoteAccesses += answer.accesses;
      if (!this.#epoch.received(shard, answer)) this.#p.shardSeats[shard]?.drop(new Error("it is out of step"));
      this.#schedulePump();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The key shard at `shard` is gone. */
  shardLost(shard: number): void {
    if (this.#isOver) return;
    try {
      this.#epoch.takeOver(shard);
      this.#schedulePump();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#done.reject(error);
  }

  #take(seat: number, message: Extract<FromExecutor, { kind: "done" }>): void {
    const epoch = this.#epoch;
    this.#executorMicros += message.micros;
    this.#seatMicros[seat] = (this.#seatMicros[seat] ?? 0) + message.micros;
    if (this.#batchSeats.delete(message.batch)) this.#inFlight[seat] = Math.max(0, (this.#inFlight[seat] ?? 0) - 1);
    // Whoever was dealt them is through with them, with or without a result.
    for (const index of this.#batchIndexes.get(message.batch) ?? [])
      if (this.#pending[index] === seat + 1 && this.#isDealt[index] === 1) this.#pending[index] = 0;
    this.#batchIndexes.delete(message.batch);
    this.#observeTime(seat, message);
    const startMs = performance.now();
    for (const [i, index] of message.indexes.entries()) {
      if (index >= epoch.count) continue;
      const record = message.records[i] as TxRecord;
      if (epoch.deliver(index, message.batch, record) === "ignored") this.#repair(record);
      else this.#ranBy[index] = seat + 1;
    }
    this.#validationMs += performance.now() - startMs;
  }

  /** Deals results that do not hold again, to whoever ran them, with what is right. */
  #dealStaleAgain(): void {
    for (const { index, conflict } of this.#epoch.takeStale()) {
      this.#repair(this.#epoch.record(index) as TxRecord);
      const seat = (this.#ranBy[index] as number) - 1;
      this.#learn(index, conflict, seat);
      const retries = this.#retries[index] as number;
      if (retries >= RETRIES_MAX || this.#pending[index] !== 0 || this.#p.seats[seat]?.isLive !== true) continue;
      this.#retries[index] = retries + 1;
      // In front: the watermark comes to it first.
      this.#queues[seat]?.unshift(index);
      this.#queuedMicros[seat] = (this.#queuedMicros[seat] as number) + (this.#plan.micros[index] as number);
      this.#pending[index] = seat + 1;
      this.#isDealt[index] = 0;
    }
  }

  /** Tells the planner how long a batch took. */
  #observeTime(seat: number, { indexes, records, micros }: Extract<FromExecutor, { kind: "done" }>): void {
    const { hints, planner } = this.#p;
    const run: TxHint[] = [];
    const gasUsed: number[] = [];
    for (const [i, index] of indexes.entries()) {
      const hint = hints[index];
      if (hint === undefined) continue;
      run.push(hint);
      gasUsed.push((records[i] as TxRecord).gasUsed);
    }
    planner.observeTime(seat, run, gasUsed, micros);
  }

  /** Sends what an executor asked for, once all of it is there. */
  #answer(seat: ExecutorSeat, batch: number, keys: readonly MissingKey[]): void {
    const index = this.#batchIndexes.get(batch)?.[0] ?? this.#epoch.watermark;
    const entries: StateEntry[] = [];
    let unanswered = 1;
    const done = (): void => {
      if (--unanswered === 0) seat.send({ kind: "state", epoch: this.#p.id, batch, entries });
    };
    for (const key of keys)
      switch (key.kind) {
        case "account":
        case "slot":
          unanswered++;
          this.#epoch.read({
            index,
            key,
            done: (entry) => {
              this.#addEntry(seat, entries, entry);
              done();
            },
          });
          break;
        case "code":
          // A hash from a run that came to nothing, or from before a reorg, is known to nobody: no answer is one too.
          try {
            entries.push({ ...key, code: this.#epoch.code(key.codeHash) });
          } catch {}
          break;
        case "blockHash":
          entries.push({ ...key, hash: this.#p.state.blockHash(key.number) });
          break;
      }
    done();
  }

  /** A value and, with an account the first time, its code. */
  #addEntry(seat: ExecutorSeat, entries: StateEntry[], entry: StateEntry): void {
    entries.push(entry);
    const account = entry.kind === "account" ? entry.account : undefined;
    if (account === undefined || account.codeHash === EMPTY_CODE_HASH || !seat.tellCode(account.codeHash)) return;
    const code = this.#epoch.code(account.codeHash);
    if (code.length > 0) entries.push({ kind: "code", codeHash: account.codeHash, code });
  }

  /** Runs when the messages that are there already have been taken. */
  #schedulePump(): void {
    if (this.#isPumpDue) return;
    this.#isPumpDue = true;
    setImmediate(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#isOver) return;
    const { clock } = this.#p;
    try {
      const epoch = this.#epoch;
      const before = epoch.watermark;
      clock?.enter("validate");
      const startMs = performance.now();
      epoch.advance();
      this.#validationMs += performance.now() - startMs;
      this.#dealStaleAgain();
      clock?.enter("deal");
      this.#deal();
      clock?.enter("exact");
      const sliceEndMs = performance.now() + EXACT_SLICE_MS;
      while (!epoch.isDone && this.#pending[epoch.watermark] === 0 && !epoch.isInstalled(epoch.watermark)) {
        this.#runExactly();
        if (performance.now() > sliceEndMs) {
          this.#schedulePump();
          break;
        }
      }
      if (epoch.isOver) {
        this.#isOver = true;
        clearTimeout(this.#timer);
        this.#done.resolve();
        return;
      }
      clock?.enter("deal");
      this.#deal();
      clock?.enter("validate");
      epoch.flush();
      clock?.enter("idle");
      if (epoch.watermark !== before || this.#timer === undefined) this.#armStallTimer();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The watermark stands at something nobody works on: it is run here, with what follows in the same state. */
  #runExactly(): void {
    const { engine, env, txs } = this.#p;
    const epoch = this.#epoch;
    const from = epoch.watermark;
    const { conflict } = epoch;
    if (conflict !== undefined) {
      this.#learn(from, conflict, this.#plan.owners[from] as number);
      const isKnockOn = conflict.writer >= 0 && this.#ranBy[conflict.writer] === 0;
      this.#knockOns = isKnockOn ? Math.min(this.#knockOns + 1, KNOCK_ONS_MAX) : 0;
    }
    // One that fails because the one before it was run here is likely followed by more of them: from the second on ever
    // more are run together, results or not, so that a broken chain costs about what it costs serially.
    const together = this.#knockOns < 2 ? 0 : 1 << this.#knockOns;
    const end = Math.max(epoch.exactRange(EXACT_TXS_MAX).to, Math.min(epoch.count, from + together));
    let to = from;
    for (let gas = 0; to < end && this.#pending[to] === 0 && gas <= EXACT_GAS_MAX; to++) {
      gas += this.#plan.gas[to] as number;
      this.#ranBy[to] = 0;
      const discarded = epoch.record(to);
      this.#exactReasons[this.#exactReason(to, from, discarded !== undefined)]++;
      if (discarded !== undefined) this.#repair(discarded);
    }
    const { records } = engine.executePartial(env, txs.slice(from, to), epoch.reader(from), epoch.gasLeft, {
      bloom: true,
    });
    epoch.deliverExact(records);
  }

  #exactReason(index: number, from: number, hasResult: boolean): ExactReason {
    if ((this.#plan.owners[index] as number) < 0) return "planned";
    if (!hasResult) return "missing";
    return index === from ? "conflict" : "chain";
  }

  #learn(index: number, conflict: Conflict, seat: number): void {
    const { hints, planner } = this.#p;
    const { address, slot, writer, value } = conflict;
    planner.patterns.learnConflict(hints[index] as TxHint, hints[writer], address, slot);
    if (slot === undefined || value === undefined) return;
    this.#corrections[seat]?.set(address + slot, {
      address: fromHex(address),
      slot: fromHex(slot),
      value,
      writer,
      reader: index,
    });
  }

  #repair(record: TxRecord): void {
    for (const { key, slots } of effectsOf(record)) {
      let known = this.#repairs.get(key);
      if (known === undefined) {
        known = new Set();
        this.#repairs.set(key, known);
      }
      for (const slot of slots) known.add(slot.key);
    }
  }

  #deal(): void {
    for (const seat of this.#p.seats)
      while (seat.isLive && (this.#inFlight[seat.index] as number) < WINDOW)
        if (!this.#dealBatch(seat) && !this.#steal(seat)) break;
  }

  /**
   * Gives an executor that has nothing to do half of what the one with most left would do last, so far as it waits for
   * nobody there.
   */
  #steal(thief: ExecutorSeat): boolean {
    if ((this.#inFlight[thief.index] as number) > 0 || (this.#queues[thief.index] as number[]).length > 0) return false;
    let victim = -1;
    let most = STEAL_MICROS_MIN;
    for (const [seat, micros] of this.#queuedMicros.entries()) {
      if (seat === thief.index || micros <= most) continue;
      victim = seat;
      most = micros;
    }
    if (victim < 0) return false;
    const queue = this.#queues[victim] as number[];
    const taken: number[] = [];
    let micros = 0;
    for (let at = queue.length - 1; at >= 0 && queue.length - at <= LOOK_AHEAD && micros < most / 2; at--) {
      const index = queue[at] as number;
      if (!this.#isReady(index, thief.index)) continue;
      queue.splice(at, 1);
      taken.push(index);
      micros += this.#plan.micros[index] as number;
    }
    if (taken.length === 0) return false;
    this.#queuedMicros[victim] = most - micros;
    for (const index of taken.toReversed()) this.#enqueue(thief.index, index);
    this.#stolen += taken.length;
    return true;
  }

  /** Is there what the transaction waits for, or is it on its way to the same executor? */
  #isReady(index: number, seat: number): boolean {
    for (const before of this.#plan.before(index))
      if (
        !this.#epoch.isInstalled(before) &&
        before >= this.#epoch.watermark &&
        (this.#pending[before] !== seat + 1 || this.#isDealt[before] === 0)
      )
        return false;
    return true;
  }

  /** Sends the next batch; false when there is none. */
  #dealBatch(seat: ExecutorSeat): boolean {
    const epoch = this.#epoch;
    const { id, txs, hints } = this.#p;
    const queue = this.#queues[seat.index] as number[];
    const queued = this.#queuedMicros[seat.index] as number;
    const microsMax = Math.min(BATCH_MICROS_MAX, Math.max(BATCH_MICROS_MIN, queued * BATCH_SHARE));
    const indexes: number[] = [];
    /** What stays in the queue of what was looked at. */
    const held: number[] = [];
    let looked = 0;
    let micros = 0;
    let left = queued;
    while (looked < queue.length && looked < LOOK_AHEAD && indexes.length < BATCH_TXS_MAX && micros < microsMax) {
      const index = queue[looked++] as number;
      const expected = this.#plan.micros[index] as number;
      // What the block has no gas left for is refused at the watermark, not run.
      const isDone =
        index < epoch.watermark || epoch.isInstalled(index) || (hints[index]?.gasLimit ?? 0) > epoch.gasLeft;
      if (isDone) this.#pending[index] = 0;
      else if (!this.#isReady(index, seat.index)) {
        held.push(index);
        continue;
      } else {
        indexes.push(index);
        this.#isDealt[index] = 1;
        micros += expected;
      }
      left -= expected;
    }
    queue.splice(0, looked, ...held);
    this.#queuedMicros[seat.index] = queue.length === 0 ? 0 : left;
    if (indexes.length === 0) return false;
    const first = indexes[0] as number;
    const entries: StateEntry[] = [];
    const versions = this.#versionsFor(seat.index, indexes);
    for (const index of this.#p.areReading && !seat.isGuest ? [] : indexes) {
      const { sender } = txs[index] as TxInput;
      for (const address of [sender, hints[index]?.to]) {
        if (address === undefined) continue;
        if (seat.tellAccount(toHexKey(address)))
          this.#addEntry(seat, entries, { kind: "account", address, account: epoch.likelyAccount(address, first) });
      }
    }
    const batch = this.#p.nextBatch();
    this.#batchSeats.set(batch, seat.index);
    this.#batchIndexes.set(batch, indexes);
    this.#inFlight[seat.index] = (this.#inFlight[seat.index] as number) + 1;
    seat.send({
      kind: "run",
      epoch: id,
      batch,
      entries,
      versions,
      txs: indexes.map((index) => {
        const { raw, sender, l1FeeWei } = txs[index] as TxInput;
        return { index, raw, sender, l1FeeWei };
      }),
    });
    return true;
  }

  /** What an executor must know of results of others to run these. */
  #versionsFor(seat: number, indexes: readonly number[]): SlotVersion[] {
    const epoch = this.#epoch;
    const versions: SlotVersion[] = [];
    const corrections = this.#corrections[seat] as Map<string, SlotVersion>;
    versions.push(...corrections.values());
    corrections.clear();
    const told = this.#told[seat] as Map<number, TxRecord>;
    for (const index of indexes)
      for (const writer of this.#plan.before(index)) {
        if (this.#ranBy[writer] === seat + 1) continue;
        const record = epoch.record(writer);
        if (record === undefined || told.get(writer) === record) continue;
        told.set(writer, record);
        addVersions(versions, record, writer);
      }
    return versions;
  }

  #armStallTimer(): void {
    clearTimeout(this.#timer);
    const at = this.#epoch.watermark;
    const { shardSeats, seats } = this.#p;
    const awaited = shardSeats.map((seat) => this.#epoch.awaitedRound(seat.index));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#isOver) return;
      // Executors may be waiting for a shard: it comes first.
      const silent = shardSeats.filter(
        ({ index }) => awaited[index] !== undefined && this.#epoch.awaitedRound(index) === awaited[index],
      );
      for (const shard of silent) shard.drop(new Error("it does not answer"));
      if (silent.length === 0 && this.#epoch.watermark === at && (this.#pending[at] as number) > 0) {
        this.#stalls++;
        const seat = (this.#pending[at] as number) - 1;
        seats[seat]?.stalled();
        this.#passOver(seat);
        this.#pending[at] = 0;
      }
      this.#pump();
    }, this.#p.stallMs);
  }

  /** Deals what a silent or lost executor had to the others; without others it waits for the watermark. */
  #passOver(seat: number): void {
    const others = this.#p.seats.filter((s) => s.isLive && s.index !== seat);
    this.#queues[seat] = [];
    this.#queuedMicros[seat] = 0;
    this.#inFlight[seat] = 0;
    let next = 0;
    for (let index = this.#epoch.watermark; index < this.#epoch.count; index++) {
      if (this.#pending[index] !== seat + 1) continue;
      const other = others[next++ % Math.max(1, others.length)];
      this.#pending[index] = 0;
      if (other !== undefined) this.#enqueue(other.index, index);
    }
  }

  /** Tells the caches what came of the epoch: what changed, and what they may have taken from results that did not hold. */
  #tellExecutors(writes: StateWrites): void {
    const { state } = this.#p;
    const entries = entriesOf(writes);
    for (const [key, slots] of this.#repairs) {
      const address = fromHex(key);
      const net = writes.accounts.get(key);
      if (net === undefined) entries.push({ kind: "account", address, account: state.account(address) });
      for (const slotKey of slots) {
        if (net?.storage.has(slotKey) === true) continue;
        const slot = fromHex(slotKey);
        const value = net?.cleared === true ? ZERO_32 : state.storage(address, slot);
        entries.push({ kind: "slot", address, slot, value });
      }
    }
    tellAll(this.#p.seats, entries);
  }
}

/** Adds the slots that the transaction at `writer` left behind. */
function addVersions(versions: SlotVersion[], record: TxRecord, writer: number): void {
  const start = versions.length;
  record.forEachAccount((at, slotsAt, slotCount) => {
    for (let i = 0, slot = slotsAt; i < slotCount && versions.length - start < TOLD_SLOTS_MAX; i++, slot += SLOT.size)
      if (record.u32(slot + SLOT.written) !== 0)
        versions.push({
          address: record.slice(at + ACCOUNT.address, at + ACCOUNT.address + 20),
          slot: record.slice(slot + SLOT.key, slot + SLOT.key + 32),
          value: record.slice(slot + SLOT.value, slot + SLOT.value + 32),
          writer,
          reader: writer + 1,
        });
  });
}

/** Tells every executor what is known better now. */
export function tellAll(seats: readonly ExecutorSeat[], entries: readonly StateEntry[]): void {
  const live = seats.filter((seat) => seat.isLive);
  if (entries.length === 0 || live.length === 0) return;
  const bytes = encodeToExecutor({ kind: "update", entries });
  for (const [i, seat] of live.entries()) seat.sendEncoded(i === live.length - 1 ? bytes : bytes.slice());
}

/** A write set as entries for caches. */
export function entriesOf(writes: StateWrites): StateEntry[] {
  const entries: StateEntry[] = [];
  for (const [key, write] of writes.accounts) {
    const address = fromHex(key);
    entries.push({ kind: "account", address, account: write.account });
    for (const [slot, value] of write.storage) entries.push({ kind: "slot", address, slot: fromHex(slot), value });
  }
  for (const [hash, code] of writes.codes) entries.push({ kind: "code", codeHash: fromHex(hash), code });
  return entries;
}
