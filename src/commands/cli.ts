/**
 * Owns the command line: the commands, the check of the environment, and what a failure looks like.
 * Exit codes: 0 done, 1 failed (the error says what to do), 2 wrong usage.
 */
import { Command, CommanderError } from "commander";
import { refuseUnknownVariables } from "../base/config.ts";
import { CodedError } from "../base/error.ts";
import { addAdminCommand } from "./admin.ts";
import { addBenchCommand } from "./bench.ts";
import { addChaosCommand } from "./chaos.ts";
import { addConfigCommand } from "./config.ts";
import type { CommandContext } from "./context.ts";
import { addDevnetCommand } from "./devnet.ts";
import { addInitCommand } from "./init.ts";
import { addPkiCommand } from "./pki.ts";
import { addReceiptCommand } from "./receipt.ts";
import { addRunCommand } from "./run.ts";
import { addSnapshotCommand } from "./snapshot.ts";
import { addStatusCommand } from "./status.ts";
import { addUpCommand } from "./up.ts";
import { addVerifyCommand } from "./verify.ts";

/** Runs the command that `args` name (without the program's own name). Resolves to the exit code. */
export async function runCommandLine(args: readonly string[], context: CommandContext): Promise<number> {
  const line = (text: string): string => text.replace(/\n$/, "");
  const program = new Command("sheaf")
    .description("A horizontally scaled Ethereum rollup stack: clusters, settlement, verification.")
    .showHelpAfterError()
    .exitOverride()
    .configureOutput({ writeOut: (s) => context.out(line(s)), writeErr: (s) => context.err(line(s)) });
  addDevnetCommand(program, context);
  addInitCommand(program, context);
  addUpCommand(program, context);
  addRunCommand(program, context);
  addPkiCommand(program, context);
  addStatusCommand(program, context);
  addVerifyCommand(program, context);
  addSnapshotCommand(program, context);
  addBenchCommand(program, context);
  addChaosCommand(program, context);
  addReceiptCommand(program, context);
  addAdminCommand(program, context);
  addConfigCommand(program, context);
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
