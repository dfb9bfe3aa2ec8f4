import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toHex, toHexKey } from "../base/bytes.ts";
import { systemClock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import { silentLog } from "../base/log.ts";
import type { Account } from "../execution/execution.ts";
import { MemoryLog } from "../log/memory-log.ts";
import { orderingPolicy } from "../protocol/ordering.ts";
import { recoverSender } from "../protocol/sender.ts";
import { decodeSignedTransaction, signAuthorization, signTransaction } from "../protocol/transaction-codec.ts";
import type { PooledTransaction } from "../rpc/chain-view.ts";
import type { LaneBatch, Settlement } from "./api.ts";
import { laneConfig } from "./config.ts";
import { Lane } from "./lane.ts";
import { LaneTail } from "./lane-tail.ts";

const CHAIN_ID = 901;
const GWEI = 10n ** 9n;
const EMPTY_CODE = new Uint8Array(32);
/** Code hash of accounts that act with another's code (EIP-7702). */
const DELEGATED = new Uint8Array(32).fill(1);

const key = (i: number): Uint8Array => new Uint8Array(32).fill(i + 1);

function tx(p: {
  from?: number;
  nonce: number;
  feeWei?: bigint;
  tipWei?: bigint;
  gas?: bigint;
  valueWei?: bigint;
  /** Of these accounts, at these nonces. */
  authorities?: readonly { of: number; nonce: number }[];
}): PooledTransaction {
  const authorizations = p.authorities?.map(({ of, nonce }) =>
    signAuthorization({ chainId: 0n, address: new Uint8Array(20).fill(8), nonce: BigInt(nonce) }, key(of)),
  );
  const signed = signTransaction(
    {
      ...(authorizations === undefined ? { type: 2 } : { type: 4, authorizations }),
      chainId: CHAIN_ID,
      nonce: BigInt(p.nonce),
      to: new Uint8Array(20).fill(9),
      valueWei: p.valueWei ?? 0n,
      data: new Uint8Array(0),
      gasLimit: p.gas ?? 21_000n,
      maxFeePerGasWei: p.feeWei ?? 10n * GWEI,
      maxPriorityFeePerGasWei: p.tipWei ?? GWEI,
    },
    key(p.from ?? 0),
  );
  return { tx: signed, sender: recoverSender(signed) };
}

type World = {
  accounts: Map<string, Account>;
  journal: MemoryLog;
  open: (orderedSeq?: number) => Promise<Lane>;
};

function world(overrides: Parameters<typeof readConfig<typeof laneConfig>>[2] = {}): World {
  const accounts = new Map<string, Account>();
  for (let i = 0; i < 4; i++) {
    const sender = toHexKey(tx({ from: i, nonce: 0 }).sender);
    accounts.set(sender, { nonce: 0n, balanceWei: 10n ** 18n, codeHash: EMPTY_CODE });
  }
  const journal = new MemoryLog("lane");
  const open = async (orderedSeq = 0): Promise<Lane> =>
    Lane.open(
      readConfig(laneConfig, {}, overrides),
      {
        index: 0,
        ordering: orderingPolicy("priority-fee"),
        chainId: CHAIN_ID,
        clock: systemClock,
        account: (a) => accounts.get(toHexKey(a)),
        l1FeeWei: () => 0n,
        codeKind: ({ codeHash }) => (codeHash === DELEGATED ? "delegation" : "none"),
        log: silentLog,
        journal,
        term: 1,
        onDropped: () => undefined,
      },
      await LaneTail.open(0, journal, orderedSeq),
    );
  return { accounts, journal, open };
}

let cutMs = 4e12;
const LIMITS = {
  gasMax: 30_000_000,
  gasLeft: 60_000_000,
  sizeMaxBytes: 1 << 20,
  txOverheadBytes: 0,
  baseFeeWei: GWEI,
  /** Every cut is later than the one before. */
  get acceptedBeforeMs() {
    return ++cutMs;
  },
};
const hashesOf = (batch: LaneBatch): Uint8Array[] => batch.txs.map(({ raw }) => decodeSignedTransaction(raw).hash);
const included = (batch: LaneBatch): Settlement[] =>
  batch.txs.map((one) => ({ hash: decodeSignedTransaction(one.raw).hash, included: true, tx: one }));
const released = async (lane: Lane, batch: LaneBatch): Promise<number> => (await lane.release(batch)) as number;
const nonces = (batch: { txs: readonly { raw: Uint8Array }[] }): number[] =>
  batch.txs.map((t) => Number(decodeSignedTransaction(t.raw).nonce));

async function codes(lane: Lane, items: readonly PooledTransaction[], share = 1): Promise<string[]> {
  return (await lane.submit(items, share)).map((o) => (o.accepted ? "ok" : o.code));
}

test("nonce gaps are held back until they are filled", async () => {
  const lane = await world().open();
  assert.deepEqual(await codes(lane, [tx({ nonce: 2 }), tx({ nonce: 1 })]), ["ok", "ok"]);
  assert.deepEqual(lane.status(), { pending: 0, queued: 2 });
  assert.deepEqual(nonces(lane.take(LIMITS)), []);
  await lane.submit([tx({ nonce: 0 })]);
  assert.deepEqual(lane.status(), { pending: 3, queued: 0 });
  assert.deepEqual(nonces(lane.take(LIMITS)), [0, 1, 2]);
});

test("a backlog leaves an even share to admission, then nothing, and never touches what was accepted", async () => {
  const lane = await world().open();
  assert.deepEqual(await codes(lane, [tx({ from: 0, nonce: 0 })]), ["ok"]);
  const three = [1, 2, 3].map((from) => tx({ from, nonce: 0 }));
  assert.deepEqual(await codes(lane, three, 0.5), ["BACKLOG_FULL", "ok", "BACKLOG_FULL"]);
  assert.deepEqual(await codes(lane, three, 0), ["BACKLOG_FULL", "ALREADY_KNOWN", "BACKLOG_FULL"]);
  assert.equal(lane.take(LIMITS).txs.length, 2);
  assert.deepEqual(await codes(lane, [tx({ from: 1, nonce: 0 })]), ["ok"]);
});

test("the highest effective tip comes first, a sender's nonces stay in order", async () => {
  const lane = await world().open();
  await lane.submit([
    tx({ from: 0, nonce: 0, tipWei: GWEI }),
    tx({ from: 0, nonce: 1, tipWei: 9n * GWEI }),
    tx({ from: 1, nonce: 0, tipWei: 5n * GWEI }),
    tx({ from: 2, nonce: 0, tipWei: 9n * GWEI, feeWei: 9n * GWEI }), // 8 above the base fee
    tx({ from: 3, nonce: 0, feeWei: GWEI / 2n, tipWei: 0n }), // below the base fee: waits
  ]);
  const picked = lane.take(LIMITS);
  const tips = picked.txs.map((t) => decodeSignedTransaction(t.raw).maxPriorityFeePerGasWei / GWEI);
  assert.deepEqual(tips, [9n, 5n, 1n, 9n]);
  assert.equal(lane.status().pending, 1);
});

test("each refusal has its code", async () => {
  const w = world({ senderTxsMax: 3, nonceGapMax: 4 });
  const sender = toHexKey(tx({ nonce: 0 }).sender);
  w.accounts.set(sender, { nonce: 5n, balanceWei: 10n ** 15n, codeHash: EMPTY_CODE });
  const lane = await w.open();
  lane.onHead({ gasLimit: 31_000_000, changed: [] });
  const five = tx({ nonce: 5 });
  assert.deepEqual(await codes(lane, [five, five]), ["ok", "ALREADY_KNOWN"]);
  assert.deepEqual(await codes(lane, [tx({ nonce: 4 })]), ["NONCE_TOO_LOW"]);
  assert.deepEqual(await codes(lane, [tx({ nonce: 11 })]), ["NONCE_TOO_FAR"]);
  assert.deepEqual(await codes(lane, [tx({ nonce: 5, feeWei: 10n * GWEI + 1n })]), ["REPLACEMENT_UNDERPRICED"]);
  assert.deepEqual(await codes(lane, [tx({ nonce: 5, feeWei: 11n * GWEI, tipWei: (11n * GWEI) / 10n })]), ["ok"]);
  assert.deepEqual(await codes(lane, [tx({ nonce: 6, valueWei: 10n ** 15n })]), ["INSUFFICIENT_FUNDS"]);
  assert.deepEqual(await codes(lane, [tx({ nonce: 6, gas: 20_999n })]), ["INTRINSIC_GAS"]);
  assert.deepEqual(await codes(lane, [tx({ nonce: 6, gas: 30_000_001n })]), ["GAS_LIMIT_EXCEEDED"]);
  assert.deepEqual(await codes(lane, [tx({ nonce: 6 }), tx({ nonce: 7 }), tx({ nonce: 8 })]), [
    "ok",
    "ok",
    "SENDER_LIMIT",
  ]);
});

test("a full pool refuses and never evicts what it accepted", async () => {
  const lane = await world({ poolTxsMax: 16 }).open();
  const first = Array.from({ length: 16 }, (_, nonce) => tx({ nonce }));
  assert.ok((await codes(lane, first)).every((c) => c === "ok"));
  assert.deepEqual(await codes(lane, [tx({ from: 1, nonce: 0, tipWei: 9n * GWEI })]), ["POOL_FULL"]);
  assert.ok(first.every((t) => lane.get(t.tx.hash) !== undefined));
});

test("ten thousand transactions of one sender: the limit answers, nothing grows", async () => {
  const lane = await world({ senderTxsMax: 100 }).open();
  const one = tx({ nonce: 0 });
  // Signing ten thousand is slow and not the point: vary the decoded nonce only.
  const many = Array.from({ length: 10_000 }, (_, i) => ({
    ...one,
    tx: { ...one.tx, nonce: BigInt(i), hash: new Uint8Array(32).map((__, j) => (i >> (8 * j)) & 255) },
  }));
  const result = await codes(lane, many);
  assert.equal(result.filter((c) => c === "ok").length, 100);
  assert.ok(result.slice(100).every((c) => c === "SENDER_LIMIT"));
});

test("a transaction that needs more gas than a cut orders is taken, one that needs more than the block has left waits", async () => {
  const lane = await world().open();
  await lane.submit([
    tx({ from: 0, nonce: 0, tipWei: 3n * GWEI }),
    tx({ from: 1, nonce: 0, tipWei: 2n * GWEI, gas: 45_000_000n }),
    tx({ from: 2, nonce: 0, tipWei: GWEI }),
  ]);
  const take = async (gasLeft: number): Promise<bigint[]> => {
    const batch = lane.take({ ...LIMITS, gasLeft });
    if (batch.txs.length === 0) return [];
    await lane.release(batch);
    await lane.settle(included(batch));
    return batch.txs.map((t) => decodeSignedTransaction(t.raw).gasLimit);
  };
  assert.deepEqual(await take(44_000_000), [21_000n, 21_000n]);
  assert.deepEqual(await take(45_000_000), [45_000_000n]);
});

test("a batch says whether the cut's gas alone ended it", async () => {
  const lane = await world().open();
  await lane.submit([0, 1, 2, 3].map((nonce) => tx({ nonce })));
  const take = async (limits: { gasMax?: number; gasLeft?: number }): Promise<[count: number, more: boolean]> => {
    const batch = lane.take({ ...LIMITS, ...limits });
    if (batch.txs.length > 0) await lane.release(batch);
    return [batch.txs.length, batch.more];
  };
  assert.deepEqual(await take({ gasMax: 21_000 }), [1, true]);
  // Another cut would find the block as full as this one did.
  assert.deepEqual(await take({ gasMax: 42_000, gasLeft: 22_000 }), [1, false]);
  assert.deepEqual(await take({ gasMax: 42_000 }), [2, false]);
  assert.deepEqual(await take({}), [0, false]);
});

test("a nonce that others moved (a deposit, an authorization) frees what waited behind it", async () => {
  const w = world();
  const lane = await w.open();
  const [stale, next] = [tx({ nonce: 0, feeWei: 1n, tipWei: 0n }), tx({ nonce: 1 })];
  assert.deepEqual(await codes(lane, [stale, next]), ["ok", "ok"]);
  const key = toHexKey(next.sender);
  w.accounts.set(key, { nonce: 1n, balanceWei: 10n ** 18n, codeHash: EMPTY_CODE });
  assert.deepEqual(await codes(lane, [tx({ nonce: 0, feeWei: 2n, tipWei: 0n })]), ["NONCE_TOO_LOW"]);
  lane.onHead({ gasLimit: 31_000_000, changed: ["00".repeat(20), key] });
  assert.equal(lane.get(stale.tx.hash), undefined);
  assert.equal(lane.nextNonce(next.sender), 2n);
  assert.deepEqual(nonces(lane.take(LIMITS)), [1]);
});

test("an account whose code is another's has one transaction at a time, which it may replace", async () => {
  const w = world();
  const lane = await w.open();
  const sender = toHexKey(tx({ nonce: 0 }).sender);
  w.accounts.set(sender, { nonce: 0n, balanceWei: 10n ** 18n, codeHash: DELEGATED });
  assert.deepEqual(await codes(lane, [tx({ nonce: 1 }), tx({ nonce: 0 }), tx({ nonce: 1 })]), [
    "DELEGATED_GAP",
    "ok",
    "DELEGATED_LIMIT",
  ]);
  assert.deepEqual(await codes(lane, [tx({ nonce: 0, feeWei: 12n * GWEI, tipWei: 2n * GWEI })]), ["ok"]);
  const batch = lane.take(LIMITS);
  await lane.release(batch);
  assert.deepEqual(await codes(lane, [tx({ nonce: 1 })]), ["DELEGATED_LIMIT"], "in flight counts");
  w.accounts.set(sender, { nonce: 1n, balanceWei: 10n ** 18n, codeHash: DELEGATED });
  await lane.settle(included(batch));
  assert.deepEqual(await codes(lane, [tx({ nonce: 1 })]), ["ok"]);
});

test("who is about to delegate counts as delegated, and is not reserved twice", async () => {
  const w = world();
  const lane = await w.open();
  const delegate = (p: { from: number; of: number; at?: number }): PooledTransaction =>
    tx({ from: p.from, nonce: 0, gas: 60_000n, authorities: [{ of: p.of, nonce: p.at ?? 0 }] });
  assert.deepEqual(await codes(lane, [delegate({ from: 1, of: 0 }), tx({ nonce: 0 }), tx({ nonce: 1 })]), [
    "ok",
    "ok",
    "DELEGATED_LIMIT",
  ]);
  assert.deepEqual(
    await codes(lane, [tx({ from: 2, nonce: 0 }), tx({ from: 2, nonce: 1 }), delegate({ from: 3, of: 2 })]),
    ["ok", "ok", "AUTHORITY_RESERVED"],
  );
  // An authorization that is used up holds nobody back.
  const used = toHexKey(tx({ from: 2, nonce: 0 }).sender);
  w.accounts.set(used, { nonce: 1n, balanceWei: 10n ** 18n, codeHash: EMPTY_CODE });
  assert.deepEqual(await codes(lane, [delegate({ from: 3, of: 2 })]), ["ok"]);
  // Once the delegating transaction is through, its authority is free (its code is looked at then).
  const batch = lane.take(LIMITS);
  await lane.release(batch);
  await lane.settle(included(batch));
  for (const address of w.accounts.keys())
    w.accounts.set(address, { nonce: address === used ? 2n : 1n, balanceWei: 10n ** 18n, codeHash: EMPTY_CODE });
  lane.onHead({ gasLimit: 31_000_000, changed: w.accounts.keys() });
  assert.deepEqual(await codes(lane, [tx({ nonce: 1 }), tx({ nonce: 2 })]), ["ok", "ok"]);
});

test("a restart finds every accepted transaction, and a release that was never ordered is taken back", async () => {
  const w = world();
  const lane = await w.open();
  const items = [tx({ nonce: 0 }), tx({ nonce: 1 }), tx({ from: 1, nonce: 0 }), tx({ from: 1, nonce: 5 })];
  await lane.submit(items);
  const batch = lane.take({ ...LIMITS, gasMax: 42_000 });
  assert.equal(batch.txs.length, 2);
  const seq = await released(lane, batch);
  const tail = await LaneTail.open(0, w.journal, 0);
  assert.deepEqual(
    (await tail.batchAt(seq)).map((one) => one.raw),
    batch.txs.map((one) => one.raw),
  );

  const unordered = await w.open(0);
  assert.ok(
    items.every((t) => unordered.get(t.tx.hash) !== undefined),
    "the release is withdrawn",
  );
  const again = await w.open(0);
  assert.ok(
    items.every((t) => again.get(t.tx.hash) !== undefined),
    "and stays withdrawn",
  );
});

test("an ordered release does not come back after a restart", async () => {
  const w = world();
  const lane = await w.open();
  await lane.submit([tx({ nonce: 0 }), tx({ from: 1, nonce: 0 })]);
  const batch = lane.take({ ...LIMITS, gasMax: 21_000 });
  const seq = await released(lane, batch);
  const restarted = await w.open(seq);
  assert.deepEqual(
    hashesOf(batch).map((h) => restarted.get(h)),
    [undefined],
  );
  assert.equal(restarted.status().pending, 1);
});

test("what is skipped for now returns to the pool and survives a restart; what can never run is dropped", async () => {
  const w = world();
  const lane = await w.open();
  const [a, b, c] = [tx({ nonce: 0 }), tx({ from: 1, nonce: 0 }), tx({ from: 2, nonce: 0 })];
  await lane.submit([a, b, c]);
  const seq = await released(lane, lane.take(LIMITS));
  w.accounts.set(toHexKey(a.sender), { nonce: 1n, balanceWei: 10n ** 18n, codeHash: EMPTY_CODE });
  await lane.settle([
    { hash: a.tx.hash, included: true, tx: { raw: a.tx.raw, sender: a.sender } },
    { hash: b.tx.hash, included: false, reason: "FEE_BELOW_BASE", tx: { raw: b.tx.raw, sender: b.sender } },
    { hash: c.tx.hash, included: false, reason: "INSUFFICIENT_FUNDS", tx: { raw: c.tx.raw, sender: c.sender } },
  ]);
  await lane.trim(seq);
  const restarted = await w.open(seq);
  for (const l of [lane, restarted]) {
    assert.equal(l.get(a.tx.hash), undefined);
    assert.notEqual(l.get(b.tx.hash), undefined);
    assert.equal(l.get(c.tx.hash), undefined);
  }
  assert.deepEqual(
    hashesOf(restarted.take(LIMITS)).map((h) => toHex(h)),
    [toHex(b.tx.hash)],
  );
});

test("transactions of rewound blocks are executable again, also after a restart", async () => {
  const w = world();
  const lane = await w.open();
  const items = [tx({ nonce: 0 }), tx({ nonce: 1 })];
  await lane.submit(items);
  const batch = lane.take(LIMITS);
  const seq = await released(lane, batch);
  const sender = toHexKey(items[0]?.sender ?? new Uint8Array(0));
  w.accounts.set(sender, { nonce: 2n, balanceWei: 10n ** 18n, codeHash: EMPTY_CODE });
  await lane.settle(included(batch));
  const restore = await lane.prepareReturn(batch.txs);
  w.accounts.set(sender, { nonce: 0n, balanceWei: 10n ** 18n, codeHash: EMPTY_CODE });
  await restore();
  assert.deepEqual(nonces(lane.take(LIMITS)), [0, 1]);
  assert.deepEqual(nonces((await w.open(seq)).take(LIMITS)), [0, 1]);
});

test("any interleaving of submissions, takes and settlements keeps every accepted transaction exactly once", async () => {
  const pool = [0, 1, 2].flatMap((from) => [0, 1, 2, 3].map((nonce) => tx({ from, nonce })));
  const action = fc.oneof(
    fc.nat({ max: pool.length - 1 }).map((i) => ({ kind: "submit" as const, i })),
    fc.nat({ max: 5 }).map((n) => ({ kind: "cut" as const, n })),
    fc.constant({ kind: "restart" as const }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
      const w = world();
      let lane = await w.open();
      let ordered = 0;
      const accepted = new Set<string>();
      const executed: string[] = [];
      for (const a of actions) {
        if (a.kind === "submit") {
          const item = pool[a.i] as PooledTransaction;
          const [outcome] = await lane.submit([item]);
          if (outcome?.accepted === true) accepted.add(toHexKey(item.tx.hash));
        } else if (a.kind === "cut") {
          const batch = lane.take({ ...LIMITS, gasMax: 21_000 * a.n });
          if (batch.txs.length === 0) continue;
          ordered = await released(lane, batch);
          for (const t of batch.txs) {
            const account = w.accounts.get(toHexKey(t.sender)) as Account;
            assert.equal(account.nonce, decodeSignedTransaction(t.raw).nonce);
            w.accounts.set(toHexKey(t.sender), { ...account, nonce: account.nonce + 1n });
          }
          executed.push(...hashesOf(batch).map(toHexKey));
          await lane.settle(included(batch));
          lane.onHead({ gasLimit: 31_000_000, changed: [] });
          await lane.trim(ordered);
        } else lane = await w.open(ordered);
      }
      assert.equal(new Set(executed).size, executed.length, "nothing is ordered twice");
      for (const hash of accepted)
        assert.ok(
          executed.includes(hash) || lane.get(Buffer.from(hash, "hex")) !== undefined,
          "nothing accepted is lost",
        );
    }),
    { numRuns: 200 },
  );
});

