/**
 * Owns the encoding of block headers: the Prague field order. `headerHash` is the block hash.
 * Invariant: `decodeHeader(encodeHeader(h))` is `h`; decoding takes the canonical form only.
 * @see EIP-1559, 4399, 4788, 4844, 4895, 7685; decision 0002
 */
import { bigIntToMinimalBytes } from "../base/bytes.ts";
import type { Header } from "./block.ts";
import { keccak256 } from "./keccak.ts";
import { encodeRlp, RlpReader } from "./rlp.ts";

const integer = (value: number | bigint): Uint8Array => bigIntToMinimalBytes(BigInt(value));

export function encodeHeader(header: Header): Uint8Array {
  return encodeRlp([
    header.parentHash,
    header.ommersHash,
    header.coinbase,
    header.stateRoot,
    header.transactionsRoot,
    header.receiptsRoot,
    header.logsBloom,
    integer(header.difficulty),
    integer(header.number),
    integer(header.gasLimit),
    integer(header.gasUsed),
    integer(header.timestamp),
    header.extraData,
    header.prevRandao,
    header.nonce,
    integer(header.baseFeePerGasWei),
    header.withdrawalsRoot,
    integer(header.blobGasUsed),
    integer(header.excessBlobGas),
    header.parentBeaconBlockRoot,
    header.requestsHash,
  ]);
}

/** The block hash. */
export function headerHash(header: Header): Uint8Array {
  return keccak256(encodeHeader(header));
}

/** Decodes a header with exactly the Prague fields. @throws {CodedError} RLP_* */
export function decodeHeader(bytes: Uint8Array): Header {
  const reader = new RlpReader(bytes);
  const end = reader.enter();
  const header: Header = {
    parentHash: reader.fixed(32, "parentHash"),
    ommersHash: reader.fixed(32, "ommersHash"),
    coinbase: reader.fixed(20, "coinbase"),
    stateRoot: reader.fixed(32, "stateRoot"),
    transactionsRoot: reader.fixed(32, "transactionsRoot"),
    receiptsRoot: reader.fixed(32, "receiptsRoot"),
    logsBloom: reader.fixed(256, "logsBloom"),
    difficulty: reader.integer(32, "difficulty"),
    number: reader.safeInteger("number"),
    gasLimit: reader.safeInteger("gasLimit"),
    gasUsed: reader.safeInteger("gasUsed"),
    timestamp: reader.safeInteger("timestamp"),
    extraData: reader.string(),
    prevRandao: reader.fixed(32, "prevRandao"),
    nonce: reader.fixed(8, "nonce"),
    baseFeePerGasWei: reader.integer(32, "baseFeePerGas"),
    withdrawalsRoot: reader.fixed(32, "withdrawalsRoot"),
    blobGasUsed: reader.safeInteger("blobGasUsed"),
    excessBlobGas: reader.safeInteger("excessBlobGas"),
    parentBeaconBlockRoot: reader.fixed(32, "parentBeaconBlockRoot"),
    requestsHash: reader.fixed(32, "requestsHash"),
  };
  reader.leave(end);
  reader.finish();
  return header;
}
