/** Entry of an executor thread: an engine of its own, messages in and out. An error ends the thread; it is replaced. */
import { parentPort } from "node:worker_threads";
import { WasmEngine } from "../wasm/wasm.ts";
import { BatchExecutor } from "./batch-executor.ts";

const waiting: Uint8Array[] = [];
let executor: BatchExecutor | undefined;
parentPort?.on("message", (message: Uint8Array) => {
  if (executor === undefined) waiting.push(message);
  else executor.receive(message);
});
const engine = await WasmEngine.create();
executor = new BatchExecutor(engine, (message) => parentPort?.postMessage(message, [message.buffer as ArrayBuffer]));
for (const message of waiting) executor.receive(message);
