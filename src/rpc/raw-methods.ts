/**
 * Owns the getters of canonical bytes (`debug_getRaw*` of execution-apis): what an independent client needs to recompute
 * hashes and roots.
 */
import { toHex } from "../base/bytes.ts";
import { encodeHeader } from "../protocol/header-codec.ts";
import { encodeReceipt } from "../protocol/receipt-codec.ts";
import { encodeRlp, rlpHeaderLength, writeRlpHeader } from "../protocol/rlp.ts";
import type { BlockBundle } from "./block-cache.ts";
import { findMined } from "./block-methods.ts";
import { RpcError } from "./errors.ts";
import { type Method, method } from "./method.ts";
import { blockRef, hash, required } from "./params.ts";
import { requireBlock } from "./resolve.ts";

const BLOCK = required("block", blockRef);

/** RLP list of parts that are RLP already. */
function joinRlp(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const header = rlpHeaderLength(length);
  const out = new Uint8Array(header + length);
  let at = header;
  writeRlpHeader(out, 0, 0xc0, length);
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The whole block: header, transactions, no ommers, no withdrawals. */
function rawBlock({ block }: BlockBundle): Uint8Array {
  const transactions = block.transactions.map((raw) => ((raw[0] as number) < 0xc0 ? encodeRlp(raw) : raw));
  return joinRlp([encodeHeader(block.header), joinRlp(transactions), encodeRlp([]), encodeRlp([])]);
}

export const RAW_METHODS: readonly Method[] = [
  method({
    name: "debug_getBadBlocks",
    summary: "Always empty: no block comes from peers, and one that derivation refuses is never made.",
    params: [],
    result: "Array",
    run: () => [],
  }),
  method({
    name: "debug_getRawHeader",
    summary: "Header of a block as RLP.",
    params: [BLOCK],
    result: "DATA",
    run: (s, [ref]) => toHex(encodeHeader(requireBlock(s, ref).block.header)),
  }),
  method({
    name: "debug_getRawBlock",
    summary: "A block as RLP.",
    params: [BLOCK],
    result: "DATA",
    run: (s, [ref]) => toHex(rawBlock(requireBlock(s, ref))),
  }),
  method({
    name: "debug_getRawReceipts",
    summary: "Receipts of a block in their canonical encoding.",
    params: [BLOCK],
    result: "Array of DATA",
    run: (s, [ref]) => requireBlock(s, ref).receipts.map((receipt) => toHex(encodeReceipt(receipt))),
  }),
  method({
    name: "debug_getRawTransaction",
    summary: "Canonical bytes of a mined transaction.",
    params: [required("transactionHash", hash)],
    result: "DATA",
    run: (s, [transactionHash]) => {
      const mined = findMined(s, transactionHash);
      const raw = mined?.bundle.block.transactions[mined.index];
      if (raw === undefined) throw new RpcError("RESOURCE_NOT_FOUND", "transaction not found");
      return toHex(raw);
    },
  }),
];
