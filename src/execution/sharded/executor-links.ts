/** Owns the ways to start an executor. */

import type { Host, OpenLink } from "../../link/link.ts";
import { localLink } from "../../link/local-link.ts";
import { processLink } from "../../link/process-link.ts";
import { threadLink } from "../../link/thread-link.ts";
import type { WasmEngine } from "../wasm/wasm.ts";
import { BatchExecutor } from "./batch-executor.ts";
import type { OwnState } from "./state-cache.ts";

const ENTRY = new URL("./executor-worker.ts", import.meta.url);

/** In a worker thread with an engine of its own. */
export const executorThread: OpenLink = threadLink(ENTRY, { name: "executor" });

/** In a process of its own. */
export const executorProcess: OpenLink = processLink(ENTRY, { name: "executor" });

/** An executor on an engine that it shares with others of its thread. `own`: a state it can read itself. */
export function executorHost(engine: WasmEngine, own?: OwnState): Host {
  return (send) => {
    const executor = new BatchExecutor(engine, send, own);
    return (message) => executor.receive(message);
  };
}

/** In this thread. */
export function executorHere(engine: WasmEngine): OpenLink {
  return localLink(executorHost(engine));
}
