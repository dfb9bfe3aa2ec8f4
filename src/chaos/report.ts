/** Owns how results of drills are written down: a page for people (Markdown); the JSON is the results themselves. */
import { cpus, loadavg, totalmem } from "node:os";
import type { DrillResult } from "./drill.ts";
import { INVARIANTS, type Invariant } from "./scenario.ts";

export type ChaosReport = {
  readonly seed: number;
  readonly quick: boolean;
  readonly machine: string;
  readonly results: readonly DrillResult[];
};

export function machineText(): string {
  const load = loadavg()[0] ?? 0;
  return `${cpus().length} x ${cpus()[0]?.model ?? "?"}, ${Math.round(totalmem() / 2 ** 30)} GiB, load average ${load.toFixed(1)}, Node ${process.version}`;
}

export function reportJson(report: ChaosReport): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

/** The slowest recovery of a drill, with its bound. */
export function recoveryText({ bounds }: DrillResult): string {
  const recoveries = bounds.filter((b) => b.kind === "recovery");
  return recoveries.map((b) => `${b.tookSeconds ?? "never"} s (bound ${b.boundSeconds} s)`).join(", ") || "–";
}

/** `A–K` that did not hold, or "all". */
export function invariantsText({ invariants, exempt }: DrillResult): string {
  const names = Object.keys(INVARIANTS) as Invariant[];
  const wrong = names.filter((n) => invariants[n]?.held === false && exempt?.[n] === undefined);
  const unchecked = names.filter((n) => invariants[n] === undefined);
  if (unchecked.length === names.length) return "not reached";
  return wrong.length === 0 ? "all" : `not ${wrong.join(" ")}`;
}

export function reportMarkdown(report: ChaosReport): string {
  const { results } = report;
  const count = (verdict: DrillResult["verdict"]): number => results.filter((r) => r.verdict === verdict).length;
  const lines = [
    "# Drills",
    `${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped. Seed ${report.seed}${report.quick ? ", short form" : ""}. ${report.machine}.`,
    "",
    "| Drill | From | Verdict | Recovery | Invariants | Accepted | Longest gap | Time |",
    "|---|---|---|---|---|---|---|---|",
    ...results.map(
      (r) =>
        `| ${r.id} ${r.name} | ${cell(r.from)} | ${r.verdict} | ${recoveryText(r)} | ${invariantsText(r)} | ${r.load?.accepted ?? "–"} | ${r.load === undefined ? "–" : `${(r.load.gapMaxMs / 1_000).toFixed(1)} s`} | ${r.seconds} s |`,
    ),
  ];
  for (const r of results) {
    lines.push("", `## ${r.id} ${r.name}: ${r.verdict}`, "", r.summary);
    if (r.simulated !== undefined) lines.push("", `Simulated: ${r.simulated}.`);
    if (r.reason !== undefined) lines.push("", `Reason: ${r.reason}.`);
    if (r.folder !== undefined) lines.push("", `Logs: ${r.folder}`);
    if (r.verdict === "skipped") continue;
    lines.push(
      "",
      `Seed ${r.seed}. Nodes ended by themselves ${r.restarts} times; at most ${Math.round(r.memoryMaxBytes / 1e6)} MB.`,
    );
    if (r.load !== undefined)
      lines.push(
        "",
        `Load: ${r.load.accepted} accepted, accept to confirmed p50 ${r.load.p50Ms} ms and p99 ${r.load.p99Ms} ms, ${r.load.deposits} deposits, ${r.load.unanswered} requests unanswered.`,
      );
    lines.push("", "| Bound | Kind | Bound | Took |", "|---|---|---|---|");
    for (const b of r.bounds)
      lines.push(
        `| ${cell(b.what)} | ${b.kind} | ${b.boundSeconds} s | ${b.tookSeconds === undefined ? "never" : `${b.tookSeconds} s`} |`,
      );
    lines.push("", "| Invariant | Held | |", "|---|---|---|");
    for (const name of Object.keys(INVARIANTS) as Invariant[]) {
      const finding = r.invariants[name];
      const exempt = r.exempt?.[name];
      const verdict =
        finding === undefined ? "not checked" : finding.held ? "yes" : exempt === undefined ? "NO" : `no (${exempt})`;
      lines.push(`| ${name}: ${INVARIANTS[name]} | ${cell(verdict)} | ${cell(finding?.text ?? "")} |`);
    }
    lines.push("", "```text", ...r.timeline.map((t) => `${t.atSeconds.toFixed(1).padStart(7)} s  ${t.what}`), "```");
  }
  return `${lines.join("\n")}\n`;
}
