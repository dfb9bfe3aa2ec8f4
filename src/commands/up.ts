/** `sheaf up`: all processes of a network file on this machine, supervised until Ctrl-C. */
import { createWriteStream, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { systemClock } from "../base/clock.ts";
import { writeJson } from "../devnet/json-file.ts";
import { type Network, readNetwork } from "../node/network-file.ts";
import { type ChildState, Supervisor } from "../node/supervisor.ts";
import type { CommandContext } from "./context.ts";
import { renderTable } from "./table.ts";

type Options = { config: string; logLevel: string; logs?: boolean };

/** What the supervisor knows of its processes, for `sheaf status`. */
export const PROCESSES_FILE = "processes.json";

export function addUpCommand(program: Command, context: CommandContext): void {
  program
    .command("up")
    .description("run every process of a network file on this machine; restarts what ends, Ctrl-C stops all in order")
    .requiredOption("--config <file>", "the network file")
    .option("--logs", "print the merged log too; it is written to network.log in the data folder")
    .addOption(
      new Option("--log-level <level>", "least level that is logged")
        .choices(["debug", "info", "warn", "error", "silent"])
        .default("info"),
    )
    .action((options: Options) => up(options, context));
}

async function up(options: Options, context: CommandContext): Promise<void> {
  const network = readNetwork(options.config);
  const dataDir = resolve(network.folder, network.dataDir);
  mkdirSync(dataDir, { recursive: true });
  const merged = createWriteStream(join(dataDir, "network.log"), { flags: "a" });
  const width = Math.max(...network.processes.map((p) => p.name.length));
  let wasComplete = false;
  const supervisor = new Supervisor({
    network,
    env: context.env,
    logLevel: options.logLevel,
    clock: systemClock,
    onLine: (name, line) => {
      merged.write(line.startsWith("{") ? `${line}\n` : `${JSON.stringify({ process: name, msg: line })}\n`);
      if (options.logs === true) context.out(`${name.padEnd(width)} | ${line}`);
    },
    onChange: (child, all) => {
      writeJson(join(dataDir, PROCESSES_FILE), { supervisor: process.pid, processes: all });
      if (child.state === "waiting") context.err(`${child.name} ended (${child.ended ?? "?"}), it is started again`);
      const isComplete = all.every((c) => c.state === "running");
      if (isComplete && !wasComplete) context.out(table(network, all));
      wasComplete = isComplete;
    },
  });
  await supervisor.run(context.signal);
  await new Promise<void>((done) => merged.end(done));
}

/** The processes at a glance. */
export function table(network: Network, states: readonly ChildState[]): string {
  const nowMs = systemClock.nowMs();
  return renderTable(
    ["process", "roles", "state", "pid", "restarts", "for", "JSON-RPC", "health"],
    states.map((s) => {
      const spec = network.processes.find((p) => p.name === s.name);
      const url = (address: string | undefined): string => (address === undefined ? "" : `http://${address}`);
      return [
        ...[s.name, s.roles.join("+"), s.state, String(s.pid ?? ""), String(s.restarts)],
        `${Math.max(0, Math.round((nowMs - s.sinceMs) / 1_000))} s`,
        ...[url(spec?.rpc), url(spec?.health)],
      ];
    }),
  );
}
