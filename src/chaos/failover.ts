/**
 * Owns the failover series: networks of real processes under load, one of whose processes is killed, stopped, cut off
 * or told to hand over, again and again. Measured is what clients feel around each fault (gap-clients.ts), and for work
 * that no client waits for (publisher, proposer) the time until another process has taken it. Afterwards everything
 * accepted must be in the chain, once, and every node must have the same chain.
 * A series is made of parts, each on a network of its own shape. Each result is told as it comes; a part whose network
 * fails is begun anew with what is left of it, so that a series runs unattended.
 * Real processes, signals and sockets; the machine's own speed is in every figure.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { seriesOfNodes } from "./failover-nodes.ts";
import { seriesOfPosting } from "./failover-posting.ts";
import type { ChainCheck } from "./gap-clients.ts";
import { seededRandom } from "./random.ts";

/** What is done to which role. A sequencer's process is orderer, executor, key shard and sealer in one, and a gateway. */
export const FAULTS = {
  kill: "sequencer",
  stop: "sequencer",
  cut: "sequencer",
  "hand-over": "sequencer",
  "kill-standby": "standby",
  "kill-log-server": "log node",
  "kill-lane": "lane",
  "kill-executor": "executor",
  "kill-key-shard": "key shard",
  "kill-publisher": "publisher",
  "stop-publisher": "publisher",
  "kill-proposer": "proposer",
} as const;
export type Fault = keyof typeof FAULTS;
export const FAULT_NAMES = Object.keys(FAULTS) as Fault[];

/** Work of a node in processes of its own. */
const WORKERS = {
  SHEAF_LANES: "2",
  SHEAF_LANES_IN: "processes",
  SHEAF_EXECUTORS: "2",
  SHEAF_EXECUTORS_IN: "processes",
  SHEAF_KEY_SHARDS: "2",
  SHEAF_KEY_SHARDS_IN: "processes",
};

type Part = {
  readonly name: string;
  readonly faults: readonly Fault[];
  readonly env: Readonly<Record<string, string>>;
  readonly open: (p: PartOptions) => Promise<Series>;
};

const PARTS: readonly Part[] = [
  {
    name: "nodes",
    faults: ["kill", "stop", "cut", "hand-over", "kill-standby", "kill-log-server"],
    env: {},
    open: (p) => seriesOfNodes(3, p),
  },
  {
    name: "workers",
    faults: ["kill-lane", "kill-executor", "kill-key-shard"],
    env: WORKERS,
    open: (p) => seriesOfNodes(1, p),
  },
  {
    name: "posting",
    faults: ["kill-publisher", "stop-publisher", "kill-proposer"],
    env: {},
    open: (p) => seriesOfPosting(p),
  },
];

