/**
 * Owns one L1 account: its nonces, its transactions in flight, their fees. A request is sent, replaced with higher fees
 * while L1 does not take it, sent again unchanged when L1 loses it (mempool loss, reorg), and answered once: when it has
 * the wanted confirmations on the canonical chain, or when it cannot succeed.
 *
 * Invariants: nonces are given out in order and each to one content at a time; transactions with and without blobs are
 * never in flight together (nodes keep separate pools and refuse the second kind); a request is simulated before it is
 * paid for. Nothing is stored: after a crash the sender first waits for what an earlier run left in the pool, and after a
 * while replaces it with empty transactions, so that nobody plans on top of unknown ones.
 * Confirmed transactions are watched a while longer: one that a deep reorg drops flies again with its old nonce, which
 * also keeps the nonces of younger ones without a gap.
 *
 * Life of a request: waiting → in flight (attempts with rising fees) → included → confirmed | reverted | failed.
 */
import type { Abi } from "viem";
import { assert } from "../base/assert.ts";
import { bytesEqual, EMPTY_BYTES, toHex } from "../base/bytes.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { CodedError, defineErrors, hasCode, isRetryable } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import type { Service } from "../base/service.ts";
import type { TransactionFields } from "../protocol/transaction-codec.ts";
import { wrapBlobs } from "./blob-transaction.ts";
import { type FeeCaps, type FeeQuote, type Fees, firstFees, replacementFees } from "./fees.ts";
import { type JsonRpc, quantity, readBytes, readNumber, readObject, readQuantity } from "./json-rpc.ts";
import { type BlobProofs, type ProvenBlob, proveBlob } from "./kzg.ts";
import type { L1Reader } from "./l1.ts";
import type { L1Signer } from "./l1-signer.ts";
import { type SenderMetrics, weiToEth } from "./metrics.ts";
import { decodeRevert } from "./revert.ts";

export const senderError = defineErrors("L1Sender", {
  SENDER_REVERTED: {
    summary: "A transaction of ours was included and reverted; its gas is spent.",
    action: "Read the reason; nothing of the kind is sent again until its cause is gone.",
    retryable: false,
  },
  SENDER_WOULD_REVERT: {
    summary: "The simulation of a transaction reverts, so it was not sent.",
    action: "Read the reason; it names the condition of the contract that does not hold.",
    retryable: false,
  },
  SENDER_FEE_CAP: {
    summary: "L1 asks more than the configured fee cap.",
    action: "Wait for lower fees, or raise the cap.",
    retryable: true,
  },
  SENDER_FUNDS: {
    summary: "The account cannot pay for a transaction.",
    action: "Fund the account.",
    retryable: true,
  },
  SENDER_NONCE_TAKEN: {
    summary: "The nonce of a transaction was used by another one: someone else sends from this account.",
    action: "Make sure that one process alone uses the key; the request is decided anew from the state of L1.",
    retryable: true,
  },
  SENDER_QUEUE_FULL: {
    summary: "More requests wait than the sender takes.",
    action: "Slow down; L1 takes transactions more slowly than they come.",
    retryable: true,
  },
  SENDER_STOPPED: {
    summary: "The sender was stopped before the transaction was confirmed; it may still be included.",
    action: "Nothing; after a restart the state of L1 decides.",
    retryable: true,
  },
});

/** What the money is for: the label of `l1_gas_spent`. */
export type Purpose = "batch" | "proof" | "bridge" | "governance";

export type SendRequest = {
  readonly purpose: Purpose;
  /** Names the content, e.g. "segment 12": for logs and for `isPending`. */
  readonly what: string;
  readonly to: Uint8Array;
  readonly data: Uint8Array;
  readonly valueWei?: bigint;
  readonly blobs?: readonly ProvenBlob[];
};

export type L1Receipt = {
  readonly transactionHash: Uint8Array;
  readonly blockNumber: number;
  readonly blockHash: Uint8Array;
  readonly gasUsed: number;
  readonly blobGasUsed: number;
  /** Blob fee included. */
  readonly feeWei: bigint;
};

/** What roles need of a sender. */
export interface TransactionSender {
  readonly address: Uint8Array;
  /** False until what an earlier run left in flight is settled: nothing may be planned before. */
  readonly recovered: boolean;
  /** Resolves when the transaction is confirmed. @throws {L1SenderError} */
  send(request: SendRequest): Promise<L1Receipt>;
  /**
   * True while a request of this name waits or flies; also when it was confirmed and L1 dropped it since: then it is
   * sent again by itself, with the same content.
   */
  isPending(what: string): boolean;
  /** @throws {L1SenderError} SENDER_WOULD_REVERT when it would fail at the newest block */
  simulate(request: SendRequest): Promise<void>;
}

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

