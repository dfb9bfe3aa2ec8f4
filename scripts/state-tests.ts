/**
 * Runs files of ethereum/tests in the GeneralStateTests format on the engine and compares post-state root and logs
 * hash. Usage: npm run state-tests -- DIR|FILE… Prints a line per failure and last `N passed, N failed`.
 * @see https://ethereum-tests.readthedocs.io/en/latest/test_types/gstate_tests.html
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";
import { runStateTestFile, type StateTestFailure } from "./state-test/run.ts";

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

async function main(paths: readonly string[]): Promise<number> {
  if (paths.length === 0) {
    console.error("usage: npm run state-tests -- DIR|FILE…");
    return 2;
  }
  const engine = await WasmEngine.create();
  let passed = 0;
  let failed = 0;
  const report = (failure: StateTestFailure): void =>
    console.log(`FAIL ${failure.file} ${failure.name} ${failure.fork}[${failure.index}]: ${failure.what}`);
  for (const path of paths)
    for (const file of jsonFiles(path)) {
      try {
        const outcome = runStateTestFile(engine, file, readFileSync(file, "utf8"));
        passed += outcome.passed;
        failed += outcome.failures.length;
        outcome.failures.forEach(report);
      } catch (error) {
        failed++;
        console.log(`FAIL ${file}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
