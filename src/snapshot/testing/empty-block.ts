/** Blocks that a chain store takes, for tests of copies of it. */
import type { Block } from "../../protocol/block.ts";

const zero = (length: number): Uint8Array => new Uint8Array(length);
const hashOf = (number: number): Uint8Array => (number < 0 ? zero(32) : zero(32).fill(number + 1));
export const GENESIS_HASH = hashOf(0);

/** Block `number` of a chain without transactions; its hash is made up. */
export function emptyBlock(number: number, stateRoot: Uint8Array = zero(32).fill(number)): Block {
  return {
    hash: hashOf(number),
    header: {
      parentHash: hashOf(number - 1),
      ommersHash: zero(32),
      coinbase: zero(20),
      stateRoot,
      transactionsRoot: zero(32),
      receiptsRoot: zero(32),
      logsBloom: zero(256),
      difficulty: 0n,
      number,
      gasLimit: 30_000_000,
      gasUsed: 0,
      timestamp: 1_700_000_000 + number,
      extraData: zero(0),
      prevRandao: zero(32),
      nonce: zero(8),
      baseFeePerGasWei: 7n,
      withdrawalsRoot: zero(32),
      blobGasUsed: 0,
      excessBlobGas: 0,
      parentBeaconBlockRoot: zero(32),
      requestsHash: zero(32),
    },
    transactions: [],
    senders: [],
    origin: { number: 1, hash: zero(32) },
    sequenceNumber: number,
  };
}
