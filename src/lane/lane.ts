/**
 * Owns one ingest lane: its pool and the log that makes the pool durable. A submission is answered only when the log
 * holds it; from there on only execution, replacement, expiry or a stated rejection ends it.
 * Invariant: replaying the log gives every accepted transaction that is not yet settled; a release record is written
 * before the cut that names it. On a log failure the lane stops answering (the process must restart and read the log).
 */
import { assert } from "../base/assert.ts";
import { toHex, toHexKey } from "../base/bytes.ts";
import type { Log } from "../base/log.ts";
import type { SkipReason } from "../execution/execution.ts";
import { isLeaseRecord } from "../log/lease.ts";
import type { AppendLog } from "../log/log.ts";
import { LogWriter } from "../log/log-writer.ts";
import type { OrderedTx } from "../protocol/cut.ts";
import type { SignedTransaction } from "../protocol/transaction.ts";
import { decodeSignedTransaction } from "../protocol/transaction-codec.ts";
import type { PooledTransaction, SubmitOutcome } from "../rpc/chain-view.ts";
import type { LaneApi, LaneBatch, Settlement, TakeLimits } from "./api.ts";
import type { LaneConfig } from "./config.ts";
import { decodeLaneRecord, encodeLaneRecord } from "./lane-codec.ts";
import type { LaneMetrics } from "./metrics.ts";
import { type Entry, Pool, type PoolDeps, type Rejection } from "./pool.ts";

/** Skips that say "not now": the transaction may run later and returns to the pool. */
const RETRY: ReadonlySet<SkipReason> = new Set<SkipReason>(["FEE_BELOW_BASE", "GAS_LIMIT_EXCEEDED", "NONCE_TOO_HIGH"]);

export type LaneDeps = PoolDeps & {
  readonly index: number;
  readonly log: Log;
  readonly journal: AppendLog;
  /** Fencing term of this run. */
  readonly term: number;
  readonly metrics: LaneMetrics;
  /**
   * Share of new transactions to admit, given the bytes the pool holds: below 1 while the chain is behind with posting.
   */
  readonly admissionShare?: (poolBytes: number) => number;
  /** Told of every accepted transaction, after it is durable. */
  readonly onAccepted?: (tx: SignedTransaction) => void;
};

const READ_RECORDS = 512;

const BEHIND: Rejection = {
  code: "BACKLOG_FULL",
  message: "the chain is behind with posting to L1; send it again later",
};

export class Lane implements LaneApi {
  readonly index: number;
  readonly #deps: LaneDeps;
  readonly #pool: Pool;
  readonly #writer: LogWriter;
  /** Log position of each live entry's accepted record, by id; and live entries per record. */
  readonly #recordOf = new Map<number, number>();
  readonly #livePerRecord = new Map<number, number>();
  /** Settled in blocks that are not sealed yet: their records are still needed for replay. */
  #settled: Entry[] = [];
  /** Admissions owed: a share of one half admits every second transaction. */
  #credit = 0;
  #open: { batch: LaneBatch; entries: readonly Entry[] } | undefined;

  private constructor(config: LaneConfig, deps: LaneDeps) {
    this.index = deps.index;
    this.#deps = deps;
    this.#pool = new Pool(config, deps);
    this.#writer = new LogWriter(deps.journal, deps.term);
    deps.metrics.poolTxsMax.set(config.poolTxsMax);
  }

  /**
   * Opens the lane and rebuilds its pool from the log. `orderedSeq` is the newest lane position the order log names:
   * a release after it never became part of the order and is withdrawn.
   */
  static async open(config: LaneConfig, deps: LaneDeps, orderedSeq: number): Promise<Lane> {
    const lane = new Lane(config, deps);
    await lane.#recover(orderedSeq);
    return lane;
  }

