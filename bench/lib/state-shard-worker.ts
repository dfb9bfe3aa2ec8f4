/** A state shard in a thread: packed writes in, encoded tops out. `workerData` is the bytes it owns. */
import { parentPort, workerData } from "node:worker_threads";
import { encodeTops } from "../../src/state/root-joiner.ts";
import { StateShard } from "../../src/state/state-shard.ts";
import { unpackWrites } from "./state-writes-codec.ts";

const shard = new StateShard();
for (const byte of workerData as number[]) shard.take(byte);
parentPort?.on("message", (packed: Uint8Array) => {
  const tops = encodeTops(shard.apply(unpackWrites(packed)));
  parentPort?.postMessage(tops, [tops.buffer as ArrayBuffer]);
});
