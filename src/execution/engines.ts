/**
 * Owns the choice of execution engine: by name, one table, the first one is the default; and over how many executors its
 * work is spread. One executor is the plain engine.
 */
import { type ConfigOf, defineConfig, int, oneOf } from "../base/config.ts";
import { defineErrors } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { OpenLink } from "../link/link.ts";
import { EthereumjsEngine } from "./ethereumjs-engine.ts";
import type { Engine } from "./execution.ts";
import { executorProcess, executorThread } from "./sharded/executor-links.ts";
import { shardedMetrics } from "./sharded/metrics.ts";
import { shardProcess, shardThread } from "./sharded/shard-links.ts";
import { ShardedEngine } from "./sharded/sharded-engine.ts";
import { WasmEngine } from "./wasm/wasm.ts";

export const ENGINES = ["wasm", "ethereumjs"] as const;
export type EngineName = (typeof ENGINES)[number];

export const engineConfig = defineConfig("node", {
  engine: oneOf("SHEAF_ENGINE", ENGINES, {
    default: "wasm",
    help: "Which engine executes transactions: Sheaf's own in WebAssembly, or the independent one.",
  }),
  executors: int("SHEAF_EXECUTORS", {
    default: 1,
    min: 1,
    max: 64,
    help: "Executors that share the transactions of a cut where that is faster. 1: none beside the node. Needs the wasm engine.",
  }),
  executorsIn: oneOf("SHEAF_EXECUTORS_IN", ["threads", "processes"], {
    default: "threads",
    help: "Where several executors run: in threads of the node, or in processes of their own over sockets.",
  }),
  keyShards: int("SHEAF_KEY_SHARDS", {
    default: 1,
    min: 1,
    max: 256,
    help: "Key shards that hold the state by ranges of keccak(address), each in a database of its own; with several executors they also validate results separately. 1: the state is in the node's database, and it moves there, or from there, when the node starts. Among several, the state moves while the node runs.",
  }),
  keyShardsIn: oneOf("SHEAF_KEY_SHARDS_IN", ["here", "threads", "processes"], {
    default: "here",
    help: "Where several key shards run, for the state and for validation: in the node's own thread, in threads of it, or in processes of their own over sockets.",
  }),
});

export const engineError = defineErrors("Engine", {
  ENGINE_NOT_SPECULATIVE: {
    summary: "Several executors need an engine that reports what its results depend on.",
    action: "Use the wasm engine, or one executor.",
    retryable: false,
  },
});

export type EngineConfig = ConfigOf<typeof engineConfig>;

const FACTORIES: Readonly<Record<EngineName, () => Promise<Engine>>> = {
  wasm: () => WasmEngine.create(),
  ethereumjs: () => Promise.resolve(new EthereumjsEngine()),
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
