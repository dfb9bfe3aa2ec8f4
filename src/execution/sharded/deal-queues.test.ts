import assert from "node:assert/strict";
import { test } from "node:test";
import { DealQueues } from "./deal-queues.ts";
import type { TxHint } from "./hints.ts";
import { type Plan, Planner } from "./planner.ts";

/** A plan as given: who runs what, for how long, after whom. */
function planOf(
  owners: readonly number[],
  micros: number,
  before: Readonly<Record<number, readonly number[]>> = {},
): Plan {
  const isUrgent = new Uint8Array(owners.length);
  for (const [index, earlier] of Object.entries(before))
    for (const one of earlier) if (owners[one] !== owners[Number(index)]) isUrgent[one] = 1;
  const plan = new Planner().plan([] as TxHint[], 2, 0);
  return {
    ...plan,
    owners: Int16Array.from(owners),
    micros: new Float64Array(owners.length).fill(micros),
    before: (index) => Int32Array.from(before[index] ?? []),
    isUrgent,
  };
}

class Done {
  watermark = 0;
  readonly installed = new Set<number>();
  isInstalled(index: number): boolean {
    return this.installed.has(index);
  }
}

const never = (): boolean => false;

test("a transaction waits until what it follows elsewhere is there; what others wait for goes first", () => {
  const done = new Done();
  // 3 is followed by 1 of the other seat, 5 follows 4 of its own.
  const queues = new DealQueues(planOf([0, 1, 0, 0, 1, 1], 10, { 1: [3], 5: [4] }), 2, done);
  assert.deepEqual(queues.take(1, never), [4, 5], "1 is held, 5 goes with what it follows");
  assert.deepEqual(queues.take(0, never), [3, 0, 2]);
  assert.deepEqual(queues.take(1, never), []);
  queues.returned(0, [3, 0, 2]);
  done.installed.add(3);
  assert.deepEqual(queues.take(1, never), [1]);
  assert.equal(queues.seatOf(3), undefined);
  assert.equal(queues.seatOf(1), 1);
});

test("batches shrink towards the end, and who has nothing takes half of the rest", () => {
  const count = 400;
  const done = new Done();
  const queues = new DealQueues(
    planOf(
      Array.from({ length: count }, () => 0),
      100,
    ),
    2,
    done,
  );
  const sizes: number[] = [queues.take(0, never).length];
  assert.deepEqual(queues.take(1, never), []);
  assert.ok(queues.steal(1));
  assert.equal(queues.stolen, (count - (sizes[0] as number)) / 2);
  for (let size = sizes[0] as number; size > 0; ) {
    size = queues.take(0, never).length;
    sizes.push(size);
  }
  assert.deepEqual(
    sizes,
    sizes.toSorted((a, b) => b - a),
  );
  assert.ok((sizes[0] as number) >= 40 && (sizes.at(-2) as number) <= 4, sizes.join(" "));
});

test("what a lost executor had goes to the others, and without others to the watermark", () => {
  const queues = new DealQueues(planOf([0, 0, 1, 1], 10), 2, new Done());
  queues.take(0, never);
  queues.passOver(0, [1]);
  assert.deepEqual(queues.take(1, never), [2, 3, 0, 1]);
  queues.passOver(1, []);
  assert.deepEqual(
    [0, 1, 2, 3].map((index) => queues.seatOf(index)),
    [undefined, undefined, undefined, undefined],
  );
});
