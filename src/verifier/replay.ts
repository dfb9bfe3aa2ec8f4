/**
 * Owns running one derived block: transactions as posted are decoded, their senders recovered, and the block executed
 * on its parent. Total: posted bytes that are no transaction, carry no valid signature or pretend to be a deposit are
 * skipped (decision 0002), exactly as a sequencer never would have ordered them.
 */
import { CodedError } from "../base/error.ts";
import {
  BlockExecution,
  type ChainParameters,
  type FinishedBlock,
  type ParentBlock,
  type SequencedTx,
} from "../execution/block-execution.ts";
import type { Engine, SkipReason, StateReader } from "../execution/execution.ts";
import type { DerivedBlock } from "../protocol/derivation.ts";
import { recoverSenders } from "../protocol/sender.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import type { SignedTransaction } from "../protocol/transaction.ts";
import { DEPOSIT_TYPE, decodeTransaction } from "../protocol/transaction-codec.ts";

/** Transactions given to the engine at once; between two batches the process answers others. */
const BATCH_MAX = 256;
/** Transactions decoded or recovered in one go, for the same reason: a few milliseconds. */
const SLICE = 64;

/** Recovers senders, on other threads where there are any; undefined where a signature recovers to no key. */
export interface SenderRecoverer {
  recover(txs: readonly SignedTransaction[]): Promise<readonly (Uint8Array | undefined)[]>;
}

const yieldToOthers = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Recovers on this thread. */
export const recoverInPlace: SenderRecoverer = {
  recover: async (txs) => {
    const senders: (Uint8Array | undefined)[] = [];
    for (let at = 0; at < txs.length; at += SLICE) {
      if (at > 0) await yieldToOthers();
      senders.push(...recoverSenders(txs.slice(at, at + SLICE)));
    }
    return senders;
  },
};

export type Skipped = { readonly position: number; readonly reason: SkipReason | "BAD_SIGNATURE" };

/** The posted transactions that are transactions, in order, and what the others are. */
export type Posted = {
  readonly txs: readonly (SequencedTx & { readonly position: number })[];
  readonly skipped: readonly Skipped[];
};

export type Replayed<P> = FinishedBlock<P> & { readonly skipped: readonly Skipped[] };

export async function readPosted(raws: readonly Uint8Array[], recovery: SenderRecoverer): Promise<Posted> {
  const decoded: { readonly tx: SignedTransaction; readonly position: number }[] = [];
  const skipped: Skipped[] = [];
  for (const [position, raw] of raws.entries()) {
    if (position > 0 && position % SLICE === 0) await yieldToOthers();
    const tx = decode(raw);
    if (tx === undefined) skipped.push({ position, reason: "UNDECODABLE" });
    else decoded.push({ tx, position });
  }
  const senders = await recovery.recover(decoded.map(({ tx }) => tx));
  const txs: (SequencedTx & { position: number })[] = [];
  for (const [i, { tx, position }] of decoded.entries()) {
    const sender = senders[i];
    if (sender === undefined) skipped.push({ position, reason: "BAD_SIGNATURE" });
    else txs.push({ raw: tx.raw, sender, position });
  }
  return { txs, skipped };
}

/** Undefined for what is no transaction of a user: deposits come from L1 alone. */
function decode(raw: Uint8Array): SignedTransaction | undefined {
  try {
    const tx = decodeTransaction(raw);
    return tx.type === DEPOSIT_TYPE ? undefined : tx;
  } catch (error) {
    if (error instanceof CodedError) return undefined;
    throw error;
  }
}

/** Executes `derived` on top of `parent`, whose state `state` reads; nothing is stored. */
export async function replayBlock<P extends { readonly stateRoot: Uint8Array }>(p: {
  readonly derived: DerivedBlock;
  readonly posted: Posted;
  readonly parent: ParentBlock;
  readonly chain: ChainParameters;
  readonly state: StateReader;
  readonly engine: Engine;
  readonly withAccessList: boolean;
  /** Hands the engine the whole block at once: for one that does not hold up this thread. */
  readonly isOneBatch?: boolean;
  readonly prepare: (writes: StateWrites) => P;
}): Promise<Replayed<P>> {
  const { derived, parent, chain, state, engine, withAccessList, prepare } = p;
  const { txs } = p.posted;
  const skipped = [...p.posted.skipped];
  const execution = await BlockExecution.begin({
    chain,
    parent,
    attributes: derived.context,
    state,
    engine,
    withAccessList,
  });
  const batchMax = p.isOneBatch === true ? Math.max(1, txs.length) : BATCH_MAX;
  for (let at = 0; at < txs.length; at += batchMax) {
    const batch = txs.slice(at, at + batchMax);
    const applied = await execution.apply(batch);
    for (const [i, result] of applied.entries())
      if (!result.included)
        skipped.push({ position: (batch[i] as { position: number }).position, reason: result.reason });
    await yieldToOthers();
  }
  return { ...execution.finish(prepare), skipped };
}
