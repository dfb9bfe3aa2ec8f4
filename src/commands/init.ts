/** `sheaf init`: writes a network of several processes for this machine: contracts on a development L1, file, keys. */
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { buildStale } from "../devnet/build.ts";
import { writeNetwork } from "../devnet/write-network.ts";
import type { CommandContext } from "./context.ts";
import { readInteger } from "./option-values.ts";
import { Progress } from "./progress.ts";

type Options = { dir: string; clusters: number; executors: number; firstPort: number };

const FIRST_PORT = 9_600;

export function addInitCommand(program: Command, context: CommandContext): void {
  program
    .command("init")
    .description("write a network of several processes for this machine: contracts, network.yaml, certificates, keys")
    .option("--dir <folder>", "where to", join(".sheaf", "network"))
    .option("--clusters <n>", "how many clusters", readInteger(1, 16), 1)
    .option("--executors <n>", "executor processes of each cluster", readInteger(0, 64), 2)
    .option("--first-port <n>", "ports are taken from here on; 0 takes free ones", readInteger(0, 60_000), FIRST_PORT)
    .action(async (options: Options) => {
      const progress = new Progress(context);
      progress.step("compiling what is stale");
      await buildStale();
      const { dir, ...rest } = options;
      const { path } = await writeNetwork({ ...rest, folder: resolve(dir), onProgress: (step) => progress.step(step) });
      progress.done();
      context.out(`${path}\nstart it with: sheaf up --config ${path}`);
    });
}
