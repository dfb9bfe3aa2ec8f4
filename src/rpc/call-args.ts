/**
 * Owns the objects of execution methods: the transaction object, state overrides and block overrides, read strictly and
 * turned into what the engine takes. A call without fees runs with base fee zero, as clients expect of eth_call.
 */
import { padLeft, toHexKey } from "../base/bytes.ts";
import type { BlockEnv, CallInput, StateReader } from "../execution/execution.ts";
import { OverlayReader } from "../execution/overlay.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { type AccountWrite, emptyWrites, type StateWrites } from "../protocol/state-writes.ts";
import type { AccessList, Authorization } from "../protocol/transaction.ts";
import { invalidParams, RpcError } from "./errors.ts";
import {
  address,
  arrayOf,
  data,
  field,
  hash,
  objectOf,
  type Parser,
  safeUint,
  slot,
  uint64,
  uint256,
} from "./params.ts";

const ACCESS_LIST_MAX = 10_000;
const AUTHORIZATIONS_MAX = 1_000;
const OVERRIDE_ACCOUNTS_MAX = 10_000;
const OVERRIDE_SLOTS_MAX = 100_000;
const ZERO_ADDRESS = new Uint8Array(20);

/** A transaction object as a client writes it; absent fields undefined. */
export type CallArgs = {
  readonly from: Uint8Array;
  readonly to: Uint8Array | undefined;
  readonly gas: number | undefined;
  readonly gasPriceWei: bigint | undefined;
  readonly maxFeePerGasWei: bigint | undefined;
  readonly maxPriorityFeePerGasWei: bigint | undefined;
  readonly valueWei: bigint;
  readonly nonce: bigint | undefined;
  readonly data: Uint8Array;
  readonly accessList: AccessList | undefined;
  readonly authorizations: readonly Authorization[];
  readonly chainId: bigint | undefined;
};

const accessEntry: Parser<AccessList[number]> = {
  kind: "AccessListEntry",
  parse: (value, at) => {
    const object = objectOf(value, at);
    const entryAddress = field(object, "address", address, at);
    if (entryAddress === undefined) throw invalidParams(`invalid ${at}.address: missing`);
    return { address: entryAddress, slots: field(object, "storageKeys", arrayOf(hash, ACCESS_LIST_MAX), at) ?? [] };
  },
};

const authorization: Parser<Authorization> = {
  kind: "Authorization",
  parse: (value, at) => {
    const object = objectOf(value, at);
    const of = <T>(name: string, parser: Parser<T>): T => {
      const found = field(object, name, parser, at);
      if (found === undefined) throw invalidParams(`invalid ${at}.${name}: missing`);
      return found;
    };
    return {
      chainId: of("chainId", uint256),
      address: of("address", address),
      nonce: of("nonce", uint64),
      yParity: Number(of("yParity", uint64)),
      r: of("r", uint256),
      s: of("s", uint256),
    };
  },
};

/** Gas is capped, not refused, when a client asks for absurdly much: it only bounds work. */
const gasLimit: Parser<number> = {
  kind: "QUANTITY",
  parse: (value, at) => {
    const gas = uint64.parse(value, at);
    return gas > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(gas);
  },
};

