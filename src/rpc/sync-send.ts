/**
 * Owns `eth_sendRawTransactionSync` (EIP-7966): sends, then waits for the transaction to be confirmed and answers with
 * its receipt as of then. That is final but for the block's hash, which only the seal gives: it is zero, unless the
 * block was sealed meanwhile. A nonce gap is told at once: nothing would come in time.
 */
import { toHex } from "../base/bytes.ts";
import type { Block } from "../protocol/block.ts";
import { BlockBundle } from "./block-cache.ts";
import { findMined } from "./block-methods.ts";
import type { PendingBlock } from "./chain-view.ts";
import { encodeReceipt, type Json, quantity } from "./encode.ts";
import { RpcError } from "./errors.ts";
import type { Services } from "./services.ts";
import { l1FeesOf } from "./stored-chain.ts";

const ZERO_HASH = new Uint8Array(32);

/** Receipt of a confirmed transaction, as it will be but for the block's hash. */
function pendingReceipt(s: Services, pending: PendingBlock, index: number): Json | null {
  const { env, transactions, senders, receipts } = pending;
  // What a receipt shows of its block.
  const block = {
    hash: ZERO_HASH,
    header: { number: env.number, timestamp: env.timestamp },
    transactions,
    senders,
  } as unknown as Block;
  return encodeReceipt(new BlockBundle(s.chain, block, receipts, l1FeesOf(transactions[0])), index);
}

/** The nonce that has to come first, if one has. */
async function missingNonce(s: Services, hash: Uint8Array): Promise<bigint | undefined> {
  const pooled = await s.pool?.get(hash);
  if (pooled === undefined) return undefined;
  const { tx, sender } = pooled;
  const state = s.chain.pending()?.state ?? s.chain.stateAt(s.chain.heads().latest);
  const next = (await s.pool?.nextNonce(sender)) ?? 0n;
  const executed = state.account(sender)?.nonce ?? 0n;
  const expected = next > executed ? next : executed;
  return tx.nonce > expected ? expected : undefined;
}

/** `send` resolves with the hash once the transaction is accepted. @throws {RpcError} */
export async function sendSync(s: Services, send: () => Promise<Uint8Array>, timeoutMs: number): Promise<Json> {
  let settle: (value: Json | undefined) => void = () => undefined;
  const processed = new Promise<Json | undefined>((resolve) => {
    settle = resolve;
  });
  let wanted: Uint8Array | undefined;
  const look = (): void => {
    if (wanted === undefined) return;
    const mined = findMined(s, wanted);
    const open = mined === undefined ? s.pendingIndex.find(wanted) : undefined;
    const receipt =
      mined !== undefined
        ? encodeReceipt(mined.bundle, mined.index)
        : open === undefined
          ? null
          : pendingReceipt(s, open.pending, open.index);
    if (receipt !== null) settle(receipt);
  };
  // Before it is sent: it may be confirmed before the answer of the pool is read.
  const unsubscribe = s.chain.subscribe({ confirmed: look, block: look });
  const timer = setTimeout(() => settle(undefined), timeoutMs);
  try {
    const hash = await send();
    wanted = hash;
    const found = findMined(s, hash);
    const missing = found === undefined ? await missingNonce(s, hash) : undefined;
    if (missing !== undefined)
      throw new RpcError(
        "SYNC_NONCE_GAP",
        `the transaction was accepted and waits for nonce ${missing}`,
        quantity(missing),
      );
    look();
    const receipt = await processed;
    if (receipt !== undefined) return receipt;
    throw new RpcError(
      "SYNC_TIMEOUT",
      `the transaction was accepted but not processed within ${timeoutMs} ms`,
      toHex(hash),
    );
  } finally {
    clearTimeout(timer);
    unsubscribe();
  }
}
