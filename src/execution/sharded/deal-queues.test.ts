import assert from "node:assert/strict";
import { test } from "node:test";
import { DealQueues } from "./deal-queues.ts";
import { type Plan, Planner } from "./planner.ts";

/** A plan as given: who runs what, for how long, after whom; `first` is dealt before the others. */
function planOf(
  owners: readonly number[],
  micros: number,
  before: Readonly<Record<number, readonly number[]>> = {},
  first: readonly number[] = [],
): Plan {
  const rest = owners.flatMap((_, index) => (first.includes(index) ? [] : [index]));
  const firstBefore = [0];
  for (const index of owners.keys()) firstBefore.push((firstBefore[index] as number) + (before[index]?.length ?? 0));
  return {
    ...new Planner().plan([], 2, 0),
    owners: Int16Array.from(owners),
    order: Int32Array.from([...first, ...rest]),
    micros: new Float64Array(owners.length).fill(micros),
    before: Int32Array.from(owners.flatMap((_, index) => before[index] ?? [])),
    firstBefore: Int32Array.from(firstBefore),
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

test("a transaction waits until what it follows elsewhere is there; what is planned first goes first", () => {
  const done = new Done();
  // 3 is followed by 1 of the other seat, 5 follows 4 of its own.
  const queues = new DealQueues(planOf([0, 1, 0, 0, 1, 1], 10, { 1: [3], 5: [4] }), 2, done);
  assert.deepEqual(queues.take(1, never), [4, 5], "1 is held, 5 goes with what it follows");
  assert.deepEqual(queues.take(0, never), [0, 2, 3]);
  assert.deepEqual(queues.take(1, never), []);
  queues.returned(0, [0, 2, 3]);
  done.installed.add(3);
  queues.came(3);
  assert.deepEqual(queues.take(1, never), [1]);
  assert.equal(queues.seatOf(3), undefined);
  assert.equal(queues.seatOf(1), 1);
  const long = new DealQueues(planOf([0, 0, 0, 0], 2_000, {}, [3]), 1, new Done());
  assert.deepEqual(long.take(0, never), [0, 3]);
  assert.deepEqual(long.take(0, never), [1]);
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
  assert.ok((sizes[0] as number) >= 40 && (sizes.at(-2) as number) <= 7, sizes.join(" "));
});

test("who waits is dealt when the last of those it waits for has come, or the watermark has passed it", () => {
  const done = new Done();
  const queues = new DealQueues(planOf([0, 0, 1, 1], 10, { 2: [0, 1], 3: [2] }), 2, done);
  assert.deepEqual(queues.take(0, never), [0, 1]);
  assert.deepEqual(queues.take(1, never), [], "on its way to another one is not there");
  done.installed.add(0);
  queues.came(0);
  assert.deepEqual(queues.take(1, never), []);
  done.watermark = 2;
  queues.passed();
  assert.deepEqual(queues.take(1, never), [2, 3], "and with it what follows it there");
  queues.again(1, 2);
  assert.deepEqual(queues.take(1, never), [2]);
});

test("what a lost executor had goes to the others, and without others to the watermark", () => {
  const queues = new DealQueues(planOf([0, 0, 1, 1], 10), 2, new Done());
  queues.take(0, never);
  queues.passOver(0, [1]);
  assert.deepEqual(queues.take(1, never), [0, 1, 2, 3]);
  queues.passOver(1, []);
  assert.deepEqual(
    [0, 1, 2, 3].map((index) => queues.seatOf(index)),
    [undefined, undefined, undefined, undefined],
  );
});
