/**
 * Owns traced runs: one transaction of a block or one call, under geth's default (struct), call or prestate tracer, on
 * the engine that runs everything else. Traced code is decoded apart (an instruction a block, a hook in front of each),
 * so untraced runs pay nothing. The state given is that before the transaction.
 * @see https://geth.ethereum.org/docs/developers/evm-tracing/built-in-tracers
 */
import { assert } from "../../../base/assert.ts";
import { toHex } from "../../../base/bytes.ts";
import type { BlockEnv, CallInput, CallResult, StateReader, TxInput } from "../../execution.ts";
import type { WasmIncluded } from "../result.ts";
import type { WasmEngine } from "../wasm.ts";
import { type CallTrace, CallTracer, type CallTracerConfig, finishCall } from "./call-tracer.ts";
import { FrameReader } from "./frames.ts";
import { type PrestateConfig, prestate, stateDiff } from "./prestate.ts";
import { type StructLog, StructTracer, type StructTracerConfig } from "./struct-tracer.ts";

export type TraceRequest =
  | ({ readonly tracer?: undefined } & StructTracerConfig)
  | { readonly tracer: "callTracer"; readonly tracerConfig?: CallTracerConfig }
  | { readonly tracer: "prestateTracer"; readonly tracerConfig?: PrestateConfig };

export type StructTrace = { gas: number; failed: boolean; returnValue: string; structLogs: readonly StructLog[] };

/** What a tracer needs to know of the message besides what the machine shows. */
type Message = {
  readonly from: Uint8Array;
  readonly to: Uint8Array | undefined;
  readonly valueWei: bigint;
  readonly gasLimit: number;
  readonly input: Uint8Array;
};

type Outcome = {
  readonly status: "success" | "revert" | "halt";
  /** The VM's number of the halt reason. */
  readonly reason: number;
  readonly gasUsed: number;
  readonly output: Uint8Array;
  readonly contractAddress: Uint8Array | undefined;
  readonly accessed: CallResult["accessed"];
  readonly writes: () => CallResult["writes"];
};

/**
 * Traces `tx`, which must be one that a block includes. `message` are its decoded fields.
 * @returns what geth's debug_traceTransaction gives for the tracer.
 */
export function traceTransaction(
  engine: WasmEngine,
  env: BlockEnv,
  tx: TxInput,
  message: Message,
  state: StateReader,
  request: TraceRequest,
): unknown {
  return traced(engine, message, state, request, (tracer) => {
    const [result] = engine.execute(env, [tx], state, env.gasLimit, tracer === undefined ? {} : { tracer });
    assert(result?.included === true, "a transaction of a block is included when it runs again");
    const { record, status, gasUsed, output, contractAddress, writes } = result as WasmIncluded;
    return {
      status: status === 1 ? "success" : record.reason === 1 ? "revert" : "halt",
      reason: status === 1 ? 0 : record.reason,
      gasUsed,
      output,
      contractAddress,
      accessed: record.accessed(),
      writes: () => writes,
    };
  });
}

/** Traces a call; as debug_traceCall. */
export function traceCall(
  engine: WasmEngine,
  env: BlockEnv,
  call: CallInput,
  state: StateReader,
  request: TraceRequest,
): unknown {
  const { from, to, valueWei, gasLimit, data } = call;
  return traced(engine, { from, to, valueWei, gasLimit, input: data }, state, request, (tracer) => {
    const result = engine.callNow(env, call, state, tracer);
    const { status, gasUsed, output, contractAddress, accessed, writes } = result;
    const reason = status === "success" ? 0 : status === "revert" ? 1 : 2;
    return { status, reason, gasUsed, output, contractAddress, accessed, writes: () => writes };
  });
}

function traced(
  engine: WasmEngine,
  message: Message,
  state: StateReader,
  request: TraceRequest,
  run: (tracer: CallTracer | StructTracer | undefined) => Outcome,
): unknown {
  const frames = new FrameReader(engine.machine);
  if (request.tracer === "callTracer") {
    const tracer = new CallTracer(frames, request.tracerConfig ?? {});
    return callTrace(message, run(tracer), tracer.top);
  }
  if (request.tracer === "prestateTracer") {
    const outcome = run(undefined);
    const config = request.tracerConfig ?? {};
    return config.diffMode === true
      ? stateDiff(state, outcome.accessed, outcome.writes(), config)
      : prestate(state, outcome.accessed, config);
  }
  const tracer = new StructTracer(frames, request);
  const outcome = run(tracer);
  const trace: StructTrace = {
    gas: outcome.gasUsed,
    failed: outcome.status !== "success",
    returnValue: toHex(outcome.output),
    structLogs: tracer.logs,
  };
  return trace;
}

/** The top call with the gas of the whole transaction; made from the message when no code ran. */
function callTrace(message: Message, outcome: Outcome, seen: CallTrace | undefined): CallTrace {
  const created = outcome.contractAddress;
  const to = message.to ?? created;
  const top: CallTrace = {
    type: message.to === undefined ? "CREATE" : "CALL",
    from: toHex(message.from),
    ...(to === undefined ? {} : { to: toHex(to) }),
    value: `0x${message.valueWei.toString(16)}`,
    gas: `0x${message.gasLimit.toString(16)}`,
    gasUsed: `0x${outcome.gasUsed.toString(16)}`,
    input: toHex(message.input),
    ...(seen?.calls === undefined ? {} : { calls: seen.calls }),
    ...(seen?.logs === undefined ? {} : { logs: seen.logs }),
  };
  finishCall(top, outcome.reason, outcome.output);
  if (seen?.error !== undefined) top.error = seen.error;
  return top;
}
