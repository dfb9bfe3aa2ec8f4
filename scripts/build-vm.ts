/**
 * Builds vm/src (AssemblyScript) when the sources or the compiler changed since: the VM to vm/build/evm.wasm, which is
 * refused when it could not be proven (scripts/vm/validate.ts), and the version core of sharded execution, which is no
 * part of a proof, to vm/build/versions.wasm. Usage: npm run build:vm [-- --force]
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { compile, MODULES, OPTIONS, VM } from "./vm/compile.ts";
import { validateModule } from "./vm/validate.ts";

const root = resolve(import.meta.dirname, "..");
const source = join(root, "vm/src");
const output = join(root, "vm/build");
const stampPath = join(output, "evm.stamp");

/** Hash of everything the module depends on. */
function sourceStamp(): string {
  const hash = createHash("sha256");
  const compiler = readFileSync(join(root, "node_modules/assemblyscript/package.json"), "utf8");
  hash.update((JSON.parse(compiler) as { version: string }).version).update(JSON.stringify([OPTIONS, MODULES]));
  for (const name of readdirSync(source).sort()) hash.update(name).update(readFileSync(join(source, name)));
  return hash.digest("hex");
}

async function build(force: boolean): Promise<number> {
  const stamp = sourceStamp();
  const isBuilt = MODULES.every(({ wasm }) => existsSync(join(output, wasm)));
  if (!force && isBuilt && existsSync(stampPath) && readFileSync(stampPath, "utf8") === stamp) return 0;
  mkdirSync(output, { recursive: true });
  for (const module of MODULES) {
    const fault = await compile(root, module);
    if (fault !== undefined) {
      console.error(fault);
      return 1;
    }
  }
  const faults = await validateModule(readFileSync(join(output, VM.wasm)));
  if (faults.length > 0) {
    console.error(`vm/build/${VM.wasm} cannot be proven:\n${faults.map((fault) => `  ${fault}`).join("\n")}`);
    return 1;
  }
  writeFileSync(stampPath, stamp);
  for (const { wasm } of MODULES)
    console.log(`built vm/build/${wasm}, ${readFileSync(join(output, wasm)).length} bytes`);
  return 0;
}

process.exitCode = await build(process.argv.includes("--force"));
