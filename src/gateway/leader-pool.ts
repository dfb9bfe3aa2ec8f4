/**
 * Owns the way of transactions to whoever leads: into the lane of this process while that is this one, else to the
 * leader's gateway, whose outcomes are handed on. While nobody leads they wait a while; then they are refused with
 * NO_LEADER, which says that sending them again is right.
 * Invariants: what is answered as accepted was accepted by a leader; what waits or is under way is bounded; the
 * transactions of one call keep their order. A call that was cut off may have been heard: it is made again, and what the
 * leader knows already counts as accepted, for it answers so only when it is durable.
 */

import { toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";

import type { Log } from "../base/log.ts";
import { isLeadLost } from "../log/lease.ts";
import type { Answer, PooledTransaction, PoolRejection, PoolView, SubmitOutcome } from "../rpc/chain-view.ts";

/** Where the lane of this process is, and who leads otherwise. */
export interface LeaderSource {
  /** Undefined while this process does not lead. */
  readonly pool: PoolView | undefined;
  readonly leader: { readonly address: string; readonly term: number } | undefined;
  /** True while this process leads as far as it knows, and its logs take nothing: another one may lead by now. */
  readonly isCutOff: boolean;
  /** True when the chain as known here holds it. */
  isIncluded(hash: Uint8Array): boolean;
}

export type LeaderPoolOptions = {
  readonly source: LeaderSource;
  /** Instead of the address that the leader names. */
  readonly address: string;
  readonly waitMs: number;
  readonly txsMax: number;
  readonly clock: Clock;
  readonly log: Log;
};

/** Transactions, and bytes of them, in one call. */
const CALL_TXS_MAX = 1_000;
const CALL_SIZE_MAX_BYTES = 2 << 20;
const CALL_TIMEOUT_MS = 5_000;
const RETRY_MS = 50;
/** How often a transaction that waits for its log looks whether that has become pointless. */
const CUT_OFF_LOOK_MS = 500;
/** How long a transaction that may have been heard before is looked for in the chain. */
const INCLUSION_MS = 2_000;
const EMPTY = { pending: [], queued: [] } as const;

/** What `sheaf_submitRawTransactions` answers for each: null, or why not. */
export type ForwardedOutcome = null | { readonly reason: PoolRejection; readonly message: string };

export class LeaderPool implements PoolView {
  readonly #options: LeaderPoolOptions;
  #underWay = 0;
  /** Refuses a call that waits for the lane of this process. */
  readonly #inLane = new Set<() => void>();
  #isWatching = false;

  constructor(options: LeaderPoolOptions) {
    this.#options = options;
  }

  get leads(): boolean {
    return this.#options.source.pool !== undefined;
  }

  async submit(txs: readonly PooledTransaction[]): Promise<readonly SubmitOutcome[]> {
    const { source, txsMax } = this.#options;
    const { pool } = source;
    if (pool !== undefined) {
      try {
        return await this.#submitHere(pool, txs);
      } catch (error) {
        // Refused by the log: somebody else leads, and none of these is acknowledged. Other faults are this process's own.
        if (!isLeadLost(error)) throw error;
      }
    }
    if (this.#underWay + txs.length > txsMax)
      return txs.map(() => refusal("NO_LEADER", `${this.#underWay} transactions wait for a leader already`));
    this.#underWay += txs.length;
    try {
      return await this.#forward(txs, pool !== undefined);
    } finally {
      this.#underWay -= txs.length;
    }
  }

  /**
   * Into the lane of this process. While its logs take nothing nobody is kept waiting here: another gateway may reach
   * whoever leads now. What was handed to the lane may be accepted all the same; sent again, it is the same transaction.
   */
  #submitHere(pool: PoolView, txs: readonly PooledTransaction[]): Promise<readonly SubmitOutcome[]> {
    const refused = (): SubmitOutcome[] => txs.map(() => refusal("NO_LEADER", "the logs of this node take nothing"));
    if (this.#options.source.isCutOff) return Promise.resolve(refused());
    return new Promise((resolve, reject) => {
      const refuse = (): void => resolve(refused());
      this.#inLane.add(refuse);
      pool
        .submit(txs)
        .finally(() => this.#inLane.delete(refuse))
        .then(resolve, reject);
      if (!this.#isWatching) void this.#watchCutOff();
    });
  }

  /** One look for all that wait, while any do. */
  async #watchCutOff(): Promise<void> {
    const { source, clock } = this.#options;
    this.#isWatching = true;
    for (; this.#inLane.size > 0; await clock.sleep(CUT_OFF_LOOK_MS)) {
      if (!source.isCutOff) continue;
      for (const refuse of this.#inLane) refuse();
      this.#inLane.clear();
    }
    this.#isWatching = false;
  }

  async #forward(txs: readonly PooledTransaction[], mayBeKnown: boolean): Promise<SubmitOutcome[]> {
    const { source, clock, waitMs } = this.#options;
    const endMs = clock.nowMs() + waitMs;
    const outcomes: SubmitOutcome[] = [];
    let heardBefore = mayBeKnown;
    let why = "no leader is known";
    while (outcomes.length < txs.length) {
      const rest = txs.slice(outcomes.length);
      if (source.pool !== undefined) {
        // This process has taken the lead meanwhile.
        const own = await this.#submitHere(source.pool, rest);
        outcomes.push(...(heardBefore ? await this.#ofSecondCall(rest, own) : own));
        continue;
      }
      const address = this.#options.address || source.leader?.address || "";
      if (address !== "") {
        const call = firstOf(rest);
        try {
          const answered = await this.#callWhileItLeads(address, call);
          outcomes.push(...(heardBefore ? await this.#ofSecondCall(call, answered) : answered));
          heardBefore = false;
          continue;
        } catch (error) {
          if (!(error instanceof NotLeading)) heardBefore = true;
          why = error instanceof Error ? error.message : String(error);
        }
      }
      if (clock.nowMs() >= endMs) {
        this.#options.log.warn("no leader takes transactions", { address, count: rest.length, reason: why });
        outcomes.push(...rest.map(() => refusal("NO_LEADER", "")));
      } else await clock.sleep(RETRY_MS);
    }
    return outcomes;
  }

  /** Given up when somebody else leads: a leader that stands still, or is cut off, does not answer for a long time. */
  async #callWhileItLeads(address: string, txs: readonly PooledTransaction[]): Promise<SubmitOutcome[]> {
    const { source, clock } = this.#options;
    const term = source.leader?.term;
    const done = new AbortController();
    const change = new AbortController();
    const watch = async (): Promise<void> => {
      while (!done.signal.aborted) {
        await clock.sleep(RETRY_MS, done.signal);
        if (source.pool !== undefined || source.leader?.term !== term) change.abort(new Error("another node leads"));
      }
    };
    void watch();
    try {
      return await this.#call(address, txs, AbortSignal.any([change.signal, AbortSignal.timeout(CALL_TIMEOUT_MS)]));
    } finally {
      done.abort();
    }
  }

  /** Outcomes of a call that repeats one whose answer was lost: what that one brought to the leader is accepted. */
  async #ofSecondCall(txs: readonly PooledTransaction[], outcomes: readonly SubmitOutcome[]): Promise<SubmitOutcome[]> {
    const { source, clock } = this.#options;
    const endMs = clock.nowMs() + INCLUSION_MS;
    const read: SubmitOutcome[] = [];
    for (const [i, outcome] of outcomes.entries()) {
      const hash = (txs[i] as PooledTransaction).tx.hash;
      let accepted = outcome.accepted || outcome.code === "ALREADY_KNOWN";
      // It may be executed by now, and this node's chain a moment behind.
      if (!outcome.accepted && outcome.code === "NONCE_TOO_LOW")
        for (accepted = source.isIncluded(hash); !accepted && clock.nowMs() < endMs; accepted = source.isIncluded(hash))
          await clock.sleep(RETRY_MS);
      read.push(accepted ? { accepted: true } : outcome);
    }
    return read;
  }

  async #call(address: string, txs: readonly PooledTransaction[], signal: AbortSignal): Promise<SubmitOutcome[]> {
    const response = await fetch(address, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        jsonrpc: "2.0",
        id: 1,
        method: "sheaf_submitRawTransactions",
        params: [txs.map(({ tx }) => toHex(tx.raw))],
      }),
      signal,
    });
    const body = (await response.json()) as {
      result?: readonly ForwardedOutcome[];
      error?: { message?: string; data?: { reason?: string } };
    };
    if (body.error?.data?.reason === "NO_LEADER") throw new NotLeading(`${address} does not lead`);
    const { result } = body;
    if (!Array.isArray(result) || result.length !== txs.length)
      throw new Error(`${address} answers ${body.error?.message ?? `status ${response.status}`}`);
    return result.map((outcome: ForwardedOutcome) =>
      outcome === null ? { accepted: true } : refusal(outcome.reason, outcome.message),
    );
  }

  nextNonce(address: Uint8Array): Answer<bigint | undefined> {
    return this.#options.source.pool?.nextNonce(address);
  }

  get(hash: Uint8Array): Answer<PooledTransaction | undefined> {
    return this.#options.source.pool?.get(hash);
  }

  status(): ReturnType<PoolView["status"]> {
    return this.#options.source.pool?.status() ?? { pending: 0, queued: 0 };
  }

  content(countMax: number, sender?: Uint8Array): ReturnType<PoolView["content"]> {
    return this.#options.source.pool?.content(countMax, sender) ?? EMPTY;
  }
}

/** It has heard the call and taken nothing. */
class NotLeading extends Error {}

function refusal(code: PoolRejection, message: string): SubmitOutcome {
  return { accepted: false, code, message };
}

/** As many of the first transactions as one call takes, at least one. */
function firstOf(txs: readonly PooledTransaction[]): readonly PooledTransaction[] {
  let count = 0;
  let sizeBytes = 0;
  for (const { tx } of txs) {
    sizeBytes += tx.raw.length;
    if (count > 0 && (count >= CALL_TXS_MAX || sizeBytes > CALL_SIZE_MAX_BYTES)) break;
    count++;
  }
  return txs.slice(0, count);
}