type Attempt = { readonly hash: Uint8Array; readonly raw: Uint8Array; readonly fees: Fees };

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

type RawReceipt = L1Receipt & { readonly succeeded: boolean };

/** Gas on top of the estimate: state may have moved when the transaction runs. */
const GAS_MARGIN_PERCENT = 130;
/** Polls that must agree before a used nonce without receipt counts as somebody else's: nodes lag behind themselves. */
const VANISHED_POLLS = 5;
const ATTEMPTS_MAX = 64;
const BALANCE_EVERY_MS = 15_000;
/** How long, and how many, confirmed transactions are watched for a reorg that drops them after all. */
const WATCH_SETTLED_MS = 20 * 60_000;
const WATCH_SETTLED_MAX = 16;
const WATCH_EVERY_POLLS = 4;

type SendOutcome = "taken" | "underpriced" | "nonce too low";

/** What the node said, in its own words; empty when it said nothing. */
function rpcMessageOf(error: unknown): string {
  const message = error instanceof CodedError ? error.data["rpcMessage"] : undefined;
  return typeof message === "string" ? message : "";
}

/** What a node's answer to a sent transaction means; undefined: something else is wrong. */
function outcomeOf(error: unknown): SendOutcome | CodedError | undefined {
  if (!hasCode(error, "L1_REFUSED") && !hasCode(error, "L1_LIMIT")) return undefined;
  const text = rpcMessageOf(error).toLowerCase();
  if (/already known|already imported|known transaction|alreadyknown/.test(text)) return "taken";
  if (/nonce too low|invalid nonce|nonce is too low/.test(text)) return "nonce too low";
  if (
    /underpriced|fee too low|less than block base fee|max fee per (blob )?gas|gas price too low|tip.*too low/.test(text)
  )
    return "underpriced";
  if (/insufficient funds/.test(text)) return senderError("SENDER_FUNDS", text, {}, { cause: error });
  return undefined;
}

