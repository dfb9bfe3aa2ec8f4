/**
 * Owns looking at a network while it is mistreated: the heads that a client of each gateway sees, several times a second,
 * readiness, metrics and memory once a second. It keeps what contradicts invariants F and J, the moments at which nodes
 * told what they wait for, and the largest memory. It changes nothing.
 */
import { readFileSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import type { ChaosNetwork } from "./network.ts";
import type { NodeProcess } from "./node-process.ts";

const HEADS_EVERY_MS = 250;
const HEALTH_EVERY_MS = 1_000;
const ASK_TIMEOUT_MS = 2_000;
/** Counters whose growth is the record of a reorg. */
const REORG_COUNTERS = [
  "sheaf_sealer_rewinds_total",
  "sheaf_orderer_l1_reorgs_total",
  "sheaf_verifier_l1_reorgs_total",
];

export type Head = { readonly number: number; readonly hash: string };
export type Heads = { readonly latest: Head; readonly safe: Head; readonly finalized: Head };
/** Values by name, each with its labels as text. */
export type MetricValues = ReadonlyMap<string, readonly { readonly labels: string; readonly value: number }[]>;
export type Violation = { readonly invariant: "F" | "J"; readonly text: string };

/** What is known of one node; forgotten when its disk is. */
type Seen = {
  heads: Heads | undefined;
  reorgs: number;
  /** By head: the count of reorgs when it went back last. One reorg takes each of them back, not all at the same look. */
  readonly reorgsUsed: Map<string, number>;
  pid: number | undefined;
  metrics: MetricValues;
  waiting: Readonly<Record<string, string>>;
  /** Undefined while /readyz does not answer. */
  ready: boolean | undefined;
  latestChangedMs: number;
};

export class Watch {
  readonly violations: Violation[] = [];
  #memoryMaxBytes = 0;
  #looks = 0;
  readonly #network: ChaosNetwork;
  readonly #clock: Clock;
  readonly #onEvent: (what: string) => void;
  readonly #seen: Seen[];
  readonly #stop = new AbortController();
  #work: Promise<void>[] = [];

  constructor(network: ChaosNetwork, clock: Clock, onEvent: (what: string) => void) {
    this.#network = network;
    this.#clock = clock;
    this.#onEvent = onEvent;
    this.#seen = network.nodes.map(() => this.#nothing());
  }

  #nothing(): Seen {
    return {
      ...{
        heads: undefined,
        reorgs: 0,
        reorgsUsed: new Map(),
        pid: undefined,
        metrics: new Map(),
        waiting: {},
        ready: undefined,
      },
      latestChangedMs: this.#clock.nowMs(),
    };
  }

  start(): void {
    const every = async (ms: number, look: (i: number) => Promise<void>): Promise<void> => {
      while (!this.#stop.signal.aborted) {
        await Promise.all(this.#network.nodes.map((_, i) => look(i)));
        await this.#clock.sleep(ms, this.#stop.signal);
      }
    };
    this.#work = [
      every(HEADS_EVERY_MS, (i) => this.#lookAtHeads(i)),
      every(HEALTH_EVERY_MS, (i) => this.#lookAtHealth(i)),
    ];
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#work);
  }

  /** A node whose disk was replaced is another one to its clients. */
  forget(node: number): void {
    this.#seen[node] = this.#nothing();
  }

  get memoryMaxBytes(): number {
    return this.#memoryMaxBytes;
  }

  get looks(): number {
    return this.#looks;
  }

  heads(node: number): Heads | undefined {
    return this.#seen[node]?.heads;
  }

  ready(node: number): boolean {
    return this.#seen[node]?.ready === true;
  }

  waiting(node: number): Readonly<Record<string, string>> {
    return this.#seen[node]?.waiting ?? {};
  }

  /** Milliseconds since any node sealed a block. */
  stillForMs(): number {
    return this.#clock.nowMs() - Math.max(...this.#seen.map((s) => s.latestChangedMs));
  }

  metric(node: number, name: string, where = ""): number {
    const pattern = new RegExp(where);
    let sum = 0;
    for (const { labels, value } of this.#seen[node]?.metrics.get(name) ?? []) if (pattern.test(labels)) sum += value;
    return sum;
  }

  /** The node that orders transactions, by its own word. */
  leader(): number | undefined {
    const { nodes } = this.#network;
    const active = nodes.findIndex((n, i) => n.open && this.metric(i, "sequencer_active") === 1);
    const open = nodes.findIndex((n) => n.open);
    return active >= 0 ? active : open >= 0 ? open : undefined;
  }

  async #lookAtHeads(i: number): Promise<void> {
    const node = this.#network.nodes[i] as NodeProcess;
    if (!node.open) return;
    const heads = await readHeads(node.rpcUrl);
    const seen = this.#seen[i] as Seen;
    if (heads === undefined) return;
    this.#looks++;
    const { latest, safe, finalized } = heads;
    if (safe.number > latest.number || finalized.number > safe.number)
      this.#violation("F", `${node.name}: latest ${latest.number}, safe ${safe.number}, finalized ${finalized.number}`);
    const before = seen.heads;
    seen.heads = heads;
    if (before === undefined || before.latest.number !== latest.number || before.latest.hash !== latest.hash)
      seen.latestChangedMs = this.#clock.nowMs();
    if (before === undefined) return;
    const back = (["latest", "safe", "finalized"] as const).filter((tag) => heads[tag].number < before[tag].number);
    if (back.length === 0) return;
    const recorded = await this.#reorgRecorded(i, back);
    const moves = back.map((tag) => `${tag} ${before[tag].number} -> ${heads[tag].number}`).join(", ");
    if (recorded && !back.includes("finalized")) {
      this.#onEvent(`${node.name} went back with a recorded reorg: ${moves}`);
      return;
    }
    this.#violation("F", `${node.name} went back without a recorded reorg: ${moves}`);
    if (back.includes("latest")) this.#violation("J", `${node.name}: its height went back, ${moves}`);
  }

  #violation(invariant: "F" | "J", text: string): void {
    this.#onEvent(`invariant ${invariant} broken: ${text}`);
    if (this.violations.length < 50) this.violations.push({ invariant, text });
  }

  /** True when the node has counted a reorg since each of these heads went back last. A process counts from nothing. */
  async #reorgRecorded(i: number, back: readonly string[]): Promise<boolean> {
    await this.#lookAtHealth(i);
    const { reorgs, reorgsUsed } = this.#seen[i] as Seen;
    const isRecorded = back.every((head) => reorgs > (reorgsUsed.get(head) ?? 0));
    for (const head of back) reorgsUsed.set(head, reorgs);
    return isRecorded;
  }

  async #lookAtHealth(i: number): Promise<void> {
    const node = this.#network.nodes[i] as NodeProcess;
    const seen = this.#seen[i] as Seen;
    if (!node.running) return;
    const [readiness, metrics] = await Promise.all([ask(`${node.healthUrl}/readyz`), ask(`${node.healthUrl}/metrics`)]);
    seen.ready = undefined;
    if (readiness !== undefined) {
      const { ready, waiting } = JSON.parse(readiness) as { ready: boolean; waiting: Record<string, string> };
      const words = Object.values(waiting).join("; ");
      if (withoutNumbers(words) !== withoutNumbers(Object.values(seen.waiting).join("; ")))
        this.#onEvent(words === "" ? `${node.name} is ready` : `${node.name} says: ${words}`);
      seen.ready = ready;
      seen.waiting = waiting;
    }
    if (metrics !== undefined) {
      seen.metrics = parseMetrics(metrics);
      const reorgs = REORG_COUNTERS.reduce((sum, name) => sum + this.metric(i, name), 0);
      seen.reorgs = reorgs;
      if (seen.pid !== node.pid) seen.reorgsUsed.clear();
      seen.pid = node.pid;
    }
    this.#memoryMaxBytes = Math.max(this.#memoryMaxBytes, memoryBytes(node.pid));
  }
}

