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
import { DealQueues } from "./deal-queues.ts";
import { hasEffect } from "./effects.ts";
import { Epoch, type EpochStats } from "./epoch.ts";
import type { Conflict } from "./epoch-shard.ts";
import { tellAll } from "./executor-news.ts";
import type { ExecutorSeat } from "./executor-seat.ts";
import type { TxHint } from "./hints.ts";
import { encodeRun, type FromExecutor, type News, type SlotVersion, type StateEntry } from "./messages.ts";
import type { Plan, Planner } from "./planner.ts";
import type { Answer } from "./shard-messages.ts";
import type { ShardSeat } from "./shard-seat.ts";
import type { StageClock } from "./stage-clock.ts";

/** Batches an executor may have waiting: one to run, one to go on with. */
const WINDOW = 2;
const RETRIES_MAX = 2;
/** Transactions run at the watermark in one go, and for how long before others get the thread. */
const EXACT_TXS_MAX = 128;
const EXACT_GAS_MAX = 10_000_000;
const KNOCK_ONS_MAX = 7;
const EXACT_SLICE_MS = 8;
/** Looks for stalls in the time after which something counts as one. */
const LOOKS = 4;
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
  readonly clock: StageClock;
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
  /** Time of validation in shards elsewhere, and the accounts and slots it was for, there and here. */
  readonly validation: { readonly remoteMicros: number; readonly accesses: number };
};

