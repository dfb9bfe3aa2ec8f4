/**
 * Owns the way to an executor: messages out, messages in, and the news that it is gone. The same for a thread, another
 * process and the same thread; callers cannot tell them apart.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { Worker } from "node:worker_threads";
import { startWorker } from "../../base/worker.ts";
import type { WasmEngine } from "../wasm/wasm.ts";
import { BatchExecutor } from "./batch-executor.ts";
import { FrameReader, frameHeader } from "./frames.ts";

export interface ExecutorLink {
  /** Takes over the message's buffer. Sending over a lost link does nothing. */
  send(message: Uint8Array): void;
  close(): Promise<void>;
}

export type LinkEvents = {
  /** A message in a buffer of its own. */
  readonly received: (message: Uint8Array) => void;
  /** Nothing will be received any more. */
  readonly lost: (cause: Error) => void;
};

/** Opens a link; called again after a loss. */
export type OpenLink = (events: LinkEvents) => ExecutorLink;

/** An executor in a worker thread with an engine of its own. */
export const openThreadLink: OpenLink = ({ received, lost }) => {
  let isOpen = true;
  const worker: Worker = startWorker(new URL("./executor-thread.ts", import.meta.url), { name: "executor" });
  const end = (cause: Error): void => {
    if (!isOpen) return;
    isOpen = false;
    lost(cause);
  };
  worker.on("message", (message: Uint8Array) => {
    if (isOpen) received(message);
  });
  worker.on("error", end);
  worker.on("exit", (code) => end(new Error(`the executor thread ended with code ${code}`)));
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

/** An executor in a process of its own, over a socket it inherits: nobody else can speak on it. */
export const openProcessLink: OpenLink = ({ received, lost }) => {
  let isOpen = true;
  const child = spawn(
    process.execPath,
    ["--import", import.meta.resolve("tsx"), fileURLToPath(new URL("./executor-process.ts", import.meta.url))],
    { stdio: ["ignore", "ignore", "inherit", "pipe"] },
  );
  // The fourth is the socket, for both directions.
  const socket = child.stdio[3] as Socket;
  // Idle executors hold no process open.
  child.unref();
  socket.unref();
  const end = (cause: Error): void => {
    if (!isOpen) return;
    isOpen = false;
    child.kill("SIGKILL");
    lost(cause);
  };
  const frames = new FrameReader((message) => {
    if (isOpen) received(message);
  });
  socket.on("data", (chunk: Uint8Array) => {
    try {
      frames.take(chunk);
    } catch (error) {
      end(error as Error);
    }
  });
  socket.on("error", end);
  child.on("error", end);
  child.on("exit", (code, signal) => end(new Error(`the executor process ended with ${signal ?? `code ${code}`}`)));
  return {
    send: (message) => {
      if (!isOpen) return;
      socket.write(frameHeader(message));
      socket.write(message);
    },
    close: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      isOpen = false;
      child.ref();
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
  };
};

/** An executor in this thread, on an engine it shares: for tests, and where threads cannot be had. */
export function localLink(engine: WasmEngine): OpenLink {
  return ({ received, lost }) => {
    let isOpen = true;
    const executor = new BatchExecutor(engine, (message) => {
      setImmediate(() => {
        if (isOpen) received(message);
      });
    });
    return {
      send: (message) => {
        setImmediate(() => {
          if (!isOpen) return;
          try {
            executor.receive(message);
          } catch (error) {
            isOpen = false;
            lost(error as Error);
          }
        });
      },
      close: () => {
        isOpen = false;
        return Promise.resolve();
      },
    };
  };
}
