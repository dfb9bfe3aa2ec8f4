/**
 * Owns traced runs: one transaction of a block or one call, under geth's default (struct), call or prestate tracer, on
 * the engine that runs everything else. Traced code is decoded apart (an instruction a block, a hook in front of each),
 * so untraced runs pay nothing. The state given is that before the transaction.
 * @see https://geth.ethereum.org/docs/developers/evm-tracing/built-in-tracers
 */
import { assert } from "../../../base/assert.ts";
import { toHex } from "../../../base/bytes.ts";
import type { StateWrites } from "../../../protocol/state-writes.ts";
import { decodeTransaction } from "../../../protocol/transaction-codec.ts";
import type { BlockEnv, CallInput, StateReader, TxInput } from "../../execution.ts";
import { HALT_REASONS, WasmIncluded } from "../result.ts";
import type { WasmEngine } from "../wasm.ts";
import { type CallTrace, CallTracer, type CallTracerConfig, finishCall } from "./call-tracer.ts";
import { FrameReader } from "./frames.ts";
import { type Accessed, type PrestateConfig, prestate, stateDiff } from "./prestate.ts";
import { type StructLog, StructTracer, type StructTracerConfig } from "./struct-tracer.ts";
import type { TraceLimits } from "./trace-limits.ts";

export type TraceRequest =
  | ({ readonly tracer?: undefined } & StructTracerConfig)
  | { readonly tracer: "callTracer"; readonly tracerConfig?: CallTracerConfig }
  | { readonly tracer: "prestateTracer"; readonly tracerConfig?: PrestateConfig };

export type StructTrace = { gas: number; failed: boolean; returnValue: string; structLogs: readonly StructLog[] };

/** A traced transaction: what the tracer prints, and what a block needs to go on. */
export type TracedTransaction = {
  readonly trace: unknown;
  readonly writes: StateWrites;
  readonly gasUsed: number;
  readonly logCount: number;
};

/** What a tracer needs to know of the message besides what the machine shows. */
type Message = {
  readonly from: Uint8Array;
  readonly to: Uint8Array | undefined;
  readonly valueWei: bigint;
  readonly gasLimit: bigint | number;
  readonly input: Uint8Array;
};

type Outcome = {
  readonly status: "success" | "revert" | "halt";
  /** In geth's words; of a failed one. */
  readonly error: string | undefined;
  readonly gasUsed: number;
  readonly output: Uint8Array;
  readonly contractAddress: Uint8Array | undefined;
  readonly accessed: () => Accessed;
  readonly writes: () => StateWrites;
};

/** What all traces of one question share. */
export type TraceContext = {
  readonly engine: WasmEngine;
  readonly env: BlockEnv;
  readonly request: TraceRequest;
  readonly limits: TraceLimits;
};

/**
 * Traces a transaction of a block, which is one that is included on `state`. `firstLogIndex`: how many logs the block
 * has before it; `gasAvailable`: what the block has left for it.
 * @returns what geth's debug_traceTransaction gives for the tracer, and the effects.
 * @throws {TraceError} TRACE_TIMED_OUT, TRACE_TOO_LARGE
 */
export function traceTransaction(
  context: TraceContext,
  tx: TxInput,
  state: StateReader,
  p: { readonly gasAvailable: number; readonly firstLogIndex: number },
): TracedTransaction {
  const { engine, env } = context;
  const decoded = decodeTransaction(tx.raw);
  const { to, valueWei, gasLimit, data } = decoded;
  const message: Message = { from: tx.sender, to, valueWei, gasLimit, input: data };
  let included: WasmIncluded | undefined;
  const trace = traced(context, message, state, p.firstLogIndex, (tracer) => {
    const [result] = engine.execute(env, [tx], state, p.gasAvailable, tracer === undefined ? {} : { tracer });
    assert(result instanceof WasmIncluded, "a transaction of a block is included when it runs again");
    included = result;
    const { record, status, gasUsed, output, contractAddress } = result;
    return {
      status: status === 1 ? "success" : record.reason === 1 ? "revert" : "halt",
      error: status === 1 ? undefined : HALT_REASONS[record.reason],
      gasUsed,
      output,
      contractAddress,
      accessed: () => record.accessed(),
      writes: () => result.writes,
    };
  });
  assert(included !== undefined, "it has run");
  return { trace, writes: included.writes, gasUsed: included.gasUsed, logCount: included.logs.length };
}

/** Traces a call; as debug_traceCall. @throws {TraceError} TRACE_TIMED_OUT, TRACE_TOO_LARGE */
export function traceCall(context: TraceContext, call: CallInput, state: StateReader): unknown {
  const { from, to, valueWei, gasLimit, data } = call;
  return traced(context, { from, to, valueWei, gasLimit, input: data }, state, 0, (tracer) => {
    const result = context.engine.callNow(context.env, call, state, tracer);
    return { ...result, accessed: () => result.accessed, writes: () => result.writes };
  });
}

function traced(
  { engine, request, limits }: TraceContext,
  message: Message,
  state: StateReader,
  firstLogIndex: number,
  run: (tracer: CallTracer | StructTracer | undefined) => Outcome,
): unknown {
  limits.checkTime();
  const frames = new FrameReader(engine.machine);
  if (request.tracer === "callTracer") {
    const tracer = new CallTracer(frames, request.tracerConfig ?? {}, limits);
    const outcome = run(tracer);
    tracer.numberLogs(firstLogIndex);
    return callTrace(message, outcome, tracer.top, limits);
  }
  if (request.tracer === "prestateTracer") {
    const outcome = run(undefined);
    const config = request.tracerConfig ?? {};
    return config.diffMode === true
      ? stateDiff(state, outcome.accessed(), outcome.writes(), config, limits)
      : prestate(state, outcome.accessed(), config, limits);
  }
  const tracer = new StructTracer(frames, request, limits);
  const outcome = run(tracer);
  limits.spend(2 * outcome.output.length);
  const trace: StructTrace = {
    gas: outcome.gasUsed,
    failed: outcome.status !== "success",
    returnValue: toHex(outcome.output),
    structLogs: tracer.logs,
  };
  return trace;
}

/** The top call with the gas of the whole transaction; made from the message when no code ran. */
function callTrace(message: Message, outcome: Outcome, seen: CallTrace | undefined, limits: TraceLimits): CallTrace {
  const to = message.to ?? outcome.contractAddress;
  limits.spend(300 + 2 * message.input.length);
  const top: CallTrace = {
    from: toHex(message.from),
    gas: `0x${message.gasLimit.toString(16)}`,
    gasUsed: `0x${outcome.gasUsed.toString(16)}`,
    ...(to === undefined ? {} : { to: toHex(to) }),
    input: toHex(message.input),
    type: message.to === undefined ? "CREATE" : "CALL",
  };
  const error = outcome.status === "success" ? undefined : (seen?.error ?? outcome.error ?? "failed");
  finishCall(top, error, outcome.status === "revert", outcome.output, limits);
  if (seen?.calls !== undefined) top.calls = seen.calls;
  if (seen?.logs !== undefined) top.logs = seen.logs;
  // Last, where geth has it.
  const { type, ...rest } = top;
  return { ...rest, value: `0x${message.valueWei.toString(16)}`, type };
}
