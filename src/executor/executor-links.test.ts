import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { decodeFromExecutor } from "../execution/sharded/messages.ts";
import { ShardedEngine } from "../execution/sharded/sharded-engine.ts";
import { Workload } from "../execution/sharded/testing/workloads.ts";
import { Random } from "../execution/wasm/testing/random-program.ts";
import type { World } from "../execution/wasm/testing/world.ts";
import { WasmEngine } from "../execution/wasm/wasm.ts";
import type { OpenLink } from "../link/link.ts";
import type { StateWrites } from "../protocol/state-writes.ts";
import { LmdbState } from "../state/lmdb-state.ts";
import { Database } from "../store/database.ts";
import { readingExecutor } from "./executor-links.ts";

const EPOCHS = 4;

function contentOf(world: World): StateWrites {
  return {
    accounts: new Map(
      [...world.accounts].map(([key, { nonce, balanceWei, codeHash, storage }]) => [
        key,
        { cleared: false, account: { nonce, balanceWei, codeHash }, storage },
      ]),
    ),
    codes: world.codes,
  };
}

/** Counts what executors ask for. */
function counting(open: OpenLink, asked: { keys: number }): OpenLink {
  return ({ received, lost }) =>
    open({
      lost,
      received: (message) => {
        const answer = decodeFromExecutor(message.slice());
        if (answer.kind === "need") asked.keys += answer.keys.length;
        received(message);
      },
    });
}

test("executors that read the stored state ask for nothing, and give the serial run's bytes", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-reading-"));
  const database = Database.open(folder);
  const state = new LmdbState(database);
  const workload = new Workload("M1", new Random(5, 3), 48);
  const { world } = workload;
  database.transaction(() => state.commit(0, state.prepare(contentOf(world))));
  await database.flushed();
  const asked = { keys: 0 };
  const serial = await WasmEngine.create();
  const engine = new ShardedEngine(await WasmEngine.create(), {
    links: (["threads", "processes"] as const).map((where) =>
      counting(readingExecutor(where, { chain: folder, shardPrefix: `${folder}-shard-` }), asked),
    ),
    shards: 2,
    areReading: true,
    always: true,
    stallMs: 60_000,
  });
  try {
    for (let n = 0; n < EPOCHS; n++) {
      const c = workload.epoch(120, 1_000_000_000);
      const expected = await serial.executeBatch(c.env, c.txs, world, c.gasAvailable);
      const results = await engine.executeBatch(c.env, c.txs, world, c.gasAvailable);
      assert.ok(expected.writes !== undefined && results.writes !== undefined);
      for (const [i, result] of results.entries()) {
        const other = expected[i];
        assert.equal(result.included, other?.included);
        if (result.included && other?.included === true)
          assert.deepEqual([result.gasUsed, result.writes], [other.gasUsed, other.writes], `transaction ${i}`);
      }
      const plain = world.copy();
      plain.apply(expected.writes);
      world.apply(results.writes);
      assert.deepEqual(world.lines(), plain.lines());
      workload.settle();
      // Every second epoch is not stored before the next one runs: executors are told of it.
      if (n % 2 === 0) continue;
      database.transaction(() => state.commit(state.head + 1, state.prepare(contentOf(world))));
      await database.flushed();
    }
    assert.equal(asked.keys, 0);
  } finally {
    await engine.close();
    await database.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
