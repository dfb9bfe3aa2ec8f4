/**
 * Owns the lanes that a cluster's leader writes, as one: a transaction goes to the lane of its sender, a cut takes from
 * all of them in the order of the policy, and readers see one pool. One lane is the small case of the same.
 * Invariants: a cut holds everything executable that was accepted before its time, up to its limits, and nothing later;
 * its order is that of protocol/ordering.ts over what each lane released. A lane that is lost holds up nobody else: its
 * senders are refused with UNAVAILABLE until it is back, and what it had given to a cut is written into the cut itself.
 * @see docs/decisions/0009-lanes-and-ordering.md
 */
import { assert } from "../base/assert.ts";
import { fromHex, toHexKey } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { LanePosition, OrderedTx } from "../protocol/cut.ts";
import { type LaneTx, mergedRuns, mergeRuns, type OrderingName, orderingPolicy } from "../protocol/ordering.ts";
import type { SignedTransaction } from "../protocol/transaction.ts";
import type { Answer, PooledTransaction, SubmitOutcome } from "../rpc/chain-view.ts";
import type {
  ArrivalBatch,
  CutBatch,
  LaneApi,
  LaneBatch,
  LaneHead,
  LedLanes,
  OfferedTx,
  PoolContent,
  Released,
  Settlement,
  TakeLimits,
} from "./api.ts";
import { AuthorityHolds } from "./authority-holds.ts";
import { laneOf } from "./lane-of.ts";
import type { LaneMetrics } from "./metrics.ts";
import { LEAST_GAS } from "./pool.ts";

export type LanesDeps = {
  /** By number; those beyond `count` are of an earlier configuration, and empty once the lanes are open. */
  readonly lanes: readonly LaneApi[];
  /** How many take transactions. */
  readonly count: number;
  readonly ordering: OrderingName;
  /** Share of new transactions to admit, given the bytes all pools hold: below 1 while posting is behind. */
  readonly admissionShare?: ((poolBytes: number) => number) | undefined;
  /** Told of every accepted transaction, after it is durable. */
  readonly onAccepted?: ((tx: SignedTransaction) => void) | undefined;
  /** Nonce of an account now. */
  readonly nonceOf: (address: Uint8Array) => bigint;
  readonly metrics: LaneMetrics;
  readonly log: Log;
  readonly clock: Clock;
};

/** Moved from lane to lane at once. */
const MOVE_SIZE_MAX_BYTES = 8 << 20;

type Offer = { readonly lane: LaneApi; readonly batch: LaneBatch };
type OpenCut = { readonly cut: CutBatch; readonly offers: readonly Offer[]; readonly kept: readonly number[][] };

export class Lanes implements LedLanes {
  readonly ordering: OrderingName;
  readonly #deps: LanesDeps;
  /** Those that take transactions. */
  readonly #active: readonly LaneApi[];
  readonly #holds: AuthorityHolds;
  /** Newest time any lane has given. */
  #clockMs = 0;
  #open: OpenCut | undefined;

  private constructor(deps: LanesDeps) {
    this.#deps = deps;
    this.ordering = deps.ordering;
    this.#active = deps.lanes.slice(0, deps.count);
    this.#holds = new AuthorityHolds(this.#active, deps.nonceOf);
  }

  /** Joins opened lanes. Where their number has changed, what waits in the wrong one is moved, durably. */
  static async open(deps: LanesDeps): Promise<Lanes> {
    assert(deps.count >= 1 && deps.count <= deps.lanes.length, "every lane in use is open");
    const lanes = new Lanes(deps);
    await lanes.#moveStrays();
    await lanes.#holds.recover();
    lanes.#report();
    return lanes;
  }

  /** Durable where it goes to before it leaves where it was: a crash in between moves it again, to where it is already. */
  async #moveStrays(): Promise<void> {
    const { lanes, count, log } = this.#deps;
    for (const lane of lanes) {
      let moved = 0;
      for (;;) {
        const strays = await lane.strays(count, MOVE_SIZE_MAX_BYTES);
        if (strays.length === 0) break;
        for (const [to, txs] of this.#byLane(strays, (tx) => tx.sender)) {
          const restore = await (this.#active[to] as LaneApi).prepareReturn(txs);
          await restore();
        }
        await lane.moved(strays);
        moved += strays.length;
      }
      if (moved > 0) log.info("transactions moved to their lane", { from: lane.index, lanes: count, moved });
    }
  }

