/** Owns the reference page of the network file, made from its schema. */
import { z } from "zod";
import { networkSchema } from "./network-file.ts";

type Json = {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Json>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Json | boolean;
  readonly items?: Json;
  readonly enum?: readonly string[];
  readonly const?: string | number;
};

export function networkReference(): string {
  const rows: string[] = [];
  const visit = (path: string, json: Json): void => {
    for (const [name, field] of Object.entries(json.properties ?? {})) {
      const at = path === "" ? name : `${path}.${name}`;
      const needed = json.required?.includes(name) === true ? "yes" : "";
      rows.push(`| \`${at}\` | ${kindOf(field)} | ${needed} | ${field.description ?? ""} |`);
      visit(at, field);
      if (typeof field.additionalProperties === "object") visit(`${at}.<name>`, field.additionalProperties);
    }
  };
  visit("", z.toJSONSchema(networkSchema, { unrepresentable: "any" }) as Json);
  return [
    "# Network file",
    "Generated from the code by `npm run generate`; do not edit.",
    "One YAML file describes a network: `sheaf init` writes an example, `sheaf config check` checks one, `sheaf run` starts one of its processes, `sheaf up` all of them on one machine. Paths are relative to the file. It names key files and holds no keys.",
    ["| Field | Kind | Needed | Meaning |", "|---|---|---|---|", ...rows].join("\n"),
  ].join("\n\n");
}

function kindOf(json: Json): string {
  if (json.const !== undefined) return `\`${String(json.const)}\``;
  if (json.enum !== undefined) return json.enum.map((value) => `\`${value}\``).join(", ");
  if (json.type === "array") return `list of ${json.items === undefined ? "?" : kindOf(json.items)}`;
  if (json.type === "object") return json.properties === undefined ? "by name" : "fields";
  return json.type ?? "text, number or boolean";
}
