/**
 * Owns the load of a drill: clients that send, wait for the confirmation and send the next, through whichever gateway
 * answers; deposits on L1; and bursts. What was accepted is remembered, for it must be in the chain. Every choice is the
 * seed's. Refusals are counted by code, and those that the table of errors does not know are kept.
 */
import { encodeFunctionData, parseAbi } from "viem";
import { concatBytes, EMPTY_BYTES, fromHex, toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/error.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { L2_TO_L1_MESSAGE_PASSER, WETH } from "../protocol/predeploys.ts";
import { addressOfPrivateKey } from "../protocol/secp256k1.ts";
import { signTransaction } from "../protocol/transaction-codec.ts";
import { RPC_ERRORS } from "../rpc/errors.ts";
import type { ChaosNetwork } from "./network.ts";

/** Gets one wei of every transfer: its balance counts them. */
export const SINK = new Uint8Array(20).fill(0xdd);
const SENDERS = 6;
/** The user that deposits on L1. */
const DEPOSITOR = 9;
const DEPOSIT_EVERY_MS = 2_000;
const SYNC_TIMEOUT_MS = 2_000;
const CALL_TIMEOUT_MS = 6_000;
/** How long a stopped load still asks what became of its last transactions. */
const FATE_MS_MAX = 90_000;
/** Between two transactions of a client, on average. */
const PAUSE_MS = 60;
const BURST_BATCH = 200;
const BURST_CONNECTIONS = 6;
const KNOWN_CODES = new Set(Object.values(RPC_ERRORS).map((e) => e.rpcCode as number));

const wethAbi = parseAbi(["function deposit() payable", "function transfer(address to, uint256 value) returns (bool)"]);
const passerAbi = parseAbi(["function initiateWithdrawal(address target, uint256 gasLimit, bytes data) payable"]);
const portalAbi = parseAbi([
  "function depositTransaction(address to, uint256 value, uint64 gasLimit, bool isCreation, bytes data) payable",
]);

type Kind = "transfer" | "wrap" | "token" | "withdrawal";
type Signed = { readonly hash: string; readonly raw: string };
/** Times of one confirmed transaction. */
type Confirmation = { readonly sentMs: number; readonly confirmedMs: number };

export type LoadFigures = {
  readonly accepted: number;
  readonly confirmed: number;
  readonly deposits: number;
  /** By JSON-RPC code and reason. */
  readonly refusals: Readonly<Record<string, number>>;
  readonly undocumented: readonly string[];
  /** Requests that nobody answered. */
  readonly unanswered: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Longest time without any confirmation while clients were sending. */
  readonly gapMaxMs: number;
};

export class Load {
  readonly #network: ChaosNetwork;
  readonly #random: () => number;
  readonly #clock: Clock;
  readonly #users: readonly Uint8Array[];
  readonly #nonces: number[] = [];
  /** What a sender signed and was not told the fate of. */
  readonly #unanswered = new Map<number, { tx: Signed; kind: Kind }>();
  readonly accepted = new Map<string, Kind>();
  readonly #confirmations: Confirmation[] = [];
  readonly #refusals = new Map<string, number>();
  readonly #undocumented: string[] = [];
  #unansweredRequests = 0;
  /** L1 transactions. */
  readonly deposits: string[] = [];
  #gapMaxMs = 0;
  #paused = true;
  #resumedMs = 0;
  readonly #stop = new AbortController();
  #work: Promise<void>[] = [];
  /** The gateway that answered last. */
  #preferred = 0;
  readonly #clients: readonly JsonRpcClient[];
  #funded: { key: Uint8Array; nonce: number }[] = [];

  constructor(network: ChaosNetwork, random: () => number, clock: Clock) {
    this.#network = network;
    this.#random = random;
    this.#clock = clock;
    this.#users = network.users();
    this.#clients = network.nodes.map((n) => new JsonRpcClient({ url: n.rpcUrl, timeoutMs: CALL_TIMEOUT_MS }));
  }

  start(): void {
    this.resume();
    for (let i = 0; i < SENDERS; i++) this.#work.push(this.#send(i));
    this.#work.push(this.#deposit());
  }

  pause(): void {
    this.#noteGap();
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#resumedMs = this.#clock.nowMs();
  }

  /** Ends the load; what was signed and not answered is asked for once more, so that its fate is known. */
  async stop(): Promise<void> {
    this.pause();
    this.#stop.abort();
    await Promise.all(this.#work);
    this.#work = [];
  }

  get confirmedCount(): number {
    return this.#confirmations.length;
  }

  /** Of the transactions confirmed in the last `seconds`; undefined when there are fewer than ten. */
  p99Ms(seconds: number): number | undefined {
    const sinceMs = this.#clock.nowMs() - seconds * 1_000;
    const recent = this.#confirmations.filter((c) => c.confirmedMs >= sinceMs);
    return recent.length < 10 ? undefined : quantile(recent, 0.99);
  }

  figures(): LoadFigures {
    return {
      accepted: this.accepted.size,
      confirmed: this.#confirmations.length,
      deposits: this.deposits.length,
      refusals: Object.fromEntries([...this.#refusals].sort(([a], [b]) => a.localeCompare(b))),
      undocumented: this.#undocumented,
      unanswered: this.#unansweredRequests,
      p50Ms: quantile(this.#confirmations, 0.5),
      p99Ms: quantile(this.#confirmations, 0.99),
      gapMaxMs: Math.round(this.#gapMaxMs),
    };
  }

  /** Transfers of one wei to {@link SINK} that were accepted. */
  get transfers(): number {
    let n = 0;
    for (const kind of this.accepted.values()) if (kind === "transfer") n++;
    return n;
  }

  /** Sends one transfer of a user that sends nothing else. Resolves to its hash, undefined when nobody took it. */
  async probe(): Promise<string | undefined> {
    const i = SENDERS;
    const tx = this.#unanswered.get(i)?.tx ?? this.#sign(i, "transfer");
    this.#unanswered.set(i, { tx, kind: "transfer" });
    return (await this.#offer(i, tx, "transfer", "eth_sendRawTransaction")) === "refused" ? undefined : tx.hash;
  }

  /** Asks each gateway until one answers other than null. */
  async ask(method: string, params: readonly unknown[]): Promise<unknown> {
    for (let i = 0; i < this.#clients.length; i++)
      try {
        const at = (this.#preferred + i) % this.#clients.length;
        if (this.#network.nodes[at]?.open !== true) continue;
        const answer = await (this.#clients[at] as JsonRpcClient).call(method, params);
        if (answer !== null) return answer;
      } catch {
        // the next one
      }
    return undefined;
  }

  /** Sends `count` transfers from `accounts` fresh accounts; resolves when all are accepted. @throws when `signal` aborts */
  async burst(count: number, accounts: number, signal: AbortSignal): Promise<void> {
    await this.#fund(accounts, signal);
    const used = this.#funded.slice(0, accounts);
    const signed: Signed[] = [];
    for (let i = 0; i < count; i++) {
      const account = used[i % accounts] as (typeof used)[number];
      signed.push(this.#signWith(account.key, account.nonce++, "transfer"));
      if (i % 500 === 0) await new Promise(setImmediate);
    }
    // Round after round, an account's nonces in order: what is refused is sent again before what follows it.
    const queue: Signed[][] = [];
    for (let at = 0; at < signed.length; at += BURST_BATCH) queue.push(signed.slice(at, at + BURST_BATCH));
    const send = async (): Promise<void> => {
      for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) {
        let left = batch;
        while (left.length > 0) {
          if (signal.aborted) throw new Error("the burst was stopped");
          left = await this.#offerMany(left);
          if (left.length > 0) await this.#clock.sleep(50 + 100 * this.#random(), signal);
        }
      }
    };
    await Promise.all(Array.from({ length: BURST_CONNECTIONS }, send));
  }

  async #fund(count: number, signal: AbortSignal): Promise<void> {
    const fresh: Signed[] = [];
    while (this.#funded.length < count) {
      const key = keccak256(concatBytes(Uint8Array.of(Math.floor(this.#random() * 256)), this.#randomBytes(31)));
      this.#funded.push({ key, nonce: 0 });
      fresh.push(this.#sign(SENDERS + 1, "fund", addressOfPrivateKey(key)));
    }
    for (let at = 0; at < fresh.length; at += BURST_BATCH)
      for (let left = fresh.slice(at, at + BURST_BATCH); left.length > 0; ) {
        if (signal.aborted) throw new Error("the burst was stopped");
        left = await this.#offerMany(left, "wrap");
      }
    const last = fresh.at(-1);
    if (last === undefined) return;
    while (!signal.aborted) {
      if (await this.#confirmed(last.hash)) return;
      await this.#clock.sleep(100, signal);
    }
  }

  #randomBytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.#random() * 256));
  }

  async #send(i: number): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      if (this.#paused) {
        await this.#clock.sleep(50, signal);
        continue;
      }
      // The first one of all is a withdrawal: every drill takes one home.
      const kind = i === 0 && this.#nonces[i] === undefined ? "withdrawal" : this.#kind();
      const tx = this.#sign(i, kind);
      this.#unanswered.set(i, { tx, kind });
      const sentMs = this.#clock.nowMs();
      // A client does not forget: the same transaction is offered until somebody says what became of it.
      for (let endMs = Infinity; ; ) {
        const outcome = await this.#offer(i, tx, kind, "eth_sendRawTransactionSync");
        if (outcome === "confirmed") break;
        if (outcome === "accepted" && (await this.#confirmed(tx.hash))) break;
        if (signal.aborted) endMs = Math.min(endMs, this.#clock.nowMs() + FATE_MS_MAX);
        if (this.#clock.nowMs() > endMs) return;
        await this.#clock.sleep(30 + 70 * this.#random());
      }
      this.#noteGap();
      this.#confirmations.push({ sentMs, confirmedMs: this.#clock.nowMs() });
      await this.#clock.sleep(2 * PAUSE_MS * this.#random(), signal);
    }
  }

  #noteGap(): void {
    if (this.#paused) return;
    const lastMs = Math.max(this.#resumedMs, this.#confirmations.at(-1)?.confirmedMs ?? 0);
    this.#gapMaxMs = Math.max(this.#gapMaxMs, this.#clock.nowMs() - lastMs);
  }

  async #confirmed(hash: string): Promise<boolean> {
    return (await this.ask("eth_getTransactionReceipt", [hash])) !== undefined;
  }

  async #offer(
    i: number,
    tx: Signed,
    kind: Kind,
    method: "eth_sendRawTransaction" | "eth_sendRawTransactionSync",
  ): Promise<"confirmed" | "accepted" | "refused"> {
    const sync = method === "eth_sendRawTransactionSync";
    for (let n = 0; n < this.#clients.length; n++) {
      const at = (this.#preferred + n) % this.#clients.length;
      if (this.#network.nodes[at]?.open !== true) continue;
      try {
        const params = sync ? [tx.raw, SYNC_TIMEOUT_MS] : [tx.raw];
        await (this.#clients[at] as JsonRpcClient).call(method, params);
        this.#preferred = at;
        this.#accept(i, tx, kind);
        return sync ? "confirmed" : "accepted";
      } catch (error) {
        const refusal = refusalOf(error);
        if (refusal === undefined) {
          this.#unansweredRequests++;
          continue;
        }
        // Accepted before, by a gateway that could not say so any more; or accepted and not yet confirmed (codes 4, 6).
        const known = /already known|nonce too low/.test(refusal.message) || refusal.code === 4 || refusal.code === 6;
        if (known) {
          this.#preferred = at;
          this.#accept(i, tx, kind);
          return "accepted";
        }
        this.#refused(refusal);
      }
    }
    return "refused";
  }

  #accept(i: number, tx: Signed, kind: Kind): void {
    this.accepted.set(tx.hash, kind);
    this.#unanswered.delete(i);
  }

  #refused({ code, reason, message }: Refusal): void {
    const key = `${code}${reason === undefined ? "" : ` ${reason}`}`;
    this.#refusals.set(key, (this.#refusals.get(key) ?? 0) + 1);
    if ((!KNOWN_CODES.has(code) || code === -32603) && this.#undocumented.length < 10)
      this.#undocumented.push(`${code} ${message}`);
  }

  /** Resolves to those that were not accepted. */
  async #offerMany(batch: readonly Signed[], kind: Kind = "transfer"): Promise<Signed[]> {
    const at = this.#network.nodes.findIndex((n) => n.open);
    if (at < 0) return [...batch];
    const url = this.#network.nodes[at]?.rpcUrl as string;
    let answers: { id: number; result?: string; error?: { code: number; message: string; data?: unknown } }[];
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(
          batch.map((tx, id) => ({ jsonrpc: "2.0", id, method: "eth_sendRawTransaction", params: [tx.raw] })),
        ),
        signal: AbortSignal.timeout(30_000),
      });
      const body = (await response.json()) as typeof answers | (typeof answers)[number];
      answers = Array.isArray(body) ? body : batch.map((_, id) => ({ ...body, id }));
    } catch {
      this.#unansweredRequests++;
      return [...batch];
    }
    const left: Signed[] = [];
    const byId = new Map(answers.map((a) => [a.id, a]));
    for (const [id, tx] of batch.entries()) {
      const answer = byId.get(id);
      const message = answer?.error?.message ?? "";
      if (answer?.result !== undefined || /already known|nonce too low/.test(message)) this.accepted.set(tx.hash, kind);
      else {
        if (answer?.error !== undefined) this.#refused({ ...answer.error, reason: reasonOf(answer.error.data) });
        left.push(tx);
      }
    }
    return left;
  }

  #kind(): Kind {
    const r = this.#random();
    return r < 0.75 ? "transfer" : r < 0.85 ? "wrap" : r < 0.95 ? "token" : "withdrawal";
  }

  #sign(i: number, kind: Kind | "fund", to?: Uint8Array): Signed {
    const nonce = this.#nonces[i] ?? 0;
    this.#nonces[i] = nonce + 1;
    return this.#signWith(this.#users[i] as Uint8Array, nonce, kind, to);
  }

  #signWith(key: Uint8Array, nonce: number, kind: Kind | "fund", fundTo?: Uint8Array): Signed {
    const call = (data: `0x${string}`): Uint8Array => fromHex(data);
    const sink = toHex(SINK);
    const [to, valueWei, gasLimit, data] = {
      transfer: () => [SINK, 1n, 21_000n, EMPTY_BYTES] as const,
      fund: () => [fundTo as Uint8Array, 10n ** 17n, 21_000n, EMPTY_BYTES] as const,
      wrap: () =>
        [WETH, 1_000n, 100_000n, call(encodeFunctionData({ abi: wethAbi, functionName: "deposit" }))] as const,
      token: () =>
        [
          WETH,
          0n,
          100_000n,
          call(encodeFunctionData({ abi: wethAbi, functionName: "transfer", args: [sink, 1n] })),
        ] as const,
      withdrawal: () =>
        [
          L2_TO_L1_MESSAGE_PASSER,
          3n,
          200_000n,
          call(
            encodeFunctionData({ abi: passerAbi, functionName: "initiateWithdrawal", args: [sink, 100_000n, "0x"] }),
          ),
        ] as const,
    }[kind]();
    const tx = signTransaction(
      {
        ...{ type: 2, chainId: this.#network.chainId, nonce: BigInt(nonce), to, valueWei, data, gasLimit },
        maxFeePerGasWei: 100_000_000_000n,
        maxPriorityFeePerGasWei: 1n,
      },
      key,
    );
    return { hash: toHex(tx.hash), raw: toHex(tx.raw) };
  }

  /** On L1 itself, not through the proxies: users have endpoints of their own. */
  async #deposit(): Promise<void> {
    const { signal } = this.#stop;
    const from = toHex(addressOfPrivateKey(this.#users[DEPOSITOR] as Uint8Array));
    const { portal } = this.#network.cluster.contracts;
    while (!signal.aborted) {
      const to = toHex(new Uint8Array(20).fill(0xde));
      const data = encodeFunctionData({
        abi: portalAbi,
        functionName: "depositTransaction",
        args: [to, 5n, 100_000n, false, "0x"],
      });
      try {
        const request = { from, to: portal, data, value: "0x5", gas: "0x493e0" };
        this.deposits.push((await this.#network.l1.rpc.call("eth_sendTransaction", [request])) as string);
      } catch {
        // L1 is being reorganised
      }
      await this.#clock.sleep(DEPOSIT_EVERY_MS, signal);
    }
  }
}

type Refusal = { readonly code: number; readonly reason?: string | undefined; readonly message: string };

/** What a gateway answered; undefined when nobody did. */
function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof CodedError)) return undefined;
  const code = error.data["rpcCode"];
  if (typeof code !== "number") return undefined;
  const message = String(error.data["rpcMessage"]);
  return { code, message, reason: /behind with posting/.test(message) ? "BACKLOG_FULL" : undefined };
}

function reasonOf(data: unknown): string | undefined {
  return typeof data === "object" && data !== null && "reason" in data ? String(data.reason) : undefined;
}

function quantile(confirmations: readonly Confirmation[], q: number): number {
  const sorted = confirmations.map((c) => c.confirmedMs - c.sentMs).sort((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0);
}
