/**
 * Owns the coordinator's end of one epoch in a key shard elsewhere. What there is to tell gathers until it is flushed as
 * one round; a few rounds may be on their way. Pure: knows no link and no clock.
 * Invariant: what a shard said of the epoch counts only as far as it knew the results: its frontier, and the conflict
 * there, are those of results it has, so nothing from the first result on that it has not answered for is believed.
 * On failure (an answer out of turn, lost rounds): whoever holds it goes on with its part here.
 * @see docs/decisions/0026-key-shards-over-links.md
 */
import { toHexKey } from "../../base/bytes.ts";
import type { StateWrites } from "../../protocol/state-writes.ts";
import type { StateReader } from "../execution.ts";
import { ACCOUNT, SLOT } from "../wasm/layout.ts";
import type { TxRecord } from "../wasm/result.ts";
import type { Conflict, EpochShard, ShardRead } from "./epoch-shard.ts";
import type { StateEntry } from "./messages.ts";
import {
  type Answer,
  consequentialAccounts,
  correct,
  encodeRound,
  type Part,
  partSizeBytes,
} from "./shard-messages.ts";

/** One is worked on while the next one travels. */
const ROUNDS_MAX = 2;
/** A round ends at this size: far below what a frame may be. */
const ROUND_BYTES_MAX = 16 * 1024 * 1024;

type SentRound = {
  readonly round: number;
  /** Lowest transaction in it. */
  readonly from: number;
  readonly reads: readonly ShardRead[];
};

export type RemoteShardInput = {
  readonly epoch: number;
  readonly count: number;
  /** State before the epoch: what the shard needs of it is sent along. Undefined: the shard has it. */
  readonly base: StateReader | undefined;
  readonly send: (message: Uint8Array) => void;
  /** The newest result of a transaction. */
  readonly record: (index: number) => TxRecord | undefined;
};

export class RemoteShard implements EpochShard {
  readonly #p: RemoteShardInput;
  readonly #unsent = new Map<number, Part>();
  #unsentFrom = Number.POSITIVE_INFINITY;
  #unsentReads: ShardRead[] = [];
  #sent: readonly SentRound[] = [];
  #nextRound = 0;
  /** By transaction: the round its part was last sent in. */
  readonly #sentIn: Int32Array;
  /** Slots whose value before the epoch was sent, by account. */
  readonly #told = new Map<string, Set<string>>();
  #frontier = 0;
  #conflict: Conflict | undefined;
  #settledTo = 0;
  #net: StateWrites | undefined;

  constructor(p: RemoteShardInput) {
    this.#p = p;
    this.#sentIn = new Int32Array(p.count).fill(-1);
  }

  /** The oldest round it has not answered. */
  get awaitedRound(): number | undefined {
    return this.#sent[0]?.round;
  }

  /** All is final here, corrected, and the net effect is known. */
  get isOver(): boolean {
    return this.#net !== undefined;
  }

  install(index: number, record: TxRecord | undefined, accounts: readonly number[] | undefined): void {
    this.#unsent.set(index, { index, record, accounts: consequentialAccounts({ record, accounts }) });
    this.#unsentFrom = Math.min(this.#unsentFrom, index);
  }

