/**
 * Owns what a trace may take: time and bytes of answer, both counted while it runs, for a few instructions can be asked
 * to print megabytes. What goes beyond is stopped in the middle; the machine is fit for the next run (its `init`
 * forgets all).
 */
import { defineErrors } from "../../../base/error.ts";

export const traceError = defineErrors("Trace", {
  TRACE_TIMED_OUT: {
    summary: "A trace took longer than its time.",
    action: "Trace less (one transaction, a tracer that prints less) or raise SHEAF_RPC_TRACE_TIMEOUT_MS.",
    retryable: false,
  },
  TRACE_TOO_LARGE: {
    summary: "A trace, or the state it needs, is larger than an answer may be.",
    action: "Disable stack, memory or storage, set a limit, or trace single transactions.",
    retryable: false,
  },
  TRACE_THREAD_FAILED: {
    summary: "The tracing thread ended in the middle of a trace.",
    action: "Ask again; the cause is in the log.",
    retryable: true,
  },
});

/** Steps between two looks at the clock. */
const TICKS = 2_048;

export class TraceLimits {
  readonly #deadlineMs: number;
  readonly #timeoutMs: number;
  readonly #sizeMaxBytes: number;
  #sizeBytes = 0;
  #ticks = 0;

  constructor(p: { readonly timeoutMs: number; readonly sizeMaxBytes: number }) {
    this.#timeoutMs = p.timeoutMs;
    this.#deadlineMs = performance.now() + p.timeoutMs;
    this.#sizeMaxBytes = p.sizeMaxBytes;
  }

  /** Call once a step. @throws {TraceError} TRACE_TIMED_OUT */
  tick(): void {
    if (++this.#ticks < TICKS) return;
    this.#ticks = 0;
    this.checkTime();
  }

  /** @throws {TraceError} TRACE_TIMED_OUT */
  checkTime(): void {
    if (performance.now() > this.#deadlineMs)
      throw traceError("TRACE_TIMED_OUT", `execution timeout: the trace took more than ${this.#timeoutMs} ms`);
  }

  /** Counts bytes of answer before they are made. @throws {TraceError} TRACE_TOO_LARGE */
  spend(bytes: number): void {
    this.#sizeBytes += bytes;
    if (this.#sizeBytes > this.#sizeMaxBytes)
      throw traceError("TRACE_TOO_LARGE", `the trace is larger than ${this.#sizeMaxBytes} bytes`);
  }
}
