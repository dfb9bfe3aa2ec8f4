/**
 * Owns eth_simulateV1: blocks of calls on top of a block, each seeing what the ones before did. Nothing is kept.
 * Without `validation` calls are free and nonces are not looked at; with it they follow the rules of transactions.
 * Not simulated: L1 attributes, deposits and the L1 data fee; the state root is left zero, for it would cost a trie.
 * @see https://github.com/ethereum/execution-apis (eth_simulateV1)
 */
import { bigIntToMinimalBytes, EMPTY_BYTES, toHex } from "../base/bytes.ts";
import type { Account, BlockEnv, CallResult, StateReader } from "../execution/execution.ts";
import { OverlayReader } from "../execution/overlay.ts";
import { nextBaseFeeWei } from "../protocol/base-fee.ts";
import type { Block, Header } from "../protocol/block.ts";
import { BLOOM_BYTES, logsBloom, mergeBloom } from "../protocol/bloom.ts";
import { headerHash } from "../protocol/header-codec.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { orderedTrieRoot } from "../protocol/ordered-trie.ts";
import type { Log, Receipt } from "../protocol/receipt.ts";
import { encodeReceipt } from "../protocol/receipt-codec.ts";
import { encodeRlp } from "../protocol/rlp.ts";
import { emptyWrites, mergeWrites } from "../protocol/state-writes.ts";
import {
  type AccountOverride,
  type BlockOverrides,
  blockOverrides,
  type CallArgs,
  callArgs,
  callInput,
  overrideEnv,
  overrideWrites,
  stateOverrides,
} from "./call-args.ts";
import { blockSize, encodeHeader, encodeLog, type Json, quantity } from "./encode.ts";
import { invalidParams, RpcError } from "./errors.ts";
import { arrayOf, type BlockRef, bool, field, objectOf, type Parser } from "./params.ts";
import { contextOf, requireBlock } from "./resolve.ts";
import { callError } from "./revert.ts";
import type { Services } from "./services.ts";

const CALLS_MAX = 5_000;
const BLOCKS_MAX = 10_000;
/** Seconds between simulated blocks that name no time of their own. */
const BLOCK_SECONDS = 1;
/** Code of a call that ended in an EVM error other than a revert. */
const VM_ERROR_CODE = -32015;

export type SimulatedCalls = {
  readonly overrides: BlockOverrides | undefined;
  readonly accounts: readonly AccountOverride[];
  readonly calls: readonly CallArgs[];
};

export type SimulatePayload = {
  readonly blocks: readonly SimulatedCalls[];
  readonly validation: boolean;
  readonly fullTransactions: boolean;
};

const simulatedCalls: Parser<SimulatedCalls> = {
  kind: "BlockStateCalls",
  parse: (value, at) => {
    const object = objectOf(value, at);
    return {
      overrides: field(object, "blockOverrides", blockOverrides, at),
      accounts: field(object, "stateOverrides", stateOverrides, at) ?? [],
      calls: field(object, "calls", arrayOf(callArgs, CALLS_MAX), at) ?? [],
    };
  },
};

export const simulatePayload: Parser<SimulatePayload> = {
  kind: "SimulatePayload",
  parse: (value, at) => {
    const object = objectOf(value, at);
    if (field(object, "traceTransfers", bool, at) === true)
      throw invalidParams(`invalid ${at}.traceTransfers: native transfers cannot be traced here`);
    return {
      blocks: field(object, "blockStateCalls", arrayOf(simulatedCalls, BLOCKS_MAX), at) ?? [],
      validation: field(object, "validation", bool, at) ?? false,
      fullTransactions: field(object, "returnFullTransactions", bool, at) ?? false,
    };
  },
};

/** The state under a simulation: the base with all effects so far, and the hashes of the simulated blocks. */
class SimulatedState implements StateReader {
  readonly writes = emptyWrites();
  readonly hashes = new Map<number, Uint8Array>();
  readonly #base: StateReader;
  readonly #overlay: OverlayReader;

  constructor(base: StateReader) {
    this.#base = base;
    this.#overlay = new OverlayReader(base, [this.writes]);
  }

  account(address: Uint8Array): Account | undefined {
    return this.#overlay.account(address);
  }

  storage(address: Uint8Array, slot: Uint8Array): Uint8Array {
    return this.#overlay.storage(address, slot);
  }

