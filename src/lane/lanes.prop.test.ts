/** Lanes together: a cut over several is the cut of one, a lost lane's part stays in it, accounts are held across lanes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toHexKey } from "../base/bytes.ts";
import { systemClock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import type { Account } from "../execution/execution.ts";
import { MemoryLog } from "../log/memory-log.ts";
import { ORDERINGS, type OrderingName, orderingPolicy, orderOfCut } from "../protocol/ordering.ts";
import { recoverSender } from "../protocol/sender.ts";
import { decodeSignedTransaction, signAuthorization, signTransaction } from "../protocol/transaction-codec.ts";
import type { PooledTransaction } from "../rpc/chain-view.ts";
import type { CutBatch, LaneApi, TakeLimits } from "./api.ts";
import { laneConfig } from "./config.ts";
import { Lane } from "./lane.ts";
import { laneOf } from "./lane-of.ts";
import { laneError } from "./lane-seat.ts";
import { LaneTail } from "./lane-tail.ts";
import { Lanes } from "./lanes.ts";
import { laneMetrics } from "./metrics.ts";

const CHAIN_ID = 901;
const GWEI = 10n ** 9n;
const SENDERS = 8;
const key = (i: number): Uint8Array => new Uint8Array(32).fill(i + 1);

type Fields = { from: number; nonce: number; tipGwei?: number; gas?: number; of?: number };
const made = new Map<string, PooledTransaction>();

function tx(fields: Fields): PooledTransaction {
  const name = JSON.stringify(fields);
  const known = made.get(name);
  if (known !== undefined) return known;
  const { from, nonce, tipGwei = 1, gas = 21_000, of } = fields;
  const delegate = { chainId: 0n, address: new Uint8Array(20).fill(8), nonce: 0n };
  const signed = signTransaction(
    {
      ...(of === undefined ? { type: 2 } : { type: 4, authorizations: [signAuthorization(delegate, key(of))] }),
      chainId: CHAIN_ID,
      nonce: BigInt(nonce),
      to: new Uint8Array(20).fill(9),
      valueWei: 0n,
      data: new Uint8Array(0),
      gasLimit: BigInt(gas),
      maxFeePerGasWei: 20n * GWEI,
      maxPriorityFeePerGasWei: BigInt(tipGwei) * GWEI,
    },
    key(from),
  );
  const item = { tx: signed, sender: recoverSender(signed) };
  made.set(name, item);
  return item;
}

/** A clock that moves when it is asked. */
function tickingClock(): typeof systemClock {
  let nowMs = 1_000;
  return { nowMs: () => nowMs++, sleep: (ms, signal) => systemClock.sleep(ms, signal) };
}

type World = { readonly lanes: Lanes; readonly executed: (cut: CutBatch) => Promise<void> };

async function openLanes(
  count: number,
  ordering: OrderingName,
  change: (lane: LaneApi) => LaneApi = (lane) => lane,
): Promise<World> {
  const nonces = new Map<string, bigint>();
  const account = (address: Uint8Array): Account => ({
    nonce: nonces.get(toHexKey(address)) ?? 0n,
    balanceWei: 10n ** 20n,
    codeHash: new Uint8Array(32),
  });
  const clock = tickingClock();
  const config = readConfig(laneConfig, {});
  const lanes = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const journal = new MemoryLog(`lane-${index}`);
      const deps = {
        index,
        ordering: orderingPolicy(ordering),
        chainId: CHAIN_ID,
        clock,
        account,
        l1FeeWei: () => 0n,
        codeKind: () => "none" as const,
        log: silentLog,
        journal,
        term: 1,
        onDropped: () => undefined,
      };
      return change(await Lane.open(config, deps, await LaneTail.open(index, journal, 0)));
    }),
  );
  const metrics = laneMetrics(new Metrics());
  const nonceOf = (address: Uint8Array): bigint => account(address).nonce;
  const all = await Lanes.open({ lanes, count, ordering, nonceOf, metrics, log: silentLog, clock });
  const executed = async ({ txs }: CutBatch): Promise<void> => {
    for (const { sender } of txs) nonces.set(toHexKey(sender), nonceOf(sender) + 1n);
    await all.settle(txs.map((one) => ({ hash: decodeSignedTransaction(one.raw).hash, tx: one, included: true })));
  };
  return { lanes: all, executed };
}

