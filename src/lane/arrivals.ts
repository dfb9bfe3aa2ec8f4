/**
 * Owns finding when a transaction was accepted first: an index of the newest accepted ones in memory, and the rest of
 * what a receipt needs read from the lane's log. Bounded; what fell out of it, or out of the log, is not known any more.
 */
import { toHexKey } from "../base/bytes.ts";
import { isLeaseRecord } from "../log/lease.ts";
import type { AppendLog } from "../log/log.ts";
import { keccak256 } from "../protocol/keccak.ts";
import type { Arrival } from "../protocol/ordering.ts";
import type { ArrivalBatch } from "./api.ts";
import { decodeLaneRecord } from "./lane-codec.ts";

const READ_RECORDS = 64;

/** The accepted record of a transaction, and its place in it. */
type Place = { readonly seq: number; readonly firstId: number; readonly index: number; readonly acceptedMs: number };

export class Arrivals {
  readonly #lane: number;
  readonly #journal: AppendLog;
  readonly #max: number;
  readonly #places = new Map<string, Place>();

  constructor(lane: number, journal: AppendLog, max: number) {
    this.#lane = lane;
    this.#journal = journal;
    this.#max = max;
  }

  /** An accepted record is durable; its transactions in its order. */
  add(seq: number, firstId: number, acceptedMs: number, hashKeys: readonly string[]): void {
    if (this.#max === 0) return;
    for (const [index, key] of hashKeys.entries()) this.#places.set(key, { seq, firstId, index, acceptedMs });
    const surplus = this.#places.size - this.#max;
    if (surplus <= 0) return;
    let left = surplus;
    for (const key of this.#places.keys()) {
      if (left-- === 0) break;
      this.#places.delete(key);
    }
  }

  /** Fills the index from the end of the log. Returns the newest time the log gave. */
  async recover(): Promise<number> {
    const batches: { seq: number; firstId: number; acceptedMs: number; hashKeys: string[] }[] = [];
    let count = 0;
    let newestMs = 0;
    const { oldestSeq, tip } = this.#journal;
    for (let end = tip.seq + 1; end > oldestSeq && count < this.#max; ) {
      const start = Math.max(oldestSeq, end - READ_RECORDS);
      for (const record of (await this.#journal.read(start, end - start)).toReversed()) {
        if (isLeaseRecord(record.payload)) continue;
        const body = decodeLaneRecord(record.payload);
        if (body.kind !== "accepted" || count >= this.#max) continue;
        const hashKeys = body.txs.map(({ raw }) => toHexKey(keccak256(raw)));
        count += hashKeys.length;
        newestMs = Math.max(newestMs, body.acceptedMs);
        batches.push({ seq: record.seq, firstId: body.firstId, acceptedMs: body.acceptedMs, hashKeys });
      }
      end = start;
    }
    for (const b of batches.toReversed()) this.add(b.seq, b.firstId, b.acceptedMs, b.hashKeys);
    return newestMs;
  }

  of(hashKey: string): Arrival | undefined {
    const place = this.#places.get(hashKey);
    if (place === undefined) return undefined;
    return { acceptedMs: place.acceptedMs, lane: this.#lane, sequence: place.firstId + place.index };
  }

  /** The whole batch of a transaction, undefined where it is not known any more. */
  async batchOf(hash: Uint8Array): Promise<ArrivalBatch | undefined> {
    const place = this.#places.get(toHexKey(hash));
    if (place === undefined || place.seq < this.#journal.oldestSeq) return undefined;
    const [record] = await this.#journal.read(place.seq, 1);
    const body = record === undefined ? undefined : decodeLaneRecord(record.payload);
    if (body?.kind !== "accepted") return undefined;
    return {
      lane: this.#lane,
      firstSequence: body.firstId,
      acceptedMs: body.acceptedMs,
      hashes: body.txs.map(({ raw }) => keccak256(raw)),
      index: place.index,
    };
  }
}
