/**
 * Owns the server's means to trace: the engine that runs blocks up to where a trace begins and notes what the traced part
 * reads (untraced, on this thread, in short turns), and the thread that traces on those notes.
 */
import type { Log } from "../base/log.ts";
import type { Engine } from "../execution/execution.ts";
import type { TraceJob } from "../execution/wasm/tracing/trace-job.ts";
import { TraceThread } from "../execution/wasm/tracing/trace-thread.ts";
import { WasmEngine } from "../execution/wasm/wasm.ts";
import type { RpcConfig } from "./config.ts";
import { JsonText } from "./json-text.ts";

export class Tracing {
  readonly #config: RpcConfig;
  readonly #thread: TraceThread;
  #engine: Promise<WasmEngine> | undefined;

  /** `engine`: the chain's; another one is opened when that is not the one that traces. */
  constructor(engine: Engine, config: RpcConfig, log: Log) {
    this.#config = config;
    this.#thread = new TraceThread(log);
    if (engine instanceof WasmEngine) this.#engine = Promise.resolve(engine);
  }

  engine(): Promise<WasmEngine> {
    this.#engine ??= WasmEngine.create();
    return this.#engine;
  }

  /** @throws {TraceError} TRACE_TIMED_OUT, TRACE_TOO_LARGE, TRACE_THREAD_FAILED */
  async run(job: Omit<TraceJob, "sizeMaxBytes">): Promise<JsonText> {
    return new JsonText(await this.#thread.run({ ...job, sizeMaxBytes: this.#config.responseMaxBytes }));
  }

  close(): Promise<void> {
    return this.#thread.close();
  }
}
