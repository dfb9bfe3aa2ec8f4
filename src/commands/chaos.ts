/** `sheaf chaos`: drills. Real processes are killed, lines cut and L1 reorganised; then it is checked what held. */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { systemClock } from "../base/clock.ts";
import { findScenarios, SCENARIOS } from "../chaos/catalogue.ts";
import { type DrillResult, runDrill } from "../chaos/drill.ts";
import { chaosError, missingFor } from "../chaos/network.ts";
import { invariantsText, machineText, recoveryText, reportJson, reportMarkdown } from "../chaos/report.ts";
import type { Scenario } from "../chaos/scenario.ts";
import { buildStale } from "../devnet/build.ts";
import type { CommandContext } from "./context.ts";
import { readInteger } from "./option-values.ts";
import { renderTable } from "./table.ts";

type RunOptions = { seed?: number; json?: boolean; report?: string; quick?: boolean };

export function addChaosCommand(program: Command, context: CommandContext): void {
  const chaos = program
    .command("chaos")
    .description("drills: break a network of its own on purpose, and check what must hold");
  chaos
    .command("list")
    .description("what can be run")
    .option("--json", "machine-readable output")
    .action((options: { json?: boolean }) => {
      const rows = SCENARIOS.map((s) => ({ ...s, missing: missingFor(s.shape) ?? null }));
      if (options.json === true) return context.out(JSON.stringify(rows, null, 2));
      context.out(
        renderTable(
          ["drill", "id", "from", "what", "network"],
          rows.map((s) => [s.name, s.id, s.from, s.summary, s.missing ?? shapeText(s)]),
        ),
      );
    });
  chaos
    .command("run")
    .description("run drills, one after the other; fails when any of them does")
    .argument("<scenario...>", "names or ids of `sheaf chaos list`, or all")
    .option("--seed <n>", "repeats the choices of an earlier run", readInteger(0, Number.MAX_SAFE_INTEGER))
    .option("--quick", "the short form of each")
    .option("--report <file>", "write the report there, as Markdown and, beside it, as JSON")
    .option("--json", "print the results as JSON")
    .addHelpText(
      "after",
      `
Examples:
  $ npx sheaf chaos run kill-leader                 a leader dies under load (needs nats-server)
  $ npx sheaf chaos run all --report drills.md      everything, with timeline and figures`,
    )
    .action((names: string[], options: RunOptions) => runChaos(names, options, context));
}

async function runChaos(names: readonly string[], options: RunOptions, context: CommandContext): Promise<void> {
  const chosen = [...new Set(names.flatMap(scenariosOf))];
  const seed = options.seed ?? Math.floor(systemClock.nowMs() % 1_000_000_000);
  const quick = options.quick ?? false;
  await buildStale();
  const results: DrillResult[] = [];
  for (const scenario of chosen) {
    if (context.signal.aborted) break;
    if (options.json !== true) context.err(`\n${scenario.id} ${scenario.name} (seed ${seed})`);
    const result = await runDrill(scenario, {
      ...{ seed, quick, signal: context.signal },
      onEvent: ({ atSeconds, what }) => {
        if (options.json !== true) context.err(`${atSeconds.toFixed(1).padStart(7)} s  ${what}`);
      },
    });
    results.push(result);
    if (options.json !== true)
      context.err(`${result.verdict}${result.reason === undefined ? "" : `: ${result.reason}`}`);
    if (options.report !== undefined) writeReport(options.report, { seed, quick, machine: machineText(), results });
  }
  const report = { seed, quick, machine: machineText(), results };
  if (options.json === true) context.out(reportJson(report).trimEnd());
  else
    context.out(
      `\n${renderTable(
        ["drill", "id", "verdict", "recovery", "invariants A–K", "accepted", "longest gap"],
        results.map((r) => [
          ...[r.name, r.id, r.verdict, recoveryText(r), invariantsText(r)],
          ...(r.load === undefined
            ? ["–", "–"]
            : [String(r.load.accepted), `${(r.load.gapMaxMs / 1_000).toFixed(1)} s`]),
        ]),
      )}`,
    );
  const failed = results.filter((r) => r.verdict === "failed");
  const [first] = failed;
  if (first !== undefined)
    throw chaosError(
      "CHAOS_FAILED",
      `${failed.length} of ${results.length} drills, first ${first.name}: ${first.reason}`,
      { seed },
    );
  const [skipped] = results.filter((r) => r.verdict === "skipped");
  if (skipped !== undefined && results.every((r) => r.verdict === "skipped"))
    throw chaosError("CHAOS_CANNOT_RUN", `${skipped.name}: ${skipped.reason}`);
}

function writeReport(path: string, report: Parameters<typeof reportMarkdown>[0]): void {
  const target = resolve(path);
  writeFileSync(target, reportMarkdown(report));
  writeFileSync(target.replace(/(\.md)?$/, ".json"), reportJson(report));
}

function scenariosOf(name: string): readonly Scenario[] {
  const found = findScenarios(name);
  if (found.length === 0) throw chaosError("CHAOS_UNKNOWN_SCENARIO", `no drill is called ${name}`, { name });
  return found;
}

function shapeText({ shape }: Scenario): string {
  const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;
  return [
    count(shape.nodes, "node"),
    ...(shape.logServers > 0 ? [count(shape.logServers, "log server")] : []),
    ...(shape.l1Endpoints > 1 ? [count(shape.l1Endpoints, "L1 endpoint")] : []),
    ...(shape.diskMiB === undefined ? [] : [`disk of ${shape.diskMiB} MiB`]),
  ].join(", ");
}
