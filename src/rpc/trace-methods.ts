/**
 * Owns debug_trace*: what a transaction, the transactions of a block or a call did, step by step, call by call or as
 * changed state. A trace runs twice: here without a tracer, in short turns, to learn what it reads; then on the tracing
 * thread. Time, bytes of answer and the number of traces at work are limited.
 * @see https://github.com/ethereum/execution-apis (debug/trace.yaml)
 */
import type { RecordingReader } from "../execution/state-recording.ts";
import { WasmIncluded } from "../execution/wasm/result.ts";
import type { Accessed } from "../execution/wasm/tracing/prestate.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { encodeRlp, RlpReader } from "../protocol/rlp.ts";
import type { BlockBundle } from "./block-cache.ts";
import { findMined } from "./block-methods.ts";
import {
  type CallArgs,
  callArgs,
  callEnv,
  callGasPriceWei,
  callInput,
  overrideEnv,
  overrideState,
} from "./call-args.ts";
import { gasOf, onOneVersion } from "./call-methods.ts";
import { invalidParams, RpcError } from "./errors.ts";
import type { JsonText } from "./json-text.ts";
import { type Method, method } from "./method.ts";
import { type BlockRef, blockNumberOrTag, blockRef, data, hash, LATEST, optional, required } from "./params.ts";
import { BlockReplay, recording } from "./replay.ts";
import { requireBlock } from "./resolve.ts";
import type { Services } from "./services.ts";
import {
  DEFAULT_CALL_TRACE,
  DEFAULT_TRACE,
  type TraceCallConfig,
  type TraceConfig,
  traceCallConfig,
  traceConfig,
} from "./trace-config.ts";

/** More than any header has. */
const HEADER_FIELDS_MAX = 64;

/** A request must be answered after its trace ended, not before. */
function deadlineOf(s: Services, config: TraceConfig): { timeoutMs: number; endMs: number } {
  const timeoutMs = Math.min(config.timeoutMs ?? s.config.traceTimeoutMs, s.config.traceTimeoutMs);
  return { timeoutMs, endMs: s.clock.nowMs() + timeoutMs };
}

/** What is left of the time. @throws {RpcError} TIMED_OUT */
function timeLeftMs(s: Services, { timeoutMs, endMs }: { timeoutMs: number; endMs: number }): number {
  const leftMs = endMs - s.clock.nowMs();
  if (leftMs <= 0) throw new RpcError("TIMED_OUT", `execution timeout: the trace took more than ${timeoutMs} ms`);
  return leftMs;
}

/** The prestate tracer prints also what was only named (access lists), so that is noted too. */
function recordNamed(recorder: RecordingReader, accessed: Accessed): void {
  for (const { address, slots } of accessed) {
    recorder.account(address);
    for (const slot of slots) recorder.storage(address, slot);
  }
}

/** Traces the transactions `from` to, and without, `end` of a stored block. */
async function traceStored(
  s: Services,
  bundle: BlockBundle,
  p: { readonly from: number; readonly end: number; readonly asBlock: boolean },
  config: TraceConfig,
): Promise<JsonText> {
  const time = deadlineOf(s, config);
  const replay = await BlockReplay.begin(s, bundle, time.endMs);
  await replay.runTo(p.from);
  const { env, gasAvailable } = replay;
  const recorder = replay.record();
  await replay.runTo(p.end, (result) => {
    if (result instanceof WasmIncluded && config.request.tracer === "prestateTracer")
      recordNamed(recorder, result.record.accessed());
  });
  return s.tracing.run({
    request: config.request,
    env,
    state: recorder.recorded(),
    timeoutMs: timeLeftMs(s, time),
    subject: {
      kind: "transactions",
      txs: replay.inputs(p.from, p.end),
      gasAvailable,
      firstLogIndex: bundle.firstLogs[p.from] ?? 0,
      asBlock: p.asBlock,
    },
  });
}

function traceBlock(s: Services, bundle: BlockBundle, config: TraceConfig): Promise<JsonText> {
  return traceStored(s, bundle, { from: 0, end: bundle.block.transactions.length, asBlock: true }, config);
}

function traceTransaction(s: Services, transactionHash: Uint8Array, config: TraceConfig): Promise<JsonText> {
  const mined = findMined(s, transactionHash);
  if (mined === undefined) throw new RpcError("RESOURCE_NOT_FOUND", "transaction not found");
  const { bundle, index } = mined;
  return traceStored(s, bundle, { from: index, end: index + 1, asBlock: false }, config);
}

