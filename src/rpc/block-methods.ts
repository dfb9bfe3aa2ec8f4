/** Owns the methods that read blocks, transactions and receipts. Unknown things are null, as the specification says. */

import { toHex } from "../base/bytes.ts";
import { logsBloom } from "../protocol/bloom.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_TRIE_ROOT as EMPTY_TRIE_ROOT_BYTES } from "../protocol/ordered-trie.ts";
import { decodeTransaction } from "../protocol/transaction-codec.ts";
import { type BlockBundle } from "./block-cache.ts";
import { answered, type PendingBlock } from "./chain-view.ts";
import {
  encodeBlock,
  encodeHeader,
  encodeMined,
  encodePooled,
  encodeReceipt,
  encodeUnmined,
  type Json,
  quantity,
} from "./encode.ts";
import { type Method, method } from "./method.ts";
import { type BlockRef, blockNumberOrTag, blockRef, bool, hash, optional, required, safeUint } from "./params.ts";
import { findBlock, isPending } from "./resolve.ts";
import type { Services } from "./services.ts";

const ZERO_HASH = toHex(new Uint8Array(32));
const EMPTY_OMMERS_HASH = toHex(keccak256(Uint8Array.of(0xc0)));
const EMPTY_TRIE_ROOT = toHex(EMPTY_TRIE_ROOT_BYTES);

/** The block being built. What only sealing decides (hash, nonce, roots) is null or zero, as clients know it. */
function encodePendingBlock(pending: PendingBlock, full: boolean): Json {
  const { env, transactions, senders, receipts } = pending;
  return {
    number: quantity(env.number),
    hash: null,
    parentHash: toHex(pending.parentHash),
    nonce: null,
    mixHash: toHex(env.prevRandao),
    sha3Uncles: EMPTY_OMMERS_HASH,
    logsBloom: toHex(logsBloom(receipts.flatMap((receipt) => receipt.logs))),
    stateRoot: ZERO_HASH,
    miner: toHex(env.coinbase),
    difficulty: "0x0",
    extraData: "0x",
    gasLimit: quantity(env.gasLimit),
    gasUsed: quantity(receipts.at(-1)?.cumulativeGasUsed ?? 0),
    timestamp: quantity(env.timestamp),
    transactionsRoot: ZERO_HASH,
    receiptsRoot: ZERO_HASH,
    baseFeePerGas: quantity(env.baseFeePerGasWei),
    withdrawalsRoot: EMPTY_TRIE_ROOT,
    blobGasUsed: "0x0",
    excessBlobGas: "0x0",
    parentBeaconBlockRoot: toHex(pending.parentBeaconBlockRoot),
    size: quantity(transactions.reduce((sum, raw) => sum + raw.length, 0)),
    transactions: transactions.map((raw, i) =>
      full
        ? encodeUnmined(decodeTransaction(raw), senders[i] as Uint8Array, env.baseFeePerGasWei)
        : toHex(keccak256(raw)),
    ),
    uncles: [],
    withdrawals: [],
  };
}

function blockJson(s: Services, ref: BlockRef, full: boolean): Json | null {
  if (isPending(ref)) {
    const pending = s.chain.pending();
    if (pending !== undefined) return encodePendingBlock(pending, full);
  }
  const bundle = findBlock(s, ref);
  return bundle === undefined ? null : encodeBlock(bundle, full);
}

function transactionCount(s: Services, ref: BlockRef): string | null {
  if (isPending(ref)) {
    const pending = s.chain.pending();
    if (pending !== undefined) return quantity(pending.transactions.length);
  }
  const bundle = findBlock(s, ref);
  return bundle === undefined ? null : quantity(bundle.block.transactions.length);
}

function pendingTransaction(pending: PendingBlock, index: number): Json | null {
  const raw = pending.transactions[index];
  const sender = pending.senders[index];
  if (raw === undefined || sender === undefined) return null;
  return encodeUnmined(decodeTransaction(raw), sender, pending.env.baseFeePerGasWei);
}

