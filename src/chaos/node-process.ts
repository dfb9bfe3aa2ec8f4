/**
 * Owns a node of a drill as its parent sees it: a process that is started, signalled, and started again on the same
 * data and ports. A node that ends though nobody killed it is started again, as a supervisor would, and that is told.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Clock } from "../base/clock.ts";

export type NodeConfig = {
  readonly name: string;
  readonly cluster: string;
  readonly dataDir: string;
  readonly logPath: string;
  readonly l1: { readonly rpcUrl: string; readonly beaconUrl: string; readonly chainId: number };
  readonly inbox: `0x${string}`;
  readonly ports: { readonly rpc: number; readonly verifierRpc: number; readonly health: number };
  readonly posterKeys: readonly `0x${string}`[];
  readonly proposerKey: `0x${string}`;
  readonly env: Readonly<Record<string, string>>;
};

/** To the node. */
export type NodeOrder = {
  readonly clockOffsetMs?: number;
  readonly syncDelayMs?: number;
  /** Give the lead to another node. */
  readonly handOver?: true;
};
/** From the node. */
export type NodeReport =
  | { readonly kind: "health"; readonly url: string }
  | { readonly kind: "open"; readonly rpcUrl: string; readonly wsUrl: string; readonly verifierRpcUrl: string }
  | { readonly kind: "failed"; readonly message: string };

/** A node that ended by itself is started again after this. */
const RESTART_MS = 500;
/** A clean stop may take this long. */
const STOP_MS_MAX = 20_000;

export class NodeProcess {
  readonly name: string;
  readonly config: NodeConfig;
  readonly rpcUrl: string;
  readonly verifierRpcUrl: string;
  readonly healthUrl: string;
  readonly #clock: Clock;
  readonly #onEvent: (what: string) => void;
  #child: ChildProcess | undefined;
  #open = false;
  #failure: string | undefined;
  /** False while it is meant to be dead. */
  #wanted = false;
  readonly #ends: string[] = [];

  constructor(config: NodeConfig, clock: Clock, onEvent: (what: string) => void) {
    this.name = config.name;
    this.config = config;
    this.rpcUrl = `http://127.0.0.1:${config.ports.rpc}`;
    this.verifierRpcUrl = `http://127.0.0.1:${config.ports.verifierRpc}`;
    this.healthUrl = `http://127.0.0.1:${config.ports.health}`;
    this.#clock = clock;
    this.#onEvent = onEvent;
  }

  /** It runs and its gateway answers: with replicated logs, it leads or is ready to. */
  get open(): boolean {
    return this.#open;
  }

  get running(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** How it ended each time that nobody killed it, with what it said last. */
  get ends(): readonly string[] {
    return this.#ends;
  }

  get pid(): number | undefined {
    return this.running ? this.#child?.pid : undefined;
  }

  start(): void {
    this.#wanted = true;
    this.#open = false;
    this.#failure = undefined;
    const output = openSync(`${this.config.logPath}.out`, "a");
    const child = spawn(
      process.execPath,
      [
        "--import",
        import.meta.resolve("tsx"),
        fileURLToPath(new URL("./node-main.ts", import.meta.url)),
        JSON.stringify(this.config),
      ],
      { stdio: ["ignore", output, output, "ipc"], env: {} },
    );
    closeSync(output);
    this.#child = child;
    child.on("message", (report: NodeReport) => {
      if (report.kind === "open") {
        this.#open = true;
        this.#onEvent(`${this.name} serves`);
      } else if (report.kind === "failed") this.#failure = report.message;
    });
    child.on("error", () => undefined);
    child.once("exit", (code, signal) => {
      this.#open = false;
      if (!this.#wanted || this.#child !== child) return;
      const end = `${signal ?? `code ${code}`}, ${this.#failure ?? this.#lastWords()}`;
      this.#ends.push(end);
      this.#onEvent(`${this.name} ended by itself: ${end}`);
      void this.#clock.sleep(RESTART_MS).then(() => {
        if (this.#wanted && this.#child === child) this.start();
      });
    });
  }

  /** Sends a signal. SIGKILL and SIGTERM end it for good (until `start`); resolves when it is gone. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.running) return;
    const ends = signal === "SIGKILL" || signal === "SIGTERM";
    if (ends) this.#wanted = false;
    const gone = ends ? once(child, "exit") : undefined;
    child.kill(signal);
    const slow = setTimeout(() => {
      if (signal !== "SIGTERM") return;
      this.#onEvent(`${this.name} does not stop in ${STOP_MS_MAX / 1_000} s and is killed`);
      child.kill("SIGKILL");
    }, STOP_MS_MAX);
    await gone;
    clearTimeout(slow);
  }

  order(order: NodeOrder): void {
    if (this.running) this.#child?.send(order);
  }

  async stop(): Promise<void> {
    this.#wanted = false;
    this.#child?.kill("SIGCONT");
    await this.signal("SIGKILL");
  }

  #lastWords(): string {
    try {
      return readFileSync(`${this.config.logPath}.out`, "utf8").trim().split("\n").slice(-3).join(" ");
    } catch {
      return "it said nothing";
    }
  }
}
