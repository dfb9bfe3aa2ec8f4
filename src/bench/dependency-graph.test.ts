/** Graphs and bounds worked out by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AccountEffect, CHECK_AT_LEAST, CHECK_BALANCE } from "../execution/sharded/effects.ts";
import { testEnv } from "../execution/testing/world.ts";
import { dependenciesOf } from "./dependency-graph.ts";
import { ceilingAt, workSpan } from "./work-span.ts";

const word = (value: number): Uint8Array => new Uint8Array(32).fill(value, 31);
const SENDER = new Uint8Array(20).fill(9);

function effect(p: Partial<AccountEffect>): AccountEffect {
  return {
    key: "aa".repeat(20),
    checks: 0,
    nonceBefore: 1n,
    balanceBeforeWei: 10n,
    codeHashBefore: word(0),
    balanceAtLeastWei: 0n,
    deltaWei: 0n,
    nonce: undefined,
    codeHash: undefined,
    isCleared: false,
    isTouched: false,
    slots: [],
    ...p,
  };
}
const slot = (key: string, before: number, value?: number): AccountEffect["slots"][number] => ({
  key,
  before: word(before),
  value: value === undefined ? undefined : word(value),
});
const graphOf = (effects: AccountEffect[][]): ReturnType<typeof dependenciesOf> =>
  dependenciesOf(
    testEnv(),
    effects.map(() => ({ raw: new Uint8Array(1), sender: SENDER, l1FeeWei: 0n })),
    effects,
  );

test("who reads a slot follows the latest who changed it; a write of what was there changes nothing", () => {
  const graph = graphOf([
    [effect({ slots: [slot("01", 0, 5)] })],
    [effect({ slots: [slot("01", 5, 5)] })],
    [effect({ slots: [slot("01", 5)] })],
    [effect({ slots: [slot("02", 0)] })],
  ]);
  assert.deepEqual(graph.deltas, [[], [0], [0], []]);
  assert.equal(new Set(graph.components).size, 2);
  const bounds = workSpan([10, 20, 30, 40], graph);
  assert.deepEqual(
    [bounds.workMicros, bounds.spanMicros, bounds.longestMicros, bounds.largestComponentMicros],
    [100, 40, 40, 60],
  );
  assert.equal(ceilingAt(bounds, 2), 2);
  assert.equal(ceilingAt(bounds, 16), 2.5);
});

test("payments order nobody as deltas, and everybody as reads and writes; who looks at a balance follows all", () => {
  const pay = [effect({ deltaWei: -1n, balanceAtLeastWei: 1n, checks: CHECK_AT_LEAST })];
  const look = [effect({ checks: CHECK_BALANCE })];
  const { deltas, noDeltas } = graphOf([pay, pay, pay, look, pay]);
  assert.deepEqual(deltas, [[], [], [], [0, 1, 2], []]);
  assert.deepEqual(noDeltas, [[], [0], [1], [2], [2]]);
});

test("fees order nobody under any rule", () => {
  const fee = [effect({ key: `42${"00".repeat(18)}11`, deltaWei: 1n })];
  assert.deepEqual(graphOf([fee, fee]).noDeltas, [[], []]);
});
