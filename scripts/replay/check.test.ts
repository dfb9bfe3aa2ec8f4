/** A few small recorded mainnet blocks; all of them run by `npm run replay-blocks`. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { WasmEngine } from "../../src/execution/wasm/wasm.ts";
import { sharedFolder } from "../../src/protocol/testing/shared-vectors.ts";
import { checkBlock } from "./check.ts";

const { path, skip } = sharedFolder("mainnet-blocks");
const BLOCKS = ["15537393.json.gz", "15537394.json.gz", "19426587.json.gz", "19933122.json.gz", "prague-22546209"];

test("mainnet blocks have their gas, blooms and receipts roots, and every receipt of Prague", { skip }, async () => {
  const engine = await WasmEngine.create();
  for (const name of BLOCKS) assert.deepEqual((await checkBlock(engine, join(path, name))).faults, [], name);
});
