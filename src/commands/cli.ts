/**
 * Owns the command line: the commands, the check of the environment, and what a failure looks like.
 * Exit codes: 0 done, 1 failed (the error says what to do), 2 wrong usage.
 */
import { Command, CommanderError } from "commander";
import { refuseUnknownVariables } from "../base/config.ts";
import { CodedError } from "../base/error.ts";
import "../node/settings.ts";
import type { CommandContext } from "./context.ts";

type AddCommand = (program: Command, context: CommandContext) => void;

/** In the order of the help text. One that is named is the only one loaded: a process is up sooner. */
const COMMANDS: Readonly<Record<string, () => Promise<AddCommand>>> = {
  devnet: async () => (await import("./devnet.ts")).addDevnetCommand,
  init: async () => (await import("./init.ts")).addInitCommand,
  up: async () => (await import("./up.ts")).addUpCommand,
  run: async () => (await import("./run.ts")).addRunCommand,
  pki: async () => (await import("./pki.ts")).addPkiCommand,
  status: async () => (await import("./status.ts")).addStatusCommand,
  verify: async () => (await import("./verify.ts")).addVerifyCommand,
  snapshot: async () => (await import("./snapshot.ts")).addSnapshotCommand,
  bench: async () => (await import("./bench.ts")).addBenchCommand,
  chaos: async () => (await import("./chaos.ts")).addChaosCommand,
  receipt: async () => (await import("./receipt.ts")).addReceiptCommand,
  admin: async () => (await import("./admin.ts")).addAdminCommand,
  config: async () => (await import("./config.ts")).addConfigCommand,
};

/** Runs the command that `args` name (without the program's own name). Resolves to the exit code. */
export async function runCommandLine(args: readonly string[], context: CommandContext): Promise<number> {
  const line = (text: string): string => text.replace(/\n$/, "");
  const program = new Command("sheaf")
    .description("A horizontally scaled Ethereum rollup stack: clusters, settlement, verification.")
    .showHelpAfterError()
    .exitOverride()
    .configureOutput({ writeOut: (s) => context.out(line(s)), writeErr: (s) => context.err(line(s)) });
  const named = Object.hasOwn(COMMANDS, args[0] ?? "") ? COMMANDS[args[0] as string] : undefined;
  for (const load of named === undefined ? Object.values(COMMANDS) : [named]) (await load())(program, context);
  try {
    refuseUnknownVariables(context.env);
    await program.parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof CodedError) {
      context.err(`error ${error.message}`);
      if (error.cause instanceof Error) context.err(`  because: ${error.cause.message}`);
    } else context.err(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return 1;
  }
}
