/**
 * Owns one ingest lane: its pool and the log that makes the pool durable. A submission is answered only when the log
 * holds it; from there on only execution, replacement, expiry or a stated rejection ends it.
 * Invariant: replaying the log gives every accepted transaction that is not yet settled; a release record is written
 * before the cut that names it; times given to transactions never fall. On a log failure the lane stops answering (the
 * process must restart and read the log).
 */
import { assert } from "../base/assert.ts";
import { toHex, toHexKey } from "../base/bytes.ts";
import type { Log } from "../base/log.ts";
import type { SkipReason } from "../execution/execution.ts";
import type { AppendLog } from "../log/log.ts";
import { LogWriter } from "../log/log-writer.ts";
import type { LaneTx } from "../protocol/ordering.ts";
import { decodeSignedTransaction } from "../protocol/transaction-codec.ts";
import type { PooledTransaction, SubmitOutcome } from "../rpc/chain-view.ts";
import type {
  ArrivalBatch,
  LaneApi,
  LaneBatch,
  LaneHead,
  LaneUsage,
  PoolContent,
  Settlement,
  TakeLimits,
} from "./api.ts";
import { Arrivals } from "./arrivals.ts";
import type { LaneConfig } from "./config.ts";
import { encodeLaneRecord } from "./lane-codec.ts";
import { laneOf } from "./lane-of.ts";
import type { AcceptedTx, LaneTail, ReleaseNeed } from "./lane-tail.ts";
import { type Entry, Pool, type PoolDeps, type Rejection } from "./pool.ts";

/** Skips that say "not now": the transaction may run later and returns to the pool. */
const RETRY: ReadonlySet<SkipReason> = new Set<SkipReason>(["FEE_BELOW_BASE", "GAS_LIMIT_EXCEEDED", "NONCE_TOO_HIGH"]);

export function runsLater(settlement: Settlement): boolean {
  return !settlement.included && RETRY.has(settlement.reason);
}

export type LaneDeps = PoolDeps & {
  readonly log: Log;
  readonly journal: AppendLog;
  /** Fencing term of this run. */
  readonly term: number;
  /** Accepted transactions that will not be in the chain are counted, by reason. */
  readonly onDropped: (reason: string) => void;
  /** Brings these accounts within reach of `account`; absent where all are. */
  readonly load?: (addresses: readonly Uint8Array[]) => Promise<void>;
};

/** Of transactions in one record: far below what a log takes. */
const RECORD_SIZE_MAX_BYTES = 4 << 20;

const BEHIND: Rejection = {
  code: "BACKLOG_FULL",
  message: "the chain is behind with posting to L1; send it again later",
};

export class Lane implements LaneApi {
  readonly index: number;
  readonly #deps: LaneDeps;
  readonly #pool: Pool;
  readonly #writer: LogWriter;
  readonly #arrivals: Arrivals;
  /** Newest time given. */
  #clockMs = 0;
  /** By log position: how many entries are in the record and still here. */
  readonly #livePerRecord = new Map<number, number>();
  /** Settled in blocks that are not sealed yet: their records are still needed for replay. */
  #settled: Entry[] = [];
  #needs: ReleaseNeed[] = [];
  /** Admissions owed: a share of one half admits every second transaction. */
  #credit = 0;
  #open: { batch: LaneBatch; entries: readonly Entry[] } | undefined;

  private constructor(config: LaneConfig, deps: LaneDeps) {
    this.index = deps.index;
    this.#deps = deps;
    this.#pool = new Pool(config, deps);
    this.#writer = new LogWriter(deps.journal, deps.term);
    this.#arrivals = new Arrivals(deps.index, deps.journal, config.orderReceiptsMax);
  }

  /**
   * Opens the lane on what `tail` has read of its log, to the end: this process writes it from now on. `owed`:
   * transactions that execution put back, which may not be durable here yet.
   */
  static async open(
    config: LaneConfig,
    deps: LaneDeps,
    tail: LaneTail,
    owed: readonly Settlement["tx"][] = [],
  ): Promise<Lane> {
    const lane = new Lane(config, deps);
    await lane.#recover(tail, owed);
    return lane;
  }

