/**
 * Owns the way of raw transactions from clients to the lane: decode, static checks, sender recovery, one submit per
 * batch. Requests that arrive while a batch is at the lane form the next one, so a thousand single requests cost what a
 * batch costs. Invariant: each raw transaction gets exactly one outcome, in order, whatever fails; intake is bounded.
 */
import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { SignedTransaction } from "../protocol/transaction.ts";
import { decodeSignedTransaction } from "../protocol/transaction-codec.ts";
import type { PooledTransaction, PoolRejection, PoolView } from "../rpc/chain-view.ts";
import type { StaticRejection } from "../rpc/errors.ts";
import type { Ingest, IngestOutcome } from "../rpc/services.ts";
import type { ConfirmationDelay } from "./confirmation-delay.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { SenderRecovery } from "./sender-recovery.ts";

export type IntakeRules = {
  readonly chainId: number;
  readonly allowUnprotected: boolean;
  /** 0n: no limit. */
  readonly feeMaxWei: bigint;
  readonly submitBatchMax: number;
  readonly intakeTxsMax: number;
};

type Rejection = { readonly reason: PoolRejection | StaticRejection; readonly message: string };

/** One call of `submit`: its raws and where the outcomes go. */
type Job = {
  readonly raws: readonly Uint8Array[];
  /** Filled by index, in any order. */
  readonly outcomes: IngestOutcome[];
  readonly resolve: (outcomes: readonly IngestOutcome[]) => void;
  left: number;
};

/** One transaction on its way, and the place of its outcome. */
type Traveller = { readonly tx: SignedTransaction; readonly job: Job; readonly index: number };

/** EIP-4844. */
const BLOB_TYPE = 3;

const DECODE_REASONS: Readonly<Record<string, PoolRejection | StaticRejection>> = {
  UNSUPPORTED_TYPE: "UNSUPPORTED_TYPE",
  BAD_SIGNATURE: "INVALID_SENDER",
  TIP_ABOVE_FEE: "TIP_ABOVE_FEE",
  TRANSACTION_TOO_LARGE: "TX_TOO_LARGE",
};

export class TransactionIntake implements Ingest {
  readonly #pool: PoolView;
  readonly #rules: IntakeRules;
  readonly #recovery: SenderRecovery;
  readonly #delay: ConfirmationDelay;
  readonly #metrics: GatewayMetrics;
  readonly #clock: Clock;
  readonly #log: Log;
  #jobs: Job[] = [];
  #intake = 0;
  #draining = false;
  #submitting: Promise<void> = Promise.resolve();

  constructor(p: {
    pool: PoolView;
    rules: IntakeRules;
    recovery: SenderRecovery;
    delay: ConfirmationDelay;
    metrics: GatewayMetrics;
    clock: Clock;
    log: Log;
  }) {
    this.#pool = p.pool;
    this.#rules = p.rules;
    this.#recovery = p.recovery;
    this.#delay = p.delay;
    this.#metrics = p.metrics;
    this.#clock = p.clock;
    this.#log = p.log;
  }

  submit(raws: readonly Uint8Array[]): Promise<readonly IngestOutcome[]> {
    if (raws.length === 0) return Promise.resolve([]);
    if (this.#intake + raws.length > this.#rules.intakeTxsMax) {
      this.#metrics.rejected.inc(raws.length, { reason: "UNAVAILABLE" });
      const refusal = {
        accepted: false,
        hash: undefined,
        reason: "UNAVAILABLE",
        message: `the gateway is at its limit of ${this.#rules.intakeTxsMax} transactions in intake`,
      } as const;
      return Promise.resolve(raws.map(() => refusal));
    }
    this.#intake += raws.length;
    this.#metrics.intake.set(this.#intake);
    return new Promise((resolve) => {
      this.#jobs.push({ raws, outcomes: [], resolve, left: raws.length });
      if (!this.#draining) {
        this.#draining = true;
        // Not at once: what else this turn of the event loop brings belongs to the same batch.
        setImmediate(() => void this.#drain());
      }
    });
  }

  /** Works off the jobs batch by batch until none is left. */
  async #drain(): Promise<void> {
    while (this.#jobs.length > 0) {
      const jobs = this.#jobs;
      this.#jobs = [];
      let travellers: Traveller[] = [];
      for (const job of jobs) {
        for (let index = 0; index < job.raws.length; index++) {
          const traveller = this.#decode(job, index);
          if (traveller === undefined) continue;
          travellers.push(traveller);
          if (travellers.length >= this.#rules.submitBatchMax) {
            await this.#forward(travellers);
            travellers = [];
          }
        }
      }
      if (travellers.length > 0) await this.#forward(travellers);
    }
    this.#draining = false;
  }

