/**
 * Owns giving order receipts. Nothing is signed until somebody asks: the log already holds what was accepted when, and
 * in which batch, so that accepting costs nothing for it; one signature then serves all of the batch.
 * The key signs receipts and nothing else.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromHex, toHexKey } from "../base/bytes.ts";
import { configError } from "../base/config.ts";
import { type OrderReceipt, receiptOf, receiptTree, signRoot } from "../protocol/order-receipt.ts";
import type { OrderingName } from "../protocol/ordering.ts";
import { addressOfPrivateKey, isPrivateKey } from "../protocol/secp256k1.ts";
import type { OrderView } from "../rpc/services.ts";
import type { ArrivalBatch } from "./api.ts";
import type { LaneConfig } from "./config.ts";

/** Batches whose signature is kept. */
const SIGNED_MAX = 256;

export type OrderReceiptsDeps = {
  readonly chainId: number;
  readonly lanes: number;
  readonly ordering: OrderingName;
  readonly privateKey: Uint8Array;
  readonly arrivalOf: (hash: Uint8Array) => Promise<ArrivalBatch | undefined>;
};

type Signed = { readonly levels: readonly (readonly Uint8Array[])[]; readonly signature: Uint8Array };

export class OrderReceipts implements OrderView {
  readonly ordering: OrderingName;
  readonly lanes: number;
  readonly signer: Uint8Array;
  readonly #deps: OrderReceiptsDeps;
  /** By lane and first sequence. */
  readonly #signed = new Map<string, Signed>();

  constructor(deps: OrderReceiptsDeps) {
    this.#deps = deps;
    this.ordering = deps.ordering;
    this.lanes = deps.lanes;
    this.signer = addressOfPrivateKey(deps.privateKey);
  }

  /** Undefined for a transaction that is not known, or not any more. */
  async receipt(hash: Uint8Array): Promise<OrderReceipt | undefined> {
    const batch = await this.#deps.arrivalOf(hash);
    if (batch === undefined) return undefined;
    const { levels, signature } = this.#sign(batch);
    return receiptOf(this.#deps.chainId, batch, batch.index, levels, signature);
  }

  #sign(batch: ArrivalBatch): Signed {
    const key = `${batch.lane}/${batch.firstSequence}`;
    const known = this.#signed.get(key);
    if (known !== undefined) return known;
    const levels = receiptTree(this.#deps.chainId, batch);
    const signed = { levels, signature: signRoot(levels, this.#deps.privateKey) };
    if (this.#signed.size >= SIGNED_MAX) this.#signed.delete(this.#signed.keys().next().value as string);
    this.#signed.set(key, signed);
    return signed;
  }
}

/**
 * The key that signs order receipts: what the configuration says, for processes that take over from each other, or else
 * one made at the first start and kept in `folder`, readable by its owner alone.
 * @throws {ConfigError} CONFIG_INVALID
 */
export function orderReceiptKey(config: LaneConfig, folder: string): Uint8Array {
  const { orderReceiptKey: text } = config;
  if (text !== "") {
    if (!/^(0x)?[0-9a-fA-F]{64}$/.test(text) || !isPrivateKey(fromHex(text)))
      throw configError("CONFIG_INVALID", "SHEAF_ORDER_RECEIPT_KEY: want a private key, 32 bytes as hex");
    return fromHex(text);
  }
  const path = join(folder, "order-receipt-key");
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    let key = randomBytes(32);
    while (!isPrivateKey(key)) key = randomBytes(32);
    writeFileSync(path, toHexKey(key), { mode: 0o600, flag: "wx" });
  }
  return fromHex(readFileSync(path, "utf8").trim());
}
