import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../base/error.ts";
import type { L1Reader } from "../l1/l1.ts";
import { MemoryL1 } from "../l1/memory-l1.ts";
import { L1Feed } from "./l1-feed.ts";
import { CONTRACTS, depositTransaction } from "./testing/l1-world.ts";

const from = new Uint8Array(20).fill(0xdd);
const deposit = { transactions: [depositTransaction({ from, mintWei: 1n })] };

async function feedOf(l1: MemoryL1, reader: L1Reader = l1): Promise<L1Feed> {
  const { number, hash } = await l1.head();
  return new L1Feed(reader, CONTRACTS, [{ number, hash }], 256);
}

test("blocks come in order with their logs, across batches", async () => {
  const l1 = new MemoryL1();
  const feed = await feedOf(l1);
  for (let i = 0; i < 300; i++) l1.mine(i % 3 === 0 ? deposit : {});
  for (let i = 0; i < 300; i++) {
    const step = await feed.next();
    assert.ok(step.kind === "block");
    assert.equal(step.block.inputs.info.number, i + 1);
    assert.equal(step.block.inputs.deposits.length, i % 3 === 0 ? 1 : 0);
  }
  assert.equal((await feed.next()).kind, "idle");
  // Three batches: settled blocks in ranges, the newest by hash.
  assert.ok((l1.calls.get("logs") ?? 0) <= 3 + 16);
});

test("logs of another fork than the headers are refused, and the new fork is read instead", async () => {
  const l1 = new MemoryL1();
  let reorg = true;
  const reader = new Proxy<L1Reader>(l1, {
    get(target, name) {
      const value = Reflect.get(target, name) as (...args: unknown[]) => unknown;
      if (name !== "logs") return value.bind(target);
      return (...args: unknown[]) => {
        // Between the answer with the headers and the one with the logs, L1 changes.
        if (reorg)
          l1.reorg(
            40,
            Array.from({ length: 41 }, () => deposit),
          );
        reorg = false;
        return Reflect.apply(value, target, args);
      };
    },
  });
  const feed = await feedOf(l1, reader);
  l1.mineMany(60);
  await assert.rejects(feed.next(), (error) => hasCode(error, "L1_INCONSISTENT"));
  const deposits: number[] = [];
  for (let number = 1; number <= 61; number++) {
    const step = await feed.next();
    assert.ok(step.kind === "block");
    assert.deepEqual(step.block.inputs.info, await l1.block(number));
    deposits.push(step.block.inputs.deposits.length);
  }
  assert.equal(deposits.filter((n) => n === 1).length, 41);
});

test("a follower that is stuck learns of a reorg below it, and gets none of the dropped blocks afterwards", async () => {
  const l1 = new MemoryL1();
  l1.mineMany(3);
  const feed = await feedOf(l1);
  l1.mineMany(10);
  assert.equal((await feed.next()).kind, "block");
  assert.equal((await feed.next()).kind, "block");
  assert.equal(await feed.takeReorg(), undefined);
  // Above what was handed out: only what waits changes.
  l1.reorg(4);
  assert.equal(await feed.takeReorg(), undefined);
  // Below it.
  l1.reorg(9);
  const ancestor = await feed.takeReorg();
  assert.equal(ancestor?.number, 4);
  for (let number = 5; number <= 13; number++) {
    const step = await feed.next();
    assert.ok(step.kind === "block");
    assert.deepEqual(step.block.inputs.info, await l1.block(number));
  }
});

test("a reorg of blocks handed out is told before any block of the new fork", async () => {
  const l1 = new MemoryL1();
  const feed = await feedOf(l1);
  l1.mineMany(5);
  for (let i = 0; i < 5; i++) assert.equal((await feed.next()).kind, "block");
  l1.reorg(3, [{}, {}, {}, {}]);
  const step = await feed.next();
  assert.ok(step.kind === "reorg");
  assert.equal(step.ancestor.number, 2);
  const next = await feed.next();
  assert.ok(next.kind === "block");
  assert.deepEqual(next.block.inputs.info, await l1.block(3));
});
