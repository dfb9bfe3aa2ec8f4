import assert from "node:assert/strict";
import { test } from "node:test";
import { StageClock } from "./stage-clock.ts";

test("stages are exclusive, nest by entering what was left, and add up", () => {
  let now = 100;
  const clock = new StageClock(() => now);
  now += 1;
  clock.enter("plan");
  now += 5;
  const left = clock.enter("take");
  now += 7;
  clock.enter(left);
  now += 11;
  clock.enter("idle");
  now += 13;
  const taken = clock.take();
  assert.equal(clock.busyMicros, 23);
  assert.deepEqual([taken.plan, taken.take, taken.idle], [16, 7, 14]);
  now += 17;
  assert.equal(clock.take().idle, 17);
});

test("what is taken in the middle of a stage goes on in it", () => {
  let now = 0;
  const clock = new StageClock(() => now);
  clock.enter("deal");
  now += 2;
  assert.equal(clock.take().deal, 2);
  now += 3;
  assert.equal(clock.take().deal, 3);
});
