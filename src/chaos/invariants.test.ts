import assert from "node:assert/strict";
import { test } from "node:test";
import type { BlockContext, OrderRecord } from "../protocol/cut.ts";
import { SCENARIOS } from "./catalogue.ts";
import { depositFinding, type LogEntry, orderFinding, segmentFinding } from "./invariants.ts";
import { seededRandom } from "./random.ts";
import { parseMetrics } from "./watch.ts";

const cut = (seq: number, term: number, blockNumber: number, opens: boolean, close: boolean): LogEntry => {
  const open = opens ? ({ number: blockNumber } as BlockContext) : undefined;
  const order: OrderRecord = {
    kind: "cut",
    blockNumber,
    open,
    ordering: "first-come",
    positions: [],
    inline: [],
    close,
  };
  return { seq, term, order };
};

test("B: an order log with a lower term, a block opened twice, or one left out is refused", () => {
  const good = [cut(1, 1, 1, true, false), cut(2, 1, 1, false, true), cut(3, 2, 2, true, true)];
  assert.ok(orderFinding(good).held);
  assert.ok(!orderFinding([...good, cut(4, 1, 3, true, true)]).held, "a leader of before");
  assert.ok(!orderFinding([...good, cut(4, 2, 2, true, true)]).held, "a second block 2");
  assert.ok(!orderFinding([...good, cut(4, 2, 4, true, true)]).held, "no block 3");
  assert.ok(!orderFinding([...good, cut(4, 2, 3, true, false), cut(5, 2, 3, true, true)]).held, "opened twice");
  assert.ok(!orderFinding([]).held, "nothing to judge");
  const rewind: LogEntry = { seq: 4, term: 2, order: { kind: "rewind", toBlock: 1, reason: "L1" } };
  assert.ok(orderFinding([...good, rewind, cut(5, 2, 2, true, true)]).held, "a rewind is on record");
});

test("G: segments with a gap, an overlap or a wrong index are refused", () => {
  const segment = (index: number, firstBlock: number, lastBlock: number) => ({
    ...{ index, firstBlock, lastBlock },
    kind: "blobs" as const,
  });
  assert.ok(segmentFinding([segment(0, 1, 5), segment(1, 6, 6)]).held);
  assert.ok(!segmentFinding([segment(0, 1, 5), segment(1, 7, 8)]).held, "a gap");
  assert.ok(!segmentFinding([segment(0, 1, 5), segment(1, 5, 8)]).held, "posted twice");
  assert.ok(!segmentFinding([segment(0, 1, 5), segment(2, 6, 8)]).held, "an index left out");
  assert.ok(!segmentFinding([]).held, "nothing to judge");
  const left = [segment(0, 1, 5), segment(1, 6, 9), segment(2, 8, 12)];
  assert.ok(segmentFinding(left, new Map([[1, 2]])).held, "blocks 8 and 9 were of a fork that L1 has left");
  assert.ok(!segmentFinding(left, new Map([[1, 1]])).held, "block 7 is in none");
  assert.ok(segmentFinding([segment(0, 1, 5), segment(1, 9, 9), segment(2, 6, 8)], new Map([[1, 0]])).held);
});

test("E: a deposit that is missing, doubled or invented is refused", () => {
  const sent = new Set(["a", "b"]);
  const executed = (...counts: [string, number][]): Map<string, number> => new Map(counts);
  assert.ok(depositFinding(sent, executed(["a", 1], ["b", 1])).held);
  assert.ok(!depositFinding(sent, executed(["a", 1])).held);
  assert.ok(!depositFinding(new Set(), executed()).held, "nothing to judge");
  assert.ok(!depositFinding(sent, executed(["a", 2], ["b", 1])).held);
  assert.ok(!depositFinding(sent, executed(["a", 1], ["b", 1], ["c", 1])).held);
});

test("every drill has its own name, an id of the catalogue, and a bound on a recovery", () => {
  assert.equal(new Set(SCENARIOS.map((s) => s.name)).size, SCENARIOS.length);
  for (const { name, id, steps, quickSteps } of SCENARIOS)
    for (const list of [steps, quickSteps ?? steps]) {
      assert.match(id, /^C\d\d$/);
      assert.ok(
        list.some((step) => step.do === "until" && step.recoveryFrom !== undefined),
        `${name} says how fast it recovers`,
      );
    }
});

test("a seed repeats its choices, and metrics are read with their labels", () => {
  const [a, b] = [seededRandom(7), seededRandom(7)];
  for (let i = 0; i < 100; i++) assert.equal(a(), b());
  const values = parseMetrics('# HELP x y\nup{endpoint="h:1"} 0\nup{endpoint="h:2"} 1\nplain 2.5\n');
  assert.deepEqual(values.get("up"), [
    { labels: '{endpoint="h:1"}', value: 0 },
    { labels: '{endpoint="h:2"}', value: 1 },
  ]);
  assert.equal(values.get("plain")?.[0]?.value, 2.5);
});
