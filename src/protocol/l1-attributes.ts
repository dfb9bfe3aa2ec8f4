/**
 * Owns the first transaction of every block: the deposit that tells L2 about its L1 origin, in the Ecotone packing.
 * Invariant: `decodeL1Attributes` gives back what went in; it answers undefined for other data, it does not throw.
 * @see OP Stack specification, L1 attributes deposited transaction; decision 0002
 */
import { assert } from "../base/assert.ts";
import { bytesToBigInt, fromHex } from "../base/bytes.ts";
import { l1AttributesSourceHash } from "./deposit.ts";
import { L1_ATTRIBUTES_DEPOSITOR, L1_BLOCK } from "./predeploys.ts";
import type { L1BlockInfo, SystemConfigValues } from "./system-config.ts";
import type { DepositTransaction } from "./transaction.ts";
import { encodeDeposit } from "./transaction-codec.ts";

/** Selector of `setL1BlockValuesEcotone()`. */
const SELECTOR = fromHex("440a5e20");
export const L1_ATTRIBUTES_BYTES = 164;
/** Gas limit of the transaction; same as OP after Regolith. */
export const L1_ATTRIBUTES_GAS = 1_000_000;
const NO_BATCHER = new Uint8Array(32);

/** What the calldata says. */
export type L1Attributes = {
  readonly baseFeeScalar: number;
  readonly blobBaseFeeScalar: number;
  readonly sequenceNumber: number;
  readonly originTimestamp: number;
  readonly originNumber: number;
  readonly l1BaseFeeWei: bigint;
  readonly l1BlobBaseFeeWei: bigint;
  readonly originHash: Uint8Array;
  readonly batcherHash: Uint8Array;
};

/**
 * The L1-attributes deposit of a block.
 * @param batcherHash zero by default: several publishers post, the inbox knows them, L2 need not.
 */
export function l1AttributesTransaction(p: {
  readonly origin: L1BlockInfo;
  readonly sequenceNumber: number;
  readonly systemConfig: SystemConfigValues;
  readonly batcherHash?: Uint8Array;
}): DepositTransaction {
  const { origin, sequenceNumber, systemConfig } = p;
  return encodeDeposit({
    sourceHash: l1AttributesSourceHash(origin.hash, sequenceNumber),
    from: L1_ATTRIBUTES_DEPOSITOR,
    to: L1_BLOCK,
    mintWei: 0n,
    valueWei: 0n,
    gasLimit: BigInt(L1_ATTRIBUTES_GAS),
    isSystemTx: false,
    data: encodeL1Attributes({
      baseFeeScalar: systemConfig.baseFeeScalar,
      blobBaseFeeScalar: systemConfig.blobBaseFeeScalar,
      sequenceNumber,
      originTimestamp: origin.timestamp,
      originNumber: origin.number,
      l1BaseFeeWei: origin.baseFeePerGasWei,
      l1BlobBaseFeeWei: origin.blobBaseFeeWei,
      originHash: origin.hash,
      batcherHash: p.batcherHash ?? NO_BATCHER,
    }),
  });
}

/** The 164 bytes of calldata. */
export function encodeL1Attributes(attributes: L1Attributes): Uint8Array {
  const { baseFeeScalar, blobBaseFeeScalar, sequenceNumber, originTimestamp, originNumber } = attributes;
  assert(isUint32(baseFeeScalar) && isUint32(blobBaseFeeScalar), "fee scalars fit 32 bits");
  for (const value of [sequenceNumber, originTimestamp, originNumber])
    assert(Number.isSafeInteger(value) && value >= 0, "numbers of a block are safe integers");
  assert(attributes.originHash.length === 32 && attributes.batcherHash.length === 32, "hashes have 32 bytes");
  const out = new Uint8Array(L1_ATTRIBUTES_BYTES);
  const view = new DataView(out.buffer);
  out.set(SELECTOR);
  view.setUint32(4, baseFeeScalar);
  view.setUint32(8, blobBaseFeeScalar);
  view.setBigUint64(12, BigInt(sequenceNumber));
  view.setBigUint64(20, BigInt(originTimestamp));
  view.setBigUint64(28, BigInt(originNumber));
  setUint256(view, 36, attributes.l1BaseFeeWei);
  setUint256(view, 68, attributes.l1BlobBaseFeeWei);
  out.set(attributes.originHash, 100);
  out.set(attributes.batcherHash, 132);
  return out;
}

/** The attributes in the calldata of a block's first transaction, or undefined when it is something else. */
export function decodeL1Attributes(data: Uint8Array): L1Attributes | undefined {
  if (data.length !== L1_ATTRIBUTES_BYTES || SELECTOR.some((byte, i) => data[i] !== byte)) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const sequenceNumber = Number(view.getBigUint64(12));
  const originTimestamp = Number(view.getBigUint64(20));
  const originNumber = Number(view.getBigUint64(28));
  if (![sequenceNumber, originTimestamp, originNumber].every(Number.isSafeInteger)) return undefined;
  return {
    baseFeeScalar: view.getUint32(4),
    blobBaseFeeScalar: view.getUint32(8),
    sequenceNumber,
    originTimestamp,
    originNumber,
    l1BaseFeeWei: bytesToBigInt(data.subarray(36, 68)),
    l1BlobBaseFeeWei: bytesToBigInt(data.subarray(68, 100)),
    originHash: new Uint8Array(data.subarray(100, 132)),
    batcherHash: new Uint8Array(data.subarray(132, 164)),
  };
}

function isUint32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}

function setUint256(view: DataView, at: number, value: bigint): void {
  assert(value >= 0n && value >> 256n === 0n, "a word has 256 bits");
  for (let i = 0; i < 4; i++) view.setBigUint64(at + 8 * i, BigInt.asUintN(64, value >> BigInt(192 - 64 * i)));
}
