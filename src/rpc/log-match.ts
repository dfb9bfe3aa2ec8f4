/** Owns the logs of one block at hand that a filter wants, for subscriptions, polled filters and queries by block hash. */
import type { FoundLog, LogFilter } from "../store/chain-store.ts";
import { logMatches } from "../store/log-match.ts";
import type { BlockBundle } from "./block-cache.ts";

/** Addresses and topics of a filter, without a range. */
export type LogCriteria = Pick<LogFilter, "addresses" | "topics">;

/** Logs of a block that match, in order. Transactions without a match are not hashed. */
export function logsOfBlock(bundle: BlockBundle, criteria: LogCriteria): FoundLog[] {
  const found: FoundLog[] = [];
  bundle.receipts.forEach((receipt, index) => {
    if (!receipt.logs.some((log) => logMatches(log, criteria))) return;
    for (const log of bundle.logsOf(index)) if (logMatches(log, criteria)) found.push(log);
  });
  return found;
}