export class EpochRun {
  readonly #p: EpochRunInput;
  readonly #epoch: Epoch;
  readonly #plan: Plan;
  readonly #queues: DealQueues;
  readonly #inFlight: number[];
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
  /** How long the watermark stands where it stands, and each shard's round is awaited. */
  readonly #stood = new Standstill();
  readonly #awaited: readonly Standstill[];
  #isPumpDue = false;
  #isOver = false;
  #executorMicros = 0;
  #stalls = 0;
  readonly #seatMicros: number[];
  readonly #exactReasons = { conflict: 0, chain: 0, planned: 0, missing: 0 };
  /** Conflicts in a row, each over what had to be run here. */
  #knockOns = 0;
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
    this.#queues = new DealQueues(p.plan, p.seats.length, this.#epoch);
    this.#seatMicros = p.seats.map(() => 0);
    this.#inFlight = p.seats.map(() => 0);
    this.#corrections = p.seats.map(() => new Map());
    this.#told = p.seats.map(() => new Map());
    this.#ranBy = new Int16Array(count);
    this.#retries = new Uint8Array(count);
    this.#awaited = p.shardSeats.map(() => new Standstill());
    let resolve: () => void = () => undefined;
    let reject: (error: unknown) => void = () => undefined;
    const promise = new Promise<void>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    this.#done = { resolve, reject, promise };
  }

  async run(): Promise<EpochOutcome> {
    const { seats, id, env } = this.#p;
    for (const seat of seats) {
      if (seat.isLive) seat.send({ kind: "epoch", epoch: id, env });
      else this.#passOver(seat.index);
    }
    this.#armStallTimer();
    this.#pump();
    try {
      await this.#done.promise;
      return this.#outcome();
    } finally {
      this.#epoch.close();
    }
  }

  #outcome(): EpochOutcome {
    this.#p.clock.enter("settle");
    const results = this.#epoch.results();
    const { hints, planner } = this.#p;
    for (let i = 0; i < results.length; i++) {
      const result = results[i] as TxResult;
      if (result.included) planner.patterns.observe(hints[i] as TxHint, result.gasUsed, this.#epoch.record(i));
    }
    const writes = this.#epoch.net();
    this.#tellExecutors(writes);
    this.#p.clock.enter("idle");
    return {
      results,
      writes,
      stats: this.#epoch.stats,
      plan: this.#plan,
      executorMicros: this.#executorMicros,
      stalls: this.#stalls,
      stolen: this.#queues.stolen,
      seatMicros: this.#seatMicros,
      exactReasons: this.#exactReasons,
      validation: {
        remoteMicros: this.#remoteMicros,
        accesses: this.#epoch.accesses + this.#remoteAccesses,
      },
    };
  }

  /** A message of the executor at `seat`. */
  received(seat: number, message: FromExecutor): void {
    if (this.#isOver || message.epoch !== this.#p.id) return;
    const { clock } = this.#p;
    try {
      const left = clock.enter(message.kind === "need" ? "answer" : "take");
      if (message.kind === "need") this.#answer(this.#p.seats[seat] as ExecutorSeat, message.batch, message.keys);
      else this.#take(seat, message);
      clock.enter(left);
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
    this.#queues.returned(seat, this.#batchIndexes.get(message.batch) ?? []);
    this.#batchIndexes.delete(message.batch);
    this.#observeTime(seat, message);
    for (let i = 0; i < message.indexes.length; i++) {
      const index = message.indexes[i] as number;
      if (index >= epoch.count) continue;
      const record = message.records[i] as TxRecord;
      if (epoch.deliver(index, message.batch, record) === "ignored") this.#repair(record);
      else {
        this.#ranBy[index] = seat + 1;
        this.#queues.came(index);
      }
    }
  }

  /** Deals results that do not hold again, to whoever ran them, with what is right. */
  #dealStaleAgain(): void {
    for (const { index, conflict } of this.#epoch.takeStale()) {
      this.#repair(this.#epoch.record(index) as TxRecord);
      const seat = (this.#ranBy[index] as number) - 1;
      this.#learn(index, conflict, seat);
      const retries = this.#retries[index] as number;
      const isPending = this.#queues.seatOf(index) !== undefined;
      if (retries >= RETRIES_MAX || isPending || this.#p.seats[seat]?.isLive !== true) continue;
      this.#retries[index] = retries + 1;
      this.#queues.again(seat, index);
    }
  }

  /** Tells the planner how long a batch took. */
  #observeTime(seat: number, { indexes, records, micros }: Extract<FromExecutor, { kind: "done" }>): void {
    const gasUsed: number[] = [];
    for (const record of records) gasUsed.push(record.gasUsed);
    this.#p.planner.observeTime(seat, this.#plan, indexes, gasUsed, micros);
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
      clock.enter("validate");
      epoch.advance();
      this.#dealStaleAgain();
      if (this.#mustRunExactly) {
        clock.enter("deal");
        this.#deal();
        clock.enter("exact");
        const sliceEndMs = performance.now() + EXACT_SLICE_MS;
        do {
          this.#runExactly();
          if (performance.now() > sliceEndMs) {
            this.#schedulePump();
            break;
          }
        } while (this.#mustRunExactly);
      }
      if (epoch.isOver) {
        this.#isOver = true;
        clearTimeout(this.#timer);
        this.#done.resolve();
        return;
      }
      clock.enter("deal");
      this.#deal();
      if (this.#p.shardSeats.length > 0) {
        clock.enter("validate");
        epoch.flush();
      }
      clock.enter("idle");
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The watermark stands at something nobody works on. */
  get #mustRunExactly(): boolean {
    const epoch = this.#epoch;
    const { watermark } = epoch;
    return !epoch.isDone && this.#queues.seatOf(watermark) === undefined && !epoch.isInstalled(watermark);
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
    for (let gas = 0; to < end && this.#queues.seatOf(to) === undefined && gas <= EXACT_GAS_MAX; to++) {
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
    record.forEachAccount((at, slotsAt, slotCount) => {
      if (!hasEffect(record, at)) return;
      const key = record.hex(at + ACCOUNT.address, 20);
      let known = this.#repairs.get(key);
      if (known === undefined) {
        known = new Set();
        this.#repairs.set(key, known);
      }
      for (let n = 0, slot = slotsAt; n < slotCount; n++, slot += SLOT.size) known.add(record.hex(slot + SLOT.key, 32));
    });
  }

  #deal(): void {
    this.#queues.passed();
    for (const seat of this.#p.seats)
      while (seat.isLive && (this.#inFlight[seat.index] as number) < WINDOW)
        if (!this.#dealBatch(seat) && (this.#inFlight[seat.index] !== 0 || !this.#queues.steal(seat.index))) break;
  }

  readonly #isRefused = (index: number): boolean => (this.#p.hints[index]?.gasLimit ?? 0) > this.#epoch.gasLeft;

  /** Sends the next batch; false when there is none. */
  #dealBatch(seat: ExecutorSeat): boolean {
    const { id, txs } = this.#p;
    const indexes = this.#queues.take(seat.index, this.#isRefused);
    if (indexes.length === 0) return false;
    const batch = this.#p.nextBatch();
    this.#batchSeats.set(batch, seat.index);
    this.#batchIndexes.set(batch, indexes);
    this.#inFlight[seat.index] = (this.#inFlight[seat.index] as number) + 1;
    const corrections = this.#corrections[seat.index] as Map<string, SlotVersion>;
    seat.sendEncoded(
      encodeRun({
        epoch: id,
        batch,
        entries: this.#p.areReading && !seat.isGuest ? [] : this.#entriesFor(seat, indexes),
        versions: corrections.values(),
        news: this.#newsFor(seat.index, indexes),
        indexes,
        txs: indexes.map((index) => txs[index] as TxInput),
      }),
    );
    corrections.clear();
    return true;
  }

  /** Accounts it is likely to ask for. */
  #entriesFor(seat: ExecutorSeat, indexes: readonly number[]): StateEntry[] {
    const { txs, hints } = this.#p;
    const first = indexes[0] as number;
    const entries: StateEntry[] = [];
    for (const index of indexes) {
      const { sender, raw } = txs[index] as TxInput;
      const toAt = hints[index]?.toAt ?? -1;
      for (const address of toAt < 0 ? [sender] : [sender, raw.subarray(toAt, toAt + 20)])
        if (seat.tellAccount(toHexKey(address)))
          this.#addEntry(seat, entries, {
            kind: "account",
            address,
            account: this.#epoch.likelyAccount(address, first),
          });
    }
    return entries;
  }

  /** Results of others that an executor must know of to run these. */
  #newsFor(seat: number, indexes: readonly number[]): News[] {
    const epoch = this.#epoch;
    const news: News[] = [];
    const told = this.#told[seat] as Map<number, TxRecord>;
    const { before, firstBefore } = this.#plan;
    for (const index of indexes)
      for (let edge = firstBefore[index] as number; edge < (firstBefore[index + 1] as number); edge++) {
        const writer = before[edge] as number;
        if (this.#ranBy[writer] === seat + 1) continue;
        const record = epoch.record(writer);
        if (record === undefined || told.get(writer) === record) continue;
        told.set(writer, record);
        news.push({ writer, record });
      }
    return news;
  }

  /**
   * Looks now and then whether anybody holds the watermark up. One timer for all: to start it again with every result
   * would cost more than the looks.
   */
  #armStallTimer(): void {
    this.#timer = setTimeout(() => {
      if (this.#isOver) return;
      try {
        if (this.#hasStalled(performance.now())) this.#pump();
      } catch (error) {
        this.#fail(error);
      }
      if (!this.#isOver) this.#armStallTimer();
    }, this.#p.stallMs / LOOKS);
  }

  /** Passes over who holds the watermark up; false: nobody does. */
  #hasStalled(nowMs: number): boolean {
    const { shardSeats, seats, stallMs } = this.#p;
    // Executors may be waiting for a shard: it comes first.
    let isShardSilent = false;
    for (const shard of shardSeats) {
      const round = this.#epoch.awaitedRound(shard.index);
      if (!this.#awaited[shard.index]?.isOverdue(round ?? -1, nowMs, stallMs) || round === undefined) continue;
      isShardSilent = true;
      shard.drop(new Error("it does not answer"));
    }
    const at = this.#epoch.watermark;
    const isOverdue = this.#stood.isOverdue(at, nowMs, stallMs);
    const seat = this.#queues.seatOf(at);
    if (!isOverdue || isShardSilent || seat === undefined) return isShardSilent;
    this.#stalls++;
    seats[seat]?.stalled();
    this.#passOver(seat);
    this.#queues.giveUp(at);
    return true;
  }

  /** Deals what a silent or lost executor had to the others; without others it waits for the watermark. */
  #passOver(seat: number): void {
    const others = this.#p.seats.filter((s) => s.isLive && s.index !== seat);
    this.#inFlight[seat] = 0;
    this.#queues.passOver(
      seat,
      others.map(({ index }) => index),
    );
  }

  /** Tells the caches what came of the epoch: what changed, and what they may have taken from results that did not hold. */
  #tellExecutors(writes: StateWrites): void {
    const { state } = this.#p;
    const entries: StateEntry[] = [];
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
    tellAll(this.#p.seats, writes, entries);
  }
}

/** Since when something has not moved, as far as anybody looked. */
class Standstill {
  #at = Number.NaN;
  #sinceMs = 0;

  isOverdue(at: number, nowMs: number, afterMs: number): boolean {
    if (at === this.#at) return nowMs - this.#sinceMs >= afterMs;
    this.#at = at;
    this.#sinceMs = nowMs;
    return false;
  }
}
