/** Owns the list of all drills, in the order in which `sheaf chaos run all` goes through them. */
import type { Scenario } from "./scenario.ts";
import { L1_SCENARIOS } from "./scenarios/l1.ts";
import { LEADER_SCENARIOS } from "./scenarios/leader.ts";
import { LOG_SCENARIOS } from "./scenarios/log.ts";
import { MACHINE_SCENARIOS } from "./scenarios/machine.ts";

export const SCENARIOS: readonly Scenario[] = [
  ...LEADER_SCENARIOS,
  ...L1_SCENARIOS,
  ...LOG_SCENARIOS,
  ...MACHINE_SCENARIOS,
];

/** The drill of a name (`kill-leader`) or of the catalogue's ids (`C02`: several may share one). */
export function findScenarios(nameOrId: string): readonly Scenario[] {
  const wanted = nameOrId.toLowerCase();
  return SCENARIOS.filter((s) => wanted === "all" || s.name === wanted || s.id.toLowerCase() === wanted);
}
