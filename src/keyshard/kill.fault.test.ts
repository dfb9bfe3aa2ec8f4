/**
 * I11: key shards and the process above them are killed at any moment, while blocks are stored and bytes move: what comes
 * back is a block's state, the same on all shards, and the chain goes on with the roots it would have had.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { toHex } from "../base/bytes.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { emptyWrites, mergeWrites } from "../protocol/state-writes.ts";
import { LmdbState } from "../state/lmdb-state.ts";
import { MemoryState } from "../state/memory-state.ts";
import { Database } from "../store/database.ts";
import type { ShardsIn } from "./links.ts";
import { openState } from "./open-state.ts";
import { largeWritesOf, Shards, writesOf } from "./testing/partitioned.ts";

const CHILD = fileURLToPath(new URL("./testing/block-writing-child.ts", import.meta.url));
const MOVING_CHILD = fileURLToPath(new URL("./testing/state-moving-child.ts", import.meta.url));

/** Processes of key shards that this one started. */
function shardPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        return parent === process.pid && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("keyshard/shard-worker");
      } catch {
        return false; // it has ended meanwhile
      }
    });
}

/** Makes the next block on both, and compares. */
async function step(shards: Shards, twin: MemoryState): Promise<void> {
  const version = shards.state.head + 1;
  const prepared = twin.prepare(writesOf(version));
  assert.equal(toHex(await shards.block(writesOf(version))), toHex(prepared.stateRoot), `root of block ${version}`);
  twin.commit(twin.head + 1, prepared);
}

test("key shards that are killed come back and the blocks in hand are made", async () => {
  const shards = new Shards("processes");
  const twin = new MemoryState();
  try {
    await shards.open(2);
    for (let n = 0; n < 30; n++) {
      if (n % 15 === 7) {
        const pids = shardPids();
        assert.ok(pids.length >= 2, "the shards run as processes");
        process.kill(pids[n % pids.length] as number, "SIGKILL");
      }
      if (n === 10) shards.state.mover.target = 3;
      await step(shards, twin);
      await sleep(5);
    }
    assert.equal(shards.failure, undefined);
  } finally {
    await shards.remove();
  }
});

for (const where of ["threads", "processes"] as const satisfies readonly ShardsIn[])
  test(`a process with key shards in ${where}, killed while it stores blocks, leaves a whole state`, async () => {
    const shards = new Shards(where);
    try {
      for (let round = 0; round < 2; round++) {
        const child = spawn(process.execPath, ["--import", "tsx", CHILD, shards.folder, where], {
          stdio: ["ignore", "pipe", "inherit"],
        });
        const reader = createInterface({ input: child.stdout });
        await once(reader, "line");
        await sleep(100 + Math.random() * 900);
        child.kill("SIGKILL");
        await once(child, "exit");

        // Opening compares the shards' root with the one stored with the block.
        await shards.open(2);
        const twin = new MemoryState();
        const all = emptyWrites();
        for (let version = 0; version <= shards.state.head; version++) mergeWrites(all, writesOf(version));
        twin.commit(0, twin.prepare(all));
        for (let n = 0; n < 3; n++) await step(shards, twin);
        assert.equal(shards.failure, undefined);
        await shards.close();
      }
    } finally {
      await shards.remove();
    }
  });

test("a process that is killed while the whole state moves leaves it where it was or where it goes", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-moving-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [round, count] of [2, 1, 1, 3].entries()) {
    const child = spawn(process.execPath, ["--import", "tsx", MOVING_CHILD, folder], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const reader = createInterface({ input: child.stdout });
    // The first lines may be of an opening that moves nothing.
    for (let lines = 0; lines < 2 + (round % 2); lines++) await once(reader, "line");
    await sleep(Math.random() * 500);
    child.kill("SIGKILL");
    await once(child, "exit");

    const database = Database.open(join(folder, "chain"));
    // Moving compares the root of the copy with the one stored with the block.
    const { state, close } = await openState(database, {
      env: { SHEAF_KEY_SHARDS: String(count) },
      folderOf: (shard) => join(folder, `shard-${shard}`),
      log: silentLog,
      metrics: new Metrics(),
    });
    const beside = Database.open(join(folder, `twin-${round}`), { durable: false });
    const twin = new LmdbState(beside);
    const all = emptyWrites();
    for (let version = 0; version <= state.head; version++) mergeWrites(all, largeWritesOf(version));
    t.diagnostic(`killed at block ${state.head}`);
    if (state.head >= 0) beside.transaction(() => twin.commit(0, twin.prepare(all)));
    for (let n = 0; n < 2; n++) {
      const writes = largeWritesOf(state.head + 1);
      const [prepared, expected] = [await state.prepare(writes), twin.prepare(writes)];
      assert.equal(toHex(prepared.stateRoot), toHex(expected.stateRoot), `root of block ${state.head + 1}`);
      database.transaction(() => state.commit(state.head + 1, prepared));
      beside.transaction(() => twin.commit(twin.head + 1, expected));
    }
    await close();
    await database.close();
    await beside.close();
  }
});
