import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { EthereumjsEngine } from "../ethereumjs-engine.ts";
import { compareEngines } from "./testing/compare.ts";
import { CONTRACTS, randomCase } from "./testing/random-program.ts";
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

test("a call that pauses and goes on is the same as one that does not", async (t) => {
  const seed = randomInt(2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const engine = await WasmEngine.create();
  for (let i = 0; i < 200; i++) {
    const { env, world, txs } = randomCase(seed, i);
    const call = {
      from: txs[0]?.sender ?? new Uint8Array(20),
      to: CONTRACTS[i % CONTRACTS.length],
      data: new Uint8Array(40).fill(i),
      valueWei: BigInt(i % 3),
      gasLimit: 2_000_000,
      gasPriceWei: 0n,
      intrinsicGas: true,
    };
    const limited = await engine.call(env, { ...call, timeoutMs: 60_000 }, world);
    assert.deepEqual(limited, engine.callNow(env, call, world), `case ${i}`);
  }
});
