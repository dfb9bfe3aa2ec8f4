/** Owns the methods that execute without a transaction: call, estimate, access list. Simulation is simulate.ts. */
import { bytesEqual, toHex, toHexKey } from "../base/bytes.ts";
import type { AccessList } from "../protocol/transaction.ts";
import {
  type AccountOverride,
  type BlockOverrides,
  blockOverrides,
  type CallArgs,
  callArgs,
  callEnv,
  callGasPriceWei,
  callInput,
  overrideEnv,
  overrideState,
  stateOverrides,
} from "./call-args.ts";
import { quantity } from "./encode.ts";
import { invalidParams } from "./errors.ts";
import { estimateGas } from "./estimate.ts";
import { type Method, method } from "./method.ts";
import { type BlockRef, blockRef, LATEST, optional, PENDING, required } from "./params.ts";
import { contextOf, type StateContext } from "./resolve.ts";
import { callError } from "./revert.ts";
import type { Services } from "./services.ts";
import { simulate, simulatePayload } from "./simulate.ts";

const ACCESS_LIST_ROUNDS_MAX = 8;
const PENDING_ROUNDS_MAX = 3;

const TRANSACTION = required("transaction", callArgs);
const STATE_OVERRIDES = optional("stateOverrides", stateOverrides, [] as readonly AccountOverride[]);
const BLOCK_OVERRIDES = optional("blockOverrides", blockOverrides, undefined);

/**
 * Runs `body` on one version of the state. A pending state that moved under a longer execution would mix versions, so
 * that is run again on the newer one, and on the newest sealed block when it keeps moving.
 */
export async function onOneVersion<T>(
  s: Services,
  ref: BlockRef,
  args: CallArgs,
  overrides: { readonly accounts: readonly AccountOverride[]; readonly block: BlockOverrides | undefined },
  body: (context: StateContext) => Promise<T>,
): Promise<T> {
  if (args.chainId !== undefined && args.chainId !== BigInt(s.chain.chainId))
    throw invalidParams(`chainId does not match node's (have=${args.chainId}, want=${s.chain.chainId})`);
  for (let round = 1; ; round++) {
    const context = contextOf(s, round > PENDING_ROUNDS_MAX ? LATEST : ref);
    const attempt = body({
      ...context,
      env: overrideEnv(context.env, overrides.block),
      state: overrideState(context.state, overrides.accounts),
    });
    const settled = await attempt.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    if (context.moved()) continue;
    if ("error" in settled) throw settled.error;
    return settled.value;
  }
}

/** What a call may use: what it asks for, within the limit. */
export function gasOf(s: Services, args: CallArgs): number {
  return Math.min(args.gas ?? s.config.callGasMax, s.config.callGasMax);
}

async function call(s: Services, context: StateContext, args: CallArgs): Promise<string> {
  const gasPriceWei = callGasPriceWei(args, context.env);
  const result = await s.chain.engine.call(
    callEnv(context.env, gasPriceWei),
    callInput(args, gasOf(s, args), gasPriceWei, s.config.callTimeoutMs),
    context.state,
  );
  if (result.status !== "success") throw callError(result);
  return toHex(result.output);
}

/** Addresses that cost nothing to touch anyway: listing them would only cost. */
function freeAddresses(context: StateContext, args: CallArgs, created: Uint8Array | undefined): Uint8Array[] {
  const free = [args.from, context.env.coinbase];
  const target = args.to ?? created;
  if (target !== undefined) free.push(target);
  return free;
}

function isPrecompile(candidate: Uint8Array): boolean {
  for (let i = 0; i < 18; i++) if (candidate[i] !== 0) return false;
  const low = ((candidate[18] as number) << 8) | (candidate[19] as number);
  return (low >= 1 && low <= 0x11) || low === 0x100;
}

/** The list of what `args` touches; repeated with the list found, because a list changes gas and so may change paths. */
async function accessList(s: Services, context: StateContext, args: CallArgs): Promise<unknown> {
  const gasPriceWei = callGasPriceWei(args, context.env);
  const env = callEnv(context.env, gasPriceWei);
  let list: AccessList = args.accessList ?? [];
  for (let round = 0; ; round++) {
    const input = callInput({ ...args, accessList: list }, gasOf(s, args), gasPriceWei, s.config.callTimeoutMs);
    const result = await s.chain.engine.call(env, input, context.state);
    const free = freeAddresses(context, args, result.contractAddress);
    const touched = result.accessed.filter(
      (entry) =>
        entry.slots.length > 0 || !(isPrecompile(entry.address) || free.some((one) => bytesEqual(one, entry.address))),
    );
    if (sameList(touched, list) || round === ACCESS_LIST_ROUNDS_MAX) {
      return {
        accessList: touched.map((entry) => ({
          address: toHex(entry.address),
          storageKeys: entry.slots.map((key) => toHex(key)),
        })),
        ...(result.status === "success" ? {} : { error: callError(result).message }),
        gasUsed: quantity(result.gasUsed),
      };
    }
    list = touched;
  }
}

function sameList(a: AccessList, b: AccessList): boolean {
  const keysOf = (list: AccessList): string[] =>
    list.map((e) => `${toHexKey(e.address)}:${e.slots.map(toHexKey).sort().join(",")}`).sort();
  const left = keysOf(a);
  const right = keysOf(b);
  return left.length === right.length && left.every((key, i) => key === right[i]);
}

export const CALL_METHODS: readonly Method[] = [
  method({
    name: "eth_call",
    summary: "Runs a message on a block's state and returns its output. Without fees it runs at base fee zero.",
    params: [TRANSACTION, optional("block", blockRef, LATEST), STATE_OVERRIDES, BLOCK_OVERRIDES],
    result: "DATA",
    cost: "execute",
    run: (s, [args, ref, accounts, block]) =>
      onOneVersion(s, ref, args, { accounts, block }, (context) => call(s, context, args)),
  }),
  method({
    name: "eth_estimateGas",
    summary: "The least gas limit under which a transaction succeeds.",
    params: [TRANSACTION, optional("block", blockRef, PENDING), STATE_OVERRIDES, BLOCK_OVERRIDES],
    result: "QUANTITY",
    cost: "execute",
    run: async (s, [args, ref, accounts, block]) =>
      quantity(await onOneVersion(s, ref, args, { accounts, block }, (context) => estimateGas(s, context, args))),
  }),
  method({
    name: "eth_createAccessList",
    summary: "The access list of a transaction and the gas it uses with it.",
    params: [TRANSACTION, optional("block", blockRef, PENDING), STATE_OVERRIDES],
    result: "{accessList, gasUsed, error?}",
    cost: "execute",
    run: (s, [args, ref, accounts]) =>
      onOneVersion(s, ref, args, { accounts, block: undefined }, (context) => accessList(s, context, args)),
  }),
  method({
    name: "eth_simulateV1",
    summary: "Runs blocks of calls on top of a block, with overrides; nothing is kept. State roots are left zero.",
    params: [required("payload", simulatePayload), optional("block", blockRef, LATEST)],
    result: "Array of Block with calls",
    cost: "execute",
    run: (s, [payload, ref]) => {
      if (payload.blocks.length === 0) throw invalidParams("invalid argument 0 (payload): empty input");
      return simulate(s, ref, payload);
    },
  }),
];
