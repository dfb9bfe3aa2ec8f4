/**
 * The house rules as a test: import direction, one home for time, environment and exit, module headers, no barrels,
 * no dead files, no banned words. @see docs/decisions/0001-one-package.md, CONTRIBUTING.md
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

const root = resolve(import.meta.dirname, "..");
const src = join(root, "src");

const ROLES =
  "gateway lane orderer executor keyshard sealer shadow publisher proposer verifier challenger prover relayer indexer control".split(
    " ",
  );
const LAYERS: Record<string, number> = {
  base: 0,
  protocol: 1,
  ...Object.fromEntries(
    ["l1", "da", "link", "log", "store", "execution", "state", "rpc", "snapshot"].map((f) => [f, 2]),
  ),
  ...Object.fromEntries(ROLES.map((f) => [f, 3])),
  node: 4,
  devnet: 5,
  bench: 5,
  // Above the devnet, whose deployment it uses; below the command that starts it.
  chaos: 6,
  commands: 7,
};
/** Which layer-2 folders may see which others. */
const SAME_LAYER: Record<string, readonly string[]> = {
  execution: ["link"],
  state: ["execution", "link", "store"],
  rpc: ["execution", "state", "store"],
  da: ["l1"],
  snapshot: ["store"],
};

type Source = { path: string; name: string; folder: string; text: string };

function filesBelow(folder: string, pattern: RegExp): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (["node_modules", "out", "cache", "build"].includes(name)) return [];
    return statSync(path).isDirectory() ? filesBelow(path, pattern) : pattern.test(name) ? [path] : [];
  });
}

/** First folder below src/, or "main" for files directly in it. */
function folderOf(path: string): string {
  const parts = relative(src, path).split("/");
  return parts.length > 1 ? (parts[0] ?? "main") : "main";
}

const read = (path: string): Source => ({
  path,
  name: relative(root, path),
  folder: folderOf(path),
  text: readFileSync(path, "utf8"),
});
const sources = filesBelow(src, /\.ts$/).map(read);
const others = ["test", "bench", "scripts"].flatMap((folder) => filesBelow(join(root, folder), /\.ts$/).map(read));

const importsOf = (file: Source): string[] =>
  [...file.text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)].map((m) => resolve(dirname(file.path), m[1] ?? ""));

const isTest = (name: string): boolean => /\.(test|prop|l1|e2e|fault)\./.test(name) || name.includes("/testing/");

test("imports only go downwards, and to another role only through its api.ts", () => {
  const wrong: string[] = [];
  for (const file of sources) {
    if (isTest(file.name)) continue;
    const layer = LAYERS[file.folder] ?? 8;
    for (const target of importsOf(file)) {
      const folder = folderOf(target);
      if (!target.startsWith(src) || folder === file.folder) continue;
      const targetLayer = LAYERS[folder] ?? 8;
      const sameLayerOk =
        (layer === 2 && (SAME_LAYER[file.folder] ?? []).includes(folder)) ||
        (layer === 3 && target.endsWith("/api.ts")) ||
        layer >= 5;
      if (targetLayer > layer || (targetLayer === layer && !sameLayerOk))
        wrong.push(`${file.name} imports ${relative(root, target)}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("time, environment, exit and timers have one home each", () => {
  const homes: [RegExp, readonly string[]][] = [
    [/\bDate\.now\(/, ["src/base/clock.ts"]],
    [/\bprocess\.env\b/, ["src/main.ts"]],
    [/\bprocess\.exit\(/, ["src/main.ts"]],
    [/\bsetInterval\(/, []],
  ];
  const wrong: string[] = [];
  for (const file of sources) {
    if (isTest(file.name)) continue;
    for (const [pattern, allowed] of homes)
      if (pattern.test(file.text) && !allowed.includes(file.name)) wrong.push(`${file.name}: ${pattern.source}`);
  }
  assert.deepEqual(wrong, []);
});

test("every module opens with what it owns, and there are no barrels", () => {
  const wrong = sources
    .filter((f) => !isTest(f.name) && !f.name.includes("/abi/"))
    .filter((f) => !/^(#!.*\n)?\/\*\*/.test(f.text) || /(^|\/)index\.ts$/.test(f.name) || /^export \* /m.test(f.text))
    .map((f) => f.name);
  assert.deepEqual(wrong, []);
});

test("no file is dead: each is imported, a test, or an entry", (t) => {
  if (!existsSync(join(src, "proposer", "proposer.ts"))) return t.skip("the last modules are not joined yet");
  const roots = [...sources, ...others];
  const used = new Set(roots.flatMap(importsOf));
  // Worker entries are named by URL, not by import.
  for (const f of roots)
    for (const m of f.text.matchAll(/new URL\("(\.[^"]+)"/g)) used.add(resolve(dirname(f.path), m[1] ?? ""));
  const dead = sources.filter(
    (f) => !isTest(f.name) && f.name !== "src/main.ts" && !f.name.includes("/abi/") && !used.has(f.path),
  );
  assert.deepEqual(
    dead.map((f) => f.name),
    [],
  );
});

test("no unfinished marks, paths of a machine, or vague names", () => {
  const wrong: string[] = [];
  const folders = ["src", "test", "bench", "scripts", "docs", "contracts/src", "contracts/test", "vm/assembly"];
  const banned = [/\bFIXME\b/, /\bTODO\b/, /\bXXX\b/, /\/work\//, /\/root\//, /\/farm\//];
  for (const path of folders.flatMap((f) => filesBelow(join(root, f), /\.(ts|sol|md|js)$/))) {
    if (path.endsWith("tidy.test.ts")) continue;
    const text = readFileSync(path, "utf8");
    for (const word of banned) if (word.test(text)) wrong.push(`${relative(root, path)}: ${word.source}`);
    const stem = path.split("/").at(-1) ?? "";
    if (/^(utils?|helpers?|misc|common|manager)\.(ts|sol)$/i.test(stem)) wrong.push(`${relative(root, path)}: vague`);
    if (path.endsWith(".ts") && !/^[a-z0-9.-]+$/.test(stem)) wrong.push(`${relative(root, path)}: not kebab-case`);
  }
  assert.deepEqual(wrong, []);
});
