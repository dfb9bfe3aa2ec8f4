/**
 * `npm run failover -- --kills 100 --stops 30 --cuts 20`: the failover series, with its table of gaps. Takes about
 * fifteen seconds a fault. Needs nats-server; ends with code 1 when anything was lost, doubled or forked.
 */
import { parseArgs } from "node:util";
import { systemClock } from "../src/base/clock.ts";
import { type Fault, runFailover } from "../src/chaos/failover.ts";
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
} as const satisfies Record<string, Fault>;
const NAMES = Object.keys(OPTIONS) as (keyof typeof OPTIONS)[];
const number = { type: "string", default: "0" } as const;
const { values } = parseArgs({
  options: {
    ...{ kills: number, stops: number, cuts: number, handovers: number, standbys: number, servers: number },
    seed: { type: "string", default: String(systemClock.nowMs() % 1_000_000_000) },
    lease: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const count = (name: keyof typeof OPTIONS | "seed"): number => {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 0) throw new Error(`--${name}: want a whole number`);
  return value;
};
const missing = natsMissing();
if (missing !== false) {
  console.error(missing);
  process.exit(2);
}
await buildStale();
const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
const report = await runFailover({
  counts: Object.fromEntries(NAMES.map((name) => [OPTIONS[name], count(name)])),
  seed: count("seed"),
  ...(values.lease === undefined ? {} : { env: { SHEAF_LOG_LEASE_MS: values.lease } }),
  clock: systemClock,
  signal: stop.signal,
  onEvent: (what) => console.error(what),
});
if (values.json) console.log(JSON.stringify(report, null, 2));
else {
  const rows = report.rows.map((r) => [r.fault, ...[r.count, r.gapP50Ms, r.gapP95Ms, r.gapMaxMs].map(String)]);
  console.log(renderTable(["fault", "times", "gap p50 ms", "p95", "max"], rows));
  const { accepted, lost, doubled, forked, ended, seed } = report;
  console.log(
    `accepted ${accepted}, lost ${lost}, doubled ${doubled}, forked blocks ${forked}, nodes that ended by themselves ${ended.length}, seed ${seed}`,
  );
  for (const end of ended) console.log(end);
}
process.exit(report.lost + report.doubled + report.forked > 0 ? 1 : 0);
