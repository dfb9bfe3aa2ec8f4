/** Owns the ways to start an executor. */

import type { OpenLink } from "../../link/link.ts";
import { localLink } from "../../link/local-link.ts";
import { processLink } from "../../link/process-link.ts";
import { threadLink } from "../../link/thread-link.ts";
import type { WasmEngine } from "../wasm/wasm.ts";
import { BatchExecutor } from "./batch-executor.ts";

const ENTRY = new URL("./executor-worker.ts", import.meta.url);

/** In a worker thread with an engine of its own. */
export const executorThread: OpenLink = threadLink(ENTRY, { name: "executor" });

/** In a process of its own. */
export const executorProcess: OpenLink = processLink(ENTRY, { name: "executor" });

/** In this thread, on an engine it shares. */
export function executorHere(engine: WasmEngine): OpenLink {
  return localLink((send) => {
    const executor = new BatchExecutor(engine, send);
    return (message) => executor.receive(message);
  });
}
