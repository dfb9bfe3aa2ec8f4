/**
 * Owns one question to the tracing thread: what to trace, on which recorded state, within which limits; and its answer
 * as JSON text, so that a large trace is never an object on the thread that serves clients.
 */
import { toHex } from "../../../base/bytes.ts";
import { keccak256 } from "../../../protocol/keccak.ts";
import { emptyWrites, mergeWrites } from "../../../protocol/state-writes.ts";
import type { BlockEnv, CallInput, TxInput } from "../../execution.ts";
import { OverlayReader } from "../../overlay.ts";
import { RecordedReader, type RecordedState } from "../../state-recording.ts";
import type { WasmEngine } from "../wasm.ts";
import { type TraceContext, type TraceRequest, traceCall, traceTransaction } from "./trace.ts";
import { TraceLimits } from "./trace-limits.ts";

export type TraceJob = {
  readonly request: TraceRequest;
  readonly env: BlockEnv;
  /** What the run reads; before the first transaction. */
  readonly state: RecordedState;
  readonly timeoutMs: number;
  readonly sizeMaxBytes: number;
  readonly subject:
    | { readonly kind: "call"; readonly call: CallInput }
    | {
        /** Consecutive ones of a block; `asBlock`: the answer is a list of them with their hashes, else the one trace. */
        readonly kind: "transactions";
        readonly txs: readonly TxInput[];
        readonly gasAvailable: number;
        readonly firstLogIndex: number;
        readonly asBlock: boolean;
      };
};

/** @throws {TraceError} TRACE_TIMED_OUT, TRACE_TOO_LARGE */
export function runTraceJob(engine: WasmEngine, job: TraceJob): string {
  const { request, env, subject } = job;
  const limits = new TraceLimits(job);
  const context: TraceContext = { engine, env, request, limits };
  const base = new RecordedReader(job.state);
  if (subject.kind === "call") return JSON.stringify(traceCall(context, subject.call, base));
  const writes = emptyWrites();
  const state = new OverlayReader(base, [writes]);
  let { gasAvailable, firstLogIndex } = subject;
  const parts: string[] = [];
  for (const tx of subject.txs) {
    const traced = traceTransaction(context, tx, state, { gasAvailable, firstLogIndex });
    mergeWrites(writes, traced.writes);
    gasAvailable -= traced.gasUsed;
    firstLogIndex += traced.logCount;
    const trace = JSON.stringify(traced.trace);
    parts.push(subject.asBlock ? `{"txHash":"${toHex(keccak256(tx.raw))}","result":${trace}}` : trace);
  }
  return subject.asBlock ? `[${parts.join(",")}]` : (parts[0] ?? "null");
}
