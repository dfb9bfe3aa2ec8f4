/**
 * Owns the engine on `@ethereumjs/evm`: the library runs opcodes, everything around a message is here: validation,
 * fees, refunds, authorizations, deposits. It is the second, independent engine beside the WebAssembly one (DESIGN D5).
 * Invariant: a transaction changes the sum of all balances only by its mint, by the base fee it burns ("ethereum"
 * policy), by blob fees and by what self-destruction burns.
 * @see docs/decisions/0002-chain-and-derivation.md
 */
import { EVMError, type EVMResult } from "@ethereumjs/evm";
import { Address, generateAddress } from "@ethereumjs/util";
import { assert } from "../base/assert.ts";
import { bigIntToMinimalBytes, concatBytes, EMPTY_BYTES, fromHex, toHex } from "../base/bytes.ts";
import { CodedError } from "../base/error.ts";
import { effectiveGasPriceWei } from "../protocol/base-fee.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { BASE_FEE_VAULT, L1_FEE_VAULT } from "../protocol/predeploys.ts";
import type { Log } from "../protocol/receipt.ts";
import { recoverAuthority } from "../protocol/sender.ts";
import { emptyWrites } from "../protocol/state-writes.ts";
import type { Authorization, DepositTransaction, SignedTransaction, Transaction } from "../protocol/transaction.ts";
import { decodeTransaction } from "../protocol/transaction-codec.ts";
import { timedOut } from "./call-timeout.ts";
import { type EthereumjsMachine, EthereumjsMachines, type EvmBlock, evmBlock } from "./ethereumjs-machine.ts";
import { CallTimeout } from "./ethereumjs-time-limit.ts";
import type {
  BlockEnv,
  CallInput,
  CallResult,
  Engine,
  IncludedResult,
  SkipReason,
  StateReader,
  TxInput,
  TxResult,
} from "./execution.ts";
import { type Cell, CodeCache, JournaledState } from "./journaled-state.ts";
import {
  AUTHORIZATION_REFUND_GAS,
  GAS_PER_BLOB,
  INIT_CODE_SIZE_MAX,
  type IntrinsicGas,
  intrinsicGas,
  isDelegation,
  isFork,
  NONCE_MAX,
  REFUND_QUOTIENT,
  skipReason,
} from "./transaction-rules.ts";

/** Some two thousand contracts; the jump analysis kept with each takes about twenty times its size. */
const CODE_CACHE_SIZE_MAX_BYTES = 8 << 20;
/** The EVM never leaves the microtask queue by itself: after this long the event loop gets its turn. */
const YIELD_AFTER_MS = 10;
const DELEGATION_PREFIX = Uint8Array.of(0xef, 0x01, 0x00);
/** Upper half of the curve order: signatures above it are malleable (EIP-2). */
const SECP256K1_HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;

/** Everything one transaction runs in. */
type Run = {
  readonly env: BlockEnv;
  readonly block: EvmBlock;
  readonly machine: EthereumjsMachine;
  readonly state: JournaledState;
};

const yieldToEventLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class EthereumjsEngine implements Engine {
  readonly name = "ethereumjs";
  readonly #machines = new EthereumjsMachines();
  readonly #codeCache = new CodeCache(CODE_CACHE_SIZE_MAX_BYTES);

  async executeBatch(
    env: BlockEnv,
    txs: readonly TxInput[],
    reader: StateReader,
    gasAvailable: number,
  ): Promise<readonly TxResult[]> {
    const machine = await this.#machines.take(env);
    const state = new JournaledState(reader, this.#codeCache);
    machine.attach(state, reader, false);
    machine.timeLimit.set(undefined);
    const run: Run = { env, block: evmBlock(env), machine, state };
    const results: TxResult[] = [];
    let gasLeft = gasAvailable;
    let turnStartMs = performance.now();
    for (const input of txs) {
      const result = await runTransaction(run, input, gasLeft);
      if (result.included) gasLeft -= result.gasUsed;
      assert(gasLeft >= 0, "a batch uses no more gas than it was given");
      results.push(result);
      if (performance.now() - turnStartMs > YIELD_AFTER_MS) {
        await yieldToEventLoop();
        turnStartMs = performance.now();
      }
    }
    this.#machines.give(machine);
    return results;
  }

  async call(env: BlockEnv, call: CallInput, reader: StateReader): Promise<CallResult> {
    const machine = await this.#machines.take(env);
    const state = new JournaledState(reader, this.#codeCache);
    const journal = machine.attach(state, reader, true);
    machine.timeLimit.set(call.timeoutMs);
    let result: Omit<CallResult, "accessed">;
    try {
      result = await runCall({ env, block: evmBlock(env), machine, state }, call);
    } catch (error) {
      // The machine is in the middle of something: it is not used again.
      if (error instanceof CallTimeout) return timedOut(call);
      throw error;
    }
    this.#machines.give(machine);
    const accessed = [...(journal.accessed ?? [])].map(([address, slots]) => ({
      address: fromHex(address),
      slots: [...slots].map(fromHex),
    }));
    return { ...result, accessed };
  }

  close(): Promise<void> {
    this.#machines.close();
    return Promise.resolve();
  }
}

async function runTransaction(run: Run, input: TxInput, gasAvailable: number): Promise<TxResult> {
  let tx: Transaction;
  try {
    tx = decodeTransaction(input.raw);
  } catch (error) {
    if (error instanceof CodedError) return { included: false, reason: "UNDECODABLE" };
    throw error;
  }
  return tx.type === 0x7e
    ? await runDeposit(run, tx, gasAvailable)
    : await runSigned(run, tx, input.sender, input.l1FeeWei, gasAvailable);
}

async function runSigned(
  run: Run,
  tx: SignedTransaction,
  senderAddress: Uint8Array,
  l1FeeWei: bigint,
  gasAvailable: number,
): Promise<TxResult> {
  const { env, state } = run;
  state.beginTransaction();
  const sender = state.cell(senderAddress);
  const intrinsic = intrinsicGas(env.fork, {
    data: tx.data,
    isCreate: tx.to === undefined,
    accessList: tx.accessList,
    authorizationCount: tx.authorizations.length,
  });
  const reason = skipReason(env, tx, {
    sender,
    senderCode: () => state.code(sender),
    l1FeeWei: env.feePolicy === "op" ? l1FeeWei : 0n,
    gasAvailable,
    intrinsic,
  });
  if (reason !== undefined) return skipped(state, reason);

  // Buy the gas. What is left of it comes back below; the L1 data fee and the blob fee do not.
  const priceWei = effectiveGasPriceWei(tx, env.baseFeePerGasWei);
  const chargedL1FeeWei = env.feePolicy === "op" ? l1FeeWei : 0n;
  const blobFeeWei = BigInt(tx.blobHashes.length * GAS_PER_BLOB) * env.blobBaseFeeWei;
  state.setFields(
    sender,
    sender.nonce + 1n,
    sender.balanceWei - tx.gasLimit * priceWei - blobFeeWei - chargedL1FeeWei,
    sender.codeHash,
  );
  warmStart(run, sender, tx.to, tx.accessList);
  const authorizationRefund = applyAuthorizations(run, tx.authorizations);
  const result = await runMessage(run, {
    from: sender,
    to: tx.to,
    gasLimit: tx.gasLimit - BigInt(intrinsic.gas),
    gasPriceWei: priceWei,
    valueWei: tx.valueWei,
    data: tx.data,
    blobHashes: tx.blobHashes,
  });
  const { gasUsed } = settleGas(intrinsic, result, authorizationRefund);

  state.addBalance(sender, (tx.gasLimit - gasUsed) * priceWei);
  const coinbase = state.cell(env.coinbase);
  state.addBalance(coinbase, gasUsed * (priceWei - env.baseFeePerGasWei));
  if (env.feePolicy === "op") {
    state.addBalance(state.cell(BASE_FEE_VAULT), gasUsed * env.baseFeePerGasWei);
    state.addBalance(state.cell(L1_FEE_VAULT), chargedL1FeeWei);
  }
  removeDestroyed(run, result);
  return included(run, result, {
    gasUsed,
    priceWei,
    contractAddress: tx.to === undefined ? createdAddress(senderAddress, tx.nonce) : undefined,
    depositNonce: undefined,
  });
}

/** OP deposits as of Regolith: the mint stands whatever happens, there is no fee, and the real gas used counts. */
async function runDeposit(run: Run, tx: DepositTransaction, gasAvailable: number): Promise<TxResult> {
  const { env, state } = run;
  state.beginTransaction();
  const from = state.cell(tx.from);
  const depositNonce = from.nonce;
  assert(depositNonce < NONCE_MAX, "no account reaches the last nonce");
  const contractAddress = tx.to === undefined ? createdAddress(tx.from, depositNonce) : undefined;
  if (tx.mintWei > 0n) state.addBalance(from, tx.mintWei);
  state.setFields(from, depositNonce + 1n, from.balanceWei, from.codeHash);
  const intrinsic = intrinsicGas(env.fork, {
    data: tx.data,
    isCreate: tx.to === undefined,
    accessList: [],
    authorizationCount: 0,
  });
  const cannotRun =
    tx.isSystemTx ||
    tx.gasLimit > BigInt(gasAvailable) ||
    tx.gasLimit < BigInt(Math.max(intrinsic.gas, intrinsic.floorGas)) ||
    tx.valueWei > from.balanceWei ||
    (tx.to === undefined && tx.data.length > INIT_CODE_SIZE_MAX && isFork(env.fork, "shanghai"));
  if (cannotRun) {
    const gasUsed = tx.gasLimit < BigInt(gasAvailable) ? Number(tx.gasLimit) : gasAvailable;
    return {
      included: true,
      status: 0,
      gasUsed,
      effectiveGasPriceWei: 0n,
      logs: [],
      output: EMPTY_BYTES,
      contractAddress,
      depositNonce,
      writes: state.endTransaction(),
    };
  }
  warmStart(run, from, tx.to, []);
  const result = await runMessage(run, {
    from,
    to: tx.to,
    gasLimit: tx.gasLimit - BigInt(intrinsic.gas),
    gasPriceWei: 0n,
    valueWei: tx.valueWei,
    data: tx.data,
    blobHashes: [],
  });
  const { gasUsed } = settleGas(intrinsic, result, 0n);
  removeDestroyed(run, result);
  return included(run, result, { gasUsed, priceWei: 0n, contractAddress, depositNonce });
}

async function runCall(run: Run, call: CallInput): Promise<Omit<CallResult, "accessed">> {
  const { env, state } = run;
  state.beginTransaction();
  const from = state.cell(call.from);
  const authorizations = call.authorizations ?? [];
  const intrinsic: IntrinsicGas = call.intrinsicGas
    ? intrinsicGas(env.fork, {
        data: call.data,
        isCreate: call.to === undefined,
        accessList: call.accessList ?? [],
        authorizationCount: authorizations.length,
      })
    : { gas: 0, floorGas: 0 };
  const gasLimit = BigInt(call.gasLimit);
  const gasCostWei = gasLimit * call.gasPriceWei;
  const refused = (error: string): Omit<CallResult, "accessed"> => {
    state.endTransaction();
    return {
      status: "halt",
      output: EMPTY_BYTES,
      gasUsed: 0,
      gasRefunded: 0,
      logs: [],
      error,
      contractAddress: undefined,
      writes: emptyWrites(),
    };
  };
  if (from.balanceWei < gasCostWei + call.valueWei) {
    const what = gasCostWei > 0n ? "insufficient funds for gas * price + value" : "insufficient funds for transfer";
    return refused(`${what}: address ${toHex(call.from)} have ${from.balanceWei} want ${gasCostWei + call.valueWei}`);
  }
  if (gasLimit < BigInt(intrinsic.gas))
    return refused(`intrinsic gas too low: have ${call.gasLimit}, want ${intrinsic.gas}`);
  if (gasLimit < BigInt(intrinsic.floorGas))
    return refused(`insufficient gas for floor data gas cost: have ${call.gasLimit}, want ${intrinsic.floorGas}`);
  if (call.to === undefined && call.data.length > INIT_CODE_SIZE_MAX && isFork(env.fork, "shanghai"))
    return refused(`max initcode size exceeded: code size ${call.data.length} limit ${INIT_CODE_SIZE_MAX}`);

  if (call.intrinsicGas || gasCostWei > 0n)
    state.setFields(from, from.nonce + (call.intrinsicGas ? 1n : 0n), from.balanceWei - gasCostWei, from.codeHash);
  warmStart(run, from, call.to, call.accessList ?? []);
  const authorizationRefund = applyAuthorizations(run, authorizations);
  const result = await runMessage(run, {
    from,
    to: call.to,
    gasLimit: gasLimit - BigInt(intrinsic.gas),
    gasPriceWei: call.gasPriceWei,
    valueWei: call.valueWei,
    data: call.data,
    blobHashes: [],
  });
  const { gasUsed, refunded } = settleGas(intrinsic, result, authorizationRefund);
  if (gasCostWei > 0n) state.addBalance(from, (gasLimit - gasUsed) * call.gasPriceWei);
  removeDestroyed(run, result);
  const failure = result.execResult.exceptionError;
  return {
    status: failure === undefined ? "success" : failure.error === EVMError.errorMessages.REVERT ? "revert" : "halt",
    output: result.execResult.returnValue,
    gasUsed: Number(gasUsed),
    gasRefunded: Number(refunded),
    logs: logsOf(result),
    error: failure === undefined ? undefined : haltReason(failure),
    contractAddress: failure === undefined ? result.createdAddress?.bytes : undefined,
    writes: state.endTransaction(),
  };
}

type MessageInput = {
  readonly from: Cell;
  readonly to: Uint8Array | undefined;
  readonly gasLimit: bigint;
  readonly gasPriceWei: bigint;
  readonly valueWei: bigint;
  readonly data: Uint8Array;
  readonly blobHashes: readonly Uint8Array[];
};

/** Runs the message. The sender's nonce has been counted up: a creation takes its address from the nonce before. */
function runMessage(run: Run, message: MessageInput): Promise<EVMResult> {
  const { evm } = run.machine;
  // The library clears it after a call, not after a creation.
  evm.transientStorage.clear();
  return evm.runCall({
    block: run.block,
    gasPrice: message.gasPriceWei,
    caller: new Address(message.from.address),
    gasLimit: message.gasLimit,
    ...(message.to === undefined ? {} : { to: new Address(message.to) }),
    value: message.valueWei,
    data: message.data,
    skipNonceIncrement: true,
    blobVersionedHashes: message.blobHashes.map(toHex),
  });
}

/** EIP-2929, 2930, 3651: what is warm before the first opcode. Precompiles always are. */
function warmStart(
  run: Run,
  sender: Cell,
  to: Uint8Array | undefined,
  accessList: readonly { readonly address: Uint8Array; readonly slots: readonly Uint8Array[] }[],
): void {
  const { state, env } = run;
  state.warm(sender);
  if (to !== undefined) state.warm(state.cell(to));
  if (isFork(env.fork, "shanghai")) state.warm(state.cell(env.coinbase));
  for (const entry of accessList) {
    const cell = state.cell(entry.address);
    state.warm(cell);
    for (const slot of entry.slots) state.warmSlot(cell, slot);
  }
}

/** EIP-7702: sets delegations. Invalid authorizations are passed over. Returns the gas to refund. */
function applyAuthorizations(run: Run, authorizations: readonly Authorization[]): bigint {
  const { state, env } = run;
  let refund = 0n;
  for (const authorization of authorizations) {
    if (authorization.chainId !== 0n && authorization.chainId !== BigInt(env.chainId)) continue;
    if (authorization.nonce >= NONCE_MAX) continue;
    if (authorization.yParity > 1 || authorization.s > SECP256K1_HALF_ORDER) continue;
    const address = recoverAuthority(authorization);
    if (address === undefined) continue;
    const authority = state.cell(address);
    state.warm(authority);
    const code = state.code(authority);
    if (code.length > 0 && !isDelegation(code)) continue;
    if (authority.nonce !== authorization.nonce) continue;
    if (authority.exists) refund += BigInt(AUTHORIZATION_REFUND_GAS);
    const delegation = isZero(authorization.address)
      ? EMPTY_BYTES
      : concatBytes(DELEGATION_PREFIX, authorization.address);
    state.setFields(authority, authority.nonce + 1n, authority.balanceWei, authority.codeHash);
    state.setCode(authority, keccak256(delegation), delegation);
  }
  return refund;
}

/** Intrinsic gas, refund (EIP-3529) and the calldata floor (EIP-7623) put together. */
function settleGas(
  intrinsic: IntrinsicGas,
  result: EVMResult,
  authorizationRefund: bigint,
): { gasUsed: bigint; refunded: bigint } {
  const spent = BigInt(intrinsic.gas) + result.execResult.executionGasUsed;
  const earned = authorizationRefund + (result.execResult.gasRefund ?? 0n);
  const refundMax = spent / REFUND_QUOTIENT;
  const refunded = earned < refundMax ? earned : refundMax;
  const gasUsed = spent - refunded;
  const floor = BigInt(intrinsic.floorGas);
  return gasUsed < floor ? { gasUsed: floor, refunded: 0n } : { gasUsed, refunded };
}

/** Self-destructed accounts go; from Cancun on only those created in the same transaction (EIP-6780). */
function removeDestroyed(run: Run, result: EVMResult): void {
  const { selfdestruct, createdAddresses } = result.execResult;
  if (selfdestruct === undefined) return;
  for (const address of selfdestruct.keys()) {
    if (isFork(run.env.fork, "cancun") && createdAddresses?.has(address) !== true) continue;
    run.state.remove(run.state.cell(fromHex(address)));
  }
}

function included(
  run: Run,
  result: EVMResult,
  p: {
    readonly gasUsed: bigint;
    readonly priceWei: bigint;
    readonly contractAddress: Uint8Array | undefined;
    readonly depositNonce: bigint | undefined;
  },
): IncludedResult {
  return {
    included: true,
    status: result.execResult.exceptionError === undefined ? 1 : 0,
    gasUsed: Number(p.gasUsed),
    effectiveGasPriceWei: p.priceWei,
    logs: logsOf(result),
    output: result.execResult.returnValue,
    contractAddress: p.contractAddress,
    depositNonce: p.depositNonce,
    writes: run.state.endTransaction(),
  };
}

function skipped(state: JournaledState, reason: SkipReason): TxResult {
  const writes = state.endTransaction();
  assert(writes.accounts.size === 0, "a skipped transaction has no effect");
  return { included: false, reason };
}

function logsOf(result: EVMResult): readonly Log[] {
  const { logs, exceptionError } = result.execResult;
  if (logs === undefined || exceptionError !== undefined) return [];
  return logs.map(([address, topics, data]) => ({ address, topics, data }));
}

function createdAddress(sender: Uint8Array, nonce: bigint): Uint8Array {
  return generateAddress(sender, bigIntToMinimalBytes(nonce));
}

function isZero(address: Uint8Array): boolean {
  return address.every((byte) => byte === 0);
}

const HALT_REASONS: Readonly<Record<string, string>> = {
  [EVMError.errorMessages.REVERT]: "execution reverted",
  [EVMError.errorMessages.CODESTORE_OUT_OF_GAS]: "contract creation code storage out of gas",
  [EVMError.errorMessages.CODESIZE_EXCEEDS_MAXIMUM]: "max code size exceeded",
  [EVMError.errorMessages.STACK_OVERFLOW]: "stack limit reached 1024 (1023)",
  [EVMError.errorMessages.STATIC_STATE_CHANGE]: "write protection",
  [EVMError.errorMessages.CREATE_COLLISION]: "contract address collision",
  [EVMError.errorMessages.VALUE_OVERFLOW]: "insufficient balance for transfer",
  [EVMError.errorMessages.INSUFFICIENT_BALANCE]: "insufficient balance for transfer",
  [EVMError.errorMessages.INVALID_BYTECODE_RESULT]: "invalid code: must not begin with 0xef",
  [EVMError.errorMessages.INITCODE_SIZE_VIOLATION]: "max initcode size exceeded",
};

/** In the words geth uses, where it has its own. */
function haltReason(error: EVMError): string {
  // The library says where a jump went wrong; geth does not.
  if (error.error.startsWith(EVMError.errorMessages.INVALID_JUMP)) return "invalid jump destination";
  return HALT_REASONS[error.error] ?? error.error;
}
