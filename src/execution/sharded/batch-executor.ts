/**
 * Owns an executor: runs the batches it is dealt on what it believes the state to be, and answers with records. It keeps
 * a cache and nothing else; killing it loses time only. A transaction that misses a key waits while those behind it run
 * (whether they depended on it shows in validation); all keys missed in a round are asked for at once.
 */
import { performance } from "node:perf_hooks";
import { toHexKey } from "../../base/bytes.ts";
import type { BlockEnv, MissingKey } from "../execution.ts";
import { Output, TxRecord } from "../wasm/result.ts";
import type { WasmEngine } from "../wasm/wasm.ts";
import { type DealtTx, decodeToExecutor, encodeDone, encodeNeed, isUpdate } from "./messages.ts";
import { type OwnState, StateCache } from "./state-cache.ts";

/** Transactions run in one call: one that misses a key costs those behind it in the call a second start. */
const CALL_TXS_MAX = 16;

type Job = {
  readonly epoch: number;
  readonly batch: number;
  waiting: readonly DealtTx[];
  readonly indexes: number[];
  /** Their records, as the machine wrote them. */
  readonly records: Uint8Array[];
  micros: number;
  /** Keys asked for: what misses one of them again is left to the watermark, since nobody knows it. */
  readonly asked: Set<string>;
  isAsking: boolean;
};

export class BatchExecutor {
  readonly #engine: WasmEngine;
  readonly #send: (message: Uint8Array) => void;
  readonly #cache: StateCache;
  #jobs: Job[] = [];
  #epoch = -1;
  #env: BlockEnv | undefined;

  /** `send` takes over the message's buffer. `own`: a state it can read itself. */
  constructor(engine: WasmEngine, send: (message: Uint8Array) => void, own?: OwnState) {
    this.#engine = engine;
    this.#send = send;
    this.#cache = new StateCache(own);
  }

  /** @throws {CodecError} when the message is none. */
  receive(bytes: Uint8Array): void {
    if (isUpdate(bytes)) {
      this.#cache.tell(bytes);
      return;
    }
    const message = decodeToExecutor(bytes);
    switch (message.kind) {
      case "epoch":
        this.#epoch = message.epoch;
        this.#env = message.env;
        this.#jobs = [];
        this.#cache.beginEpoch();
        return;
      case "run":
        this.#cache.take(message.entries);
        if (message.epoch !== this.#epoch) return;
        this.#cache.takeVersions(message.versions);
        this.#jobs.push({
          epoch: message.epoch,
          batch: message.batch,
          waiting: message.txs,
          indexes: [],
          records: [],
          micros: 0,
          asked: new Set(),
          isAsking: false,
        });
        this.#runAll();
        return;
      case "state": {
        this.#cache.take(message.entries);
        const job = this.#jobs.find((j) => j.epoch === message.epoch && j.batch === message.batch);
        if (job !== undefined) job.isAsking = false;
        this.#runAll();
        return;
      }
      case "update":
        return; // taken as it is, see above
      case "forget":
        this.#cache.forget();
        return;
    }
  }

  #runAll(): void {
    for (const job of this.#jobs) if (!job.isAsking) this.#round(job);
    this.#jobs = this.#jobs.filter((job) => job.isAsking);
  }

  #round(job: Job): void {
    const startMs = performance.now();
    const suspended: DealtTx[] = [];
    const missing = new Map<string, MissingKey>();
    const txs = job.waiting;
    for (let at = 0; at < txs.length; ) {
      const call = txs.slice(at, this.#callEnd(txs, at));
      const { bytes, count, missing: key } = this.#run(job, call);
      at += count;
      if (bytes.length > 0) job.records.push(bytes);
      if (count === call.length) continue;
      if (key !== undefined) {
        const name = keyText(key);
        if (!job.asked.has(name)) {
          missing.set(name, key);
          suspended.push(txs[at] as DealtTx);
        }
        at++;
      } else if (count === 0) at++; // too large for the machine: left to the watermark
    }
    job.micros += Math.round((performance.now() - startMs) * 1_000);
    job.waiting = suspended;
    for (const key of missing.keys()) job.asked.add(key);
    if (suspended.length > 0) {
      job.isAsking = true;
      this.#send(encodeNeed(job.epoch, job.batch, [...missing.values()]));
    } else this.#send(encodeDone(job));
  }

  /** Runs one call and takes its effects. */
  #run(job: Job, call: readonly DealtTx[]): { bytes: Uint8Array; count: number; missing: MissingKey | undefined } {
    const cache = this.#cache;
    cache.readAt((call[0] as DealtTx).index);
    const ran = this.#engine.executeRecords(this.#env as BlockEnv, call, cache, Number.MAX_SAFE_INTEGER, {
      assumeNonce: true,
      bloom: true,
    });
    const output = new Output(ran.bytes);
    for (let i = 0, from = 0; i < ran.count; i++) {
      const { index } = call[i] as DealtTx;
      const record = new TxRecord(output, from);
      from += record.size;
      job.indexes.push(index);
      cache.apply(record, index);
    }
    return ran;
  }

  /**
   * Where the call that starts at `from` ends: within a call the machine goes on with what it read first, so nothing may
   * be known to be written in between.
   */
  #callEnd(txs: readonly DealtTx[], from: number): number {
    const first = (txs[from] as DealtTx).index;
    let before = first;
    let to = from + 1;
    for (; to < txs.length && to - from < CALL_TXS_MAX; to++) {
      const { index } = txs[to] as DealtTx;
      if (index < before || this.#cache.isWrittenBetween(first, index)) break;
      before = index;
    }
    return to;
  }
}

function keyText(key: MissingKey): string {
  if (key.kind === "account") return toHexKey(key.address);
  if (key.kind === "slot") return toHexKey(key.address) + toHexKey(key.slot);
  return key.kind === "code" ? `code ${toHexKey(key.codeHash)}` : `block ${key.number}`;
}
