/**
 * Owns the thread on which traces run, so that whatever a stranger asks to be traced, blocks and other requests go on:
 * started when first needed, ended when idle, one job at a time. A job ends itself at its limits; a thread that does not
 * answer some time after them, or runs out of its own memory, is ended and the next job gets a new one.
 */
import type { Worker } from "node:worker_threads";
import { assert } from "../../../base/assert.ts";
import type { Log } from "../../../base/log.ts";
import { startWorker } from "../../../base/worker.ts";
import type { TraceJob } from "./trace-job.ts";
import { traceError } from "./trace-limits.ts";

export type TraceAnswer =
  | { readonly kind: "ready" }
  | { readonly kind: "trace"; readonly json: string }
  /** One of the codes of `traceError`. */
  | { readonly kind: "refused"; readonly code: string; readonly message: string }
  | { readonly kind: "failed"; readonly message: string };

type Pending = {
  readonly job: TraceJob;
  readonly resolve: (json: string) => void;
  readonly reject: (error: Error) => void;
};

/** What a job may take beyond its time: between two looks at the clock, and to print. */
const GRACE_MS = 10_000;
const IDLE_MS = 60_000;
/** Loading takes a second on an idle machine. */
const START_MAX_MS = 60_000;
/** Objects of a trace take several times the bytes they print. */
const HEAP_MAX_MB = 1_024;

export class TraceThread {
  readonly #log: Log;
  readonly #waiting: Pending[] = [];
  #worker: Worker | undefined;
  #isReady = false;
  #running: Pending | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The trace as JSON. @throws {TraceError} TRACE_TIMED_OUT, TRACE_TOO_LARGE, TRACE_THREAD_FAILED */
  run(job: TraceJob): Promise<string> {
    assert(!this.#closed, "a closed thread takes no jobs");
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      this.#next();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#end("the tracing thread was closed");
  }

  #next(): void {
    if (this.#running !== undefined) return;
    clearTimeout(this.#timer);
    if (this.#waiting.length === 0) {
      this.#timer = setTimeout(() => void this.#end("idle"), IDLE_MS).unref();
      return;
    }
    if (this.#worker === undefined) this.#start();
    if (!this.#isReady) {
      this.#timer = setTimeout(() => void this.#end("the tracing thread did not start"), START_MAX_MS).unref();
      return;
    }
    const pending = this.#waiting.shift() as Pending;
    this.#running = pending;
    this.#timer = setTimeout(() => void this.#end("a trace did not end"), pending.job.timeoutMs + GRACE_MS).unref();
    this.#worker?.postMessage(pending.job);
  }

  #start(): void {
    const worker = startWorker(new URL("./trace-worker.ts", import.meta.url), {
      name: "trace",
      background: true,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MB },
    });
    this.#worker = worker;
    worker.on("message", (answer: TraceAnswer) => {
      if (this.#worker === worker) this.#answered(answer);
    });
    const failed = (error: Error): void => {
      if (this.#worker !== worker) return;
      this.#log.error("tracing thread failed", { err: error });
      void this.#end(error.message);
    };
    worker.on("error", failed);
    worker.on("exit", () => failed(new Error("the tracing thread ended")));
  }

  #answered(answer: TraceAnswer): void {
    if (answer.kind === "ready") {
      this.#isReady = true;
      this.#next();
      return;
    }
    const pending = this.#running;
    assert(pending !== undefined, "the tracing thread answers what it was asked");
    this.#running = undefined;
    if (answer.kind === "trace") pending.resolve(answer.json);
    else if (answer.kind === "refused" && answer.code === "TRACE_TOO_LARGE")
      pending.reject(traceError("TRACE_TOO_LARGE", answer.message));
    else if (answer.kind === "refused" && answer.code === "TRACE_TIMED_OUT")
      pending.reject(traceError("TRACE_TIMED_OUT", answer.message));
    else pending.reject(new Error(`a trace failed: ${answer.message}`));
    this.#next();
  }

  /** Ends the thread. What runs on it fails, and so does what waits when it never got ready; the rest gets a new one. */
  async #end(reason: string): Promise<void> {
    clearTimeout(this.#timer);
    const worker = this.#worker;
    const lost = this.#running === undefined ? [] : [this.#running];
    if (!this.#isReady || this.#closed) lost.push(...this.#waiting.splice(0));
    this.#worker = undefined;
    this.#isReady = false;
    this.#running = undefined;
    for (const pending of lost) pending.reject(traceError("TRACE_THREAD_FAILED", reason));
    if (this.#waiting.length > 0) this.#next();
    await worker?.terminate();
  }
}
