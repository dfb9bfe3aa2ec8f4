/**
 * Owns the way from a block reference to a block, its state and its environment. Tags mean the heads at the moment of
 * asking; `pending` falls back to `latest` where nothing is being built (a verifier).
 */
import { unreachable } from "../base/assert.ts";
import { toHex } from "../base/bytes.ts";
import type { BlockEnv, StateReader } from "../execution/execution.ts";
import type { BlockBundle } from "./block-cache.ts";
import { RpcError } from "./errors.ts";
import type { BlockRef } from "./params.ts";
import type { Services } from "./services.ts";

/** Number a reference means; undefined when no such block. `pending` is that of the block being built. */
export function resolveNumber(s: Services, ref: BlockRef): number | undefined {
  if ("hash" in ref) return s.chain.numberOfHash(ref.hash);
  const heads = s.chain.heads();
  if ("number" in ref) return ref.number <= heads.latest ? ref.number : undefined;
  switch (ref.tag) {
    case "latest":
      return heads.latest;
    case "pending":
      return s.chain.pending()?.env.number ?? heads.latest;
    case "earliest":
      return 0;
    case "safe":
      return heads.safe;
    case "finalized":
      return heads.finalized;
    default:
      return unreachable(ref.tag, "block tag");
  }
}

export function isPending(ref: BlockRef): boolean {
  return "tag" in ref && ref.tag === "pending";
}

/** The sealed block a reference means; `pending` gives the newest sealed one. */
export function findBlock(s: Services, ref: BlockRef): BlockBundle | undefined {
  if ("hash" in ref) return s.blocks.byHash(ref.hash);
  const number = isPending(ref) ? s.chain.heads().latest : resolveNumber(s, ref);
  return number === undefined ? undefined : s.blocks.get(number);
}

function describe(ref: BlockRef): string {
  return "hash" in ref ? toHex(ref.hash) : "number" in ref ? String(ref.number) : ref.tag;
}

export function headerNotFound(ref: BlockRef): RpcError {
  return new RpcError("RESOURCE_NOT_FOUND", `header not found: block ${describe(ref)} is not known`);
}

/** @throws {RpcError} RESOURCE_NOT_FOUND */
export function requireBlock(s: Services, ref: BlockRef): BlockBundle {
  const bundle = findBlock(s, ref);
  if (bundle === undefined) throw headerNotFound(ref);
  return bundle;
}

export type StateContext = {
  readonly number: number;
  readonly state: StateReader;
  readonly env: BlockEnv;
  /** True once the state is not what it was: the block being built took more transactions. */
  readonly moved: () => boolean;
};

/** State after the referenced block. @throws {RpcError} RESOURCE_NOT_FOUND, or STATE_PRUNED by the chain */
export function stateOf(s: Services, ref: BlockRef): StateReader {
  if (isPending(ref)) {
    const pending = s.chain.pending();
    if (pending !== undefined) return pending.state;
  }
  return s.chain.stateAt(sealedNumber(s, ref));
}

/** State and environment for a call on the referenced block. */
export function contextOf(s: Services, ref: BlockRef): StateContext {
  if (isPending(ref)) {
    const pending = s.chain.pending();
    if (pending !== undefined) {
      const { env, state, receipts } = pending;
      const count = receipts.length;
      return { number: env.number, state, env, moved: () => receipts.length !== count };
    }
  }
  const number = sealedNumber(s, ref);
  return { number, state: s.chain.stateAt(number), env: s.chain.envAt(number), moved: () => false };
}

/** @throws {RpcError} RESOURCE_NOT_FOUND */
export function sealedNumber(s: Services, ref: BlockRef): number {
  const number = isPending(ref) ? s.chain.heads().latest : resolveNumber(s, ref);
  if (number === undefined) throw headerNotFound(ref);
  return number;
}
