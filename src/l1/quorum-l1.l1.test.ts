/**
 * Three endpoints before one real L1, of which two must agree: whatever a single one does, what is read is L1's, and
 * what is read goes on.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { toHex } from "../base/bytes.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { Anvil } from "./anvil.ts";
import { joinL1, type L1Connection } from "./connect-l1.ts";
import { byHealth } from "./failover-rpc.ts";
import { FaultProxy, type Faults } from "./fault-proxy.ts";
import { JsonRpcClient } from "./json-rpc.ts";
import type { L1Log } from "./l1.ts";
import { L1Tracker } from "./l1-tracker.ts";
import { RpcL1 } from "./rpc-l1.ts";
import { allowPoster, type Settlement, startSettlement, until } from "./testing/settlement.ts";

type Rig = {
  readonly proxies: readonly [FaultProxy, FaultProxy, FaultProxy];
  readonly metrics: Metrics;
  readonly truth: RpcL1;
  readonly connect: (quorum?: number, clock?: Clock) => L1Connection;
};

/** The system's clock, further and further ahead. */
class SkippingClock implements Clock {
  #aheadMs = 0;
  skip(ms: number): void {
    this.#aheadMs += ms;
  }
  nowMs(): number {
    return systemClock.nowMs() + this.#aheadMs;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal);
  }
}

async function rig(t: TestContext, anvil: Anvil): Promise<Rig> {
  const start = async (): Promise<FaultProxy> => {
    const proxy = await FaultProxy.start(anvil.rpcUrl);
    t.after(() => proxy.stop());
    return proxy;
  };
  const proxies = [await start(), await start(), await start()] as const;
  const metrics = new Metrics();
  return {
    proxies,
    metrics,
    truth: new RpcL1(anvil.rpc, { chainId: anvil.chainId }),
    connect: (quorum = 2, clock = systemClock) =>
      joinL1(
        proxies.map((proxy, i) => ({
          name: `endpoint-${i}`,
          rpc: new JsonRpcClient({ url: proxy.url, timeoutMs: 3_000, answerSizeMaxBytes: 4 * 1024 * 1024 }),
        })),
        { chainId: anvil.chainId, quorum, checkHeaders: true, metrics, log: silentLog, clock },
      ),
  };
}

async function startAnvil(t: TestContext): Promise<Anvil> {
  const anvil = await Anvil.start();
  t.after(() => anvil.kill());
  return anvil;
}

async function valueOf(metrics: Metrics, name: string, labels: Record<string, string> = {}): Promise<number> {
  const metric = await metrics.registry.getSingleMetric(name)?.get();
  const values = metric?.values.filter((v) => Object.entries(labels).every(([k, l]) => v.labels[k] === l)) ?? [];
  return values.reduce((sum, v) => sum + v.value, 0);
}

/** What a single faulty endpoint may do while the other two are well. */
const SINGLE_FAULTS: Readonly<Record<string, Faults>> = {
  cut: { cut: true },
  silent: { silent: true },
  html: { garbage: "html" },
  truncated: { garbage: "truncated" },
  oversized: { garbage: "oversized" },
  unavailable: { garbage: "unavailable" },
  "rate limit": { garbage: "rate limit" },
  "another chain": { chainId: 1 },
  "head behind": { lagBlocks: 5 },
  "head stopped": { headMax: 2 },
  "a fork of its own": { forkAbove: 3 },
  "other fees": { excessBlobGas: 900_000_000n },
  "headers that are not theirs": {
    tamper: (method, _params, result) =>
      method.startsWith("eth_getBlockBy") && result !== null
        ? { ...(result as object), timestamp: "0x7fffffff" }
        : result,
  },
  "a head far ahead": {
    tamper: (method, _params, result) => (method === "eth_blockNumber" ? "0xffffff" : result),
  },
};

for (const [name, faults] of Object.entries(SINGLE_FAULTS))
  test(`one endpoint of three: ${name}; heads, blocks and runs are L1's`, async (t) => {
    const anvil = await startAnvil(t);
    await anvil.mine(9);
    const { proxies, truth, connect } = await rig(t, anvil);
    proxies[0].set(faults);
    const { reader } = connect();
    const head = await truth.head();
    assert.deepEqual(await reader.head(), head);
    assert.deepEqual(await reader.block(7), await truth.block(7));
    assert.deepEqual(await reader.block(head.hash), head);
    assert.deepEqual(await reader.blocks(0, 99), await truth.blocks(0, 99));
    assert.deepEqual(await reader.block("finalized"), await truth.block("finalized"));
    assert.equal(await reader.block(50), undefined);
    await anvil.mine(2);
    assert.equal((await reader.head()).number, 11);
  });