export class L1Sender implements Service, TransactionSender {
  readonly name: string;
  readonly address: Uint8Array;
  readonly #rpc: JsonRpc;
  readonly #reader: L1Reader;
  readonly #signer: L1Signer;
  readonly #options: L1SenderOptions;
  readonly #abis: readonly Abi[];
  readonly #metrics: SenderMetrics;
  readonly #log: Log;
  readonly #clock: Clock;
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
    readonly abis: readonly Abi[];
    readonly metrics: SenderMetrics;
    readonly log: Log;
    readonly clock?: Clock;
  }) {
    this.name = p.name;
    this.address = p.signer.address;
    this.#rpc = p.rpc;
    this.#reader = p.reader;
    this.#signer = p.signer;
    this.#options = p.options;
    this.#abis = p.abis;
    this.#metrics = p.metrics;
    this.#log = p.log.child({ sender: p.name });
    this.#clock = p.clock ?? systemClock;
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
    await this.#estimateGas(request);
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

  async #recover(): Promise<void> {
    const [latest, pending] = await Promise.all([this.#nonceAt("latest"), this.#nonceAt("pending")]);
    if (pending <= latest) {
      this.#recovered = true;
      this.#cancelFees = undefined;
      return;
    }
    this.#recoverSinceMs ??= this.#clock.nowMs();
    const waitedMs = this.#clock.nowMs() - this.#recoverSinceMs;
    this.#log.info("waiting for transactions of an earlier run", { count: pending - latest, waitedMs });
    if (waitedMs < this.#options.adoptTimeoutMs) return;
    await this.#cancel(latest);
  }

  /** Uses up `nonce` with an empty transaction, replacing what may wait there; pays more each time it is called. */
  async #cancel(nonce: number): Promise<void> {
    const quote = await this.#quote();
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
      ...(withBlobs ? { blobs: [await proveBlob(new Uint8Array(131_072), this.#options.blobProofs)] } : {}),
    };
    const attempt = await this.#sign(request, nonce, 21_000, fees);
    try {
      await this.#rpc.call("eth_sendRawTransaction", [toHex(attempt.raw)]);
      this.#log.warn("empty transaction sent to free a nonce", { nonce, hash: toHex(attempt.hash) });
    } catch (error) {
      const text = rpcMessageOf(error);
      // A blob transaction sits there: only another one may replace it.
      if (/reserved/i.test(text) && !withBlobs) {
        this.#cancelFees = { ...fees, maxFeePerBlobGasWei: quote.blobBaseFeeWei * 2n + 10n };
        return;
      }
      if (outcomeOf(error) === undefined) throw error;
    }
  }

  // -- sending ---------------------------------------------------------------------------------------------------

  async #launchWaiting(): Promise<void> {
    while (this.#inFlight.length < this.#options.inFlightMax) {
      const next = this.#waiting[0];
      if (next === undefined) return;
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
      this.#quote(),
      this.#estimateGas(request),
      this.#nonceAt("latest"),
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
    const attempt = await this.#sign(request, nonce, gasLimit, fees);
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
      await this.#rpc.call("eth_sendRawTransaction", [toHex(attempt.raw)]);
    } catch (error) {
      const outcome = outcomeOf(error);
      // The node that told us the nonce was behind: ask again at the next step.
      if (outcome === "nonce too low") return undefined;
      if (outcome === "underpriced") entry.underpriced = true;
      else if (outcome !== "taken") {
        if (outcome !== undefined) throw outcome;
        // Not delivered for certain only when the node refused it: after a timeout it may be on its way.
        if (!isRetryable(error)) throw error;
      }
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

  async #sign(request: SendRequest, nonce: number, gasLimit: number, fees: Fees): Promise<Attempt> {
    const { blobs } = request;
    const fields: TransactionFields = {
      type: blobs === undefined ? 2 : 3,
      chainId: this.#options.chainId,
      nonce: BigInt(nonce),
      to: request.to,
      valueWei: request.valueWei ?? 0n,
      data: request.data,
      gasLimit: BigInt(gasLimit),
      maxFeePerGasWei: fees.maxFeePerGasWei,
      maxPriorityFeePerGasWei: fees.maxPriorityFeePerGasWei,
      ...(blobs === undefined
        ? {}
        : { maxFeePerBlobGasWei: fees.maxFeePerBlobGasWei, blobHashes: blobs.map((b) => b.versionedHash) }),
    };
    const { raw, hash } = await this.#signer.sign(fields);
    return { raw: blobs === undefined ? raw : wrapBlobs(raw, blobs), hash, fees };
  }

  // -- following -------------------------------------------------------------------------------------------------

  async #follow(): Promise<void> {
    const [head, latest, pending, receipts] = await Promise.all([
      this.#reader.head(),
      this.#nonceAt("latest"),
      this.#nonceAt("pending"),
      Promise.all(this.#inFlight.map((entry) => this.#receiptOf(entry))),
    ]);
    await this.#fillGap(latest, pending);
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
      if (late || entry.underpriced) await this.#replace(entry);
      else if (pending <= entry.nonce) await this.#resend(entry);
    }
  }

  /**
   * A reorg deeper than what is watched leaves a nonce below ours that nobody will use: an empty transaction takes it,
   * or everything above would wait forever.
   */
  async #fillGap(latest: number, pending: number): Promise<void> {
    const lowest = this.#inFlight[0];
    const gap = lowest !== undefined && lowest.included === undefined && latest < lowest.nonce && pending <= latest;
    this.#gapPolls = gap ? this.#gapPolls + 1 : 0;
    if (this.#gapPolls >= VANISHED_POLLS) await this.#cancel(latest);
    if (!gap) this.#cancelFees = undefined;
  }

  /** Takes confirmed transactions back into flight when the chain's nonce says that they are gone. */
  async #watchSettled(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    // A new transaction must not take the nonce of one that was dropped: look before each.
    if (this.#waiting.length === 0 && nowMs - this.#watchedMs < this.#options.pollMs * WATCH_EVERY_POLLS) return;
    this.#watchedMs = nowMs;
    const oldest = this.#settled[0];
    if (oldest?.settledAtMs !== undefined && nowMs - oldest.settledAtMs > WATCH_SETTLED_MS) this.#settled.shift();
    const latest = await this.#nonceAt("latest");
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
    const reason = await this.#reasonOf(entry, receipt);
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
    const fees = replacementFees(old.fees, await this.#quote(), this.#options.caps, withBlobs);
    if (fees === undefined || entry.attempts.length >= ATTEMPTS_MAX) {
      if (!entry.capWarned) this.#log.warn("fee cap reached, transaction waits", { what: entry.request.what });
      entry.capWarned = true;
      return this.#resend(entry);
    }
    const attempt = await this.#sign(entry.request, entry.nonce, entry.gasLimit, fees);
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
      await this.#rpc.call("eth_sendRawTransaction", [toHex(attempt.raw)]);
      entry.underpriced = false;
    } catch (error) {
      const outcome = outcomeOf(error);
      if (outcome === "underpriced") entry.underpriced = true;
      else if (outcome === "taken") entry.underpriced = false;
      // What else is wrong shows in the next poll, from the nonce and the receipts; funds may arrive.
      else if (outcome === undefined) throw error;
      else if (outcome !== "nonce too low") this.#log.error("transaction cannot be paid for", { err: outcome });
    }
  }

  // -- questions to L1 -------------------------------------------------------------------------------------------

  async #nonceAt(tag: "latest" | "pending"): Promise<number> {
    return readNumber(await this.#rpc.call("eth_getTransactionCount", [toHex(this.address), tag]), "nonce");
  }

  async #quote(): Promise<FeeQuote> {
    const [head, tip] = await Promise.all([this.#reader.head(), this.#rpc.call("eth_maxPriorityFeePerGas", [])]);
    const suggested = readQuantity(tip, "eth_maxPriorityFeePerGas");
    const { tipMinWei } = this.#options;
    return {
      baseFeePerGasWei: head.baseFeePerGasWei,
      blobBaseFeeWei: head.blobBaseFeeWei,
      tipWei: suggested > tipMinWei ? suggested : tipMinWei,
    };
  }

  #callObject(request: SendRequest): Record<string, unknown> {
    return {
      from: toHex(this.address),
      to: toHex(request.to),
      data: toHex(request.data),
      value: quantity(request.valueWei ?? 0n),
      ...(request.blobs === undefined
        ? {}
        : {
            type: "0x3",
            blobVersionedHashes: request.blobs.map((b) => toHex(b.versionedHash)),
            maxFeePerBlobGas: quantity(this.#options.caps.maxFeePerBlobGasWei),
          }),
    };
  }

  async #estimateGas(request: SendRequest): Promise<number> {
    try {
      const gas = readNumber(await this.#rpc.call("eth_estimateGas", [this.#callObject(request), "latest"]), "gas");
      return Math.ceil((gas * GAS_MARGIN_PERCENT) / 100);
    } catch (error) {
      if (!hasCode(error, "L1_REFUSED")) throw error;
      const text = rpcMessageOf(error);
      if (/insufficient funds|gas required exceeds allowance/i.test(text))
        throw senderError("SENDER_FUNDS", `${request.what}: ${text}`, {}, { cause: error });
      const revertData = error.data["revertData"];
      const reason =
        typeof revertData === "string"
          ? decodeRevert(readBytes(revertData, "revert data"), this.#abis)
          : { name: "", text };
      throw senderError(
        "SENDER_WOULD_REVERT",
        `${request.what} would revert: ${reason.text}`,
        { revert: reason.name, reason: reason.text },
        { cause: error },
      );
    }
  }

  async #receiptOf(entry: Entry): Promise<RawReceipt | undefined> {
    const answers = await Promise.all(
      entry.attempts.map((a) => this.#rpc.call("eth_getTransactionReceipt", [toHex(a.hash)])),
    );
    const found = answers.findLast((a) => a !== null);
    if (found === undefined) return undefined;
    const raw = readObject(found, "receipt");
    const gasUsed = readNumber(raw["gasUsed"], "receipt.gasUsed");
    const gasPriceWei = readQuantity(raw["effectiveGasPrice"], "receipt.effectiveGasPrice");
    const blobGas = raw["blobGasUsed"];
    const blobGasUsed = blobGas === undefined || blobGas === null ? 0 : readNumber(blobGas, "receipt.blobGasUsed");
    const blobPriceWei = blobGasUsed === 0 ? 0n : readQuantity(raw["blobGasPrice"], "receipt.blobGasPrice");
    return {
      transactionHash: readBytes(raw["transactionHash"], "receipt.transactionHash", 32),
      blockNumber: readNumber(raw["blockNumber"], "receipt.blockNumber"),
      blockHash: readBytes(raw["blockHash"], "receipt.blockHash", 32),
      gasUsed,
      blobGasUsed,
      feeWei: BigInt(gasUsed) * gasPriceWei + BigInt(blobGasUsed) * blobPriceWei,
      succeeded: readQuantity(raw["status"], "receipt.status") === 1n,
    };
  }

  /** Why an included transaction reverted, from a replay on the state before its block. */
  async #reasonOf(entry: Entry, receipt: RawReceipt): Promise<{ name: string; text: string }> {
    try {
      const call = { ...this.#callObject(entry.request), gas: quantity(entry.gasLimit) };
      await this.#rpc.call("eth_call", [call, quantity(receipt.blockNumber - 1)]);
      return { name: "", text: "a replay before its block succeeds: an earlier transaction of the block came first" };
    } catch (error) {
      const data = hasCode(error, "L1_REFUSED") ? error.data["revertData"] : undefined;
      if (typeof data !== "string") return { name: "", text: "the reason could not be read" };
      return decodeRevert(readBytes(data, "revert data"), this.#abis);
    }
  }

  async #readBalance(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#balanceReadMs < BALANCE_EVERY_MS) return;
    this.#balanceReadMs = nowMs;
    const balance = await this.#rpc.call("eth_getBalance", [toHex(this.address), "latest"]);
    this.#metrics.balanceEth.set(weiToEth(readQuantity(balance, "balance")));
  }
}
