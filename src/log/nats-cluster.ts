/**
 * A real cluster of nats-server processes on loopback: own temporary directory, free ports, ended by process id.
 * `natsMissing` says why there can be none here. Other test files, benches and stories start it through this file.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { freePort } from "../base/free-port.ts";
import { silentLog } from "../base/log.ts";
import { JetStream, type JetStreamSettings } from "./jetstream.ts";

const START_TIMEOUT_MS = 60_000;

/** Why no cluster can run here; false when one can. */
export function natsMissing(): string | false {
  try {
    execFileSync("nats-server", ["--version"], { stdio: "ignore" });
    return false;
  } catch {
    return "nats-server is not installed: apt-get install nats-server";
  }
}

export type NatsClusterOptions = {
  readonly nodes?: number;
  /** Lines for each node's configuration file (authorization, TLS, …). */
  readonly config?: string;
  /** Credentials for the connection that the start waits with. */
  readonly credentials?: Partial<JetStreamSettings>;
  /** False: servers tell clients nothing of each other, whose lines then all go through the proxies they were given. */
  readonly advertise?: boolean;
  /** Has the file system write every byte to the disk before a write returns (ext4; needs chattr). */
  readonly syncWrites?: boolean;
};

type Node = { readonly name: string; readonly port: number; readonly configPath: string; process: ChildProcess };

export class NatsCluster {
  readonly directory: string;
  readonly nodes: Node[] = [];
  readonly #options: NatsClusterOptions;

  private constructor(directory: string, options: NatsClusterOptions) {
    this.directory = directory;
    this.#options = options;
  }

  static async start(options: NatsClusterOptions = {}): Promise<NatsCluster> {
    const cluster = new NatsCluster(mkdtempSync(join(tmpdir(), "sheaf-nats-")), options);
    try {
      await cluster.#start();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const count = this.#options.nodes ?? 3;
    const ports: { client: number; cluster: number }[] = [];
    for (let i = 0; i < count; i++) ports.push({ client: await freePort(), cluster: await freePort() });
    for (const [i, { client, cluster }] of ports.entries()) {
      const name = `n${i}`;
      const store = join(this.directory, name);
      mkdirSync(store);
      if (this.#options.syncWrites === true) execFileSync("chattr", ["+S", store]);
      const routes = ports.filter((_, j) => j !== i).map((p) => `nats-route://127.0.0.1:${p.cluster}`);
      const configPath = join(this.directory, `${name}.conf`);
      const clustered = `cluster { name: sheaf, listen: "127.0.0.1:${cluster}", routes: [${routes.join(", ")}], no_advertise: ${this.#options.advertise === false} }`;
      writeFileSync(
        configPath,
        [
          `server_name: ${name}`,
          `listen: "127.0.0.1:${client}"`,
          `jetstream { store_dir: "${store}", max_mem: 64MB, max_file: 4GB }`,
          ...(count > 1 ? [clustered] : []),
          this.#options.config ?? "",
        ].join("\n"),
      );
      this.nodes.push({ name, port: client, configPath, process: this.#spawn(name, configPath) });
    }
    await this.ready();
  }

  #spawn(name: string, configPath: string): ChildProcess {
    const log = openSync(join(this.directory, `${name}.out`), "a");
    const child = spawn("nats-server", ["-c", configPath], { stdio: ["ignore", log, log] });
    closeSync(log);
    return child;
  }

  get servers(): string[] {
    return this.nodes.map((node) => `127.0.0.1:${node.port}`);
  }

  settings(): JetStreamSettings {
    return {
      servers: this.servers,
      openTimeoutMs: START_TIMEOUT_MS,
      requestTimeoutMs: 2_000,
      ...this.#options.credentials,
    };
  }

  connect(settings: Partial<JetStreamSettings> = {}): Promise<JetStream> {
    return JetStream.connect({ ...this.settings(), ...settings }, silentLog, systemClock);
  }

  /** Resolves when streams with a replica on every node can be made. */
  async ready(): Promise<void> {
    const exited = this.nodes.find((node) => node.process.exitCode !== null);
    if (exited !== undefined) throw new Error(`${exited.name} ended: ${this.output(exited.name)}`);
    const js = await this.connect();
    try {
      const name = `ready-${Math.random().toString(36).slice(2)}`;
      await js.openStream(name, this.nodes.length);
      await js.deleteStream(name);
    } catch (error) {
      throw new Error(`the cluster does not come up: ${this.nodes.map((n) => this.output(n.name)).join("\n")}`, {
        cause: error,
      });
    } finally {
      await js.close();
    }
  }

  output(name: string): string {
    return readFileSync(join(this.directory, `${name}.out`), "utf8")
      .split("\n")
      .slice(-15)
      .join("\n");
  }

  node(name: string): Node {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** kill -9 by default; resolves when the process is gone. */
  async kill(name: string, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const { process: child } = this.node(name);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  restart(name: string): void {
    const node = this.node(name);
    node.process = this.#spawn(name, node.configPath);
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) {
      node.process.kill("SIGCONT");
      await this.kill(node.name);
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}
