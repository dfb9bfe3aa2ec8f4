/** Entry of an executor, as a thread or a process: an engine of its own, messages in and out. An error ends it; it is replaced. */
import { serveParent } from "../../link/serve-parent.ts";
import { WasmEngine } from "../wasm/wasm.ts";
import { BatchExecutor } from "./batch-executor.ts";

await serveParent(async (send) => {
  const executor = new BatchExecutor(await WasmEngine.create(), send);
  return (message) => executor.receive(message);
});
