/**
 * Owns the messages between the sequencer's thread and the shadow's. What grows with load is packed bytes, so that the
 * sender copies memory and nothing else; the sender keeps the messages of a block, to send them again to a new thread.
 */
import type { MessagePort } from "node:worker_threads";
import { Reader, Writer } from "../base/binary.ts";
import { fromHex, toHexKey } from "../base/bytes.ts";
import type { ChainParameters, ParentBlock } from "../execution/block-execution.ts";
import type { EngineName } from "../execution/config.ts";
import type { IncludedResult, SkipReason, TxResult } from "../execution/execution.ts";
import type { Block } from "../protocol/block.ts";
import { type BlockContext, decodeOrderRecord, encodeOrderRecord, type OrderedTx } from "../protocol/cut.ts";
import { type AccountWrite, emptyWrites, type StateWrites } from "../protocol/state-writes.ts";
import { decodeBlock, encodeBlock } from "../store/block-codec.ts";
import type { Question } from "./witness.ts";

export type ShadowWorkerData = {
  readonly engine: EngineName;
  readonly chain: ChainParameters;
  /** Answers to questions come here. */
  readonly answers: MessagePort;
  /** Word 0 becomes 1 when an answer is there: the shadow's thread sleeps on it. */
  readonly answered: Int32Array;
};

/** `reads`: what the sequencer's engine read since the message before. */
export type ShadowRequest =
  | {
      readonly kind: "open";
      readonly id: number;
      readonly reads: Uint8Array;
      readonly context: Uint8Array;
      readonly parent: Uint8Array;
    }
  | { readonly kind: "execute"; readonly id: number; readonly reads: Uint8Array; readonly txs: Uint8Array }
  | {
      readonly kind: "finish";
      readonly id: number;
      readonly reads: Uint8Array;
      readonly block: Uint8Array;
      readonly writes: Uint8Array;
    }
  | { readonly kind: "abandon"; readonly id: number };

export type ShadowAnswer =
  /** The batch is executed. */
  | { readonly kind: "executed"; readonly id: number }
  | { readonly kind: "agreed"; readonly id: number }
  | {
      readonly kind: "differed";
      readonly id: number;
      readonly block: Uint8Array;
      readonly writes: Uint8Array;
      readonly outcomes: Outcome[];
    }
  | { readonly kind: "failed"; readonly id: number; readonly reason: string }
  | { readonly kind: "question"; readonly id: number; readonly question: Question };

/** A question that has no answer: the block was unwound. */
export const NO_ANSWER = null;

/** A result without what only some engines have. */
export type Outcome =
  | Pick<
      IncludedResult,
      | "included"
      | "status"
      | "gasUsed"
      | "logs"
      | "effectiveGasPriceWei"
      | "contractAddress"
      | "depositNonce"
      | "writes"
    >
  | { readonly included: false; readonly reason: SkipReason };

/** Engines may answer with objects that a message does not carry. */
export function outcomeOf(result: TxResult): Outcome {
  if (!result.included) return { included: false, reason: result.reason };
  const { status, gasUsed, logs, effectiveGasPriceWei, contractAddress, depositNonce, writes } = result;
  return { included: true, status, gasUsed, logs, effectiveGasPriceWei, contractAddress, depositNonce, writes };
}

export function encodeContext(context: BlockContext): Uint8Array {
  return encodeOrderRecord({
    kind: "cut",
    blockNumber: context.number,
    open: context,
    ordering: "priority-fee",
    positions: [],
    inline: [],
    close: false,
  });
}

export function decodeContext(bytes: Uint8Array): BlockContext {
  const record = decodeOrderRecord(bytes);
  if (record.kind !== "cut" || record.open === undefined) throw new Error("a context was encoded");
  return record.open;
}

/** Without its transactions: header, hash and place. */
export function encodeBlockHead(block: ParentBlock): Uint8Array {
  const { hash, header, origin, sequenceNumber } = block;
  return encodeBlock({ hash, header, origin, sequenceNumber, transactions: [], senders: [] });
}

export const decodeBlockHead = (bytes: Uint8Array): Block => decodeBlock(bytes);

export function encodeTxs(txs: readonly OrderedTx[]): Uint8Array {
  let size = 10;
  for (const tx of txs) size += 26 + tx.raw.length;
  const w = new Writer(size);
  return w.list(txs, (tx) => w.fixed(tx.sender).bytes(tx.raw)).finish();
}

export function decodeTxs(bytes: Uint8Array): OrderedTx[] {
  const r = new Reader(bytes);
  return r.list(r.remaining, () => ({ sender: r.fixed(20), raw: r.bytes() }));
}

const CLEARED = 1;
const EXISTS = 2;

export function encodeWrites(writes: StateWrites): Uint8Array {
  const w = new Writer(64 + 128 * writes.accounts.size);
  w.uvarint(writes.accounts.size);
  for (const [address, write] of writes.accounts) {
    w.fixed(fromHex(address)).byte((write.cleared ? CLEARED : 0) | (write.account === undefined ? 0 : EXISTS));
    if (write.account !== undefined)
      w.bigint(write.account.nonce).bigint(write.account.balanceWei).fixed(write.account.codeHash);
    w.uvarint(write.storage.size);
    for (const [slot, value] of write.storage) w.fixed(fromHex(slot)).fixed(value);
  }
  w.uvarint(writes.codes.size);
  for (const [hash, code] of writes.codes) w.fixed(fromHex(hash)).bytes(code);
  return w.finish();
}

export function decodeWrites(bytes: Uint8Array): StateWrites {
  const r = new Reader(bytes);
  const writes = emptyWrites();
  for (let left = r.uvarint(r.remaining); left > 0; left--) {
    const address = toHexKey(r.fixed(20));
    const flags = r.byte();
    const account: AccountWrite["account"] =
      (flags & EXISTS) === 0 ? undefined : { nonce: r.bigint(), balanceWei: r.bigint(), codeHash: r.fixed(32) };
    const storage = new Map<string, Uint8Array>();
    for (let slots = r.uvarint(r.remaining); slots > 0; slots--) storage.set(toHexKey(r.fixed(32)), r.fixed(32));
    writes.accounts.set(address, { cleared: (flags & CLEARED) !== 0, account, storage });
  }
  for (let left = r.uvarint(r.remaining); left > 0; left--) writes.codes.set(toHexKey(r.fixed(32)), r.bytes());
  r.end();
  return writes;
}