/** The first event of the inbox, and the block range around it. */
async function someEvent({ anvil, contracts, l1 }: Settlement): Promise<{ event: L1Log; head: number }> {
  await anvil.mine(2);
  const head = (await l1.head()).number;
  const filter = { fromBlock: Math.max(0, head - 10), toBlock: head, addresses: [contracts.inbox], topics: [] };
  const [event] = await l1.logs(filter);
  assert.ok(event !== undefined);
  return { event, head };
}

test("a lying endpoint can neither invent an event, nor change one, nor leave one out", async (t) => {
  const settlement = await startSettlement(t);
  const { anvil, contracts } = settlement;
  await allowPoster(settlement, true);
  const { event, head } = await someEvent(settlement);
  const { proxies, truth, connect, metrics } = await rig(t, anvil);
  const short = { fromBlock: event.blockNumber, toBlock: head, addresses: [contracts.inbox], topics: [] };
  const long = { fromBlock: 0, toBlock: head, addresses: [contracts.inbox], topics: [] };
  const wanted = await truth.logs(short);
  assert.ok(wanted.length > 0);
  const all = await truth.logs(long);

  type Change = (logs: Record<string, unknown>[]) => Record<string, unknown>[];
  const lies: Readonly<Record<string, Change>> = {
    leaves_out: () => [],
    changes: (logs) => logs.map((log) => ({ ...log, data: `${String(log["data"]).slice(0, -2)}77` })),
    invents: (logs) => [...logs, { ...logs[0], logIndex: "0x3" }],
    renames: (logs) => logs.map((log) => ({ ...log, transactionHash: `0x${"ab".repeat(32)}` })),
  };
  for (const [name, change] of Object.entries(lies)) {
    const tamper: NonNullable<Faults["tamper"]> = (method, _params, result) => {
      if (method === "eth_getLogs") return change(result as Record<string, unknown>[]);
      if (method !== "eth_getBlockReceipts" || result === null) return result;
      return (result as Record<string, unknown>[]).map((receipt) => {
        const logs = receipt["logs"] as Record<string, unknown>[];
        const changed: Record<string, unknown> = { ...receipt, logs: logs.length === 0 ? logs : change(logs) };
        if (name === "renames") changed["transactionHash"] = `0x${"ab".repeat(32)}`;
        return changed;
      });
    };
    for (const liar of [0, 1, 2] as const) {
      for (const proxy of proxies) proxy.set();
      proxies[liar].set({ tamper });
      const { reader } = connect();
      assert.deepEqual(await reader.logs(short), wanted, `${name}, near the head, endpoint ${liar}`);
      assert.deepEqual(
        await reader.logs({ blockHash: event.blockHash, addresses: [contracts.inbox], topics: [] }),
        wanted.filter((log) => log.blockNumber === event.blockNumber),
        `${name}, by hash, endpoint ${liar}`,
      );
      assert.deepEqual(await reader.logs(long), all, `${name}, history, endpoint ${liar}`);
    }
  }
  assert.ok((await valueOf(metrics, "l1_endpoint_requests_total", { result: "fault" })) > 0);

  // Two of three that tell the same lie about history are still caught near the head, where receipts are proven.
  const tamper: NonNullable<Faults["tamper"]> = (method, _params, result) =>
    method === "eth_getBlockReceipts" || method === "eth_getLogs" ? [] : result;
  proxies[0].set({ tamper });
  proxies[1].set({ tamper });
  proxies[2].set();
  await assert.rejects(connect().reader.logs(short), (e) => hasCode(e, "L1_NO_QUORUM"));
});

test("without a quorum nothing is believed, and when it is back everything goes on", async (t) => {
  const anvil = await startAnvil(t);
  await anvil.mine(5);
  const { proxies, truth, connect, metrics } = await rig(t, anvil);
  proxies[0].set({ cut: true });
  proxies[1].set({ forkAbove: 2 });
  const { reader } = connect();
  await assert.rejects(reader.block(5), (e) => hasCode(e, "L1_NO_QUORUM"));
  assert.ok((await valueOf(metrics, "l1_quorum_failures_total")) > 0);
  // The fork begins above block 2: up to there the two are of one mind.
  assert.equal((await reader.head()).number, 2);
  proxies[1].set();
  assert.deepEqual(await connect().reader.head(), await truth.head());
});