  async #recover(orderedSeq: number): Promise<void> {
    const journal = this.#deps.journal;
    const accepted = new Map<number, { tx: OrderedTx; seq: number }>();
    const releases = new Map<number, readonly number[]>();
    for (let seq = journal.oldestSeq; seq <= journal.tip.seq; ) {
      const records = await journal.read(seq, READ_RECORDS);
      assert(records.length > 0, "the log holds every record up to its tip");
      for (const record of records) {
        seq = record.seq + 1;
        if (isLeaseRecord(record.payload)) continue;
        const body = decodeLaneRecord(record.payload);
        if (body.kind === "accepted")
          for (const [i, tx] of body.txs.entries()) accepted.set(body.firstId + i, { tx, seq: record.seq });
        else if (body.kind === "release") releases.set(record.seq, body.ids);
        else releases.delete(body.seq);
      }
    }
    // Ids of transactions that are gone stay taken: a release that names one must not swallow a new transaction.
    for (const id of accepted.keys()) this.#pool.skipIds(id);
    for (const ids of releases.values()) for (const id of ids) this.#pool.skipIds(id);
    for (const seq of releases.keys())
      if (seq > orderedSeq) {
        releases.delete(seq);
        await this.#writer.append(encodeLaneRecord({ kind: "withdraw", seq }));
      }
    for (const ids of releases.values()) for (const id of ids) accepted.delete(id);
    for (const [id, { tx, seq }] of accepted) {
      const entry = this.#pool.restore({ tx: decodeSignedTransaction(tx.raw), sender: tx.sender.slice() }, id);
      if (entry !== undefined) this.#track(entry, seq);
    }
    if (accepted.size > 0) this.#deps.log.info("pool recovered from the lane log", { transactions: this.#pool.size });
    this.#updateMetrics();
  }

  async submit(items: readonly PooledTransaction[]): Promise<readonly SubmitOutcome[]> {
    const outcomes: SubmitOutcome[] = [];
    const entries: Entry[] = [];
    let known = false;
    const share = this.#deps.admissionShare?.(this.#pool.sizeBytes) ?? 1;
    for (const item of items) {
      const result = this.#admits(item, share) ? this.#pool.add(item) : BEHIND;
      if ("code" in result) {
        known ||= result.code === "ALREADY_KNOWN" || result.code === "NONCE_TOO_LOW";
        outcomes.push({ accepted: false, code: result.code, message: result.message });
        this.#deps.metrics.rejected.inc(1, { code: result.code });
      } else {
        outcomes.push({ accepted: true });
        entries.push(result);
      }
    }
    if (entries.length > 0) {
      await this.#journalAccepted(entries);
      this.#deps.metrics.accepted.inc(entries.length);
      if (this.#deps.onAccepted !== undefined) for (const e of entries) this.#deps.onAccepted(e.tx);
    }
    // "Already known" (or already ordered) reads as accepted, so it is said when the first submission is durable.
    if (known) await this.#writer.flushed();
    this.#updateMetrics();
    return outcomes;
  }

  /** Without chance or clocks, so that clients see an even share; what the pool holds already is answered by the pool. */
  #admits(item: PooledTransaction, share: number): boolean {
    if (share >= 1 || this.#pool.get(toHexKey(item.tx.hash)) !== undefined) return true;
    this.#credit += share;
    if (this.#credit < 1) return false;
    this.#credit -= 1;
    return true;
  }

  async #journalAccepted(entries: readonly Entry[]): Promise<void> {
    // Ids given in one synchronous run are consecutive unless a restored entry kept its old id; split at gaps.
    const runs: Entry[][] = [];
    for (const entry of entries) {
      const run = runs.at(-1);
      if (run !== undefined && (run.at(-1) as Entry).id + 1 === entry.id) run.push(entry);
      else runs.push([entry]);
    }
    await Promise.all(
      runs.map(async (run) => {
        const seq = await this.#writer.append(
          encodeLaneRecord({
            kind: "accepted",
            firstId: (run[0] as Entry).id,
            txs: run.map((e) => ({ raw: e.tx.raw, sender: e.sender })),
          }),
        );
        for (const entry of run) if (this.#pool.get(entry.hashKey) === entry) this.#track(entry, seq);
      }),
    );
  }

  #track(entry: Entry, seq: number): void {
    this.#recordOf.set(entry.id, seq);
    this.#livePerRecord.set(seq, (this.#livePerRecord.get(seq) ?? 0) + 1);
  }

  #untrack(entry: Entry): void {
    const seq = this.#recordOf.get(entry.id);
    if (seq === undefined) return;
    this.#recordOf.delete(entry.id);
    const live = (this.#livePerRecord.get(seq) ?? 1) - 1;
    if (live === 0) this.#livePerRecord.delete(seq);
    else this.#livePerRecord.set(seq, live);
  }

  nextNonce(address: Uint8Array): bigint | undefined {
    return this.#pool.nextNonce(address);
  }

  get(hash: Uint8Array): PooledTransaction | undefined {
    const entry = this.#pool.get(toHexKey(hash));
    return entry === undefined ? undefined : { tx: entry.tx, sender: entry.sender };
  }

  status(): { pending: number; queued: number } {
    return this.#pool.counts();
  }

  content(
    countMax: number,
    sender?: Uint8Array,
  ): { pending: readonly PooledTransaction[]; queued: readonly PooledTransaction[] } {
    return this.#pool.content(countMax, sender);
  }

  take(limits: TakeLimits): LaneBatch {
    assert(this.#open === undefined, "one batch of a lane is open at a time");
    const { entries, more } = this.#pool.take(limits);
    const batch: LaneBatch = {
      txs: entries.map((e) => ({ raw: e.tx.raw, sender: e.sender })),
      hashes: entries.map((e) => e.tx.hash),
      more,
    };
    if (entries.length > 0) this.#open = { batch, entries };
    return batch;
  }

  async release(batch: LaneBatch): Promise<number> {
    const open = this.#open;
    assert(open?.batch === batch, "only the open batch is released");
    this.#open = undefined;
    return this.#writer.append(encodeLaneRecord({ kind: "release", ids: open.entries.map((e) => e.id) }));
  }

  async batchAt(seq: number): Promise<readonly OrderedTx[]> {
    const record = await this.#recordAt(seq);
    assert(record.kind === "release", "a cut names release records");
    const wanted = new Set(record.ids);
    const found = new Map<number, OrderedTx>();
    // Accepted records precede their release; they are near it, so look backwards from it.
    const oldest = this.#deps.journal.oldestSeq;
    for (let end = seq; end > oldest && found.size < wanted.size; ) {
      const start = Math.max(oldest, end - READ_RECORDS);
      const records = await this.#deps.journal.read(start, end - start);
      for (const r of records) {
        if (r.seq >= end || isLeaseRecord(r.payload)) continue;
        const body = decodeLaneRecord(r.payload);
        if (body.kind !== "accepted") continue;
        for (const [i, tx] of body.txs.entries())
          if (wanted.has(body.firstId + i) && !found.has(body.firstId + i)) found.set(body.firstId + i, tx);
      }
      end = start;
    }
    return record.ids.map((id) => {
      const tx = found.get(id);
      assert(tx !== undefined, `transaction ${id} of release ${seq} is in the lane log`);
      return tx;
    });
  }

  async #recordAt(seq: number): Promise<ReturnType<typeof decodeLaneRecord>> {
    const [record] = await this.#deps.journal.read(seq, 1);
    assert(record?.seq === seq, "the lane log holds every position a cut names");
    return decodeLaneRecord(record.payload);
  }

  async settle(settlements: readonly Settlement[]): Promise<void> {
    const senders = new Set<string>();
    const returned: PooledTransaction[] = [];
    for (const s of settlements) {
      const entry = this.#pool.settle(toHexKey(s.hash));
      if (entry === undefined) {
        // Replayed after a restart: the pool never had it in flight, and its return may not have been durable.
        if (!s.included && RETRY.has(s.reason)) {
          returned.push({ tx: decodeSignedTransaction(s.tx.raw), sender: s.tx.sender });
          senders.add(toHexKey(s.tx.sender));
        }
        continue;
      }
      senders.add(entry.senderKey);
      this.#settled.push(entry);
      if (s.included) continue;
      if (RETRY.has(s.reason)) returned.push({ tx: entry.tx, sender: entry.sender, authorities: entry.authorities });
      else this.#reject(entry, s.reason);
    }
    await this.#return(returned, senders);
  }

  async prepareReturn(txs: readonly OrderedTx[]): Promise<() => void> {
    const items = txs.map((t) => ({ tx: decodeSignedTransaction(t.raw), sender: t.sender.slice() }));
    const firstId = this.#pool.reserveIds(items.length);
    const seq =
      items.length === 0 ? 0 : await this.#writer.append(encodeLaneRecord({ kind: "accepted", firstId, txs }));
    return () => {
      assert(this.#open === undefined, "no batch is open while blocks are rewound");
      for (const item of items) this.#pool.settle(toHexKey(item.tx.hash));
      for (const entry of this.#settled) this.#untrack(entry);
      this.#settled = [];
      for (const [i, item] of items.entries()) {
        const entry = this.#pool.restore(item, firstId + i);
        if (entry !== undefined) this.#track(entry, seq);
      }
      for (const entry of this.#pool.refresh([...this.#pool.senderKeys()])) this.#drop(entry, "NONCE_TOO_LOW");
      this.#updateMetrics();
    };
  }

  /** Back into the pool, durably: the records that held them are already used up. */
  async #return(items: readonly PooledTransaction[], senders: Set<string>): Promise<void> {
    const entries: Entry[] = [];
    for (const item of items) {
      const entry = this.#pool.restore(item);
      if (entry !== undefined) entries.push(entry);
    }
    for (const entry of this.#pool.refresh(senders)) this.#drop(entry, "NONCE_TOO_LOW");
    this.#updateMetrics();
    if (entries.length > 0) await this.#journalAccepted(entries);
  }

  #drop(entry: Entry, reason: string): void {
    this.#untrack(entry);
    this.#reject(entry, reason);
  }

  #reject(entry: Entry, reason: string): void {
    this.#deps.metrics.rejected.inc(1, { code: reason });
    this.#deps.log.info("accepted transaction rejected", { tx: toHex(entry.tx.hash), reason });
  }

  onHead(block: { gasLimit: number; changed: Iterable<string> }): void {
    for (const entry of this.#settled) this.#untrack(entry);
    this.#settled = [];
    this.#pool.blockGasLimit = block.gasLimit;
    for (const entry of this.#pool.refresh(block.changed)) this.#drop(entry, "NONCE_TOO_LOW");
    for (const entry of this.#pool.expire()) this.#drop(entry, "EXPIRED");
    this.#updateMetrics();
  }

  async trim(sealedSeq: number): Promise<void> {
    let oldest = sealedSeq;
    for (const seq of this.#livePerRecord.keys()) oldest = Math.min(oldest, seq);
    if (oldest > this.#deps.journal.oldestSeq) await this.#deps.journal.trim(oldest);
  }

  #updateMetrics(): void {
    this.#deps.metrics.poolTxs.set(this.#pool.size);
    this.#deps.metrics.poolSizeBytes.set(this.#pool.sizeBytes);
  }
}