  #laneOf(sender: Uint8Array): LaneApi {
    return this.#active[laneOf(sender, this.#deps.count)] as LaneApi;
  }

  #byLane<T>(items: readonly T[], senderOf: (item: T) => Uint8Array): Map<number, T[]> {
    const groups = new Map<number, T[]>();
    for (const item of items) {
      const lane = laneOf(senderOf(item), this.#deps.count);
      const group = groups.get(lane);
      if (group === undefined) groups.set(lane, [item]);
      else group.push(item);
    }
    return groups;
  }

  async submit(items: readonly PooledTransaction[]): Promise<readonly SubmitOutcome[]> {
    const { count, metrics, onAccepted } = this.#deps;
    const share = this.#deps.admissionShare?.(this.#sizeBytes()) ?? 1;
    const outcomes =
      count === 1 ? await (this.#active[0] as LaneApi).submit(items, share) : await this.#submitToEach(items, share);
    let accepted = 0;
    for (const [i, outcome] of outcomes.entries())
      if (outcome.accepted) {
        accepted++;
        onAccepted?.((items[i] as PooledTransaction).tx);
      } else metrics.rejected.inc(1, { code: outcome.code });
    if (accepted > 0) metrics.accepted.inc(accepted);
    this.#report();
    return outcomes;
  }

  async #submitToEach(items: readonly PooledTransaction[], share: number): Promise<SubmitOutcome[]> {
    const outcomes: SubmitOutcome[] = [];
    const admitted: { item: PooledTransaction; at: number }[] = [];
    for (const [at, item] of items.entries()) {
      const refused = item.tx.authorizations.length === 0 ? undefined : await this.#holds.take(item);
      if (refused === undefined) admitted.push({ item, at });
      else outcomes[at] = refused;
    }
    await Promise.all(
      [...this.#byLane(admitted, ({ item }) => item.sender)].map(async ([lane, group]) => {
        const answers = await (this.#active[lane] as LaneApi)
          .submit(
            group.map(({ item }) => item),
            share,
          )
          .catch((err: unknown): undefined => {
            this.#deps.log.warn("a lane gave no answer to a batch", { lane, transactions: group.length, err });
          });
        for (const [i, { item, at }] of group.entries()) {
          const outcome = answers?.[i] ?? { accepted: false, code: "UNAVAILABLE", message: unavailable(lane) };
          outcomes[at] = outcome;
          if (outcome.accepted || outcome.code === "ALREADY_KNOWN" || outcome.code === "UNAVAILABLE")
            this.#holds.arrived(item);
          else this.#holds.giveBack(item);
        }
      }),
    );
    return outcomes;
  }

  take(limits: Omit<TakeLimits, "acceptedBeforeMs">): Answer<CutBatch> {
    assert(this.#open === undefined, "one cut is open at a time");
    const acceptedBeforeMs = Math.max(this.#deps.clock.nowMs(), this.#clockMs) + 1;
    // A cut of the usual size needs no more of each lane; when one has more than that, the cut ends there.
    const gasMax = this.#active.length === 1 ? limits.gasMax : Math.ceil((2 * limits.gasMax) / this.#active.length);
    const answers = this.#active.map((lane) => lane.take({ ...limits, gasMax, acceptedBeforeMs }));
    const cut = (batches: readonly LaneBatch[]): CutBatch =>
      this.#cut(
        batches.map((batch, lane) => ({ lane: this.#active[lane] as LaneApi, batch })),
        limits,
      );
    return answers.some((answer) => answer instanceof Promise)
      ? Promise.all(answers.map(async (answer) => answer)).then(cut)
      : cut(answers as LaneBatch[]);
  }

  #cut(all: readonly Offer[], limits: Omit<TakeLimits, "acceptedBeforeMs">): CutBatch {
    for (const { batch } of all) this.#clockMs = Math.max(this.#clockMs, batch.clockMs);
    const offers = all.filter(({ batch }) => batch.txs.length > 0);
    const [only] = offers;
    if (only === undefined) return { txs: [], more: false };
    if (this.#active.length === 1) {
      const { txs, more } = only.batch;
      const cut = { txs, more };
      this.#open = { cut, offers, kept: [] };
      return cut;
    }
    const { kept, more } = this.#select(offers, limits);
    const runs = offers.map(({ batch }, i) => (kept[i] as number[]).map((place) => batch.txs[place] as OfferedTx));
    // What orderOfCut makes of the same runs, without decoding: the lanes have told the tips.
    const cut = { txs: mergedRuns(orderingPolicy(this.ordering), runs), more };
    assert(cut.txs.length > 0, "what is offered fits");
    this.#open = { cut, offers, kept };
    return cut;
  }

  /** What of the offers the cut takes, as if they were one lane's. */
  #select(
    offers: readonly Offer[],
    limits: Omit<TakeLimits, "acceptedBeforeMs">,
  ): { readonly kept: number[][]; readonly more: boolean } {
    const kept: number[][] = offers.map(() => []);
    let { gasLeft, sizeMaxBytes: sizeLeft } = limits;
    let gas = 0;
    let more = false;
    /** Senders with a transaction that did not fit: those behind it wait with it. */
    const waiting = new Set<string>();
    mergeRuns(
      orderingPolicy(this.ordering),
      offers.map(({ batch }) => batch.txs),
      (tx, run, at) => {
        if (gasLeft < LEAST_GAS || sizeLeft <= 0) return "stop";
        more = gas >= limits.gasMax;
        if (more) return "stop";
        const sizeBytes = tx.raw.length + limits.txOverheadBytes;
        const isWaiting = waiting.size > 0 && waiting.has(toHexKey(tx.sender));
        if (isWaiting || tx.gasLimit > gasLeft || sizeBytes > sizeLeft) {
          if (!isWaiting) waiting.add(toHexKey(tx.sender));
        } else {
          gas += tx.gasLimit;
          gasLeft -= tx.gasLimit;
          sizeLeft -= sizeBytes;
          (kept[run] as number[]).push(at);
        }
        const { batch } = offers[run] as Offer;
        // What its lane has behind it may come before what others have left.
        more = batch.more && at === batch.txs.length - 1;
        return more ? "stop" : "next";
      },
    );
    return { kept, more };
  }

  async release(cut: CutBatch): Promise<Released> {
    const open = this.#open;
    assert(open?.cut === cut, "only the open cut is released");
    this.#open = undefined;
    const results = await Promise.allSettled(
      open.offers.map(async ({ lane, batch }, i): Promise<LanePosition | undefined> => {
        const kept = open.kept[i];
        const seq = await lane.release(batch, kept?.length === batch.txs.length ? undefined : kept);
        return seq === undefined ? undefined : { lane: lane.index, seq };
      }),
    );
    const positions: LanePosition[] = [];
    let isLost = false;
    for (const result of results)
      if (result.status === "fulfilled") {
        if (result.value !== undefined) positions.push(result.value);
      } else if (hasCode(result.reason, "LANE_LOST")) isLost = true;
      else throw result.reason;
    return isLost ? { positions: [], inline: cut.txs } : { positions, inline: [] };
  }

  async settle(settlements: readonly Settlement[]): Promise<void> {
    const { count } = this.#deps;
    if (count === 1) await (this.#active[0] as LaneApi).settle(settlements);
    else
      await Promise.all(
        [...this.#byLane(settlements, ({ tx }) => tx.sender)].map(([lane, own]) =>
          (this.#active[lane] as LaneApi).settle(own),
        ),
      );
    this.#report();
  }

  async prepareReturn(txs: readonly OrderedTx[]): Promise<() => Promise<void>> {
    const groups = this.#byLane(txs as readonly LaneTx[], (tx) => tx.sender);
    // Each lane takes part: all read their nonces again.
    const restores = await Promise.all(this.#active.map((lane) => lane.prepareReturn(groups.get(lane.index) ?? [])));
    return async () => {
      await Promise.all(restores.map(async (restore) => restore()));
      await this.#holds.recover();
      this.#report();
    };
  }

  async trim(sealed: readonly LanePosition[]): Promise<void> {
    for (const { lane, seq } of sealed) await this.#deps.lanes[lane]?.trim(seq);
  }

  onHead(head: LaneHead): void {
    const { count } = this.#deps;
    if (count === 1) this.#active[0]?.onHead(head);
    else {
      const changed: string[][] = this.#active.map(() => []);
      for (const key of head.changed) changed[laneOf(fromHex(key), count)]?.push(key);
      for (const [i, lane] of this.#active.entries()) lane.onHead({ ...head, changed: changed[i] as string[] });
    }
    void this.#holds.sweep();
    this.#report();
  }

  tend(): void {
    let isBack = false;
    for (const lane of this.#deps.lanes) isBack = lane.tend() || isBack;
    // A lane that is back knows nothing of what the others hold. Where one is lost again this is done again.
    if (isBack) void this.#holds.recover().catch(() => undefined);
  }

  nextNonce(address: Uint8Array): Answer<bigint | undefined> {
    return this.#laneOf(address).nextNonce(address);
  }

  get(hash: Uint8Array): Answer<PooledTransaction | undefined> {
    const answers = this.#active.map((lane) => lane.get(hash));
    return answers.some((answer) => answer instanceof Promise)
      ? found(answers)
      : (answers as (PooledTransaction | undefined)[]).find((tx) => tx !== undefined);
  }

  status(): Answer<{ pending: number; queued: number }> {
    return join(
      this.#active.map((lane) => lane.status()),
      (counts) => ({
        pending: counts.reduce((sum, { pending }) => sum + pending, 0),
        queued: counts.reduce((sum, { queued }) => sum + queued, 0),
      }),
    );
  }

  content(countMax: number, sender?: Uint8Array): Answer<PoolContent> {
    const lanes = sender === undefined ? this.#active : [this.#laneOf(sender)];
    return join(
      lanes.map((lane) => lane.content(countMax, sender)),
      (parts) => {
        const pending = parts.flatMap((part) => part.pending).slice(0, countMax);
        return { pending, queued: parts.flatMap((part) => part.queued).slice(0, countMax - pending.length) };
      },
    );
  }

  /** Where the order receipt of a transaction comes from. */
  async arrivalOf(hash: Uint8Array): Promise<ArrivalBatch | undefined> {
    return found(this.#deps.lanes.map((lane) => lane.arrivalOf(hash)));
  }

  notReady(): string | undefined {
    const reasons = this.#active.map((lane) => lane.notReady());
    // One that is lost holds up its own senders only.
    return reasons.every((reason) => reason !== undefined) ? reasons[0] : undefined;
  }

  #sizeBytes(): number {
    let sizeBytes = 0;
    for (const lane of this.#active) sizeBytes += lane.usage().sizeBytes;
    return sizeBytes;
  }

  #report(): void {
    const { metrics } = this.#deps;
    let txs = 0;
    let sizeBytes = 0;
    for (const lane of this.#active) {
      const usage = lane.usage();
      txs += usage.txs;
      sizeBytes += usage.sizeBytes;
      metrics.laneTxs.set(usage.txs, { lane: String(lane.index) });
    }
    metrics.poolTxs.set(txs);
    metrics.poolSizeBytes.set(sizeBytes);
  }
}

function unavailable(lane: number): string {
  return `lane ${lane} is being restarted; send it again, it may have been accepted`;
}

/** The one answer there is. A lane that is lost has none; that it is lost is told only where no other lane has one. */
async function found<T>(answers: readonly Answer<T | undefined>[]): Promise<T | undefined> {
  const results = await Promise.allSettled(answers.map(async (answer) => answer));
  let fault: { reason: unknown } | undefined;
  for (const result of results) {
    if (result.status === "rejected") fault ??= { reason: result.reason as unknown };
    else if (result.value !== undefined) return result.value;
  }
  if (fault !== undefined) throw fault.reason;
  return undefined;
}

/** At once where all are. */
function join<T, R>(answers: readonly Answer<T>[], combine: (values: readonly T[]) => R): Answer<R> {
  return answers.some((answer) => answer instanceof Promise)
    ? Promise.all(answers.map(async (answer) => answer)).then(combine)
    : combine(answers as T[]);
}