export const callArgs: Parser<CallArgs> = {
  kind: "Transaction object",
  parse: (value, at) => {
    const object = objectOf(value, at);
    const input = field(object, "input", data, at);
    const older = field(object, "data", data, at);
    if (input !== undefined && older !== undefined && Buffer.compare(input, older) !== 0)
      throw invalidParams(`invalid ${at}: both "data" and "input" are set and not equal`);
    const gasPriceWei = field(object, "gasPrice", uint256, at);
    const maxFeePerGasWei = field(object, "maxFeePerGas", uint256, at);
    const maxPriorityFeePerGasWei = field(object, "maxPriorityFeePerGas", uint256, at);
    if (gasPriceWei !== undefined && (maxFeePerGasWei !== undefined || maxPriorityFeePerGasWei !== undefined))
      throw invalidParams("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified");
    if (maxFeePerGasWei !== undefined && (maxPriorityFeePerGasWei ?? 0n) > maxFeePerGasWei)
      throw invalidParams(`maxFeePerGas (${maxFeePerGasWei}) < maxPriorityFeePerGas (${maxPriorityFeePerGasWei})`);
    if (field(object, "blobVersionedHashes", arrayOf(hash, 16), at)?.length)
      throw invalidParams(`invalid ${at}.blobVersionedHashes: this chain carries no blobs`);
    return {
      from: field(object, "from", address, at) ?? ZERO_ADDRESS,
      to: field(object, "to", address, at),
      gas: field(object, "gas", gasLimit, at),
      gasPriceWei,
      maxFeePerGasWei,
      maxPriorityFeePerGasWei,
      valueWei: field(object, "value", uint256, at) ?? 0n,
      nonce: field(object, "nonce", uint64, at),
      data: input ?? older ?? new Uint8Array(0),
      accessList: field(object, "accessList", arrayOf(accessEntry, ACCESS_LIST_MAX), at),
      authorizations: field(object, "authorizationList", arrayOf(authorization, AUTHORIZATIONS_MAX), at) ?? [],
      chainId: field(object, "chainId", uint256, at),
    };
  },
};

/** Price per gas the call pays in `env`: zero unless the client names fees. @throws {RpcError} fee cap below base fee */
export function callGasPriceWei(args: CallArgs, env: BlockEnv): bigint {
  if (args.gasPriceWei !== undefined && args.gasPriceWei > 0n) {
    requireFee(args.gasPriceWei, env);
    return args.gasPriceWei;
  }
  const cap = args.maxFeePerGasWei ?? 0n;
  if (cap === 0n) return 0n;
  requireFee(cap, env);
  const wanted = env.baseFeePerGasWei + (args.maxPriorityFeePerGasWei ?? 0n);
  return wanted < cap ? wanted : cap;
}

function requireFee(capWei: bigint, env: BlockEnv): void {
  if (capWei < env.baseFeePerGasWei)
    throw new RpcError(
      "SERVER_ERROR",
      `max fee per gas less than block base fee: maxFeePerGas: ${capWei}, baseFee: ${env.baseFeePerGasWei}`,
    );
}

/** The engine's input for a call object that may run for `timeoutMs`. */
export function callInput(args: CallArgs, gas: number, gasPriceWei: bigint, timeoutMs: number): CallInput {
  return {
    from: args.from,
    to: args.to,
    data: args.data,
    valueWei: args.valueWei,
    gasLimit: gas,
    gasPriceWei,
    intrinsicGas: true,
    timeoutMs,
    ...(args.accessList === undefined ? {} : { accessList: args.accessList }),
    ...(args.authorizations.length === 0 ? {} : { authorizations: args.authorizations }),
  };
}

/** A call that names no fees sees base fee zero: contracts that check fees must not fail a free query. */
export function callEnv(env: BlockEnv, gasPriceWei: bigint): BlockEnv {
  return gasPriceWei === 0n ? { ...env, baseFeePerGasWei: 0n } : env;
}

/** Overrides of one account. */
export type AccountOverride = {
  readonly address: Uint8Array;
  readonly balanceWei: bigint | undefined;
  readonly nonce: bigint | undefined;
  readonly code: Uint8Array | undefined;
  /** Replaces all storage. */
  readonly state: ReadonlyMap<string, Uint8Array> | undefined;
  /** Changes single slots. */
  readonly stateDiff: ReadonlyMap<string, Uint8Array> | undefined;
};

const storageMap: Parser<ReadonlyMap<string, Uint8Array>> = {
  kind: "Object of slot to value",
  parse: (value, at) => {
    const entries = Object.entries(objectOf(value, at));
    if (entries.length > OVERRIDE_SLOTS_MAX)
      throw invalidParams(`invalid ${at}: at most ${OVERRIDE_SLOTS_MAX} slots, have ${entries.length}`);
    return new Map(
      entries.map(([key, word]) => [
        toHexKey(slot.parse(key, `${at} key`)),
        padLeft(slot.parse(word, `${at}.${key.slice(0, 66)}`), 32),
      ]),
    );
  },
};

