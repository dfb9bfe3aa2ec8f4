/**
 * I14: who maps the databases beside the node reads exactly the version it was told, while blocks go on, bytes move
 * between shards and the chain is unwound; also where the state is in one database.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fromHex, toHex } from "../base/bytes.ts";
import type { StateReader } from "../execution/execution.ts";
import { emptyWrites } from "../protocol/state-writes.ts";
import { MemoryState } from "../state/memory-state.ts";
import { StoredState } from "../state/stored-state.ts";
import { Shards, SLOTS, writesOf } from "./testing/partitioned.ts";

const TRIES = 3_000;

test("reads from outside are of one version of all shards, also while bytes move", async () => {
  const shards = new Shards("threads");
  const folders = { chain: join(shards.folder, "chain"), shardPrefix: shards.folderOf(0).slice(0, -1) };
  const view = new StoredState(folders);
  const twin = new MemoryState();
  const addresses = [...writesOf(0).accounts.keys(), ...writesOf(20).accounts.keys()].map(fromHex);
  const same = (version: number): void => {
    const expected = twin.reader(version);
    for (const address of addresses) {
      assert.deepEqual(accountOf(view, address), accountOf(expected, address), `account at ${version}`);
      for (const slot of SLOTS.slice(0, 4))
        assert.equal(toHex(view.storage(address, slot)), toHex(expected.storage(address, slot)), `slot at ${version}`);
    }
  };
  const seen = new Set<number>();
  const look = (): number => {
    const version = view.refresh();
    if (version >= 0) same(version);
    seen.add(version);
    return version;
  };
  const until = async (version: number): Promise<void> => {
    for (let n = 0; look() !== version; n++) {
      assert.ok(n < TRIES, `version ${version} is seen`);
      await sleep(10);
    }
  };
  const step = async (n: number): Promise<void> => {
    const prepared = twin.prepare(writesOf(n));
    assert.equal(toHex(await shards.block(writesOf(n))), toHex(prepared.stateRoot));
    twin.commit(twin.head + 1, prepared);
  };
  try {
    assert.equal(look(), -1, "nothing is there");
    await shards.open(2);
    for (let n = 0; n < 5; n++) await step(n);
    await until(4);
    for (const count of [4, 1, 3]) {
      shards.state.mover.target = count;
      for (let n = 0; n < 10 || !shards.state.mover.isSettled; n++) {
        assert.ok(n < TRIES, "the bytes move");
        await step(twin.head + 1);
        look();
        await sleep(2);
      }
      await until(twin.head);
    }
    const target = twin.head - 6;
    shards.database.transaction(() => shards.state.rollback(target));
    twin.rollback(target);
    // Until all follow, versions that are gone may be read: the next block waits for that.
    await shards.state.prepare(emptyWrites());
    await shards.database.flushed();
    await until(target);
    for (let n = 0; n < 3; n++) await step(100 + n);
    await until(twin.head);
    assert.ok(seen.size > 10, `it follows the chain: ${[...seen].join(" ")}`);
  } finally {
    await view.close();
    await shards.remove();
  }
});

function accountOf(reader: StateReader, address: Uint8Array): unknown {
  const account = reader.account(address);
  return account && [account.nonce, account.balanceWei, toHex(account.codeHash)];
}
