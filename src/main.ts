/**
 * Owns the process: arguments, environment, signals and the exit code. Everything else is a library.
 * Exit codes: 0 done, 1 failed (the error says what to do), 2 wrong usage, 130 interrupted twice.
 */
import { Command, CommanderError } from "commander";
import { refuseUnknownVariables } from "./base/config.ts";
import { CodedError } from "./base/error.ts";
import { addConfigCommand } from "./commands/config.ts";
import type { CommandContext } from "./commands/context.ts";
import { addDevnetCommand } from "./commands/devnet.ts";
import { addSnapshotCommand } from "./commands/snapshot.ts";
import { addStatusCommand } from "./commands/status.ts";
import { addVerifyCommand } from "./commands/verify.ts";

/** A stop that takes longer than this is not clean any more. */
const STOP_DEADLINE_MS = 20_000;

const stop = new AbortController();
let interrupts = 0;
function onSignal(): void {
  interrupts++;
  if (interrupts > 1) process.exit(130);
  process.stderr.write("\nstopping (again to force) …\n");
  stop.abort();
  setTimeout(() => {
    process.stderr.write(`not stopped after ${STOP_DEADLINE_MS / 1_000} s, leaving\n`);
    process.exit(1);
  }, STOP_DEADLINE_MS).unref();
}
process.on("SIGINT", onSignal);
process.on("SIGTERM", onSignal);

const context: CommandContext = {
  env: process.env,
  signal: stop.signal,
  out: (text) => process.stdout.write(`${text}\n`),
  err: (text) => process.stderr.write(`${text}\n`),
  isTerminal: process.stderr.isTTY,
};

const program = new Command("sheaf")
  .description("A horizontally scaled Ethereum rollup stack: clusters, settlement, verification.")
  .showHelpAfterError()
  .exitOverride()
  .configureOutput({ writeOut: (s) => process.stdout.write(s), writeErr: (s) => process.stderr.write(s) });
addDevnetCommand(program, context);
addStatusCommand(program, context);
addVerifyCommand(program, context);
addSnapshotCommand(program, context);
addConfigCommand(program, context);

try {
  refuseUnknownVariables(process.env);
  await program.parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    process.exitCode = 1;
    if (error instanceof CodedError) {
      context.err(`error ${error.message}`);
      if (error.cause instanceof Error) context.err(`  because: ${error.cause.message}`);
    } else context.err(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}
// Worker threads and native handles of libraries must not keep a finished command alive.
setTimeout(() => process.exit(), 500).unref();
