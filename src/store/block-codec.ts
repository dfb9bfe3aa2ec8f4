/**
 * Owns how blocks, receipts and logs lie in the chain store: our own compact binary form, never seen by others.
 * Logs are kept apart from their receipts so that a search reads nothing else and allocates only for what matches.
 * Stored bytes are our own: a malformed one is a broken database and throws (CodecError).
 */
import { Reader, Writer } from "../base/binary.ts";
import type { Block, Header } from "../protocol/block.ts";
import type { Log, Receipt } from "../protocol/receipt.ts";

export function encodeBlock(block: Block): Uint8Array {
  const w = new Writer(1024 + 256 * block.transactions.length);
  const { header } = block;
  w.fixed(block.hash);
  for (const bytes of [header.parentHash, header.ommersHash, header.coinbase, header.stateRoot]) w.fixed(bytes);
  w.fixed(header.transactionsRoot).fixed(header.receiptsRoot).fixed(header.logsBloom);
  w.bigint(header.difficulty).uvarint(header.number).uvarint(header.gasLimit).uvarint(header.gasUsed);
  w.uvarint(header.timestamp).bytes(header.extraData).fixed(header.prevRandao).fixed(header.nonce);
  w.bigint(header.baseFeePerGasWei).fixed(header.withdrawalsRoot);
  w.uvarint(header.blobGasUsed).uvarint(header.excessBlobGas);
  w.fixed(header.parentBeaconBlockRoot).fixed(header.requestsHash);
  w.uvarint(block.origin.number).fixed(block.origin.hash).uvarint(block.sequenceNumber);
  w.uvarint(block.transactions.length);
  for (const sender of block.senders) w.fixed(sender);
  for (const raw of block.transactions) w.bytes(raw);
  return w.finish();
}

/** The block's fields are views into `bytes`. */
export function decodeBlock(bytes: Uint8Array): Block {
  const r = new Reader(bytes);
  const hash = r.fixed(32);
  const header: Header = {
    parentHash: r.fixed(32),
    ommersHash: r.fixed(32),
    coinbase: r.fixed(20),
    stateRoot: r.fixed(32),
    transactionsRoot: r.fixed(32),
    receiptsRoot: r.fixed(32),
    logsBloom: r.fixed(256),
    difficulty: r.bigint(),
    number: r.uvarint(),
    gasLimit: r.uvarint(),
    gasUsed: r.uvarint(),
    timestamp: r.uvarint(),
    extraData: r.bytes(),
    prevRandao: r.fixed(32),
    nonce: r.fixed(8),
    baseFeePerGasWei: r.bigint(),
    withdrawalsRoot: r.fixed(32),
    blobGasUsed: r.uvarint(),
    excessBlobGas: r.uvarint(),
    parentBeaconBlockRoot: r.fixed(32),
    requestsHash: r.fixed(32),
  };
  const origin = { number: r.uvarint(), hash: r.fixed(32) };
  const sequenceNumber = r.uvarint();
  const count = r.uvarint(r.remaining);
  const senders: Uint8Array[] = [];
  for (let i = 0; i < count; i++) senders.push(r.fixed(20));
  const transactions: Uint8Array[] = [];
  for (let i = 0; i < count; i++) transactions.push(r.bytes());
  r.end();
  return { hash, header, transactions, senders, origin, sequenceNumber };
}

const STATUS = 1;
const HAS_CONTRACT = 2;
const HAS_DEPOSIT_NONCE = 4;

/** Everything of the receipts but the logs, of which only the counts. */
export function encodeReceipts(receipts: readonly Receipt[]): Uint8Array {
  const w = new Writer(64 + 48 * receipts.length);
  w.uvarint(receipts.length);
  for (const receipt of receipts) {
    w.byte(receipt.type).byte(
      (receipt.status === 1 ? STATUS : 0) |
        (receipt.contractAddress === undefined ? 0 : HAS_CONTRACT) |
        (receipt.depositNonce === undefined ? 0 : HAS_DEPOSIT_NONCE),
    );
    w.uvarint(receipt.cumulativeGasUsed).uvarint(receipt.gasUsed);
    w.bigint(receipt.effectiveGasPriceWei).bigint(receipt.l1FeeWei);
    if (receipt.contractAddress !== undefined) w.fixed(receipt.contractAddress);
    if (receipt.depositNonce !== undefined) w.bigint(receipt.depositNonce);
    w.uvarint(receipt.logs.length);
  }
  return w.finish();
}

/** `logs`: what {@link encodeLogs} made of the same receipts. Fields are views into both. */
export function decodeReceipts(bytes: Uint8Array, logs: Uint8Array): Receipt[] {
  const r = new Reader(bytes);
  const scan = new LogScan(logs);
  const count = r.uvarint(r.remaining);
  const receipts: Receipt[] = [];
  for (let i = 0; i < count; i++) {
    const type = r.byte();
    const flags = r.byte();
    const cumulativeGasUsed = r.uvarint();
    const gasUsed = r.uvarint();
    const effectiveGasPriceWei = r.bigint();
    const l1FeeWei = r.bigint();
    const contractAddress = flags & HAS_CONTRACT ? r.fixed(20) : undefined;
    const depositNonce = flags & HAS_DEPOSIT_NONCE ? r.bigint() : undefined;
    const logCount = r.uvarint();
    const own: Log[] = [];
    for (let j = 0; j < logCount; j++) {
      scan.next();
      own.push(scan.log());
    }
    receipts.push({
      type,
      status: flags & STATUS ? 1 : 0,
      cumulativeGasUsed,
      gasUsed,
      logs: own,
      effectiveGasPriceWei,
      contractAddress,
      l1FeeWei,
      depositNonce,
    });
  }
  r.end();
  return receipts;
}

/** All logs of a block in order: transaction index, topic count, address, topics, data. Empty when there are none. */
export function encodeLogs(receipts: readonly Receipt[]): Uint8Array {
  const w = new Writer(1024);
  for (let index = 0; index < receipts.length; index++) {
    for (const log of (receipts[index] as Receipt).logs) {
      w.uvarint(index).byte(log.topics.length).fixed(log.address);
      for (const topic of log.topics) w.fixed(topic);
      w.bytes(log.data);
    }
  }
  return w.finish();
}

/** Walks encoded logs without allocating: `next`, then look at the positions, and `log` only for what is wanted. */
export class LogScan {
  readonly bytes: Uint8Array;
  transactionIndex = 0;
  topicCount = 0;
  /** Where the address starts; topics follow it. */
  addressAt = 0;
  #dataAt = 0;
  #end = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** False at the end. */
  next(): boolean {
    if (this.#end >= this.bytes.length) return false;
    this.transactionIndex = this.#uvarint();
    this.topicCount = this.bytes[this.#end] as number;
    this.addressAt = this.#end + 1;
    this.#end = this.addressAt + 20 + 32 * this.topicCount;
    const length = this.#uvarint();
    this.#dataAt = this.#end;
    this.#end += length;
    return true;
  }

  topicAt(position: number): number {
    return this.addressAt + 20 + 32 * position;
  }

  /** The log as views into the bytes. */
  log(): Log {
    const topics: Uint8Array[] = [];
    for (let i = 0; i < this.topicCount; i++) topics.push(this.bytes.subarray(this.topicAt(i), this.topicAt(i + 1)));
    return {
      address: this.bytes.subarray(this.addressAt, this.addressAt + 20),
      topics,
      data: this.bytes.subarray(this.#dataAt, this.#end),
    };
  }

  #uvarint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.bytes[this.#end++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  }
}
