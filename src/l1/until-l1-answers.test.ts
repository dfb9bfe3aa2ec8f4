import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, systemClock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import { l1Error } from "./l1.ts";
import { untilL1Answers } from "./until-l1-answers.ts";

const down = () => Promise.reject(l1Error("L1_ENDPOINT_DOWN", "no answer"));

/** A clock on which waiting takes no time. */
function fastClock(): Clock {
  let nowMs = systemClock.nowMs();
  return {
    ...{ nowMs: () => nowMs, monotonicMs: () => nowMs },
    sleep: (ms: number) => {
      nowMs += ms;
      return Promise.resolve();
    },
  } as Clock;
}

test("a start asks L1 again while it is away, and gives up with what it said last", async () => {
  const p = { log: silentLog, clock: fastClock() };
  let asked = 0;
  const answer = await untilL1Answers(() => (++asked < 5 ? down() : Promise.resolve("genesis")), p);
  assert.deepEqual([answer, asked], ["genesis", 5]);
  await assert.rejects(untilL1Answers(down, p), (error) => hasCode(error, "L1_ENDPOINT_DOWN"));
});

test("what no waiting heals ends a start at once", async () => {
  let asked = 0;
  const refused = (): Promise<never> => {
    asked++;
    return Promise.reject(l1Error("L1_WRONG_CHAIN", "another chain"));
  };
  await assert.rejects(untilL1Answers(refused, { log: silentLog, clock: fastClock() }));
  assert.equal(asked, 1);
});
