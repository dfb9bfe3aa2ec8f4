/**
 * Owns what happens in a block before its first transaction: the calls of EIP-4788 and EIP-2935, which cost nothing and
 * must succeed. Where there is no contract, nothing happens.
 */
import { assert } from "../base/assert.ts";
import { bytesEqual } from "../base/bytes.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { BEACON_ROOTS, HISTORY_STORAGE, SYSTEM_ADDRESS } from "../protocol/predeploys.ts";
import type { BlockEnv, CallResult, Engine, StateReader } from "./execution.ts";

const SYSTEM_CALL_GAS = 30_000_000;

/** Runs the calls of the block `env`, one after the other; `done` must make the effects of each visible in `state`. */
export async function runSystemCalls(
  engine: Engine,
  env: BlockEnv,
  state: StateReader,
  p: { readonly parentBeaconBlockRoot: Uint8Array; readonly parentHash: Uint8Array },
  done: (result: CallResult) => void,
): Promise<void> {
  for (const [to, data] of [
    [BEACON_ROOTS, p.parentBeaconBlockRoot],
    [HISTORY_STORAGE, p.parentHash],
  ] as const) {
    const codeHash = state.account(to)?.codeHash;
    if (codeHash === undefined || bytesEqual(codeHash, EMPTY_CODE_HASH)) continue;
    const call = { from: SYSTEM_ADDRESS, to, data, valueWei: 0n, gasLimit: SYSTEM_CALL_GAS, gasPriceWei: 0n };
    const result = await engine.call(env, { ...call, intrinsicGas: false }, state);
    assert(result.status === "success", "a system call succeeds");
    done(result);
  }
}
