/**
 * Owns the compilation of vm/src: which modules there are, and the compiler's options.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** The memory never grows: 1 GiB of address space, of which the system only backs what is touched. */
const MEMORY_PAGES = 16_384;

export const OPTIONS = [
  "-O3",
  "--runtime",
  "stub",
  "--noAssert",
  "--use",
  "abort=",
  "--memoryBase",
  "1024",
  "--disable",
  "nontrapping-f2i",
  "--enable",
  "bulk-memory",
];

export type Module = { readonly entry: string; readonly wasm: string; readonly options: readonly string[] };

export const VM: Module = {
  entry: "vm.ts",
  wasm: "evm.wasm",
  options: ["--initialMemory", String(MEMORY_PAGES), "--maximumMemory", String(MEMORY_PAGES)],
};
/** Its memory grows with an epoch, to all that 32 bits address. */
export const VERSIONS: Module = {
  entry: "versions.ts",
  wasm: "versions.wasm",
  options: ["--initialMemory", "32", "--maximumMemory", "65535"],
};
export const MODULES = [VM, VERSIONS];

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

/** Compiles the sources in `root`/vm/src to `root`/vm/build; what is wrong with them, or undefined. */
export async function compile(root: string, { entry, wasm, options }: Module): Promise<string | undefined> {
  const { default: compiler } = (await import(COMPILER)) as { readonly default: Compiler };
  const messages: string[] = [];
  const files = [join("vm/src", entry), "--outFile", join("vm/build", wasm)];
  const { error } = await compiler.main([...files, ...options, ...OPTIONS], {
    readFile: (name, baseDir) => {
      const path = resolve(root, baseDir, name);
      return existsSync(path) ? readFileSync(path, "utf8") : null;
    },
    writeFile: (name, contents, baseDir) => writeFileSync(resolve(root, baseDir, name), contents),
    listFiles: (dir, baseDir) => readdirSync(resolve(root, baseDir, dir)),
    stderr: { write: (chunk) => messages.push(typeof chunk === "string" ? chunk : Buffer.from(chunk).toString()) },
  });
  return error === null ? undefined : `${messages.join("")}\n${error.message}`;
}
