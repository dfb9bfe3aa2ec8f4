/**
 * `npm run failover -- --full --out series.jsonl`: the failover series, with its table of gaps per role. Every result is
 * a line of the file as it comes; the same command again goes on with what is missing. About eight seconds a fault.
 * Needs nats-server; ends with code 1 when anything was lost, doubled or forked.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { systemClock } from "../src/base/clock.ts";
import {
  FAULT_NAMES,
  type FailoverEvent,
  type Fault,
  type FaultResult,
  type PartCheck,
  rowsOf,
  runFailover,
  sumOf,
} from "../src/chaos/failover.ts";
import { renderTable } from "../src/commands/table.ts";
import { buildStale } from "../src/devnet/build.ts";
import { natsMissing } from "../src/log/nats-cluster.ts";

const OPTIONS = {
  kills: "kill",
  stops: "stop",
  cuts: "cut",
  handovers: "hand-over",
  standbys: "kill-standby",
  servers: "kill-log-server",
  lanes: "kill-lane",
  executors: "kill-executor",
  shards: "kill-key-shard",
  publishers: "kill-publisher",
  "stopped-publishers": "stop-publisher",
  proposers: "kill-proposer",
} as const satisfies Record<string, Fault>;
type Option = keyof typeof OPTIONS;
const NAMES = Object.keys(OPTIONS) as Option[];
/** 105 deaths of nine kinds of processes, 30 stops, 20 cuts, 8 hand-overs. */
const FULL: Record<Option, number> = {
  ...{ kills: 50, stops: 26, cuts: 20, handovers: 8, standbys: 5, servers: 4 },
  ...{ lanes: 10, executors: 8, shards: 8, publishers: 10, "stopped-publishers": 4, proposers: 10 },
};
const number = { type: "string" } as const;
const { values } = parseArgs({
  options: {
    ...(Object.fromEntries(NAMES.map((name) => [name, number])) as Record<Option, typeof number>),
    full: { type: "boolean", default: false },
    minutes: { type: "string" },
    out: { type: "string" },
    seed: { type: "string", default: String(systemClock.nowMs() % 1_000_000_000) },
    lease: { type: "string" },
    json: { type: "boolean", default: false },
    table: { type: "boolean", default: false },
  },
});
const whole = (name: string, text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new Error(`--${name}: want a whole number`);
  return value;
};

const events: FailoverEvent[] = [];
const { out } = values;
if (out !== undefined && existsSync(out))
  for (const line of readFileSync(out, "utf8").split("\n"))
    if (line.trim() !== "") events.push(JSON.parse(line) as FailoverEvent);
const faultsIn = (all: readonly FailoverEvent[]): FaultResult[] =>
  all.flatMap((e) => (e.kind === "fault" ? [{ ...e, kind: undefined, part: undefined, seed: undefined }] : []));
const done = faultsIn(events);

if (!values.table) await run();
print();

async function run(): Promise<void> {
  const missing = natsMissing();
  if (missing !== false) {
    console.error(missing);
    process.exit(2);
  }
  const counts: Partial<Record<Fault, number>> = {};
  for (const name of NAMES) {
    const wanted = values[name] === undefined ? (values.full ? FULL[name] : 0) : whole(name, values[name]);
    const fault = OPTIONS[name];
    counts[fault] = Math.max(0, wanted - done.filter((r) => r.fault === fault).length);
  }
  await buildStale();
  // The first Ctrl-C ends the series in order, the second at once.
  const [finish, stop] = [new AbortController(), new AbortController()];
  process.on("SIGINT", () => (finish.signal.aborted ? stop : finish).abort());
  try {
    await runFailover({
      counts,
      seed: whole("seed", values.seed),
      ...(values.lease === undefined ? {} : { env: { SHEAF_LOG_LEASE_MS: values.lease } }),
      ...(values.minutes === undefined ? {} : { timeMaxMs: whole("minutes", values.minutes) * 60_000 }),
      retries: 3,
      clock: systemClock,
      finish: finish.signal,
      signal: stop.signal,
      onEvent: (what) => console.error(what),
      onResult: (event) => {
        events.push(event);
        if (out !== undefined) appendFileSync(out, `${JSON.stringify(event)}\n`);
      },
    });
  } catch (error) {
    // What was measured before counts all the same.
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}

function print(): void {
  const results = faultsIn(events);
  const checks = events.flatMap((e): PartCheck[] => (e.kind === "checked" ? [e] : []));
  const failures = events.flatMap((e) => (e.kind === "failed" ? [`${e.part}: ${e.reason}`] : []));
  const rows = rowsOf(results);
  const { accepted, lost, doubled, forked, ended, reverted } = sumOf(checks);
  const total = { checks: checks.length, accepted, lost, doubled, forked, ended, reverted };
  if (values.json) console.log(JSON.stringify({ rows, ...total, failures, results }, null, 2));
  else {
    const text = (ms: number | undefined): string => (ms === undefined ? "" : String(ms));
    console.log(
      renderTable(
        ["role", "fault", "times", "gap p50 ms", "p95", "max", "taken over p50 ms", "p95", "max"],
        rows.map((r) => [
          ...[r.role, r.fault, String(r.count), text(r.gapP50Ms), text(r.gapP95Ms), text(r.gapMaxMs)],
          ...[text(r.takeoverP50Ms), text(r.takeoverP95Ms), text(r.takeoverMaxMs)],
        ]),
      ),
    );
    const deaths = rowsOf(
      results
        .filter((r) => r.fault.startsWith("kill") && r.fault !== "kill-log-server")
        .map((r) => ({ ...r, fault: "kill" })),
    );
    const [all] = deaths;
    if (all !== undefined)
      console.log(`process deaths ${all.count}: gap p50 ${all.gapP50Ms}, p95 ${all.gapP95Ms}, max ${all.gapMaxMs} ms`);
    console.log(
      `networks checked to the end ${checks.length}: accepted ${accepted}, lost ${lost}, doubled ${doubled}, forked blocks ${forked}, reverted posts ${reverted}, processes that ended by themselves ${ended.length}`,
    );
    for (const end of ended) console.log(end);
    for (const failure of failures) console.log(`a network failed and was begun anew: ${failure}`);
  }
  if (lost + doubled + forked > 0) process.exitCode = 1;
  const kinds = new Set(results.map((r) => r.fault));
  const absent = values.full ? FAULT_NAMES.filter((fault) => !kinds.has(fault)) : [];
  if (absent.length > 0) console.error(`not measured: ${absent.join(", ")}`);
}
