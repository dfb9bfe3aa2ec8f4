import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../base/error.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
import { L1Tracker } from "./l1-tracker.ts";
import { MemoryL1 } from "./memory-l1.ts";

const at = async (l1: MemoryL1, number: number): Promise<L1BlockInfo> => (await l1.block(number)) as L1BlockInfo;

async function drain(tracker: L1Tracker): Promise<void> {
  while ((await tracker.next()).kind !== "idle");
}

test("a restored follower unwinds a reorg that happened while it was down", async () => {
  const l1 = new MemoryL1();
  l1.mineMany(10);
  const first = new L1Tracker(l1, { from: [await at(l1, 0)] });
  await drain(first);
  l1.reorg(4);
  const restored = new L1Tracker(l1, { from: first.window });
  const step = await restored.next();
  assert.equal(step.kind, "reorg");
  assert.equal(step.kind === "reorg" && step.ancestor.number, 6);
  await drain(restored);
  assert.deepEqual(restored.tip.hash, (await at(l1, 10)).hash);
});

test("a reorg below the window is refused with a code, not followed", async () => {
  const l1 = new MemoryL1();
  l1.mineMany(400);
  const tracker = new L1Tracker(l1, { from: [await at(l1, 0)], windowMax: 16 });
  await drain(tracker);
  l1.reorg(399);
  await assert.rejects(tracker.next(), (error) => hasCode(error, "L1_REORG_TOO_DEEP"));
});

test("blocks are handed out only with the wanted number of confirmations", async () => {
  const l1 = new MemoryL1();
  l1.mineMany(10);
  const tracker = new L1Tracker(l1, { from: [await at(l1, 0)], confirmations: 3 });
  await drain(tracker);
  assert.equal(tracker.tip.number, 7);
  l1.reorg(2);
  assert.equal((await tracker.next()).kind, "idle");
});

test("a node that lags behind is not a reorg", async () => {
  const l1 = new MemoryL1();
  l1.mineMany(5);
  const tracker = new L1Tracker(l1, { from: [await at(l1, 0)] });
  await drain(tracker);
  const lagging = await at(l1, 3);
  const reader = Object.create(l1) as MemoryL1;
  reader.head = async () => lagging;
  reader.block = async (ref) => (typeof ref === "number" && ref > 3 ? undefined : l1.block(ref));
  const behind = new L1Tracker(reader, { from: tracker.window });
  assert.equal((await behind.next()).kind, "idle");
});

test("finality is never above the tip of the follower and never on another fork", async () => {
  const l1 = new MemoryL1();
  l1.mineMany(20);
  const tracker = new L1Tracker(l1, { from: [await at(l1, 0)], aheadMax: 5 });
  for (let i = 0; i < 5; i++) await tracker.next();
  assert.equal((await tracker.finality()).finalized?.number, 5);
  await drain(tracker);
  const { safe, finalized } = await tracker.finality();
  assert.equal(safe?.number, 19);
  assert.equal(finalized?.number, 18);
  l1.reorg(8);
  assert.equal((await tracker.finality()).finalized, undefined);
});
