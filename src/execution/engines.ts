/**
 * Owns the choice of execution engine: by name, one table, the first one is the default; and over how many executors its
 * work is spread. One executor is the plain engine.
 */
import { defineErrors } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { OpenLink } from "../link/link.ts";
import type { EngineConfig, EngineName } from "./config.ts";
import type { Engine } from "./execution.ts";
import { executorProcess, executorThread } from "./sharded/executor-links.ts";
import { shardedMetrics } from "./sharded/metrics.ts";
import { shardProcess, shardThread } from "./sharded/shard-links.ts";
import { ShardedEngine } from "./sharded/sharded-engine.ts";
import { WasmEngine } from "./wasm/wasm.ts";

export const engineError = defineErrors("Engine", {
  ENGINE_NOT_SPECULATIVE: {
    summary: "Several executors need an engine that reports what its results depend on.",
    action: "Use the wasm engine, or one executor.",
    retryable: false,
  },
});

// Loaded when it is wanted: two hundred modules of libraries that a process with the other engine does without.
const ethereumjs = async (): Promise<Engine> => new (await import("./ethereumjs-engine.ts")).EthereumjsEngine();

const FACTORIES: Readonly<Record<EngineName, () => Promise<Engine>>> = {
  wasm: () => WasmEngine.create(),
  ethereumjs,
};

/** The engine that checks the one of this name. */
export function otherEngine(name: EngineName): EngineName {
  return name === "wasm" ? "ethereumjs" : "wasm";
}

/** Opens the engine of this name. */
export function createEngine(name: EngineName): Promise<Engine> {
  return FACTORIES[name]();
}

/**
 * Opens the engine of this configuration, over executors when there are several; `log` and `metrics` are theirs.
 * @throws {EngineError} ENGINE_NOT_SPECULATIVE
 */
export async function openEngine(
  config: EngineConfig,
  p: {
    readonly log: Log;
    readonly metrics: Metrics;
    readonly create?: typeof createEngine | undefined;
    /** Starts executors that read the state themselves; without it they ask for it. */
    readonly openExecutor?: (where: EngineConfig["executorsIn"]) => OpenLink;
    /** Executors will come by themselves: it can {@link ShardedEngine.admit} them. */
    readonly guests?: boolean;
  },
): Promise<Engine> {
  const { executorsIn, keyShards, keyShardsIn } = config;
  const executors = config.executors === 1 ? 0 : config.executors;
  const engine = await (p.create ?? createEngine)(config.engine);
  if (executors === 0 && p.guests !== true) return engine;
  if (!(engine instanceof WasmEngine)) {
    await engine.close();
    throw engineError("ENGINE_NOT_SPECULATIVE", `engine ${config.engine} cannot run on several executors`, {
      executors: config.executors,
    });
  }
  const link = p.openExecutor?.(executorsIn) ?? (executorsIn === "threads" ? executorThread : executorProcess);
  return new ShardedEngine(engine, {
    links: Array.from({ length: executors }, () => link),
    areReading: p.openExecutor !== undefined,
    shards:
      keyShardsIn === "here"
        ? keyShards
        : Array.from({ length: keyShards }, () => (keyShardsIn === "threads" ? shardThread : shardProcess)),
    log: p.log.child({ role: "executor" }),
    metrics: shardedMetrics(p.metrics.withLabels({ role: "executor" })),
  });
}
