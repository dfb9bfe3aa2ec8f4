/**
 * Owns the clients of a failover series: each sends, waits for the confirmation and sends the next, through a gateway
 * that no fault is on. Measured is what they feel: the longest time without any confirmation around a fault. What was
 * accepted is remembered; {@link GapClients.check} looks for it in the chain.
 */
import { EMPTY_BYTES, toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/error.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { signTransaction } from "../protocol/transaction-codec.ts";

export const CLIENTS = 6;
const CLIENT_PAUSE_MS = 30;
const SYNC_TIMEOUT_MS = 2_000;
const SINK = new Uint8Array(20).fill(0xdd);

export type ChainCheck = {
  readonly accepted: number;
  /** Accepted and in no block at the end. */
  readonly lost: number;
  /** In more than one place of the chain. */
  readonly doubled: number;
  /** Blocks that nodes have differently. */
  readonly forked: number;
};

type Signed = { readonly hash: string; readonly raw: string };
type BlockJson = { readonly hash: string; readonly transactions: readonly string[] };

export type GapClientsOptions = {
  readonly keys: readonly Uint8Array[];
  readonly chainId: number;
  /** Gateways. */
  readonly urls: readonly string[];
  /** Whether clients use the gateway now. */
  readonly isUsable: (gateway: number) => boolean;
  readonly random: () => number;
  readonly clock: Clock;
};

export class GapClients {
  readonly rpc: readonly JsonRpcClient[];
  readonly #o: GapClientsOptions;
  readonly #accepted = new Set<string>();
  /** Times of confirmations since shortly before the newest fault. */
  #confirmedMs: number[] = [];
  #fresh = 0;
  #faultMs = 0;
  readonly #stop = new AbortController();
  #running: Promise<void>[] = [];

  constructor(options: GapClientsOptions) {
    this.#o = options;
    this.rpc = options.urls.map((url) => new JsonRpcClient({ url, timeoutMs: 4_000 }));
  }

  start(): void {
    this.#running = this.#o.keys.slice(0, CLIENTS).map((key) => this.#client(key));
  }

  /** Ends the clients, each with the fate of its last transaction known. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  /** A fault begins now. */
  begin(): void {
    this.#faultMs = this.#o.clock.nowMs();
    this.#confirmedMs = this.#confirmedMs.slice(-1);
    this.#fresh = 0;
  }

  /** Confirmations of transactions that were sent after the fault began. */
  get fresh(): number {
    return this.#fresh;
  }

  /** Longest time without a confirmation, from the last one before the fault until now. */
  gapMs(): number {
    let gapMs = 0;
    let lastMs = this.#confirmedMs.findLast((ms) => ms <= this.#faultMs) ?? this.#faultMs;
    for (const ms of this.#confirmedMs)
      if (ms > lastMs) {
        gapMs = Math.max(gapMs, ms - lastMs);
        lastMs = ms;
      }
    return Math.round(gapMs);
  }

  /** Compares the gateways' chains up to the lowest of `heads` with each other and with what was accepted. */
  async check(heads: readonly number[]): Promise<ChainCheck> {
    const places = new Map<string, number>();
    let forked = 0;
    for (let number = 0; number <= Math.min(...heads); number++) {
      const tag = `0x${number.toString(16)}`;
      const blocks = await Promise.all(
        this.rpc.map(async (rpc) => (await rpc.call("eth_getBlockByNumber", [tag, false])) as BlockJson),
      );
      if (new Set(blocks.map((b) => b.hash)).size > 1) forked++;
      for (const hash of blocks[0]?.transactions ?? []) places.set(hash, (places.get(hash) ?? 0) + 1);
    }
    let lost = 0;
    for (const hash of this.#accepted)
      if (!places.has(hash) && (await this.rpc[0]?.call("eth_getTransactionReceipt", [hash])) === null) lost++;
    const doubled = [...places.values()].filter((count) => count > 1).length;
    return { accepted: this.#accepted.size, lost, doubled, forked };
  }

  async #client(key: Uint8Array): Promise<void> {
    const { clock, random } = this.#o;
    for (let nonce = 0; !this.#stop.signal.aborted; nonce++) {
      const tx = this.#sign(key, nonce);
      const sentMs = clock.nowMs();
      while (!(await this.#offer(tx))) await clock.sleep(20 + 30 * random());
      this.#confirmedMs.push(clock.nowMs());
      if (sentMs >= this.#faultMs) this.#fresh++;
      await clock.sleep(2 * CLIENT_PAUSE_MS * random());
    }
  }

  /** True when it is confirmed. */
  async #offer(tx: Signed): Promise<boolean> {
    const { isUsable, random } = this.#o;
    const usable = this.rpc.flatMap((rpc, i) => (isUsable(i) ? [rpc] : []));
    const rpc = usable[Math.floor(random() * usable.length)];
    if (rpc === undefined) return false;
    try {
      if (!this.#accepted.has(tx.hash)) {
        await rpc.call("eth_sendRawTransactionSync", [tx.raw, SYNC_TIMEOUT_MS]);
        this.#accepted.add(tx.hash);
        return true;
      }
      return (await rpc.call("eth_getTransactionReceipt", [tx.hash])) !== null;
    } catch (error) {
      const { rpcCode, rpcMessage } = error instanceof CodedError ? error.data : {};
      // Accepted and not confirmed in time, or before, by an answer that was lost.
      if (rpcCode === 4 || /already known|nonce too low/.test(String(rpcMessage))) this.#accepted.add(tx.hash);
      return false;
    }
  }

  #sign(key: Uint8Array, nonce: number): Signed {
    const tx = signTransaction(
      {
        ...{ type: 2, chainId: this.#o.chainId, nonce: BigInt(nonce), to: SINK, valueWei: 1n, data: EMPTY_BYTES },
        ...{ gasLimit: 21_000n, maxFeePerGasWei: 100_000_000_000n, maxPriorityFeePerGasWei: 1n },
      },
      key,
    );
    return { hash: toHex(tx.hash), raw: toHex(tx.raw) };
  }
}
