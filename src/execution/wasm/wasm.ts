/**
 * Owns the default engine: the VM of vm/ behind the {@link Engine} interface. Bytes go in, records come out; within a
 * batch the VM carries state itself. A batch that fills a region of the VM is cut there and goes on with what it wrote
 * so far as an overlay, so no batch is too long. A transaction that alone does not fit is skipped as RESOURCE.
 * @see DESIGN D3, D5
 */
import { assert } from "../../base/assert.ts";
import { emptyWrites, mergeWrites, type StateWrites } from "../../protocol/state-writes.ts";
import type {
  BatchResults,
  BlockEnv,
  CallInput,
  CallResult,
  MissingKey,
  PartialBatch,
  SpeculativeEngine,
  StateReader,
  TxInput,
  TxResult,
} from "../execution.ts";
import { OverlayReader } from "../overlay.ts";
import { callResult, TimedCalls } from "./calls.ts";
import { writeCall, writeEnvironment, writeInputs } from "./inputs.ts";
import { RECORD, STATUS_MISSING } from "./layout.ts";
import { Machine, type MachineTracer } from "./machine.ts";
import { Output, resultOf, TxRecord } from "./result.ts";

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

/** The records of a call as the machine wrote them, one behind the other, of the first `count` transactions. */
export type BatchRecords = {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** The read before which it stopped. */
  readonly missing: MissingKey | undefined;
};

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
  readonly #timedCalls = new TimedCalls();

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
      writeEnvironment(machine, env, gasLeft, { ...options, traced: options.tracer !== undefined });
      const count = writeInputs(machine, txs, results.length);
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
      if (results.length < txs.length) reader = new OverlayReader(state, [written]);
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
    writeEnvironment(machine, env, gasAvailable, { ...options, traced: options.tracer !== undefined });
    const count = writeInputs(machine, txs, 0);
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

  /**
   * Runs `txs` until the end, the first missing read, or when the machine is full, without reading anything out of the
   * records: for those who send them elsewhere. Nothing done and nothing missing: the first alone is too large.
   */
  executeRecords(
    env: BlockEnv,
    txs: readonly TxInput[],
    state: StateReader,
    gasAvailable: number,
    options: BatchOptions = {},
  ): BatchRecords {
    const machine = this.#machine;
    writeEnvironment(machine, env, gasAvailable, options);
    const count = writeInputs(machine, txs, 0);
    machine.init();
    const done = machine.batch(count, state);
    const bytes = machine.bytes.slice(machine.outputAt, machine.finish());
    if (done === count) return { bytes, count, missing: undefined };
    const output = new Output(bytes);
    let at = 0;
    for (let i = 0; i < done; i++) at += new TxRecord(output, at).size;
    const stop = new TxRecord(output, at);
    return {
      bytes: bytes.subarray(0, at),
      count: done,
      missing: stop.status === STATUS_MISSING ? missingKey(stop) : undefined,
    };
  }

  call(env: BlockEnv, call: CallInput, state: StateReader): Promise<CallResult> {
    if (call.timeoutMs !== undefined) return this.#timedCalls.run(env, call, call.timeoutMs, state);
    return Promise.resolve(this.callNow(env, call, state));
  }

  /** {@link call} without the promise, and without a limit of time. */
  callNow(env: BlockEnv, call: CallInput, state: StateReader, tracer?: MachineTracer): CallResult {
    const machine = this.#machine;
    writeEnvironment(machine, env, Number.MAX_SAFE_INTEGER, { traced: tracer !== undefined });
    writeCall(machine, call);
    machine.init();
    machine.batch(1, state, tracer);
    return callResult(machine);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function mergedWrites(results: readonly TxResult[]): StateWrites {
  const merged = emptyWrites();
  for (const result of results) if (result.included) mergeWrites(merged, result.writes);
  return merged;
}

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
