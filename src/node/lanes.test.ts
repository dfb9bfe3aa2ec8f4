/** Several lanes under one order, here and elsewhere: restarts, other numbers of lanes, L1 reorgs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toHexKey } from "../base/bytes.ts";
import { until } from "../base/testing/until.ts";
import { LaneHost } from "../lane/lane-host.ts";
import { laneOf } from "../lane/lane-of.ts";
import { OrderReceipts } from "../lane/order-receipts.ts";
import { localLink } from "../link/local-link.ts";
import { receiptSigner } from "../protocol/order-receipt.ts";
import { isEarlier } from "../protocol/ordering.ts";
import type { PooledTransaction } from "../rpc/chain-view.ts";
import type { Sequencer } from "./sequencer.ts";
import { LaneWorld } from "./testing/lane-world.ts";
import { running, transfer } from "./testing/sequencing.ts";

const accepted = async (
  s: { lanes: { submit: (t: PooledTransaction[]) => Promise<readonly { accepted: boolean }[]> } },
  items: PooledTransaction[],
): Promise<void> => {
  const outcomes = await s.lanes.submit(items);
  assert.deepEqual(
    outcomes.filter((o) => !o.accepted),
    [],
  );
};
const isSealed = (w: LaneWorld, items: readonly PooledTransaction[]): boolean =>
  items.every(({ tx }) => w.chain.transaction(tx.hash) !== undefined);

/** Elsewhere, without the cost of starting threads. */
const overLinks = localLink((send) => LaneHost.serve(send));

