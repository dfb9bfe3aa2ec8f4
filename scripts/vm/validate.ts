/**
 * Owns the rules a provable module keeps (DESIGN D5): integers only, one memory of fixed size, no tables and no indirect
 * calls, no threads, SIMD, references or tail calls, and no imports but the host's. A white list of instructions, so
 * whatever a new compiler may emit is refused until somebody looks at it. Recursion is refused too: the native stack is
 * no part of the machine.
 */

/** Instructions besides those of the i32. and i64. families. */
const PLAIN = new Set(
  "block loop if then else br br_if br_table call return drop select nop unreachable local.get local.set local.tee global.get global.set memory.copy memory.fill".split(
    " ",
  ),
);
/** i32. and i64. instructions that are not of this machine. */
const REFUSED_INTEGER = /\.(trunc_|reinterpret|atomic|extend_s_i31|add128|sub128|mul_wide)/;
const STRUCTURE = new Set(
  "module type func param result local memory data export import global mut i32 i64 i32.const i64.const rec sub final".split(
    " ",
  ),
);
const IMPORTS = new Set(["account", "storage", "code", "blockHash", "precompile", "trace", "traceFrame"]);

/** What is wrong with a module, in words; empty when it can be proven. */
export async function validateModule(wasm: Uint8Array): Promise<string[]> {
  const { default: binaryen } = await import("binaryen");
  const module = binaryen.readBinary(wasm);
  const faults: string[] = [];
  try {
    const text = module.emitText();
    faults.push(...refusedWords(text));
    const memory = module.getMemoryInfo();
    if (memory.max !== memory.initial) faults.push(`the memory may grow (${memory.initial} to ${memory.max} pages)`);
    const calls = new Map<string, Set<string>>();
    let current: string | undefined;
    for (const line of text.split("\n")) {
      const fn = /^ \(func (\$[^\s()]+)/.exec(line);
      if (fn) current = fn[1] as string;
      const call = /\(call (\$[^\s()]+)/.exec(line);
      if (call && current !== undefined) {
        const known = calls.get(current) ?? new Set<string>();
        known.add(call[1] as string);
        calls.set(current, known);
      }
      const imported = /^ \(import "([^"]*)" "([^"]*)"/.exec(line);
      if (imported && (imported[1] !== "host" || !IMPORTS.has(imported[2] as string)))
        faults.push(`foreign import ${imported[1]}.${imported[2]}`);
    }
    const cycle = findCycle(calls);
    if (cycle !== undefined) faults.push(`functions call themselves: ${cycle.join(" → ")}`);
  } finally {
    module.dispose();
  }
  return faults;
}

/** Words after an opening parenthesis that no rule allows, each once. */
function refusedWords(text: string): string[] {
  const faults = new Set<string>();
  for (const [, word] of text.replace(/"(?:[^"\\]|\\.)*"/g, '""').matchAll(/\(([a-z0-9_.]+)/g)) {
    if (word === undefined || PLAIN.has(word) || STRUCTURE.has(word)) continue;
    if (/^i(32|64)\./.test(word) && !REFUSED_INTEGER.test(word)) continue;
    faults.add(`instruction or section not allowed: ${word}`);
  }
  for (const [type] of text.matchAll(/\b(f32|f64|v128|funcref|externref|anyref)\b/g))
    faults.add(`type not allowed: ${type}`);
  return [...faults];
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
