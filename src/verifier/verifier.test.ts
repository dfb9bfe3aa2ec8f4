import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesEqual, fromHex } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import { l1Error } from "../l1/l1.ts";
import type { Block } from "../protocol/block.ts";
import { encodeGenesis } from "../protocol/genesis-codec.ts";
import { encodeSegment } from "../protocol/segment.ts";
import { DEPOSIT_TYPE } from "../protocol/transaction-codec.ts";
import type { Divergence } from "./api.ts";
import {
  depositTransaction,
  gasLimitTransaction,
  genesisTransaction,
  memoryStores,
  outputsDeletedTransaction,
  outputTransaction,
  TEST_CONFIG,
  testGenesis,
  World,
} from "./testing/l1-world.ts";
import type { Verifier } from "./verifier.ts";

const stranger = new Uint8Array(20).fill(0xdd);

const headOf = (verifier: Verifier): Block => verifier.block(verifier.status().safe.number) as Block;
const balanceOf = (stores: ReturnType<typeof memoryStores>, who: Uint8Array): bigint =>
  stores.state.reader().account(who)?.balanceWei ?? 0n;

/** A few blocks over a few origins, posted. */
async function busyWorld(world: World): Promise<void> {
  for (let i = 0; i < 4; i++) {
    world.mempool.push(depositTransaction({ from: stranger, mintWei: 5n }));
    world.mine();
    const first = world.head.header.number + 1;
    await world.build({ advance: true, txs: [world.transfer(0), world.transfer(1)] });
    await world.build({ txs: [world.transfer(2)] });
    world.post(world.segment(first), { kind: i % 2 === 0 ? "blobs" : "calldata" });
  }
  world.mine();
}

test("it rebuilds from L1 alone what the sequencer sealed, from blobs and from calldata", async () => {
  const world = World.create();
  await busyWorld(world);
  const stores = memoryStores();
  const verifier = await world.verifier(stores, { sealed: world.sealed });
  assert.equal(verifier.safeHead(), undefined);
  assert.match(verifier.notReady() ?? "", /derivation/);
  await verifier.catchUp();
  assert.equal(verifier.safeHead()?.number, 8);
  assert.deepEqual(headOf(verifier).hash, world.head.hash);
  for (let n = 0; n <= 8; n++) assert.deepEqual(stores.chain.receipts(n), world.sealed.receipts(n));
  assert.equal(balanceOf(stores, stranger), 20n);
  assert.equal(verifier.notReady(), undefined);
  assert.equal(verifier.divergence(), undefined);
  assert.equal(verifier.status().nextIndex, 4);
});

test("safe moves with L1, finalized behind it", async () => {
  const world = World.create();
  const verifier = await world.verifier();
  const seen: number[] = [];
  const final: number[] = [];
  verifier.subscribe({ safe: (block) => seen.push(block.header.number), finalized: (head) => final.push(head.number) });
  await busyWorld(world);
  await verifier.catchUp();
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7, 8]);
  // L1's finalized block is 4 below its head: blocks of segments in the newest 4 L1 blocks are not final.
  assert.equal(verifier.finalizedHead().number, 0);
  world.mine();
  world.mine();
  await verifier.catchUp();
  assert.equal(verifier.finalizedHead().number, 4);
  world.l1.mineMany(4);
  await verifier.catchUp();
  assert.equal(verifier.finalizedHead().number, 8);
  assert.deepEqual(final, [4, 8]);
});

test("segments posted in another order than their indexes give the same chain", async () => {
  const world = World.create();
  world.mine();
  await world.build({ advance: true, txs: [world.transfer(0)] });
  const first = world.segment(1);
  await world.build({ txs: [world.transfer(0)] });
  const second = world.segment(2);
  await world.build({ txs: [world.transfer(0)] });
  const third = world.segment(3);
  world.post(third, { index: 2 });
  world.mine();
  const verifier = await world.verifier();
  await verifier.catchUp();
  assert.equal(verifier.status().safe.number, 0);
  assert.equal(verifier.status().waitingEntries, 1);
  world.post(second, { index: 1 });
  world.post(first, { index: 0 });
  world.mine();
  await verifier.catchUp();
  assert.deepEqual(headOf(verifier).hash, world.head.hash);
  assert.equal(verifier.status().nextIndex, 3);
});

