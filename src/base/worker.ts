/**
 * Owns the start of worker threads that run TypeScript. On Node 20 a worker does not inherit the module hooks of tsx,
 * so a one-line bootstrap installs them in the worker and then imports its entry. Entries are named by
 * `new URL("./x-worker.ts", import.meta.url)`, which the tidy test counts as use.
 */
import { Worker, type WorkerOptions } from "node:worker_threads";

/**
 * Lowers the priority of the thread it runs in, where the system has priorities per thread (Linux): the other threads of
 * the process come first when cores are short, and a tenth of a core remains.
 */
const STEP_BACK = `try {
  const id = require("node:fs").readlinkSync("/proc/thread-self").split("/").pop();
  require("node:os").setPriority(Number(id), 10);
} catch {}`;

/**
 * Starts `entry` (a TypeScript module) in a worker thread. Its import errors arrive as the worker's `error` event.
 * `background`: its work may wait while the others are busy.
 */
export function startWorker(
  entry: URL,
  options: Pick<WorkerOptions, "workerData" | "name" | "transferList" | "resourceLimits"> & {
    readonly background?: boolean;
  } = {},
): Worker {
  const hooks = import.meta.resolve("tsx/esm/api");
  const bootstrap = `${options.background === true ? STEP_BACK : ""};import(${JSON.stringify(hooks)}).then((tsx) => { tsx.register(); return import(${JSON.stringify(entry.href)}); });`;
  return new Worker(bootstrap, { ...options, eval: true });
}
