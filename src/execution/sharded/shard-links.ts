/** Owns the ways to start a key shard that validates epochs. */
import type { Host, OpenLink } from "../../link/link.ts";
import { localLink } from "../../link/local-link.ts";
import { processLink } from "../../link/process-link.ts";
import { threadLink } from "../../link/thread-link.ts";
import { ShardEpochs } from "./shard-epochs.ts";
import { encodeReady } from "./shard-messages.ts";

const ENTRY = new URL("./shard-worker.ts", import.meta.url);

/** Serves one key shard over a link. */
export const shardHost: Host = (send) => {
  const epochs = new ShardEpochs(send);
  send(encodeReady());
  return (message) => epochs.receive(message);
};

/** In a worker thread. */
export const shardThread: OpenLink = threadLink(ENTRY, { name: "key shard" });

/** In a process of its own. */
export const shardProcess: OpenLink = processLink(ENTRY, { name: "key shard" });

/** In this thread, over messages all the same: for tests. */
export const shardOverMessages: OpenLink = localLink(shardHost);
