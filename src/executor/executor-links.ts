/** Owns the ways to start an executor that reads the state's databases itself: only on the machine that has them. */
import type { OpenLink } from "../link/link.ts";
import { workerLink } from "../link/worker-link.ts";
import type { StoredFolders } from "../state/stored-state.ts";

const ENTRY = new URL("./reading-executor-worker.ts", import.meta.url);

/** `folders`: of databases that may not be there yet; until they are, the executor asks for what it needs. */
export function readingExecutor(where: "threads" | "processes", folders: StoredFolders): OpenLink {
  return workerLink(where, ENTRY, { name: "executor", argument: JSON.stringify(folders) });
}
