/**
 * Owns the stream of what is confirmed, in the shape of Flashblocks: each confirmation gives the transactions and
 * receipts since the one before, numbered within their block; the seal gives the rest, with hash and roots.
 * Invariant: a listener gets each transaction of a block once and in order, in messages whose first has `base`. One that
 * comes in the middle of a block gets all of it so far in its first message.
 * Nothing is kept but counts; a message is made once for all listeners, and only if there are any.
 * @see https://docs.base.org/base-chain/api-reference/flashblocks-api/flashblocks-api-overview
 */
import { bytesEqual, EMPTY_BYTES, toHex } from "../base/bytes.ts";
import type { BlockEnv } from "../execution/execution.ts";
import type { Block } from "../protocol/block.ts";
import { logsBloom, mergeBloom } from "../protocol/bloom.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_TRIE_ROOT } from "../protocol/ordered-trie.ts";
import type { Receipt } from "../protocol/receipt.ts";
import { DEPOSIT_TYPE } from "../protocol/transaction-codec.ts";
import type { ChainView, PendingBlock } from "./chain-view.ts";
import { type Json, quantity } from "./encode.ts";

const ZERO_HASH = toHex(new Uint8Array(32));
const RECEIPT_KINDS: Readonly<Record<number, string>> = {
  0: "Legacy",
  1: "Eip2930",
  2: "Eip1559",
  4: "Eip7702",
  [DEPOSIT_TYPE]: "Deposit",
};

/** A block in the making, or just sealed, as far as messages need it. */
type Body = {
  readonly base: Json;
  readonly number: number;
  readonly transactions: readonly Uint8Array[];
  readonly receipts: readonly Receipt[];
  /** Once sealed. */
  readonly sealed: Block | undefined;
};

/** The block that listeners are being told of. */
type Progress = {
  readonly parentHash: Uint8Array;
  readonly number: number;
  readonly payloadId: string;
  index: number;
  /** Transactions told. */
  count: number;
  readonly bloom: Uint8Array;
};

type Listener = {
  readonly tell: (flashblock: string) => void;
  /** The payload it has the base of. */
  known: string | undefined;
};

export class ConfirmationFeed {
  readonly #chain: ChainView;
  readonly #listeners = new Set<Listener>();
  readonly #unsubscribe: () => void;
  #progress: Progress | undefined;

  constructor(chain: ChainView) {
    this.#chain = chain;
    this.#unsubscribe = chain.subscribe({
      confirmed: (hashes) => this.#confirmed(hashes.length),
      block: (block, receipts) => this.#sealed(block, receipts),
      reorg: () => {
        this.#progress = undefined;
      },
    });
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  close(): void {
    this.#unsubscribe();
    this.#listeners.clear();
  }

  /** Calls `tell` with each message, as JSON, from the next one on; ends with the returned function. */
  listen(tell: (flashblock: string) => void): () => void {
    const listener: Listener = { tell, known: undefined };
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #confirmed(transactions: number): void {
    const pending = this.#chain.pending();
    if (pending === undefined) return;
    const progress = this.#of(pending.parentHash, pending.env.number);
    // What L1 contributes is executed with the opening of the block and confirmed with the first of the rest.
    const told = progress.count === 0 ? deposits(pending.transactions) : progress.count;
    const to = Math.min(told + transactions, pending.receipts.length);
    this.#tell(progress, to, () => bodyOfPending(pending));
  }

  #sealed(block: Block, receipts: readonly Receipt[]): void {
    const progress = this.#of(block.header.parentHash, block.header.number);
    this.#tell(progress, receipts.length, () => bodyOfSealed(block, receipts));
    this.#progress = undefined;
  }

  /** Progress of the block; from the start when another one was in the making. */
  #of(parentHash: Uint8Array, number: number): Progress {
    const known = this.#progress;
    if (known !== undefined && known.number === number && bytesEqual(known.parentHash, parentHash)) return known;
    const id = new Uint8Array(40);
    id.set(parentHash);
    new DataView(id.buffer).setBigUint64(32, BigInt(number));
    const payloadId = toHex(keccak256(id).subarray(0, 8));
    const bloom = new Uint8Array(256);
    this.#progress = { parentHash, number, payloadId, index: 0, count: 0, bloom };
    return this.#progress;
  }

  #tell(progress: Progress, to: number, read: () => Body): void {
    const from = progress.count;
    progress.count = to;
    const index = progress.index++;
    if (this.#listeners.size === 0) return;
    const body = read();
    // From the start where nobody listened so far: the bloom is of the whole block.
    progress.bloom.fill(0);
    for (let i = 0; i < to; i++) mergeLogs(progress.bloom, body.receipts[i] as Receipt);
    const message = (start: number, withBase: boolean): string =>
      JSON.stringify(flashblock(progress, body, index, start, to, withBase));
    let next: string | undefined;
    let first: string | undefined;
    for (const listener of this.#listeners) {
      if (listener.known === progress.payloadId) listener.tell((next ??= message(from, false)));
      else {
        listener.known = progress.payloadId;
        listener.tell((first ??= message(0, true)));
      }
    }
  }
}

