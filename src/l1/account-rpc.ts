/**
 * Owns what one L1 account asks of an endpoint and what the answers mean: nonces, fees, gas, receipts, reasons of
 * reverts, signing, and the words in which nodes take or refuse a transaction. It keeps nothing; the life of a
 * transaction is `l1-sender.ts`.
 */
import { toHex } from "../base/bytes.ts";
import { CodedError, hasCode } from "../base/error.ts";
import type { TransactionFields } from "../protocol/transaction-codec.ts";
import type { ContractAbi } from "./abi-codec.ts";
import { wrapBlobs } from "./blob-transaction.ts";
import type { FeeCaps, FeeQuote, Fees } from "./fees.ts";
import { type JsonRpc, quantity, readBytes, readNumber, readObject, readQuantity } from "./json-rpc.ts";
import type { L1Reader } from "./l1.ts";
import type { L1Signer } from "./l1-signer.ts";
import { decodeRevert } from "./revert.ts";
import { type L1Receipt, type SendRequest, senderError } from "./sender.ts";

/** One signed form of a request; a replacement is another one with the same nonce. */
export type Attempt = { readonly hash: Uint8Array; readonly raw: Uint8Array; readonly fees: Fees };

export type RawReceipt = L1Receipt & { readonly succeeded: boolean };

/** Gas on top of the estimate: state may have moved when the transaction runs. */
const GAS_MARGIN_PERCENT = 130;

/** "occupied": the nonce holds another transaction, and this one does not offer enough more to replace it. */
export type SendOutcome = "taken" | "occupied" | "underpriced" | "nonce too low";

/** What the node said, in its own words; empty when it said nothing. */
export function rpcMessageOf(error: unknown): string {
  const message = error instanceof CodedError ? error.data["rpcMessage"] : undefined;
  return typeof message === "string" ? message : "";
}

/** What a node's answer to a sent transaction means; undefined: something else is wrong. */
export function outcomeOf(error: unknown): SendOutcome | CodedError | undefined {
  if (!hasCode(error, "L1_REFUSED") && !hasCode(error, "L1_LIMIT")) return undefined;
  const text = rpcMessageOf(error).toLowerCase();
  if (/already known|already imported|known transaction|alreadyknown/.test(text)) return "taken";
  if (/nonce too low|invalid nonce|nonce is too low/.test(text)) return "nonce too low";
  if (/replacement/.test(text)) return "occupied";
  if (
    /underpriced|fee too low|less than block base fee|max fee per (blob )?gas|gas price too low|tip.*too low/.test(text)
  )
    return "underpriced";
  if (/insufficient funds/.test(text)) return senderError("SENDER_FUNDS", text, {}, { cause: error });
  return undefined;
}

export class AccountRpc {
  readonly address: Uint8Array;
  readonly #rpc: JsonRpc;
  readonly #reader: L1Reader;
  readonly #signer: L1Signer;
  readonly #chainId: number;
  readonly #tipMinWei: bigint;
  readonly #caps: FeeCaps;
  readonly #abis: readonly ContractAbi[];

  constructor(p: {
    readonly rpc: JsonRpc;
    readonly reader: L1Reader;
    readonly signer: L1Signer;
    readonly chainId: number;
    readonly tipMinWei: bigint;
    readonly caps: FeeCaps;
    /** Contracts this account calls: their errors are decoded. */
    readonly abis: readonly ContractAbi[];
  }) {
    this.address = p.signer.address;
    this.#rpc = p.rpc;
    this.#reader = p.reader;
    this.#signer = p.signer;
    this.#chainId = p.chainId;
    this.#tipMinWei = p.tipMinWei;
    this.#caps = p.caps;
    this.#abis = p.abis;
  }

  /** Hands a signed transaction to L1; "taken" also when it was there already. @throws what else is wrong */
  async deliver(attempt: Attempt): Promise<SendOutcome> {
    try {
      await this.#rpc.call("eth_sendRawTransaction", [toHex(attempt.raw)]);
      return "taken";
    } catch (error) {
      const outcome = outcomeOf(error);
      if (outcome === undefined) throw error;
      if (outcome instanceof CodedError) throw outcome;
      return outcome;
    }
  }

