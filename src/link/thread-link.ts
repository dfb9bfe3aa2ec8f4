/** Owns links to worker threads of this process; the thread's entry calls {@link serveParent}. */
import type { Worker } from "node:worker_threads";
import { startWorker } from "../base/worker.ts";
import type { OpenLink } from "./link.ts";

/** Starts `entry` in a thread of its own for each link. `argument`: text its host is given. */
export function threadLink(entry: URL, { name, argument }: { name: string; argument?: string }): OpenLink {
  return ({ received, lost }) => {
    let isOpen = true;
    const worker: Worker = startWorker(entry, { name, workerData: argument });
    const end = (cause: Error): void => {
      if (!isOpen) return;
      isOpen = false;
      lost(cause);
    };
    worker.on("message", (message: Uint8Array) => {
      if (isOpen) received(message);
    });
    worker.on("error", end);
    worker.on("exit", (code) => end(new Error(`the ${name} thread ended with code ${code}`)));
    return {
      send: (message) => {
        if (isOpen) worker.postMessage(message, [message.buffer as ArrayBuffer]);
      },
      close: async () => {
        isOpen = false;
        await worker.terminate();
      },
    };
  };
}
