/**
 * Story: the short form of the drills. A leader is killed under load, and an L1 endpoint dies; every invariant of the
 * catalogue holds. How fast it recovered is the long form's to judge (`sheaf chaos run all`): it depends on the machine.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { findScenarios } from "../../src/chaos/catalogue.ts";
import { runDrill } from "../../src/chaos/drill.ts";
import { missingFor } from "../../src/chaos/network.ts";
import { INVARIANTS } from "../../src/chaos/scenario.ts";
import { buildStale } from "../../src/devnet/build.ts";

const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(systemClock.nowMs() % 1_000_000));

for (const name of ["kill-leader", "l1-endpoint-dies"]) {
  const [scenario] = findScenarios(name);
  assert.ok(scenario !== undefined);
  test(`drill ${name}: all invariants hold`, { skip: missingFor(scenario.shape) ?? false }, async (t) => {
    await buildStale();
    console.log(`drill ${name}, seed ${seed}`);
    const signal = new AbortController().signal;
    const result = await runDrill(scenario, { seed, quick: true, patience: 20, signal });
    for (const { atSeconds, what } of result.timeline) t.diagnostic(`${atSeconds} s ${what}`);
    for (const { what, tookSeconds } of result.bounds) assert.ok(tookSeconds !== undefined, `${what} never`);
    for (const [letter, meaning] of Object.entries(INVARIANTS)) {
      // Whether an alarm was in time is a matter of the machine too.
      if (letter === "I") continue;
      const finding = result.invariants[letter as keyof typeof INVARIANTS];
      assert.ok(finding?.held, `${letter}, ${meaning}: ${finding?.text ?? result.reason ?? "not checked"}`);
    }
    assert.ok((result.load?.accepted ?? 0) > 20, "the load was a load");
  });
}
