/** Owns the meaning of an event filter: which logs it lets through. Reader and memory twin share it. */
import { bytesEqual } from "../base/bytes.ts";
import type { L1Log, L1LogFilter } from "./l1.ts";

/** True when `log` passes the address and topic conditions of `filter`. */
export function matchesL1Filter(
  log: Pick<L1Log, "address" | "topics">,
  filter: Pick<L1LogFilter, "addresses" | "topics">,
): boolean {
  if (filter.addresses.length > 0 && !filter.addresses.some((a) => bytesEqual(a, log.address))) return false;
  return filter.topics.every((wanted, i) => {
    if (wanted === undefined || wanted.length === 0) return true;
    const topic = log.topics[i];
    return topic !== undefined && wanted.some((t) => bytesEqual(t, topic));
  });
}