  code(codeHash: Uint8Array): Uint8Array {
    return this.#overlay.code(codeHash);
  }

  blockHash(number: number): Uint8Array {
    return this.hashes.get(number) ?? this.#base.blockHash(number);
  }
}

type Head = Pick<Block, "hash" | "header">;

/** @throws {RpcError} SIMULATION_*, INVALID_PARAMS, RESOURCE_NOT_FOUND, TIMED_OUT */
export async function simulate(s: Services, ref: BlockRef, payload: SimulatePayload): Promise<Json[]> {
  const base = requireBlock(s, ref);
  const context = contextOf(s, { number: base.number });
  const state = new SimulatedState(context.state);
  const deadlineMs = s.clock.nowMs() + s.config.callTimeoutMs;
  const budget = { gas: s.config.callGasMax };
  let parent: Head = base.block;
  const out: Json[] = [];
  for (const wanted of withGapsFilled(s, base.block.header, payload.blocks)) {
    const simulation = new BlockSimulation(s, { parent, wanted, state, payload, env: context.env });
    const { block, json } = await simulation.run(budget, deadlineMs);
    state.hashes.set(block.header.number, block.hash);
    parent = block;
    out.push(json);
  }
  return out;
}

/** Every number between the base and the last block gets a block; those nobody described are empty. */
function withGapsFilled(
  s: Services,
  base: Header,
  blocks: readonly SimulatedCalls[],
): (SimulatedCalls & { readonly number: number; readonly timestamp: number })[] {
  const out: (SimulatedCalls & { readonly number: number; readonly timestamp: number })[] = [];
  let { number, timestamp } = base;
  for (const block of blocks) {
    const nextNumber = block.overrides?.number ?? number + 1;
    if (nextNumber <= number)
      throw new RpcError("SIMULATION_BLOCK_NUMBER", `block numbers must be in order: ${nextNumber} <= ${number}`);
    if (nextNumber - base.number > s.config.simulateBlocksMax)
      throw new RpcError("SIMULATION_LIMIT", `too many blocks (limit ${s.config.simulateBlocksMax})`);
    for (number++; number < nextNumber; number++) {
      timestamp += BLOCK_SECONDS;
      out.push({ overrides: undefined, accounts: [], calls: [], number, timestamp });
    }
    const nextTimestamp = block.overrides?.timestamp ?? timestamp + BLOCK_SECONDS;
    if (nextTimestamp <= timestamp)
      throw new RpcError(
        "SIMULATION_BLOCK_TIME",
        `block timestamps must be in order: ${nextTimestamp} <= ${timestamp}`,
      );
    timestamp = nextTimestamp;
    out.push({ ...block, number, timestamp });
  }
  return out;
}

class BlockSimulation {
  readonly #s: Services;
  readonly #parent: Head;
  readonly #wanted: SimulatedCalls;
  readonly #state: SimulatedState;
  readonly #payload: SimulatePayload;
  readonly #env: BlockEnv;
  readonly #transactions: Uint8Array[] = [];
  readonly #receipts: Receipt[] = [];
  readonly #results: CallResult[] = [];
  #gasUsed = 0;

  constructor(
    s: Services,
    p: {
      parent: Head;
      wanted: SimulatedCalls & { readonly number: number; readonly timestamp: number };
      state: SimulatedState;
      payload: SimulatePayload;
      env: BlockEnv;
    },
  ) {
    this.#s = s;
    this.#parent = p.parent;
    this.#wanted = p.wanted;
    this.#state = p.state;
    this.#payload = p.payload;
    const baseFeePerGasWei = p.payload.validation ? nextBaseFeeWei(p.parent.header, s.baseFeeRule) : 0n;
    const env = overrideEnv({ ...p.env, baseFeePerGasWei }, p.wanted.overrides);
    this.#env = { ...env, number: p.wanted.number, timestamp: p.wanted.timestamp };
  }

