/** Owns the choice of execution engine: by name, one table. The first one is the default. */
import { type ConfigOf, defineConfig, oneOf } from "../base/config.ts";
import { EthereumjsEngine } from "./ethereumjs-engine.ts";
import type { Engine } from "./execution.ts";
import { WasmEngine } from "./wasm/wasm.ts";

export const ENGINES = ["wasm", "ethereumjs"] as const;
export type EngineName = (typeof ENGINES)[number];

export const engineConfig = defineConfig("node", {
  engine: oneOf("SHEAF_ENGINE", ENGINES, {
    default: "wasm",
    help: "Which engine executes transactions: Sheaf's own in WebAssembly, or the independent one.",
  }),
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
