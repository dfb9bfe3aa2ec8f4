/**
 * Entry of an executor process: an engine of its own, messages over the socket it was started with. It ends with its
 * coordinator: when the socket closes. An error ends it; it is replaced.
 */
import { Socket } from "node:net";
import { WasmEngine } from "../wasm/wasm.ts";
import { BatchExecutor } from "./batch-executor.ts";
import { FrameReader, frameHeader } from "./frames.ts";

/** The descriptor the coordinator hands over, see openProcessLink. */
const SOCKET_FD = 3;

const engine = await WasmEngine.create();
const socket = new Socket({ fd: SOCKET_FD, readable: true, writable: true });
const executor = new BatchExecutor(engine, (message) => {
  socket.write(frameHeader(message));
  socket.write(message);
});
const frames = new FrameReader((message) => executor.receive(message));
socket.on("data", (chunk) => frames.take(chunk));
// Whoever waits for results is gone.
socket.on("error", () => socket.destroy());
