/**
 * Owns the processes of a network on one machine: starts them in order (L1; sequencers and verifiers; the rest), starts
 * again what ended, with a pause that grows, and stops them in the opposite order. Their output becomes one log, each
 * line with the process's name. Children hold the other end of a pipe from here: when this process is gone, however it
 * went, they end by themselves.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Clock } from "../base/clock.ts";
import type { Service } from "../base/service.ts";
import { aborted } from "../base/signal.ts";
import type { Network, ProcessSpec, RoleName } from "./network-file.ts";

const MAIN = new URL("../main.ts", import.meta.url);
/** What a child prints when its ports answer. */
export const STARTED = "started";

/** What others stand on comes first. */
const STAGES: readonly (readonly RoleName[])[] = [["l1"], ["sequencer", "verifier"], ["executor", "publisher"]];
/** How long a stage is waited for before the next one starts anyway: it finds what it needs when that is there. */
const STAGE_MS = 60_000;
const PAUSE_MIN_MS = 250;
const PAUSE_MAX_MS = 10_000;
/** One that ran for so long was well: its next pause is short again. */
const WELL_MS = 30_000;
/** More than a child takes by its own deadline. */
const STOP_MS = 25_000;
const LINE_CHARACTERS_MAX = 64 * 1024;

export type ChildState = {
  readonly name: string;
  readonly roles: readonly RoleName[];
  readonly state: "waiting" | "starting" | "running" | "stopped";
  readonly pid: number | undefined;
  readonly restarts: number;
  readonly sinceMs: number;
  /** How it ended last. */
  readonly ended: string | undefined;
};

export type SupervisorOptions = {
  readonly network: Network;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logLevel: string;
  /** A line of a child's output. */
  readonly onLine: (process: string, line: string) => void;
  readonly onChange: (child: ChildState, all: readonly ChildState[]) => void;
  readonly clock: Clock;
};

export class Supervisor implements Service {
  readonly name = "supervisor";
  readonly #options: SupervisorOptions;
  readonly #children: readonly Child[];

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const changed = (child: Child): void => options.onChange(child.state, this.states);
    this.#children = options.network.processes.map((spec) => new Child(spec, options, changed));
  }

  get states(): readonly ChildState[] {
    return this.#children.map((child) => child.state);
  }

  async run(signal: AbortSignal): Promise<void> {
    const stages = STAGES.map((roles) =>
      this.#children.filter((child) => roles.some((role) => child.state.roles.includes(role))),
    );
    // Every child once: a role of an early stage decides.
    const seen = new Set<Child>();
    const running: { readonly stop: AbortController; readonly done: Promise<unknown> }[] = [];
    for (const stage of stages) {
      if (signal.aborted) break;
      const own = stage.filter((child) => !seen.has(child));
      const stop = new AbortController();
      running.push({ stop, done: Promise.all(own.map((child) => child.run(stop.signal))) });
      for (const child of own) seen.add(child);
      await Promise.race([
        Promise.all(own.map((child) => child.started)),
        this.#options.clock.sleep(STAGE_MS, signal),
        aborted(signal),
      ]);
    }
    await aborted(signal);
    for (const { stop, done } of running.reverse()) {
      stop.abort();
      await done;
    }
  }
}

class Child {
  readonly started: Promise<void>;
  readonly #spec: ProcessSpec;
  readonly #options: SupervisorOptions;
  readonly #changed: (child: Child) => void;
  #start: () => void = () => undefined;
  #state: ChildState;

  constructor(spec: ProcessSpec, options: SupervisorOptions, changed: (child: Child) => void) {
    this.#spec = spec;
    this.#options = options;
    this.#changed = changed;
    this.started = new Promise((resolve) => {
      this.#start = resolve;
    });
    const { name, roles } = spec;
    this.#state = {
      ...{ name, roles, state: "waiting", pid: undefined, restarts: 0, ended: undefined },
      sinceMs: options.clock.nowMs(),
    };
  }

  get state(): ChildState {
    return this.#state;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    let pauseMs = PAUSE_MIN_MS;
    while (!signal.aborted) {
      const startMs = clock.nowMs();
      const ended = await this.#once(signal);
      if (signal.aborted) break;
      if (clock.nowMs() - startMs >= WELL_MS) pauseMs = PAUSE_MIN_MS;
      this.#become({ state: "waiting", pid: undefined, ended, restarts: this.#state.restarts + 1 });
      await clock.sleep(pauseMs * (0.75 + Math.random() * 0.5), signal);
      pauseMs = Math.min(PAUSE_MAX_MS, pauseMs * 2);
    }
    this.#become({ state: "stopped", pid: undefined });
  }

  /** Resolves to how it ended. */
  async #once(signal: AbortSignal): Promise<string> {
    const { network, env, logLevel, onLine } = this.#options;
    const { name } = this.#spec;
    const node = ["--max-semi-space-size=64", "--import", import.meta.resolve("tsx"), fileURLToPath(MAIN)];
    const args = ["run", "--config", network.path, "--name", name, "--log-level", logLevel, "--with-parent"];
    // A process group of its own: Ctrl-C is for the supervisor, which stops in order.
    const child = spawn(process.execPath, [...node, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
      env: { ...env } as NodeJS.ProcessEnv,
    });
    child.stdin.on("error", () => undefined);
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on("line", (line) => {
        if (line === `${STARTED} ${name}`) {
          this.#become({ state: "running" });
          this.#start();
        } else if (line !== "") onLine(name, line.slice(0, LINE_CHARACTERS_MAX));
      });
    this.#become({ state: "starting", pid: child.pid });
    const stop = (): void => void end(child);
    signal.addEventListener("abort", stop, { once: true });
    const ended = await new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, by) => resolve(by === null ? `code ${code}` : by));
    });
    signal.removeEventListener("abort", stop);
    return ended;
  }

  #become(change: Partial<ChildState>): void {
    const sinceMs = change.state === undefined ? this.#state.sinceMs : this.#options.clock.nowMs();
    this.#state = { ...this.#state, ...change, sinceMs };
    this.#changed(this);
  }
}

/** Asks it to stop, and ends it when it does not. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await exited;
  clearTimeout(timer);
}