test("a cut takes no more bytes than it may, so that a block fits one segment", async () => {
  const lane = await world().open();
  const items = [0, 1, 2, 3].map((from) => tx({ from, nonce: 0 }));
  await lane.submit(items);
  const sizeBytes = items[0]?.tx.raw.length ?? 0;
  const batch = lane.take({ ...LIMITS, sizeMaxBytes: 2 * sizeBytes + 1 });
  assert.equal(batch.txs.length, 2);
});

test("a transaction that is known already is only called so when it is durable", async () => {
  const w = world();
  const lane = await w.open();
  const one = tx({ nonce: 0 });
  const durableAt: [string, number][] = [];
  const note = (outcomes: readonly { accepted: boolean }[]): void => {
    durableAt.push([outcomes[0]?.accepted === true ? "accepted" : "known", w.journal.tip.seq]);
  };
  await Promise.all([lane.submit([one]).then(note), lane.submit([one]).then(note)]);
  assert.deepEqual(
    durableAt.sort((a, b) => a[0].localeCompare(b[0])),
    [
      ["accepted", 1],
      ["known", 1],
    ],
  );
});

test("ids of transactions that are gone are not given again after a restart", async () => {
  const w = world();
  const first = await w.open();
  const [a, b] = [tx({ nonce: 0 }), tx({ nonce: 1 })];
  await first.submit([a]);
  const ordered = await released(first, first.take(LIMITS));
  w.accounts.set(toHexKey(a.sender), { nonce: 1n, balanceWei: 10n ** 18n, codeHash: EMPTY_CODE });
  await (await w.open(ordered)).submit([b]);
  assert.notEqual((await w.open(ordered)).get(b.tx.hash), undefined);
});

test("what a replayed cut skips for now is in the pool again", async () => {
  const lane = await world().open();
  const one = tx({ nonce: 0 });
  const skipped = { raw: one.tx.raw, sender: one.sender };
  await lane.settle([{ hash: one.tx.hash, included: false, reason: "FEE_BELOW_BASE", tx: skipped }]);
  assert.notEqual(lane.get(one.tx.hash), undefined);
});
