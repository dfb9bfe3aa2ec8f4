/** What Sheaf relies on in anvil, and the reader against a real node. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import { Anvil, type AnvilOptions } from "./anvil.ts";
import { type JsonRpc, readList } from "./json-rpc.ts";
import type { L1Log } from "./l1.ts";
import { L1Tracker } from "./l1-tracker.ts";
import { RpcL1 } from "./rpc-l1.ts";
import { startSettlement } from "./testing/settlement.ts";

async function start(t: TestContext, options: AnvilOptions = {}): Promise<Anvil> {
  const anvil = await Anvil.start(options);
  t.after(() => anvil.kill());
  return anvil;
}

const reader = (anvil: Anvil): RpcL1 => new RpcL1(anvil.rpc, { chainId: anvil.chainId });

test("blocks of a real node are read whole, by number, hash and tag, and their blob fee is the node's", async (t) => {
  const anvil = await start(t);
  await anvil.mine(5);
  const l1 = reader(anvil);
  await l1.checkChain();
  assert.equal(await l1.checkBlobSchedule(), true);
  const head = await l1.head();
  assert.equal(head.number, 5);
  assert.deepEqual(await l1.block(5), head);
  assert.deepEqual(await l1.block(head.hash), head);
  assert.equal((await l1.block("safe"))?.number, 4);
  assert.equal((await l1.block("finalized"))?.number, 3);
  assert.equal(await l1.block(99), undefined);
  assert.equal(await l1.block(new Uint8Array(32).fill(7)), undefined);
  const run = await l1.blocks(0, 99);
  assert.deepEqual(
    run.map((b) => b.number),
    [0, 1, 2, 3, 4, 5],
  );
});

test("another chain than the configured one is refused", async (t) => {
  const anvil = await start(t, { chainId: 77 });
  await assert.rejects(new RpcL1(anvil.rpc, { chainId: 1 }).checkChain(), (e) => hasCode(e, "L1_WRONG_CHAIN"));
});

test("logs of an unknown block hash are an error, never an empty answer", async (t) => {
  const anvil = await start(t);
  await assert.rejects(reader(anvil).logs({ blockHash: new Uint8Array(32).fill(1), addresses: [], topics: [] }), (e) =>
    hasCode(e, "L1_BLOCK_UNKNOWN"),
  );
});

test("a tracker follows reorgs of 1, 3 and 12 blocks of a real node back to the common ancestor", async (t) => {
  const anvil = await start(t);
  await anvil.mine(20);
  const l1 = reader(anvil);
  const genesis = await l1.block(0);
  assert.ok(genesis !== undefined);
  const tracker = new L1Tracker(l1, { from: [genesis] });
  const drain = async (): Promise<void> => {
    while ((await tracker.next()).kind !== "idle");
  };
  await drain();
  for (const depth of [1, 3, 12]) {
    const height = await anvil.blockNumber();
    await anvil.reorg(depth);
    const step = await tracker.next();
    assert.equal(step.kind, "reorg");
    assert.equal(step.kind === "reorg" && step.ancestor.number, height - depth);
    await drain();
    assert.deepEqual(tracker.tip.hash, (await l1.head()).hash);
  }
});

test("time goes on from now after a reorg", async (t) => {
  const anvil = await start(t, { blockTimeSeconds: 1 });
  await anvil.mine(3);
  await anvil.rpc.call("evm_increaseTime", [30]);
  await anvil.mine(1);
  await anvil.reorg(3);
  await anvil.mine(1);
  const head = await reader(anvil).head();
  assert.ok(Math.abs(head.timestamp - Date.now() / 1000) < 10, `L1 time ${head.timestamp} is now`);
});

test("the chain survives a clean stop, and a torn dump falls back to the last good one", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-anvil-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const statePath = join(folder, "l1.json");
  const first = await start(t, { statePath });
  await first.mine(4);
  const before = await reader(first).head();
  await first.stop();

  const second = await start(t, { statePath });
  assert.deepEqual((await reader(second).head()).hash, before.hash);
  await second.mine(2);
  await second.kill();

  writeFileSync(statePath, '{"block": {"number": "0x');
  const third = await start(t, { statePath });
  assert.deepEqual((await reader(third).head()).hash, before.hash);
});

test("block 0 stays the same over many starts", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-anvil-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const statePath = join(folder, "l1.json");
  const hashes: string[] = [];
  for (let i = 0; i < 6; i++) {
    const anvil = await start(t, { statePath });
    await anvil.mine(1);
    hashes.push(((await anvil.rpc.call("eth_getBlockByNumber", ["0x0", false])) as { hash: string }).hash);
    // Block 0 tells the second of its start.
    const startedMs = Date.now();
    while (Math.floor(Date.now() / 1_000) === Math.floor(startedMs / 1_000)) await systemClock.sleep(20);
    await anvil.stop();
  }
  assert.equal(new Set(hashes).size, 1, hashes.join(" "));
});

test("a port that is taken is a coded error, not a wrong L1", async (t) => {
  const anvil = await start(t);
  await assert.rejects(Anvil.start({ port: anvil.port }), (e) => hasCode(e, "ANVIL_START"));
  assert.ok(readList(await anvil.rpc.call("eth_accounts", []), "accounts").length === 10);
});

test("an endpoint that leaves events out, or is behind, is found out near the head", async (t) => {
  const { anvil, contracts } = await startSettlement(t);
  await anvil.mine(2);
  let lie: "nothing" | "no events" | "behind" = "nothing";
  const hidden = await anvil.blockNumber();
  const rpc: JsonRpc = {
    call: async (method, params) => {
      if (lie === "no events" && method === "eth_getBlockReceipts") return [];
      if (lie === "behind" && method === "eth_getBlockByNumber" && Number(params[0]) === hidden) return null;
      return anvil.rpc.call(method, params);
    },
  };
  const fresh = (): RpcL1 => new RpcL1(rpc, { chainId: anvil.chainId });
  const head = await fresh().head();
  const whole = {
    fromBlock: Math.max(0, head.number - 10),
    toBlock: head.number,
    addresses: [contracts.inbox],
    topics: [],
  };
  const events = await fresh().logs(whole);
  assert.ok(events.length > 0);
  const event = events[0] as L1Log;
  lie = "no events";
  const malformed = (e: unknown): boolean => hasCode(e, "L1_ENDPOINT_MALFORMED");
  await assert.rejects(fresh().logs(whole), malformed);
  await assert.rejects(
    fresh().logs({ blockHash: event.blockHash, addresses: [contracts.inbox], topics: [] }),
    malformed,
  );
  // Nothing is announced for an address without events: the empty answer is the truth.
  assert.deepEqual(await fresh().logs({ ...whole, addresses: [new Uint8Array(20).fill(0x77)] }), []);
  lie = "behind";
  const behind = fresh();
  await behind.head();
  await assert.rejects(behind.logs({ ...whole, addresses: [new Uint8Array(20).fill(0x77)] }), (e) =>
    hasCode(e, "L1_INCONSISTENT"),
  );
});
