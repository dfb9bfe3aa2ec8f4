/**
 * Owns a lane elsewhere as the leader sees it: the same as one in this process, a batch a message. When its worker is
 * lost the lane takes nothing until the next worker has read the log and this process is between two cuts, so that what
 * was executed meanwhile is told from what waits.
 *
 *   live ──worker lost──▶ lost ──worker open, between cuts──▶ joining (reads its log) ──▶ live
 *
 * Invariant: what execution put back while it was lost is given to the next worker, and `settle` resolves when that has
 * it durable.
 */
import { fromHex, toHexKey } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { L1FeeParameters } from "../protocol/l1-fee.ts";
import type { LaneTx } from "../protocol/ordering.ts";
import { decodeSignedTransaction } from "../protocol/transaction-codec.ts";
import type { PooledTransaction, PoolRejection, SubmitOutcome } from "../rpc/chain-view.ts";
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
import { runsLater } from "./lane.ts";
import { type Fact, LANE, type PooledItem } from "./lane-calls.ts";
import { pooledItem } from "./lane-host.ts";
import type { LaneSeat } from "./lane-seat.ts";

export type LinkedLaneDeps = {
  readonly seat: LaneSeat;
  readonly term: number;
  readonly holder: string;
  /** What the pool needs to know of an account now; absent accounts are empty. */
  readonly factOf: (address: Uint8Array) => Fact;
  readonly l1Fees: () => L1FeeParameters;
  /** Newest position of this lane that the order names. */
  readonly orderedSeq: () => number;
  readonly gasLimit: () => number;
  readonly onDropped: (reason: string, count: number) => void;
  readonly log: Log;
};

const NO_BATCH: LaneBatch = { txs: [], more: false, clockMs: 0 };

export class LinkedLane implements LaneApi {
  readonly index: number;
  readonly #deps: LinkedLaneDeps;
  readonly #seat: LaneSeat;
  #state: "live" | "lost" | "joining" = "lost";
  /** It is between two cuts, or on the way there without another one: a worker may join. */
  #mayJoin = true;
  /** It came back since somebody asked. */
  #isBack = false;
  /** By hash: put back by execution, and not known to be durable. */
  readonly #owed = new Map<string, Settlement["tx"]>();
  #waiting: (() => void)[] = [];
  #failure: unknown;

  private constructor(deps: LinkedLaneDeps) {
    this.#deps = deps;
    this.#seat = deps.seat;
    this.index = deps.seat.index;
  }

  /** Leads a lane elsewhere. `owed`: see Lane.open. */
  static async lead(deps: LinkedLaneDeps, owed: readonly Settlement["tx"][]): Promise<LinkedLane> {
    const lane = new LinkedLane(deps);
    for (const tx of owed) lane.#owe(tx);
    deps.seat.belongTo({
      facts: (addresses) => addresses.map((address) => deps.factOf(address)),
      dropped: deps.onDropped,
      opened: () => lane.#join(),
      lost: () => {
        lane.#state = "lost";
        lane.#mayJoin = false;
      },
    });
    lane.#join();
    await lane.#whenLive();
    lane.#isBack = false;
    return lane;
  }