  async #recover(tail: LaneTail, owed: readonly Settlement["tx"][]): Promise<void> {
    const withdrawn = tail.takeBackUnordered();
    this.#needs = [...tail.needs];
    // Ids of transactions that are gone stay taken: a release that names one must not swallow a new transaction.
    this.#pool.skipIds(tail.newestId);
    this.#clockMs = tail.newestMs;
    await this.#arrivals.recover();
    const accepted = [...tail.accepted].sort(([a], [b]) => a - b);
    await this.#deps.load?.([...accepted.map(([, { tx }]) => tx.sender), ...owed.map(({ sender }) => sender)]);
    const held = new Set<string>();
    for (const [id, { tx, seq }] of accepted as [number, AcceptedTx][]) {
      const item = pooled(tx);
      held.add(toHexKey(item.tx.hash));
      const entry = this.#pool.restore(item, id);
      if (entry !== undefined) this.#track(entry, seq);
    }
    const returned: Entry[] = [];
    for (const tx of owed) {
      const item = pooled(this.#known(tx));
      const entry = held.has(toHexKey(item.tx.hash)) ? undefined : this.#pool.restore(item);
      if (entry !== undefined) returned.push(entry);
    }
    await Promise.all([
      ...withdrawn.map((seq) => this.#writer.append(encodeLaneRecord({ kind: "withdraw", seq }))),
      this.#journalReturned(returned),
    ]);
    if (this.#pool.size > 0)
      this.#deps.log.info("pool recovered from the lane log", { lane: this.index, transactions: this.#pool.size });
  }

  async submit(items: readonly PooledTransaction[], share = 1): Promise<readonly SubmitOutcome[]> {
    const outcomes: SubmitOutcome[] = [];
    const entries: Entry[] = [];
    let known = false;
    this.#clockMs = Math.max(this.#clockMs, this.#deps.clock.nowMs());
    const acceptedMs = this.#clockMs;
    for (const item of items) {
      const result = this.#admits(item, share) ? this.#pool.add(item, acceptedMs) : BEHIND;
      if ("code" in result) {
        known ||= result.code === "ALREADY_KNOWN" || result.code === "NONCE_TOO_LOW";
        outcomes.push({ accepted: false, code: result.code, message: result.message });
      } else {
        outcomes.push({ accepted: true });
        entries.push(result);
      }
    }
    if (entries.length > 0) await this.#journalAccepted(entries, acceptedMs);
    // "Already known" (or already ordered) reads as accepted, so it is said when the first submission is durable.
    if (known) await this.#writer.flushed();
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

  /** Ids given in one synchronous run are consecutive. */
  async #journalAccepted(entries: readonly Entry[], acceptedMs: number): Promise<void> {
    await Promise.all(
      inRecords(entries).map(async (run) => {
        const firstId = (run[0] as Entry).id;
        const seq = await this.#writer.append(
          encodeLaneRecord({
            kind: "accepted",
            firstId,
            acceptedMs,
            txs: run.map((e) => ({ raw: e.tx.raw, sender: e.sender })),
          }),
        );
        this.#arrivals.add({ seq, firstId, acceptedMs, hashes: run.map(({ tx }) => tx.hash) });
        for (const entry of run) if (this.#pool.get(entry.hashKey) === entry) this.#track(entry, seq);
      }),
    );
  }

  async #journalReturned(entries: readonly Entry[]): Promise<void> {
    await Promise.all(
      inRecords(entries).map(async (run) => {
        const seq = await this.#writer.append(
          encodeLaneRecord({ kind: "returned", firstId: (run[0] as Entry).id, txs: run.map(laneTxOf) }),
        );
        for (const entry of run) if (this.#pool.get(entry.hashKey) === entry) this.#track(entry, seq);
      }),
    );
  }

  #track(entry: Entry, seq: number): void {
    entry.recordSeq = seq;
    this.#livePerRecord.set(seq, (this.#livePerRecord.get(seq) ?? 0) + 1);
  }

  #untrack(entry: Entry): void {
    const { recordSeq: seq } = entry;
    if (seq === 0) return;
    entry.recordSeq = 0;
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

  content(countMax: number, sender?: Uint8Array): PoolContent {
    return this.#pool.content(countMax, sender);
  }

  /** Whether anything is here of the account with this hex key. */
  isSender(senderKey: string): boolean {
    return this.#pool.isSender(senderKey);
  }

