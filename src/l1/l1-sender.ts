/**
 * Owns one L1 account: its nonces, its transactions in flight, their fees. A request is sent, replaced with higher fees
 * while L1 does not take it, sent again unchanged when L1 loses it (mempool loss, reorg), and answered once: when it has
 * the wanted confirmations on the canonical chain, or when it cannot succeed.
 *
 * Invariants: nonces are given out in order and each to one content at a time; nothing of one name is in flight twice
 * (what a reorg dropped flies again before anything new of its name could); transactions with and without blobs are
 * never in flight together (nodes keep separate pools and refuse the second kind); a request is simulated before it is
 * paid for. Nothing is stored: after a crash the sender first waits for what an earlier run left in the pool, and after a
 * while replaces it with empty transactions, so that nobody plans on top of unknown ones. What shows only later (it lay
 * behind a gap, or a reorg brought it back) is waited for in the same way when its nonce is met.
 * Confirmed transactions are watched a while longer: one that a deep reorg drops flies again with its old nonce, which
 * also keeps the nonces of younger ones without a gap.
 *
 * Life of a request: waiting → in flight (attempts with rising fees) → included → confirmed | reverted | failed.
 */
import { assert } from "../base/assert.ts";
import { bytesEqual, EMPTY_BYTES, toHex } from "../base/bytes.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { CodedError, hasCode, isRetryable } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import type { Service } from "../base/service.ts";
import type { ContractAbi } from "./abi-codec.ts";
import { AccountRpc, type Attempt, type RawReceipt, rpcMessageOf } from "./account-rpc.ts";
import { type FeeCaps, type Fees, firstFees, replacementFees } from "./fees.ts";
import type { JsonRpc } from "./json-rpc.ts";
import { type BlobProofs, proveBlob } from "./kzg.ts";
import type { L1Reader } from "./l1.ts";
import type { L1Signer } from "./l1-signer.ts";
import { type SenderMetrics, weiToEth } from "./metrics.ts";
import { type L1Receipt, type SendRequest, senderError, type TransactionSender } from "./sender.ts";

export type L1SenderOptions = {
  readonly chainId: number;
  readonly caps: FeeCaps;
  /** Tip floor; L1's own suggestion is taken when higher. */
  readonly tipMinWei: bigint;
  readonly confirmations: number;
  readonly pollMs: number;
  /** An attempt that is not included after this long is replaced with higher fees. */
  readonly replaceAfterMs: number;
  /** Transactions of an earlier run are waited for this long before they are replaced. */
  readonly adoptTimeoutMs: number;
  readonly inFlightMax: number;
  readonly queueMax: number;
  readonly blobProofs: BlobProofs;
};

export const SENDER_DEFAULTS: Omit<L1SenderOptions, "chainId"> = {
  caps: { maxFeePerGasWei: 500_000_000_000n, maxFeePerBlobGasWei: 500_000_000_000n },
  tipMinWei: 1_000_000n,
  confirmations: 1,
  pollMs: 500,
  replaceAfterMs: 36_000,
  adoptTimeoutMs: 60_000,
  inFlightMax: 4,
  queueMax: 256,
  blobProofs: "cell",
};

type Waiting = {
  readonly request: SendRequest;
  readonly resolve: (receipt: L1Receipt) => void;
  readonly reject: (error: unknown) => void;
};

type Entry = Waiting & {
  readonly nonce: number;
  readonly gasLimit: number;
  /** Newest last, never empty. */
  readonly attempts: Attempt[];
  sentAtMs: number;
  /** The node said that the newest attempt pays too little to be taken. */
  underpriced: boolean;
  included: { readonly blockNumber: number; readonly blockHash: Uint8Array } | undefined;
  /** Polls in a row in which the nonce was used but no attempt has a receipt. */
  vanished: number;
  capWarned: boolean;
  /** When it was answered; it is kept for a while, because a deep reorg may drop it again. */
  settledAtMs: number | undefined;
};

/** Polls that must agree before a used nonce without receipt counts as somebody else's: nodes lag behind themselves. */
const VANISHED_POLLS = 5;
const ATTEMPTS_MAX = 64;
const BALANCE_EVERY_MS = 15_000;
/** How long, and how many, confirmed transactions are watched for a reorg that drops them after all. */
const WATCH_SETTLED_MS = 20 * 60_000;
const WATCH_SETTLED_MAX = 16;
const WATCH_EVERY_POLLS = 4;