  #owe(tx: Settlement["tx"]): void {
    this.#owed.set(toHexKey(decodeSignedTransaction(tx.raw).hash), tx);
  }

  tend(): boolean {
    this.#mayJoin = true;
    this.#join();
    const isBack = this.#isBack;
    this.#isBack = false;
    return isBack;
  }

  #join(): void {
    if (this.#state !== "lost" || !this.#mayJoin || !this.#seat.isOpen) return;
    this.#state = "joining";
    const { term, holder, orderedSeq, gasLimit, l1Fees, log } = this.#deps;
    const owed = [...this.#owed];
    this.#seat.calls
      .ask(LANE.lead, {
        term,
        holder,
        orderedSeq: orderedSeq(),
        gasLimit: gasLimit(),
        l1Fees: l1Fees(),
        owed: owed.map(([, tx]) => returned(tx)),
      })
      .then(
        () => {
          for (const [key] of owed) this.#owed.delete(key);
          this.#state = "live";
          this.#isBack = true;
          for (const resolve of this.#waiting.splice(0)) resolve();
        },
        (error: unknown) => {
          // Lost again: the seat says so, and the next worker joins.
          if (hasCode(error, "LANE_LOST")) return;
          this.#failure = error;
          log.error("a lane cannot be led", { lane: this.index, err: error });
          for (const resolve of this.#waiting.splice(0)) resolve();
        },
      );
  }

  /** @throws what keeps the lane from being led for good: another leader */
  async #whenLive(): Promise<void> {
    while (this.#state !== "live") {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  get #live(): LaneSeat["calls"] {
    if (this.#state !== "live") throw this.#seat.lostError("is being restarted");
    return this.#seat.calls;
  }

  async submit(items: readonly PooledTransaction[], share: number): Promise<readonly SubmitOutcome[]> {
    const known = new Map<string, Fact>();
    const learn = (address: Uint8Array): void => {
      const key = toHexKey(address);
      if (!known.has(key)) known.set(key, this.#deps.factOf(address));
    };
    for (const { sender, authorities } of items) {
      learn(sender);
      for (const authority of authorities ?? []) learn(authority.address);
    }
    const outcomes = await this.#live.ask(LANE.submit, {
      sharePpm: Math.floor(Math.max(0, Math.min(1, share)) * 1e6),
      facts: [...known.values()],
      items: items.map(pooledItem),
    });
    return outcomes.map(({ code, message }) =>
      code === "" ? { accepted: true } : { accepted: false, code: code as PoolRejection, message },
    );
  }

  take(limits: TakeLimits): LaneBatch | Promise<LaneBatch> {
    if (this.#state !== "live") return NO_BATCH;
    return this.#seat.calls.ask(LANE.take, limits).catch((error: unknown) => {
      if (hasCode(error, "LANE_LOST")) return NO_BATCH;
      throw error;
    });
  }

  async release(_batch: LaneBatch, kept?: readonly number[]): Promise<number | undefined> {
    return this.#live.ask(LANE.release, { kept });
  }

  async settle(settlements: readonly Settlement[]): Promise<void> {
    const senders = new Map<string, Fact>();
    for (const { tx } of settlements) {
      const key = toHexKey(tx.sender);
      if (!senders.has(key)) senders.set(key, this.#deps.factOf(tx.sender));
    }
    try {
      await this.#live.ask(LANE.settle, {
        facts: [...senders.values()],
        settlements: settlements.map((s) => ({
          hash: s.hash,
          reason: s.included ? "" : s.reason,
          tx: runsLater(s) ? returned(s.tx) : undefined,
        })),
      });
    } catch (error) {
      if (!hasCode(error, "LANE_LOST")) throw error;
      const later = settlements.filter(runsLater);
      if (later.length === 0) return;
      for (const { tx } of later) this.#owe(tx);
      // The cut is executed and nothing follows before this resolves.
      this.#mayJoin = true;
      this.#join();
      await this.#whenLive();
    }
  }

  async prepareReturn(txs: readonly Settlement["tx"][]): Promise<() => Promise<void>> {
    for (;;) {
      this.#mayJoin = true;
      this.#join();
      await this.#whenLive();
      try {
        await this.#live.ask(LANE.prepareReturn, { txs: txs.map(returned) });
        break;
      } catch (error) {
        if (!hasCode(error, "LANE_LOST")) throw error;
      }
    }
    return async () => {
      try {
        await this.#live.ask(LANE.finishReturn, undefined);
      } catch (error) {
        if (!hasCode(error, "LANE_LOST")) throw error;
        // The next worker reads what was returned from the log, on the state as it is now.
        this.#mayJoin = true;
        this.#join();
        await this.#whenLive();
      }
    };
  }

  strays(lanes: number, sizeMaxBytes: number): Promise<readonly LaneTx[]> {
    return this.#live.ask(LANE.strays, { lanes, sizeMaxBytes });
  }

  moved(txs: readonly LaneTx[]): Promise<void> {
    return this.#live.ask(LANE.moved, { txs });
  }

  async trim(seq: number): Promise<void> {
    if (this.#state === "live") await this.#seat.calls.ask(LANE.trim, { seq }).catch(passOver);
  }

  onHead(head: LaneHead): void {
    if (this.#state !== "live") return; // it is told when it joins
    const facts = Array.from(head.changed, (key) => this.#deps.factOf(fromHex(key)));
    this.#seat.calls.tell(LANE.head, { gasLimit: head.gasLimit, l1Fees: this.#deps.l1Fees(), facts });
  }

  usage(): LaneUsage {
    return this.#seat.usage;
  }

  notReady(): string | undefined {
    return this.#state === "live" ? this.#seat.notReady() : `lane ${this.index} is being restarted`;
  }

  holdFor(address: Uint8Array, hash: Uint8Array): Promise<boolean> {
    // Lost: it holds nothing more than one of it either, until it is told again.
    return this.#state === "live"
      ? this.#seat.calls.ask(LANE.holdFor, { address, hash }).catch(() => false)
      : Promise.resolve(false);
  }

  letGo(address: Uint8Array, hash: Uint8Array): void {
    if (this.#state === "live") this.#seat.calls.tell(LANE.letGo, { address, hash });
  }

  async delegating(): Promise<readonly PooledTransaction[]> {
    return (await this.#live.ask(LANE.delegating, undefined)).map(pooledOf);
  }

  async arrivalOf(hash: Uint8Array): Promise<ArrivalBatch | undefined> {
    return this.#live.ask(LANE.arrivalOf, { hash });
  }

  async nextNonce(address: Uint8Array): Promise<bigint | undefined> {
    return this.#live.ask(LANE.nextNonce, { address });
  }

  async get(hash: Uint8Array): Promise<PooledTransaction | undefined> {
    const found = await this.#live.ask(LANE.get, { hash });
    return found === undefined ? undefined : pooledOf(found);
  }

  async status(): Promise<{ pending: number; queued: number }> {
    return this.#live.ask(LANE.status, undefined);
  }

  async content(countMax: number, sender?: Uint8Array): Promise<PoolContent> {
    const { pending, queued } = await this.#live.ask(LANE.content, { countMax, sender });
    return { pending: pending.map(pooledOf), queued: queued.map(pooledOf) };
  }
}

function returned(tx: Settlement["tx"]): { raw: Uint8Array; sender: Uint8Array; arrival: Settlement["tx"]["arrival"] } {
  return { raw: tx.raw, sender: tx.sender, arrival: tx.arrival };
}

function pooledOf({ raw, sender, authorities }: PooledItem): PooledTransaction {
  return { tx: decodeSignedTransaction(raw), sender, ...(authorities === undefined ? {} : { authorities }) };
}

/** What a lost lane was asked in passing, its next worker is asked again. */
function passOver(error: unknown): void {
  if (!hasCode(error, "LANE_LOST")) throw error;
}
