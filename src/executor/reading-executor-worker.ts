/**
 * Entry of an executor, as a thread or a process, that reads the newest stored state itself. What it reads may be older
 * than what its transactions find: validation tells, as with everything an executor believes.
 */
import { BatchExecutor } from "../execution/sharded/batch-executor.ts";
import { WasmEngine } from "../execution/wasm/wasm.ts";
import { hostArgument, serveParent } from "../link/serve-parent.ts";
import { StateView } from "../state/state-view.ts";

await serveParent(async (send) => {
  const executor = new BatchExecutor(await WasmEngine.create(), send, new StateView(hostArgument() as string));
  return (message) => executor.receive(message);
});
