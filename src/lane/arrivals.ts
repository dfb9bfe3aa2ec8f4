/**
 * Owns finding when a transaction was accepted first: an index of the newest accepted ones in memory, and the rest of
 * what a receipt needs read from the lane's log. Bounded; what fell out of it, or out of the log, is not known any more.
 */
import { isLeaseRecord } from "../log/lease.ts";
import type { AppendLog } from "../log/log.ts";
import { keccak256 } from "../protocol/keccak.ts";
import type { Arrival } from "../protocol/ordering.ts";
import type { ArrivalBatch } from "./api.ts";
import { ArrivalIndex } from "./arrival-index.ts";
import { decodeLaneRecord } from "./lane-codec.ts";

const READ_RECORDS = 64;

/** The hashes of an accepted record, in its order. */
type Accepted = {
  readonly seq: number;
  readonly firstId: number;
  readonly acceptedMs: number;
  readonly hashes: readonly Uint8Array[];
};

export class Arrivals {
  readonly #lane: number;
  readonly #journal: AppendLog;
  readonly #max: number;
  readonly #index: ArrivalIndex;

  constructor(lane: number, journal: AppendLog, max: number) {
    this.#lane = lane;
    this.#journal = journal;
    this.#max = max;
    this.#index = new ArrivalIndex(max);
  }

  /** An accepted record is durable. */
  add({ seq, firstId, acceptedMs, hashes }: Accepted): void {
    for (const [i, hash] of hashes.entries()) this.#index.add(hash, seq, firstId + i, acceptedMs);
  }

  /** Fills the index from the end of the log. */
  async recover(): Promise<void> {
    const found: Accepted[] = [];
    let count = 0;
    const { oldestSeq, tip } = this.#journal;
    for (let end = tip.seq + 1; end > oldestSeq && count < this.#max; ) {
      const start = Math.max(oldestSeq, end - READ_RECORDS);
      for (const record of (await this.#journal.read(start, end - start)).toReversed()) {
        if (isLeaseRecord(record.payload)) continue;
        const body = decodeLaneRecord(record.payload);
        if (body.kind !== "accepted" || count >= this.#max) continue;
        const { firstId, acceptedMs } = body;
        const hashes = body.txs.map(({ raw }) => keccak256(raw));
        count += hashes.length;
        found.push({ seq: record.seq, firstId, acceptedMs, hashes });
      }
      end = start;
    }
    for (const accepted of found.toReversed()) this.add(accepted);
  }

  of(hash: Uint8Array): Arrival | undefined {
    const place = this.#index.find(hash);
    if (place === undefined) return undefined;
    return { acceptedMs: place.acceptedMs, lane: this.#lane, sequence: place.sequence };
  }

  /** The whole batch of a transaction, undefined where it is not known any more. */
  async batchOf(hash: Uint8Array): Promise<ArrivalBatch | undefined> {
    const place = this.#index.find(hash);
    if (place === undefined || place.seq < this.#journal.oldestSeq) return undefined;
    const [record] = await this.#journal.read(place.seq, 1);
    const body = record === undefined ? undefined : decodeLaneRecord(record.payload);
    if (body?.kind !== "accepted") return undefined;
    return {
      lane: this.#lane,
      firstSequence: body.firstId,
      acceptedMs: body.acceptedMs,
      hashes: body.txs.map(({ raw }) => keccak256(raw)),
      index: place.sequence - body.firstId,
    };
  }
}
