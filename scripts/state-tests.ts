/**
 * Runs files of ethereum/tests: GeneralStateTests and TransactionTests on the engine, RLPTests, TrieTests and BasicTests
 * on the codecs and the trie; the form of a file tells which it is.
 * Usage: npm run state-tests -- [--engine wasm|ethereumjs] DIR|FILE… Prints a line per failure, a line per case that is
 * left out with the reason, and last `N passed, N failed`.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { EthereumjsEngine } from "../src/execution/ethereumjs-engine.ts";
import { type RunTransaction, type StateTest, stateCases } from "../src/execution/testing/state-test.ts";
import { type TransactionTest, transactionCases } from "../src/execution/testing/transaction-vectors.ts";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";
import { basicCases, rlpCases, type VectorCase } from "../src/protocol/testing/vectors.ts";
import { trieCases } from "../src/state/testing/trie-vectors.ts";

function* jsonFiles(path: string): Generator<string> {
  if (!statSync(path).isDirectory()) {
    yield path;
    return;
  }
  for (const name of readdirSync(path).sort()) {
    const child = join(path, name);
    if (statSync(child).isDirectory()) yield* jsonFiles(child);
    else if (name.endsWith(".json")) yield child;
  }
}

async function casesOf(wasm: WasmEngine, run: RunTransaction, path: string): Promise<VectorCase[]> {
  const file = JSON.parse(readFileSync(path, "utf8")) as Record<string, object>;
  const name = basename(path);
  const first = Object.values(file)[0];
  if (/\/BasicTests\//.test(path) || first === undefined || typeof first !== "object") return basicCases(name, file);
  if ("post" in first && "pre" in first) return stateCases(run, file as Record<string, StateTest>);
  if ("txbytes" in first) return transactionCases(wasm, file as Record<string, TransactionTest>);
  if ("out" in first && "in" in first) return rlpCases(file as Parameters<typeof rlpCases>[0]);
  if ("in" in first) return trieCases(name, file as Parameters<typeof trieCases>[1]);
  return [{ name, failure: "neither a state, transaction, RLP, trie nor basic test" }];
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { engine: { type: "string" } } });
  if (positionals.length === 0 || !["wasm", "ethereumjs", undefined].includes(values.engine)) {
    console.error("usage: npm run state-tests -- [--engine wasm|ethereumjs] DIR|FILE…");
    return 2;
  }
  const wasm = await WasmEngine.create();
  const peer = values.engine === "ethereumjs" ? new EthereumjsEngine() : undefined;
  const run: RunTransaction = (env, tx, state, gasLimit) =>
    peer === undefined
      ? Promise.resolve(wasm.execute(env, [tx], state, env.gasLimit, { gasLimit })[0])
      : peer.executeBatch(env, [tx], state, env.gasLimit).then(([result]) => result);
  let passed = 0;
  let failed = 0;
  for (const path of positionals.flatMap((p) => [...jsonFiles(p)])) {
    let cases: readonly VectorCase[];
    try {
      cases = await casesOf(wasm, run, path);
    } catch (error) {
      cases = [{ name: "", failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }];
    }
    for (const { name, failure, skipped } of cases) {
      if (skipped !== undefined) console.log(`left out ${path} ${name}: ${skipped}`);
      else if (failure === undefined) passed++;
      else {
        failed++;
        console.log(`FAIL ${path} ${name}: ${failure}`);
      }
    }
  }
  await peer?.close();
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
