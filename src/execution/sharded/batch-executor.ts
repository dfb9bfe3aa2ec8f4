/**
 * Owns an executor: runs the batches it is dealt on what it believes the state to be, and answers with records. It keeps
 * a cache and nothing else; killing it loses time only. A transaction that misses a key waits while those behind it run
 * (whether they depended on it shows in validation); all keys missed in a round are asked for at once.
 */
import { performance } from "node:perf_hooks";
import { toHexKey } from "../../base/bytes.ts";
import type { BlockEnv, MissingKey } from "../execution.ts";
import type { TxRecord } from "../wasm/result.ts";
import type { WasmEngine } from "../wasm/wasm.ts";
import { type DealtTx, decodeToExecutor, encodeDone, encodeNeed } from "./messages.ts";
import { StateCache } from "./state-cache.ts";

/** Transactions run in one call: one that misses a key costs those behind it in the call a second start. */
const CALL_TXS_MAX = 16;

type Job = {
  readonly epoch: number;
  readonly batch: number;
  waiting: readonly DealtTx[];
  readonly indexes: number[];
  readonly records: TxRecord[];
  micros: number;
  /** Keys asked for: what misses one of them again is left to the watermark, since nobody knows it. */
  readonly asked: Set<string>;
  isAsking: boolean;
};

export class BatchExecutor {
  readonly #engine: WasmEngine;
  readonly #send: (message: Uint8Array) => void;
  readonly #cache = new StateCache();
  #jobs: Job[] = [];
  #epoch = -1;
  #env: BlockEnv | undefined;

  /** `send` takes over the message's buffer. */
  constructor(engine: WasmEngine, send: (message: Uint8Array) => void) {
    this.#engine = engine;
    this.#send = send;
  }

  /** @throws {CodecError} when the message is none. */
  receive(bytes: Uint8Array): void {
    const message = decodeToExecutor(bytes);
    switch (message.kind) {
      case "epoch":
        this.#epoch = message.epoch;
        this.#env = message.env;
        this.#jobs = [];
        this.#cache.forgetBlockHashes();
        return;
      case "run":
        this.#cache.take(message.entries);
        if (message.epoch !== this.#epoch) return;
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
        this.#cache.take(message.entries);
        return;
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
    const env = this.#env as BlockEnv;
    const suspended: DealtTx[] = [];
    const missing = new Map<string, MissingKey>();
    let rest = job.waiting;
    while (rest.length > 0) {
      const call = rest.slice(0, CALL_TXS_MAX);
      const part = this.#engine.executePartial(env, call, this.#cache, Number.MAX_SAFE_INTEGER, {
        assumeNonce: true,
        bloom: true,
      });
      for (const [i, record] of part.records.entries()) {
        if (record === undefined) continue;
        job.indexes.push((rest[i] as DealtTx).index);
        job.records.push(record);
      }
      if (part.results.writes !== undefined) this.#cache.apply(part.results.writes);
      const done = part.results.length;
      if (part.missing !== undefined) {
        const key = keyText(part.missing);
        if (!job.asked.has(key)) {
          missing.set(key, part.missing);
          suspended.push(rest[done] as DealtTx);
        }
      }
      rest = rest.slice(part.missing === undefined ? done : done + 1);
    }
    job.micros += Math.round((performance.now() - startMs) * 1_000);
    job.waiting = suspended;
    for (const key of missing.keys()) job.asked.add(key);
    if (suspended.length > 0) {
      job.isAsking = true;
      this.#send(encodeNeed(job.epoch, job.batch, [...missing.values()]));
    } else this.#send(encodeDone(job));
  }
}

function keyText(key: MissingKey): string {
  if (key.kind === "account") return toHexKey(key.address);
  if (key.kind === "slot") return toHexKey(key.address) + toHexKey(key.slot);
  return key.kind === "code" ? `code ${toHexKey(key.codeHash)}` : `block ${key.number}`;
}
