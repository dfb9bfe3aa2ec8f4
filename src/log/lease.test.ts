import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../base/error.ts";
import { decodeLeaseRecord, encodeLeaseRecord, fence, isLeaseRecord, type LeaseOptions, takeLead } from "./lease.ts";
import { MemoryLog } from "./memory-log.ts";
import { ManualClock } from "./testing/lease-properties.ts";

const never = new AbortController().signal;
const turns = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
};
const options = (holder: string, clock: ManualClock, more: Partial<LeaseOptions> = {}): LeaseOptions => ({
  holder,
  leaseMs: 300,
  clock,
  ...more,
});

test("lease records are known by their first byte and read back", () => {
  const record = { kind: "renewal", holder: "node-7", address: "http://10.0.0.7:9545" } as const;
  assert.deepEqual(decodeLeaseRecord(encodeLeaseRecord(record)), record);
  const told = { ...record, block: { number: 300, hash: new Uint8Array(32).fill(7) } };
  assert.deepEqual(decodeLeaseRecord(encodeLeaseRecord(told)), told);
  const first = Uint8Array.from([0, 1, 0, 1, 97]);
  assert.deepEqual(decodeLeaseRecord(first), { kind: "claim", holder: "a", address: "" }, "as 0.1.0 wrote them");
  assert.ok(isLeaseRecord(encodeLeaseRecord(record)));
  assert.ok(!isLeaseRecord(Uint8Array.of(1, 0)));
  assert.ok(!isLeaseRecord(new Uint8Array(0)));
});

test("an empty log is led at once; a second candidate waits until the leader is silent for the lease", async () => {
  const log = new MemoryLog();
  const clock = new ManualClock();
  const stop = new AbortController();
  const first = await takeLead(log, options("a", clock), never);
  assert.equal(first?.term, 1);
  const run = first?.run(stop.signal);
  let second: number | undefined;
  const standing = takeLead(log, options("b", clock), never).then((led) => {
    second = led?.term;
    return led;
  });
  // Renewals keep it waiting, for as long as they come.
  for (let i = 0; i < 50; i++) {
    clock.advance(100);
    await turns();
  }
  assert.equal(second, undefined);
  stop.abort();
  await run;
  for (let i = 0; i < 5; i++) {
    clock.advance(100);
    await turns();
  }
  assert.equal(second, 2);
  await assert.rejects(first?.writer.append(Uint8Array.of(1)) as Promise<number>, (e) => hasCode(e, "LOG_STALE_TERM"));
  await (await standing)?.writer.append(Uint8Array.of(1));
});

test("a resignation lets the next one in at once, and whoever is not ready does not stand", async () => {
  const log = new MemoryLog();
  const clock = new ManualClock();
  const first = await takeLead(log, options("a", clock, { termAtLeast: 7 }), never);
  assert.equal(first?.term, 7);
  let ready = false;
  const unready = takeLead(log, options("b", clock, { mayStand: () => ready }), never);
  await first?.resign();
  clock.advance(10_000);
  await turns();
  assert.equal(log.tip.term, 7);
  ready = true;
  clock.advance(10_000);
  assert.equal((await unready)?.term, 8);
});

test("a candidate that is told to stop stops", async () => {
  const log = new MemoryLog();
  const clock = new ManualClock();
  await takeLead(log, options("a", clock), never);
  const stop = new AbortController();
  const standing = takeLead(log, options("b", clock), stop.signal);
  await turns();
  stop.abort();
  assert.equal(await standing, undefined);
});

test("a fence ends the leader before on a further log, and a higher one is not stepped over", async () => {
  const lane = new MemoryLog();
  await lane.append({ expectedSeq: 0, term: 3, payloads: [Uint8Array.of(1)] });
  await fence(lane, 4, "b");
  await assert.rejects(lane.append({ expectedSeq: 1, term: 3, payloads: [Uint8Array.of(1)] }), (e) =>
    hasCode(e, "LOG_STALE_TERM"),
  );
  await assert.rejects(fence(lane, 3, "a"), (e) => hasCode(e, "LOG_STALE_TERM"));
  assert.equal(lane.tip.term, 4);
});
