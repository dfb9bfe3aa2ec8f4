/** Owns the ways to start a key shard: in this thread, in a thread and in a process. */

import type { OpenLink } from "../link/link.ts";
import { localLink } from "../link/local-link.ts";
import { workerLink } from "../link/worker-link.ts";
import { ShardHost } from "./host.ts";

const ENTRY = new URL("./shard-worker.ts", import.meta.url);

export type ShardsIn = "here" | "threads" | "processes";

/** `folder`: of the shard's database. */
export function shardLink(kind: ShardsIn, folder: string): OpenLink {
  return kind === "here" ? shardHere(folder) : workerLink(kind, ENTRY, { name: "keyshard", argument: folder });
}

function shardHere(folder: string): OpenLink {
  return (events) => {
    let host: ShardHost | undefined;
    const lost = (cause: unknown): void => {
      void host?.close();
      events.lost(cause as Error);
    };
    const open = localLink((send) => {
      host = new ShardHost(folder, { send, fail: lost });
      return (message) => host?.receive(message);
    });
    const link = open({ received: events.received, lost });
    return {
      send: (message) => link.send(message),
      close: async () => {
        await link.close();
        await host?.close();
      },
    };
  };
}