  async run(budget: { gas: number }, deadlineMs: number): Promise<{ block: Head; json: Json }> {
    mergeWrites(this.#state.writes, overrideWrites(this.#state, this.#wanted.accounts));
    for (const args of this.#wanted.calls) {
      const timeLeftMs = deadlineMs - this.#s.clock.nowMs();
      if (timeLeftMs <= 0)
        throw new RpcError("TIMED_OUT", `execution aborted (timeout = ${this.#s.config.callTimeoutMs}ms)`);
      budget.gas -= await this.#call(args, budget.gas, timeLeftMs);
    }
    return this.#finish();
  }

  /** Runs one call and takes its effects over. Returns the gas used. */
  async #call(args: CallArgs, gasBudget: number, timeLeftMs: number): Promise<number> {
    const left = this.#env.gasLimit - this.#gasUsed;
    if (args.gas !== undefined && args.gas > left)
      throw new RpcError("SIMULATION_GAS_LIMIT", `block gas limit reached: remaining: ${left}, required: ${args.gas}`);
    const gas = Math.min(args.gas ?? left, gasBudget);
    if (gas <= 0) throw new RpcError("SIMULATION_LIMIT", "the gas of the whole simulation is used up");
    const nonce = this.#state.account(args.from)?.nonce ?? 0n;
    const gasPriceWei = this.#price(args);
    if (this.#payload.validation) this.#validate(args, nonce, gas);
    const result = await this.#s.chain.engine.call(
      this.#env,
      callInput(args, gas, gasPriceWei, timeLeftMs),
      this.#state,
    );
    if (result.status === "halt" && result.gasUsed === 0) throw refusal(result.error ?? "");
    mergeWrites(this.#state.writes, result.writes);
    this.#gasUsed += result.gasUsed;
    this.#results.push(result);
    this.#transactions.push(this.#unsigned(args, args.nonce ?? nonce, gas));
    this.#receipts.push({
      type: 2,
      status: result.status === "success" ? 1 : 0,
      cumulativeGasUsed: this.#gasUsed,
      gasUsed: result.gasUsed,
      logs: result.logs,
      effectiveGasPriceWei: gasPriceWei,
      contractAddress: result.contractAddress,
      l1FeeWei: 0n,
      depositNonce: undefined,
    });
    return result.gasUsed;
  }

  #price(args: CallArgs): bigint {
    if (args.gasPriceWei !== undefined) return args.gasPriceWei;
    const cap = args.maxFeePerGasWei ?? 0n;
    const wanted = this.#env.baseFeePerGasWei + (args.maxPriorityFeePerGasWei ?? 0n);
    return wanted < cap ? wanted : cap;
  }

  #validate(args: CallArgs, nonce: bigint, gas: number): void {
    const given = args.nonce ?? nonce;
    const who = toHex(args.from);
    if (given < nonce)
      throw new RpcError("SIMULATION_NONCE_TOO_LOW", `nonce too low: address ${who}, tx: ${given} state: ${nonce}`);
    if (given > nonce)
      throw new RpcError("SIMULATION_NONCE_TOO_HIGH", `nonce too high: address ${who}, tx: ${given} state: ${nonce}`);
    const capWei = args.gasPriceWei ?? args.maxFeePerGasWei ?? 0n;
    if (capWei < this.#env.baseFeePerGasWei)
      throw new RpcError(
        "SIMULATION_FEE_TOO_LOW",
        `max fee per gas less than block base fee: address ${who}, maxFeePerGas: ${capWei}, baseFee: ${this.#env.baseFeePerGasWei}`,
      );
    const needWei = capWei * BigInt(gas) + args.valueWei;
    const haveWei = this.#state.account(args.from)?.balanceWei ?? 0n;
    if (haveWei < needWei)
      throw new RpcError(
        "SIMULATION_INSUFFICIENT_FUNDS",
        `insufficient funds for gas * price + value: address ${who} have ${haveWei} want ${needWei}`,
      );
  }

  /** The call as a transaction without a signature: what its hash in the answer is of. */
  #unsigned(args: CallArgs, nonce: bigint, gas: number): Uint8Array {
    const integer = bigIntToMinimalBytes;
    return encodeRlp(
      [
        integer(BigInt(this.#s.chain.chainId)),
        integer(nonce),
        integer(args.maxPriorityFeePerGasWei ?? args.gasPriceWei ?? 0n),
        integer(args.maxFeePerGasWei ?? args.gasPriceWei ?? 0n),
        integer(BigInt(gas)),
        args.to ?? EMPTY_BYTES,
        integer(args.valueWei),
        args.data,
        (args.accessList ?? []).map((entry) => [entry.address, entry.slots]),
        EMPTY_BYTES,
        EMPTY_BYTES,
        EMPTY_BYTES,
      ],
      Uint8Array.of(2),
    );
  }

  #finish(): { block: Head; json: Json } {
    const env = this.#env;
    const bloom = new Uint8Array(BLOOM_BYTES);
    const blooms = this.#receipts.map((receipt) => logsBloom(receipt.logs));
    for (const one of blooms) mergeBloom(bloom, one);
    const header: Header = {
      ...this.#parent.header,
      parentHash: this.#parent.hash,
      coinbase: env.coinbase,
      stateRoot: new Uint8Array(32),
      transactionsRoot: orderedTrieRoot(this.#transactions),
      receiptsRoot: orderedTrieRoot(this.#receipts.map((receipt, i) => encodeReceipt(receipt, blooms[i]))),
      logsBloom: bloom,
      number: env.number,
      gasLimit: env.gasLimit,
      gasUsed: this.#gasUsed,
      timestamp: env.timestamp,
      prevRandao: env.prevRandao,
      baseFeePerGasWei: env.baseFeePerGasWei,
    };
    const block = { hash: headerHash(header), header };
    const hashes = this.#transactions.map((raw) => keccak256(raw));
    let logIndex = 0;
    const logJson = (log: Log, transactionIndex: number): Json =>
      encodeLog(
        {
          ...log,
          blockNumber: header.number,
          blockHash: block.hash,
          blockTimestamp: header.timestamp,
          transactionHash: hashes[transactionIndex] as Uint8Array,
          transactionIndex,
          logIndex: logIndex++,
        },
        false,
      );
    const json = {
      ...encodeHeader(block),
      size: quantity(blockSize(header, this.#transactions)),
      transactions: hashes.map((hash, i) =>
        this.#payload.fullTransactions ? this.#full(block, hash, i) : toHex(hash),
      ),
      uncles: [],
      withdrawals: [],
      calls: this.#results.map((result, i) => ({
        returnData: toHex(result.output),
        logs: result.logs.map((log) => logJson(log, i)),
        gasUsed: quantity(result.gasUsed),
        maxUsedGas: quantity(result.gasUsed + result.gasRefunded),
        status: result.status === "success" ? "0x1" : "0x0",
        ...(result.status === "success" ? {} : { error: callFailure(result) }),
      })),
    };
    return { block, json };
  }

  #full(block: Head, hash: Uint8Array, index: number): Json {
    const args = this.#wanted.calls[index] as CallArgs;
    const price = quantity(args.maxFeePerGasWei ?? args.gasPriceWei ?? 0n);
    return {
      blockHash: toHex(block.hash),
      blockNumber: quantity(block.header.number),
      transactionIndex: quantity(index),
      hash: toHex(hash),
      type: "0x2",
      chainId: quantity(this.#s.chain.chainId),
      from: toHex(args.from),
      to: args.to === undefined ? null : toHex(args.to),
      nonce: quantity(args.nonce ?? 0n),
      gas: quantity(args.gas ?? this.#receipts[index]?.gasUsed ?? 0),
      gasPrice: price,
      maxFeePerGas: price,
      maxPriorityFeePerGas: quantity(args.maxPriorityFeePerGasWei ?? 0n),
      value: quantity(args.valueWei),
      input: toHex(args.data),
      accessList: (args.accessList ?? []).map((entry) => ({
        address: toHex(entry.address),
        storageKeys: entry.slots.map((key) => toHex(key)),
      })),
      v: "0x0",
      r: "0x0",
      s: "0x0",
      yParity: "0x0",
    };
  }
}

function callFailure(result: CallResult): Json {
  const error = callError(result);
  return result.status === "revert"
    ? { code: error.rpcCode, message: error.message, data: error.data }
    : { code: VM_ERROR_CODE, message: error.message };
}

/** The engine refused the call before its first opcode: the whole simulation ends, as the specification wants it. */
function refusal(error: string): RpcError {
  if (error.startsWith("insufficient funds")) return new RpcError("SIMULATION_INSUFFICIENT_FUNDS", error);
  if (/^(intrinsic gas too low|insufficient gas for floor)/.test(error))
    return new RpcError("SIMULATION_INTRINSIC_GAS", error);
  return new RpcError("SERVER_ERROR", error);
}
