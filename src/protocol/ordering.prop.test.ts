import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toHexKey } from "../base/bytes.ts";
import { laneOf } from "../lane/lane-of.ts";
import { decodeOrderRecord, encodeOrderRecord } from "./cut.ts";
import {
  effectiveTipWei,
  type LaneTx,
  mergeRuns,
  ORDERINGS,
  type OrderingPolicy,
  orderingPolicy,
  orderOfCut,
} from "./ordering.ts";
import { decodeSignedTransaction, signTransaction } from "./transaction-codec.ts";

const GWEI = 10n ** 9n;
const BASE_FEE_WEI = 7n * GWEI;

/** What a test draws of a transaction; senders are numbers. */
type Drawn = { readonly sender: number; readonly tipGwei: number; readonly acceptedMs: number };

const drawn = fc.record({
  sender: fc.nat({ max: 11 }),
  tipGwei: fc.nat({ max: 4 }),
  acceptedMs: fc.nat({ max: 30 }),
});

const address = (n: number): Uint8Array => new Uint8Array(20).fill(n + 1);
const signed = new Map<string, Uint8Array>();

/** One signature for all that look alike: the order does not look at it. */
function raw(nonce: number, tipGwei: number): Uint8Array {
  const key = `${nonce}/${tipGwei}`;
  const known = signed.get(key);
  if (known !== undefined) return known;
  const { raw: bytes } = signTransaction(
    {
      type: 2,
      chainId: 901,
      nonce: BigInt(nonce),
      to: address(200),
      valueWei: 0n,
      data: new Uint8Array(0),
      gasLimit: 21_000n,
      maxFeePerGasWei: BASE_FEE_WEI + 3n * GWEI,
      maxPriorityFeePerGasWei: BigInt(tipGwei) * GWEI,
    },
    new Uint8Array(32).fill(1),
  );
  signed.set(key, bytes);
  return bytes;
}

/**
 * What `lanes` lanes would release of these transactions under a policy: each accepts in the order of time, and gives
 * again and again the best of the first ones of its senders.
 */
function released(policy: OrderingPolicy, items: readonly Drawn[], lanes: number): LaneTx[][] {
  const nonces = new Map<number, number>();
  const sequences = new Map<number, number>();
  const queues = new Map<number, LaneTx[]>();
  const arrived = [...items].sort((a, b) => a.acceptedMs - b.acceptedMs);
  for (const { sender, tipGwei, acceptedMs } of arrived) {
    const nonce = nonces.get(sender) ?? 0;
    nonces.set(sender, nonce + 1);
    const lane = laneOf(address(sender), lanes);
    const sequence = (sequences.get(lane) ?? 0) + 1;
    sequences.set(lane, sequence);
    const tx = { raw: raw(nonce, tipGwei), sender: address(sender), arrival: { acceptedMs, lane, sequence } };
    const queue = queues.get(sender);
    if (queue === undefined) queues.set(sender, [tx]);
    else queue.push(tx);
  }
  const runs: LaneTx[][] = Array.from({ length: lanes }, () => []);
  for (let lane = 0; lane < lanes; lane++) {
    const own = [...queues]
      .filter(([sender]) => laneOf(address(sender), lanes) === lane)
      .map(([, queue]) => [...queue]);
    for (;;) {
      const ranked = own
        .filter((queue) => queue.length > 0)
        .map((queue) => {
          const [tx] = queue as [LaneTx];
          return { queue, arrival: tx.arrival, tipWei: effectiveTipWei(decodeSignedTransaction(tx.raw), BASE_FEE_WEI) };
        });
      const [first, ...others] = ranked;
      if (first === undefined) break;
      const best = others.reduce((a, b) => (policy.before(b, a) ? b : a), first);
      runs[lane]?.push(best.queue.shift() as LaneTx);
    }
  }
  return runs;
}

const nameOf = (tx: LaneTx): string => `${toHexKey(tx.sender)} ${decodeSignedTransaction(tx.raw).nonce}`;

