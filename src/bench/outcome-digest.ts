/** Owns the comparison of runs: a digest over every result and the net effect, equal for equal runs. */
import { createHash } from "node:crypto";
import { toHexKey } from "../base/bytes.ts";
import type { BatchResults } from "../execution/execution.ts";

export function digestOf(results: BatchResults): string {
  const hash = createHash("sha256");
  for (const result of results) {
    if (!result.included) {
      hash.update(`skipped ${result.reason};`);
      continue;
    }
    hash.update(`${result.status} ${result.gasUsed} ${result.effectiveGasPriceWei} ${result.logs.length};`);
    hash.update(result.bloom ?? "");
    hash.update(result.output);
    for (const log of result.logs) for (const bytes of [log.address, ...log.topics, log.data]) hash.update(bytes);
  }
  const accounts = [...(results.writes?.accounts ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [key, { cleared, account, storage }] of accounts) {
    hash.update(`${key} ${cleared} `);
    if (account !== undefined) hash.update(`${account.nonce} ${account.balanceWei} ${toHexKey(account.codeHash)}`);
    for (const [slot, value] of [...storage].sort(([a], [b]) => (a < b ? -1 : 1)))
      hash.update(`${slot}=${toHexKey(value)};`);
  }
  for (const code of [...(results.writes?.codes.keys() ?? [])].sort()) hash.update(code);
  return hash.digest("hex");
}