for (const [where, openLink] of [
  ["here", undefined],
  ["elsewhere", overLinks],
] as const) {
  test(`${where}: four lanes make one chain, and a replay of their logs gives it again`, async () => {
    const w = new LaneWorld(openLink);
    const s = await w.open(4);
    const items = Array.from({ length: 36 }, (_, i) => transfer(i % 12, Math.floor(i / 12), { tipGwei: 1 + (i % 5) }));
    assert.equal(new Set(items.map(({ sender }) => laneOf(sender, 4))).size, 4, "the senders are in all lanes");
    await running(s, async () => {
      await until("the first block", () => w.chain.head >= 1);
      await accepted(s, items);
      await until("all sealed", () => isSealed(w, items));
    });
    assert.equal(w.sequenced().length, items.length);
    w.checkOrder();
    for (const log of w.laneLogs) assert.ok((await log.refresh()).seq > 1, `${log.name} has its part`);
    const before = w.hashes();
    w.loseDatabase();
    await w.open(4);
    assert.deepEqual(w.hashes(), before);
    await w.close();
  });

  test(`${where}: reads see one pool, whatever lane a transaction waits in`, async () => {
    const w = new LaneWorld(openLink);
    const s = await w.open(4);
    const heard: string[] = [];
    s.view.subscribe({ accepted: (tx) => heard.push(toHexKey(tx.hash)) });
    // Behind a nonce gap: they wait.
    const items = Array.from({ length: 12 }, (_, i) => transfer(i, 1));
    await accepted(s, items);
    assert.deepEqual(await s.lanes.status(), { pending: 0, queued: 12 });
    assert.equal((await s.lanes.content(100)).queued.length, 12);
    assert.equal((await s.lanes.content(5)).queued.length, 5);
    for (const { tx, sender } of items) {
      assert.equal(toHexKey((await s.lanes.get(tx.hash))?.sender ?? new Uint8Array(0)), toHexKey(sender));
      assert.deepEqual(
        (await s.lanes.content(100, sender)).queued.map((found) => found.tx.nonce),
        [1n],
      );
      assert.equal(await s.lanes.nextNonce(sender), 0n);
      assert.equal((await s.lanes.arrivalOf(tx.hash))?.lane, laneOf(sender, 4));
    }
    assert.deepEqual(heard.sort(), items.map(({ tx }) => toHexKey(tx.hash)).sort());
    await w.close();
  });

  test(`${where}: whatever the number of lanes at each start, nothing is lost, doubled or out of order`, async () => {
    const w = new LaneWorld(openLink);
    const all: PooledTransaction[] = [];
    const waiting: PooledTransaction[] = [];
    let round = 0;
    for (const lanes of [1, 4, 2, 16, 3, 1]) {
      const s = await w.open(lanes);
      // The nonce that was missing in front of what waits, and one behind the next gap.
      const now = Array.from({ length: 12 }, (_, i) => transfer(i, Math.max(0, 2 * round - 1)));
      const later = Array.from({ length: 12 }, (_, i) => transfer(i, 2 * round + 2));
      await running(s, async () => {
        assert.equal((await s.lanes.status()).queued, waiting.length, `all wait in ${lanes} lanes`);
        await accepted(s, now);
        const free = [...now, ...waiting.splice(0)];
        all.push(...free);
        waiting.push(...later);
        await accepted(s, later);
        await until(`sealed with ${lanes} lanes`, () => isSealed(w, free));
      });
      // Ends in the middle of a block, and now and then without its database.
      if (round % 2 === 1) w.loseDatabase();
      round++;
    }
    const last = await w.open(5);
    await running(last, async () => {
      const free = Array.from({ length: 12 }, (_, i) => transfer(i, 2 * round - 1));
      await accepted(last, free);
      all.push(...free, ...waiting);
      await until("everything is sealed", () => isSealed(w, all));
    });
    w.checkOrder();
    const hashes = w.sequenced().map(({ hash }) => hash);
    assert.equal(new Set(hashes).size, hashes.length);
    const before = w.hashes();
    w.loseDatabase();
    await w.open(7);
    assert.deepEqual(w.hashes(), before, "the whole history is replayed from the logs of all lanes there ever were");
    await w.close();
  });

  test(`${where}: an L1 reorg returns transactions to their lanes`, async () => {
    const w = new LaneWorld(openLink);
    const s = await w.open(4);
    const items = Array.from({ length: 24 }, (_, i) => transfer(i % 12, Math.floor(i / 12)));
    await running(s, async () => {
      w.l1.mine();
      w.l1.mine();
      await until("origins used", () => w.chain.block(w.chain.head)?.origin.number === w.l1.headNumber);
      await accepted(s, items);
      await until("sealed", () => isSealed(w, items));
      w.l1.reorg(2);
      w.l1.mine();
      w.l1.mine();
      w.l1.mine();
      await until("on the new L1", () => w.chain.block(w.chain.head)?.origin.number === w.l1.headNumber);
      await until("sealed again", () => isSealed(w, items));
    });
    w.checkOrder();
    const before = w.hashes();
    w.loseDatabase();
    await w.open(2);
    assert.deepEqual(w.hashes(), before, "the rewind is replayed too, under another number of lanes");
    await w.close();
  });

  test(`${where}: an accepted transaction has a receipt, also after a restart, and the order keeps what receipts say`, async () => {
    const w = new LaneWorld(openLink);
    const privateKey = new Uint8Array(32).fill(9);
    const open = async (): Promise<{ s: Sequencer; receipts: OrderReceipts }> => {
      const s = await w.open(4, { SHEAF_ORDERING: "first-come" });
      const arrivalOf = s.lanes.arrivalOf.bind(s.lanes);
      return {
        s,
        receipts: new OrderReceipts({ chainId: 901, lanes: 4, ordering: "first-come", privateKey, arrivalOf }),
      };
    };
    const first = await open();
    const items = Array.from({ length: 12 }, (_, i) => transfer(i, 0));
    await accepted(first.s, items);
    const before = await Promise.all(items.map(({ tx }) => first.receipts.receipt(tx.hash)));
    for (const [i, receipt] of before.entries()) {
      assert.ok(receipt !== undefined);
      assert.equal(toHexKey(receiptSigner(receipt) ?? new Uint8Array(0)), toHexKey(first.receipts.signer));
      assert.equal(toHexKey(receipt.hash), toHexKey((items[i] as PooledTransaction).tx.hash));
    }
    await running(first.s, () => until("sealed", () => isSealed(w, items)));
    const again = await open();
    assert.deepEqual(await Promise.all(items.map(({ tx }) => again.receipts.receipt(tx.hash))), before);
    assert.equal(await again.receipts.receipt(new Uint8Array(32)), undefined);
    const sealedOrder = w
      .sequenced()
      .map(({ hash }) => before.find((receipt) => toHexKey(receipt?.hash ?? new Uint8Array(0)) === hash));
    for (const [i, receipt] of sealedOrder.entries())
      for (const later of sealedOrder.slice(i + 1))
        assert.ok(receipt !== undefined && later !== undefined && isEarlier(receipt.arrival, later.arrival));
    await w.close();
  });
}

test("first come first served holds across lanes", async () => {
  const w = new LaneWorld();
  const s = await w.open(4, { SHEAF_ORDERING: "first-come" });
  const items = Array.from({ length: 12 }, (_, i) => transfer(i, 0, { tipGwei: 12 - i }));
  for (const item of items) await accepted(s, [item]);
  const arrivals = await Promise.all(items.map(({ tx }) => s.lanes.arrivalOf(tx.hash)));
  await running(s, () => until("sealed", () => isSealed(w, items)));
  const order = w.sequenced().map(({ hash }) => items.findIndex(({ tx }) => toHexKey(tx.hash) === hash));
  const times = order.map((i) => arrivals[i]?.acceptedMs ?? 0);
  assert.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
  );
  await w.close();
});
