/**
 * Owns the default engine: the VM of vm/ behind the {@link Engine} interface. Bytes go in, records come out; within a
 * batch the VM carries state itself. A batch that fills a region of the VM is cut there and goes on with what it wrote
 * so far as an overlay, so no batch is too long. A transaction that alone does not fit is skipped as RESOURCE.
 * @see DESIGN D3, D5
 */
import { assert } from "../../base/assert.ts";
import { bigIntToMinimalBytes, concatBytes } from "../../base/bytes.ts";
import { encodeRlp } from "../../protocol/rlp.ts";
import { emptyWrites, mergeWrites, type StateWrites } from "../../protocol/state-writes.ts";
import type { Authorization } from "../../protocol/transaction.ts";
import type {
  BatchResults,
  BlockEnv,
  CallInput,
  CallResult,
  Fork,
  MissingKey,
  PartialBatch,
  SkipReason,
  SpeculativeEngine,
  StateReader,
  TxInput,
  TxResult,
} from "../execution.ts";
import { OverlayReader } from "../overlay.ts";
import {
  CALL,
  ENV,
  FLAG_ASSUME_NONCE,
  FLAG_BLOOM,
  FLAG_OP_FEES,
  FLAG_TRACE,
  INPUT,
  INPUT_SIZE_BYTES,
  KIND_CALL,
  KIND_FREE_CALL,
  KIND_TRANSACTION,
  RECORD,
  STATUS_MISSING,
  STATUS_SKIPPED,
} from "./layout.ts";
import { Machine, type MachineTracer } from "./machine.ts";
import { HALT_REASONS, Output, resultOf, SKIP_REASONS, TxRecord } from "./result.ts";

const FORKS: Record<Fork, number> = { london: 0, paris: 1, shanghai: 2, cancun: 3, prague: 4, osaka: 5 };
/** Blobs a block, and so a transaction, may carry at most. */
const BLOBS_MAX: Record<Fork, number> = { london: 0, paris: 0, shanghai: 0, cancun: 6, prague: 9, osaka: 6 };
/** Room each input takes beside its bytes. */
const INPUT_OVERHEAD_BYTES = INPUT.header + 8;

export type BatchOptions = {
  /** Take the sender's nonce as given and report it as a predicate: for runs on a stale version. */
  readonly assumeNonce?: boolean;
  /** Add the logs bloom to each result. */
  readonly bloom?: boolean;
  readonly tracer?: MachineTracer;
  /** GASLIMIT when it is no safe integer, as in some of ethereum/tests. */
  readonly gasLimit?: bigint;
};

/** A partial batch with the record behind each result; undefined for what the machine has no room for. */
export type RecordedBatch = PartialBatch & { readonly records: readonly (TxRecord | undefined)[] };

/** What the machine wrote about a whole batch: its records, and its net effect at `netAt`. */
export type RawBatch = {
  readonly kind: "batch";
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly netAt: number;
};

/** The results that a machine, here or in another thread, wrote down. */
export function readRawBatch({ bytes, count, netAt }: RawBatch): BatchResults {
  const output = new Output(bytes);
  const results: TxResult[] = [];
  for (let i = 0, at = 0; i < count; i++) {
    const record = new TxRecord(output, at);
    at += record.size;
    results.push(resultOf(record));
  }
  return Object.assign(results, { writes: output.net(netAt) });
}

export class WasmEngine implements SpeculativeEngine {
  readonly name = "wasm";
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** @throws {VmError} VM_NOT_BUILT */
  static async create(): Promise<WasmEngine> {
    return new WasmEngine(await Machine.create());
  }

  /** The machine, for tracers that read its memory. */
  get machine(): Machine {
    return this.#machine;
  }

  executeBatch(
    env: BlockEnv,
    txs: readonly TxInput[],
    state: StateReader,
    gasAvailable: number,
  ): Promise<BatchResults> {
    return Promise.resolve(this.execute(env, txs, state, gasAvailable, { bloom: true }));
  }

  /** {@link executeBatch} without the promise. */
  execute(
    env: BlockEnv,
    txs: readonly TxInput[],
    state: StateReader,
    gasAvailable: number,
    options: BatchOptions = {},
  ): BatchResults {
    const { results, missing } = this.executePartial(env, txs, state, gasAvailable, options);
    assert(missing === undefined, "the reader of a whole batch has every key");
    return results;
  }

