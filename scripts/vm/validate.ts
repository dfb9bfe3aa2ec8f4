/**
 * Owns the rules a provable module keeps (DESIGN D5): integers only, one memory of a fixed and bounded size, no tables
 * and no indirect calls, no threads, SIMD, references, exceptions or tail calls, no start function, no imports but the
 * host's with their types, no exports but the machine's. A white list of instructions, so whatever a new compiler may
 * emit is refused until somebody looks at it. Recursion is refused too: the native stack is no part of the machine.
 * memory.copy and memory.fill are the only instructions that touch more than a word; a proven build is compiled without
 * them (--disable bulk-memory), everything else is a step as it stands.
 */
import type binaryen from "binaryen";

/** Instructions besides those of the i32. and i64. families. */
const PLAIN = new Set(
  "block loop if then else br br_if br_table call return drop select nop unreachable local.get local.set local.tee global.get global.set memory.copy memory.fill".split(
    " ",
  ),
);
/** Of the i32. and i64. families: what computes on integers or moves them to and from memory. */
const INTEGER = new RegExp(
  `^i(32|64)\\.(${[
    "const|eqz?|ne|[lg][te]_[su]|clz|ctz|popcnt",
    "add|sub|mul|div_[su]|rem_[su]|and|or|xor|shl|shr_[su]|rotl|rotr",
    "load(8|16|32)?(_[su])?|store(8|16|32)?|wrap_i64|extend_i32_[su]|extend(8|16|32)_s",
  ].join("|")})$`,
);
const STRUCTURE = new Set(
  "module type func param result local memory data export import global mut i32 i64 rec sub final".split(" "),
);
/** Name → type of what the host answers (vm/src/host.ts). */
const IMPORTS: Readonly<Record<string, string>> = {
  account: "(i32 i32) i32",
  storage: "(i32 i32 i32) i32",
  code: "(i32 i32 i32) i32",
  blockHash: "(i64 i32) i32",
  precompile: "(i32 i32 i32 i32) i32",
  trace: "(i32 i32 i32 i64 i32 i32 i32 i64)",
  traceFrame: "(i32 i32 i32)",
};
const EXPORTS = new Set(
  "memory init next resume batch net netEnd finish environmentAt inputAt outputAt returnDataAt returnDataSize".split(
    " ",
  ),
);
/** 1 GiB. */
const MEMORY_PAGES_MAX = 16_384;

/** What is wrong with a module, in words; empty when it can be proven. */
export async function validateModule(wasm: Uint8Array): Promise<string[]> {
  const { default: tool } = await import("binaryen");
  let module: binaryen.Module;
  try {
    module = tool.readBinary(wasm);
  } catch (error) {
    return [`not a WebAssembly module: ${error instanceof Error ? error.message : String(error)}`];
  }
  try {
    const text = module.emitText();
    return [...wordFaults(text), ...memoryFaults(module, text), ...boundaryFaults(text), ...recursionFaults(text)];
  } finally {
    module.dispose();
  }
}

/** Words after an opening parenthesis that no rule allows, each once. */
function wordFaults(text: string): string[] {
  const faults = new Set<string>();
  for (const [, word] of text.replace(/"(?:[^"\\]|\\.)*"/g, '""').matchAll(/\(([a-z0-9_.]+)/g))
    if (word !== undefined && !PLAIN.has(word) && !STRUCTURE.has(word) && !INTEGER.test(word))
      faults.add(`instruction or section not allowed: ${word}`);
  for (const [type] of text.matchAll(/\b(f32|f64|v128|funcref|externref|anyref)\b/g))
    faults.add(`type not allowed: ${type}`);
  return [...faults];
}

function memoryFaults(module: binaryen.Module, text: string): string[] {
  const count = [...text.matchAll(/^ \(memory /gm)].length;
  if (count !== 1) return [`${count} memories instead of one of its own`];
  const memory = module.getMemoryInfo();
  const faults: string[] = [];
  if (memory.max !== memory.initial) faults.push(`the memory may grow (${memory.initial} to ${memory.max} pages)`);
  if (memory.initial > MEMORY_PAGES_MAX) faults.push(`the memory is too large (${memory.initial} pages)`);
  if (memory.shared) faults.push("the memory is shared");
  if (memory.is64) faults.push("the memory has 64-bit addresses");
  return faults;
}

/** What the module asks of the host and shows it. */
function boundaryFaults(text: string): string[] {
  const faults: string[] = [];
  for (const line of text.split("\n")) {
    const imported = /^ \(import "([^"]*)" "([^"]*)" \((\w+)(.*)$/.exec(line);
    if (imported) {
      const [, from, name = "", kind, rest = ""] = imported;
      const words = (part: string): string =>
        [...rest.matchAll(new RegExp(`\\(${part} ([^)]*)\\)`, "g"))].map((m) => m[1]).join(" ");
      const result = words("result");
      const type = `(${words("param")})${result === "" ? "" : ` ${result}`}`;
      if (from !== "host" || kind !== "func" || IMPORTS[name] === undefined)
        faults.push(`foreign import: ${kind} ${from}.${name}`);
      else if (IMPORTS[name] !== type) faults.push(`import host.${name} is ${type}, not ${IMPORTS[name]}`);
    }
    const exported = /^ \(export "([^"]*)"/.exec(line)?.[1];
    if (exported !== undefined && !EXPORTS.has(exported)) faults.push(`foreign export: ${exported}`);
  }
  return faults;
}

function recursionFaults(text: string): string[] {
  const calls = new Map<string, Set<string>>();
  let current: string | undefined;
  for (const line of text.split("\n")) {
    current = /^ \(func (\$[^\s()]+)/.exec(line)?.[1] ?? current;
    const callee = /\(call (\$[^\s()]+)/.exec(line)?.[1];
    if (callee === undefined || current === undefined) continue;
    const known = calls.get(current);
    if (known === undefined) calls.set(current, new Set([callee]));
    else known.add(callee);
  }
  const cycle = findCycle(calls);
  return cycle === undefined ? [] : [`functions call themselves: ${cycle.join(" → ")}`];
}

function findCycle(calls: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (name: string): string[] | undefined => {
    if (done.has(name)) return undefined;
    const at = path.indexOf(name);
    if (at >= 0) return [...path.slice(at), name];
    path.push(name);
    for (const callee of calls.get(name) ?? []) {
      const cycle = visit(callee);
      if (cycle !== undefined) return cycle;
    }
    path.pop();
    done.add(name);
    return undefined;
  };
  for (const name of calls.keys()) {
    const cycle = visit(name);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
