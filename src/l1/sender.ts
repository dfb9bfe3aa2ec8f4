/**
 * Owns what roles ask of a sender of L1 transactions and the ways it can fail: one account (`l1-sender.ts`) and several
 * (`sender-pool.ts`) look the same to them.
 */
import { defineErrors } from "../base/error.ts";
import type { ProvenBlob } from "./kzg.ts";

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
  SENDER_CONFLICT: {
    summary: "A transaction of the same name is in flight already, maybe with another content.",
    action: "Nothing; the one in flight is followed, and the state of L1 decides what is still missing.",
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
  /** Place in an order of requests, e.g. the index of a segment: a pool gives each place its account. */
  readonly place?: number;
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
  /** Accounts that work side by side. */
  readonly accounts: number;
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
