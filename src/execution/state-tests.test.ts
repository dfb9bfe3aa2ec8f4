/** A sample of ethereum/tests on both engines; all of them run by `npm run state-tests`. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";
import { sharedFolder } from "../protocol/testing/shared-vectors.ts";
import type { VectorCase } from "../protocol/testing/vectors.ts";
import { EthereumjsEngine } from "./ethereumjs-engine.ts";
import { type RunTransaction, type StateTest, stateCases } from "./testing/state-test.ts";
import { type TransactionTest, transactionCases } from "./testing/transaction-vectors.ts";
import { WasmEngine } from "./wasm/wasm.ts";

const state = sharedFolder("ethereum-tests/GeneralStateTests");
const transactions = sharedFolder("ethereum-tests/TransactionTests");

/** What does not hold on the peer, by its design. */
const PEER_EXCEPTIONS: Readonly<Record<string, string>> = {
  "stRandom/randomStatetest384.json": "reads a block gas limit above 2^53, which an environment there cannot carry",
};
/** Minutes each on the peer, seconds here, because they are about running long. */
const SLOW = /stTimeConsuming|stQuadratic|stAttack|stMemoryStress|Call50000|Return50000|Call1024|loop|until_out_of_gas/;

function jsonFiles(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => join(path, name));
}
const read = (file: string): unknown => JSON.parse(readFileSync(file, "utf8"));
const failuresOf = (cases: readonly VectorCase[]): readonly VectorCase[] =>
  cases.filter(({ failure }) => failure !== undefined);

/** Every `every`th file; which of them fail, and how many cases passed. */
async function sample(
  run: RunTransaction,
  every: number,
  also: readonly string[],
): Promise<{ failed: Map<string, string>; passed: number }> {
  const failed = new Map<string, string>();
  let passed = 0;
  const files = jsonFiles(state.path)
    .filter((file) => !SLOW.test(file))
    .filter((file, i) => i % every === 0 || also.includes(relative(state.path, file)));
  for (const file of files)
    for (const { name, failure } of await stateCases(run, read(file) as Record<string, StateTest>)) {
      if (failure === undefined) passed++;
      else failed.set(relative(state.path, file), `${name}: ${failure}`);
    }
  return { failed, passed };
}

test("every fourth state test ends in the expected root and logs on the engine", { skip: state.skip }, async () => {
  const engine = await WasmEngine.create();
  const run: RunTransaction = (env, tx, world, gasLimit) =>
    Promise.resolve(engine.execute(env, [tx], world, env.gasLimit, { gasLimit })[0]);
  const { failed, passed } = await sample(run, 4, Object.keys(PEER_EXCEPTIONS));
  assert.ok(passed > 2_000);
  assert.deepEqual([...failed], []);
});

test("every twelfth ends so on the peer too", { skip: state.skip }, async () => {
  const engine = new EthereumjsEngine();
  const run: RunTransaction = (env, tx, world) =>
    engine.executeBatch(env, [tx], world, env.gasLimit).then(([result]) => result);
  const { failed, passed } = await sample(run, 12, Object.keys(PEER_EXCEPTIONS));
  await engine.close();
  assert.ok(passed > 500);
  // An exception that has come to pass is one no longer.
  assert.deepEqual([...failed.keys()].sort(), Object.keys(PEER_EXCEPTIONS).sort(), JSON.stringify([...failed]));
});

test("codec, recovery and engine agree with every transaction test", { skip: transactions.skip }, async () => {
  const engine = await WasmEngine.create();
  const cases = jsonFiles(transactions.path).flatMap((file) =>
    transactionCases(engine, read(file) as Record<string, TransactionTest>),
  );
  assert.ok(cases.length > 700);
  assert.deepEqual(failuresOf(cases), []);
});
