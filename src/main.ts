/**
 * Owns the process: arguments, environment, signals and the exit code (130: interrupted twice; else that of the
 * command line). Everything else is a library.
 */
import { runCommandLine } from "./commands/cli.ts";
import type { CommandContext } from "./commands/context.ts";

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

const handOverListeners: (() => void)[] = [];
process.on("SIGUSR2", () => {
  for (const listener of handOverListeners) listener();
});

const context: CommandContext = {
  env: process.env,
  signal: stop.signal,
  onHandOver: (listener) => handOverListeners.push(listener),
  out: (text) => process.stdout.write(`${text}\n`),
  err: (text) => process.stderr.write(`${text}\n`),
  isTerminal: process.stderr.isTTY,
};

process.exitCode = await runCommandLine(process.argv.slice(2), context);
// Worker threads and native handles of libraries must not keep a finished command alive.
setTimeout(() => process.exit(), 500).unref();
