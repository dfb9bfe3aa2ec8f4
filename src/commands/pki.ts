/** `sheaf pki`: the certificate authority of a network, and the certificates of its processes. */
import type { Command } from "commander";
import { systemClock } from "../base/clock.ts";
import { findProcess, readNetwork } from "../node/network-file.ts";
import { CERTIFICATE_DAYS, certificateFileEndMs, initAuthority, issueFor } from "../node/pki.ts";
import type { CommandContext } from "./context.ts";
import { readInteger } from "./option-values.ts";

const RENEW_WITHIN_DAYS = 30;
const DAY_MS = 86_400_000;

export function addPkiCommand(program: Command, context: CommandContext): void {
  const pki = program.command("pki").description("certificates of the links between processes");
  pki
    .command("init")
    .description("make the network's authority, unless it is there")
    .requiredOption("--config <file>", "the network file")
    .action((options: { config: string }) => {
      const network = readNetwork(options.config);
      const made = initAuthority(network, systemClock.nowMs());
      context.out(made ? `made the authority of ${network.network}` : `${network.network} has its authority`);
    });
  pki
    .command("issue")
    .description("issue processes their certificates for the roles they have in the file; all of them without a name")
    .argument("[process...]", "names of processes")
    .requiredOption("--config <file>", "the network file")
    .option("--days <n>", "how long it is valid", readInteger(1, 3_650), CERTIFICATE_DAYS)
    .action((names: string[], options: { config: string; days: number }) => {
      const network = readNetwork(options.config);
      const wanted =
        names.length === 0
          ? network.processes.filter((p) => p.cluster !== undefined)
          : names.map((name) => findProcess(network, { name, roles: [] }));
      for (const process of wanted) {
        const { certificate } = issueFor(network, process, { nowMs: systemClock.nowMs(), days: options.days });
        context.out(`${process.name}  ${process.roles.join(", ")}  ${options.days} days  ${certificate}`);
      }
    });
  pki
    .command("renew")
    .description("issue new certificates to the processes whose own end soon; running ones take them up by themselves")
    .requiredOption("--config <file>", "the network file")
    .option("--within <n>", "those that end within so many days", readInteger(1, 3_650), RENEW_WITHIN_DAYS)
    .option("--days <n>", "how long the new ones are valid", readInteger(1, 3_650), CERTIFICATE_DAYS)
    .action((options: { config: string; within: number; days: number }) => {
      const network = readNetwork(options.config);
      const nowMs = systemClock.nowMs();
      for (const process of network.processes.filter((p) => p.cluster !== undefined)) {
        const endMs = certificateFileEndMs(network, process);
        const leftDays = endMs === undefined ? 0 : (endMs - nowMs) / DAY_MS;
        if (leftDays > options.within) {
          context.out(`${process.name}  ${Math.floor(leftDays)} days left`);
          continue;
        }
        const { certificate } = issueFor(network, process, { nowMs, days: options.days });
        context.out(`${process.name}  renewed, ${options.days} days  ${certificate}`);
      }
    });
}
