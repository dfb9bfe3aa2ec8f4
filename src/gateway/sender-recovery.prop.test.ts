/** Recovery on threads gives what recovery in place gives: any number, any order, bad signatures among them, dead threads. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { silentLog } from "../base/log.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { recoverSenders } from "../protocol/sender.ts";
import type { SignedTransaction } from "../protocol/transaction.ts";
import { signTransaction } from "../protocol/transaction-codec.ts";
import { KEYS } from "../rpc/testing/memory-chain.ts";
import { SenderMemo } from "./sender-memo.ts";
import { SenderRecovery } from "./sender-recovery.ts";

const recovery = new SenderRecovery(2, silentLog);
after(() => recovery.close());

const pool: SignedTransaction[] = Array.from({ length: 200 }, (_, i) => {
  const type = ([0, 1, 2] as const)[i % 3] as 0 | 1 | 2;
  const tx = signTransaction(
    { type, chainId: 901, nonce: BigInt(i), to: new Uint8Array(20), gasLimit: 21_000n, maxFeePerGasWei: 10n ** 9n },
    KEYS[i % KEYS.length]?.secret as Uint8Array,
  );
  // r beyond the curve's order, or of no point: recovers to nothing.
  return i % 17 === 0 ? { ...tx, r: 2n ** 256n - 1n } : i % 23 === 0 ? { ...tx, r: 5n } : tx;
});

test("threads recover what the main thread recovers, in order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(pool.length - 1), { maxLength: 300 }), async (picks) => {
      const txs = picks.map((pick) => pool[pick] as SignedTransaction);
      assert.deepEqual(await recovery.recover(txs), recoverSenders(txs));
    }),
    { numRuns: 25 },
  );
});

test("batches in flight at once do not mix", async () => {
  const batches = Array.from({ length: 12 }, (_, i) => pool.slice(i * 10, i * 10 + 60));
  const answers = await Promise.all(batches.map((batch) => recovery.recover(batch)));
  answers.forEach((answer, i) => assert.deepEqual(answer, recoverSenders(batches[i] as SignedTransaction[])));
});

test("a thread that ends loses nothing", async () => {
  const dying = new SenderRecovery(1, silentLog);
  const asked = dying.recover(pool);
  await dying.close();
  assert.deepEqual(await asked, recoverSenders(pool));
  assert.deepEqual(await dying.recover(pool), recoverSenders(pool));
});

test("what is remembered is what is recovered, and recovered once", async () => {
  // A hash stands for all bytes of a transaction.
  const txs = pool.map((tx, i) => ({ ...tx, hash: keccak256(Uint8Array.of(i)) }));
  const expected = recoverSenders(txs);
  const memo = new SenderMemo();
  const one = new SenderRecovery(0, silentLog, { memo });
  const other = new SenderRecovery(0, silentLog, { memo });
  assert.deepEqual(await one.recover(txs.slice(0, 120)), expected.slice(0, 120));
  assert.deepEqual(await other.recover(txs), expected);
  // Nothing is left to recover but what has no sender: other signatures under the same hashes go unnoticed.
  const changed = txs.map((tx, i) => (expected[i] === undefined ? tx : { ...tx, r: 2n ** 256n - 1n }));
  assert.deepEqual(await one.recover(changed), expected);
});

test("an entry gives way to a newer one of its place, and answers for its own hash only", () => {
  const memo = new SenderMemo();
  const hash = new Uint8Array(32).fill(7);
  const near = hash.slice();
  near[31] = 8;
  memo.set(hash, new Uint8Array(20).fill(1));
  assert.equal(memo.get(near), undefined);
  memo.set(near, new Uint8Array(20).fill(2));
  assert.equal(memo.get(hash), undefined);
  assert.deepEqual(memo.get(near), new Uint8Array(20).fill(2));
});