const LIMITS: Omit<TakeLimits, "acceptedBeforeMs"> = {
  gasMax: 30_000_000,
  gasLeft: 60_000_000,
  sizeMaxBytes: 1 << 20,
  txOverheadBytes: 0,
  baseFeeWei: GWEI,
};
const nameOf = ({ raw, sender }: { raw: Uint8Array; sender: Uint8Array }): string =>
  `${toHexKey(sender).slice(0, 6)} ${decodeSignedTransaction(raw).nonce}`;

/** Cuts until nothing is left, whatever the block has room for each time. */
async function cutAll({ lanes, executed }: World, limits: readonly (typeof LIMITS)[]): Promise<string[]> {
  const order: string[] = [];
  for (let i = 0; ; i++) {
    const cut = await lanes.take(limits[i] ?? LIMITS);
    if (cut.txs.length === 0) {
      if (i >= limits.length) return order;
      continue;
    }
    order.push(...cut.txs.map(nameOf));
    const numbers = [...new Set(cut.txs.map(({ arrival }) => arrival.lane))];
    const runs = numbers.map((lane) => cut.txs.filter(({ arrival }) => arrival.lane === lane));
    const replayed = orderOfCut(lanes.ordering, runs, LIMITS.baseFeeWei);
    assert.deepEqual(replayed.map(nameOf), cut.txs.map(nameOf), "a replay makes the same of what the lanes released");
    const { positions, inline } = await lanes.release(cut);
    assert.ok(positions.length > 0 && inline.length === 0);
    await executed(cut);
  }
}

for (const ordering of ORDERINGS)
  test(`${ordering}: whatever the limits, cuts over several lanes take everything once, with nonces in order`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.record({ from: fc.nat({ max: SENDERS - 1 }), tipGwei: fc.integer({ min: 1, max: 4 }) }), {
          maxLength: 24,
        }),
        fc.array(fc.record({ gasMax: fc.integer({ min: 1, max: 8 }), gasLeft: fc.constantFrom(1, 3, 7, 40, 40, 40) }), {
          maxLength: 6,
        }),
        async (count, drawn, tight) => {
          const world = await openLanes(count, ordering);
          const nonces = new Map<number, number>();
          const items = drawn.map(({ from, tipGwei }) => {
            const nonce = nonces.get(from) ?? 0;
            nonces.set(from, nonce + 1);
            return tx({ from, nonce, tipGwei });
          });
          for (const item of items) await world.lanes.submit([item]);
          const limits = tight.map(({ gasMax, gasLeft }) => ({
            ...LIMITS,
            gasMax: gasMax * 21_000,
            gasLeft: gasLeft * 21_000,
          }));
          const order = await cutAll(world, limits);
          assert.deepEqual(
            [...order].sort(),
            items.map((item) => nameOf({ raw: item.tx.raw, sender: item.sender })).sort(),
          );
          for (let from = 0; from < SENDERS; from++) {
            const sender = toHexKey(tx({ from, nonce: 0 }).sender).slice(0, 6);
            const own = order.filter((name) => name.startsWith(sender)).map((name) => Number(name.split(" ")[1]));
            assert.deepEqual(
              own,
              Array.from({ length: nonces.get(from) ?? 0 }, (_, nonce) => nonce),
            );
          }
          // The time of each differs, so the number of lanes does not show where blocks have room.
          const one = await openLanes(1, ordering);
          for (const item of items) await one.lanes.submit([item]);
          const single = await cutAll(one, limits);
          if (tight.every(({ gasLeft }) => gasLeft === 40)) assert.deepEqual(order, single);
        },
      ),
      { numRuns: 60 },
    );
  });

