/**
 * Owns one drill from an empty folder to its verdict: a network of the scenario's shape, load on it, the steps, then the
 * check of all invariants. The same seed makes the same choices; what real processes make of them differs, as it does in
 * the field. A drill leaves no process behind; its folder is kept only where it failed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../base/clock.ts";
import { checkInvariants, type Findings } from "./invariants.ts";
import { Load, type LoadFigures } from "./load.ts";
import { ChaosNetwork, missingFor } from "./network.ts";
import { seededRandom } from "./random.ts";
import { INVARIANTS, type Invariant, type Scenario } from "./scenario.ts";
import { describeCondition, Steps } from "./steps.ts";
import { Watch } from "./watch.ts";

/** Load before the first step: users are at work, segments and outputs are on L1. */
const WARM_UP_SECONDS_MAX = 300;
/** Transactions confirmed before the first step, that what follows is a fault under load. */
const WARM_UP_CONFIRMED = 30;
/** A bound that is passed fails the drill; what it waits for is waited for so many times longer, to know how late. */
const PATIENCE = 3;

export type TimelineEntry = { readonly atSeconds: number; readonly what: string };
/** A bound that a step set, and what became of it. */
export type Bound = {
  readonly what: string;
  readonly kind: "step" | "alarm" | "recovery";
  readonly boundSeconds: number;
  /** Undefined: it passed. */
  readonly tookSeconds: number | undefined;
};

export type DrillResult = {
  readonly name: string;
  readonly id: string;
  readonly from: string;
  readonly summary: string;
  readonly simulated: string | undefined;
  readonly seed: number;
  readonly verdict: "passed" | "failed" | "skipped";
  /** Why it failed or was skipped, in one line. */
  readonly reason: string | undefined;
  readonly seconds: number;
  readonly timeline: readonly TimelineEntry[];
  readonly bounds: readonly Bound[];
  readonly invariants: Findings;
  readonly exempt: Scenario["exempt"];
  readonly load: LoadFigures | undefined;
  readonly memoryMaxBytes: number;
  /** Times a node ended though nobody killed it. */
  readonly restarts: number;
  /** Logs of all processes; only of a drill that failed. */
  readonly folder: string | undefined;
};

export type DrillOptions = {
  readonly seed: number;
  readonly quick: boolean;
  /** Default {@link PATIENCE}. */
  readonly patience?: number;
  readonly signal: AbortSignal;
  readonly onEvent?: (entry: TimelineEntry) => void;
  readonly clock?: Clock;
};

