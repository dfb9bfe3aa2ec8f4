/**
 * Owns the worker's end of a link to whoever started it: a thread's port or a process's inherited socket, whichever this
 * is. A process ends with the one that started it, when the socket closes; an error in the host ends either.
 */
import { Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { FrameReader, frameHeader } from "./frames.ts";
import type { Host, Receive } from "./link.ts";

/** The descriptor the parent hands over, see processLink. */
const SOCKET_FD = 3;

/** The text the link was opened with. */
export function hostArgument(): string | undefined {
  return parentPort === null ? process.argv[2] : (workerData as string | undefined);
}

/** Serves `host` to the parent. Messages that come before it is ready wait. */
export async function serveParent(host: Host): Promise<void> {
  const waiting: Uint8Array[] = [];
  let receive: Receive | undefined;
  const take = (message: Uint8Array): void => {
    if (receive === undefined) waiting.push(message);
    else receive(message);
  };
  const port = parentPort;
  let send: (message: Uint8Array) => void;
  if (port === null) {
    const socket = new Socket({ fd: SOCKET_FD, readable: true, writable: true });
    const frames = new FrameReader(take);
    socket.on("data", (chunk) => frames.take(chunk));
    socket.on("error", () => socket.destroy());
    // Whoever waits for answers is gone: nothing that the host holds open, as a lane its log servers, keeps this alive.
    socket.once("close", () => process.kill(process.pid, "SIGKILL"));
    send = (message) => {
      socket.write(frameHeader(message));
      socket.write(message);
    };
  } else {
    port.on("message", take);
    send = (message) => port.postMessage(message, [message.buffer as ArrayBuffer]);
  }
  const ready = await host(send);
  for (const message of waiting.splice(0)) ready(message);
  receive = ready;
}
