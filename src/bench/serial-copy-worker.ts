/** Entry of a thread that runs one epoch serially whenever it is told to: what two of them cost each other. */
import { parentPort, workerData } from "node:worker_threads";
import { type Profile, Workload } from "../execution/sharded/testing/workloads.ts";
import { Random } from "../execution/wasm/testing/random-program.ts";
import { WasmEngine } from "../execution/wasm/wasm.ts";
import { GAS_LIMIT } from "./epochs.ts";

export type CopyArguments = { readonly profile: Profile; readonly seed: number; readonly count: number };

/** A run is at least so long, so that starting it does not count. */
const RUN_MS_MIN = 60;

const { profile, seed, count } = workerData as CopyArguments;
const engine = await WasmEngine.create();
const c = new Workload(profile, new Random(seed, 1), count).epoch(count, GAS_LIMIT);
const run = (): void => {
  engine.execute(c.env, c.txs, c.world, c.gasAvailable, { bloom: true });
};
run();
const startMs = performance.now();
run();
const times = Math.max(1, Math.ceil(RUN_MS_MIN / Math.max(0.1, performance.now() - startMs)));
parentPort?.on("message", () => {
  for (let i = 0; i < times; i++) run();
  parentPort?.postMessage("done");
});
parentPort?.postMessage("ready");
