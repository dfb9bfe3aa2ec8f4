/** Owns docs/reference/rpc.md: the methods and error codes of JSON-RPC as text, made from the tables that serve them. */
import { RPC_ERRORS, type RpcErrorDoc } from "./errors.ts";
import type { Method } from "./method.ts";
import { METHODS } from "./method-table.ts";

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

function signature(method: Method): string {
  return method.params.map((param) => (param.optional ? `${param.name}?` : param.name)).join(", ");
}

function methodRow(method: Method): string {
  const kinds = method.params.map((param) => `\`${param.name}\`: ${param.kind}`).join("; ");
  const transport = method.connectionOnly ? " WebSocket only." : "";
  const cells = [`\`${method.name}(${signature(method)})\``, method.result, kinds, method.summary + transport];
  return `| ${cells.map(cell).join(" | ")} |`;
}

const NOTE = "Generated from the code by `npm run generate`; do not edit.";

/** The whole page. */
export function rpcReference(): string {
  const spaces = new Map<string, Method[]>();
  for (const method of METHODS) {
    const space = method.name.slice(0, method.name.indexOf("_"));
    spaces.set(space, [...(spaces.get(space) ?? []), method]);
  }
  const lines = ["# JSON-RPC", "", NOTE, ""];
  lines.push(
    "Over HTTP (POST) and WebSocket, singly or in batches. Quantities are hex without leading zeros, data is hex with",
    "whole bytes; a parameter with `?` may be left out or null. Limits are settings (`SHEAF_RPC_*` in config.md).",
  );
  for (const [space, methods] of spaces) {
    lines.push("", `## ${space}_`, "", "| Method | Answer | Parameters | |", "|---|---|---|---|");
    for (const method of methods.toSorted((a, b) => (a.name < b.name ? -1 : 1))) lines.push(methodRow(method));
  }
  lines.push("", "## Errors", "", "| Code | Name | Meaning | What to do | Retry |", "|---|---|---|---|---|");
  const errors: readonly [string, RpcErrorDoc][] = Object.entries(RPC_ERRORS);
  for (const [name, doc] of errors)
    lines.push(
      `| ${[String(doc.rpcCode), `\`${name}\``, doc.summary, doc.action, doc.retryable ? "yes" : "no"].map(cell).join(" | ")} |`,
    );
  return `${lines.join("\n")}\n`;
}