export type PartOptions = {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly random: () => number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

/** A network under load whose processes can be harmed. */
export type Series = {
  /** Everybody is ready and the load runs. */
  readonly start: () => Promise<void>;
  /** One fault, from a network that is ready until it is healed. */
  readonly inject: (fault: Fault) => Promise<Measured>;
  /** Ends the load and looks at what became of it. */
  readonly check: () => Promise<PartCheck>;
  readonly close: () => Promise<void>;
};

export type Measured = {
  /** Longest time without a confirmation. */
  readonly gapMs: number;
  /** Until another process did the work, where no client waits for it. */
  readonly takeoverMs?: number;
};

export type PartCheck = ChainCheck & {
  /** Processes that ended though nobody killed them: which, how, and what they said last. */
  readonly ended: readonly string[];
  /** Transactions of the posting accounts that L1 took and reverted: content for a place that was taken. */
  readonly reverted?: number;
};

export type FaultResult = Measured & { readonly fault: Fault };

/** What is told as it comes. */
export type FailoverEvent =
  | ({ readonly kind: "fault"; readonly part: string; readonly seed: number } & FaultResult)
  | ({ readonly kind: "checked"; readonly part: string; readonly seed: number } & PartCheck)
  | { readonly kind: "failed"; readonly part: string; readonly seed: number; readonly reason: string };

export type FailoverOptions = {
  /** How many of each. */
  readonly counts: Readonly<Partial<Record<Fault, number>>>;
  readonly seed: number;
  /** Settings of every node. */
  readonly env?: Readonly<Record<string, string>>;
  /** No fault begins after so long. */
  readonly timeMaxMs?: number;
  /** No fault begins after this; what was begun is healed and checked. */
  readonly finish?: AbortSignal;
  /** A part whose network fails is begun anew so often; default: never, the series fails with it. */
  readonly retries?: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onEvent: (what: string) => void;
  readonly onResult?: (event: FailoverEvent) => void;
};

export type FailoverRow = {
  readonly fault: Fault;
  readonly role: string;
  readonly count: number;
  readonly gapP50Ms: number;
  readonly gapP95Ms: number;
  readonly gapMaxMs: number;
  readonly takeoverP50Ms?: number;
  readonly takeoverP95Ms?: number;
  readonly takeoverMaxMs?: number;
};

export type FailoverReport = PartCheck & {
  readonly seed: number;
  readonly rows: readonly FailoverRow[];
  readonly gaps: readonly FaultResult[];
};

/** Runs the series. @throws {ChaosError} when a part fails more often than it may be begun anew */
export async function runFailover(options: FailoverOptions): Promise<FailoverReport> {
  const { counts, clock, onEvent, seed, signal, retries = 0 } = options;
  const random = seededRandom(seed);
  const endMs = clock.nowMs() + (options.timeMaxMs ?? Number.POSITIVE_INFINITY);
  const isOver = (): boolean => signal.aborted || options.finish?.aborted === true || clock.nowMs() >= endMs;
  const gaps: FaultResult[] = [];
  const checks: PartCheck[] = [];
  for (const part of PARTS) {
    const left = shuffled(
      part.faults.flatMap((fault) => Array.from({ length: counts[fault] ?? 0 }, () => fault)),
      random,
    );
    for (let attempt = 0; left.length > 0 && !isOver(); attempt++) {
      try {
        checks.push(await runPart(part, left, { options, random, isOver, gaps }));
        break;
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        options.onResult?.({ kind: "failed", part: part.name, seed, reason });
        if (attempt >= retries || signal.aborted) throw error;
        onEvent(`${part.name}: ${reason}; begun anew, ${left.length} faults are left`);
      }
    }
  }
  return { seed, rows: rowsOf(gaps), gaps, ...sumOf(checks) };
}

/** Takes faults from `left` as they are measured. */
async function runPart(
  part: Part,
  left: Fault[],
  p: {
    readonly options: FailoverOptions;
    readonly random: () => number;
    readonly isOver: () => boolean;
    readonly gaps: FaultResult[];
  },
): Promise<PartCheck> {
  const { clock, onEvent, signal, seed, env, onResult } = p.options;
  const folder = mkdtempSync(join(tmpdir(), "sheaf-failover-"));
  const total = left.length;
  let failed = true;
  let series: Series | undefined;
  try {
    onEvent(`${part.name}: a network of its own starts`);
    series = await part.open({ folder, env: { ...part.env, ...env }, random: p.random, clock, signal });
    await series.start();
    for (let fault = left[0]; fault !== undefined && !p.isOver(); fault = left[0]) {
      await clock.sleep(500 + 1_000 * p.random(), signal);
      const result = { fault, ...(await series.inject(fault)) };
      left.shift();
      p.gaps.push(result);
      onResult?.({ kind: "fault", part: part.name, seed, ...result });
      const taken = result.takeoverMs === undefined ? "" : `, taken over after ${result.takeoverMs} ms`;
      onEvent(`${total - left.length}/${total} ${fault}: ${result.gapMs} ms without a confirmation${taken}`);
    }
    const check = await series.check();
    onResult?.({ kind: "checked", part: part.name, seed, ...check });
    failed = check.lost + check.doubled + check.forked + check.ended.length > 0;
    return check;
  } finally {
    await series?.close();
    if (failed) onEvent(`logs are in ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
}

export function sumOf(checks: readonly PartCheck[]): PartCheck {
  const sum = (of: (c: PartCheck) => number | undefined): number => checks.reduce((n, c) => n + (of(c) ?? 0), 0);
  return {
    accepted: sum((c) => c.accepted),
    lost: sum((c) => c.lost),
    doubled: sum((c) => c.doubled),
    forked: sum((c) => c.forked),
    ended: checks.flatMap((c) => c.ended),
    reverted: sum((c) => c.reverted),
  };
}

export function rowsOf(results: readonly FaultResult[]): FailoverRow[] {
  return FAULT_NAMES.flatMap((fault) => {
    const own = results.filter((r) => r.fault === fault);
    if (own.length === 0) return [];
    const gap = quantiles(own.map((r) => r.gapMs));
    const row = { fault, role: FAULTS[fault], count: own.length };
    const gaps = { gapP50Ms: gap(0.5), gapP95Ms: gap(0.95), gapMaxMs: gap(1) };
    const taken = own.flatMap((r) => (r.takeoverMs === undefined ? [] : [r.takeoverMs]));
    if (taken.length === 0) return [{ ...row, ...gaps }];
    const at = quantiles(taken);
    return [{ ...row, ...gaps, takeoverP50Ms: at(0.5), takeoverP95Ms: at(0.95), takeoverMaxMs: at(1) }];
  });
}

function quantiles(values: readonly number[]): (q: number) => number {
  const sorted = [...values].sort((a, b) => a - b);
  return (q) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * q) - 1)] as number;
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}
