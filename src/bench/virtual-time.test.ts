/** Schedules worked out by hand, and the bounds every schedule keeps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Network, type Site, VirtualTime } from "./virtual-time.ts";

const INSTANT: Network = { latencyMicros: 0, bytesPerMicro: Number.POSITIVE_INFINITY, messageMicros: 0 };

/** A clock that handlers turn themselves. */
class Work {
  now = 0;
  readonly time: VirtualTime;
  constructor(processors?: { cores: number; pairedSpeed: number }) {
    this.time = new VirtualTime(processors);
  }
  readonly clock = (): number => this.now;
  spend(micros: number): void {
    this.now += micros;
  }
}

/** A coordinator that deals tasks with dependencies to executors in order, and takes the answers. */
function schedule(p: {
  work: Work;
  executors: number;
  costs: readonly number[];
  owners: readonly number[];
  after: readonly (readonly number[])[];
  dealMicros: number;
  takeMicros: number;
  network: Network;
}): Promise<void> {
  const { work, costs, owners, network } = p;
  const coordinator = work.time.site("coordinator", work.clock, true);
  const sites: Site[] = Array.from({ length: p.executors }, (_, i) => work.time.site(`executor ${i}`, work.clock));
  const isDone = costs.map(() => false);
  const isDealt = costs.map(() => false);
  const deal = (): void => {
    for (const [task, cost] of costs.entries()) {
      if (isDealt[task] === true || !(p.after[task] ?? []).every((other) => isDone[other])) continue;
      isDealt[task] = true;
      work.spend(p.dealMicros);
      work.time.send(sites[owners[task] as number] as Site, 100, network, () => {
        work.spend(cost);
        work.time.send(coordinator, 100, network, () => {
          work.spend(p.takeMicros);
          isDone[task] = true;
          deal();
        });
      });
    }
  };
  work.time.post(coordinator, deal);
  return work.time.run().then(() => assert.ok(isDone.every((done) => done)));
}

test("one executor: dealing goes on while it runs, taking comes after each", async () => {
  const work = new Work();
  const network = { latencyMicros: 50, bytesPerMicro: 10, messageMicros: 0 };
  await schedule({
    work,
    executors: 1,
    costs: [100, 200],
    owners: [0, 0],
    after: [[], []],
    dealMicros: 10,
    takeMicros: 5,
    network,
  });
  // Dealt at 10 and 20, there at 70 and 80 (50 latency, 100 bytes at 10 a microsecond); run until 170 and 370; the
  // second answer is back at 430 and taken at 435.
  assert.equal(work.time.nowMicros, 435);
  assert.deepEqual(
    work.time.sites.map((site) => site.busyMicros),
    [30, 300],
  );
});

test("two executors with an edge: the second waits for the first one's answer", async () => {
  const work = new Work();
  await schedule({
    work,
    executors: 2,
    costs: [100, 40],
    owners: [0, 1],
    after: [[], [0]],
    dealMicros: 10,
    takeMicros: 5,
    network: { ...INSTANT, latencyMicros: 500 },
  });
  // 10, hop 500, 100, hop 500, take 5 and deal 10, hop 500, 40, hop 500, take 5.
  assert.equal(work.time.nowMicros, 10 + 500 + 100 + 500 + 15 + 500 + 40 + 500 + 5);
});

test("a message costs both ends processor time", async () => {
  const work = new Work();
  await schedule({
    work,
    executors: 1,
    costs: [100],
    owners: [0],
    after: [[]],
    dealMicros: 0,
    takeMicros: 0,
    network: { ...INSTANT, messageMicros: 7 },
  });
  assert.equal(work.time.nowMicros, 100 + 4 * 7);
});

test("three busy threads on two cores get two thirds each, two that disturb each other what is left", async () => {
  const alone = async (tasks: number, cores: number, pairedSpeed: number): Promise<number> => {
    const work = new Work({ cores, pairedSpeed });
    for (let i = 0; i < tasks; i++) work.time.post(work.time.site(`${i}`, work.clock), () => work.spend(60));
    await work.time.run();
    return work.time.nowMicros;
  };
  assert.ok(Math.abs((await alone(3, 2, 1)) - 90) < 1e-3);
  assert.ok(Math.abs((await alone(2, 2, 0.6)) - 100) < 1e-3);
  assert.equal(await alone(1, 2, 0.6), 60);
  assert.ok(Math.abs((await alone(3, 1, 0.6)) - 180) < 1e-3);
});

test("a schedule is never shorter than its bounds, nor longer than everything in turn, and always the same", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          cost: fc.integer({ min: 0, max: 1_000 }),
          owner: fc.nat(7),
          after: fc.array(fc.nat(30), { maxLength: 3 }),
        }),
        { minLength: 1, maxLength: 30 },
      ),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 0, max: 300 }),
      async (tasks, executors, latencyMicros) => {
        const costs = tasks.map(({ cost }) => cost);
        const after = tasks.map((task, i) => task.after.filter((other) => other < i));
        const finish: number[] = [];
        for (const [i, cost] of costs.entries())
          finish.push(cost + Math.max(0, ...(after[i] as number[]).map((other) => finish[other] as number)));
        const work = costs.reduce((sum, cost) => sum + cost, 0);
        const makespans: number[] = [];
        for (let again = 0; again < 2; again++) {
          const run = new Work();
          await schedule({
            work: run,
            executors,
            costs,
            owners: tasks.map(({ owner }) => owner % executors),
            after,
            dealMicros: 3,
            takeMicros: 2,
            network: { ...INSTANT, latencyMicros },
          });
          makespans.push(run.time.nowMicros);
        }
        const [makespan, other] = makespans as [number, number];
        assert.equal(makespan, other);
        assert.ok(makespan >= Math.max(work / executors, ...finish) - 1e-3);
        assert.ok(makespan <= work + tasks.length * (3 + 2 + 2 * latencyMicros) + 1e-3);
      },
    ),
    { numRuns: 60 },
  );
});
