/** Owns the choice between a thread and a process for a worker, as settings name it. */
import type { OpenLink } from "./link.ts";
import { processLink } from "./process-link.ts";
import { threadLink } from "./thread-link.ts";

/** See threadLink and processLink. */
export function workerLink(
  where: "threads" | "processes",
  entry: URL,
  options: { name: string; argument?: string },
): OpenLink {
  return where === "threads" ? threadLink(entry, options) : processLink(entry, options);
}
