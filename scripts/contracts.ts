/**
 * Compiles the contracts when their sources changed, and writes what TypeScript needs of them: bytecode into
 * contracts/out (not committed) and ABIs into src/l1/abi (committed). Run it before anything that deploys.
 * With `--check` it changes no committed file and fails if one is not what the sources give.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const sourceFolder = join(root, "contracts", "src");
const artifactFile = join(root, "contracts", "out", "artifacts.json");
const abiFolder = join(root, "src", "l1", "abi");

/** As in foundry.toml, so that what is tested is what is deployed. */
const SETTINGS = { optimizer: { enabled: true, runs: 10_000 }, evmVersion: "prague" } as const;

/** Taken from OpenZeppelin as they are. */
const LIBRARY_SOURCES = [
  "@openzeppelin/contracts/governance/TimelockController.sol",
  "@openzeppelin/contracts/proxy/transparent/ProxyAdmin.sol",
  "@openzeppelin/contracts/proxy/transparent/TransparentUpgradeableProxy.sol",
];

/** Contracts that TypeScript calls or whose events it reads. */
const ABI_CONTRACTS = [
  "ClusterFactory",
  "ClusterRegistry",
  "GasPriceOracle",
  "Inbox",
  "L1Block",
  "L1CrossDomainMessenger",
  "L1StandardBridge",
  "L2CrossDomainMessenger",
  "L2StandardBridge",
  "L2ToL1MessagePasser",
  "OptimismMintableERC20Factory",
  "SheafOutputOracle",
  "SheafPortal",
  "SystemConfig",
  "TimelockController",
];

type SourceMap = Record<string, { content: string }>;
type AbiItem = { readonly type: string; readonly name?: string; readonly inputs?: readonly unknown[] };
type AstNode = {
  readonly id?: number;
  readonly nodeType?: string;
  readonly name?: string;
  readonly mutability?: string;
};
type Bytecode = {
  readonly object: string;
  readonly immutableReferences?: Readonly<Record<string, readonly { start: number; length: number }[]>>;
};
type CompilerOutput = {
  readonly errors?: readonly { readonly severity: string; readonly formattedMessage: string }[];
  readonly contracts: Readonly<
    Record<string, Record<string, { abi: AbiItem[]; evm: { bytecode: Bytecode; deployedBytecode: Bytecode } }>>
  >;
  readonly sources: Readonly<Record<string, { ast: unknown }>>;
};
type Artifact = {
  readonly source: string;
  readonly abi: readonly AbiItem[];
  readonly creationCode: string;
  readonly runtimeCode: string;
  /** Name of the immutable → places of its 32-byte words in the runtime code. */
  readonly immutables: Record<string, readonly { start: number; length: number }[]>;
};
type Artifacts = { readonly sourceHash: string; readonly contracts: Record<string, Artifact> };

const require = createRequire(import.meta.url);

function solidityFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return solidityFiles(path);
    return entry.name.endsWith(".sol") ? [path] : [];
  });
}

function readSources(): SourceMap {
  const sources: SourceMap = {};
  for (const path of solidityFiles(sourceFolder).sort())
    sources[relative(join(root, "contracts"), path)] = { content: readFileSync(path, "utf8") };
  return sources;
}

/** Hash of everything that decides the output: our sources, this file, and the versions of library and compiler. */
function hashSources(sources: SourceMap): string {
  const hash = createHash("sha256");
  for (const [name, { content }] of Object.entries(sources)) hash.update(`${name}\0${content}\0`);
  hash.update(readFileSync(import.meta.filename));
  for (const name of ["@openzeppelin/contracts", "@openzeppelin/contracts-upgradeable", "solc"])
    hash.update(readFileSync(join(root, "node_modules", name, "package.json")));
  return hash.digest("hex");
}

function readArtifacts(): Artifacts | undefined {
  if (!existsSync(artifactFile)) return undefined;
  try {
    return JSON.parse(readFileSync(artifactFile, "utf8")) as Artifacts;
  } catch {
    return undefined; // Cut off while it was written; compiled again.
  }
}

/** Immutables by the id that the compiler gives them in `immutableReferences`. */
function immutableNames(node: unknown, names: Map<string, string>): Map<string, string> {
  if (Array.isArray(node)) {
    for (const child of node) immutableNames(child, names);
  } else if (typeof node === "object" && node !== null) {
    const { id, nodeType, name, mutability } = node as AstNode;
    if (nodeType === "VariableDeclaration" && mutability === "immutable") names.set(String(id), name ?? "");
    for (const child of Object.values(node)) immutableNames(child, names);
  }
  return names;
}

