/** Lanes in processes of their own: killed and stopped under load. Nothing accepted is lost, doubled or out of order. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { toHexKey } from "../../src/base/bytes.ts";
import { systemClock } from "../../src/base/clock.ts";
import { until } from "../../src/base/testing/until.ts";
import { laneOf } from "../../src/lane/lane-of.ts";
import { processLink } from "../../src/link/process-link.ts";
import { LaneWorld } from "../../src/node/testing/lane-world.ts";
import { running, transfer } from "../../src/node/testing/sequencing.ts";

const LANES = 4;
const SENDERS = 12;
const LANE_ENTRY = new URL("../../src/lane/lane-worker.ts", import.meta.url);

/** Processes of lanes that this process started, oldest first. */
function lanePids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        return parent === process.pid && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("lane-worker.ts");
      } catch {
        return false; // it has just ended
      }
    })
    .map(Number)
    .sort((a, b) => a - b);
}

test("lane processes are killed and stopped under load", { skip: process.platform !== "linux" }, async () => {
  const w = new LaneWorld(processLink(LANE_ENTRY, { name: "lane" }));
  w.laneTimeoutMs = 4_000;
  const s = await w.open(LANES);
  const accepted = new Set<string>();
  let refused = 0;
  const over = new AbortController();
  /** Sends one transaction after the other, each until it is accepted. */
  const send = async (sender: number): Promise<void> => {
    for (let nonce = 0; !over.signal.aborted; nonce++) {
      const item = transfer(sender, nonce);
      for (;;) {
        const [outcome] = await s.lanes.submit([item]);
        if (outcome?.accepted === true || outcome?.code === "ALREADY_KNOWN" || outcome?.code === "NONCE_TOO_LOW") break;
        assert.equal(outcome?.code, "UNAVAILABLE", "the one refusal there is");
        refused++;
        if (over.signal.aborted) return;
        await systemClock.sleep(50);
      }
      accepted.add(toHexKey(item.tx.hash));
      await systemClock.sleep(5);
    }
  };
  const isIn = (hash: string): boolean => w.chain.transaction(Buffer.from(hash, "hex")) !== undefined;
  await running(s, async () => {
    const load = Array.from({ length: SENDERS }, (_, sender) => send(sender));
    await until("a block with transactions", () => w.sequenced().length > 0);
    for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
      const pids = lanePids();
      assert.equal(pids.length, LANES);
      const before = accepted.size;
      const head = w.chain.head;
      process.kill(pids[accepted.size % LANES] as number, signal);
      await until(`a new worker after ${signal}`, () => {
        const now = lanePids();
        return now.length === LANES && now.some((pid) => !pids.includes(pid));
      });
      await until("all lanes are back", () => s.lanes.notReady() === undefined && w.chain.head > head);
      await until("transactions are accepted again", () => accepted.size > before + 2 * SENDERS);
      const known = [...accepted];
      await until("everything accepted so far is sealed", () => known.every(isIn));
    }
    over.abort();
    await Promise.all(load);
    await until("everything accepted is sealed", () => [...accepted].every(isIn));
  });
  assert.ok(refused > 0, "clients of the lost lanes were told to try again");
  w.checkOrder();
  const hashes = w.sequenced().map(({ hash }) => hash);
  assert.equal(new Set(hashes).size, hashes.length);
  const before = w.hashes();
  w.loseDatabase();
  await w.open(LANES);
  assert.deepEqual(w.hashes(), before, "the logs alone give the same chain");
  await w.close();
});

test("while one lane is away the others' transactions are sealed", { skip: process.platform !== "linux" }, async () => {
  // The second worker for lane 0 does not start before it is let.
  let mayStart = true;
  const open = processLink(LANE_ENTRY, { name: "lane" });
  const w = new LaneWorld((events) => {
    if (mayStart) return open(events);
    setImmediate(() => events.lost(new Error("not yet")));
    return { send: () => undefined, close: () => Promise.resolve() };
  });
  const s = await w.open(LANES);
  const items = Array.from({ length: SENDERS }, (_, sender) => transfer(sender, 0));
  const away = items.filter(({ sender }) => laneOf(sender, LANES) === 0);
  const others = items.filter(({ sender }) => laneOf(sender, LANES) !== 0);
  assert.ok(away.length > 0 && others.length > 0);
  await running(s, async () => {
    await until("the first block", () => w.chain.head >= 1);
    // Workers are started one after the other: the oldest is lane 0's.
    mayStart = false;
    process.kill(lanePids()[0] as number, "SIGKILL");
    await until("it is gone", () => lanePids().length === LANES - 1);
    const outcomes = await s.lanes.submit(items);
    for (const [i, item] of items.entries()) {
      const outcome = outcomes[i];
      if (others.includes(item)) assert.equal(outcome?.accepted, true);
      else assert.equal(outcome?.accepted === false && outcome.code, "UNAVAILABLE");
    }
    await until("the others are sealed", () => others.every(({ tx }) => w.chain.transaction(tx.hash) !== undefined));
    mayStart = true;
    await until("it takes transactions again", () => lanePids().length === LANES);
    const end = systemClock.nowMs() + 60_000;
    for (;;) {
      const again = await s.lanes.submit(away);
      if (again.every((o) => o.accepted || o.code === "ALREADY_KNOWN")) break;
      assert.ok(systemClock.nowMs() < end, "in time: accepted by the new worker");
      await systemClock.sleep(50);
    }
    await until("and are sealed", () => away.every(({ tx }) => w.chain.transaction(tx.hash) !== undefined));
  });
  w.checkOrder();
  await w.close();
});
