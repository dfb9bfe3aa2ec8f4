/** Owns progress of a start for people: one line that says what is going on and since when; plain lines elsewhere. */
import { systemClock } from "../base/clock.ts";
import type { CommandContext } from "./context.ts";

export class Progress {
  readonly #context: CommandContext;
  readonly #startMs = systemClock.nowMs();
  #current: { text: string; sinceMs: number } | undefined;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  step(text: string): void {
    this.#finish();
    this.#current = { text, sinceMs: systemClock.nowMs() };
    if (this.#context.isTerminal) process.stderr.write(`  ${text} …`);
  }

  done(): void {
    if (this.#current === undefined) return;
    this.#finish();
    this.#context.err(`  ready after ${seconds(systemClock.nowMs() - this.#startMs)}`);
  }

  #finish(): void {
    if (this.#current === undefined) return;
    const { text, sinceMs } = this.#current;
    const line = `  ${text} ${seconds(systemClock.nowMs() - sinceMs)}`;
    if (this.#context.isTerminal) process.stderr.write(`\r\u001b[K${line}\n`);
    else this.#context.err(line);
    this.#current = undefined;
  }
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
