import assert from "node:assert/strict";
import { test } from "node:test";
import type { Account } from "../execution.ts";
import { MissingRead } from "../execution.ts";
import { encodeToExecutor, type StateEntry } from "./messages.ts";
import { type OwnState, StateCache } from "./state-cache.ts";

const address = new Uint8Array(20).fill(1);
const slot = new Uint8Array(32).fill(2);
const value = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const ACCOUNT: Account = { nonce: 1n, balanceWei: 5n, codeHash: value(9) };

test("each transaction of an epoch reads what is before it in the order, whenever that was told", () => {
  const cache = new StateCache();
  cache.take([{ kind: "slot", address, slot, value: value(1) }]);
  cache.beginEpoch();
  const seen = (index: number): number | undefined => {
    cache.readAt(index);
    return cache.storage(address, slot)[0];
  };
  cache.takeVersions([{ address, slot, value: value(7), writer: 20, reader: 21 }]);
  cache.takeVersions([{ address, slot, value: value(5), writer: 10, reader: 11 }]);
  assert.deepEqual([10, 11, 20, 21, 99].map(seen), [1, 5, 5, 7, 7]);
  assert.ok(cache.isWrittenBetween(10, 11) && cache.isWrittenBetween(0, 99) && !cache.isWrittenBetween(11, 20));
  // A correction: the one at 21 finds what 10 wrote, so 20 did not write.
  cache.takeVersions([{ address, slot, value: value(6), writer: 10, reader: 21 }]);
  assert.deepEqual([11, 21].map(seen), [6, 6]);
  cache.beginEpoch();
  assert.equal(seen(99), 1, "what came of the epoch is told when it is over");
});

test("what it does not know it reads from its own state once, and asks for the rest", () => {
  let reads = 0;
  const own: OwnState = {
    refresh: () => 0,
    account: () => {
      reads++;
      return ACCOUNT;
    },
    storage: () => {
      reads++;
      return value(3);
    },
    code: () => {
      throw new MissingRead();
    },
    blockHash: () => value(4),
  };
  const cache = new StateCache(own);
  cache.beginEpoch();
  for (let n = 0; n < 3; n++) {
    assert.equal(cache.account(address), ACCOUNT);
    assert.equal(cache.storage(address, slot)[0], 3);
  }
  assert.equal(reads, 2);
  assert.throws(() => cache.code(value(9)), MissingRead);
  assert.throws(() => cache.blockHash(1), MissingRead, "hashes of blocks must be right: only who orders knows them");
  assert.throws(() => new StateCache().account(address), MissingRead);
});

test("an executor with a state of its own knows the newest it was told until that must be stored", () => {
  let head = 10;
  let stored = 3;
  const own: OwnState = {
    refresh: () => head,
    account: () => ({ ...ACCOUNT, nonce: BigInt(stored) }),
    storage: () => value(stored),
    code: () => {
      throw new MissingRead();
    },
    blockHash: () => value(4),
  };
  const cache = new StateCache(own);
  const other = new Uint8Array(20).fill(8);
  const tell = (n: number, entries: readonly StateEntry[] = []): void =>
    cache.tell(
      encodeToExecutor({
        kind: "update",
        entries: [
          { kind: "account", address, account: { ...ACCOUNT, nonce: BigInt(n) } },
          { kind: "slot", address, slot, value: value(n) },
          ...entries,
        ],
      }),
    );
  const seen = (): (number | bigint | undefined)[] => [cache.account(address)?.nonce, cache.storage(address, slot)[0]];
  cache.beginEpoch();
  assert.deepEqual(seen(), [3n, 3]);
  const late = new Uint8Array(20).fill(6);
  tell(5, [
    { kind: "account", address: other, account: undefined },
    { kind: "account", address: late, account: undefined },
  ]);
  tell(6, [{ kind: "code", codeHash: value(9), code: new Uint8Array(3) }]);
  assert.deepEqual(seen(), [6n, 6], "the newest, over what was read before");
  assert.equal(cache.account(other), undefined, "what the layer below says");
  assert.equal(cache.code(value(9)).length, 3);
  stored = 7;
  head = 13;
  cache.beginEpoch();
  assert.deepEqual(seen(), [6n, 6], "it may be of a block that is not stored");
  head = 14;
  cache.beginEpoch();
  assert.deepEqual(seen(), [6n, 6], "nothing else was told since");
  assert.equal(cache.account(late)?.nonce, 7n, "stored by now, and perhaps overtaken");
  tell(8);
  assert.deepEqual(seen(), [8n, 8]);
  stored = 2;
  head = 9;
  cache.beginEpoch();
  assert.deepEqual(seen(), [2n, 2], "the chain was taken back");
});

test("of thousands of entries each is found, and nothing else", () => {
  const cache = new StateCache({
    refresh: () => 0,
    account: () => undefined,
    storage: () => value(0),
    code: () => new Uint8Array(0),
    blockHash: () => value(4),
  });
  const slotOf = (n: number): Uint8Array => {
    const bytes = new Uint8Array(32);
    new DataView(bytes.buffer).setUint32(28, n);
    return bytes;
  };
  const entries = Array.from(
    { length: 5_000 },
    (_, n): StateEntry => ({ kind: "slot", address, slot: slotOf(2 * n), value: value(1 + (n % 200)) }),
  );
  cache.beginEpoch();
  cache.tell(encodeToExecutor({ kind: "update", entries }));
  for (let n = 0; n < 5_000; n++) {
    assert.equal(cache.storage(address, slotOf(2 * n))[0], 1 + (n % 200));
    if (n % 50 === 0) assert.equal(cache.storage(address, slotOf(2 * n + 1))[0], 0);
  }
});
