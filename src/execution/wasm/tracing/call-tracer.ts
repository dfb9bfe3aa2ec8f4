/** Owns geth's callTracer: the tree of calls of a transaction. */
import { toHex } from "../../../base/bytes.ts";
import type { MachineTracer } from "../machine.ts";
import { HALT_REASONS } from "../result.ts";
import {
  type FrameReader,
  OP_CALL,
  OP_CALLCODE,
  OP_CREATE,
  OP_CREATE2,
  OP_DELEGATECALL,
  OP_SELFDESTRUCT,
  OP_STATICCALL,
} from "./frames.ts";

export type CallLog = { address: string; topics: string[]; data: string; position: string };

export type CallTrace = {
  type: string;
  from: string;
  to?: string;
  value?: string;
  gas: string;
  gasUsed: string;
  input: string;
  output?: string;
  error?: string;
  revertReason?: string;
  calls?: CallTrace[];
  logs?: CallLog[];
};

export type CallTracerConfig = { readonly onlyTopCall?: boolean; readonly withLog?: boolean };

const quantity = (value: bigint | number): string => `0x${value.toString(16)}`;
const NAMES: Readonly<Record<number, string>> = {
  [OP_CALL]: "CALL",
  [OP_CALLCODE]: "CALLCODE",
  [OP_DELEGATECALL]: "DELEGATECALL",
  [OP_STATICCALL]: "STATICCALL",
  [OP_CREATE]: "CREATE",
  [OP_CREATE2]: "CREATE2",
};
/** Error(string) */
const ERROR_SELECTOR = "0x08c379a0";

/** A failed call's logs never were, nor those below it. */
function dropLogs(trace: CallTrace): void {
  delete trace.logs;
  for (const call of trace.calls ?? []) dropLogs(call);
}

/** Error, output and reason of an ended call, in place. */
export function finishCall(trace: CallTrace, reason: number, output: Uint8Array): void {
  if (reason === 0) {
    if (output.length > 0) trace.output = toHex(output);
    return;
  }
  dropLogs(trace);
  trace.error = HALT_REASONS[reason] ?? "failed";
  if (trace.type.startsWith("CREATE")) delete trace.to;
  if (reason !== 1 || output.length === 0) return;
  trace.output = toHex(output);
  const text = revertText(output);
  if (text !== undefined) trace.revertReason = text;
}

/** The string of a revert with Error(string); undefined when it is none. */
function revertText(output: Uint8Array): string | undefined {
  if (output.length < 68 || toHex(output.subarray(0, 4)) !== ERROR_SELECTOR) return undefined;
  const view = new DataView(output.buffer, output.byteOffset, output.length);
  const length = view.getUint32(64);
  if (68 + length > output.length) return undefined;
  return new TextDecoder().decode(output.subarray(68, 68 + length));
}

export class CallTracer implements MachineTracer {
  readonly #frames: FrameReader;
  readonly #config: CallTracerConfig;
  /** Open calls, the top of the transaction first; undefined until code runs. */
  readonly #open: { trace: CallTrace; record: number; self: Uint8Array; gas: bigint }[] = [];
  #top: CallTrace | undefined;

  constructor(frames: FrameReader, config: CallTracerConfig) {
    this.#frames = frames;
    this.#config = config;
  }

  /** The top call as the machine saw it; undefined when no code ran. */
  get top(): CallTrace | undefined {
    return this.#top;
  }

  step(frame: number, _pc: number, op: number, _gas: bigint, sp: number): void {
    if (this.#config.withLog !== true || op < 0xa0 || op > 0xa4) return;
    const current = this.#open.at(-1);
    const topicCount = op - 0xa0;
    if (current === undefined || this.#frames.stackSize(frame, sp) < 2 + topicCount) return;
    const offset = this.#frames.wordNumber(sp);
    const length = this.#frames.wordNumber(sp + 32);
    // A log of such a size runs out of gas.
    if (length > 1 << 24 || offset > 2 ** 31) return;
    current.trace.logs ??= [];
    current.trace.logs.push({
      address: toHex(current.self),
      topics: Array.from({ length: topicCount }, (_, i) => toHex(this.#frames.wordBytes(sp + 64 + i * 32))),
      data: toHex(this.#frames.memorySlice(frame, offset, length)),
      position: quantity(current.trace.calls?.length ?? 0),
    });
  }

  frame(kind: number, _depth: number, record: number): void {
    if (kind === -1 || kind === -2) {
      this.#leave(kind, record);
      return;
    }
    const frames = this.#frames;
    const parent = this.#open.at(-1);
    if (kind === OP_SELFDESTRUCT) {
      if (parent === undefined || this.#config.onlyTopCall === true) return;
      parent.trace.calls ??= [];
      parent.trace.calls.push({
        type: "SELFDESTRUCT",
        from: toHex(parent.self),
        to: toHex(frames.self(record)),
        value: quantity(frames.value(record)),
        gas: "0x0",
        gasUsed: "0x0",
        input: "0x",
      });
      return;
    }
    const creating = kind === OP_CREATE || kind === OP_CREATE2;
    const self = frames.self(record);
    const gas = frames.gas(record);
    const borrowed = kind === OP_DELEGATECALL || kind === OP_CALLCODE;
    const trace: CallTrace = {
      type: NAMES[kind] ?? "CALL",
      from: toHex(borrowed && parent !== undefined ? parent.self : frames.caller(record)),
      to: toHex(borrowed ? frames.codeAccount(record) : self),
      gas: quantity(gas),
      gasUsed: "0x0",
      input: toHex(creating ? frames.code(record) : frames.input(record)),
    };
    if (kind !== OP_STATICCALL) trace.value = quantity(frames.value(record));
    if (parent === undefined) this.#top = trace;
    else if (this.#config.onlyTopCall !== true) {
      parent.trace.calls ??= [];
      parent.trace.calls.push(trace);
    }
    this.#open.push({ trace, record, self, gas });
  }

  #leave(kind: number, reason: number): void {
    const call = this.#open.pop();
    if (call === undefined) return;
    const gasLeft = this.#frames.gas(call.record);
    call.trace.gasUsed = quantity(call.gas - gasLeft);
    const output = kind === -1 || reason === 0 ? this.#frames.returnData() : new Uint8Array(0);
    finishCall(call.trace, reason, output);
  }
}
