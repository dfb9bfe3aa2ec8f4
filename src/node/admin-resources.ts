/** Owns what an operator may see and change of a running node. */
import type { PartitionedState } from "../keyshard/partitioned-state.ts";
import { type AdminResource, adminError } from "./admin-socket.ts";

export const KEY_SHARDS = "key-shards";
export const HAND_OVER = "hand-over";

/** `target`: how many are to hold the state; `shards`: how many do. Settled when nothing is moving. */
export type KeyShardsView = { readonly target: number; readonly shards: number; readonly settled: boolean };

export function adminResources(node: {
  readonly shards: PartitionedState | undefined;
  readonly handOver: () => Promise<void>;
}): ReadonlyMap<string, AdminResource> {
  const resources = new Map<string, AdminResource>([[HAND_OVER, { change: () => node.handOver() }]]);
  const { shards } = node;
  if (shards !== undefined)
    resources.set(KEY_SHARDS, {
      show: (): KeyShardsView => {
        const { target, shards: count, isSettled } = shards.mover;
        return { target, shards: count, settled: isSettled && count === target };
      },
      change: (body) => {
        const count = (body as { count?: unknown } | undefined)?.count;
        if (typeof count !== "number") throw adminError("ADMIN_INVALID", 'want {"count": <key shards>}');
        try {
          shards.mover.target = count;
        } catch (error) {
          throw adminError("ADMIN_INVALID", (error as Error).message);
        }
      },
    });
  return resources;
}
