/**
 * Entry of an executor, as a thread or a process, that reads the newest stored state itself. What it reads may be older
 * than what its transactions find: validation tells, as with everything an executor believes.
 */
import { BatchExecutor } from "../execution/sharded/batch-executor.ts";
import { WasmEngine } from "../execution/wasm/wasm.ts";
import { hostArgument, serveParent } from "../link/serve-parent.ts";
import { type StoredFolders, StoredState } from "../state/stored-state.ts";

await serveParent(async (send) => {
  const state = new StoredState(JSON.parse(hostArgument() as string) as StoredFolders);
  const executor = new BatchExecutor(await WasmEngine.create(), send, state);
  return (message) => executor.receive(message);
});
