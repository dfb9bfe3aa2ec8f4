/** Entry of a thread that runs one epoch serially when told to: what two independent copies cost each other. */
import { parentPort, workerData } from "node:worker_threads";
import { Workload } from "../../src/execution/sharded/testing/workloads.ts";
import { Random } from "../../src/execution/wasm/testing/random-program.ts";
import { WasmEngine } from "../../src/execution/wasm/wasm.ts";

const { count } = workerData as { readonly count: number };
const engine = await WasmEngine.create();
const c = new Workload("U1", new Random(1, 1)).epoch(count, 1_000_000_000);
engine.execute(c.env, c.txs, c.world, c.gasAvailable, { bloom: true });
parentPort?.on("message", () => {
  engine.execute(c.env, c.txs, c.world, c.gasAvailable, { bloom: true });
  parentPort?.postMessage("done");
});
parentPort?.postMessage("ready");
