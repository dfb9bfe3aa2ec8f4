/**
 * Owns an L1 in memory for tests of senders: accounts, a mempool with the rules of real nodes (nonces in order,
 * replacement above 10% or, with blobs, 100%, no transactions with and without blobs of one account together), a base
 * fee, reorgs, and an inbox that takes each index once. Its time is virtual: sleepers wake in order when `advance` is
 * called, so that a run is a function of its seed.
 * Data of a transaction is "index:content"; others (empty ones) mean nothing to the inbox.
 */
import { createHash } from "node:crypto";
import { concatBytes, fromHex, toHex, toHexKey } from "../../base/bytes.ts";
import type { Clock } from "../../base/clock.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { decodeRlp, encodeRlp, type RlpItem } from "../../protocol/rlp.ts";
import { recoverSender } from "../../protocol/sender.ts";
import type { L1BlockInfo } from "../../protocol/system-config.ts";
import type { SignedTransaction } from "../../protocol/transaction.ts";
import { decodeSignedTransaction } from "../../protocol/transaction-codec.ts";
import type { JsonRpc } from "../json-rpc.ts";
import { errorOfAnswer, quantity } from "../json-rpc.ts";
import { type L1BlockRef, type L1Reader, l1Error } from "../l1.ts";

export type PooledTx = {
  readonly tx: SignedTransaction;
  readonly hash: string;
  readonly from: string;
  readonly nonce: number;
  readonly index: number | undefined;
  readonly content: string;
};

type Block = { readonly info: L1BlockInfo; readonly txs: readonly (PooledTx & { readonly succeeded: boolean })[] };

const ALREADY_POSTED = `0x${"5e".repeat(4)}`;

export class SimulatedL1 implements JsonRpc {
  readonly chainId = 31_337;
  readonly clock: Clock;
  readonly reader: L1Reader;
  /** Rules that a sender broke; a test expects none. */
  readonly violations: string[] = [];
  /** For tests that number what they send. */
  attempts = 0;
  baseFeeWei = 1_000_000_000n;
  blobFeeWei = 1n;
  /** The next so many calls fail as if the endpoint were down. */
  downCalls = 0;
  /** The next so many transactions are lost, and the sender is told that they were taken. */
  loseSends = 0;
  /** The next so many transactions arrive and the answer is lost. */
  muteSends = 0;
  #blocks: Block[] = [];
  /** Account, then nonce. */
  readonly #pool = new Map<string, Map<number, PooledTx>>();
  #forks = 0;
  #nowMs = 1_700_000_000_000;
  #sleepers: { readonly atMs: number; readonly wake: () => void }[] = [];