  async nonceAt(tag: "latest" | "pending"): Promise<number> {
    return readNumber(await this.#rpc.call("eth_getTransactionCount", [toHex(this.address), tag]), "nonce");
  }

  async quote(): Promise<FeeQuote> {
    const [head, tip] = await Promise.all([this.#reader.head(), this.#rpc.call("eth_maxPriorityFeePerGas", [])]);
    const suggested = readQuantity(tip, "eth_maxPriorityFeePerGas");
    const tipMinWei = this.#tipMinWei;
    return {
      baseFeePerGasWei: head.baseFeePerGasWei,
      blobBaseFeeWei: head.blobBaseFeeWei,
      tipWei: suggested > tipMinWei ? suggested : tipMinWei,
    };
  }

  #callObject(request: SendRequest): Record<string, unknown> {
    return {
      from: toHex(this.address),
      to: toHex(request.to),
      data: toHex(request.data),
      value: quantity(request.valueWei ?? 0n),
      ...(request.blobs === undefined
        ? {}
        : {
            type: "0x3",
            blobVersionedHashes: request.blobs.map((b) => toHex(b.versionedHash)),
            maxFeePerBlobGas: quantity(this.#caps.maxFeePerBlobGasWei),
          }),
    };
  }

  async estimateGas(request: SendRequest): Promise<number> {
    try {
      const gas = readNumber(await this.#rpc.call("eth_estimateGas", [this.#callObject(request), "latest"]), "gas");
      return Math.ceil((gas * GAS_MARGIN_PERCENT) / 100);
    } catch (error) {
      if (!hasCode(error, "L1_REFUSED")) throw error;
      const text = rpcMessageOf(error);
      if (/insufficient funds|gas required exceeds allowance/i.test(text))
        throw senderError("SENDER_FUNDS", `${request.what}: ${text}`, {}, { cause: error });
      const revertData = error.data["revertData"];
      const reason =
        typeof revertData === "string"
          ? decodeRevert(readBytes(revertData, "revert data"), this.#abis)
          : { name: "", text };
      throw senderError(
        "SENDER_WOULD_REVERT",
        `${request.what} would revert: ${reason.text}`,
        { revert: reason.name, reason: reason.text },
        { cause: error },
      );
    }
  }

  async receiptOf(attempts: readonly Attempt[]): Promise<RawReceipt | undefined> {
    const answers = await Promise.all(
      attempts.map((a) => this.#rpc.call("eth_getTransactionReceipt", [toHex(a.hash)])),
    );
    const found = answers.findLast((a) => a !== null);
    if (found === undefined) return undefined;
    const raw = readObject(found, "receipt");
    const gasUsed = readNumber(raw["gasUsed"], "receipt.gasUsed");
    const gasPriceWei = readQuantity(raw["effectiveGasPrice"], "receipt.effectiveGasPrice");
    const blobGas = raw["blobGasUsed"];
    const blobGasUsed = blobGas === undefined || blobGas === null ? 0 : readNumber(blobGas, "receipt.blobGasUsed");
    const blobPriceWei = blobGasUsed === 0 ? 0n : readQuantity(raw["blobGasPrice"], "receipt.blobGasPrice");
    return {
      transactionHash: readBytes(raw["transactionHash"], "receipt.transactionHash", 32),
      blockNumber: readNumber(raw["blockNumber"], "receipt.blockNumber"),
      blockHash: readBytes(raw["blockHash"], "receipt.blockHash", 32),
      gasUsed,
      blobGasUsed,
      feeWei: BigInt(gasUsed) * gasPriceWei + BigInt(blobGasUsed) * blobPriceWei,
      succeeded: readQuantity(raw["status"], "receipt.status") === 1n,
    };
  }

  /** Why an included transaction reverted, from a replay on the state before its block. */
  async reasonOf(request: SendRequest, gasLimit: number, receipt: RawReceipt): Promise<{ name: string; text: string }> {
    try {
      const call = { ...this.#callObject(request), gas: quantity(gasLimit) };
      await this.#rpc.call("eth_call", [call, quantity(receipt.blockNumber - 1)]);
      return { name: "", text: "a replay before its block succeeds: an earlier transaction of the block came first" };
    } catch (error) {
      const data = hasCode(error, "L1_REFUSED") ? error.data["revertData"] : undefined;
      if (typeof data !== "string") return { name: "", text: "the reason could not be read" };
      return decodeRevert(readBytes(data, "revert data"), this.#abis);
    }
  }

  async balanceWei(): Promise<bigint> {
    return readQuantity(await this.#rpc.call("eth_getBalance", [toHex(this.address), "latest"]), "balance");
  }

  async sign(request: SendRequest, nonce: number, gasLimit: number, fees: Fees): Promise<Attempt> {
    const { blobs } = request;
    const fields: TransactionFields = {
      type: blobs === undefined ? 2 : 3,
      chainId: this.#chainId,
      nonce: BigInt(nonce),
      to: request.to,
      valueWei: request.valueWei ?? 0n,
      data: request.data,
      gasLimit: BigInt(gasLimit),
      maxFeePerGasWei: fees.maxFeePerGasWei,
      maxPriorityFeePerGasWei: fees.maxPriorityFeePerGasWei,
      ...(blobs === undefined
        ? {}
        : { maxFeePerBlobGasWei: fees.maxFeePerBlobGasWei, blobHashes: blobs.map((b) => b.versionedHash) }),
    };
    const { raw, hash } = await this.#signer.sign(fields);
    return { raw: blobs === undefined ? raw : wrapBlobs(raw, blobs), hash, fees };
  }
}
