/** `sheaf run`: one process of a network, with the roles that its network file gives it, until it is stopped. */
import type { Command } from "commander";
import { Option } from "commander";
import { systemClock } from "../base/clock.ts";
import { createLog, type LogLevel } from "../base/log.ts";
import { findProcess, ROLES, readNetwork } from "../node/network-file.ts";
import { STARTED } from "../node/supervisor.ts";
import type { CommandContext } from "./context.ts";

type Options = { config: string; name?: string; logLevel: LogLevel; withParent?: boolean };

export function addRunCommand(program: Command, context: CommandContext): void {
  program
    .command("run")
    .description("run one process of a network; its roles pick it when only one process has them")
    .argument("[role...]", `roles of the process, of ${ROLES.join(", ")}`)
    .requiredOption("--config <file>", "the network file")
    .option("--name <process>", "which process of the file")
    .addOption(
      new Option("--log-level <level>", "least level that is logged, to standard error")
        .choices(["debug", "info", "warn", "error", "silent"])
        .default("info"),
    )
    .option("--with-parent", "end when standard input does: with whoever started it")
    .addHelpText(
      "after",
      `
Examples:
  $ sheaf run sequencer --config network.yaml
  $ sheaf run executor --config network.yaml --name executor-901-2
  $ kill -USR2 <pid>                     a sequencer that leads hands the lead to a standby`,
    )
    .action((roles: string[], options: Options) => runProcess(roles, options, context));
}

async function runProcess(roles: string[], options: Options, context: CommandContext): Promise<void> {
  const network = readNetwork(options.config);
  const spec = findProcess(network, { name: options.name, roles });
  // A signal to itself is the one way to stop: with its deadline. Whoever is gone reads nothing any more.
  if (options.withParent === true) {
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
    process.stdin
      .once("end", () => process.kill(process.pid, "SIGTERM"))
      .once("error", () => process.kill(process.pid, "SIGTERM"))
      .resume();
  }
  const log = createLog({ level: options.logLevel, fields: { network: network.network } });
  const common = { network, process: spec, env: context.env, clock: systemClock };
  const node = spec.roles.includes("l1")
    ? await (await import("../devnet/l1-node.ts")).L1Node.create(common)
    : await (await import("../node/process-node.ts")).ProcessNode.create({ ...common, log });
  try {
    if ("handOver" in node)
      context.onHandOver?.(() => {
        node.handOver().then(
          () => context.out(`${spec.name} has handed the lead over`),
          (error: unknown) => context.err(error instanceof Error ? error.message : String(error)),
        );
      });
    context.out(`${STARTED} ${spec.name}`);
    await node.run(context.signal);
  } finally {
    await node.close();
  }
}
