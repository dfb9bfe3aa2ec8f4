/** Owns the ways to start an executor that reads the state's database itself: only on the machine that has it. */
import type { OpenLink } from "../link/link.ts";
import { workerLink } from "../link/worker-link.ts";

const ENTRY = new URL("./reading-executor-worker.ts", import.meta.url);

/** `folder`: of the database, which may not be there yet; until it is, the executor asks for what it needs. */
export function readingExecutor(where: "threads" | "processes", folder: string): OpenLink {
  return workerLink(where, ENTRY, { name: "executor", argument: folder });
}