  #decode(job: Job, index: number): Traveller | undefined {
    const raw = job.raws[index] as Uint8Array;
    // With its sidecar or without: what carries blobs is named, not called undecodable.
    if (raw[0] === BLOB_TYPE) {
      this.#reject(job, index, undefined, { reason: "BLOB_TRANSACTION", message: "this chain carries no blobs" });
      return undefined;
    }
    let tx: SignedTransaction;
    try {
      tx = decodeSignedTransaction(raw);
    } catch (error) {
      this.#reject(job, index, undefined, decodeRejection(error));
      return undefined;
    }
    const rejection = staticRejection(tx, this.#rules);
    if (rejection !== undefined) {
      this.#reject(job, index, tx.hash, rejection);
      return undefined;
    }
    return { tx, job, index };
  }

  async #forward(travellers: readonly Traveller[]): Promise<void> {
    const startMs = this.#clock.nowMs();
    const submitted: Traveller[] = [];
    const pooled: PooledTransaction[] = [];
    const senders = await this.#recovery.recover(travellers.map((traveller) => traveller.tx));
    const delegating = travellers.map(({ tx }) => tx).filter((tx) => tx.authorizations.length > 0);
    const authorities =
      delegating.length === 0 ? [] : await this.#recovery.recoverAuthorities(delegating, this.#rules.chainId);
    let next = 0;
    travellers.forEach((traveller, i) => {
      const sender = senders[i];
      const own = traveller.tx.authorizations.length > 0 ? authorities[next++] : undefined;
      if (sender === undefined) {
        const message = "the signature recovers to no key";
        this.#reject(traveller.job, traveller.index, traveller.tx.hash, { reason: "INVALID_SENDER", message });
        return;
      }
      submitted.push(traveller);
      pooled.push({ tx: traveller.tx, sender, ...(own === undefined ? {} : { authorities: own }) });
      this.#delay.arrived(traveller.tx.hash, startMs);
    });
    this.#metrics.recoverySeconds.observe((this.#clock.nowMs() - startMs) / 1_000);
    if (pooled.length === 0) return;
    // Submits go one after the other, for nonces of one sender may span two; the next batch is prepared meanwhile.
    const turn = this.#submitting;
    this.#submitting = turn.then(() => this.#submit(submitted, pooled));
    await turn;
  }

  async #submit(submitted: readonly Traveller[], pooled: readonly PooledTransaction[]): Promise<void> {
    this.#metrics.batchSize.observe(pooled.length);
    try {
      const outcomes = await this.#pool.submit(pooled);
      let accepted = 0;
      submitted.forEach((traveller, i) => {
        const outcome = outcomes[i];
        if (outcome?.accepted === true) {
          accepted++;
          this.#settle(traveller.job, traveller.index, { accepted: true, hash: traveller.tx.hash });
          return;
        }
        const rejection =
          outcome === undefined
            ? ({ reason: "UNAVAILABLE", message: "the lane gave no outcome" } as const)
            : { reason: outcome.code, message: outcome.message };
        // What the pool has already keeps its first arrival.
        if (rejection.reason !== "ALREADY_KNOWN") this.#delay.refused(traveller.tx.hash);
        this.#reject(traveller.job, traveller.index, traveller.tx.hash, rejection);
      });
      if (accepted > 0) this.#metrics.accepted.inc(accepted);
    } catch (error) {
      this.#log.error("lane refused a batch", { transactions: pooled.length, err: error });
      for (const { tx, job, index } of submitted) {
        this.#delay.refused(tx.hash);
        this.#reject(job, index, tx.hash, { reason: "UNAVAILABLE", message: "" });
      }
    }
  }

  #reject(job: Job, index: number, hash: Uint8Array | undefined, rejection: Rejection): void {
    this.#metrics.rejected.inc(1, { reason: rejection.reason });
    this.#settle(job, index, { accepted: false, hash, ...rejection });
  }

  #settle(job: Job, index: number, outcome: IngestOutcome): void {
    job.outcomes[index] = outcome;
    this.#intake--;
    if (--job.left > 0) return;
    this.#metrics.intake.set(this.#intake);
    job.resolve(job.outcomes);
  }
}

function decodeRejection(error: unknown): Rejection {
  if (!(error instanceof CodedError)) return { reason: "UNDECODABLE", message: "" };
  const message = error.message.slice(error.code.length + 2);
  return { reason: DECODE_REASONS[error.code] ?? "UNDECODABLE", message };
}

/** What no state can lift. */
function staticRejection(tx: SignedTransaction, rules: IntakeRules): Rejection | undefined {
  if (tx.chainId === undefined) {
    if (!rules.allowUnprotected) return { reason: "UNPROTECTED", message: "" };
  } else if (tx.chainId !== rules.chainId)
    return { reason: "WRONG_CHAIN", message: `have ${tx.chainId} want ${rules.chainId}` };
  if (rules.feeMaxWei > 0n) {
    const feeWei = tx.maxFeePerGasWei * tx.gasLimit;
    if (feeWei > rules.feeMaxWei)
      return { reason: "FEE_TOO_HIGH", message: `fee up to ${feeWei} wei, cap ${rules.feeMaxWei} wei` };
  }
  return undefined;
}
