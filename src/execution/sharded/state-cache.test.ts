import assert from "node:assert/strict";
import { test } from "node:test";
import type { Account } from "../execution.ts";
import { MissingRead } from "../execution.ts";
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
