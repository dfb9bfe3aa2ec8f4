/**
 * Owns reading a lane's log while somebody else writes it: what was accepted and not released, what was released and
 * not ordered, record by record. A replay takes the transactions that cuts name from here, and whoever takes the lane
 * over opens its pool from here, having read everything but the last few records already.
 * Invariant: nothing is written.
 * On failure: what a cut names and the log does not hold is LOG_CORRUPT, and nothing of that cut is executed.
 */
import { isLeaseRecord } from "../log/lease.ts";
import type { AppendLog } from "../log/log.ts";
import { logError } from "../log/record.ts";
import { type ReadPosition, recordsBehind } from "../log/record-reader.ts";
import type { LaneTx } from "../protocol/ordering.ts";
import { decodeLaneRecord } from "./lane-codec.ts";

/** A transaction and the record that made it durable. */
export type AcceptedTx = { readonly tx: LaneTx; readonly seq: number };

/** A release, and the oldest record that its transactions are in. */
export type ReleaseNeed = { readonly seq: number; readonly oldest: number };

type Release = { readonly ids: readonly number[]; readonly txs: readonly (AcceptedTx | undefined)[] };

export class LaneTail {
  readonly index: number;
  readonly journal: AppendLog;
  readonly #accepted = new Map<number, AcceptedTx>();
  readonly #releases = new Map<number, Release>();
  #needs: ReleaseNeed[] = [];
  #orderedSeq: number;
  #newestId = 0;
  #newestMs = 0;
  #read: ReadPosition;

  private constructor(index: number, journal: AppendLog, orderedSeq: number) {
    this.index = index;
    this.journal = journal;
    this.#orderedSeq = orderedSeq;
    this.#read = { seq: journal.oldestSeq - 1 };
  }

  /** Reads the whole log. `orderedSeq`: newest lane position that the sealed chain has consumed. */
  static async open(index: number, journal: AppendLog, orderedSeq: number): Promise<LaneTail> {
    const tail = new LaneTail(index, journal, orderedSeq);
    await tail.readOn();
    return tail;
  }

  /** Newest lane position that the order names. */
  get orderedSeq(): number {
    return this.#orderedSeq;
  }

  /** Largest id that the log names: it is taken, even when its transaction is gone. */
  get newestId(): number {
    return this.#newestId;
  }

  /** Newest time that the log gives. */
  get newestMs(): number {
    return this.#newestMs;
  }

  /** Of the releases that the log holds. */
  get needs(): readonly ReleaseNeed[] {
    return this.#needs;
  }

  /** Accepted and not released, by id. */
  get accepted(): ReadonlyMap<number, AcceptedTx> {
    return this.#accepted;
  }

  /** Reads up to the end of the log. */
  async readOn(): Promise<void> {
    await this.journal.refresh();
    // Until the first record is read, what was trimmed meanwhile is no gap.
    if (this.#read.hash === undefined) this.#read = { seq: Math.max(this.#read.seq, this.journal.oldestSeq - 1) };
    for await (const record of recordsBehind(this.journal, this.#read)) {
      if (!isLeaseRecord(record.payload)) this.#apply(record.seq, record.payload);
      this.#read = record;
    }
    this.#forgetTrimmed();
  }

  #apply(seq: number, payload: Uint8Array): void {
    const body = decodeLaneRecord(payload);
    switch (body.kind) {
      case "accepted": {
        const { firstId, acceptedMs } = body;
        for (const [i, { raw, sender }] of body.txs.entries()) {
          const arrival = { acceptedMs, lane: this.index, sequence: firstId + i };
          this.#accepted.set(firstId + i, { tx: { raw, sender, arrival }, seq });
        }
        this.#newestId = Math.max(this.#newestId, firstId + body.txs.length - 1);
        this.#newestMs = Math.max(this.#newestMs, acceptedMs);
        break;
      }
      case "returned":
        for (const [i, tx] of body.txs.entries()) this.#accepted.set(body.firstId + i, { tx, seq });
        this.#newestId = Math.max(this.#newestId, body.firstId + body.txs.length - 1);
        break;
      case "release": {
        const txs = body.ids.map((id) => this.#accepted.get(id));
        let oldest = seq;
        for (const accepted of txs) oldest = Math.min(oldest, accepted?.seq ?? seq);
        this.#needs.push({ seq, oldest });
        for (const id of body.ids) {
          this.#accepted.delete(id);
          this.#newestId = Math.max(this.#newestId, id);
        }
        if (seq > this.#orderedSeq) this.#releases.set(seq, { ids: body.ids, txs });
        break;
      }
      case "withdraw":
        this.#takeBack(body.seq);
        break;
      case "moved":
        for (const id of body.ids) this.#accepted.delete(id);
        break;
    }
  }

  /** A release that never became part of the order: its transactions wait again. */
  #takeBack(seq: number): void {
    const release = this.#releases.get(seq);
    if (release === undefined) return;
    this.#releases.delete(seq);
    for (const [i, id] of release.ids.entries()) {
      const accepted = release.txs[i];
      if (accepted !== undefined) this.#accepted.set(id, accepted);
    }
  }

  /** What the leader let go of, nobody needs: transactions that left its pool unreleased end with their records. */
  #forgetTrimmed(): void {
    const { oldestSeq } = this.journal;
    this.#needs = this.#needs.filter(({ seq }) => seq >= oldestSeq);
    for (const [id, { seq }] of this.#accepted) {
      if (seq >= oldestSeq) break; // in the order of the log, but for the few that were taken back
      this.#accepted.delete(id);
    }
  }

  /** Takes back the releases behind the order, for a new leader. Returns their positions, which it must withdraw. */
  takeBackUnordered(): number[] {
    const seqs = [...this.#releases.keys()];
    for (const seq of seqs) this.#takeBack(seq);
    return seqs;
  }

  /** Transactions of the release record at `seq`, once each. @throws {LogError} LOG_CORRUPT when the log lacks them */
  async batchAt(seq: number): Promise<readonly LaneTx[]> {
    // A release is durable before the cut that names it: it is there, even if this has not seen it yet.
    if (this.#read.seq < seq) await this.readOn();
    const release = this.#releases.get(seq);
    const txs = release?.txs.map((accepted) => accepted?.tx);
    if (txs === undefined || txs.includes(undefined)) {
      const code = this.journal.oldestSeq > 1 ? "LOG_TRIMMED" : "LOG_CORRUPT";
      throw logError(code, `${this.journal.name} does not hold the transactions of release ${seq}`, { seq });
    }
    this.orderedUpTo(seq);
    return txs as LaneTx[];
  }

  /** The order has gone beyond this position: releases up to it are part of it, named by their position or not. */
  orderedUpTo(seq: number): void {
    this.#orderedSeq = Math.max(this.#orderedSeq, seq);
    for (const release of this.#releases.keys()) {
      if (release > seq) break;
      this.#releases.delete(release);
    }
  }
}
