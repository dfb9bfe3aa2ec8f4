/**
 * `npm run generate`: writes docs/reference/ from the code: settings, metrics, error codes, JSON-RPC methods.
 * `--check` writes nothing and fails when a page is stale.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { CONFIG_MAPS } from "../src/base/config.ts";
import { ERROR_CATALOGUES } from "../src/base/error.ts";
import { METRIC_DOCS, Metrics } from "../src/base/metrics.ts";
import { networkReference } from "../src/node/network-reference.ts";

const root = resolve(import.meta.dirname, "..");
const check = process.argv.includes("--check");

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

/** Modules that declare something at load time. */
const declaring = filesBelow(join(root, "src"))
  .filter((path) => path.endsWith(".ts") && !/\.test\.ts$|\/testing\/|main\.ts$/.test(path))
  .filter((path) =>
    /define(Config|Errors)\(|metrics\.ts$/.test(path.endsWith("metrics.ts") ? path : readFileSync(path, "utf8")),
  )
  .sort();

const modules = await Promise.all(
  declaring.map(async (path) => (await import(pathToFileURL(path).href)) as Record<string, unknown>),
);
for (const module of modules)
  for (const [name, value] of Object.entries(module))
    if (/^[a-z]+Metrics$/.test(name) && typeof value === "function") (value as (m: Metrics) => unknown)(new Metrics());

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");
const table = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
  [
    `| ${header.join(" | ")} |`,
    `|${header.map(() => "---").join("|")}|`,
    ...rows.map((row) => `| ${row.map(cell).join(" | ")} |`),
  ].join("\n");
const NOTE = "Generated from the code by `npm run generate`; do not edit.";

const pages: Record<string, string> = {};
pages["config.md"] = [
  "# Settings",
  NOTE,
  "Set by environment variable; `sheaf config` prints the values in force. An unknown `SHEAF_*` variable or a value out of range stops the start.",
  ...[...CONFIG_MAPS]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(
      ([folder, map]) =>
        `## ${folder}\n\n${table(
          ["Variable", "Default", "Values", "Meaning"],
          Object.values(map).map((f) => [
            `\`${f.env}\``,
            f.secret === true ? "" : `\`${String(f.default)}\``,
            f.kind,
            f.help,
          ]),
        )}`,
    ),
].join("\n\n");
pages["metrics.md"] = [
  "# Metrics",
  NOTE,
  "Prometheus text at `/metrics` of every process. Labels `rollup` and `cluster` are bound where a process serves a cluster.",
  table(
    ["Metric", "Type", "Labels", "Meaning"],
    [...METRIC_DOCS.values()]
      .filter((m) => !m.name.startsWith("process_") && !m.name.startsWith("nodejs_"))
      .sort((a, b) => a.name.localeCompare(b.name))
      .map((m) => [`\`${m.name}\``, m.type, m.labels.filter((l) => l !== "").join(", "), m.help]),
  ),
].join("\n\n");
pages["errors.md"] = [
  "# Error codes",
  NOTE,
  "Every operating fault carries one of these codes in logs and messages. JSON-RPC error codes are in [rpc.md](rpc.md).",
  ...[...ERROR_CATALOGUES]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(
      ([domain, codes]) =>
        `## ${domain}\n\n${table(
          ["Code", "What it means", "What to do", "Retried"],
          Object.entries(codes).map(([code, d]) => [`\`${code}\``, d.summary, d.action, d.retryable ? "yes" : "no"]),
        )}`,
    ),
].join("\n\n");
const rpcReference = join(root, "src/rpc/reference.ts");
if (existsSync(rpcReference)) {
  const module = (await import(pathToFileURL(rpcReference).href)) as { rpcReference: () => string };
  pages["rpc.md"] = module.rpcReference();
}

pages["network.md"] = networkReference();

const folder = join(root, "docs", "reference");
mkdirSync(folder, { recursive: true });
let stale = 0;
for (const [name, content] of Object.entries(pages)) {
  const path = join(folder, name);
  const text = `${content.trimEnd()}\n`;
  if (existsSync(path) && readFileSync(path, "utf8") === text) continue;
  stale++;
  if (check) console.error(`docs/reference/${name} is stale: run npm run generate`);
  else {
    writeFileSync(path, text);
    console.log(`wrote docs/reference/${name}`);
  }
}
if (check && stale > 0) process.exitCode = 1;
process.exit();
