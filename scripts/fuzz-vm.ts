/**
 * Runs random transactions on random programs on the engine and on the one of @ethereumjs/evm and compares everything.
 * Usage: npm run fuzz-vm -- [--seed N] [--start N] [--cases N]. Prints the seed; a failure names the case to run again.
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { EthereumjsEngine } from "../src/execution/ethereumjs-engine.ts";
import { compareEngines } from "../src/execution/wasm/testing/compare.ts";
import { randomCase } from "../src/execution/wasm/testing/random-program.ts";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { seed: { type: "string" }, start: { type: "string" }, cases: { type: "string" } },
  });
  const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
  const start = Number(values.start ?? 0);
  const cases = Number(values.cases ?? 200_000);
  const own = await WasmEngine.create();
  const peer = new EthereumjsEngine();
  console.log(`seed ${seed}, cases ${start} to ${start + cases - 1}`);
  let failed = 0;
  let gas = 0;
  const begun = performance.now();
  for (let i = start; i < start + cases; i++) {
    const random = randomCase(seed, i);
    let fault: string | undefined;
    try {
      fault = await compareEngines(own, peer, random);
    } catch (error) {
      fault = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
    gas += random.txs.length;
    if (fault !== undefined) {
      failed++;
      console.log(`FAIL --seed ${seed} --start ${i} --cases 1 (${random.env.fork}, ${random.env.feePolicy}): ${fault}`);
      if (failed >= 20) break;
    }
    if ((i - start + 1) % 5000 === 0)
      console.log(
        `${i - start + 1} cases, ${gas} transactions, ${failed} failed, ${((performance.now() - begun) / 1000).toFixed(0)} s`,
      );
  }
  await peer.close();
  console.log(`${cases - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