/** The block of this chain that these bytes are. Others have no place to be run. */
function blockOfBytes(s: Services, bytes: Uint8Array): BlockBundle {
  const fields: Uint8Array[] = [];
  try {
    const reader = new RlpReader(bytes);
    reader.enter();
    reader.enter();
    while (!reader.isAtEnd && fields.length < HEADER_FIELDS_MAX) fields.push(reader.string());
  } catch {
    throw invalidParams("could not decode block: rlp: want a list that starts with a header");
  }
  return requireBlock(s, { hash: keccak256(encodeRlp(fields)), requireCanonical: true });
}

async function traceCall(s: Services, args: CallArgs, ref: BlockRef, config: TraceCallConfig): Promise<JsonText> {
  const time = deadlineOf(s, config);
  const engine = await s.tracing.engine();
  const replay = config.txIndex === undefined ? undefined : await replayTo(s, ref, config.txIndex, time.endMs);
  const job = await onOneVersion(s, ref, args, { accounts: [], block: undefined }, (context) => {
    const gasPriceWei = callGasPriceWei(args, overrideEnv(context.env, config.block));
    const env = callEnv(overrideEnv(context.env, config.block), gasPriceWei);
    const call = callInput(args, gasOf(s, args), gasPriceWei, timeLeftMs(s, time));
    const recorder = recording(overrideState(replay?.state ?? context.state, config.accounts));
    const result = engine.callNow(env, call, recorder);
    // What could not begin has no trace.
    if (result.status === "halt" && (result.gasUsed === 0 || result.error === "insufficient balance for transfer"))
      throw new RpcError("SERVER_ERROR", `tracing failed: ${result.error ?? "execution failed"}`);
    if (config.request.tracer === "prestateTracer") recordNamed(recorder, result.accessed);
    return Promise.resolve({ env, state: recorder.recorded(), subject: { kind: "call", call } as const });
  });
  return s.tracing.run({ ...job, request: config.request, timeoutMs: timeLeftMs(s, time) });
}

async function replayTo(s: Services, ref: BlockRef, index: number, endMs: number): Promise<BlockReplay> {
  const bundle = requireBlock(s, ref);
  const count = bundle.block.transactions.length;
  if (index > count)
    throw invalidParams(`invalid txIndex: block ${bundle.number} has ${count} transactions, have ${index}`);
  const replay = await BlockReplay.begin(s, bundle, endMs);
  await replay.runTo(index);
  return replay;
}

const CONFIG = optional("config", traceConfig, DEFAULT_TRACE);
const RESULT = "Trace of the tracer in `config`";

export const TRACE_METHODS: readonly Method[] = [
  method({
    name: "debug_traceTransaction",
    summary:
      "Runs a mined transaction again, after those before it in its block, and gives its trace: opcode logs, " +
      "or with `tracer` callTracer (onlyTopCall, withLog) or prestateTracer (diffMode, disableCode, disableStorage, includeEmpty).",
    params: [required("transactionHash", hash), CONFIG],
    result: RESULT,
    cost: "trace",
    run: (s, [transactionHash, config]) => traceTransaction(s, transactionHash, config),
  }),
  method({
    name: "debug_traceCall",
    summary:
      "Traces a message as eth_call runs it; `config` may also hold stateOverrides, blockOverrides and txIndex " +
      "(the state before that transaction of the block).",
    params: [
      required("transaction", callArgs),
      optional("block", blockRef, LATEST),
      optional("config", traceCallConfig, DEFAULT_CALL_TRACE),
    ],
    result: RESULT,
    cost: "trace",
    run: (s, [args, ref, config]) => traceCall(s, args, ref, config),
  }),
  method({
    name: "debug_traceBlockByNumber",
    summary: "Traces of all transactions of a block, deposits among them.",
    params: [required("block", blockNumberOrTag), CONFIG],
    result: "Array of {txHash, result}",
    cost: "trace",
    run: (s, [ref, config]) => traceBlock(s, requireBlock(s, ref), config),
  }),
  method({
    name: "debug_traceBlockByHash",
    summary: "Traces of all transactions of a block, deposits among them.",
    params: [required("blockHash", hash), CONFIG],
    result: "Array of {txHash, result}",
    cost: "trace",
    run: (s, [blockHash, config]) =>
      traceBlock(s, requireBlock(s, { hash: blockHash, requireCanonical: true }), config),
  }),
  method({
    name: "debug_traceBlock",
    summary: "Traces of all transactions of a block given as RLP (debug_getRawBlock); it must be one of this chain.",
    params: [required("block", data), CONFIG],
    result: "Array of {txHash, result}",
    cost: "trace",
    run: (s, [bytes, config]) => traceBlock(s, blockOfBytes(s, bytes), config),
  }),
];
