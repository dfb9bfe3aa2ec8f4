import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { EthereumjsEngine } from "../ethereumjs-engine.ts";
import { compareEngines } from "./testing/compare.ts";
import { randomCase } from "./testing/random-program.ts";
import { WasmEngine } from "./wasm.ts";

test("random transactions on random programs come out as on @ethereumjs/evm, to the unit of gas", async (t) => {
  const seed = randomInt(2 ** 31);
  t.diagnostic(`seed ${seed}; a failing case runs again with npm run fuzz-vm -- --seed ${seed} --start CASE --cases 1`);
  const own = await WasmEngine.create();
  const peer = new EthereumjsEngine();
  for (let i = 0; i < 150; i++)
    assert.equal(await compareEngines(own, peer, randomCase(seed, i)), undefined, `case ${i}`);
  await peer.close();
});