export const stateOverrides: Parser<readonly AccountOverride[]> = {
  kind: "StateOverrides",
  parse: (value, at) => {
    const entries = Object.entries(objectOf(value, at));
    if (entries.length > OVERRIDE_ACCOUNTS_MAX)
      throw invalidParams(`invalid ${at}: at most ${OVERRIDE_ACCOUNTS_MAX} accounts, have ${entries.length}`);
    return entries.map(([key, entry]) => {
      const place = `${at}.${key.slice(0, 42)}`;
      const object = objectOf(entry, place);
      const state = field(object, "state", storageMap, place);
      const stateDiff = field(object, "stateDiff", storageMap, place);
      if (state !== undefined && stateDiff !== undefined)
        throw invalidParams(`invalid ${place}: has both 'state' and 'stateDiff'`);
      if (field(object, "movePrecompileToAddress", address, place) !== undefined)
        throw invalidParams(`invalid ${place}.movePrecompileToAddress: precompiles cannot be moved here`);
      return {
        address: address.parse(key, `${at} key`),
        balanceWei: field(object, "balance", uint256, place),
        nonce: field(object, "nonce", uint64, place),
        code: field(object, "code", data, place),
        state,
        stateDiff,
      };
    });
  },
};

/** State with the overrides laid over it. */
export function overrideState(base: StateReader, overrides: readonly AccountOverride[]): StateReader {
  if (overrides.length === 0) return base;
  return new OverlayReader(base, [overrideWrites(base, overrides)]);
}

/** Overrides as effects on top of `base`. */
export function overrideWrites(base: StateReader, overrides: readonly AccountOverride[]): StateWrites {
  const writes = emptyWrites();
  for (const override of overrides) {
    const before = base.account(override.address);
    let codeHash = before?.codeHash ?? EMPTY_CODE_HASH;
    if (override.code !== undefined) {
      codeHash = keccak256(override.code);
      writes.codes.set(toHexKey(codeHash), override.code);
    }
    const write: AccountWrite = {
      cleared: override.state !== undefined,
      account: {
        nonce: override.nonce ?? before?.nonce ?? 0n,
        balanceWei: override.balanceWei ?? before?.balanceWei ?? 0n,
        codeHash,
      },
      storage: new Map(override.state ?? override.stateDiff ?? []),
    };
    writes.accounts.set(toHexKey(override.address), write);
  }
  return writes;
}

export type BlockOverrides = {
  readonly number: number | undefined;
  readonly timestamp: number | undefined;
  readonly gasLimit: number | undefined;
  readonly coinbase: Uint8Array | undefined;
  readonly prevRandao: Uint8Array | undefined;
  readonly baseFeePerGasWei: bigint | undefined;
  readonly blobBaseFeeWei: bigint | undefined;
};

export const blockOverrides: Parser<BlockOverrides> = {
  kind: "BlockOverrides",
  parse: (value, at) => {
    const object = objectOf(value, at);
    // Two spellings are in use: execution-apis' and the older one of geth.
    const either = <T>(name: string, older: string, parser: Parser<T>): T | undefined =>
      field(object, name, parser, at) ?? field(object, older, parser, at);
    return {
      number: field(object, "number", safeUint, at),
      timestamp: field(object, "time", safeUint, at),
      gasLimit: field(object, "gasLimit", safeUint, at),
      coinbase: either("feeRecipient", "coinbase", address),
      prevRandao: either("prevRandao", "random", hash),
      baseFeePerGasWei: either("baseFeePerGas", "baseFee", uint256),
      blobBaseFeeWei: field(object, "blobBaseFee", uint256, at),
    };
  },
};

export function overrideEnv(env: BlockEnv, overrides: BlockOverrides | undefined): BlockEnv {
  if (overrides === undefined) return env;
  return {
    ...env,
    number: overrides.number ?? env.number,
    timestamp: overrides.timestamp ?? env.timestamp,
    gasLimit: overrides.gasLimit ?? env.gasLimit,
    coinbase: overrides.coinbase ?? env.coinbase,
    prevRandao: overrides.prevRandao ?? env.prevRandao,
    baseFeePerGasWei: overrides.baseFeePerGasWei ?? env.baseFeePerGasWei,
    blobBaseFeeWei: overrides.blobBaseFeeWei ?? env.blobBaseFeeWei,
  };
}