test("garbage, foreign segments and forged transactions in the inbox change nothing else", async () => {
  const world = World.create();
  world.mine();
  world.post(Uint8Array.from([1, 2, 3]), { kind: "calldata" });
  await world.build({ advance: true, txs: [world.transfer(0)] });
  world.post(encodeSegment([{ ...blockOf(world.head), parentHash: new Uint8Array(32).fill(9) }], { chainId: 901 }));
  world.post(encodeSegment([{ ...blockOf(world.head), number: 7 }], { chainId: 901 }));
  world.post(world.segment(1));
  world.post(world.segment(1)); // the same again is stale
  world.mine();
  const verifier = await world.verifier();
  await verifier.catchUp();
  assert.deepEqual(headOf(verifier).hash, world.head.hash);
  assert.equal(verifier.status().nextIndex, 5);

  // Posted transactions that are none, or pretend to be deposits, are left out of the block.
  const good = world.transfer(1);
  const parent = world.head;
  const honest = await world.build({ txs: [good] });
  const deposit = (honest.transactions[0] as Uint8Array).slice();
  assert.equal(deposit[0], DEPOSIT_TYPE);
  const broken = good.raw.slice();
  broken[broken.length - 1] = (broken[broken.length - 1] as number) ^ 1;
  const transactions = [deposit, fromHex("02c0"), new Uint8Array(0), good.raw, good.raw, broken];
  world.post(encodeSegment([{ ...blockOf(honest), parentHash: parent.hash, transactions }], { chainId: 901 }));
  world.mine();
  await verifier.catchUp();
  assert.deepEqual(headOf(verifier).hash, honest.hash);
});

function blockOf(block: Block): Parameters<typeof encodeSegment>[0][number] {
  return {
    number: block.header.number,
    parentHash: block.header.parentHash,
    timestamp: block.header.timestamp,
    origin: block.origin,
    transactions: block.transactions.filter((raw) => raw[0] !== DEPOSIT_TYPE),
  };
}

/** A silent window passes half of it at a time. */
function assertWithinWindow(originNumber: number, l1HeadNumber: number, window: number): void {
  const behind = l1HeadNumber - originNumber;
  assert.ok(behind <= window && behind >= Math.floor(window / 2), `${behind} L1 blocks behind`);
}

test("with the sequencer silent beyond the window, deposits alone advance the chain, and late segments are void", async () => {
  const world = World.create({ sequencingWindow: 5 });
  world.mine();
  await world.build({ advance: true, txs: [world.transfer(0)] });
  const late = world.segment(1);
  const stores = memoryStores();
  const verifier = await world.verifier(stores);
  for (let i = 0; i < 12; i++) {
    world.mempool.push(depositTransaction({ from: stranger, mintWei: 1n }));
    world.mine();
  }
  await verifier.catchUp();
  const head = headOf(verifier);
  assertWithinWindow(head.origin.number, world.l1.headNumber, 5);
  assert.equal(head.transactions.length, 2);
  // Deposits of L1 blocks 4 and up to the safe origin.
  assert.equal(balanceOf(stores, stranger), BigInt(head.origin.number - 3));
  world.post(late);
  world.mine();
  await verifier.catchUp();
  assert.equal(verifier.status().nextIndex, 1);
  assertWithinWindow(headOf(verifier).origin.number, world.l1.headNumber, 5);
});

test("an L1 whose time stands still does not stop forced blocks", async () => {
  const world = World.create({ sequencingWindow: 2, maxDriftSeconds: 3 });
  for (let i = 0; i < 5; i++) world.mine({ timestamp: ((await world.l1.head()).timestamp as number) + 1 });
  await world.build({ advance: true });
  for (let i = 0; i < 2; i++) await world.build();
  world.post(world.segment(1));
  for (let i = 0; i < 10; i++) world.mine({ timestamp: ((await world.l1.head()).timestamp as number) + 1 });
  const verifier = await world.verifier();
  await verifier.catchUp();
  assertWithinWindow(headOf(verifier).origin.number, world.l1.headNumber, 2);
});

