/**
 * Owns the failover series: a leader and two standbys on three log servers, under load, whose leader is killed, stopped,
 * cut off or told to hand over, again and again. Measured is what a client feels: the longest time without any
 * confirmation around each fault, over clients of the gateways that the fault spares. Afterwards everything accepted
 * must be in the chain, once, and every node must have the same chain.
 * Real processes, signals and sockets; the machine's own speed is in every figure.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EMPTY_BYTES, toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError } from "../base/error.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { signTransaction } from "../protocol/transaction-codec.ts";
import { ChaosNetwork, chaosError } from "./network.ts";
import type { NodeProcess } from "./node-process.ts";
import { seededRandom } from "./random.ts";

/** What is done, and to whom. */
export const FAULTS = ["kill", "stop", "cut", "hand-over", "kill-standby", "kill-log-server"] as const;
export type Fault = (typeof FAULTS)[number];

export type FailoverOptions = {
  /** How many of each. */
  readonly counts: Readonly<Partial<Record<Fault, number>>>;
  readonly seed: number;
  /** Settings of every node. */
  readonly env?: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onEvent: (what: string) => void;
};

export type FailoverRow = {
  readonly fault: Fault;
  readonly count: number;
  readonly gapP50Ms: number;
  readonly gapP95Ms: number;
  readonly gapMaxMs: number;
};

export type FailoverReport = {
  readonly seed: number;
  readonly rows: readonly FailoverRow[];
  readonly accepted: number;
  /** Accepted and in no block at the end. */
  readonly lost: number;
  /** In more than one place of the chain. */
  readonly doubled: number;
  /** Blocks that nodes have differently. */
  readonly forked: number;
  /** Nodes that ended though nobody killed them: which, how, and what they said last. */
  readonly ended: readonly string[];
  readonly gaps: readonly { readonly fault: Fault; readonly gapMs: number }[];
};

const NODES = 3;
const CLIENTS = 6;
const CLIENT_PAUSE_MS = 30;
const SYNC_TIMEOUT_MS = 2_000;
/** A client that was with a node as it stopped turns to another one. */
const CLIENT_TIMEOUT_MS = 4_000;
/** Who asks how a node stands has time: on a busy machine it only answers late. */
const STANDING_TIMEOUT_MS = 15_000;
const SINK = new Uint8Array(20).fill(0xdd);
const READY_MS_MAX = 300_000;
const RECOVERY_MS_MAX = 120_000;
/** A stopped or cut leader comes back when another one has led for this long. */
const AWAY_MS = 1_500;

type Standing = { readonly leads: boolean; readonly ready: boolean; readonly reason?: string; readonly head: number };
type Signed = { readonly hash: string; readonly raw: string };

