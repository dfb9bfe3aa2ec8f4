import assert from "node:assert/strict";
import { test } from "node:test";
import { SteadyClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { ClockJumps } from "./clock-jumps.ts";

function world() {
  const time = { wallMs: 1_700_000_000_000, monotonicMs: 0, l1Ms: 1_700_000_000_000 };
  const clock = new SteadyClock(
    () => time.wallMs,
    () => time.monotonicMs,
  );
  const jumps = new ClockJumps(clock, silentLog);
  /** Time passes, in seconds; L1 makes a block every twelve. */
  const pass = (seconds: number): number => {
    let away = 0;
    for (let i = 0; i < seconds; i++) {
      time.wallMs += 1_000;
      time.monotonicMs += 1_000;
      if (i % 12 === 11) time.l1Ms = 1_700_000_000_000 + time.monotonicMs;
      away = jumps.check(time.l1Ms);
    }
    return away;
  };
  return { time, clock, jumps, pass };
}

test("a jump that L1 does not share is not followed", () => {
  for (const byMs of [-3_600_000, -20_000, 20_000, 3_600_000]) {
    const { time, clock, pass } = world();
    assert.equal(pass(60), 0);
    time.wallMs += byMs;
    assert.equal(pass(60), byMs);
    assert.equal(clock.nowMs(), 1_700_000_000_000 + 120_000);
    time.wallMs -= byMs;
    assert.equal(pass(1), 0, "it is put right");
  }
});

test("a wrong clock that is put right is followed, by the witness of L1", () => {
  const { time, clock, pass } = world();
  pass(60);
  // The clock this process started with was an hour ahead of everybody's.
  time.l1Ms -= 3_600_000;
  const l1 = (): void => {
    time.l1Ms = time.wallMs - 2_000;
  };
  time.wallMs -= 3_600_000;
  l1();
  pass(1);
  assert.equal(clock.nowMs(), time.wallMs);
});

test("an L1 that stands still is no witness", () => {
  const { time, clock, jumps, pass } = world();
  pass(60);
  const stuckMs = time.l1Ms;
  for (let i = 0; i < 600; i++) {
    time.wallMs += 1_000;
    time.monotonicMs += 1_000;
    jumps.check(stuckMs);
  }
  const beforeMs = clock.nowMs();
  time.wallMs -= 400_000;
  assert.equal(jumps.check(stuckMs), -400_000, "though the wall clock is nearer to it now");
  assert.equal(clock.nowMs(), beforeMs);
});