test("parameters follow the L1 origin", async () => {
  const world = World.create();
  world.mempool.push(gasLimitTransaction(12_000_000));
  world.mine();
  await world.build();
  await world.build({ advance: true });
  world.post(world.segment(1));
  world.mine();
  const verifier = await world.verifier(memoryStores(), { sealed: world.sealed });
  await verifier.catchUp();
  assert.equal(verifier.block(1)?.header.gasLimit, 30_000_000);
  assert.equal(verifier.block(2)?.header.gasLimit, 12_000_000);
  assert.deepEqual(headOf(verifier).hash, world.head.hash);
});

for (const depth of [1, 3, 12])
  test(`an L1 reorg of ${depth} that drops deposits is unwound and they are never executed`, async () => {
    const world = World.create();
    await busyWorld(world);
    const stores = memoryStores();
    const verifier = await world.verifier(stores);
    await verifier.catchUp();
    const balanceBefore = balanceOf(stores, stranger);
    const ancestor = world.l1.headNumber;

    // On top of what stays: deposits and blocks that use them, then a reorg without any of it.
    for (let i = 0; i < depth; i++) {
      world.mempool.push(depositTransaction({ from: stranger, mintWei: 1_000n }));
      world.mine();
      const first = world.head.header.number + 1;
      while (world.head.origin.number < world.l1.headNumber) await world.build({ advance: true });
      await world.build({ txs: [world.transfer(0)] });
      world.post(world.segment(first));
    }
    world.mine();
    await verifier.catchUp();
    assert.equal(balanceOf(stores, stranger), balanceBefore + 1_000n * BigInt(depth));
    const gone = world.head;
    assert.deepEqual(headOf(verifier).hash, gone.hash);
    const removed: Block[] = [];
    verifier.subscribe({ unwound: (_, blocks) => removed.push(...blocks.map(({ block }) => block)) });
    world.l1.reorg(world.l1.headNumber - ancestor);
    await verifier.catchUp();
    assert.equal(balanceOf(stores, stranger), balanceBefore);
    assert.deepEqual(removed[0]?.hash, gone.hash);
    assert.ok(
      removed.every((block, i) => i === 0 || block.header.number === (removed[i - 1] as Block).header.number - 1),
    );
    assert.equal(verifier.notReady(), undefined);

    // The sequencer rewinds, and both go on together.
    await world.rewindToL1();
    world.rewind(Math.min(world.head.header.number, headOf(verifier).header.number));
    const first = world.head.header.number + 1;
    await world.build({ advance: true, txs: [world.transfer(3)] });
    world.nextIndex = verifier.status().nextIndex;
    world.post(world.segment(first));
    world.mine();
    await verifier.catchUp();
    assert.deepEqual(headOf(verifier).hash, world.head.hash);
    // One that starts now sees the same chain.
    const fresh = await world.verifier();
    await fresh.catchUp();
    assert.deepEqual(headOf(fresh).hash, headOf(verifier).hash);
  });

test("an L1 reorg that takes finalized blocks back is unwound too, within the depth it keeps", async () => {
  const world = World.create();
  await busyWorld(world);
  world.l1.mineMany(6);
  const verifier = await world.verifier();
  await verifier.catchUp();
  assert.equal(verifier.finalizedHead().number, 8);
  world.l1.reorg(11);
  await verifier.catchUp();
  assert.equal(verifier.status().safe.number, 0);
  assert.equal(verifier.finalizedHead().number, 0);
});

