/**
 * `sheaf receipt`: checks order receipts. `verify` needs nothing but the receipt; `compare` asks any node of the chain
 * where two transactions ended up, and says whether first come first served was kept between them.
 */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { bytesEqual, fromHex, toHex } from "../base/bytes.ts";
import { defineErrors } from "../base/error.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { judgeOrder, type OrderReceipt, type OrderVerdict, receiptSigner } from "../protocol/order-receipt.ts";
import { isEarlier } from "../protocol/ordering.ts";
import { decodeTransaction } from "../protocol/transaction-codec.ts";
import type { CommandContext } from "./context.ts";
import { readAddress } from "./option-values.ts";

export const receiptError = defineErrors("Receipt", {
  RECEIPT_MALFORMED: {
    summary: "The file is not the answer of sheaf_getOrderReceipt.",
    action: "Save the method's result as JSON, as it was answered.",
    retryable: false,
  },
  RECEIPT_INVALID: {
    summary: "Nobody signed the receipt, or somebody else than expected.",
    action: "Do not rely on it. The signer of a cluster is told by sheaf_getOrdering.",
    retryable: false,
  },
  RECEIPT_BROKEN_ORDER: {
    summary: "A transaction that was accepted later is before one that was accepted first, without an excuse.",
    action: "Show both receipts: they are the proof.",
    retryable: false,
  },
});

/** Bytes a block surely has room for, with any settings: the least SHEAF_BLOCK_SIZE_MAX_BYTES. */
const BLOCK_BYTES_FREE = 131_072;

export function addReceiptCommand(program: Command, context: CommandContext): void {
  const receipt = program.command("receipt").description("order receipts (sheaf_getOrderReceipt)");
  receipt
    .command("verify")
    .description("check the signature of a receipt, offline")
    .argument("<file>", "JSON of the receipt; - reads standard input")
    .requiredOption("--signer <address>", "who signs the cluster's receipts (sheaf_getOrdering)", readAddress)
    .action((file: string, options: { signer: Uint8Array }) => {
      const { arrival, hash } = verified(file, options.signer);
      const accepted = new Date(arrival.acceptedMs).toISOString();
      context.out(
        `valid: ${toHex(hash)} was accepted at ${accepted}, lane ${arrival.lane}, number ${arrival.sequence}`,
      );
    });
  receipt
    .command("compare")
    .description("whether first come first served was kept between two transactions")
    .argument("<file>", "JSON of a receipt")
    .argument("<file>", "JSON of another one")
    .requiredOption("--signer <address>", "who signs the cluster's receipts (sheaf_getOrdering)", readAddress)
    .requiredOption("--rpc <url>", "a node of the chain, best a verifier of your own")
    .action(async (a: string, b: string, options: { signer: Uint8Array; rpc: string }) => {
      const receipts = [verified(a, options.signer), verified(b, options.signer)] as const;
      const verdict = await compareReceipts(receipts, options.rpc);
      if (verdict === "broken")
        throw receiptError("RECEIPT_BROKEN_ORDER", `${a} and ${b}: first come first served was not kept`);
      context.out(verdict);
    });
}

function verified(file: string, signer: Uint8Array): OrderReceipt {
  const receipt = readReceipt(readFileSync(file === "-" ? 0 : file, "utf8"));
  const found = receiptSigner(receipt);
  if (found === undefined) throw receiptError("RECEIPT_INVALID", `${file}: nobody signed this`);
  if (!bytesEqual(found, signer))
    throw receiptError("RECEIPT_INVALID", `${file} is signed by ${toHex(found)}, not by ${toHex(signer)}`);
  return receipt;
}

