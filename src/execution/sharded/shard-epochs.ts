/**
 * Owns a key shard's side of the epochs validated in it: takes rounds, keeps the versions of its keys over the state
 * before the epoch, and answers with how far results hold, what is stale and what is right, and in the end with the
 * corrections and the net effect. It keeps one epoch, the newest: its memory is that of the epoch's results, which the
 * gas of the block bounds, each at most as often as it was run. A round that comes twice is dropped; one that is missing
 * or wrong is an error and ends the shard, whose part the coordinator then does without it.
 * @see docs/decisions/0026-key-shards-over-links.md
 */
import { performance } from "node:perf_hooks";
import { assert } from "../../base/assert.ts";
import { toHexKey } from "../../base/bytes.ts";
import { defineErrors } from "../../base/error.ts";
import type { Account, StateReader } from "../execution.ts";
import { KeyVersions } from "./key-versions.ts";
import type { StateEntry } from "./messages.ts";
import {
  type Answer,
  type Correction,
  correctionOf,
  decodeRound,
  encodeAnswer,
  type Part,
  type Round,
} from "./shard-messages.ts";

/** Corrections in one answer: below ten megabytes. The rest go with later ones. */
const CORRECTIONS_MAX = 50_000;

const keyShardError = defineErrors("KeyShard", {
  SHARD_ROUND_LOST: {
    summary: "A key shard missed a message of the coordinator.",
    action: "Nothing: it is replaced, and the coordinator validates its part of the epoch itself.",
    retryable: true,
  },
  SHARD_BASE_UNKNOWN: {
    summary: "A key shard was given a result without the values its keys had before the epoch.",
    action: "Report it: the coordinator sends them along. The epoch goes on without the shard.",
    retryable: false,
  },
});

export class ShardEpochs {
  readonly #send: (message: Uint8Array) => void;
  readonly #state: StateReader | undefined;
  #epoch: OpenEpoch | undefined;

  /** `send` takes over the message's buffer. `state`: state before the epochs, for a shard that has it itself. */
  constructor(send: (message: Uint8Array) => void, state?: StateReader) {
    this.#send = send;
    this.#state = state;
  }

  /** @throws {CodecError} @throws {KeyShardError} SHARD_ROUND_LOST, SHARD_BASE_UNKNOWN */
  receive(bytes: Uint8Array): void {
    const round = decodeRound(bytes);
    if (round.round === 0 && round.epoch !== this.#epoch?.id) {
      this.#epoch?.close();
      this.#epoch = new OpenEpoch(round, this.#state);
    }
    const epoch = this.#epoch;
    if (epoch === undefined || round.epoch !== epoch.id) return;
    const answer = epoch.take(round);
    if (answer !== undefined) this.#send(encodeAnswer(answer));
  }
}

class OpenEpoch {
  readonly id: number;
  readonly #count: number;
  readonly #base: GivenState | undefined;
  readonly #shard: KeyVersions;
  /** Current parts, for their settlement. */
  readonly #parts: (Part | undefined)[];
  #next = 0;
  #settledTo = 0;

  constructor({ epoch, count }: Round, state: StateReader | undefined) {
    this.id = epoch;
    this.#count = count;
    this.#base = state === undefined ? new GivenState() : undefined;
    this.#shard = new KeyVersions(state ?? (this.#base as GivenState), count);
    this.#parts = Array.from({ length: count });
  }

  close(): void {
    this.#shard.close();
  }

  take(round: Round): Answer | undefined {
    if (round.round < this.#next) return undefined;
    if (round.round > this.#next)
      throw keyShardError("SHARD_ROUND_LOST", `round ${round.round} comes where ${this.#next} was due`, {
        round: round.round,
        due: this.#next,
      });
    this.#next++;
    const startMs = performance.now();
    const shard = this.#shard;
    const accessesBefore = shard.accesses;
    this.#base?.take(round.base);
    for (const part of round.parts) {
      assert(part.index >= this.#settledTo, "what is final is not replaced");
      this.#parts[part.index] = part;
      shard.install(part.index, part.record, part.accounts);
    }
    const stale: { index: number; conflict: NonNullable<Answer["conflict"]> }[] = [];
    for (const { index } of round.parts) {
      const conflict = index < round.watermark ? undefined : shard.staleSlot(index);
      if (conflict !== undefined) stale.push({ index, conflict });
    }
    const frontier = shard.advance();
    const values: StateEntry[] = [];
    for (const { index, key } of round.reads) shard.read({ index, key, done: (entry) => values.push(entry) });
    const corrections = this.#settle(Math.min(round.watermark, frontier));
    const isOver = this.#settledTo === this.#count;
    // Codes stay with the coordinator; which of them were made is told by their hashes.
    const net = isOver ? shard.net() : undefined;
    return {
      epoch: this.id,
      round: round.round,
      frontier,
      conflict: frontier < this.#count ? shard.conflict(frontier) : undefined,
      stale,
      values,
      settledTo: this.#settledTo,
      corrections,
      net,
      micros: Math.round((performance.now() - startMs) * 1_000),
      accesses: shard.accesses - accessesBefore,
    };
  }

  /** Corrects final results up to `to`, as many as go into an answer; what was other than it is to be. */
  #settle(to: number): Correction[] {
    const corrections: Correction[] = [];
    while (this.#settledTo < to && corrections.length < CORRECTIONS_MAX) {
      const index = this.#settledTo++;
      const { record } = this.#parts[index] as Part;
      if (record === undefined) continue;
      for (const at of this.#shard.settlePart(index, record)) corrections.push(correctionOf(index, record, at));
    }
    return corrections;
  }
}

/** State before the epoch, as the coordinator sends it along. */
class GivenState implements StateReader {
  readonly #accounts = new Map<string, Account | undefined>();
  readonly #slots = new Map<string, Uint8Array>();

  take(entries: readonly StateEntry[]): void {
    for (const entry of entries)
      if (entry.kind === "account") this.#accounts.set(toHexKey(entry.address), entry.account);
      else if (entry.kind === "slot") this.#slots.set(toHexKey(entry.address) + toHexKey(entry.slot), entry.value);
  }

  account(address: Uint8Array): Account | undefined {
    const key = toHexKey(address);
    const account = this.#accounts.get(key);
    if (account === undefined && !this.#accounts.has(key)) throw unknown(key);
    return account;
  }
  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    const key = toHexKey(address) + toHexKey(slot);
    const value = this.#slots.get(key);
    if (value === undefined) throw unknown(key);
    return value;
  }
  code(codeHash: Uint8Array): Uint8Array {
    throw unknown(toHexKey(codeHash));
  }
  blockHash(number: number): Uint8Array {
    throw unknown(`block ${number}`);
  }
}

function unknown(key: string): Error {
  return keyShardError("SHARD_BASE_UNKNOWN", `nothing was said about ${key}`, { key });
}