test("bytes that no source serves stop derivation with a reason, until they are served", async () => {
  const world = World.create();
  world.mine();
  await world.build({ advance: true, txs: [world.transfer(0)] });
  const { blobHashes } = world.post(world.segment(1));
  world.mine();
  const hash = blobHashes?.[0] as Uint8Array;
  const [blob] = await world.blobs.blobs({
    l1BlockNumber: 0,
    l1BlockHash: hash,
    l1Timestamp: 0,
    versionedHashes: [hash],
  });
  world.blobs.forget(hash);
  const verifier = await world.verifier();
  await assert.rejects(verifier.catchUp(), (error) => hasCode(error, "DA_UNAVAILABLE"));
  assert.match(verifier.notReady() ?? "", /DA_UNAVAILABLE/);
  await assert.rejects(verifier.catchUp(), (error) => hasCode(error, "DA_UNAVAILABLE"));
  assert.equal(verifier.status().safe.number, 0);
  world.blobs.put(hash, blob as Uint8Array);
  await verifier.catchUp();
  assert.equal(verifier.notReady(), undefined);
  assert.deepEqual(headOf(verifier).hash, world.head.hash);
});

test("missing bytes are no longer needed when L1 drops the block that names them", async () => {
  const world = World.create();
  world.mine();
  await world.build({ advance: true });
  const { blobHashes } = world.post(world.segment(1));
  world.mine();
  world.blobs.forget(blobHashes?.[0] as Uint8Array);
  const verifier = await world.verifier();
  await assert.rejects(verifier.catchUp(), (error) => hasCode(error, "DA_UNAVAILABLE"));
  world.l1.reorg(1);
  await verifier.catchUp();
  assert.equal(verifier.notReady(), undefined);
  assert.equal(verifier.status().nextIndex, 0);
});

test("calldata that does not match its hash counts as not served", async () => {
  const world = World.create();
  world.mine();
  const posted = world.post(Uint8Array.from([1, 2, 3]), { kind: "calldata" });
  (posted.input as Uint8Array)[4 + 6 * 32] = 9;
  world.mine();
  const verifier = await world.verifier();
  await assert.rejects(verifier.catchUp(), (error) => hasCode(error, "DA_UNAVAILABLE"));
});

test("faults of the L1 endpoint are retried and change nothing", async () => {
  const world = World.create();
  await busyWorld(world);
  const verifier = await world.verifier();
  const down = l1Error("L1_ENDPOINT_DOWN", "no answer", {});
  for (const method of ["head", "blocks", "logs", "transaction", "block"] as const) {
    world.l1.failNext(method, down, 2);
    for (let tries = 0; tries < 5 && world.l1.headNumber > 0; tries++)
      await verifier.catchUp().catch((error: unknown) => assert.ok(hasCode(error, "L1_ENDPOINT_DOWN")));
    world.mempool.push(depositTransaction({ from: stranger, mintWei: 1n }));
    world.mine();
    await world.build({ advance: true });
    world.post(world.segment(world.head.header.number), { kind: "calldata" });
    world.mine();
  }
  await verifier.catchUp();
  assert.deepEqual(headOf(verifier).hash, world.head.hash);
});

test("a posted output that differs stops settlement until it is deleted; one that agrees does not", async () => {
  const world = World.create();
  await busyWorld(world);
  const stores = memoryStores();
  const verifier = await world.verifier(stores);
  await verifier.catchUp();
  const right = verifier.outputRootAt(6);
  assert.ok(right !== undefined);
  world.mempool.push(outputTransaction(right.outputRoot, 0, 6));
  world.mine();
  await verifier.catchUp();
  assert.equal(verifier.divergence(), undefined);
  const told: Divergence[] = [];
  verifier.subscribe({ diverged: (divergence) => told.push(divergence) });
  const wrong = new Uint8Array(32).fill(7);
  world.mempool.push(outputTransaction(wrong, 1, 8));
  world.mine();
  await verifier.catchUp();
  assert.equal(told.length, 1);
  const divergence = verifier.divergence();
  assert.ok(divergence?.kind === "output");
  assert.equal(divergence.outputIndex, 1);
  assert.deepEqual(divergence.postedRoot, wrong);
  assert.match(verifier.notReady() ?? "", /output 1/);
  // It is found again after a restart, and gone when the output is.
  const again = await world.verifier(stores);
  world.mine();
  await again.catchUp();
  assert.equal(again.divergence()?.kind, "output");
  world.mempool.push(outputsDeletedTransaction(2, 1));
  world.mine();
  await again.catchUp();
  assert.equal(again.divergence(), undefined);
});

