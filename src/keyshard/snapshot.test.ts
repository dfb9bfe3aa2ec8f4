/**
 * Snapshots of a state on key shards that goes on changing and moving: what is restored is one block, on any number of
 * shards, and the chain goes on from it, also from below it.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { toHex } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import { addressOfPrivateKey } from "../protocol/secp256k1.ts";
import { restoreSnapshot } from "../snapshot/restore.ts";
import { type TakenSnapshot, takeSnapshot } from "../snapshot/take.ts";
import { emptyBlock, GENESIS_HASH } from "../snapshot/testing/empty-block.ts";
import { MemoryState } from "../state/memory-state.ts";
import { Database } from "../store/database.ts";
import { LmdbChainStore } from "../store/lmdb-chain-store.ts";
import { checkState } from "./open-state.ts";
import { Shards, writesOf } from "./testing/partitioned.ts";

const KEY = new Uint8Array(32).fill(7);

/** Makes the next block in chain and state. */
async function step(shards: Shards, chain: LmdbChainStore): Promise<void> {
  const version = shards.state.head + 1;
  const prepared = await shards.state.prepare(writesOf(version));
  shards.database.transaction(() => {
    shards.state.commit(version, prepared);
    chain.append(emptyBlock(version, prepared.stateRoot), []);
  });
}

function twinAt(version: number): MemoryState {
  const twin = new MemoryState();
  for (let v = 0; v <= version; v++) twin.commit(v, twin.prepare(writesOf(v)));
  return twin;
}

test("a snapshot under blocks and moves is one block, and is restored to any number of shards", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "sheaf-shard-snapshot-"));
  const snapshots = join(root, "snapshots");
  mkdirSync(snapshots);
  const shards = new Shards("here", join(root, "node"));
  t.after(async () => {
    await shards.close();
    rmSync(root, { recursive: true });
  });
  await shards.open(2);
  const chain = new LmdbChainStore(shards.database);
  const take = (): Promise<TakenSnapshot> =>
    takeSnapshot({
      chainId: 901,
      genesisHash: GENESIS_HASH,
      sources: [
        {
          name: "chain",
          copyTo: (of) => shards.state.copyTo(of("chain"), (shard) => of(`shard-${shard}`)),
        },
      ],
      folder: snapshots,
      privateKey: KEY,
      nowMs: 1_700_000_000_000,
    });
  for (let n = 0; n < 10; n++) await step(shards, chain);
  shards.state.mover.target = 4;
  await step(shards, chain);
  const all: TakenSnapshot[] = [];
  const taking = take().then((snapshot) => all.push(snapshot));
  for (let n = 0; n < 300 && all.length === 0; n++) {
    await step(shards, chain);
    await sleep(10);
  }
  await taking;
  const head = all[0]?.manifest.databases[0]?.head.number as number;
  assert.ok(head >= 9 && head <= shards.state.head);

  const copying = shards.state.copyTo(join(root, "copy"), (shard) => join(root, `copy-${shard}`));
  shards.database.transaction(() => {
    shards.state.rollback(shards.state.head - 1);
    chain.rollback(shards.state.head);
  });
  await assert.rejects(copying, (error) => hasCode(error, "KEYSHARD_COPY"));
  await step(shards, chain);

  for (const count of [1, 4]) {
    const restored = new Shards("here", join(root, `restored-${count}`));
    const startMs = performance.now();
    await restoreSnapshot({
      folder: snapshots,
      trusted: [addressOfPrivateKey(KEY)],
      chainId: 901,
      genesisHash: GENESIS_HASH,
      targetOf: (name) => ({ folder: join(restored.folder, name), hasChain: name === "chain" }),
    });
    const database = Database.open(join(restored.folder, "chain"));
    await checkState(database, { folderOf: (shard) => restored.folderOf(shard), log: silentLog });
    await database.close();
    const restoredMs = performance.now() - startMs;
    await restored.open(count);
    t.diagnostic(`block ${head} to ${count} shards in ${Math.round(restoredMs)} ms`);
    try {
      assert.equal(restored.state.head, head);
      const down = head - 3;
      restored.database.transaction(() => restored.state.rollback(down));
      const twin = twinAt(down);
      for (let n = 0; n < 20 || !restored.state.mover.isSettled; n++) {
        assert.ok(n < 500, "the state moves");
        const version = down + 1 + n;
        const expected = twin.prepare(writesOf(version));
        assert.equal(toHex(await restored.block(writesOf(version))), toHex(expected.stateRoot), `block ${version}`);
        twin.commit(version, expected);
        await restored.database.settled();
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal(restored.state.mover.shards, count);
      assert.equal(restored.failure, undefined);
    } finally {
      await restored.close();
    }
  }
});