  constructor() {
    this.clock = {
      nowMs: () => this.#nowMs,
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          if (signal?.aborted === true) return resolve();
          const wake = (): void => {
            signal?.removeEventListener("abort", wake);
            this.#sleepers = this.#sleepers.filter((s) => s.wake !== wake);
            resolve();
          };
          signal?.addEventListener("abort", wake, { once: true });
          this.#sleepers.push({ atMs: this.#nowMs + ms, wake });
        }),
    };
    this.reader = {
      head: async () => this.#enter(() => (this.#blocks.at(-1) as Block).info),
      block: async (ref: L1BlockRef) =>
        this.#enter(() => {
          if (typeof ref === "number") return this.#blocks[ref]?.info;
          if (ref instanceof Uint8Array) return this.#blocks.find((b) => toHexKey(b.info.hash) === toHexKey(ref))?.info;
          return this.#blocks.at(-1)?.info;
        }),
    } as L1Reader;
    this.mine(0);
  }

  /** Lets `ms` of virtual time pass; whoever sleeps wakes in order. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await settled();
      const next = this.#sleepers.reduce<{ atMs: number; wake: () => void } | undefined>(
        (first, s) => (first === undefined || s.atMs < first.atMs ? s : first),
        undefined,
      );
      if (next === undefined || next.atMs > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.wake();
    }
    this.#nowMs = endMs;
    await settled();
  }

  /** Contents on the chain by index; with reverted ones, which cost gas for nothing. */
  included(): { readonly byIndex: Map<number, string>; readonly reverted: number } {
    const byIndex = new Map<number, string>();
    let reverted = 0;
    for (const block of this.#blocks)
      for (const tx of block.txs) {
        if (!tx.succeeded) reverted++;
        else if (tx.index !== undefined) byIndex.set(tx.index, tx.content);
      }
    return { byIndex, reverted };
  }

  /** Everything in the mempool. */
  pooled(): PooledTx[] {
    return [...this.#pool.values()].flatMap((byNonce) => [...byNonce.values()]);
  }

  /** Mines a block with at most `countMax` transactions. */
  mine(countMax: number): void {
    const parent = this.#blocks.at(-1)?.info;
    const number = this.#blocks.length;
    const taken = this.included().byIndex;
    const txs: (PooledTx & { succeeded: boolean })[] = [];
    for (const [from, byNonce] of this.#pool) {
      for (let nonce = this.#nonce(from); ; nonce++) {
        const entry = byNonce.get(nonce);
        if (entry === undefined || txs.length >= countMax) break;
        const { tx } = entry;
        if (tx.maxFeePerGasWei < this.baseFeeWei) break;
        if (tx.blobHashes.length > 0 && tx.maxFeePerBlobGasWei < this.blobFeeWei) break;
        byNonce.delete(nonce);
        const succeeded = entry.index === undefined || !taken.has(entry.index);
        if (entry.index !== undefined) taken.set(entry.index, entry.content);
        txs.push({ ...entry, succeeded });
      }
    }
    const parentHash = parent?.hash ?? new Uint8Array(32);
    const hash = new Uint8Array(createHash("sha256").update(parentHash).update(`${number}:${this.#forks}`).digest());
    this.#blocks.push({
      info: {
        number,
        hash,
        parentHash,
        timestamp: Math.floor(this.#nowMs / 1000),
        baseFeePerGasWei: this.baseFeeWei,
        blobBaseFeeWei: this.blobFeeWei,
        prevRandao: hash,
        parentBeaconBlockRoot: hash,
      },
      txs,
    });
  }

  /** Takes the newest `depth` blocks back; their transactions return to the pool or are lost. */
  reorg(depth: number, returns: boolean): void {
    const keep = Math.max(1, this.#blocks.length - depth);
    const dropped = this.#blocks.slice(keep).flatMap((b) => b.txs);
    this.#blocks = this.#blocks.slice(0, keep);
    this.#forks++;
    if (returns) for (const tx of dropped) this.#of(tx.from).set(tx.nonce, tx);
    for (let i = 0; i < depth; i++) this.mine(0);
  }

  /** The mempool forgets one of its transactions. */
  drop(pick: number): void {
    const all = this.pooled();
    const gone = all[pick % Math.max(1, all.length)];
    if (gone !== undefined) this.#of(gone.from).delete(gone.nonce);
  }

  #of(from: string): Map<number, PooledTx> {
    const found = this.#pool.get(from) ?? new Map<number, PooledTx>();
    this.#pool.set(from, found);
    return found;
  }

  #nonce(from: string): number {
    return this.#blocks.reduce((sum, b) => sum + b.txs.filter((tx) => tx.from === from).length, 0);
  }

  #enter<T>(answer: () => T): T {
    if (this.downCalls > 0) {
      this.downCalls--;
      throw l1Error("L1_ENDPOINT_DOWN", "simulated", {});
    }
    return answer();
  }

  async call(method: string, params: readonly unknown[]): Promise<unknown> {
    return this.#enter(() => this.#answer(method, params));
  }

  #answer(method: string, params: readonly unknown[]): unknown {
    const refuse = (message: string, data?: string): never => {
      throw errorOfAnswer(method, {
        code: data === undefined ? -32000 : 3,
        message,
        ...(data === undefined ? {} : { data }),
      });
    };
    switch (method) {
      case "eth_getTransactionCount": {
        const from = String(params[0]);
        let nonce = this.#nonce(from);
        if (params[1] === "pending") while (this.#of(from).has(nonce)) nonce++;
        return quantity(nonce);
      }
      case "eth_maxPriorityFeePerGas":
        return quantity(1_000_000n);
      case "eth_getBalance":
        return quantity(10n ** 20n);
      case "eth_estimateGas": {
        const data = String((params[0] as { data?: unknown }).data);
        const { index } = readData(fromHex(data));
        if (index !== undefined && this.included().byIndex.has(index)) refuse("execution reverted", ALREADY_POSTED);
        return quantity(50_000);
      }
      case "eth_call":
        return "0x";
      case "eth_getTransactionReceipt":
        return this.#receipt(String(params[0]));
      case "eth_sendRawTransaction":
        return this.#send(fromHex(String(params[0])), refuse);
      default:
        return refuse(`no method ${method}`);
    }
  }

  #receipt(hash: string): unknown {
    for (const { info, txs } of this.#blocks) {
      const tx = txs.find((t) => t.hash === hash);
      if (tx === undefined) continue;
      return {
        transactionHash: hash,
        blockNumber: quantity(info.number),
        blockHash: toHex(info.hash),
        gasUsed: quantity(50_000),
        effectiveGasPrice: quantity(info.baseFeePerGasWei),
        status: tx.succeeded ? "0x1" : "0x0",
      };
    }
    return null;
  }

  #send(raw: Uint8Array, refuse: (message: string) => never): unknown {
    const body = raw[0] === 3 ? bodyOf(raw) : raw;
    const hash = toHex(keccak256(body));
    if (this.loseSends > 0) {
      this.loseSends--;
      return hash;
    }
    const tx = decodeSignedTransaction(body);
    const from = toHex(recoverSender(tx));
    const nonce = Number(tx.nonce);
    const entry: PooledTx = { tx, hash, from, nonce, ...readData(tx.data) };
    const own = this.#of(from);
    if (nonce < this.#nonce(from)) refuse("nonce too low");
    const old = own.get(nonce);
    if (old?.hash === hash) refuse("already known");
    const withBlobs = tx.type === 3;
    if ([...own.values()].some((other) => other.nonce !== nonce && (other.tx.type === 3) !== withBlobs))
      refuse("address already reserved");
    if (old !== undefined) {
      if ((old.tx.type === 3) !== withBlobs) refuse("address already reserved");
      const bump = (fee: bigint): bigint => (withBlobs ? fee * 2n : (fee * 110n) / 100n);
      if (
        tx.maxFeePerGasWei < bump(old.tx.maxFeePerGasWei) ||
        tx.maxPriorityFeePerGasWei < bump(old.tx.maxPriorityFeePerGasWei) ||
        tx.maxFeePerBlobGasWei < bump(old.tx.maxFeePerBlobGasWei)
      )
        refuse("replacement transaction underpriced");
    }
    own.set(nonce, entry);
    this.#check(entry);
    if (this.muteSends > 0) {
      this.muteSends--;
      throw l1Error("L1_ENDPOINT_DOWN", "the answer is lost", {});
    }
    return hash;
  }

  /** One index with two contents at two places of the mempool: both could be included. */
  #check(entry: PooledTx): void {
    if (entry.index === undefined) return;
    for (const other of this.pooled())
      if (other.index === entry.index && other.content !== entry.content)
        this.violations.push(`index ${entry.index} in flight as ${other.content} and ${entry.content}`);
  }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

function readData(data: Uint8Array): { index: number | undefined; content: string } {
  const [index, content = ""] = new TextDecoder().decode(data).split(":");
  return index === undefined || index === "" ? { index: undefined, content: "" } : { index: Number(index), content };
}

/** The signed body of a blob transaction in its network form. */
function bodyOf(raw: Uint8Array): Uint8Array {
  const wrapped = decodeRlp(raw.subarray(1));
  if (wrapped instanceof Uint8Array) throw new Error("a wrapped transaction is a list");
  return concatBytes(encodeRlp(wrapped[0] as RlpItem, Uint8Array.of(3)));
}
