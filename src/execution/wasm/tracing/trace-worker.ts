/** Entry of the tracing thread: a job in, its JSON text or the code of its failure out, one at a time. */
import { parentPort } from "node:worker_threads";
import { assert } from "../../../base/assert.ts";
import { CodedError } from "../../../base/error.ts";
import { WasmEngine } from "../wasm.ts";
import { runTraceJob, type TraceJob } from "./trace-job.ts";
import type { TraceAnswer } from "./trace-thread.ts";

assert(parentPort !== null, "the tracing worker runs as a worker");
const port = parentPort;
const engine = await WasmEngine.create();

function answerOf(job: TraceJob): TraceAnswer {
  try {
    return { kind: "trace", json: runTraceJob(engine, job) };
  } catch (error) {
    if (error instanceof CodedError)
      return { kind: "refused", code: error.code, message: error.message.slice(error.code.length + 2) };
    return { kind: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

port.on("message", (job: TraceJob) => port.postMessage(answerOf(job)));
port.postMessage({ kind: "ready" } satisfies TraceAnswer);
