/** Owns how a benchmark reads to people: what was measured, what bounds it, what was reproduced, what was drawn. */

import type { BenchReport, WorkloadReport } from "../bench/bench.ts";
import { STAGES } from "../execution/sharded/stage-clock.ts";
import { renderTable } from "./table.ts";

export function renderReport(report: BenchReport): string {
  const { machine, threadNetwork: network } = report;
  return [
    `${machine.cores} × ${machine.cpu}, ${Math.round(machine.memoryBytes / 2 ** 30)} GiB, ${machine.system}, node ${machine.node}`,
    `a message between threads: ${fixed(network.latencyMicros)} µs, and ${fixed(network.messageMicros)} µs of each end's processor`,
    `epochs of ${report.options.txs} transactions, seed ${report.options.seed}; every run came out as the serial one`,
    ...report.workloads.map(renderWorkload),
  ].join("\n\n");
}

function renderWorkload(w: WorkloadReport): string {
  return [
    `${w.name}\n${"═".repeat(w.name.length)}`,
    `serial engine: ${fixed(w.serial.microsPerTx)} µs a transaction of ${thousands(w.serial.gasPerTx)} gas: ${thousands(w.serial.txPerSecond)} tx/s, ${thousands(w.serial.mgasPerSecond)} Mgas/s of one core`,
    renderClasses(w),
    renderReal(w),
    renderReproduction(w),
    renderSimulated(w),
    renderStages(w),
  ]
    .filter((text) => text !== "")
    .join("\n\n");
}

function renderClasses({ bounds, serial }: WorkloadReport): string {
  if (bounds === undefined) return "";
  const count = bounds.classes.reduce((sum, x) => sum + x.count, 0);
  const micros = bounds.classes.reduce((sum, x) => sum + x.micros, 0);
  const gas = bounds.classes.reduce((sum, x) => sum + x.gas, 0);
  return [
    renderTable(
      ["gas used", "transactions", "of gas", "of time", "gas each", "µs each"],
      bounds.classes.map((x) => [
        x.name,
        percent(x.count / count),
        percent(x.gas / Math.max(1, gas)),
        percent(x.micros / micros),
        thousands(x.gas / x.count),
        fixed(x.micros / x.count),
      ]),
    ),
    `work over span (no number of executors gets past it): ${fixed(bounds.parallelism)}; the longest transaction alone allows ${fixed(bounds.byLongest)}`,
    `with balances read and written instead of added to: ${fixed(bounds.withoutDeltas)}; by conflict components: ${fixed(bounds.byLargestComponent)}`,
    `per transaction: ${fixed(bounds.accessesPerTx)} accounts and slots, ${thousands(bounds.rawBytesPerTx)} bytes in, ${thousands(bounds.recordBytesPerTx)} bytes of result; ${fixed(serial.gasPerTx / Math.max(1e-9, bounds.workMicrosPerTx))} gas a µs`,
  ].join("\n");
}

function renderReal(w: WorkloadReport): string {
  const others = w.othersShare === undefined ? "" : `; others used ${percent(w.othersShare)} of the machine`;
  const table = renderTable(
    [
      "executors",
      "shards",
      "tx/s",
      "Mgas/s",
      "× serial",
      "range",
      "by CPU",
      "coord. µs/tx",
      "exec. µs/tx",
      "conflicts",
      "re-run",
      "affinity",
      "bytes/tx",
    ],
    w.real.map((row) => [
      `${row.executors}${row.isDeciding ? " deciding" : ""}${row.isOversubscribed ? " *" : ""}`,
      String(row.shards),
      thousands(row.txPerSecond),
      thousands(row.mgasPerSecond),
      fixed(row.speedup.median),
      `${fixed(row.speedup.min)}–${fixed(row.speedup.max)}`,
      row.speedupByCpu === undefined ? "–" : fixed(row.speedupByCpu),
      row.coordinatorMicros === undefined ? "–" : fixed(row.coordinatorMicros),
      row.executorMicros === undefined ? "–" : fixed(row.executorMicros),
      percent(row.conflictShare),
      percent(row.rerunShare),
      percent(row.affinity),
      thousands(row.bytesPerTx),
    ]),
  );
  const starred = w.real.some((row) => row.isOversubscribed)
    ? "\n* more threads than cores: they take turns, so × serial is no scaling; × by CPU is what their processor times give with a core each"
    : "";
  return `real runs, medians of ${w.roundsCounted} rounds; of two busy threads each keeps ${percent(w.pairedSpeed)} of its speed${others}\n${table}${starred}`;
}

function renderReproduction(w: WorkloadReport): string {
  if (w.reproduction.length === 0 && w.refusal === undefined) return "";
  const lines = w.reproduction.map(
    ({ executors, predicted, measured, error }) =>
      `virtual time at ${executors} executor${executors === 1 ? "" : "s"}: ${fixed(predicted)} × serial predicted, ${fixed(measured)} measured (${error < 0 ? "" : "+"}${(error * 100).toFixed(0)}%)`,
  );
  if (w.refusal !== undefined) lines.push(w.refusal);
  return lines.join("\n");
}