/** @throws {ReceiptError} RECEIPT_MALFORMED */
export function readReceipt(text: string): OrderReceipt {
  const wrong = (what: string): Error => receiptError("RECEIPT_MALFORMED", what);
  let json: Readonly<Record<string, unknown>>;
  try {
    json = JSON.parse(text) as typeof json;
  } catch {
    throw wrong("not JSON");
  }
  const bytes = (value: unknown, field: string, length: number): Uint8Array => {
    if (typeof value !== "string" || !new RegExp(`^0x[0-9a-fA-F]{${2 * length}}$`).test(value))
      throw wrong(`${field}: want ${length} bytes as hex`);
    return fromHex(value);
  };
  const number = (field: string): number => {
    const value = json?.[field];
    const parsed = typeof value === "string" && /^0x[0-9a-f]{1,13}$/.test(value) ? Number(value) : Number.NaN;
    if (!Number.isSafeInteger(parsed)) throw wrong(`${field}: want a quantity`);
    return parsed;
  };
  const proof = json?.["proof"];
  if (!Array.isArray(proof)) throw wrong("proof: want an array");
  return {
    chainId: number("chainId"),
    arrival: { lane: number("lane"), sequence: number("sequence"), acceptedMs: number("acceptedMs") },
    hash: bytes(json["transactionHash"], "transactionHash", 32),
    index: number("index"),
    count: number("count"),
    proof: proof.map((node) => bytes(node, "proof", 32)),
    signature: bytes(json["signature"], "signature", 65),
  };
}

type RpcTransaction = { blockNumber: string | null; transactionIndex: string | null; from: string };
type RpcBlock = { baseFeePerGas: string; gasLimit: string; transactions: { gas: string; hash: string }[] };

/** Asks a node where the two are. @throws {L1Error} when it does not answer */
export async function compareReceipts(
  receipts: readonly [OrderReceipt, OrderReceipt],
  url: string,
): Promise<OrderVerdict> {
  const rpc = new JsonRpcClient({ url });
  const [a, b] = receipts;
  const [first, later] = isEarlier(a.arrival, b.arrival) ? [a, b] : [b, a];
  const find = async (receipt: OrderReceipt): Promise<RpcTransaction | null> =>
    (await rpc.call("eth_getTransactionByHash", [toHex(receipt.hash)])) as RpcTransaction | null;
  const placeOf = (tx: RpcTransaction | null): { blockNumber: number; index: number } | undefined =>
    tx === null || tx.blockNumber === null
      ? undefined
      : { blockNumber: Number(tx.blockNumber), index: Number(tx.transactionIndex) };
  const rawOf = async (hash: string): Promise<Uint8Array> =>
    fromHex(((await rpc.call("eth_getRawTransactionByHash", [hash])) as string | null) ?? "0x");
  const firstTx = await find(first);
  const place = placeOf(await find(later));
  // One that no node knows cannot be judged: it may have been replaced by its own sender.
  if (firstTx === null || place === undefined) return "undecided";
  const tx = decodeTransaction(await rawOf(toHex(first.hash)));
  if (tx.type === 0x7e) return "undecided";
  const number = `0x${place.blockNumber.toString(16)}`;
  const block = (await rpc.call("eth_getBlockByNumber", [number, true])) as RpcBlock;
  const before = `0x${Math.max(0, place.blockNumber - 1).toString(16)}`;
  const nonceBefore = (await rpc.call("eth_getTransactionCount", [firstTx.from, before])) as string;
  const upTo = block.transactions.slice(0, place.index + 1);
  const sizes = await Promise.all(upTo.map(async ({ hash }) => (await rawOf(hash)).length));
  return judgeOrder({
    first: {
      receipt: first,
      place: placeOf(firstTx),
      nonce: tx.nonce,
      maxFeePerGasWei: tx.maxFeePerGasWei,
      gasLimit: tx.gasLimit,
      sizeBytes: tx.raw.length,
    },
    later: { receipt: later, place },
    block: {
      baseFeePerGasWei: BigInt(block.baseFeePerGas),
      gasLimit: BigInt(block.gasLimit),
      gasLimitsTo: upTo.reduce((sum, { gas }) => sum + BigInt(gas), 0n),
      bytesTo: sizes.reduce((sum, size) => sum + size, 0),
      senderNonceBefore: BigInt(nonceBefore),
    },
    blockBytesFree: BLOCK_BYTES_FREE,
  });
}
