/**
 * Owns links to processes that this one starts, over a socket they inherit: nobody else can speak on it. The process
 * ends with the link; its entry calls {@link serveParent}.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { FrameReader, frameHeader } from "./frames.ts";
import type { OpenLink } from "./link.ts";

/** Starts `entry` in a process of its own for each link. `argument`: text its host is given. */
export function processLink(entry: URL, { name, argument }: { name: string; argument?: string }): OpenLink {
  return ({ received, lost }) => {
    let isOpen = true;
    const child = spawn(
      process.execPath,
      ["--import", import.meta.resolve("tsx"), fileURLToPath(entry), ...(argument === undefined ? [] : [argument])],
      { stdio: ["ignore", "ignore", "inherit", "pipe"] },
    );
    // The fourth is the socket, for both directions.
    const socket = child.stdio[3] as Socket;
    // Idle workers hold no process open.
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
    child.on("exit", (code, signal) => end(new Error(`the ${name} process ended with ${signal ?? `code ${code}`}`)));
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
}
