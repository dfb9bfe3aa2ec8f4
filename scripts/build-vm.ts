/**
 * Builds the VM: vm/src (AssemblyScript) to vm/build/evm.wasm, when the sources or the compiler changed since, and
 * refuses a module that could not be proven (scripts/vm/validate.ts). Usage: npm run build:vm [-- --force]
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { validateModule } from "./vm/validate.ts";

const root = resolve(import.meta.dirname, "..");
const source = join(root, "vm/src");
const output = join(root, "vm/build");
const wasmPath = join(output, "evm.wasm");
const stampPath = join(output, "evm.stamp");

/** The memory never grows: 1 GiB of address space, of which the system only backs what is touched. */
const MEMORY_PAGES = 16_384;

const OPTIONS = [
  "-O3",
  "--runtime",
  "stub",
  "--noAssert",
  "--use",
  "abort=",
  "--memoryBase",
  "1024",
  "--initialMemory",
  String(MEMORY_PAGES),
  "--maximumMemory",
  String(MEMORY_PAGES),
  "--disable",
  "nontrapping-f2i",
  "--enable",
  "bulk-memory",
];

/** Hash of everything the module depends on. */
function sourceStamp(): string {
  const hash = createHash("sha256");
  const compiler = readFileSync(join(root, "node_modules/assemblyscript/package.json"), "utf8");
  hash.update((JSON.parse(compiler) as { version: string }).version).update(OPTIONS.join(" "));
  for (const name of readdirSync(source).sort()) hash.update(name).update(readFileSync(join(source, name)));
  return hash.digest("hex");
}

/** The little of the compiler's interface used here. */
type Compiler = {
  readonly main: (
    options: readonly string[],
    host: {
      readonly readFile: (name: string, baseDir: string) => string | null;
      readonly writeFile: (name: string, contents: string | Uint8Array, baseDir: string) => void;
      readonly listFiles: (dir: string, baseDir: string) => string[];
      readonly stderr: { readonly write: (chunk: string | Uint8Array) => void };
    },
  ) => Promise<{ readonly error: Error | null }>;
};

/** Named by a variable: the compiler's own types redeclare Array and other globals for the whole program. */
const COMPILER: string = "assemblyscript/asc";

async function build(force: boolean): Promise<number> {
  const stamp = sourceStamp();
  if (!force && existsSync(wasmPath) && existsSync(stampPath) && readFileSync(stampPath, "utf8") === stamp) return 0;
  const { default: asc } = (await import(COMPILER)) as { readonly default: Compiler };
  mkdirSync(output, { recursive: true });
  const messages: string[] = [];
  const { error } = await asc.main([join("vm/src", "vm.ts"), "--outFile", "vm/build/evm.wasm", ...OPTIONS], {
    readFile: (name, baseDir) => {
      const path = resolve(root, baseDir, name);
      return existsSync(path) ? readFileSync(path, "utf8") : null;
    },
    writeFile: (name, contents, baseDir) => writeFileSync(resolve(root, baseDir, name), contents),
    listFiles: (dir, baseDir) => readdirSync(resolve(root, baseDir, dir)),
    stderr: { write: (chunk) => messages.push(typeof chunk === "string" ? chunk : Buffer.from(chunk).toString()) },
  });
  if (error !== null) {
    console.error(messages.join(""));
    console.error(error.message);
    return 1;
  }
  const faults = await validateModule(readFileSync(wasmPath));
  if (faults.length > 0) {
    console.error(`vm/build/evm.wasm cannot be proven:\n${faults.map((fault) => `  ${fault}`).join("\n")}`);
    return 1;
  }
  writeFileSync(stampPath, stamp);
  console.log(`built vm/build/evm.wasm, ${readFileSync(wasmPath).length} bytes`);
  return 0;
}

process.exitCode = await build(process.argv.includes("--force"));
