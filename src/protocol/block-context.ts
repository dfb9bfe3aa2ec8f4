/**
 * Owns the way back from a sealed block to what it was built from: its context is all in the block (the L1-attributes
 * transaction, the header, the deposits), so a derived block can be ordered again.
 */
import { assert } from "../base/assert.ts";
import type { Block } from "./block.ts";
import type { BlockContext } from "./cut.ts";
import { decodeL1Attributes } from "./l1-attributes.ts";
import type { SystemConfigValues } from "./system-config.ts";
import { DEPOSIT_TYPE, decodeTransaction } from "./transaction-codec.ts";

/**
 * The context of a block. `parent` is the block before it (its L1 origin links the new one); `genesisConfig` is what is
 * in force at block 0, which has no L1-attributes transaction.
 */
export function blockContextOf(
  block: Block,
  parent: Block | undefined,
  genesisConfig: SystemConfigValues,
): BlockContext {
  const { header } = block;
  const advanced = parent !== undefined && parent.origin.number !== block.origin.number;
  const place = {
    ...block.origin,
    parentHash: advanced ? parent.origin.hash : new Uint8Array(32),
    prevRandao: header.prevRandao,
    parentBeaconBlockRoot: header.parentBeaconBlockRoot,
  };
  if (header.number === 0) {
    return {
      number: 0,
      timestamp: header.timestamp,
      origin: { ...place, timestamp: header.timestamp, baseFeePerGasWei: 0n, blobBaseFeeWei: 0n },
      sequenceNumber: 0,
      systemConfig: genesisConfig,
      deposits: [],
    };
  }
  const deposits = block.transactions.filter((raw) => raw[0] === DEPOSIT_TYPE);
  const first = decodeTransaction(deposits[0] ?? new Uint8Array(0));
  const attributes = decodeL1Attributes(first.data);
  assert(attributes !== undefined, "a block starts with its L1-attributes transaction");
  return {
    number: header.number,
    timestamp: header.timestamp,
    origin: {
      ...place,
      timestamp: attributes.originTimestamp,
      baseFeePerGasWei: attributes.l1BaseFeeWei,
      blobBaseFeeWei: attributes.l1BlobBaseFeeWei,
    },
    sequenceNumber: block.sequenceNumber,
    systemConfig: {
      gasLimit: header.gasLimit,
      baseFeeScalar: attributes.baseFeeScalar,
      blobBaseFeeScalar: attributes.blobBaseFeeScalar,
    },
    deposits: deposits.slice(1),
  };
}