function renderSimulated(w: WorkloadReport): string {
  if (w.simulated.length === 0) return "";
  const table = renderTable(
    [
      "executors",
      "network",
      "× serial",
      "range",
      "ceiling",
      "tx/s",
      "coordinator",
      "busiest",
      "executors",
      "shards",
      "saturated",
      "re-run",
      "affinity",
      "bytes/tx",
    ],
    w.simulated.map((row) => [
      String(row.executors),
      row.network,
      fixed(row.speedup.median),
      `${fixed(row.speedup.min)}–${fixed(row.speedup.max)}`,
      fixed(row.ceiling),
      thousands(row.txPerSecond),
      percent(row.coordinatorUse),
      percent(row.busiestUse),
      percent(row.meanUse),
      row.shardUse === undefined ? "–" : percent(row.shardUse),
      row.saturated,
      percent(row.rerunShare),
      percent(row.affinity),
      thousands(row.bytesPerTx),
    ]),
  );
  const cost = Object.entries(w.cost)
    .map(([network, least]) => `${network}: ${least ?? "none tried"}`)
    .join(", ");
  const waits = renderTable(
    ["executors", "network", "busy", "wait for the plan", "for batches", "for the end"],
    w.simulated.map((row) => [
      String(row.executors),
      row.network,
      percent(row.meanUse),
      percent(row.waits.start),
      percent(row.waits.batches),
      percent(row.waits.end),
    ]),
  );
  const lines = [
    `in virtual time, a core each\n${table}`,
    `what executors do with their time\n${waits}`,
    `least executors that beat the serial engine: ${cost}`,
  ];
  if (w.breakEven !== undefined)
    lines.push(
      `two executors pay from ${fixed(w.breakEven.microsPerTx)} µs a transaction on; here up to ${percent(w.breakEven.rerunShare)} may run again before they do not`,
    );
  return lines.join("\n");
}

function renderStages(w: WorkloadReport): string {
  const rows = w.simulated.filter((row) => row.network === "thread" || row.network === "shards apart");
  if (rows.length === 0) return "";
  const stages = STAGES.filter((stage) => stage !== "idle");
  const table = renderTable(
    ["executors", "", ...stages, "coordinator", "executors"],
    rows.map((row) => [
      String(row.executors),
      row.network === "thread" ? "" : row.network,
      ...stages.map((stage) => fixed(row.stageMicros[stage] ?? 0)),
      fixed(row.coordinatorMicros),
      fixed(row.executorMicros),
    ]),
  );
  const outer =
    w.stages === undefined
      ? ""
      : `\naround it: ingest ${fixed(w.stages.ingest)}, lane ${fixed(w.stages.lane)}, sealing ${fixed(w.stages.seal)} µs a transaction; ${limits(w, w.stages)}`;
  return `processor time per transaction, µs\n${table}${outer}`;
}

/** An earlier report beside this one: ratios, above 1 where this one has more. Of what both measured. */
export function renderComparison(report: BenchReport, earlier: BenchReport): string {
  const rows: string[][] = [];
  for (const w of report.workloads) {
    const before = earlier.workloads.find(({ name }) => name === w.name);
    if (before === undefined) continue;
    rows.push([w.name, "serial", ratio(w.serial.txPerSecond, before.serial.txPerSecond), "", "", ""]);
    for (const row of w.real) {
      const { executors, shards, isDeciding } = row;
      const old = before.real.find(
        (r) => r.executors === executors && r.shards === shards && r.isDeciding === isDeciding,
      );
      if (old !== undefined)
        rows.push([w.name, `${executors} real${isDeciding ? ", deciding" : ""}`, ...ratios(row, old)]);
    }
    for (const row of w.simulated) {
      const old = before.simulated.find((r) => r.executors === row.executors && r.network === row.network);
      if (old !== undefined) rows.push([w.name, `${row.executors} ${row.network}`, ...ratios(row, old)]);
    }
  }
  if (rows.length === 0) return "the earlier report measured nothing that this one did";
  const header = ["workload", "executors", "tx/s", "× serial", "coordinator µs/tx", "executors µs/tx"];
  const { cpu, node } = earlier.machine;
  const elsewhere =
    cpu === report.machine.cpu && node === report.machine.node
      ? ""
      : `\nthe earlier one was run on ${cpu}, node ${node}`;
  return `over the earlier report (now / then)\n${renderTable(header, rows)}${elsewhere}`;
}

type Compared = {
  readonly txPerSecond: number;
  readonly speedup: { readonly median: number };
  readonly coordinatorMicros?: number | undefined;
  readonly executorMicros?: number | undefined;
};

const ratios = (now: Compared, then: Compared): string[] => [
  ratio(now.txPerSecond, then.txPerSecond),
  ratio(now.speedup.median, then.speedup.median),
  ratio(now.coordinatorMicros, then.coordinatorMicros),
  ratio(now.executorMicros, then.executorMicros),
];

function ratio(now: number | undefined, then: number | undefined): string {
  return now === undefined || then === undefined || !(then > 0) ? "–" : fixed(now / then);
}

/** What a thread of each stage carries, in the order in which they fill up. */
function limits(w: WorkloadReport, { ingest, lane, seal }: { ingest: number; lane: number; seal: number }): string {
  const coordinator = w.simulated.find((row) => row.network === "thread" && row.executors === 16)?.coordinatorMicros;
  const stages: [string, number][] = [
    ["ingest", ingest],
    ["lane", lane],
    ["sealing", seal],
    ["executor", w.serial.microsPerTx],
    ...(coordinator === undefined ? [] : [["coordinator (16)", coordinator] as [string, number]]),
  ];
  return `one thread of each carries ${stages
    .sort((a, b) => b[1] - a[1])
    .map(([name, micros]) => `${name} ${thousands(1e6 / Math.max(1e-9, micros))}`)
    .join(", ")} tx/s`;
}

const fixed = (x: number): string => (x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2));
const percent = (x: number): string => `${(x * 100).toFixed(x !== 0 && Math.abs(x) < 0.1 ? 1 : 0)}%`;
const thousands = (x: number): string => Math.round(x).toLocaleString("en-US");
