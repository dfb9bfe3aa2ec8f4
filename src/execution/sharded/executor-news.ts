/** Owns what executors are told of the state between epochs. */
import type { StateWrites } from "../../protocol/state-writes.ts";
import type { ExecutorSeat } from "./executor-seat.ts";
import { encodeUpdate, type StateEntry } from "./messages.ts";

/** Tells every executor what is known better now: a net effect, and `entries` beside it. */
export function tellAll(
  seats: readonly ExecutorSeat[],
  writes: StateWrites,
  entries: readonly StateEntry[] = [],
): void {
  const live = seats.filter((seat) => seat.isLive);
  const isNothing = writes.accounts.size === 0 && writes.codes.size === 0 && entries.length === 0;
  if (isNothing || live.length === 0) return;
  const bytes = encodeUpdate(writes, entries);
  for (const [i, seat] of live.entries()) seat.sendEncoded(i === live.length - 1 ? bytes : bytes.slice());
}