/** How long something has lasted is no news. */
const withoutNumbers = (words: string): string => words.replace(/\d+/g, "");

async function ask(url: string): Promise<string | undefined> {
  try {
    return await (await fetch(url, { signal: AbortSignal.timeout(ASK_TIMEOUT_MS) })).text();
  } catch {
    return undefined;
  }
}

/**
 * The three heads as of one request; undefined when they are not served. The newest is asked for last: one that moves
 * between two answers is then no contradiction.
 */
export async function readHeads(rpcUrl: string): Promise<Heads | undefined> {
  const tags = ["finalized", "safe", "latest"];
  try {
    const response = await fetch(rpcUrl, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(
        tags.map((tag, id) => ({ jsonrpc: "2.0", id, method: "eth_getBlockByNumber", params: [tag, false] })),
      ),
      signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
    });
    const answers = (await response.json()) as { id: number; result?: { number: string; hash: string } | null }[];
    const heads = tags.map((_, id) => {
      const block = answers.find((a) => a.id === id)?.result;
      return block === undefined || block === null ? undefined : { number: Number(block.number), hash: block.hash };
    });
    const [finalized, safe, latest] = heads;
    if (latest === undefined || safe === undefined || finalized === undefined) return undefined;
    return { latest, safe, finalized };
  } catch {
    return undefined;
  }
}

/** Prometheus text, samples only. */
export function parseMetrics(text: string): MetricValues {
  const values = new Map<string, { labels: string; value: number }[]>();
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$/.exec(line);
    if (match === null) continue;
    const [, name = "", labels = "", value] = match;
    const list = values.get(name) ?? [];
    list.push({ labels, value: Number(value) });
    values.set(name, list);
  }
  return values;
}

/** Resident memory; 0 where it cannot be read. */
function memoryBytes(pid: number | undefined): number {
  if (pid === undefined) return 0;
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}
