import assert from "node:assert/strict";
import { test } from "node:test";
import { SteadyClock } from "./clock.ts";

function clocks() {
  const time = { wallMs: 1_000_000, monotonicMs: 50 };
  const clock = new SteadyClock(
    () => time.wallMs,
    () => time.monotonicMs,
  );
  const pass = (ms: number): void => {
    time.wallMs += ms;
    time.monotonicMs += ms;
  };
  return { time, clock, pass };
}

test("time goes with the wall clock while that goes steadily", () => {
  const { clock, pass } = clocks();
  assert.equal(clock.nowMs(), 1_000_000);
  pass(1_234);
  assert.equal(clock.nowMs(), 1_001_234);
  assert.equal(clock.jumpMs(), 0);
});

test("small differences are worked off slowly and time never goes back", () => {
  for (const byMs of [-900, 900]) {
    const { time, clock, pass } = clocks();
    clock.nowMs();
    time.wallMs += byMs;
    let before = clock.nowMs();
    assert.equal(before, 1_000_000, "no time passed");
    for (let i = 0; i < 200; i++) {
      pass(100);
      const now = clock.nowMs();
      const step = now - before;
      assert.ok(step >= 94 && step <= 106, `a step of ${step}`);
      before = now;
    }
    assert.ok(Math.abs(before - time.wallMs) <= 1, "together again");
  }
});

test("jumps are told and not followed unless asked", () => {
  for (const byMs of [-3_600_000, 20_000, 3_600_000]) {
    const { time, clock, pass } = clocks();
    time.wallMs += byMs;
    pass(500);
    assert.equal(clock.nowMs(), 1_000_500);
    assert.equal(clock.jumpMs(), byMs);
    clock.followJump();
    assert.equal(clock.nowMs(), time.wallMs);
    assert.equal(clock.jumpMs(), 0);
  }
});