  /** Runs until the end or the first read for which the reader threw MissingRead. */
  executePartial(
    env: BlockEnv,
    txs: readonly TxInput[],
    state: StateReader,
    gasAvailable: number,
    options: BatchOptions = {},
  ): RecordedBatch {
    const results: TxResult[] = [];
    const records: (TxRecord | undefined)[] = [];
    const machine = this.#machine;
    let reader = state;
    let written: StateWrites | undefined;
    let missing: MissingKey | undefined;
    let gasLeft = gasAvailable;
    while (results.length < txs.length && missing === undefined) {
      this.#writeEnvironment(env, gasLeft, options);
      const count = this.#writeInputs(txs, results.length);
      machine.init();
      const done = machine.batch(count, reader, options.tracer);
      const net = machine.net();
      const start = machine.outputAt;
      // The net effect lies behind the records; without it the end of the records is enough.
      const output = new Output(machine.bytes.slice(start, net === 0 ? machine.finish() : machine.netEnd()));
      const chunk: TxResult[] = [];
      let at = 0;
      for (let i = 0; i < done; i++) {
        const record = new TxRecord(output, at);
        at += record.size;
        const result = resultOf(record);
        if (result.included) gasLeft = Math.max(0, gasLeft - result.gasUsed);
        chunk.push(result);
        records.push(record);
      }
      for (const result of chunk) results.push(result);
      const effect = net === 0 ? mergedWrites(chunk) : output.net(net - start);
      if (written === undefined) written = effect;
      else mergeWrites(written, effect);
      if (done < count) {
        const stop = new TxRecord(output, at);
        if (stop.status === STATUS_MISSING) missing = missingKey(stop);
        // Full at once is too large for the machine; full later only wants a fresh start.
        else if (done === 0) {
          results.push({ included: false, reason: "RESOURCE" });
          records.push(undefined);
        }
      }
      if (results.length < txs.length) reader = new OverlayReader(state, written);
    }
    return { results: Object.assign(results, { writes: written ?? emptyWrites() }), records, missing };
  }

  /**
   * Runs `txs` as {@link execute} does and hands back the machine's own bytes, to be read elsewhere by
   * {@link readRawBatch}; or the missing read, or undefined when they do not fit the machine at once.
   */
  executeRaw(
    env: BlockEnv,
    txs: readonly TxInput[],
    state: StateReader,
    gasAvailable: number,
    options: BatchOptions = {},
  ): RawBatch | MissingKey | undefined {
    const machine = this.#machine;
    this.#writeEnvironment(env, gasAvailable, options);
    const count = this.#writeInputs(txs, 0);
    if (count < txs.length) return undefined;
    machine.init();
    const done = machine.batch(count, state, options.tracer);
    const net = machine.net();
    const start = machine.outputAt;
    const bytes = machine.bytes.slice(start, net === 0 ? machine.finish() : machine.netEnd());
    if (done === count && net !== 0) return { kind: "batch", bytes, count, netAt: net - start };
    const output = new Output(bytes);
    let at = 0;
    for (let i = 0; i < done; i++) at += new TxRecord(output, at).size;
    const stop = done < count ? new TxRecord(output, at) : undefined;
    return stop?.status === STATUS_MISSING ? missingKey(stop) : undefined;
  }

  call(env: BlockEnv, call: CallInput, state: StateReader): Promise<CallResult> {
    return Promise.resolve(this.callNow(env, call, state));
  }

  /** {@link call} without the promise. */
  callNow(env: BlockEnv, call: CallInput, state: StateReader, tracer?: MachineTracer): CallResult {
    const machine = this.#machine;
    this.#writeEnvironment(env, Number.MAX_SAFE_INTEGER, tracer === undefined ? {} : { tracer });
    this.#writeCall(call);
    machine.init();
    const done = machine.batch(1, state, tracer);
    const refused = done === 0;
    const record = new TxRecord(new Output(machine.bytes.slice(machine.outputAt, machine.finish())), 0);
    assert(!refused || record.status !== STATUS_MISSING, "the reader of a call has every key");
    if (record.status === STATUS_SKIPPED) {
      const reason = SKIP_REASONS[record.reason] as SkipReason;
      return {
        status: "halt",
        output: new Uint8Array(0),
        gasUsed: 0,
        gasRefunded: 0,
        logs: [],
        error: CALL_REFUSALS[reason] ?? reason,
        contractAddress: undefined,
        writes: emptyWrites(),
        accessed: record.accessed(),
      };
    }
    const reverted = record.status === 0 && record.reason === 1;
    return {
      status: record.status === 1 ? "success" : reverted ? "revert" : "halt",
      output: record.output,
      gasUsed: record.gasUsed,
      gasRefunded: record.gasRefunded,
      logs: record.logs(),
      error: record.status === 1 ? undefined : HALT_REASONS[record.reason],
      contractAddress: record.status === 1 ? record.contractAddress : undefined,
      writes: record.writes(),
      accessed: record.accessed(),
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #writeEnvironment(env: BlockEnv, gasAvailable: number, options: BatchOptions): void {
    const machine = this.#machine;
    const { view, bytes } = machine;
    const at = machine.environmentAt;
    machine.clearEnvironment();
    const flags =
      (env.feePolicy === "op" ? FLAG_OP_FEES : 0) |
      (options.assumeNonce === true ? FLAG_ASSUME_NONCE : 0) |
      (options.bloom === true ? FLAG_BLOOM : 0) |
      (options.tracer === undefined ? 0 : FLAG_TRACE);
    view.setUint32(at + ENV.fork, FORKS[env.fork], true);
    view.setUint32(at + ENV.flags, flags, true);
    view.setBigUint64(at + ENV.number, BigInt(env.number), true);
    view.setBigUint64(at + ENV.timestamp, BigInt(env.timestamp), true);
    view.setBigUint64(at + ENV.gasLimit, options.gasLimit ?? BigInt(env.gasLimit), true);
    view.setBigUint64(at + ENV.chainId, BigInt(env.chainId), true);
    view.setBigUint64(at + ENV.gasAvailable, BigInt(gasAvailable), true);
    machine.writeWord(at + ENV.baseFee, env.baseFeePerGasWei);
    machine.writeWord(at + ENV.blobBaseFee, env.blobBaseFeeWei);
    assert(env.prevRandao.length === 32 && env.coinbase.length === 20, "block hashes have 32 bytes, addresses 20");
    for (let i = 0; i < 32; i++) bytes[at + ENV.randao + i] = env.prevRandao[31 - i] as number;
    bytes.set(env.coinbase, at + ENV.coinbase);
    view.setUint32(at + ENV.blobsMax, BLOBS_MAX[env.fork], true);
  }

  /** Writes inputs from `first` on, as many as fit; returns how many. */
  #writeInputs(txs: readonly TxInput[], first: number): number {
    const machine = this.#machine;
    const { view, bytes } = machine;
    let at = machine.inputAt;
    const end = at + INPUT_SIZE_BYTES;
    let count = 0;
    for (let i = first; i < txs.length; i++) {
      const { raw, sender, l1FeeWei } = txs[i] as TxInput;
      if (at + raw.length + INPUT_OVERHEAD_BYTES > end) break;
      view.setUint32(at + INPUT.size, raw.length, true);
      view.setUint32(at + INPUT.kind, KIND_TRANSACTION, true);
      bytes.set(sender, at + INPUT.sender);
      machine.writeWord(at + INPUT.l1Fee, l1FeeWei);
      bytes.set(raw, at + INPUT.header);
      at += INPUT.header + ((raw.length + 7) & ~7);
      count++;
    }
    assert(count > 0, "one transaction fits the input region");
    return count;
  }