for (const name of ORDERINGS) {
  test(`${name}: the order is a permutation of what was released, the same each time, with nonces of a sender in order`, () => {
    fc.assert(
      fc.property(fc.array(drawn, { maxLength: 40 }), fc.integer({ min: 1, max: 16 }), (items, lanes) => {
        const runs = released(orderingPolicy(name), items, lanes).filter((run) => run.length > 0);
        const order = orderOfCut(name, runs, BASE_FEE_WEI);
        assert.deepEqual(order.map(nameOf).sort(), runs.flat().map(nameOf).sort());
        assert.deepEqual(
          orderOfCut(name, [...runs].reverse(), BASE_FEE_WEI).map(nameOf),
          order.map(nameOf),
          "whoever lists the lanes in another order finds the same one",
        );
        const next = new Map<string, bigint>();
        for (const tx of order) {
          const sender = toHexKey(tx.sender);
          const { nonce } = decodeSignedTransaction(tx.raw);
          assert.equal(nonce, next.get(sender) ?? 0n);
          next.set(sender, nonce + 1n);
        }
      }),
    );
  });

  test(`${name}: the number of lanes does not show, but for what two lanes accept in the same millisecond`, () => {
    fc.assert(
      fc.property(fc.array(drawn, { maxLength: 40 }), fc.integer({ min: 2, max: 16 }), (items, lanes) => {
        const policy = orderingPolicy(name);
        const distinct = items.map((item, i) => ({ ...item, acceptedMs: item.acceptedMs * 64 + i }));
        const merged = orderOfCut(
          name,
          released(policy, distinct, lanes).filter((run) => run.length > 0),
          BASE_FEE_WEI,
        );
        const [one] = released(policy, distinct, 1);
        assert.deepEqual(merged.map(nameOf), (one as LaneTx[]).map(nameOf));
      }),
    );
  });

  test(`${name}: a merge that stops has given the beginning of the whole order`, () => {
    fc.assert(
      fc.property(fc.array(drawn, { maxLength: 40 }), fc.nat({ max: 40 }), (items, stopAt) => {
        const policy = orderingPolicy(name);
        const runs = released(policy, items, 4);
        const ranked = runs.map((run) =>
          run.map((tx) => ({
            tx,
            arrival: tx.arrival,
            tipWei: effectiveTipWei(decodeSignedTransaction(tx.raw), BASE_FEE_WEI),
          })),
        );
        const got: LaneTx[] = [];
        mergeRuns(policy, ranked, ({ tx }) => (got.push(tx) < stopAt ? "next" : "stop"));
        const all = orderOfCut(name, runs, BASE_FEE_WEI);
        assert.deepEqual(got.map(nameOf), all.slice(0, got.length).map(nameOf));
      }),
    );
  });

  test(`${name}: a cut says so in its record`, () => {
    const cut = {
      kind: "cut" as const,
      ordering: name,
      blockNumber: 7,
      open: undefined,
      positions: [
        { lane: 0, seq: 3 },
        { lane: 15, seq: 9 },
      ],
      inline: [],
      close: true,
    };
    assert.deepEqual(decodeOrderRecord(encodeOrderRecord(cut)), cut);
  });
}

test("first come first served: nobody is passed whose turn it was", () => {
  fc.assert(
    fc.property(fc.array(drawn, { maxLength: 40 }), (items) => {
      const order = orderOfCut("first-come", released(orderingPolicy("first-come"), items, 4), BASE_FEE_WEI);
      for (const [i, tx] of order.entries())
        for (const later of order.slice(i + 1)) {
          const { nonce } = decodeSignedTransaction(later.raw);
          // One whose earlier nonce came later had to wait for that.
          const waited = order.some(
            (other) =>
              toHexKey(other.sender) === toHexKey(later.sender) &&
              decodeSignedTransaction(other.raw).nonce < nonce &&
              other.arrival.acceptedMs > later.arrival.acceptedMs,
          );
          assert.ok(waited || tx.arrival.acceptedMs <= later.arrival.acceptedMs);
        }
    }),
  );
});

test("a record of the time when there was one lane is read as what it was", () => {
  // version 1, cut, block 5, no context, one position (lane 0, record 300), nothing inline, not closed
  const old = Uint8Array.of(1, 0, 5, 0, 1, 0, 0xac, 0x02, 0, 0);
  assert.deepEqual(decodeOrderRecord(old), {
    kind: "cut",
    ordering: "priority-fee",
    blockNumber: 5,
    open: undefined,
    positions: [{ lane: 0, seq: 300 }],
    inline: [],
    close: false,
  });
});