export async function runFailover(options: FailoverOptions): Promise<FailoverReport> {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-failover-"));
  const random = seededRandom(options.seed);
  const network = await ChaosNetwork.start(
    { nodes: NODES, logServers: 3, l1Endpoints: 1, ...(options.env === undefined ? {} : { env: options.env }) },
    { folder, random, clock: options.clock, onEvent: () => undefined, signal: options.signal },
  );
  const series = new Series(network, options, random);
  let failed = true;
  try {
    const report = await series.run();
    failed = report.lost + report.doubled + report.forked + report.ended.length > 0;
    return report;
  } finally {
    await series.stop();
    await network.close();
    if (failed) options.onEvent(`logs are in ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
}

class Series {
  readonly #network: ChaosNetwork;
  readonly #o: FailoverOptions;
  readonly #random: () => number;
  /** Of the clients. */
  readonly #rpc: readonly JsonRpcClient[];
  readonly #standings: readonly JsonRpcClient[];
  /** Nodes that clients leave alone: a fault is on them. */
  readonly #faulty = new Set<number>();
  readonly #accepted = new Set<string>();
  readonly #confirmedMs: number[] = [];
  /** Of transactions sent after the newest fault began. */
  #freshSinceFault = 0;
  #faultMs = 0;
  readonly #gaps: { fault: Fault; gapMs: number }[] = [];
  readonly #stop = new AbortController();
  #clients: Promise<void>[] = [];

  constructor(network: ChaosNetwork, options: FailoverOptions, random: () => number) {
    this.#network = network;
    this.#o = options;
    this.#random = random;
    this.#rpc = network.nodes.map((n) => new JsonRpcClient({ url: n.rpcUrl, timeoutMs: CLIENT_TIMEOUT_MS }));
    this.#standings = network.nodes.map((n) => new JsonRpcClient({ url: n.rpcUrl, timeoutMs: STANDING_TIMEOUT_MS }));
  }

  async run(): Promise<FailoverReport> {
    const { counts, clock, onEvent, seed } = this.#o;
    await this.#allReady();
    this.#clients = this.#network
      .users()
      .slice(0, CLIENTS)
      .map((key) => this.#client(key));
    const faults = shuffled(
      FAULTS.flatMap((fault) => Array.from({ length: counts[fault] ?? 0 }, () => fault)),
      this.#random,
    );
    for (const [i, fault] of faults.entries()) {
      await this.#allReady();
      await clock.sleep(500 + 1_500 * this.#random(), this.#o.signal);
      if (this.#o.signal.aborted) throw chaosError("CHAOS_STEP_FAILED", "the series was stopped");
      const gapMs = await this.#inject(fault, await this.#leader());
      this.#gaps.push({ fault, gapMs });
      onEvent(`${i + 1}/${faults.length} ${fault}: ${gapMs} ms without a confirmation`);
    }
    await this.#allReady();
    await this.stop();
    await this.#nextBlocks();
    const check = await this.#check();
    const ended = this.#network.nodes.flatMap((n) => n.ends.map((end) => `${n.name}: ${end}`));
    return { seed, rows: rowsOf(this.#gaps), ...check, ended, gaps: this.#gaps };
  }

  /** Ends the clients, each with the fate of its last transaction known. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#clients);
  }

  // ---- faults ----

  #inject(fault: Fault, leader: number): Promise<number> {
    const { nodes, lines, logServers } = this.#network;
    const node = nodes[leader] as NodeProcess;
    switch (fault) {
      case "kill":
        return this.#around(
          [leader],
          () => node.signal("SIGKILL"),
          async () => node.start(),
        );
      case "stop":
        return this.#around(
          [leader],
          () => node.signal("SIGSTOP"),
          () => node.signal("SIGCONT"),
        );
      case "cut": {
        // Now connections end, now they stay and nothing passes.
        const how = this.#random() < 0.5 ? { cut: true } : { silent: true };
        const set = async (line: object): Promise<void> => lines[leader]?.forEach((l) => l.set(line));
        return this.#around(
          [leader],
          () => set(how),
          () => set({}),
        );
      }
      case "hand-over":
        return this.#around([], async () => node.order({ handOver: true }), undefined, leader);
      case "kill-standby": {
        const other = (leader + 1) % NODES;
        const standby = nodes[other] as NodeProcess;
        return this.#around(
          [other],
          () => standby.signal("SIGKILL"),
          async () => standby.start(),
        );
      }
      case "kill-log-server":
        break;
    }
    let name = "";
    return this.#around(
      [],
      async () => {
        name = await this.#orderServer();
        await logServers?.kill(name);
      },
      async () => logServers?.restart(name),
    );
  }

  /** Longest time without a confirmation, from the fault until new transactions are confirmed and it is healed. */
  async #around(
    faulty: readonly number[],
    begin: () => Promise<unknown>,
    heal: (() => Promise<unknown>) | undefined,
    leaves?: number,
  ): Promise<number> {
    const { clock, signal } = this.#o;
    for (const i of faulty) this.#faulty.add(i);
    this.#faultMs = clock.nowMs();
    this.#freshSinceFault = 0;
    await begin();
    await this.#until(
      "confirmations after the fault",
      RECOVERY_MS_MAX,
      async () => this.#freshSinceFault >= 2 * CLIENTS,
    );
    if (leaves !== undefined)
      await this.#until("another leader", RECOVERY_MS_MAX, async () => (await this.#standing(leaves))?.leads === false);
    if (heal !== undefined) {
      await clock.sleep(AWAY_MS, signal);
      await heal();
      await clock.sleep(AWAY_MS, signal);
    }
    for (const i of faulty) this.#faulty.delete(i);
    let gapMs = 0;
    let lastMs = this.#confirmedMs.findLast((ms) => ms <= this.#faultMs) ?? this.#faultMs;
    for (const ms of this.#confirmedMs)
      if (ms > lastMs) {
        gapMs = Math.max(gapMs, ms - lastMs);
        lastMs = ms;
      }
    return gapMs;
  }

  async #orderServer(): Promise<string> {
    const { logServers } = this.#network;
    const js = await logServers?.connect();
    try {
      const order = (await js?.streamNames())?.find((name) => name.endsWith("-order"));
      const leader = order === undefined ? undefined : (await js?.streamServers(order))?.leader;
      return leader ?? (logServers?.nodes[0]?.name as string);
    } finally {
      await js?.close();
    }
  }

  // ---- what nodes say ----

  async #standing(i: number): Promise<Standing | undefined> {
    try {
      return (await this.#standings[i]?.call("sheaf_leader", [])) as Standing;
    } catch {
      return undefined;
    }
  }

  async #leader(): Promise<number> {
    let found = -1;
    await this.#until("one leader", READY_MS_MAX, async () => {
      const standings = await Promise.all(this.#network.nodes.map((_, i) => this.#standing(i)));
      found = standings.findIndex((s) => s?.leads === true);
      return standings.filter((s) => s?.leads === true).length === 1;
    });
    return found;
  }

  async #allReady(): Promise<void> {
    await this.#until("all nodes are ready", READY_MS_MAX, async () => {
      const standings = await Promise.all(this.#network.nodes.map((_, i) => this.#standing(i)));
      return standings.every((s) => s?.ready === true) && standings.filter((s) => s?.leads === true).length === 1;
    });
  }

  /** What is confirmed now is sealed everywhere then. */
  async #nextBlocks(): Promise<void> {
    const heads = async (): Promise<number[]> =>
      (await Promise.all(this.#network.nodes.map((_, i) => this.#standing(i)))).map((s) => s?.head ?? 0);
    const newest = Math.max(...(await heads()));
    await this.#until("two more blocks", READY_MS_MAX, async () => Math.min(...(await heads())) >= newest + 2);
  }

  async #until(what: string, timeoutMs: number, holds: () => Promise<boolean>): Promise<void> {
    const { clock, signal } = this.#o;
    const endMs = clock.nowMs() + timeoutMs;
    while (!(await holds())) {
      if (signal.aborted || clock.nowMs() > endMs) {
        const standings = await Promise.all(this.#network.nodes.map((_, i) => this.#standing(i)));
        throw chaosError("CHAOS_STEP_FAILED", `not in ${timeoutMs} ms: ${what}; ${JSON.stringify(standings)}`);
      }
      await clock.sleep(50);
    }
  }

  // ---- clients ----

  async #client(key: Uint8Array): Promise<void> {
    const { clock } = this.#o;
    for (let nonce = 0; !this.#stop.signal.aborted; nonce++) {
      const tx = this.#sign(key, nonce);
      const sentMs = clock.nowMs();
      while (!(await this.#offer(tx))) await clock.sleep(20 + 30 * this.#random());
      this.#confirmedMs.push(clock.nowMs());
      if (sentMs >= this.#faultMs) this.#freshSinceFault++;
      await clock.sleep(2 * CLIENT_PAUSE_MS * this.#random());
    }
  }

  /** True when it is confirmed. */
  async #offer(tx: Signed): Promise<boolean> {
    const usable = this.#network.nodes.flatMap((n, i) => (n.open && !this.#faulty.has(i) ? [i] : []));
    const at = usable[Math.floor(this.#random() * usable.length)];
    if (at === undefined) return false;
    const rpc = this.#rpc[at] as JsonRpcClient;
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
        ...{ type: 2, chainId: this.#network.chainId, nonce: BigInt(nonce), to: SINK, valueWei: 1n, data: EMPTY_BYTES },
        ...{ gasLimit: 21_000n, maxFeePerGasWei: 100_000_000_000n, maxPriorityFeePerGasWei: 1n },
      },
      key,
    );
    return { hash: toHex(tx.hash), raw: toHex(tx.raw) };
  }

  // ---- the end ----

  async #check(): Promise<Pick<FailoverReport, "accepted" | "lost" | "doubled" | "forked">> {
    const heads = (await Promise.all(this.#network.nodes.map((_, i) => this.#standing(i)))).map((s) => s?.head ?? 0);
    const [first] = this.#standings;
    const places = new Map<string, number>();
    let forked = 0;
    for (let number = 0; number <= Math.min(...heads); number++) {
      const tag = `0x${number.toString(16)}`;
      const blocks = await Promise.all(
        this.#standings.map(async (rpc) => (await rpc.call("eth_getBlockByNumber", [tag, false])) as BlockJson),
      );
      if (new Set(blocks.map((b) => b.hash)).size > 1) forked++;
      for (const hash of blocks[0]?.transactions ?? []) places.set(hash, (places.get(hash) ?? 0) + 1);
    }
    let lost = 0;
    for (const hash of this.#accepted)
      if (!places.has(hash) && (await first?.call("eth_getTransactionReceipt", [hash])) === null) lost++;
    const doubled = [...places.values()].filter((count) => count > 1).length;
    return { accepted: this.#accepted.size, lost, doubled, forked };
  }
}

type BlockJson = { readonly hash: string; readonly transactions: readonly string[] };

function rowsOf(gaps: readonly { fault: Fault; gapMs: number }[]): FailoverRow[] {
  return FAULTS.flatMap((fault) => {
    const sorted = gaps
      .filter((g) => g.fault === fault)
      .map((g) => g.gapMs)
      .sort((a, b) => a - b);
    if (sorted.length === 0) return [];
    const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * q) - 1)] as number;
    return [{ fault, count: sorted.length, gapP50Ms: at(0.5), gapP95Ms: at(0.95), gapMaxMs: at(1) }];
  });
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}