function transactionAt(s: Services, ref: BlockRef, index: number): Json | null {
  if (isPending(ref)) {
    const pending = s.chain.pending();
    if (pending !== undefined) return pendingTransaction(pending, index);
  }
  const bundle = findBlock(s, ref);
  return bundle === undefined ? null : encodeMined(bundle, index);
}

function rawAt(s: Services, ref: BlockRef, index: number): string | null {
  const raw = isPending(ref) ? s.chain.pending()?.transactions[index] : undefined;
  const found = raw ?? findBlock(s, ref)?.block.transactions[index];
  return found === undefined ? null : toHex(found);
}

/** Where a mined transaction is. */
export function findMined(
  s: Services,
  transactionHash: Uint8Array,
): { bundle: BlockBundle; index: number } | undefined {
  const place = s.chain.transaction(transactionHash);
  if (place === undefined) return undefined;
  const bundle = s.blocks.get(place.blockNumber);
  return bundle === undefined ? undefined : { bundle, index: place.index };
}

const BY_HASH = required("blockHash", hash);
const BY_NUMBER = required("block", blockNumberOrTag);
const FULL = optional("fullTransactions", bool, false);
const INDEX = required("index", safeUint);
const TX_HASH = required("transactionHash", hash);

const atHash = (value: Uint8Array): BlockRef => ({ hash: value, requireCanonical: false });

function headerJson(s: Services, ref: BlockRef): Json | null {
  const bundle = findBlock(s, ref);
  return bundle === undefined ? null : encodeHeader(bundle.block);
}

