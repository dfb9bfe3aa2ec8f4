/**
 * I10: a state that moves between the chain's database and key shards, at every start with another setting, against its
 * twin: roots, reads of every served version, proofs, and unwinding below a move.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { toHex } from "../base/bytes.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { emptyWrites, type StateWrites } from "../protocol/state-writes.ts";
import { MemoryState } from "../state/memory-state.ts";
import { Database } from "../store/database.ts";
import { type OpenedState, openState } from "./open-state.ts";
import { writesArb, writesOf } from "./testing/partitioned.ts";
import { assertSame } from "./testing/same-state.ts";

const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

/** A folder with a chain's state, opened with one setting after the other. */
class Node {
  readonly folder = mkdtempSync(join(tmpdir(), "sheaf-moved-"));
  database!: Database;
  opened!: OpenedState;

  async open(count: number): Promise<void> {
    this.database = Database.open(join(this.folder, "chain"));
    this.opened = await openState(this.database, {
      env: { SHEAF_KEY_SHARDS: String(count) },
      folderOf: (shard) => this.shard(shard),
      log: silentLog,
      metrics: new Metrics(),
    });
  }

  shard(n: number): string {
    return join(this.folder, `shard-${n}`);
  }

  async block(writes: StateWrites): Promise<Uint8Array> {
    const { state } = this.opened;
    const prepared = await state.prepare(writes);
    this.database.transaction(() => state.commit(state.head + 1, prepared));
    return prepared.stateRoot;
  }

  async close(): Promise<void> {
    await this.opened?.close();
    await this.database?.close();
  }

  async remove(): Promise<void> {
    await this.close();
    rmSync(this.folder, { recursive: true });
  }
}

async function step(node: Node, twin: MemoryState, writes: StateWrites): Promise<void> {
  const prepared = twin.prepare(writes);
  assert.equal(toHex(await node.block(writes)), toHex(prepared.stateRoot), `root of block ${twin.head + 1}`);
  twin.commit(twin.head + 1, prepared);
}

test("history goes along with a move, and so does unwinding; what no version needs is removed", async () => {
  const node = new Node();
  const twin = new MemoryState();
  const reopen = async (count: number): Promise<void> => {
    await node.close();
    await node.open(count);
    await assertSame(node.opened.state, twin);
  };
  const back = (version: number): void => {
    const { state } = node.opened;
    node.database.transaction(() => state.rollback(version));
    twin.rollback(version);
  };
  try {
    await node.open(1);
    for (let n = 0; n < 8; n++) await step(node, twin, writesOf(n));
    await reopen(2);
    assert.equal(node.opened.state.oldest, 0, "no history is lost");
    for (let n = 8; n < 12; n++) await step(node, twin, writesOf(n));
    back(5);
    for (let n = 0; n < 3; n++) await step(node, twin, writesOf(50 + n));
    await reopen(2);
    await step(node, twin, writesOf(60));

    await reopen(1);
    for (let n = 0; n < 3; n++) await step(node, twin, writesOf(70 + n));
    const reader = node.opened.state.reader(node.opened.state.head);
    back(twin.head - 4);
    assert.throws(() => reader.account(new Uint8Array(20)), /STATE_UNKNOWN/);
    await step(node, twin, writesOf(80));
    await reopen(1);
    for (let n = 0; n < 3; n++) await step(node, twin, writesOf(90 + n));
    node.opened.state.prune(twin.head - 1);
    await assertSame(node.opened.state, twin);
    for (let waits = 0; existsSync(node.shard(0)); waits++) {
      assert.ok(waits < 3_000, "the shards' databases go");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await reopen(1);
    assert.equal(node.opened.shards, undefined);
    await step(node, twin, writesOf(100));
  } finally {
    await node.remove();
  }
});

type Step =
  | { readonly kind: "block"; readonly writes: StateWrites }
  | { readonly kind: "abort"; readonly by: number }
  | { readonly kind: "rollback"; readonly by: number }
  | { readonly kind: "reopen"; readonly shards: number }
  | { readonly kind: "prune"; readonly keep: number };

const stepArb: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant("block" as const), writes: writesArb }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("abort" as const), by: fc.nat(6) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("rollback" as const), by: fc.nat(8) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("reopen" as const), shards: fc.constantFrom(1, 1, 2, 3) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("prune" as const), keep: fc.nat(8) }) },
);

async function run(first: number, steps: readonly Step[]): Promise<void> {
  const node = new Node();
  const twin = new MemoryState();
  const target = (by: number): number => Math.max(node.opened.state.oldest, twin.oldest, twin.head - by, 0);
  try {
    await node.open(first);
    for (const s of steps) {
      const { state } = node.opened;
      switch (s.kind) {
        case "block":
          await step(node, twin, s.writes);
          break;
        case "abort": {
          const to = target(s.by);
          if (to >= twin.head) break;
          assert.throws(() =>
            node.database.transaction(() => {
              state.rollback(to);
              throw new Error("changed its mind");
            }),
          );
          break;
        }
        case "rollback": {
          const to = target(s.by);
          if (to >= twin.head) break;
          node.database.transaction(() => state.rollback(to));
          twin.rollback(to);
          break;
        }
        case "reopen":
          await node.close();
          await node.open(s.shards);
          await assertSame(node.opened.state, twin);
          break;
        case "prune":
          if (twin.head - s.keep > 0) state.prune(twin.head - s.keep);
          break;
      }
    }
    await step(node, twin, emptyWrites());
    await assertSame(node.opened.state, twin);
  } finally {
    await node.remove();
  }
}

test(`a state that moves gives roots, reads and proofs of the twin (seed ${seed})`, async () => {
  await fc.assert(fc.asyncProperty(fc.constantFrom(1, 2), fc.array(stepArb, { minLength: 10, maxLength: 50 }), run), {
    seed,
    numRuns: 12,
    includeErrorInReport: true,
    endOnFailure: true,
  });
});