export class L1Sender implements Service, TransactionSender {
  readonly name: string;
  readonly address: Uint8Array;
  readonly accounts = 1;
  readonly #account: AccountRpc;
  readonly #reader: L1Reader;
  readonly #options: L1SenderOptions;
  readonly #metrics: SenderMetrics;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #prove: typeof proveBlob;
  readonly #loop: Loop;
  readonly #waiting: Waiting[] = [];
  /** Ascending nonces. */
  readonly #inFlight: Entry[] = [];
  /** Confirmed a short while ago, oldest first. */
  readonly #settled: Entry[] = [];
  #recovered = false;
  #recoverSinceMs: number | undefined;
  #cancelFees: Fees | undefined;
  #gapPolls = 0;
  #watchedMs = 0;
  #balanceReadMs = 0;
  #stopped = false;
  #lastFault: string | undefined;

  constructor(p: {
    readonly name: string;
    readonly rpc: JsonRpc;
    readonly reader: L1Reader;
    readonly signer: L1Signer;
    readonly options: L1SenderOptions;
    /** Contracts this account calls: their errors are decoded. */
    readonly abis: readonly ContractAbi[];
    readonly metrics: SenderMetrics;
    readonly log: Log;
    readonly clock?: Clock;
    /** Proves the blob of an empty blob transaction. */
    readonly prove?: typeof proveBlob;
  }) {
    this.name = p.name;
    this.address = p.signer.address;
    this.#account = new AccountRpc({ ...p.options, rpc: p.rpc, reader: p.reader, signer: p.signer, abis: p.abis });
    this.#reader = p.reader;
    this.#options = p.options;
    this.#metrics = p.metrics;
    this.#log = p.log.child({ sender: p.name });
    this.#clock = p.clock ?? systemClock;
    this.#prove = p.prove ?? proveBlob;
    this.#loop = new Loop(p.name, () => this.#step(), {
      everyMs: p.options.pollMs,
      log: this.#log,
      clock: this.#clock,
      backoffMaxMs: 10_000,
      isFatal: (error) => !(error instanceof CodedError), // a bug; everything L1 can do is tried again
    });
  }

  get recovered(): boolean {
    return this.#recovered;
  }

  notReady(): string | undefined {
    if (this.#lastFault !== undefined) return this.#lastFault;
    return this.#recovered ? undefined : "waits for transactions of an earlier run";
  }

  isPending(what: string): boolean {
    return [...this.#waiting, ...this.#inFlight].some((w) => w.request.what === what);
  }

  /** Transactions in flight and requests that wait. */
  get pending(): number {
    return this.#inFlight.length + this.#waiting.length;
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#loop.run(signal);
    } finally {
      this.#stopped = true;
      const stop = senderError("SENDER_STOPPED", `${this.name} was stopped`, {});
      for (const entry of [...this.#inFlight.splice(0), ...this.#waiting.splice(0)]) entry.reject(stop);
    }
  }

  send(request: SendRequest): Promise<L1Receipt> {
    if (this.#stopped) return Promise.reject(senderError("SENDER_STOPPED", `${this.name} was stopped`, {}));
    if (this.#waiting.length >= this.#options.queueMax)
      return Promise.reject(senderError("SENDER_QUEUE_FULL", `${this.#waiting.length} requests wait already`, {}));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      this.#loop.trigger();
    });
  }

  async simulate(request: SendRequest): Promise<void> {
    await this.#account.estimateGas(request);
  }

  async #step(): Promise<void> {
    try {
      if (!this.#recovered) await this.#recover();
      if (this.#settled.length > 0) await this.#watchSettled();
      if (this.#inFlight.length > 0) await this.#follow();
      if (this.#recovered) await this.#launchWaiting();
      await this.#readBalance();
      this.#lastFault = undefined;
    } catch (error) {
      this.#lastFault = error instanceof Error ? error.message : String(error);
      throw error;
    } finally {
      this.#metrics.inFlight.set(this.#inFlight.length);
    }
  }

  // -- start -----------------------------------------------------------------------------------------------------

  /** True when L1 has not come to our lowest transaction yet: what is below it is not ours, or not any more. */
  #unknownBelow(latest: number): boolean {
    const lowest = this.#inFlight[0];
    return lowest !== undefined && lowest.included === undefined && latest < lowest.nonce;
  }

  /** Waits until nothing that is not ours lies above or below our own transactions. */
  async #recover(): Promise<void> {
    const [latest, pending] = await Promise.all([this.#account.nonceAt("latest"), this.#account.nonceAt("pending")]);
    const next = Math.max(latest, (this.#inFlight.at(-1)?.nonce ?? -1) + 1);
    const below = this.#unknownBelow(latest);
    if (pending <= next && !below) {
      this.#recovered = true;
      if (this.#recoverSinceMs !== undefined) this.#cancelFees = undefined;
      this.#recoverSinceMs = undefined;
      return;
    }
    this.#recoverSinceMs ??= this.#clock.nowMs();
    const waitedMs = this.#clock.nowMs() - this.#recoverSinceMs;
    this.#log.info("waiting for transactions of an earlier run", { count: pending - next, waitedMs });
    if (waitedMs < this.#options.adoptTimeoutMs) return;
    await this.#cancel(below ? latest : next);
  }

  /** Uses up `nonce` with an empty transaction, replacing what may wait there; pays more each time it is called. */
  async #cancel(nonce: number): Promise<void> {
    const quote = await this.#account.quote();
    const caps = this.#options.caps;
    const withBlobs = this.#cancelFees !== undefined && this.#cancelFees.maxFeePerBlobGasWei > 0n;
    const fees =
      this.#cancelFees === undefined
        ? firstFees(quote, caps, false)
        : replacementFees(this.#cancelFees, quote, caps, withBlobs);
    if (fees === undefined) throw senderError("SENDER_FEE_CAP", "no room to replace a stuck transaction", {});
    this.#cancelFees = fees;
    const request: SendRequest = {
      purpose: "batch",
      what: "empty transaction",
      to: this.address,
      data: EMPTY_BYTES,
      ...(withBlobs ? { blobs: [await this.#prove(new Uint8Array(131_072), this.#options.blobProofs)] } : {}),
    };
    const attempt = await this.#account.sign(request, nonce, 21_000, fees);
    try {
      await this.#account.deliver(attempt);
      this.#log.warn("empty transaction sent to free a nonce", { nonce, hash: toHex(attempt.hash) });
    } catch (error) {
      // A blob transaction sits there: only another one may replace it.
      if (/reserved/i.test(rpcMessageOf(error)) && !withBlobs) {
        this.#cancelFees = { ...fees, maxFeePerBlobGasWei: quote.blobBaseFeeWei * 2n + 10n };
        return;
      }
      if (!hasCode(error, "SENDER_FUNDS")) throw error;
      this.#log.error("a nonce cannot be freed", { nonce, err: error });
    }
  }

  // -- sending ---------------------------------------------------------------------------------------------------

  async #launchWaiting(): Promise<void> {
    while (this.#inFlight.length < this.#options.inFlightMax) {
      const next = this.#waiting[0];
      if (next === undefined) return;
      if (this.#inFlight.some((entry) => entry.request.what === next.request.what)) {
        // One that a reorg dropped flies again by itself, with its own content and nonce.
        this.#waiting.shift();
        next.reject(senderError("SENDER_CONFLICT", `${next.request.what} is in flight already`, {}));
        continue;
      }
      const flying = this.#inFlight[0];
      const kinds = (w: Waiting): boolean => w.request.blobs !== undefined;
      if (flying !== undefined && kinds(flying) !== kinds(next)) return; // one kind at a time
      let launched: Entry | undefined;
      try {
        launched = await this.#launch(next);
      } catch (error) {
        if (error instanceof Error && hasCode(error, "L1_ENDPOINT_DOWN")) throw error; // not the request's fault
        this.#waiting.shift();
        next.reject(error);
        continue;
      }
      if (launched === undefined) return;
      this.#waiting.shift();
      this.#inFlight.push(launched);
    }
  }

  /** Signs and sends a request for the first time; undefined when L1 is not of one mind about our nonce yet. */
  async #launch(waiting: Waiting): Promise<Entry | undefined> {
    const { request } = waiting;
    const [quote, gasLimit, latest] = await Promise.all([
      this.#account.quote(),
      this.#account.estimateGas(request),
      this.#account.nonceAt("latest"),
    ]);
    const last = this.#inFlight.at(-1);
    const nonce = last === undefined ? latest : Math.max(last.nonce + 1, latest);
    const fees = firstFees(quote, this.#options.caps, request.blobs !== undefined);
    if (fees === undefined)
      throw senderError(
        "SENDER_FEE_CAP",
        `L1 asks ${quote.baseFeePerGasWei} wei of gas, ${quote.blobBaseFeeWei} of blob gas`,
        {
          baseFeePerGasWei: quote.baseFeePerGasWei,
          blobBaseFeeWei: quote.blobBaseFeeWei,
        },
      );
    const attempt = await this.#account.sign(request, nonce, gasLimit, fees);
    const entry: Entry = {
      ...waiting,
      nonce,
      gasLimit,
      attempts: [attempt],
      sentAtMs: this.#clock.nowMs(),
      underpriced: false,
      included: undefined,
      vanished: 0,
      capWarned: false,
      settledAtMs: undefined,
    };
    try {
      const outcome = await this.#account.deliver(attempt);
      // The node that told us the nonce was behind: ask again at the next step.
      if (outcome === "nonce too low") return undefined;
      if (outcome === "occupied") {
        // Left by an earlier run behind a gap that is closed now, or brought back by a reorg: it goes first.
        this.#log.warn("an unknown transaction holds the next nonce", { nonce });
        this.#recovered = false;
        return undefined;
      }
      entry.underpriced = outcome === "underpriced";
    } catch (error) {
      // Not delivered for certain only when the node refused it: after a timeout it may be on its way.
      if (hasCode(error, "SENDER_FUNDS") || !isRetryable(error)) throw error;
    }
    this.#log.info("transaction sent", {
      what: request.what,
      nonce,
      hash: toHex(attempt.hash),
      blobs: request.blobs?.length ?? 0,
      maxFeePerGasWei: fees.maxFeePerGasWei.toString(),
    });
    return entry;
  }

  // -- following -------------------------------------------------------------------------------------------------

  async #follow(): Promise<void> {
    const [head, latest, pending, receipts] = await Promise.all([
      this.#reader.head(),
      this.#account.nonceAt("latest"),
      this.#account.nonceAt("pending"),
      Promise.all(this.#inFlight.map((entry) => this.#account.receiptOf(entry.attempts))),
    ]);
    const gap = await this.#fillGap(latest, pending);
    for (const [i, entry] of [...this.#inFlight].entries()) {
      const receipt = receipts[i];
      if (receipt !== undefined) {
        await this.#onReceipt(entry, receipt, head.number);
        continue;
      }
      if (entry.included !== undefined) {
        this.#log.warn("L1 reorganised a transaction away, sending it again", {
          what: entry.request.what,
          nonce: entry.nonce,
          blockNumber: entry.included.blockNumber,
        });
        entry.included = undefined;
      }
      if (latest > entry.nonce) {
        entry.vanished++;
        if (entry.vanished >= VANISHED_POLLS)
          this.#settle(
            entry,
            senderError("SENDER_NONCE_TAKEN", `nonce ${entry.nonce} was used by another transaction`, {
              nonce: entry.nonce,
            }),
          );
        continue;
      }
      entry.vanished = 0;
      const late = this.#clock.nowMs() - entry.sentAtMs >= this.#options.replaceAfterMs;
      // Behind a gap no fee helps.
      if (entry.underpriced || (late && !gap)) await this.#replace(entry);
      else if (pending <= entry.nonce) await this.#resend(entry);
    }
  }

  /**
   * A reorg deeper than what is watched leaves a nonce below ours that nobody will use: an empty transaction takes it,
   * or everything above would wait forever. True while there is such a gap.
   */
  async #fillGap(latest: number, pending: number): Promise<boolean> {
    const below = this.#unknownBelow(latest);
    // A reorg brought back, or took away, what came before: nothing new is planned until that is decided.
    if (below) this.#recovered = false;
    const gap = below && pending <= latest;
    this.#gapPolls = gap ? this.#gapPolls + 1 : 0;
    if (this.#gapPolls >= VANISHED_POLLS) await this.#cancel(latest);
    if (!gap) this.#cancelFees = undefined;
    return gap;
  }

  /** Takes confirmed transactions back into flight when the chain's nonce says that they are gone. */
  async #watchSettled(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    // A new transaction must not take the nonce of one that was dropped: look before each.
    if (this.#waiting.length === 0 && nowMs - this.#watchedMs < this.#options.pollMs * WATCH_EVERY_POLLS) return;
    this.#watchedMs = nowMs;
    const oldest = this.#settled[0];
    if (oldest?.settledAtMs !== undefined && nowMs - oldest.settledAtMs > WATCH_SETTLED_MS) this.#settled.shift();
    const latest = await this.#account.nonceAt("latest");
    const dropped = this.#settled.filter((entry) => entry.nonce >= latest);
    for (const entry of dropped) {
      this.#settled.splice(this.#settled.indexOf(entry), 1);
      this.#log.warn("L1 dropped a confirmed transaction, sending it again", {
        what: entry.request.what,
        nonce: entry.nonce,
      });
      this.#inFlight.push(entry);
    }
    if (dropped.length > 0) this.#inFlight.sort((a, b) => a.nonce - b.nonce);
  }

  async #onReceipt(entry: Entry, receipt: RawReceipt, headNumber: number): Promise<void> {
    entry.included = { blockNumber: receipt.blockNumber, blockHash: receipt.blockHash };
    entry.vanished = 0;
    if (headNumber - receipt.blockNumber + 1 < this.#options.confirmations) return;
    const block = await this.#reader.block(receipt.blockNumber);
    if (block === undefined || !bytesEqual(block.hash, receipt.blockHash)) return; // a receipt of a dead fork
    const { purpose, what } = entry.request;
    if (entry.settledAtMs === undefined) {
      this.#metrics.gasSpent.inc(receipt.gasUsed, { purpose });
      this.#metrics.blobGasSpent.inc(receipt.blobGasUsed, { purpose });
      this.#metrics.feesSpentEth.inc(weiToEth(receipt.feeWei));
    }
    if (receipt.succeeded) {
      this.#log.info("transaction confirmed", { what, blockNumber: receipt.blockNumber, gasUsed: receipt.gasUsed });
      this.#settle(entry, receipt);
      return;
    }
    const reason = await this.#account.reasonOf(entry.request, entry.gasLimit, receipt);
    this.#settle(
      entry,
      senderError("SENDER_REVERTED", `${what} reverted: ${reason.text}`, {
        revert: reason.name,
        reason: reason.text,
        transactionHash: toHex(receipt.transactionHash),
        gasUsed: receipt.gasUsed,
      }),
    );
  }

  #settle(entry: Entry, outcome: L1Receipt | CodedError): void {
    const at = this.#inFlight.indexOf(entry);
    assert(at >= 0, "a transaction is settled once");
    this.#inFlight.splice(at, 1);
    // Settling a promise again, after a reorg, changes nothing.
    if (outcome instanceof Error) entry.reject(outcome);
    else {
      entry.resolve(outcome);
      entry.settledAtMs = this.#clock.nowMs();
      this.#settled.push(entry);
      if (this.#settled.length > WATCH_SETTLED_MAX) this.#settled.shift();
    }
    this.#loop.trigger(); // room for the next
  }

  async #replace(entry: Entry): Promise<void> {
    const withBlobs = entry.request.blobs !== undefined;
    const old = entry.attempts.at(-1);
    assert(old !== undefined, "an entry in flight has an attempt");
    const fees = replacementFees(old.fees, await this.#account.quote(), this.#options.caps, withBlobs);
    if (fees === undefined || entry.attempts.length >= ATTEMPTS_MAX) {
      if (!entry.capWarned) this.#log.warn("fee cap reached, transaction waits", { what: entry.request.what });
      entry.capWarned = true;
      return this.#resend(entry);
    }
    const attempt = await this.#account.sign(entry.request, entry.nonce, entry.gasLimit, fees);
    entry.attempts.push(attempt);
    entry.sentAtMs = this.#clock.nowMs();
    this.#metrics.replacements.inc();
    this.#log.info("transaction replaced with higher fees", {
      what: entry.request.what,
      nonce: entry.nonce,
      hash: toHex(attempt.hash),
      maxFeePerGasWei: fees.maxFeePerGasWei.toString(),
    });
    await this.#deliver(entry, attempt);
  }

  /** Sends the newest attempt again as it is. */
  async #resend(entry: Entry): Promise<void> {
    const attempt = entry.attempts.at(-1);
    assert(attempt !== undefined, "an entry in flight has an attempt");
    this.#metrics.resent.inc();
    await this.#deliver(entry, attempt);
  }

  async #deliver(entry: Entry, attempt: Attempt): Promise<void> {
    try {
      const outcome = await this.#account.deliver(attempt);
      // A nonce that is used shows in the next poll, from the nonce and the receipts.
      if (outcome !== "nonce too low") entry.underpriced = outcome !== "taken";
    } catch (error) {
      if (!hasCode(error, "SENDER_FUNDS")) throw error;
      this.#log.error("transaction cannot be paid for", { err: error }); // funds may arrive
    }
  }

  async #readBalance(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#balanceReadMs < BALANCE_EVERY_MS) return;
    this.#balanceReadMs = nowMs;
    this.#metrics.balanceEth.set(weiToEth(await this.#account.balanceWei()));
  }
}
