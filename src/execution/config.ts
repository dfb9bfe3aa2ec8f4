/** Owns the settings of engines: which one executes, and over how many executors and key shards its work is spread. */
import { type ConfigOf, defineConfig, int, oneOf } from "../base/config.ts";

export const ENGINES = ["wasm", "ethereumjs"] as const;
export type EngineName = (typeof ENGINES)[number];

export const engineConfig = defineConfig("execution", {
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

export type EngineConfig = ConfigOf<typeof engineConfig>;
