/**
 * Owns geth's callTracer: the tree of calls of a transaction, with `withLog` the logs that took effect, numbered as in
 * the receipts of the block.
 * @see https://github.com/ethereum/execution-apis (schemas/call-tracer.yaml)
 */
import { toHex } from "../../../base/bytes.ts";
import { revertReason } from "../../revert-reason.ts";
import type { MachineTracer } from "../machine.ts";
import type { FrameReader } from "./frames.ts";
import { HALT_REVERT, haltText } from "./halts.ts";
import { isCreation, OP_CALLCODE, OP_DELEGATECALL, OP_SELFDESTRUCT, OP_STATICCALL, opcodeOf } from "./opcodes.ts";
import type { TraceLimits } from "./trace-limits.ts";

export type CallLog = { address: string; topics: string[]; data: string; index: string; position: string };

export type CallTrace = {
  from: string;
  gas: string;
  gasUsed: string;
  to?: string;
  input: string;
  output?: string;
  error?: string;
  revertReason?: string;
  calls?: CallTrace[];
  logs?: CallLog[];
  value?: string;
  type: string;
};

export type CallTracerConfig = { readonly onlyTopCall?: boolean; readonly withLog?: boolean };

const quantity = (value: bigint | number): string => `0x${value.toString(16)}`;
/** What a frame prints besides its data, roughly. */
const FRAME_BYTES = 300;
const LOG_BYTES = 180;
/** A log of more runs out of gas. */
const LOG_DATA_MAX_BYTES = 1 << 24;

/** Error, output and reason of an ended call, in place. `error` undefined: it succeeded. */
export function finishCall(
  trace: CallTrace,
  error: string | undefined,
  isRevert: boolean,
  output: Uint8Array,
  limits: TraceLimits,
): void {
  limits.spend(2 * output.length);
  if (error === undefined) {
    if (output.length > 0) trace.output = toHex(output);
    return;
  }
  if (trace.type.startsWith("CREATE")) delete trace.to;
  if (isRevert && output.length > 0) trace.output = toHex(output);
  trace.error = error;
  if (!isRevert) return;
  const reason = revertReason(output, output.length);
  if (reason !== undefined) trace.revertReason = reason;
}

type OpenCall = {
  readonly trace: CallTrace;
  readonly record: number;
  readonly self: Uint8Array;
  readonly gas: bigint;
  /** How many logs took effect before it. */
  readonly logs: number;
};

export class CallTracer implements MachineTracer {
  readonly #frames: FrameReader;
  readonly #config: CallTracerConfig;
  readonly #limits: TraceLimits;
  /** Open calls, the top of the transaction first; none until code runs. */
  readonly #open: OpenCall[] = [];
  /** Logs that took effect so far, with the call they belong to; those of a call that fails are taken off again. */
  readonly #logs: { readonly call: CallTrace; readonly log: CallLog | undefined }[] = [];
  #top: CallTrace | undefined;
  #op = 0;
  #stackSize = 0;

  constructor(frames: FrameReader, config: CallTracerConfig, limits: TraceLimits) {
    this.#frames = frames;
    this.#config = config;
    this.#limits = limits;
  }

  /** The top call as the machine saw it; undefined when no code ran. */
  get top(): CallTrace | undefined {
    return this.#top;
  }

  /** Hangs the logs into the calls, numbered from `firstIndex` on; returns how many there are. Call once, at the end. */
  numberLogs(firstIndex: number): number {
    for (const [i, { call, log }] of this.#logs.entries()) {
      if (log === undefined) continue;
      log.index = quantity(firstIndex + i);
      call.logs ??= [];
      call.logs.push(log);
    }
    return this.#logs.length;
  }

  step(frame: number, _pc: number, op: number, _gas: bigint, sp: number): void {
    this.#limits.tick();
    this.#op = op;
    this.#stackSize = this.#frames.stackSize(frame, sp);
    if (this.#config.withLog !== true || op < 0xa0 || op > 0xa4) return;
    const current = this.#open.at(-1);
    const topicCount = op - 0xa0;
    if (current === undefined || this.#stackSize < 2 + topicCount) return;
    const call = current.trace;
    if (this.#config.onlyTopCall === true && this.#open.length > 1) {
      this.#limits.spend(8);
      this.#logs.push({ call, log: undefined });
      return;
    }
    const offset = this.#frames.wordNumber(sp);
    const length = this.#frames.wordNumber(sp + 32);
    if (length > LOG_DATA_MAX_BYTES || offset > 2 ** 31) return;
    this.#limits.spend(LOG_BYTES + 70 * topicCount + 2 * length);
    const log: CallLog = {
      address: toHex(current.self),
      topics: Array.from({ length: topicCount }, (_, i) => toHex(this.#frames.wordBytes(sp + 64 + i * 32))),
      data: toHex(this.#frames.memorySlice(frame, offset, length)),
      index: "0x0",
      position: quantity(call.calls?.length ?? 0),
    };
    this.#logs.push({ call, log });
  }

  frame(kind: number, _depth: number, record: number): void {
    if (kind === -1 || kind === -2) {
      this.#leave(kind, record);
      return;
    }
    const frames = this.#frames;
    const parent = this.#open.at(-1);
    const isListed = this.#config.onlyTopCall !== true;
    if (kind === OP_SELFDESTRUCT) {
      if (parent === undefined || !isListed) return;
      this.#limits.spend(FRAME_BYTES);
      parent.trace.calls ??= [];
      parent.trace.calls.push({
        from: toHex(parent.self),
        gas: "0x0",
        gasUsed: "0x0",
        to: toHex(frames.self(record)),
        input: "0x",
        value: quantity(frames.value(record)),
        type: "SELFDESTRUCT",
      });
      return;
    }
    const creating = isCreation(kind);
    const self = frames.self(record);
    const gas = frames.gas(record);
    const borrowed = kind === OP_DELEGATECALL || kind === OP_CALLCODE;
    this.#limits.tick();
    const isNeeded = isListed && parent !== undefined;
    if (isNeeded) this.#limits.spend(FRAME_BYTES + 2 * (creating ? frames.codeSize(record) : frames.inputSize(record)));
    const trace: CallTrace = {
      from: toHex(borrowed && parent !== undefined ? parent.self : frames.caller(record)),
      gas: quantity(gas),
      gasUsed: "0x0",
      to: toHex(borrowed ? frames.codeAccount(record) : self),
      // The top call's is printed from the message.
      input: isNeeded ? toHex(creating ? frames.code(record) : frames.input(record)) : "0x",
      type: opcodeOf(kind).name,
    };
    if (kind !== OP_STATICCALL) trace.value = quantity(frames.value(record));
    if (parent === undefined) this.#top = trace;
    else if (isListed) {
      parent.trace.calls ??= [];
      parent.trace.calls.push(trace);
    }
    this.#open.push({ trace, record, self, gas, logs: this.#logs.length });
  }

  #leave(kind: number, reason: number): void {
    const call = this.#open.pop();
    if (call === undefined) return;
    if (reason !== 0) this.#logs.length = call.logs;
    const gasLeft = this.#frames.gas(call.record);
    call.trace.gasUsed = quantity(call.gas - gasLeft);
    const isPrinted = this.#open.length === 0 || this.#config.onlyTopCall !== true;
    const output = isPrinted && (kind === -1 || reason === 0) ? this.#frames.returnData() : new Uint8Array(0);
    const error = reason === 0 ? undefined : haltText(reason, this.#op, this.#stackSize);
    finishCall(call.trace, error, reason === HALT_REVERT, output, this.#limits);
  }
}
