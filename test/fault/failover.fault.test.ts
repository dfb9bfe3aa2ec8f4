/**
 * Story: of three nodes on three log servers the leader is killed, stopped, cut off from the servers and told to hand
 * over, under load. Another one goes on each time, the old one comes back behind it, and what was accepted is in one
 * chain that all have. The long form, with its figures, is `npm run failover`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { runFailover } from "../../src/chaos/failover.ts";
import { buildStale } from "../../src/devnet/build.ts";
import { natsMissing } from "../../src/log/nats-cluster.ts";

test("leaders come and go and nothing accepted is lost, doubled or forked", { skip: natsMissing() }, async (t) => {
  await buildStale();
  const stop = new AbortController();
  t.after(() => stop.abort());
  const report = await runFailover({
    counts: { kill: 1, stop: 1, cut: 1, "hand-over": 1 },
    seed: Math.floor(Math.random() * 2 ** 31),
    clock: systemClock,
    signal: stop.signal,
    onEvent: (what) => t.diagnostic(what),
  });
  t.diagnostic(`seed ${report.seed}, accepted ${report.accepted}`);
  const { lost, doubled, forked, ended } = report;
  assert.deepEqual({ lost, doubled, forked, ended }, { lost: 0, doubled: 0, forked: 0, ended: [] });
  assert.ok(report.accepted > 0);
});