test("first come first served: cuts one after the other give one order, however small they are", async () => {
  const world = await openLanes(4, "first-come");
  const items = Array.from({ length: 24 }, (_, i) => tx({ from: i % SENDERS, nonce: Math.floor(i / SENDERS) }));
  for (const item of items) await world.lanes.submit([item]);
  const limits = Array.from({ length: 12 }, (_, i) => ({ ...LIMITS, gasMax: (1 + (i % 3)) * 21_000 }));
  assert.deepEqual(
    await cutAll(world, limits),
    items.map(({ tx: { raw }, sender }) => nameOf({ raw, sender })),
  );
});

test("a transaction that does not fit is passed by, with its sender's later ones and nobody else's", async () => {
  const { lanes } = await openLanes(4, "first-come");
  const large = tx({ from: 0, nonce: 0, gas: 200_000 });
  const items = [large, tx({ from: 0, nonce: 1 }), ...[1, 2, 3, 4].map((from) => tx({ from, nonce: 0 }))];
  for (const item of items) await lanes.submit([item]);
  const cut = await lanes.take({ ...LIMITS, gasLeft: 150_000 });
  assert.deepEqual(
    cut.txs.map(nameOf),
    items.slice(2).map(({ tx: { raw }, sender }) => nameOf({ raw, sender })),
  );
  await lanes.release(cut);
});

test("what a lane gave to a cut before it was lost stays in the cut, in its order", async () => {
  const lost = (lane: LaneApi): LaneApi => {
    if (lane.index === 1) lane.release = () => Promise.reject(laneError("LANE_LOST", "lane 1 is gone"));
    return lane;
  };
  const { lanes } = await openLanes(3, "priority-fee", lost);
  const items = Array.from({ length: SENDERS }, (_, from) => tx({ from, nonce: 0, tipGwei: 1 + (from % 3) }));
  assert.ok(items.some(({ sender }) => laneOf(sender, 3) === 1));
  await lanes.submit(items);
  const cut = await lanes.take(LIMITS);
  assert.equal(cut.txs.length, SENDERS);
  const { positions, inline } = await lanes.release(cut);
  assert.deepEqual(positions, []);
  assert.deepEqual(inline.map(nameOf), cut.txs.map(nameOf));
});

test("an account whose authorization waits in another lane has one transaction at a time", async () => {
  const { lanes, executed } = await openLanes(4, "priority-fee");
  const place = (from: number): number => laneOf(tx({ from, nonce: 0 }).sender, 4);
  const of = 0;
  const from = Array.from({ length: SENDERS }, (_, i) => i).find((i) => place(i) !== place(of)) as number;
  const codes = async (items: PooledTransaction[]): Promise<string[]> =>
    (await lanes.submit(items)).map((o) => (o.accepted ? "ok" : o.code));
  const delegating = tx({ from, nonce: 0, gas: 60_000, of });
  assert.deepEqual(await codes([delegating]), ["ok"]);
  assert.deepEqual(await codes([tx({ from: of, nonce: 0 }), tx({ from: of, nonce: 1 })]), ["ok", "DELEGATED_LIMIT"]);
  // The other way round: several wait already.
  const busy = Array.from({ length: SENDERS }, (_, i) => i).find(
    (i) => i !== of && i !== from && place(i) !== place(from),
  );
  assert.ok(busy !== undefined);
  assert.deepEqual(await codes([tx({ from: busy, nonce: 0 }), tx({ from: busy, nonce: 1 })]), ["ok", "ok"]);
  assert.deepEqual(await codes([tx({ from, nonce: 1, gas: 60_000, of: busy })]), ["AUTHORITY_RESERVED"]);
  // Once the delegating one is through, its authority is free.
  const cut = await lanes.take(LIMITS);
  await lanes.release(cut);
  await executed(cut);
  lanes.onHead({ gasLimit: 31_000_000, changed: [] });
  await new Promise((resolve) => setImmediate(resolve));
  assert.notEqual((await codes([tx({ from: of, nonce: 1 }), tx({ from: of, nonce: 2 })]))[1], "DELEGATED_LIMIT");
});
