/**
 * `sheaf bench`: what sharded execution brings on this machine and would bring on larger ones, beside the serial engine
 * of the same run, as a table, JSON and a picture.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { type BenchReport, runBench } from "../bench/bench.ts";
import { type BenchOptions, benchError, DEFAULT_OPTIONS, QUICK_OPTIONS } from "../bench/options.ts";
import { plotReport } from "../bench/plot.ts";
import { PROFILES, type Profile } from "../execution/sharded/testing/workloads.ts";
import { renderComparison, renderReport } from "./bench-report.ts";
import type { CommandContext } from "./context.ts";
import { readInteger } from "./option-values.ts";
import { Progress } from "./progress.ts";

const EXECUTORS_MAX = 256;
const TXS_MAX = 100_000;

type Options = {
  quick?: boolean;
  workloads?: readonly Profile[] | readonly [];
  blocks?: string;
  executors?: readonly number[];
  shards?: readonly number[];
  simulate?: readonly number[];
  rtt?: readonly number[];
  txs?: number;
  rounds?: number;
  seed?: number;
  json?: string;
  plot?: string;
  compare?: string;
};

export function addBenchCommand(program: Command, context: CommandContext): void {
  program
    .command("bench")
    .description(
      "measure sharded execution beside the serial engine, and draw it for more executors than there are cores",
    )
    .option("--quick", "less than twenty seconds: that it works, not how fast")
    .option(
      "--workloads <names>",
      `of ${PROFILES.join(", ")}, with commas between them; "none" with --blocks`,
      readWorkloads,
    )
    .option("--blocks <folder>", "recorded mainnet blocks, each an epoch of its own on a state of its own")
    .option(
      "--executors <counts>",
      "executors of real runs, each with as many key shards (default: 1,2,4,8,16)",
      readCounts,
    )
    .option("--shards <counts>", "every number of executors with each of these instead: a grid", readCounts)
    .option("--simulate <counts>", "executors in virtual time (default: 1,2,4,8,16,32,64); 0: none", readCountsOrNone)
    .option("--rtt <ms>", "round trips between machines to draw, beside threads (default: 0.5)", readTimes)
    .option("--txs <count>", "transactions of an epoch (default: 1000)", readInteger(1, TXS_MAX))
    .option("--rounds <count>", "measured rounds of real runs (default: 7)", readInteger(1, 1_000))
    .option("--seed <number>", "of the workloads (default: 11)", readInteger(1, 2 ** 31))
    .option("--json <file>", "the whole report as JSON; - for standard output, instead of the tables")
    .option("--plot <file>", "an SVG of speed over executors")
    .option("--compare <file>", "an earlier report (of --json), to be held against this one")
    .addHelpText(
      "after",
      `
How to read it: docs/bench.md. Examples:
  $ npx sheaf bench --workloads M1 --plot m1.svg
  $ npx sheaf bench --workloads M1 --executors 1,2 --rtt 0.1,0.5,2
  $ npx sheaf bench --executors 1,2 --shards 1,2,4 --simulate 0
  $ npx sheaf bench --workloads M1 --json now.json --compare before.json`,
    )
    .action((options: Options) => run(options, context));
}

async function run(options: Options, context: CommandContext): Promise<void> {
  const base = options.quick === true ? QUICK_OPTIONS : DEFAULT_OPTIONS;
  const asked: BenchOptions = {
    ...base,
    ...(options.workloads === undefined ? {} : { profiles: options.workloads }),
    ...(options.blocks === undefined ? {} : { blocks: options.blocks }),
    ...(options.executors === undefined ? {} : { executors: options.executors }),
    ...(options.shards === undefined ? {} : { shards: options.shards }),
    ...(options.simulate === undefined ? {} : { simulated: options.simulate }),
    ...(options.rtt === undefined ? {} : { roundTripsMs: options.rtt }),
    ...(options.txs === undefined ? {} : { txs: options.txs }),
    ...(options.rounds === undefined ? {} : { rounds: options.rounds }),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
  };
  if (asked.profiles.length === 0 && asked.blocks === undefined)
    throw benchError("BENCH_OPTIONS", "--workloads none leaves nothing to run without --blocks");
  // Before minutes are spent.
  const earlier = options.compare === undefined ? undefined : readReport(options.compare);
  const progress = new Progress(context);
  const report = await runBench(asked, (text) => progress.step(text), context.signal).catch((error: unknown) => {
    if (!context.signal.aborted) throw error;
  });
  if (report === undefined) {
    context.err("stopped before the end");
    return;
  }
  progress.done();
  if (options.plot !== undefined) writeFileSync(options.plot, plotReport(report));
  if (options.json === "-") {
    context.out(JSON.stringify(report, null, 2));
    return;
  }
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  context.out(renderReport(report));
  if (earlier !== undefined) context.out(renderComparison(report, earlier));
}

/** What `--json` wrote. */
function readReport(path: string): BenchReport {
  try {
    const report = JSON.parse(readFileSync(path, "utf8")) as BenchReport;
    if (report.version === 1 && Array.isArray(report.workloads)) return report;
  } catch (cause) {
    throw benchError("BENCH_OPTIONS", `${path} cannot be read as a report`, { path }, { cause });
  }
  throw benchError("BENCH_OPTIONS", `${path} is no report of this version`, { path });
}

function readWorkloads(text: string): readonly Profile[] {
  if (text === "none") return [];
  return text.split(",").map((name) => {
    const profile = PROFILES.find((known) => known === name.trim().toUpperCase());
    if (profile === undefined) throw new InvalidArgumentError(`want some of ${PROFILES.join(", ")}, or none`);
    return profile;
  });
}

function readCounts(text: string): readonly number[] {
  return text.split(",").map((part) => {
    const count = Number(part);
    if (!Number.isInteger(count) || count < 1 || count > EXECUTORS_MAX)
      throw new InvalidArgumentError(`want numbers from 1 to ${EXECUTORS_MAX} with commas between them`);
    return count;
  });
}

const readCountsOrNone = (text: string): readonly number[] => (text === "0" ? [] : readCounts(text));

function readTimes(text: string): readonly number[] {
  return text.split(",").map((part) => {
    const ms = Number(part);
    if (!(ms > 0 && ms <= 1_000))
      throw new InvalidArgumentError("want milliseconds, above 0 and up to 1000, with commas between them");
    return ms;
  });
}
