/**
 * Owns gas estimation: the least gas limit under which the call succeeds, found by running it. Most calls need exactly
 * what they used before refunds, so that is tried first; calls that see their gas (63/64 rule, gas checks) are searched.
 * Invariant: the call succeeded under the limit that is answered.
 */
import type { CallResult } from "../execution/execution.ts";
import type { CallArgs } from "./call-args.ts";
import { callEnv, callGasPriceWei, callInput } from "./call-args.ts";
import { RpcError } from "./errors.ts";
import type { StateContext } from "./resolve.ts";
import { callError } from "./revert.ts";
import type { Services } from "./services.ts";

const TRANSFER_GAS = 21_000;
/** Stipend of a call with value, in case the callee's success hangs on it. */
const STIPEND_GAS = 2_300;
/** Above this much gas the search stops within a thousandth: each step costs a whole execution. */
const EXACT_GAS_MAX = 2_000_000;

/** @throws {RpcError} EXECUTION_REVERTED, SERVER_ERROR (halts, funds), TIMED_OUT */
export async function estimateGas(s: Services, context: StateContext, args: CallArgs): Promise<number> {
  const { env, state } = context;
  const { callGasMax, callTimeoutMs } = s.config;
  const deadlineMs = s.clock.nowMs() + callTimeoutMs;
  const gasPriceWei = callGasPriceWei(args, env);
  // What is bought is bought at the cap, whatever is paid in the end.
  const capWei = args.gasPriceWei ?? args.maxFeePerGasWei ?? 0n;

  let high = Math.min(env.gasLimit, callGasMax);
  if (args.gas !== undefined && args.gas >= TRANSFER_GAS) high = Math.min(high, args.gas);
  if (capWei > 0n) {
    const balanceWei = state.account(args.from)?.balanceWei ?? 0n;
    if (balanceWei < args.valueWei)
      throw new RpcError("SERVER_ERROR", "insufficient funds for gas * price + value: balance below value");
    const affordable = (balanceWei - args.valueWei) / capWei;
    if (affordable < BigInt(high)) high = Number(affordable);
  }

  // Fee rules were checked above; the runs themselves are free, so that a limit is judged by gas alone.
  const runEnv = callEnv(env, gasPriceWei);
  const run = async (gas: number): Promise<CallResult> => {
    const leftMs = deadlineMs - s.clock.nowMs();
    if (leftMs <= 0) throw new RpcError("TIMED_OUT", `execution aborted (timeout = ${callTimeoutMs}ms)`);
    return s.chain.engine.call(runEnv, callInput(args, gas, 0n, leftMs), state);
  };
  const succeeds = async (gas: number): Promise<boolean> => (await run(gas)).status === "success";

  // A plain transfer to an account without code costs what it costs.
  if (args.data.length === 0 && args.to !== undefined && args.accessList === undefined && high >= TRANSFER_GAS) {
    const target = state.account(args.to);
    const hasCode = target !== undefined && state.code(target.codeHash).length > 0;
    if (!hasCode && args.authorizations.length === 0 && (await succeeds(TRANSFER_GAS))) return TRANSFER_GAS;
  }

  const most = await run(high);
  if (most.status === "revert") throw callError(most);
  if (most.status === "halt") {
    const outOfGas = most.error === undefined || /gas/.test(most.error);
    if (!outOfGas || /insufficient funds/.test(most.error ?? "")) throw callError(most);
    throw new RpcError("SERVER_ERROR", `gas required exceeds allowance (${high})`);
  }

  // `low` is known to fail, `high` to succeed.
  let low = most.gasUsed - 1;
  const beforeRefunds = most.gasUsed + most.gasRefunded;
  if (beforeRefunds < high && (await succeeds(beforeRefunds))) {
    // Nothing under what was spent before refunds can succeed, unless the calldata floor dominates; then none is given.
    return beforeRefunds;
  }
  low = Math.max(low, beforeRefunds - 1);
  const withReserve = Math.ceil(((beforeRefunds + STIPEND_GAS) * 64) / 63);
  if (withReserve < high) {
    if (await succeeds(withReserve)) high = withReserve;
    else low = withReserve;
  }
  while (low + 1 < high) {
    if (high > EXACT_GAS_MAX && (high - low) * 1_000 < high) break;
    // The answer is usually near the low end: lean that way while the range is wide.
    const middle = Math.min(Math.floor((low + high) / 2), Math.max(low * 2, low + 1));
    if (await succeeds(middle)) high = middle;
    else low = middle;
  }
  return high;
}
