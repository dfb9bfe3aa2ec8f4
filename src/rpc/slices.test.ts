import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { Slices } from "./slices.ts";

test("between two turns of the event loop one slice is given, in the order they were asked for", async () => {
  const slices = new Slices(systemClock);
  let turn = 0;
  let done = false;
  const count = (): void => {
    turn++;
    if (!done) setImmediate(count);
  };
  setImmediate(count);
  const given: { task: number; turn: number }[] = [];
  await Promise.all(
    Array.from({ length: 5 }, async (_, task) => {
      for (let i = 0; i < 20; i++) {
        await slices.next();
        given.push({ task, turn });
      }
    }),
  );
  done = true;
  assert.deepEqual(
    given.map((g) => g.task),
    Array.from({ length: 100 }, (_, i) => i % 5),
  );
  assert.equal(new Set(given.map((g) => g.turn)).size, 100);
});
