/**
 * Owns how chain objects look in JSON: blocks, transactions, receipts, logs, exactly as execution-apis wants them, with
 * the additions of the OP Stack (deposits, L1 fee fields) as op-geth spells them.
 * @see https://github.com/ethereum/execution-apis (schemas block, transaction, receipt)
 */
import { toHex } from "../base/bytes.ts";
import { effectiveGasPriceWei } from "../protocol/base-fee.ts";
import type { Block, Header } from "../protocol/block.ts";
import { logsBloom } from "../protocol/bloom.ts";
import { encodeHeader as encodeHeaderBytes } from "../protocol/header-codec.ts";
import { estimatedSizeScaled } from "../protocol/l1-fee.ts";
import type { Receipt } from "../protocol/receipt.ts";
import { rlpHeaderLength } from "../protocol/rlp.ts";
import type { AccessList, SignedTransaction, Transaction } from "../protocol/transaction.ts";
import { signatureV } from "../protocol/transaction-codec.ts";
import type { FoundLog } from "../store/chain-store.ts";
import type { BlockBundle } from "./block-cache.ts";
import type { PooledTransaction } from "./chain-view.ts";

export type Json = Readonly<Record<string, unknown>>;

export function quantity(value: number | bigint): `0x${string}` {
  return `0x${value.toString(16)}`;
}

/** Header fields, as in newHeads. */
export function encodeHeader(block: Pick<Block, "hash" | "header">): Json {
  const { header } = block;
  return {
    number: quantity(header.number),
    hash: toHex(block.hash),
    parentHash: toHex(header.parentHash),
    nonce: toHex(header.nonce),
    mixHash: toHex(header.prevRandao),
    sha3Uncles: toHex(header.ommersHash),
    logsBloom: toHex(header.logsBloom),
    stateRoot: toHex(header.stateRoot),
    miner: toHex(header.coinbase),
    difficulty: quantity(header.difficulty),
    extraData: toHex(header.extraData),
    gasLimit: quantity(header.gasLimit),
    gasUsed: quantity(header.gasUsed),
    timestamp: quantity(header.timestamp),
    transactionsRoot: toHex(header.transactionsRoot),
    receiptsRoot: toHex(header.receiptsRoot),
    baseFeePerGas: quantity(header.baseFeePerGasWei),
    withdrawalsRoot: toHex(header.withdrawalsRoot),
    blobGasUsed: quantity(header.blobGasUsed),
    excessBlobGas: quantity(header.excessBlobGas),
    parentBeaconBlockRoot: toHex(header.parentBeaconBlockRoot),
    requestsHash: toHex(header.requestsHash),
  };
}

/** Length of a transaction inside a block body: typed ones are wrapped as RLP strings. */
function bodyLength(raw: Uint8Array): number {
  const typed = (raw[0] as number) < 0xc0;
  return typed ? rlpHeaderLength(raw.length) + raw.length : raw.length;
}

/** Bytes of the block as RLP: [header, transactions, ommers, withdrawals]. */
export function blockSize(header: Header, transactions: readonly Uint8Array[]): number {
  let transactionBytes = 0;
  for (const raw of transactions) transactionBytes += bodyLength(raw);
  // Ommers and withdrawals are empty lists of one byte each.
  const payload = encodeHeaderBytes(header).length + rlpHeaderLength(transactionBytes) + transactionBytes + 1 + 1;
  return rlpHeaderLength(payload) + payload;
}

export function encodeBlock(bundle: BlockBundle, full: boolean): Json {
  const { block } = bundle;
  return {
    ...encodeHeader(block),
    size: quantity(blockSize(block.header, block.transactions)),
    transactions: full
      ? block.transactions.map((_, index) => encodeMined(bundle, index))
      : bundle.hashes.map((hash) => toHex(hash)),
    uncles: [],
    withdrawals: [],
  };
}

function encodeAccessList(list: AccessList): Json[] {
  return list.map((entry) => ({
    address: toHex(entry.address),
    storageKeys: entry.slots.map((slot) => toHex(slot)),
  }));
}

type Place = {
  readonly blockHash: Uint8Array;
  readonly blockNumber: number;
  readonly index: number;
  readonly blockTimestamp: number;
};

function encodePlace(place: Place | undefined): Json {
  return place === undefined
    ? { blockHash: null, blockNumber: null, transactionIndex: null }
    : {
        blockHash: toHex(place.blockHash),
        blockNumber: quantity(place.blockNumber),
        transactionIndex: quantity(place.index),
      };
}

/** Price a transaction pays per gas under `baseFeeWei`; its cap while there is none. */
function pricePaid(tx: SignedTransaction, baseFeeWei: bigint | undefined): bigint {
  return tx.type < 2 || baseFeeWei === undefined ? tx.maxFeePerGasWei : effectiveGasPriceWei(tx, baseFeeWei);
}

