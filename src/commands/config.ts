/** `sheaf config`: every setting with its variable, value in force, default and meaning. */
import type { Command } from "commander";
import { CONFIG_MAPS, readConfig } from "../base/config.ts";
import { readNetwork } from "../node/network-file.ts";
import type { CommandContext } from "./context.ts";
import { renderTable } from "./table.ts";

export function addConfigCommand(program: Command, context: CommandContext): void {
  const config = program
    .command("config")
    .description("print every setting: variable, value in force, default, meaning (secrets hidden)");
  config
    .command("check")
    .description("check a network file: what is wrong in it, with lines, or what it describes")
    .argument("<file>", "the network file")
    .action((file: string) => {
      const network = readNetwork(file);
      const rows = network.processes.map((p) => [
        p.name,
        p.cluster ?? "",
        ...[p.roles.join("+"), p.links ?? "", p.rpc ?? "", p.health ?? ""],
      ]);
      context.out(`${network.network}: ${Object.keys(network.clusters).join(", ")} on L1 ${network.l1.chainId}\n`);
      context.out(renderTable(["process", "cluster", "roles", "links", "JSON-RPC", "health"], rows));
    });
  config.option("--json", "machine-readable output").action((options: { json?: boolean }) => {
    const rows = [...CONFIG_MAPS].flatMap(([folder, map]) => {
      const values = readConfig(map, context.env) as Record<string, unknown>;
      return Object.entries(map).map(([key, field]) => ({
        folder,
        variable: field.env,
        value: field.secret === true ? "(hidden)" : String(values[key]),
        default: field.secret === true ? "" : String(field.default),
        kind: field.kind,
        help: field.help,
      }));
    });
    if (options.json === true) context.out(JSON.stringify(rows, null, 2));
    else
      context.out(
        renderTable(
          ["variable", "value", "default", "kind", "meaning"],
          rows.map((r) => [r.variable, r.value, r.default, r.kind, r.help]),
        ),
      );
  });
}