  #writeCall(call: CallInput): void {
    const machine = this.#machine;
    const { view, bytes } = machine;
    const at = machine.inputAt;
    const access =
      call.accessList === undefined
        ? new Uint8Array(0)
        : concatBytes(...call.accessList.map((entry) => encodeRlp([entry.address, [...entry.slots]])));
    const authorizations = concatBytes(...(call.authorizations ?? []).map(encodeAuthorization));
    const size = CALL.header + call.data.length + access.length + authorizations.length;
    assert(size + INPUT_OVERHEAD_BYTES <= INPUT_SIZE_BYTES, "a call fits the input region");
    view.setUint32(at + INPUT.size, size, true);
    view.setUint32(at + INPUT.kind, call.intrinsicGas ? KIND_CALL : KIND_FREE_CALL, true);
    bytes.set(call.from, at + INPUT.sender);
    machine.writeWord(at + INPUT.l1Fee, 0n);
    const body = at + INPUT.header;
    view.setBigUint64(body + CALL.gas, BigInt(call.gasLimit), true);
    machine.writeWord(body + CALL.value, call.valueWei);
    machine.writeWord(body + CALL.gasPrice, call.gasPriceWei);
    view.setUint32(body + CALL.create, call.to === undefined ? 1 : 0, true);
    if (call.to !== undefined) bytes.set(call.to, body + CALL.to);
    view.setUint32(body + CALL.dataLength, call.data.length, true);
    view.setUint32(body + CALL.accessLength, access.length, true);
    view.setUint32(body + CALL.authLength, authorizations.length, true);
    bytes.set(call.data, body + CALL.header);
    bytes.set(access, body + CALL.header + call.data.length);
    bytes.set(authorizations, body + CALL.header + call.data.length + access.length);
  }
}

function mergedWrites(results: readonly TxResult[]): StateWrites {
  const merged = emptyWrites();
  for (const result of results) if (result.included) mergeWrites(merged, result.writes);
  return merged;
}

function encodeAuthorization(a: Authorization): Uint8Array {
  return encodeRlp([
    bigIntToMinimalBytes(a.chainId),
    a.address,
    bigIntToMinimalBytes(a.nonce),
    bigIntToMinimalBytes(BigInt(a.yParity)),
    bigIntToMinimalBytes(a.r),
    bigIntToMinimalBytes(a.s),
  ]);
}

/** What geth says when a call cannot start. */
const CALL_REFUSALS: Partial<Record<SkipReason, string>> = {
  INSUFFICIENT_FUNDS: "insufficient funds for gas * price + value",
  INTRINSIC_GAS: "intrinsic gas too low",
  INIT_CODE_TOO_LARGE: "max initcode size exceeded",
  RESOURCE: "out of memory",
};

function missingKey(record: TxRecord): MissingKey {
  const key = record.slice(RECORD.missing, RECORD.missing + 52).slice();
  const address = key.subarray(0, 20);
  const word = key.subarray(20, 52);
  switch (record.reason) {
    case 1:
      return { kind: "account", address };
    case 2:
      return { kind: "slot", address, slot: word };
    case 3:
      return { kind: "code", codeHash: word };
    default:
      return { kind: "blockHash", number: Number(new DataView(word.slice().buffer).getBigUint64(0, true)) };
  }
}
