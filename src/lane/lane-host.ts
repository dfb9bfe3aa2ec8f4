/**
 * Owns a lane in a thread or process of its own: its log, its pool, and what the node told it of accounts. It is the same
 * lane as one in the node; what differs is that facts come with messages instead of being looked up.
 * On failure: an error ends the worker; the node starts another one on the same log.
 */
import { assert } from "../base/assert.ts";
import { toHexKey } from "../base/bytes.ts";
import { systemClock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import type { Log, LogFields } from "../base/log.ts";
import type { Account } from "../execution/execution.ts";
import { Calls } from "../link/calls.ts";
import type { Receive } from "../link/link.ts";
import { fence } from "../log/lease.ts";
import type { AppendLog } from "../log/log.ts";
import { type LogPlace, openLogAt } from "../log/log-place.ts";
import { type L1FeeParameters, l1DataFeeWei } from "../protocol/l1-fee.ts";
import { orderingPolicy } from "../protocol/ordering.ts";
import { decodeSignedTransaction } from "../protocol/transaction-codec.ts";
import type { Answer, PooledTransaction } from "../rpc/chain-view.ts";
import type { LaneBatch, Settlement } from "./api.ts";
import { laneConfig } from "./config.ts";
import { Lane } from "./lane.ts";
import { type Fact, LANE, NODE, type PooledItem } from "./lane-calls.ts";
import { LaneTail } from "./lane-tail.ts";
import type { CodeKind } from "./pool.ts";

/** What a lane is told when it starts, as JSON. */
export type LaneSettings = {
  readonly index: number;
  readonly chainId: number;
  readonly place: LogPlace;
  readonly env: Readonly<Record<string, string>>;
};

export const CODE_KINDS: readonly CodeKind[] = ["none", "delegation", "contract"];

type KnownAccount = Account & { readonly codeKind: CodeKind };

const NO_CODE_HASH = new Uint8Array(32);
/** Facts beyond those of senders in the pool that are kept before they are swept. */
const FACTS_SPARE = 10_000;

export class LaneHost {
  readonly #calls: Calls;
  readonly #log: Log;
  #settings: LaneSettings | undefined;
  #journal: AppendLog | undefined;
  #lane: Lane | undefined;
  #facts = new Map<string, KnownAccount>();
  #l1Fees: L1FeeParameters | undefined;
  #open: LaneBatch | undefined;
  #finishReturn: (() => Answer<void>) | undefined;
  #dropped = new Map<string, number>();
  #newsDue = false;

  /** What takes the messages of a link to a node. */
  static serve(send: (message: Uint8Array) => void): Receive {
    const host = new LaneHost(new Calls(send));
    return (message) => host.#calls.receive(message);
  }

  private constructor(calls: Calls) {
    this.#calls = calls;
    this.#log = logOver(calls, {});
    calls.serve(LANE.open, ({ settings }) => this.#openLog(settings));
    calls.serve(LANE.refreshLog, async () => {
      await this.#opened.refresh();
      return this.#logState();
    });
    calls.serve(LANE.appendLog, async (append) => {
      await this.#opened.append(append);
      return this.#logState();
    });
    calls.serve(LANE.readLog, (p) => this.#opened.read(p.fromSeq, p.countMax, p.sizeMaxBytes));
    calls.serve(LANE.trimLog, async ({ seq }) => {
      await this.#opened.trim(seq);
      return this.#logState();
    });
    calls.serve(LANE.lead, (p) => this.#lead(p));
    calls.serve(LANE.submit, async ({ sharePpm, facts, items }) => {
      this.#learn(facts);
      const outcomes = await this.#led.submit(items.map(itemOf), sharePpm / 1e6);
      return outcomes.map((o) => (o.accepted ? { code: "", message: "" } : { code: o.code, message: o.message }));
    });
    calls.serve(LANE.take, (limits) => {
      // The node may have forgotten a cut, when it gave up the lead in between.
      if (this.#open !== undefined) void this.#led.release(this.#open, []);
      const batch = this.#led.take(limits);
      this.#open = batch.txs.length > 0 ? batch : undefined;
      return batch;
    });
    calls.serve(LANE.release, async ({ kept }) => {
      const batch = this.#open;
      assert(batch !== undefined, "a batch is open");
      this.#open = undefined;
      return this.#led.release(batch, kept);
    });
    calls.serve(LANE.settle, ({ facts, settlements }) => {
      this.#learn(facts);
      return this.#led.settle(settlements.map(settlementOf));
    });
    calls.serve(LANE.prepareReturn, async ({ txs }) => {
      this.#finishReturn = await this.#led.prepareReturn(txs.map(withoutUndefined));
    });
    calls.serve(LANE.finishReturn, async () => {
      const finish = this.#finishReturn;
      this.#finishReturn = undefined;
      await finish?.();
    });
    calls.serve(LANE.strays, (p) => this.#led.strays(p.lanes, p.sizeMaxBytes));
    calls.serve(LANE.moved, ({ txs }) => this.#led.moved(txs));
    calls.serve(LANE.trim, ({ seq }) => this.#led.trim(seq));
    calls.serve(LANE.head, ({ gasLimit, l1Fees, facts }) => {
      this.#l1Fees = l1Fees;
      this.#learn(facts);
      this.#led.onHead({ gasLimit, changed: facts.map(({ address }) => toHexKey(address)) });
      this.#sweepFacts();
      this.#news();
    });
    calls.serve(LANE.holdFor, (p) => this.#led.holdFor(p.address, p.hash));
    calls.serve(LANE.letGo, (p) => this.#led.letGo(p.address, p.hash));
    calls.serve(LANE.delegating, () => this.#led.delegating().map(pooledItem));
    calls.serve(LANE.arrivalOf, ({ hash }) => this.#led.arrivalOf(hash));
    calls.serve(LANE.nextNonce, ({ address }) => this.#led.nextNonce(address));
    calls.serve(LANE.get, ({ hash }) => {
      const found = this.#led.get(hash);
      return found === undefined ? undefined : pooledItem(found);
    });
    calls.serve(LANE.status, () => this.#led.status());
    calls.serve(LANE.content, ({ countMax, sender }) => {
      const { pending, queued } = this.#led.content(countMax, sender);
      return { pending: pending.map(pooledItem), queued: queued.map(pooledItem) };
    });
    calls.serve(LANE.ping, () => undefined);
  }

  get #opened(): AppendLog {
    assert(this.#journal !== undefined, "the lane's log is open");
    return this.#journal;
  }

  get #led(): Lane {
    assert(this.#lane !== undefined, "the lane is led");
    this.#news();
    return this.#lane;
  }

  async #openLog(text: string): Promise<{ seq: number; term: number; hash: Uint8Array; oldestSeq: number }> {
    const settings = JSON.parse(text) as LaneSettings;
    this.#settings = settings;
    this.#journal = await openLogAt(settings.place, { env: settings.env, log: this.#log, clock: systemClock });
    return this.#logState();
  }

  #logState(): { seq: number; term: number; hash: Uint8Array; oldestSeq: number } {
    const { tip, oldestSeq } = this.#opened;
    return { ...tip, oldestSeq };
  }

  async #lead(p: {
    term: number;
    holder: string;
    orderedSeq: number;
    gasLimit: number;
    l1Fees: L1FeeParameters;
    owed: readonly { raw: Uint8Array; sender: Uint8Array; arrival: Settlement["tx"]["arrival"] }[];
  }): Promise<void> {
    const settings = this.#settings;
    assert(settings !== undefined, "settings come before the lead");
    const journal = this.#opened;
    // Whatever the owner before had on its way loses against this.
    await fence(journal, p.term, p.holder);
    const config = readConfig(laneConfig, settings.env);
    this.#open = undefined;
    this.#l1Fees = p.l1Fees;
    this.#lane = await Lane.open(
      config,
      {
        index: settings.index,
        ordering: orderingPolicy(config.ordering),
        chainId: settings.chainId,
        clock: systemClock,
        account: (address) => this.#facts.get(toHexKey(address)),
        codeKind: (account) => (account as KnownAccount).codeKind,
        l1FeeWei: (raw) => l1DataFeeWei(raw, this.#l1Fees as L1FeeParameters),
        load: async (addresses) => {
          const wanted = new Map(addresses.map((address) => [toHexKey(address), address]));
          this.#learn(await this.#calls.ask(NODE.facts, { addresses: [...wanted.values()] }));
        },
        log: this.#log,
        journal,
        term: p.term,
        onDropped: (reason) => {
          this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + 1);
        },
      },
      await LaneTail.open(settings.index, journal, p.orderedSeq),
      p.owed.map(withoutUndefined),
    );
    this.#lane.onHead({ gasLimit: p.gasLimit, changed: [] });
    this.#news();
  }

  #learn(facts: readonly Fact[]): void {
    for (const { address, nonce, balanceWei, codeKind } of facts)
      this.#facts.set(toHexKey(address), {
        nonce,
        balanceWei,
        codeHash: NO_CODE_HASH,
        codeKind: CODE_KINDS[codeKind] as CodeKind,
      });
  }

  /** Facts come again with the next message that needs them: only those of senders in the pool are needed meanwhile. */
  #sweepFacts(): void {
    const lane = this.#led;
    if (this.#facts.size <= 2 * lane.usage().txs + FACTS_SPARE) return;
    for (const key of this.#facts.keys()) if (!lane.isSender(key)) this.#facts.delete(key);
  }

  /** Tells the node how things are, once a turn at most. */
  #news(): void {
    if (this.#newsDue) return;
    this.#newsDue = true;
    setImmediate(() => {
      this.#newsDue = false;
      const { txs, sizeBytes } = this.#lane?.usage() ?? { txs: 0, sizeBytes: 0 };
      const dropped = [...this.#dropped].map(([reason, count]) => ({ reason, count }));
      this.#dropped.clear();
      this.#calls.tell(NODE.news, { txs, sizeBytes, dropped, notReady: this.#journal?.notReady() ?? "" });
    });
  }
}

/** Owns its bytes: the message it came in is not held as long as the transaction is. */
function itemOf({ raw, sender, authorities }: PooledItem): PooledTransaction {
  return {
    tx: decodeSignedTransaction(raw.slice()),
    sender: sender.slice(),
    ...(authorities === undefined
      ? {}
      : { authorities: authorities.map(({ address, nonce }) => ({ address: address.slice(), nonce })) }),
  };
}

export function pooledItem({ tx, sender, authorities }: PooledTransaction): PooledItem {
  return { raw: tx.raw, sender, authorities };
}

function settlementOf(s: {
  hash: Uint8Array;
  reason: string;
  tx: { raw: Uint8Array; sender: Uint8Array; arrival: Settlement["tx"]["arrival"] } | undefined;
}): Settlement {
  const tx = s.tx === undefined ? { raw: new Uint8Array(0), sender: new Uint8Array(20) } : withoutUndefined(s.tx);
  return s.reason === ""
    ? { hash: s.hash, tx, included: true }
    : { hash: s.hash, tx, included: false, reason: s.reason as Extract<Settlement, { included: false }>["reason"] };
}

function withoutUndefined(tx: {
  raw: Uint8Array;
  sender: Uint8Array;
  arrival: Settlement["tx"]["arrival"];
}): Settlement["tx"] {
  const { raw, sender, arrival } = tx;
  return { raw: raw.slice(), sender: sender.slice(), ...(arrival === undefined ? {} : { arrival }) };
}

/** A log whose lines are the node's. */
function logOver(calls: Calls, bound: LogFields): Log {
  const line =
    (level: string) =>
    (message: string, fields: LogFields = {}): void => {
      const { err, ...rest } = { ...bound, ...fields };
      const cause = err === undefined ? {} : { cause: err instanceof Error ? err.message : JSON.stringify(err) };
      calls.tell(NODE.log, { level, message, fields: JSON.stringify({ ...rest, ...cause }) });
    };
  return {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    child: (fields) => logOver(calls, { ...bound, ...fields }),
  };
}