function compile(sources: SourceMap, sourceHash: string): Artifacts {
  const solc = require("solc") as {
    compile(input: string, callbacks: { import(path: string): { contents: string } | { error: string } }): string;
  };
  const readLibrary = (path: string) => readFileSync(join(root, "node_modules", path), "utf8");
  const input = {
    language: "Solidity",
    sources: { ...sources, ...Object.fromEntries(LIBRARY_SOURCES.map((p) => [p, { content: readLibrary(p) }])) },
    settings: {
      ...SETTINGS,
      outputSelection: {
        "*": {
          "": ["ast"],
          "*": [
            "abi",
            "evm.bytecode.object",
            "evm.deployedBytecode.object",
            "evm.deployedBytecode.immutableReferences",
          ],
        },
      },
    },
  };
  const output = JSON.parse(
    solc.compile(JSON.stringify(input), {
      import: (path) => {
        try {
          return { contents: readLibrary(path) };
        } catch {
          return { error: `${path} is not installed` };
        }
      },
    }),
  ) as CompilerOutput;
  const errors = (output.errors ?? []).filter((e) => e.severity === "error");
  if (errors.length > 0) throw new Error(errors.map((e) => e.formattedMessage).join("\n"));

  const names = immutableNames(
    Object.values(output.sources).map((s) => s.ast),
    new Map(),
  );
  const contracts: Record<string, Artifact> = {};
  for (const [source, found] of Object.entries(output.contracts)) {
    if (!source.startsWith("src/") && !LIBRARY_SOURCES.includes(source)) continue;
    for (const [name, { abi, evm }] of Object.entries(found)) {
      if (evm.bytecode.object === "") continue;
      const immutables = Object.entries(evm.deployedBytecode.immutableReferences ?? {}).map(([id, places]) => {
        const immutable = names.get(id);
        if (immutable === undefined) throw new Error(`${name}: no immutable has the id ${id}`);
        return [immutable, places] as const;
      });
      contracts[name] = {
        source,
        abi,
        creationCode: `0x${evm.bytecode.object}`,
        runtimeCode: `0x${evm.deployedBytecode.object}`,
        immutables: Object.fromEntries(immutables),
      };
    }
  }
  return { sourceHash, contracts };
}

const kebab = (name: string): string =>
  name
    .replace(/([a-z0-9])([A-Z])/g, "$1-$2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1-$2")
    .toLowerCase();

/** The bindings as text. One item a line, so that a change of a function is a change of a line. */
function renderAbi(name: string, artifact: Artifact): string {
  const camel = kebab(name).replace(/-([a-z0-9])/g, (_, c: string) => c.toUpperCase());
  const lines = artifact.abi.map((item) => {
    const text = JSON.stringify(item, (key, value: unknown) => (key === "internalType" ? undefined : value));
    return `  ${text},`;
  });
  const source = artifact.source.startsWith("src/") ? `contracts/${artifact.source}` : artifact.source;
  const header = `// Generated from ${source} by scripts/contracts.ts; do not edit.`;
  return `${header}\nexport const ${camel}Abi = [\n${lines.join("\n")}\n] as const;\n`;
}

function main(check: boolean): void {
  const sources = readSources();
  const sourceHash = hashSources(sources);
  let artifacts = readArtifacts();
  if (artifacts?.sourceHash !== sourceHash) {
    const started = performance.now();
    artifacts = compile(sources, sourceHash);
    mkdirSync(join(root, "contracts", "out"), { recursive: true });
    // Renamed into place, so that a second process never reads half of it.
    const unfinished = `${artifactFile}.${process.pid}`;
    writeFileSync(unfinished, JSON.stringify(artifacts));
    renameSync(unfinished, artifactFile);
    console.log(`contracts compiled in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }

  const stale: string[] = [];
  mkdirSync(abiFolder, { recursive: true });
  for (const name of ABI_CONTRACTS) {
    const artifact = artifacts.contracts[name];
    if (artifact === undefined) throw new Error(`no contract is named ${name}`);
    const path = join(abiFolder, `${kebab(name)}.ts`);
    const text = renderAbi(name, artifact);
    if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
    stale.push(relative(root, path));
    if (!check) writeFileSync(path, text);
  }
  if (stale.length === 0) return;
  if (!check) return console.log(`bindings written: ${stale.join(", ")}`);
  console.error(`not what the contracts give: ${stale.join(", ")}; run: npm run contracts`);
  process.exitCode = 1;
}

main(process.argv.includes("--check"));
