import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { type Endpoint, FailoverRpc } from "./failover-rpc.ts";
import { l1Error } from "./l1.ts";

type Fake = Endpoint & { answers: (() => unknown) | undefined; calls: number };

function fake(name: string): Fake {
  const endpoint: Fake = {
    name,
    answers: () => name,
    calls: 0,
    rpc: {
      call: async () => {
        endpoint.calls++;
        if (endpoint.answers === undefined) throw l1Error("L1_ENDPOINT_DOWN", "armed", {});
        return endpoint.answers();
      },
    },
  };
  return endpoint;
}

function rig() {
  const state = { nowMs: 0 };
  const clock: Clock = { nowMs: () => state.nowMs, sleep: async () => undefined };
  const [a, b] = [fake("a"), fake("b")];
  const metrics = new Metrics();
  const rpc = new FailoverRpc({ endpoints: [a, b], metrics, log: silentLog, clock });
  return { state, a, b, rpc, metrics };
}

test("the next endpoint serves while the first is down, and the first again when it is back", async () => {
  const { state, a, b, rpc, metrics } = rig();
  assert.equal(await rpc.call("x", []), "a");
  a.answers = undefined;
  assert.equal(await rpc.call("x", []), "b");
  assert.equal(rpc.serving, "b");
  const callsToA = a.calls;
  assert.equal(await rpc.call("x", []), "b");
  assert.equal(a.calls, callsToA, "a resting endpoint is left alone");
  a.answers = () => "a";
  state.nowMs = 1_001;
  assert.equal(await rpc.call("x", []), "a");
  assert.equal(rpc.serving, "a");
  assert.match(await metrics.registry.metrics(), /l1_endpoint_serving\{endpoint="a"\} 1/);
  assert.ok(b.calls > 0);
});

test("an endpoint that fails again rests longer, up to a bound", async () => {
  const { state, a, rpc } = rig();
  a.answers = undefined;
  const rests: number[] = [];
  for (let i = 0; i < 9; i++) {
    const before = a.calls;
    let waited = 0;
    for (; a.calls === before; waited += 500) {
      await rpc.call("x", []);
      state.nowMs += 500;
    }
    rests.push(waited);
  }
  assert.ok((rests[3] as number) > (rests[1] as number));
  assert.ok(Math.max(...rests) <= 61_000);
});

test("what the chain answers is passed on, not blamed on the endpoint", async () => {
  const { a, b, rpc } = rig();
  a.answers = () => {
    throw l1Error("L1_REFUSED", "execution reverted", { reverted: true });
  };
  await assert.rejects(rpc.call("x", []), (e) => hasCode(e, "L1_REFUSED"));
  assert.equal(b.calls, 0);
});

test("when every endpoint is down the call fails with the fault, and recovers as soon as one answers", async () => {
  const { a, b, rpc } = rig();
  a.answers = undefined;
  b.answers = undefined;
  await assert.rejects(rpc.call("x", []), (e) => hasCode(e, "L1_ENDPOINT_DOWN"));
  b.answers = () => "b";
  assert.equal(await rpc.call("x", []), "b");
});