test("an output above the safe head is checked when the block is derived", async () => {
  const world = World.create();
  world.mine();
  await world.build({ advance: true });
  world.mempool.push(outputTransaction(new Uint8Array(32), 0, 1));
  world.mine();
  const verifier = await world.verifier();
  await verifier.catchUp();
  assert.equal(verifier.divergence(), undefined);
  world.post(world.segment(1));
  world.mine();
  await verifier.catchUp();
  assert.equal(verifier.divergence()?.kind, "output");
});

test("a sealed block with the same inputs and another result is named with its first differing transaction", async () => {
  const world = World.create();
  await busyWorld(world);
  const tampered = {
    block: (number: number): Block | undefined => {
      const block = world.sealed.block(number);
      if (block === undefined || number < 3) return block;
      const hash = block.hash.slice();
      hash[0] = (hash[0] as number) ^ 1;
      return {
        ...block,
        hash,
        header: { ...block.header, receiptsRoot: new Uint8Array(32), stateRoot: new Uint8Array(32) },
      };
    },
    receipts: (number: number) =>
      world.sealed.receipts(number)?.map((r, i) => (i === 2 ? { ...r, status: 0 as const } : r)),
  };
  const verifier = await world.verifier(memoryStores(), { sealed: tampered });
  await verifier.catchUp();
  const divergence = verifier.divergence();
  assert.ok(divergence?.kind === "block");
  assert.equal(divergence.blockNumber, 3);
  assert.equal(divergence.field, "receiptsRoot");
  assert.equal(divergence.transactionIndex, 2);
  // L1 decides: derivation goes on.
  assert.deepEqual(headOf(verifier).hash, world.head.hash);
});

test("a sealed block made from other inputs is no contradiction", async () => {
  const world = World.create({ sequencingWindow: 3 });
  world.mine();
  await world.build({ advance: true, txs: [world.transfer(0)] });
  world.l1.mineMany(6);
  const verifier = await world.verifier(memoryStores(), { sealed: world.sealed });
  await verifier.catchUp();
  assert.ok(!bytesEqual(verifier.block(1)?.hash as Uint8Array, world.head.hash));
  assert.equal(verifier.divergence(), undefined);
});

test("an inbox without genesis, and a genesis for others, are refused", async () => {
  const world = World.create();
  await assert.rejects(world.verifier(memoryStores(), { inbox: stranger }), (error) =>
    hasCode(error, "VERIFIER_NO_GENESIS"),
  );
  const contracts = { ...testGenesis().contracts, inbox: stranger };
  const wrong = World.create();
  wrong.l1.reorg(1, [{ transactions: [genesisTransaction(encodeGenesis(testGenesis({ contracts })))] }]);
  await assert.rejects(wrong.verifier(), (error) => hasCode(error, "VERIFIER_WRONG_GENESIS"));
  const otherL1 = World.create({ l1ChainId: 5 });
  await assert.rejects(otherL1.verifier(), (error) => hasCode(error, "VERIFIER_WRONG_GENESIS"));
});

test("history is pruned down to what a reorg can need", async () => {
  const world = World.create();
  await busyWorld(world);
  const stores = memoryStores();
  const config = { ...TEST_CONFIG, reorgDepthMax: 16, historyBlocks: 128 };
  const verifier = await world.verifier(stores, { config });
  for (let i = 0; i < 12; i++) {
    world.l1.mineMany(8);
    await verifier.catchUp();
  }
  const oldest = stores.store.oldestSnapshot() as number;
  assert.ok(oldest >= world.l1.headNumber - 17 && oldest <= world.l1.headNumber - 16, `oldest ${oldest}`);
  world.l1.reorg(16);
  await verifier.catchUp();
  assert.equal(verifier.notReady(), undefined);
  world.l1.reorg(60);
  await assert.rejects(verifier.catchUp(), (error) => hasCode(error, "VERIFIER_REORG_TOO_DEEP"));
});