test("a tracker on a quorum goes on through faults that wander from endpoint to endpoint, and through reorgs", async (t) => {
  const anvil = await startAnvil(t);
  await anvil.mine(4);
  const { proxies, truth, connect } = await rig(t, anvil);
  const { reader } = connect();
  const genesis = await truth.block(0);
  assert.ok(genesis !== undefined);
  const tracker = new L1Tracker(reader, { from: [genesis] });
  let tip = genesis.hash;
  let reorgs = 0;
  const follow = async (): Promise<void> => {
    const head = await truth.head();
    await until(async () => {
      try {
        for (;;) {
          const step = await tracker.next();
          if (step.kind === "idle") break;
          if (step.kind === "block") {
            assert.deepEqual(step.block.parentHash, tip);
            tip = step.block.hash;
          } else {
            reorgs++;
            tip = step.ancestor.hash;
          }
        }
      } catch (error) {
        assert.ok(
          hasCode(error, "L1_NO_QUORUM") || hasCode(error, "L1_INCONSISTENT") || hasCode(error, "L1_ENDPOINT_DOWN"),
          String(error),
        );
      }
      return toHex(tracker.tip.hash) === toHex(head.hash);
    });
  };
  const kinds = Object.values(SINGLE_FAULTS).filter((f) => f.silent !== true);
  for (const [i, faults] of kinds.entries()) {
    for (const proxy of proxies) proxy.set();
    (proxies[i % 3] as FaultProxy).set(faults);
    if (i % 4 === 3) await anvil.reorg(2);
    else await anvil.mine(2);
    await follow();
  }
  assert.ok(reorgs > 0);
});

test("the endpoint that is killed does not answer any more, the next one does, and metrics tell which", async (t) => {
  const anvil = await startAnvil(t);
  const { proxies, connect, metrics } = await rig(t, anvil);
  const { rpc } = connect(1);
  await rpc.call("eth_gasPrice", []);
  assert.equal(rpc.serving, "endpoint-0");
  proxies[0].set({ cut: true });
  const before = proxies[0].answeredTotal;
  for (let i = 0; i < 20; i++) await rpc.call("eth_gasPrice", []);
  assert.equal(rpc.serving, "endpoint-1");
  assert.equal(proxies[0].answeredTotal, before);
  assert.equal(proxies[1].answered.get("eth_gasPrice"), 20);
  assert.equal(await valueOf(metrics, "l1_endpoint_serving", { endpoint: "endpoint-1" }), 1);
  assert.equal(await valueOf(metrics, "l1_endpoint_up", { endpoint: "endpoint-0" }), 0);
  proxies[0].set();
  await until(async () => {
    await rpc.call("eth_gasPrice", []);
    return rpc.serving === "endpoint-0";
  });
});

test("an endpoint on a fork of its own is found though the others agree, asked last, and taken back", async (t) => {
  const anvil = await startAnvil(t);
  await anvil.rpc.call("anvil_mine", ["0xa"]);
  const { proxies, metrics, connect } = await rig(t, anvil);
  proxies[0].set({ forkAbove: 1 });
  const clock = new SkippingClock();
  const { reader, endpoints } = connect(2, clock);
  const diverging = (i: number): Promise<number> =>
    valueOf(metrics, "l1_endpoint_diverging", { endpoint: `endpoint-${i}` });
  const look = async (): Promise<void> => {
    clock.skip(6_000);
    await anvil.rpc.call("anvil_mine", ["0x1"]);
    await reader.head();
  };
  await until(async () => {
    await look();
    return (await diverging(0)) === 1;
  });
  assert.ok((await valueOf(metrics, "l1_endpoint_divergences_total", { endpoint: "endpoint-0" })) > 0);
  assert.deepEqual([await diverging(1), await diverging(2)], [0, 0]);
  assert.equal(byHealth(endpoints).at(-1)?.name, "endpoint-0");
  proxies[0].set({});
  await until(async () => {
    await look();
    return (await diverging(0)) === 0;
  });
});

test("an endpoint whose head stands still is asked last", async (t) => {
  const anvil = await startAnvil(t);
  await anvil.mine(30);
  const { proxies, connect } = await rig(t, anvil);
  proxies[0].set({ headMax: 3 });
  const { rpc, reader, endpoints } = connect();
  await until(async () => {
    await reader.head();
    return endpoints[0]?.headNumber === 3;
  });
  assert.equal(Number(await rpc.call("eth_blockNumber", [])), 30);
  assert.equal(rpc.serving, "endpoint-1");
});
