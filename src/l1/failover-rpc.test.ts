import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { joinL1 } from "./connect-l1.ts";
import type { JsonRpc } from "./json-rpc.ts";
import { l1Error } from "./l1.ts";

type Fake = {
  readonly name: string;
  readonly rpc: JsonRpc;
  answers: (() => unknown) | undefined;
  chainId: string;
  /** Calls but those for the chain id and the head. */
  calls: number;
};

function fake(name: string): Fake {
  const endpoint: Fake = {
    name,
    answers: () => name,
    chainId: "0x1",
    calls: 0,
    rpc: {
      call: async (method) => {
        if (endpoint.answers === undefined) throw l1Error("L1_ENDPOINT_DOWN", "armed", {});
        if (method === "eth_chainId") return endpoint.chainId;
        if (method === "eth_blockNumber") return "0x5";
        endpoint.calls++;
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
  const { rpc, endpoints } = joinL1([a, b], {
    chainId: 1,
    quorum: 1,
    checkHeaders: true,
    metrics,
    log: silentLog,
    clock,
  });
  const probed = async (): Promise<void> => {
    for (const e of endpoints) await e.probed();
  };
  return { state, a, b, rpc, metrics, probed };
}

test("the next endpoint serves while the first is down, and the first again when a probe found it well", async () => {
  const { state, a, b, rpc, metrics, probed } = rig();
  assert.equal(await rpc.call("x", []), "a");
  a.answers = undefined;
  assert.equal(await rpc.call("x", []), "b");
  assert.equal(rpc.serving, "b");
  const callsToA = a.calls;
  assert.equal(await rpc.call("x", []), "b");
  a.answers = () => "a";
  assert.equal(await rpc.call("x", []), "b", "a resting endpoint is left alone");
  assert.equal(a.calls, callsToA);
  state.nowMs = 1_001;
  assert.equal(await rpc.call("x", []), "b", "nobody waits for the probe");
  await probed();
  assert.equal(await rpc.call("x", []), "a");
  assert.equal(rpc.serving, "a");
  const text = await metrics.registry.metrics();
  assert.match(text, /l1_endpoint_serving\{endpoint="a"\} 1/);
  assert.match(text, /l1_endpoint_requests_total\{endpoint="b",result="ok"\} [3-9]/);
  assert.ok(b.calls > 0);
});

test("an endpoint that fails again and again is probed more and more rarely, up to a bound", async () => {
  const { state, a, rpc, probed } = rig();
  const seen = { probes: 0 };
  a.answers = undefined;
  const inner = a.rpc.call.bind(a.rpc);
  a.rpc.call = (method, params) => {
    if (method === "eth_blockNumber") seen.probes++;
    return inner(method, params);
  };
  const waits: number[] = [];
  for (let i = 0; i < 9; i++) {
    const before = seen.probes;
    let waitedMs = 0;
    for (; seen.probes === before; waitedMs += 500) {
      state.nowMs += 500;
      await rpc.call("x", []);
      await probed();
    }
    waits.push(waitedMs);
  }
  assert.ok((waits[3] as number) > (waits[1] as number));
  assert.ok(Math.max(...waits) <= 61_000);
});

test("an endpoint of another chain is refused, before anything of it is used and also later", async () => {
  const { state, a, b, rpc, probed } = rig();
  a.chainId = "0x2";
  assert.equal(await rpc.call("x", []), "b");
  assert.equal(a.calls, 0);
  b.chainId = "0x3";
  state.nowMs = 15_001;
  await rpc.call("x", []);
  await probed();
  await assert.rejects(rpc.call("x", []), (e) => hasCode(e, "L1_WRONG_CHAIN"));
  a.chainId = "0x1";
  assert.equal(await rpc.call("x", []), "a");
});

test("an answer of another shape than the method's is a fault of the endpoint", async () => {
  const { a, b, rpc } = rig();
  a.answers = () => "many";
  b.answers = () => "0x7";
  assert.equal(await rpc.call("eth_getBalance", []), "0x7");
  assert.equal(rpc.serving, "b");
});

test("a nonce is what a quorum has reached, a transaction goes to all, a receipt is looked for everywhere", async () => {
  const parts = [fake("a"), fake("b"), fake("c")] as const;
  const metrics = new Metrics();
  const { rpc } = joinL1(parts, { chainId: 1, quorum: 2, checkHeaders: true, metrics, log: silentLog });
  for (const [i, nonce] of ["0x99", "0x7", "0x5"].entries()) (parts[i] as Fake).answers = () => nonce;
  assert.equal(await rpc.call("eth_getTransactionCount", []), "0x7");
  const hash = `0x${"11".repeat(32)}`;
  for (const part of parts) {
    part.answers = () => hash;
    part.calls = 0;
  }
  assert.equal(await rpc.call("eth_sendRawTransaction", ["0x01"]), hash);
  assert.deepEqual(
    parts.map((p) => p.calls),
    [1, 1, 1],
  );
  for (const part of parts) part.answers = () => (part.name === "c" ? { status: "0x1" } : null);
  assert.deepEqual(await rpc.call("eth_getTransactionReceipt", [hash]), { status: "0x1" });
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