export const BLOCK_METHODS: readonly Method[] = [
  method({
    name: "eth_getHeaderByNumber",
    summary: "Header of a block by number or tag.",
    params: [BY_NUMBER],
    result: "Header or null",
    run: (s, [ref]) => headerJson(s, ref),
  }),
  method({
    name: "eth_getHeaderByHash",
    summary: "Header of a block by hash.",
    params: [BY_HASH],
    result: "Header or null",
    run: (s, [blockHash]) => headerJson(s, atHash(blockHash)),
  }),
  method({
    name: "eth_blockNumber",
    summary: "Number of the newest sealed block.",
    params: [],
    result: "QUANTITY",
    run: (s) => quantity(s.chain.heads().latest),
  }),
  method({
    name: "eth_getBlockByNumber",
    summary: "A block by number or tag; `pending` is the block being built, with null hash and nonce.",
    params: [BY_NUMBER, FULL],
    result: "Block or null",
    run: (s, [ref, full]) => blockJson(s, ref, full),
  }),
  method({
    name: "eth_getBlockByHash",
    summary: "A block by hash.",
    params: [BY_HASH, FULL],
    result: "Block or null",
    run: (s, [blockHash, full]) => blockJson(s, atHash(blockHash), full),
  }),
  method({
    name: "eth_getBlockTransactionCountByNumber",
    summary: "Number of transactions in a block.",
    params: [BY_NUMBER],
    result: "QUANTITY or null",
    run: (s, [ref]) => transactionCount(s, ref),
  }),
  method({
    name: "eth_getBlockTransactionCountByHash",
    summary: "Number of transactions in a block.",
    params: [BY_HASH],
    result: "QUANTITY or null",
    run: (s, [blockHash]) => transactionCount(s, atHash(blockHash)),
  }),
  method({
    name: "eth_getUncleCountByBlockNumber",
    summary: "Always zero: there are no uncles.",
    params: [BY_NUMBER],
    result: "QUANTITY or null",
    run: (s, [ref]) => (findBlock(s, ref) === undefined ? null : "0x0"),
  }),
  method({
    name: "eth_getUncleCountByBlockHash",
    summary: "Always zero: there are no uncles.",
    params: [BY_HASH],
    result: "QUANTITY or null",
    run: (s, [blockHash]) => (findBlock(s, atHash(blockHash)) === undefined ? null : "0x0"),
  }),
  method({
    name: "eth_getUncleByBlockNumberAndIndex",
    summary: "Always null: there are no uncles.",
    params: [BY_NUMBER, INDEX],
    result: "null",
    run: () => null,
  }),
  method({
    name: "eth_getUncleByBlockHashAndIndex",
    summary: "Always null: there are no uncles.",
    params: [BY_HASH, INDEX],
    result: "null",
    run: () => null,
  }),
  method({
    name: "eth_getTransactionByHash",
    summary: "A transaction, mined or in the pool.",
    params: [TX_HASH],
    result: "Transaction or null",
    run: (s, [transactionHash]) => {
      const mined = findMined(s, transactionHash);
      if (mined !== undefined) return encodeMined(mined.bundle, mined.index);
      return answered(s.pool?.get(transactionHash), (pooled) => {
        if (pooled !== undefined) return encodePooled(pooled);
        // It may have been ordered while a lane elsewhere was asked.
        const now = findMined(s, transactionHash);
        if (now !== undefined) return encodeMined(now.bundle, now.index);
        const open = s.pendingIndex.find(transactionHash);
        return open === undefined ? null : pendingTransaction(open.pending, open.index);
      });
    },
  }),
  method({
    name: "eth_getTransactionByBlockHashAndIndex",
    summary: "A transaction by its place.",
    params: [BY_HASH, INDEX],
    result: "Transaction or null",
    run: (s, [blockHash, index]) => transactionAt(s, atHash(blockHash), index),
  }),
  method({
    name: "eth_getTransactionByBlockNumberAndIndex",
    summary: "A transaction by its place.",
    params: [BY_NUMBER, INDEX],
    result: "Transaction or null",
    run: (s, [ref, index]) => transactionAt(s, ref, index),
  }),
  method({
    name: "eth_getRawTransactionByHash",
    summary: "Canonical bytes of a transaction, mined or in the pool.",
    params: [TX_HASH],
    result: "DATA or null",
    run: (s, [transactionHash]) => {
      const mined = findMined(s, transactionHash);
      const raw = mined?.bundle.block.transactions[mined.index];
      if (raw !== undefined) return toHex(raw);
      return answered(s.pool?.get(transactionHash), (pooled) => {
        if (pooled !== undefined) return toHex(pooled.tx.raw);
        const now = findMined(s, transactionHash);
        const open = now === undefined ? s.pendingIndex.find(transactionHash) : undefined;
        const found = now?.bundle.block.transactions[now.index] ?? open?.pending.transactions[open.index];
        return found === undefined ? null : toHex(found);
      });
    },
  }),
  method({
    name: "eth_getRawTransactionByBlockHashAndIndex",
    summary: "Canonical bytes of a transaction by its place.",
    params: [BY_HASH, INDEX],
    result: "DATA or null",
    run: (s, [blockHash, index]) => rawAt(s, atHash(blockHash), index),
  }),
  method({
    name: "eth_getRawTransactionByBlockNumberAndIndex",
    summary: "Canonical bytes of a transaction by its place.",
    params: [BY_NUMBER, INDEX],
    result: "DATA or null",
    run: (s, [ref, index]) => rawAt(s, ref, index),
  }),
  method({
    name: "eth_getTransactionReceipt",
    summary: "Receipt of a mined transaction, with the L1 fee fields of the OP Stack.",
    params: [TX_HASH],
    result: "Receipt or null",
    run: (s, [transactionHash]) => {
      const mined = findMined(s, transactionHash);
      return mined === undefined ? null : encodeReceipt(mined.bundle, mined.index);
    },
  }),
  method({
    name: "eth_getBlockReceipts",
    summary: "Receipts of all transactions of a block.",
    params: [required("block", blockRef)],
    result: "Array of Receipt, or null",
    run: (s, [ref]) => {
      const bundle = findBlock(s, ref);
      return bundle === undefined ? null : bundle.block.transactions.map((_, index) => encodeReceipt(bundle, index));
    },
  }),
];
