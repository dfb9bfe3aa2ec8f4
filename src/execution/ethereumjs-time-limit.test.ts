/** Calls from outside end in time and leave the thread to others meanwhile; without a limit nothing changes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex } from "../base/bytes.ts";
import { EthereumjsEngine } from "./ethereumjs-engine.ts";
import type { CallInput } from "./execution.ts";
import { account, plainAddress, stateOf, testEnv } from "./testing/world.ts";

const LOOP = plainAddress(1);
const TREE = plainAddress(2);
const state = stateOf([
  [LOOP, account({ code: fromHex("5b5f56") })],
  // Calls itself twice without a jump: a tree of frames.
  [TREE, account({ code: fromHex("5f5f5f5f5f305af1".repeat(2)) })],
]);
const call = (to: Uint8Array, timeoutMs?: number): CallInput => ({
  from: plainAddress(9),
  to,
  data: new Uint8Array(0),
  valueWei: 0n,
  gasLimit: timeoutMs === undefined ? 100_000 : 1_000_000_000,
  gasPriceWei: 0n,
  intrinsicGas: true,
  ...(timeoutMs === undefined ? {} : { timeoutMs }),
});

for (const [name, to] of [
  ["a loop", LOOP],
  ["a tree of calls", TREE],
] as const)
  test(`${name} is aborted, and the event loop turns meanwhile`, async () => {
    const engine = new EthereumjsEngine();
    let turns = 0;
    const timer = setInterval(() => turns++, 5);
    const result = await engine.call(testEnv(), call(to, 200), state.reader());
    clearInterval(timer);
    assert.equal(result.status, "halt");
    assert.equal(result.error, "execution aborted (timeout = 200ms)");
    assert.ok(turns >= 1, "timers fire while the call runs");
    const next = await engine.call(testEnv(), call(LOOP), state.reader());
    assert.equal(next.error, "out of gas", "without a limit gas decides");
    await engine.close();
  });
