/**
 * Owns telling apart why a sealed block is not the derived one. Made from other inputs (another parent, time, origin or
 * order): L1 has the last word and the sequencer adopts it, which is weather. Made from the same inputs with another
 * result: somebody computes wrongly, and the first transaction that differs is named.
 */
import { bytesEqual, toHex } from "../base/bytes.ts";
import type { Block, Header } from "../protocol/block.ts";
import { logsBloom } from "../protocol/bloom.ts";
import { keccak256 } from "../protocol/keccak.ts";
import type { Receipt } from "../protocol/receipt.ts";
import { encodeReceipt } from "../protocol/receipt-codec.ts";
import { DEPOSIT_TYPE } from "../protocol/transaction-codec.ts";
import type { Divergence } from "./api.ts";

export type ExecutedBlock = { readonly block: Block; readonly receipts: readonly Receipt[] };

/** Header fields in the order in which they are told apart: causes before effects. */
const FIELDS: readonly (keyof Header)[] = [
  "parentHash",
  "number",
  "timestamp",
  "gasLimit",
  "baseFeePerGasWei",
  "prevRandao",
  "parentBeaconBlockRoot",
  "coinbase",
  "extraData",
  "transactionsRoot",
  "gasUsed",
  "receiptsRoot",
  "logsBloom",
  "stateRoot",
  "ommersHash",
  "difficulty",
  "nonce",
  "withdrawalsRoot",
  "blobGasUsed",
  "excessBlobGas",
  "requestsHash",
];

function same(a: unknown, b: unknown): boolean {
  return a instanceof Uint8Array && b instanceof Uint8Array ? bytesEqual(a, b) : a === b;
}

/**
 * Compares a derived block with the sealed one of the same number and another hash.
 * @param posted the sequenced transactions as L1 has them
 * @param sealedReceipts undefined when the sealed chain does not hold them any more
 */
export function compareBlocks(
  derived: ExecutedBlock,
  posted: readonly Uint8Array[],
  sealed: Block,
  sealedReceipts: readonly Receipt[] | undefined,
): { readonly cause: "inputs" } | { readonly cause: "execution"; readonly divergence: Divergence } {
  const { block } = derived;
  const sequenced = sealed.transactions.filter((raw) => raw[0] !== DEPOSIT_TYPE);
  const sameInputs =
    bytesEqual(block.header.parentHash, sealed.header.parentHash) &&
    block.header.timestamp === sealed.header.timestamp &&
    block.origin.number === sealed.origin.number &&
    bytesEqual(block.origin.hash, sealed.origin.hash) &&
    block.sequenceNumber === sealed.sequenceNumber &&
    posted.length === sequenced.length &&
    posted.every((raw, i) => bytesEqual(raw, sequenced[i] as Uint8Array));
  if (!sameInputs) return { cause: "inputs" };
  const transactionIndex = firstDifference(derived, sealed, sealedReceipts);
  const transaction =
    transactionIndex === undefined
      ? undefined
      : (block.transactions[transactionIndex] ?? sealed.transactions[transactionIndex]);
  return {
    cause: "execution",
    divergence: {
      kind: "block",
      blockNumber: block.header.number,
      field: FIELDS.find((field) => !same(block.header[field], sealed.header[field])) ?? "hash",
      transactionIndex,
      transactionHash: transaction === undefined ? undefined : keccak256(transaction),
      sealedHash: sealed.hash,
      derivedHash: block.hash,
    },
  };
}

/** Index of the first transaction that is missing on one side or has another receipt. */
function firstDifference(
  derived: ExecutedBlock,
  sealed: Block,
  sealedReceipts: readonly Receipt[] | undefined,
): number | undefined {
  const count = Math.max(derived.block.transactions.length, sealed.transactions.length);
  for (let i = 0; i < count; i++) {
    const ours = derived.block.transactions[i];
    const theirs = sealed.transactions[i];
    if (ours === undefined || theirs === undefined || !bytesEqual(ours, theirs)) return i;
    const receipt = derived.receipts[i];
    const other = sealedReceipts?.[i];
    if (receipt !== undefined && other !== undefined && !bytesEqual(consensusBytes(receipt), consensusBytes(other)))
      return i;
  }
  return undefined;
}

const consensusBytes = (receipt: Receipt): Uint8Array => encodeReceipt(receipt, logsBloom(receipt.logs));

/** In words, for people. */
export function describeDivergence(divergence: Divergence): string {
  if (divergence.kind === "output")
    return `output ${divergence.outputIndex} for block ${divergence.blockNumber} is ${toHex(divergence.postedRoot)}, derived ${toHex(divergence.derivedRoot)}`;
  const { blockNumber, field, transactionIndex, transactionHash } = divergence;
  const transaction =
    transactionHash === undefined ? "" : `, first at transaction ${transactionIndex} ${toHex(transactionHash)}`;
  return `block ${blockNumber} differs from the sealed one in ${field}${transaction}`;
}