function encodeSigned(
  tx: SignedTransaction,
  sender: Uint8Array,
  place: Place | undefined,
  baseFeeWei: bigint | undefined,
): Json {
  const json: Record<string, unknown> = {
    ...encodePlace(place),
    from: toHex(sender),
    gas: quantity(tx.gasLimit),
    gasPrice: quantity(pricePaid(tx, baseFeeWei)),
    hash: toHex(tx.hash),
    input: toHex(tx.data),
    nonce: quantity(tx.nonce),
    to: tx.to === undefined ? null : toHex(tx.to),
    value: quantity(tx.valueWei),
    type: quantity(tx.type),
  };
  if (tx.chainId !== undefined) json["chainId"] = quantity(tx.chainId);
  if (tx.type >= 1) json["accessList"] = encodeAccessList(tx.accessList);
  if (tx.type >= 2) {
    json["maxFeePerGas"] = quantity(tx.maxFeePerGasWei);
    json["maxPriorityFeePerGas"] = quantity(tx.maxPriorityFeePerGasWei);
  }
  if (tx.type === 4)
    json["authorizationList"] = tx.authorizations.map((a) => ({
      chainId: quantity(a.chainId),
      address: toHex(a.address),
      nonce: quantity(a.nonce),
      yParity: quantity(a.yParity),
      r: quantity(a.r),
      s: quantity(a.s),
    }));
  json["v"] = quantity(signatureV(tx));
  json["r"] = quantity(tx.r);
  json["s"] = quantity(tx.s);
  if (tx.type >= 1) json["yParity"] = quantity(tx.yParity);
  return json;
}

function encodeDeposit(
  tx: Extract<Transaction, { type: 0x7e }>,
  place: Place | undefined,
  receipt: Receipt | undefined,
): Json {
  const json: Record<string, unknown> = {
    ...encodePlace(place),
    from: toHex(tx.from),
    gas: quantity(tx.gasLimit),
    gasPrice: "0x0",
    hash: toHex(tx.hash),
    input: toHex(tx.data),
    nonce: quantity(receipt?.depositNonce ?? 0n),
    to: tx.to === undefined ? null : toHex(tx.to),
    value: quantity(tx.valueWei),
    type: "0x7e",
    v: "0x0",
    r: "0x0",
    s: "0x0",
    sourceHash: toHex(tx.sourceHash),
    isSystemTx: tx.isSystemTx,
  };
  if (tx.mintWei > 0n) json["mint"] = quantity(tx.mintWei);
  if (receipt?.depositNonce !== undefined) json["depositReceiptVersion"] = "0x1";
  return json;
}

/** A transaction of a sealed block. */
export function encodeMined(bundle: BlockBundle, index: number): Json | null {
  const tx = bundle.transaction(index);
  const sender = bundle.block.senders[index];
  if (tx === undefined || sender === undefined) return null;
  const { header, hash } = bundle.block;
  const place = { blockHash: hash, blockNumber: header.number, index, blockTimestamp: header.timestamp };
  return tx.type === 0x7e
    ? encodeDeposit(tx, place, bundle.receipts[index])
    : encodeSigned(tx, sender, place, header.baseFeePerGasWei);
}

/** A transaction that is in no block yet: from the pool, or of the pending block. */
export function encodeUnmined(tx: Transaction, sender: Uint8Array, baseFeeWei?: bigint): Json {
  return tx.type === 0x7e ? encodeDeposit(tx, undefined, undefined) : encodeSigned(tx, sender, undefined, baseFeeWei);
}

export function encodePooled(pooled: PooledTransaction): Json {
  return encodeUnmined(pooled.tx, pooled.sender);
}

export function encodeLog(log: FoundLog, removed: boolean): Json {
  return {
    address: toHex(log.address),
    topics: log.topics.map((topic) => toHex(topic)),
    data: toHex(log.data),
    blockNumber: quantity(log.blockNumber),
    blockHash: toHex(log.blockHash),
    blockTimestamp: quantity(log.blockTimestamp),
    transactionHash: toHex(log.transactionHash),
    transactionIndex: quantity(log.transactionIndex),
    logIndex: quantity(log.logIndex),
    removed,
  };
}

/** Calldata gas that the estimated posted size stands for, as op-geth reports it since Fjord. */
function l1GasUsed(raw: Uint8Array): number {
  return Math.floor((estimatedSizeScaled(raw) * 16) / 1_000_000);
}

export function encodeReceipt(bundle: BlockBundle, index: number): Json | null {
  const tx = bundle.transaction(index);
  const receipt = bundle.receipts[index];
  const sender = bundle.block.senders[index];
  if (tx === undefined || receipt === undefined || sender === undefined) return null;
  const json: Record<string, unknown> = {
    blockHash: toHex(bundle.block.hash),
    blockNumber: quantity(bundle.number),
    contractAddress: receipt.contractAddress === undefined ? null : toHex(receipt.contractAddress),
    cumulativeGasUsed: quantity(receipt.cumulativeGasUsed),
    effectiveGasPrice: quantity(receipt.effectiveGasPriceWei),
    from: toHex(sender),
    gasUsed: quantity(receipt.gasUsed),
    logs: bundle.logsOf(index).map((log) => encodeLog(log, false)),
    logsBloom: toHex(logsBloom(receipt.logs)),
    status: quantity(receipt.status),
    to: tx.to === undefined ? null : toHex(tx.to),
    transactionHash: toHex(tx.hash),
    transactionIndex: quantity(index),
    type: quantity(tx.type),
  };
  if (tx.type === 0x7e) {
    if (receipt.depositNonce !== undefined) {
      json["depositNonce"] = quantity(receipt.depositNonce);
      json["depositReceiptVersion"] = "0x1";
    }
    return json;
  }
  const fees = bundle.l1Fees;
  json["l1GasPrice"] = quantity(fees.l1BaseFeeWei);
  json["l1GasUsed"] = quantity(l1GasUsed(tx.raw));
  json["l1Fee"] = quantity(receipt.l1FeeWei);
  json["l1BlobBaseFee"] = quantity(fees.l1BlobBaseFeeWei);
  json["l1BaseFeeScalar"] = quantity(fees.baseFeeScalar);
  json["l1BlobBaseFeeScalar"] = quantity(fees.blobBaseFeeScalar);
  return json;
}