  advance(): number {
    return Math.min(this.#frontier, this.#unansweredFrom());
  }

  conflict(index: number): Conflict | undefined {
    return index === this.#frontier && index < this.#unansweredFrom() ? this.#conflict : undefined;
  }

  /** It comes with an answer. */
  staleSlot(): undefined {
    return undefined;
  }

  read(read: ShardRead): void {
    this.#unsentReads.push(read);
  }

  /** It came with an answer. */
  net(): StateWrites {
    return this.#net as StateWrites;
  }

  /** Sends what there is to tell, and in the end asks for what is left. */
  flush(watermark: number): void {
    const { count } = this.#p;
    while (this.#sent.length < ROUNDS_MAX) {
      const isNews = this.#unsent.size > 0 || this.#unsentReads.length > 0;
      const isToEnd = watermark === count && this.#net === undefined && this.#sent.length === 0;
      if (!isNews && !isToEnd) return;
      this.#sendRound(watermark);
    }
  }

  #sendRound(watermark: number): void {
    const { epoch, count, send } = this.#p;
    const round = this.#nextRound++;
    const reads = this.#unsentReads;
    this.#unsentReads = [];
    const base: StateEntry[] = [];
    const parts: Part[] = [];
    let size = 0;
    let from = Number.POSITIVE_INFINITY;
    for (const part of this.#unsent.values()) {
      if (size >= ROUND_BYTES_MAX) break;
      size += partSizeBytes(part);
      parts.push(part);
      from = Math.min(from, part.index);
      this.#sentIn[part.index] = round;
      this.#addBase(base, part);
    }
    for (const { key } of reads)
      this.#addKey(base, toHexKey(key.address), key.address, key.kind === "slot" ? key.slot : undefined);
    if (parts.length === this.#unsent.size) {
      this.#unsent.clear();
      this.#unsentFrom = Number.POSITIVE_INFINITY;
    } else {
      for (const { index } of parts) this.#unsent.delete(index);
      this.#unsentFrom = Number.POSITIVE_INFINITY;
      for (const index of this.#unsent.keys()) this.#unsentFrom = Math.min(this.#unsentFrom, index);
    }
    this.#sent = [...this.#sent, { round, from, reads }];
    // Results below the watermark are final only if the shard has them.
    send(encodeRound({ epoch, round, count, watermark: Math.min(watermark, this.#unsentFrom), base, parts, reads }));
  }

  #addBase(base: StateEntry[], { record, accounts = [] }: Part): void {
    if (record === undefined || this.#p.base === undefined) return;
    for (const at of accounts) {
      const address = record.slice(at + ACCOUNT.address, at + ACCOUNT.address + 20);
      const key = toHexKey(address);
      this.#addKey(base, key, address, undefined);
      let slot = at + ACCOUNT.size;
      for (let n = record.u32(at + ACCOUNT.slotCount); n > 0; n--, slot += SLOT.size)
        this.#addKey(base, key, address, record.slice(slot + SLOT.key, slot + SLOT.key + 32));
    }
  }

  /** The value before the epoch of a key that is named for the first time. */
  #addKey(base: StateEntry[], key: string, address: Uint8Array, slot: Uint8Array | undefined): void {
    const state = this.#p.base;
    if (state === undefined) return;
    let slots = this.#told.get(key);
    if (slots === undefined) {
      slots = new Set();
      this.#told.set(key, slots);
      base.push({ kind: "account", address, account: state.account(address) });
    }
    if (slot === undefined) return;
    const slotKey = toHexKey(slot);
    if (slots.has(slotKey)) return;
    slots.add(slotKey);
    base.push({ kind: "slot", address, slot, value: state.storage(address, slot) });
  }

  /**
   * Takes an answer. Returns what it tells to be stale, or undefined when the shard is out of step and not to be listened
   * to any more. An answer that comes twice tells nothing.
   */
  received(answer: Answer): { readonly index: number; readonly conflict: Conflict }[] | undefined {
    const awaited = this.#sent[0];
    if (answer.round < (awaited?.round ?? this.#nextRound)) return [];
    if (
      awaited === undefined ||
      answer.round !== awaited.round ||
      answer.values.length !== awaited.reads.length ||
      answer.frontier > this.#p.count ||
      answer.settledTo < this.#settledTo
    )
      return undefined;
    for (const correction of answer.corrections) {
      const record = correction.index < answer.settledTo ? this.#p.record(correction.index) : undefined;
      if (record === undefined || !correct(record, correction)) return undefined;
    }
    this.#sent = this.#sent.slice(1);
    this.#frontier = answer.frontier;
    this.#conflict = answer.conflict;
    this.#settledTo = answer.settledTo;
    if (answer.settledTo === this.#p.count) this.#net = answer.net;
    for (const [i, read] of awaited.reads.entries()) read.done(answer.values[i] as StateEntry);
    return answer.stale.filter(({ index }) => !this.#unsent.has(index) && this.#sentIn[index] === answer.round);
  }

  /** Reads nobody has answered. */
  unansweredReads(): ShardRead[] {
    return [...this.#sent.flatMap(({ reads }) => reads), ...this.#unsentReads];
  }

  /** First transaction whose newest part the shard has not answered for. */
  #unansweredFrom(): number {
    let from = this.#unsentFrom;
    for (const round of this.#sent) from = Math.min(from, round.from);
    return from;
  }
}