  usage(): LaneUsage {
    return { txs: this.#pool.size, sizeBytes: this.#pool.sizeBytes };
  }

  notReady(): string | undefined {
    return this.#deps.journal.notReady();
  }

  tend(): boolean {
    return false; // it is lost with the process
  }

  holdFor(address: Uint8Array, hash: Uint8Array): boolean {
    return this.#pool.holdFor(address, toHexKey(hash)) === undefined;
  }

  letGo(address: Uint8Array, hash: Uint8Array): void {
    this.#pool.letGo(address, toHexKey(hash));
  }

  delegating(): PooledTransaction[] {
    return this.#pool.delegating();
  }

  arrivalOf(hash: Uint8Array): Promise<ArrivalBatch | undefined> {
    return this.#arrivals.batchOf(hash);
  }

  take(limits: TakeLimits): LaneBatch {
    assert(this.#open === undefined, "one batch of a lane is open at a time");
    // What is accepted from now on is later than everything this cut may hold, here and in every other lane.
    this.#clockMs = Math.max(this.#clockMs, limits.acceptedBeforeMs);
    const { offered, more } = this.#pool.take(limits);
    const batch: LaneBatch = {
      txs: offered.map(({ entry, tipWei, arrival, gasLimit }) => ({
        raw: entry.tx.raw,
        sender: entry.sender,
        hash: entry.tx.hash,
        arrival,
        tipWei,
        gasLimit,
      })),
      more,
      clockMs: this.#clockMs,
    };
    if (offered.length > 0) this.#open = { batch, entries: offered.map(({ entry }) => entry) };
    return batch;
  }

  async release(batch: LaneBatch, kept?: readonly number[]): Promise<number | undefined> {
    const open = this.#open;
    assert(open?.batch === batch, "only the open batch is released");
    this.#open = undefined;
    let { entries } = open;
    if (kept !== undefined) {
      const places = new Set(kept);
      this.#pool.putBack(entries.filter((_, place) => !places.has(place)));
      entries = entries.filter((_, place) => places.has(place));
    }
    if (entries.length === 0) return undefined;
    const seq = await this.#writer.append(encodeLaneRecord({ kind: "release", ids: entries.map((e) => e.id) }));
    let oldest = seq;
    for (const { recordSeq } of entries) if (recordSeq > 0) oldest = Math.min(oldest, recordSeq);
    this.#needs.push({ seq, oldest });
    return seq;
  }

  async settle(settlements: readonly Settlement[]): Promise<void> {
    const senders = new Set<string>();
    const returned: LaneTx[] = [];
    for (const s of settlements) {
      const entry = this.#pool.settle(toHexKey(s.hash));
      if (entry !== undefined) {
        senders.add(entry.senderKey);
        this.#settled.push(entry);
      } else if (runsLater(s)) senders.add(toHexKey(s.tx.sender));
      if (s.included) continue;
      if (runsLater(s)) returned.push(entry === undefined ? this.#known(s.tx) : laneTxOf(entry));
      else if (entry !== undefined) this.#reject(entry, s.reason);
    }
    await this.#return(returned, senders);
  }

  /** With the arrival it had before, where that is still known. */
  #known(tx: Settlement["tx"]): LaneTx {
    if (tx.arrival !== undefined) return { ...tx, arrival: tx.arrival };
    const { hash } = decodeSignedTransaction(tx.raw);
    const arrival = this.#arrivals.of(hash);
    return { ...tx, arrival: arrival ?? { acceptedMs: this.#clockMs, lane: this.index, sequence: this.#pool.nextId } };
  }

  async prepareReturn(txs: readonly Settlement["tx"][]): Promise<() => Promise<void>> {
    const items = txs.map((tx) => ({ tx: this.#known(tx), id: this.#pool.reserveIds(1) }));
    const seqs = new Map<number, number>();
    await Promise.all(
      inRecords(items).map(async (run) => {
        const firstId = (run[0] as { id: number }).id;
        const record = encodeLaneRecord({ kind: "returned", firstId, txs: run.map(({ tx }) => tx) });
        const seq = await this.#writer.append(record);
        for (const { id } of run) seqs.set(id, seq);
      }),
    );
    return async () => {
      assert(this.#open === undefined, "no batch is open while blocks are rewound");
      await this.#deps.load?.([...this.#pool.addresses(), ...items.map(({ tx }) => tx.sender)]);
      const restored = items.map(({ tx, id }) => ({ item: pooled(tx), id }));
      for (const { item } of restored) this.#pool.settle(toHexKey(item.tx.hash));
      for (const entry of this.#settled) this.#untrack(entry);
      this.#settled = [];
      for (const { item, id } of restored) {
        const entry = this.#pool.restore(item, id);
        if (entry !== undefined) this.#track(entry, seqs.get(id) as number);
      }
      for (const entry of this.#pool.refresh([...this.#pool.senderKeys()])) this.#drop(entry, "NONCE_TOO_LOW");
    };
  }

  /** Back into the pool, durably: the records that held them are already used up. */
  async #return(txs: readonly LaneTx[], senders: Set<string>): Promise<void> {
    const entries: Entry[] = [];
    for (const tx of txs) {
      const entry = this.#pool.restore(pooled(tx));
      if (entry !== undefined) entries.push(entry);
    }
    for (const entry of this.#pool.refresh(senders)) this.#drop(entry, "NONCE_TOO_LOW");
    if (entries.length > 0) await this.#journalReturned(entries);
  }

  strays(lanes: number, sizeMaxBytes: number): LaneTx[] {
    const found: LaneTx[] = [];
    let sizeBytes = 0;
    for (const entry of this.#pool.entries()) {
      if (laneOf(entry.sender, lanes) === this.index) continue;
      found.push(laneTxOf(entry));
      sizeBytes += entry.tx.raw.length;
      if (sizeBytes >= sizeMaxBytes) break;
    }
    return found;
  }

  async moved(txs: readonly LaneTx[]): Promise<void> {
    const ids: number[] = [];
    for (const { raw } of txs) {
      const entry = this.#pool.settle(toHexKey(decodeSignedTransaction(raw).hash));
      if (entry === undefined) continue;
      ids.push(entry.id);
      this.#untrack(entry);
    }
    if (ids.length > 0) await this.#writer.append(encodeLaneRecord({ kind: "moved", ids }));
  }

  #drop(entry: Entry, reason: string): void {
    this.#untrack(entry);
    this.#reject(entry, reason);
  }

  #reject(entry: Entry, reason: string): void {
    this.#deps.onDropped(reason);
    this.#deps.log.info("accepted transaction rejected", { tx: toHex(entry.tx.hash), reason });
  }

  onHead(head: LaneHead): void {
    for (const entry of this.#settled) this.#untrack(entry);
    this.#settled = [];
    this.#pool.blockGasLimit = head.gasLimit;
    for (const entry of this.#pool.refresh(head.changed)) this.#drop(entry, "NONCE_TOO_LOW");
    for (const entry of this.#pool.expire()) this.#drop(entry, "EXPIRED");
  }

  /** Forgets records that only sealed transactions need. `sealedSeq`: newest position of this lane in a sealed block. */
  async trim(sealedSeq: number): Promise<void> {
    let oldest = sealedSeq;
    for (const seq of this.#livePerRecord.keys()) oldest = Math.min(oldest, seq);
    this.#needs = this.#needs.filter(({ seq }) => seq >= sealedSeq);
    for (const need of this.#needs) if (need.seq > sealedSeq) oldest = Math.min(oldest, need.oldest);
    if (oldest > this.#deps.journal.oldestSeq) await this.#deps.journal.trim(oldest);
  }
}

function pooled(tx: LaneTx): PooledTransaction & Pick<LaneTx, "arrival"> {
  return { tx: decodeSignedTransaction(tx.raw), sender: tx.sender.slice(), arrival: tx.arrival };
}

function laneTxOf(entry: Entry): LaneTx {
  return { raw: entry.tx.raw, sender: entry.sender, arrival: entry.arrival };
}

/** Runs of consecutive ids, none too large for a record. */
function inRecords<T extends { readonly id: number; readonly tx: { readonly raw: Uint8Array } }>(
  items: readonly T[],
): T[][] {
  const runs: T[][] = [];
  let sizeBytes = 0;
  for (const item of items) {
    const run = runs.at(-1);
    sizeBytes += item.tx.raw.length;
    if (run !== undefined && (run.at(-1) as T).id + 1 === item.id && sizeBytes <= RECORD_SIZE_MAX_BYTES) run.push(item);
    else {
      runs.push([item]);
      sizeBytes = item.tx.raw.length;
    }
  }
  return runs;
}