export async function runDrill(scenario: Scenario, options: DrillOptions): Promise<DrillResult> {
  const clock = options.clock ?? systemClock;
  const { seed, signal, patience = PATIENCE } = options;
  const startMs = clock.nowMs();
  const timeline: TimelineEntry[] = [];
  const bounds: Bound[] = [];
  const about = {
    ...{ name: scenario.name, id: scenario.id, from: scenario.from, summary: scenario.summary, seed },
    ...{ simulated: scenario.simulated, exempt: scenario.exempt },
  };
  const elapsed = (): number => Math.round((clock.nowMs() - startMs) / 100) / 10;
  const event = (what: string): void => {
    const entry = { atSeconds: elapsed(), what };
    timeline.push(entry);
    options.onEvent?.(entry);
  };
  const missing = missingFor(scenario.shape);
  if (missing !== undefined)
    return {
      ...{ ...about, verdict: "skipped", reason: missing, seconds: 0, timeline, bounds, invariants: {} },
      ...{ load: undefined, memoryMaxBytes: 0, restarts: 0, folder: undefined },
    };
  const folder = mkdtempSync(join(tmpdir(), `sheaf-chaos-${scenario.name}-`));
  const random = seededRandom(seed);
  let network: ChaosNetwork | undefined;
  let load: Load | undefined;
  let watch: Watch | undefined;
  let invariants: Findings = {};
  let failure: string | undefined;
  try {
    event("starting the network");
    network = await ChaosNetwork.start(scenario.shape, { folder, random, clock, onEvent: event, signal });
    load = new Load(network, random, clock);
    watch = new Watch(network, clock, event);
    watch.start();
    load.start();
    const steps = new Steps({ network, load, watch, random, clock, signal, event });
    const warm = await steps.until({ probe: "safe" }, WARM_UP_SECONDS_MAX * 1_000);
    if (warm === undefined) throw new Error(`nothing reached L1 in ${WARM_UP_SECONDS_MAX} s before any fault`);
    while (load.confirmedCount < WARM_UP_CONFIRMED) {
      if (signal.aborted || elapsed() > WARM_UP_SECONDS_MAX)
        throw new Error(`${load.confirmedCount} confirmations in ${WARM_UP_SECONDS_MAX} s before any fault`);
      await clock.sleep(50, signal);
    }
    event("load is on, and what it makes reaches L1");
    const marks = { fault: clock.nowMs(), heal: clock.nowMs() };
    for (const step of options.quick ? (scenario.quickSteps ?? scenario.steps) : scenario.steps) {
      if (signal.aborted) throw new Error("stopped");
      if (step.do === "mark") {
        marks[step.as] = clock.nowMs();
        event(step.as === "fault" ? "the fault begins" : "the fault is over");
      } else if (step.do === "until") {
        const what = describeCondition(step.holds);
        const kind = step.recoveryFrom !== undefined ? "recovery" : step.alarm === true ? "alarm" : "step";
        const sinceMs = step.recoveryFrom === undefined ? clock.nowMs() : marks[step.recoveryFrom];
        const took = await steps.until(step.holds, patience * 1_000 * step.withinSeconds);
        const tookSeconds = took === undefined ? undefined : Math.round((clock.nowMs() - sinceMs) / 100) / 10;
        bounds.push({ what, kind, boundSeconds: step.withinSeconds, tookSeconds });
        event(
          tookSeconds === undefined
            ? `NOT within ${patience * step.withinSeconds} s: ${what}`
            : `${what}, after ${tookSeconds} s`,
        );
        if (tookSeconds === undefined && kind !== "alarm")
          throw new Error(`not within ${patience * step.withinSeconds} s: ${what}`);
      } else await steps.run(step);
    }
    event("stopping the load");
    await load.stop();
    event("checking the invariants");
    const resolved = await steps.until({ ready: true }, patience * 20_000);
    invariants = await checkInvariants({ network, load, watch, clock, signal, patience, event });
    invariants["I"] = alarmFinding(bounds, resolved !== undefined, watch, network);
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
    event(`the drill ends: ${failure}`);
  }
  await load?.stop();
  await watch?.stop();
  const restarts = network?.nodes.reduce((sum, n) => sum + n.ends.length, 0) ?? 0;
  await network?.close().catch((error: unknown) => event(`closing: ${String(error)}`));
  failure ??= reasonOf(bounds, invariants, scenario);
  if (failure === undefined) rmSync(folder, { recursive: true, force: true });
  return {
    ...about,
    ...{ verdict: failure === undefined ? "passed" : "failed", reason: failure, seconds: elapsed(), timeline, bounds },
    ...{ invariants, load: load?.figures(), memoryMaxBytes: watch?.memoryMaxBytes ?? 0, restarts },
    folder: failure === undefined ? undefined : folder,
  };
}

/** I: every alarm in its bound, and all quiet at the end. */
function alarmFinding(
  bounds: readonly Bound[],
  resolved: boolean,
  watch: Watch,
  network: ChaosNetwork,
): { held: boolean; text: string } {
  const alarms = bounds.filter((b) => b.kind === "alarm");
  const late = alarms.find((b) => b.tookSeconds === undefined || b.tookSeconds > b.boundSeconds);
  if (late !== undefined)
    return {
      held: false,
      text: `${late.what}: ${late.tookSeconds === undefined ? "never" : `after ${late.tookSeconds} s`}, bound ${late.boundSeconds} s`,
    };
  if (!resolved)
    return {
      held: false,
      text: `still not ready: ${network.nodes.flatMap((_, i) => Object.values(watch.waiting(i))).join("; ")}`,
    };
  return {
    held: true,
    text: `${alarms.length === 0 ? "no alarm is due" : alarms.map((b) => `${b.what} after ${b.tookSeconds} s`).join("; ")}; all ready at the end`,
  };
}

function reasonOf(bounds: readonly Bound[], invariants: Findings, scenario: Scenario): string | undefined {
  for (const { what, tookSeconds, boundSeconds, kind } of bounds)
    if (kind !== "alarm" && tookSeconds !== undefined && tookSeconds > boundSeconds)
      return `${what} took ${tookSeconds} s, the bound is ${boundSeconds} s`;
  for (const name of Object.keys(INVARIANTS) as Invariant[]) {
    const finding = invariants[name];
    if (scenario.exempt?.[name] !== undefined) continue;
    if (finding === undefined) return `invariant ${name} was not checked`;
    if (!finding.held) return `invariant ${name}: ${finding.text}`;
  }
  return undefined;
}
