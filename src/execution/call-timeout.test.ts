/** Calls from outside end in time and leave the thread to others meanwhile; without a limit nothing changes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex } from "../base/bytes.ts";
import { EthereumjsEngine } from "./ethereumjs-engine.ts";
import type { CallInput, Engine } from "./execution.ts";
import { account, plainAddress, stateOf, testEnv } from "./testing/world.ts";
import { WasmEngine } from "./wasm/wasm.ts";

const LOOP = plainAddress(1);
const TREE = plainAddress(2);
const PAIRINGS = plainAddress(3);
const ANSWER = plainAddress(4);
const INIT = plainAddress(5);
const state = stateOf([
  [LOOP, account({ code: fromHex("5b5f56") })],
  // Calls itself twice without a jump: a tree of frames.
  [TREE, account({ code: fromHex("5f5f5f5f5f305af1".repeat(2)) })],
  // Calls the pairing precompile on two pairs of zeros, again and again.
  [PAIRINGS, account({ code: fromHex("5b5f5f6101805f5f60085af1505f56") })],
  // Loops two thousand times, then returns the gas and 7.
  [ANSWER, account({ code: fromHex("620007d05b6001900380600457505a5f52600760205260405ff3") })],
  // Creates a contract whose init code loops for ever.
  [INIT, account({ code: fromHex("625b5f565f526003601d5ff000") })],
]);
const call = (to: Uint8Array, timeoutMs?: number, gasLimit = 100_000_000_000): CallInput => ({
  from: plainAddress(9),
  to,
  data: new Uint8Array(0),
  valueWei: 0n,
  gasLimit: timeoutMs === undefined ? 100_000 : gasLimit,
  gasPriceWei: 0n,
  intrinsicGas: true,
  ...(timeoutMs === undefined ? {} : { timeoutMs }),
});

/** Ends at its limit, and timers fire meanwhile; on a machine so busy that there was no time for a turn, with more. */
async function assertAborted(engine: Engine, to: Uint8Array): Promise<void> {
  for (const timeoutMs of [200, 1_000, 5_000, 25_000]) {
    let turns = 0;
    const timer = setInterval(() => turns++, 5);
    const result = await engine.call(testEnv(), call(to, timeoutMs), state.reader());
    clearInterval(timer);
    assert.equal(result.status, "halt");
    assert.equal(result.error, `execution aborted (timeout = ${timeoutMs}ms)`);
    if (turns > 0) return;
  }
  assert.fail("timers fire while the call runs");
}

const engines: Readonly<Record<string, () => Promise<Engine>>> = {
  wasm: () => WasmEngine.create(),
  ethereumjs: () => Promise.resolve(new EthereumjsEngine()),
};
for (const [engineName, create] of Object.entries(engines)) {
  for (const [name, to] of [
    ["a loop", LOOP],
    ["a tree of calls", TREE],
    ["init code that loops", INIT],
  ] as const)
    test(`${name} is aborted on ${engineName}, and the event loop turns meanwhile`, async () => {
      const engine = await create();
      await assertAborted(engine, to);
      const next = await engine.call(testEnv(), call(LOOP), state.reader());
      assert.equal(next.error, "out of gas", "without a limit gas decides");
      await engine.close();
    });

  test(`a call in time is the same with and without a limit on ${engineName}`, async () => {
    const engine = await create();
    const env = testEnv();
    const limited = call(ANSWER, 600_000, 10_000_000);
    const { timeoutMs: _, ...unlimited } = limited;
    // More at once than there are machines for calls.
    const answers = await Promise.all(
      Array.from({ length: 9 }, (_unused, i) => engine.call(env, i === 4 ? unlimited : limited, state.reader())),
    );
    assert.equal(answers[0]?.status, "success");
    assert.equal(answers[0]?.output[63], 7);
    for (const answer of answers) assert.deepEqual(answer, answers[4]);
    await engine.close();
  });
}

test("a precompile that takes long ends the turn of its caller", async () => {
  const engine = await WasmEngine.create();
  // The library builds its tables in the first pairing.
  await engine.call(testEnv(), { ...call(PAIRINGS), gasLimit: 400_000 }, state.reader());
  await assertAborted(engine, PAIRINGS);
});

test("a call that was given up leaves nothing to the calls after it on the same machine", async () => {
  const engine = await WasmEngine.create();
  const env = testEnv();
  const answer = call(ANSWER, 600_000, 10_000_000);
  const before = await engine.call(env, answer, state.reader());
  for (let i = 0; i < 6; i++) {
    const given = await Promise.all(
      [call(LOOP, 20), call(TREE, 20), call(INIT, 20)].map((c) => engine.call(env, c, state.reader())),
    );
    for (const result of given) assert.equal(result.error, "execution aborted (timeout = 20ms)");
    assert.deepEqual(await engine.call(env, answer, state.reader()), before);
  }
});
