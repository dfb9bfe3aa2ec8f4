/**
 * Story: of two publishers and two proposers in processes of their own the one that works is killed, and a publisher is
 * stopped and goes on later. The other one has its lease each time, clients feel nothing, L1 takes no content for a
 * place that was taken, and what was accepted is in the chain, once. The long form is `npm run failover`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { runFailover } from "../../src/chaos/failover.ts";
import { buildStale } from "../../src/devnet/build.ts";
import { natsMissing } from "../../src/log/nats-cluster.ts";

test("publishers and proposers take each other's place", { skip: natsMissing() }, async (t) => {
  await buildStale();
  const stop = new AbortController();
  t.after(() => stop.abort());
  const report = await runFailover({
    counts: { "kill-publisher": 1, "stop-publisher": 1, "kill-proposer": 1 },
    seed: Math.floor(Math.random() * 2 ** 31),
    clock: systemClock,
    signal: stop.signal,
    onEvent: (what) => t.diagnostic(what),
  });
  t.diagnostic(`seed ${report.seed}, accepted ${report.accepted}`);
  const { lost, doubled, forked, ended, reverted } = report;
  assert.deepEqual(
    { lost, doubled, forked, ended, reverted },
    { lost: 0, doubled: 0, forked: 0, ended: [], reverted: 0 },
  );
  assert.equal(report.gaps.length, 3);
  assert.ok(report.accepted > 0);
});
