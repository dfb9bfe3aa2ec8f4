/**
 * Replays recorded mainnet blocks on the engine. Where the header was recorded, gas used, logs bloom and receipts root
 * (so every status) must be exact; where it was not, each receipt must equal that of @ethereumjs/vm.
 * Usage: npm run replay-blocks -- FILE|DIR… Prints a line per failure and last `N passed, N failed`.
 */
import { WasmEngine } from "../src/execution/wasm/wasm.ts";
import { checkBlock } from "./replay/check.ts";
import { blocksIn } from "./replay/load.ts";

async function main(paths: readonly string[]): Promise<number> {
  if (paths.length === 0) {
    console.error("usage: npm run replay-blocks -- FILE|DIR…");
    return 2;
  }
  const engine = await WasmEngine.create();
  let passed = 0;
  let failed = 0;
  for (const path of paths.flatMap((p) => [...blocksIn(p)])) {
    let faults: readonly string[];
    let summary = "";
    try {
      ({ summary, faults } = await checkBlock(engine, path));
    } catch (error) {
      faults = [error instanceof Error ? (error.stack ?? error.message) : String(error)];
    }
    if (faults.length === 0) {
      passed++;
      console.log(`ok   ${summary}`);
    } else {
      failed++;
      for (const fault of faults) console.log(`FAIL ${path}: ${fault}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