function mergeLogs(bloom: Uint8Array, receipt: Receipt): void {
  if (receipt.logs.length > 0) mergeBloom(bloom, logsBloom(receipt.logs));
}

function deposits(transactions: readonly Uint8Array[]): number {
  let count = 0;
  while (transactions[count]?.[0] === DEPOSIT_TYPE) count++;
  return count;
}

function flashblock(p: Progress, body: Body, index: number, from: number, to: number, withBase: boolean): Json {
  const { transactions, receipts, sealed } = body;
  const told: Record<string, Json> = {};
  for (let i = from; i < to; i++)
    told[toHex(keccak256(transactions[i] as Uint8Array))] = encodeReceipt(receipts[i] as Receipt);
  return {
    payload_id: p.payloadId,
    index,
    ...(withBase ? { base: body.base } : {}),
    diff: {
      state_root: sealed === undefined ? ZERO_HASH : toHex(sealed.header.stateRoot),
      receipts_root: sealed === undefined ? ZERO_HASH : toHex(sealed.header.receiptsRoot),
      logs_bloom: toHex(p.bloom),
      gas_used: quantity(to === 0 ? 0 : (receipts[to - 1] as Receipt).cumulativeGasUsed),
      block_hash: sealed === undefined ? ZERO_HASH : toHex(sealed.hash),
      transactions: transactions.slice(from, to).map((raw) => toHex(raw)),
      withdrawals: [],
      withdrawals_root: toHex(EMPTY_TRIE_ROOT),
    },
    metadata: { block_number: body.number, receipts: told },
  };
}

function encodeReceipt(receipt: Receipt): Json {
  const fields: Record<string, unknown> = {
    cumulativeGasUsed: quantity(receipt.cumulativeGasUsed),
    logs: receipt.logs.map(({ address, topics, data }) => ({
      address: toHex(address),
      topics: topics.map((topic) => toHex(topic)),
      data: toHex(data),
    })),
    status: quantity(receipt.status),
  };
  if (receipt.depositNonce !== undefined) {
    fields["depositNonce"] = quantity(receipt.depositNonce);
    fields["depositReceiptVersion"] = "0x1";
  }
  return { [RECEIPT_KINDS[receipt.type] ?? "Unknown"]: fields };
}

function base(
  env: Pick<BlockEnv, "coinbase" | "prevRandao" | "number" | "gasLimit" | "timestamp" | "baseFeePerGasWei">,
  parentHash: Uint8Array,
  parentBeaconBlockRoot: Uint8Array,
): Json {
  return {
    parent_beacon_block_root: toHex(parentBeaconBlockRoot),
    parent_hash: toHex(parentHash),
    fee_recipient: toHex(env.coinbase),
    prev_randao: toHex(env.prevRandao),
    block_number: quantity(env.number),
    gas_limit: quantity(env.gasLimit),
    timestamp: quantity(env.timestamp),
    extra_data: toHex(EMPTY_BYTES),
    base_fee_per_gas: quantity(env.baseFeePerGasWei),
  };
}

function bodyOfPending({ env, parentHash, parentBeaconBlockRoot, transactions, receipts }: PendingBlock): Body {
  return {
    base: base(env, parentHash, parentBeaconBlockRoot),
    number: env.number,
    transactions,
    receipts,
    sealed: undefined,
  };
}

function bodyOfSealed(block: Block, receipts: readonly Receipt[]): Body {
  const { header, transactions } = block;
  return {
    base: base(header, header.parentHash, header.parentBeaconBlockRoot),
    number: header.number,
    transactions,
    receipts,
    sealed: block,
  };
}
