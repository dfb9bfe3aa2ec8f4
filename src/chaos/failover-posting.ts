/**
 * Owns the part of the failover series whose faults are on publishers and proposers: a supervised network (`sheaf up`)
 * of two each beside their sequencer, on three log servers. Whoever works is killed or stopped; measured is the time
 * until the other one works, and what clients feel of it, which should be nothing. At the end no two contents may have
 * reached L1 for one place: a transaction of the posting accounts that L1 reverted.
 */
import { join } from "node:path";
import { userAccounts } from "../devnet/accounts.ts";
import { writeNetwork } from "../devnet/write-network.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import { NatsCluster } from "../log/nats-cluster.ts";
import { type Network, type ProcessSpec, readNetwork } from "../node/network-file.ts";
import { Supervisor } from "../node/supervisor.ts";
import type { Fault, Measured, PartCheck, PartOptions, Series } from "./failover.ts";
import { CLIENTS, GapClients } from "./gap-clients.ts";
import { chaosError } from "./network.ts";

const READY_MS_MAX = 300_000;
const TAKEOVER_MS_MAX = 60_000;
/** A stopped one comes back when another one has worked for this long. */
const AWAY_MS = 2_000;

const SETTINGS = {
  SHEAF_DEVNET_L1_BLOCK_SECONDS: "1",
  SHEAF_PUBLISHER_AGE_MAX_SECONDS: "1",
  SHEAF_PUBLISHER_IDLE_AGE_MAX_SECONDS: "2",
  SHEAF_PUBLISHER_POLL_MS: "300",
  SHEAF_PROPOSER_POLL_MS: "500",
  SHEAF_L1_REPLACE_AFTER_MS: "10000",
  SHEAF_L1_ADOPT_TIMEOUT_MS: "10000",
};

type RoleName = "publisher" | "proposer";

/** A part on a network of its own. */
export async function seriesOfPosting(p: PartOptions): Promise<Series> {
  const servers = await NatsCluster.start({ nodes: 3 });
  try {
    await servers.ready();
    const { path, deployment } = await writeNetwork({
      folder: join(p.folder, "network"),
      clusters: 1,
      executors: 0,
      publishers: 2,
      verifiers: 2,
      firstPort: 0,
      submissionInterval: 3,
      challengePeriodSeconds: 3,
      logs: { servers: servers.servers, replicas: 3 },
      settings: { ...SETTINGS, ...p.env },
    });
    const [cluster] = deployment.clusters;
    if (cluster === undefined) throw chaosError("CHAOS_STEP_FAILED", "the network has a cluster");
    const { inbox, outputOracle } = cluster.contracts;
    return new PostingSeries(readNetwork(path), cluster.chainId, [inbox, outputOracle], servers, p);
  } catch (error) {
    await servers.stop();
    throw error;
  }
}

class PostingSeries implements Series {
  readonly #network: Network;
  readonly #contracts: readonly string[];
  readonly #servers: NatsCluster;
  readonly #o: PartOptions;
  readonly #clients: GapClients;
  readonly #supervisor: Supervisor;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  /** Restarts that are ours. */
  #kills = 0;

  constructor(
    network: Network,
    chainId: number,
    contracts: readonly string[],
    servers: NatsCluster,
    options: PartOptions,
  ) {
    this.#network = network;
    this.#contracts = contracts.map((c) => c.toLowerCase());
    this.#servers = servers;
    this.#o = options;
    this.#clients = new GapClients({
      keys: userAccounts().map((a) => a.privateKey),
      chainId,
      urls: network.processes.filter((p) => p.roles.includes("sequencer")).map((p) => `http://${p.rpc}`),
      isUsable: () => true,
      random: options.random,
      clock: options.clock,
    });
    this.#supervisor = new Supervisor({
      network,
      env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
      logLevel: "warn",
      onLine: () => undefined,
      onChange: () => undefined,
      clock: options.clock,
    });
    this.#running = this.#supervisor.run(this.#stop.signal);
  }

  readonly start = async (): Promise<void> => {
    await this.#allReady();
    this.#clients.start();
  };

  readonly inject = async (fault: Fault): Promise<Measured> => {
    const { clock, signal } = this.#o;
    await this.#allReady();
    const role = fault === "kill-proposer" ? "proposer" : "publisher";
    const victim = await this.#workerOf(role);
    const pid = this.#supervisor.states.find((s) => s.name === victim)?.pid;
    if (pid === undefined) throw chaosError("CHAOS_STEP_FAILED", `${victim} has no process`);
    this.#clients.begin();
    await this.#until("confirmations before the fault", TAKEOVER_MS_MAX, async () => this.#clients.fresh >= CLIENTS);
    this.#clients.begin();
    const startMs = clock.nowMs();
    if (fault !== "stop-publisher") this.#kills++;
    process.kill(pid, fault === "stop-publisher" ? "SIGSTOP" : "SIGKILL");
    try {
      await this.#until(`another ${role}`, TAKEOVER_MS_MAX, async () => {
        const others = this.#having(role).filter(({ name }) => name !== victim);
        return (await Promise.all(others.map((p) => works(p, role)))).some((w) => w);
      });
      const takeoverMs = Math.round(clock.nowMs() - startMs);
      await clock.sleep(AWAY_MS, signal);
      await this.#until("confirmations", TAKEOVER_MS_MAX, async () => this.#clients.fresh >= 2 * CLIENTS);
      return { gapMs: this.#clients.gapMs(), takeoverMs };
    } finally {
      if (fault === "stop-publisher") process.kill(pid, "SIGCONT");
    }
  };

  readonly check = async (): Promise<PartCheck> => {
    await this.#allReady();
    await this.#clients.stop();
    const [rpc] = this.#clients.rpc;
    const head = async (): Promise<number> => Number(await rpc?.call("eth_blockNumber", []));
    const newest = await head();
    await this.#until("two more blocks", READY_MS_MAX, async () => (await head()) >= newest + 2);
    const restarts = this.#supervisor.states.reduce((sum, s) => sum + s.restarts, 0);
    const ended = restarts > this.#kills ? [`${restarts - this.#kills} of the supervised processes`] : [];
    const checked = await this.#clients.check([await head()]);
    return { ...checked, ended, reverted: await this.#reverted() };
  };

  readonly close = async (): Promise<void> => {
    await this.#clients.stop();
    this.#stop.abort();
    await this.#running;
    await this.#servers.stop();
  };

  #having(role: RoleName): ProcessSpec[] {
    return this.#network.processes.filter((p) => p.roles.includes(role));
  }

  async #workerOf(role: RoleName): Promise<string> {
    let found = "";
    await this.#until(`one ${role} works`, READY_MS_MAX, async () => {
      const having = this.#having(role);
      const working = await Promise.all(having.map((p) => works(p, role)));
      found = having[working.indexOf(true)]?.name ?? "";
      return working.filter((w) => w).length === 1;
    });
    return found;
  }

  async #allReady(): Promise<void> {
    await this.#until("every process is ready", READY_MS_MAX, async () => {
      if (this.#supervisor.states.some((s) => s.state !== "running")) return false;
      const ready = await Promise.all(this.#network.processes.map(async (p) => (await ask(p, "readyz"))?.ok ?? true));
      return ready.every((r) => r);
    });
  }

  /** Transactions to our contracts on L1 that were included and reverted. */
  async #reverted(): Promise<number> {
    const l1 = new JsonRpcClient({ url: this.#network.l1.rpc[0] as string, timeoutMs: 10_000 });
    const head = Number(await l1.call("eth_blockNumber", []));
    let reverted = 0;
    for (let n = 0; n <= head; n++) {
      const block = (await l1.call("eth_getBlockByNumber", [toHexNumber(n), true])) as L1BlockJson;
      for (const { to, hash } of block.transactions) {
        if (to === null || !this.#contracts.includes(to.toLowerCase())) continue;
        const { status } = (await l1.call("eth_getTransactionReceipt", [hash])) as { status: string };
        if (Number(status) === 0) reverted++;
      }
    }
    return reverted;
  }

  async #until(what: string, timeoutMs: number, holds: () => Promise<boolean>): Promise<void> {
    const { clock, signal } = this.#o;
    const endMs = clock.nowMs() + timeoutMs;
    while (!(await holds())) {
      if (signal.aborted || clock.nowMs() > endMs)
        throw chaosError("CHAOS_STEP_FAILED", `not in ${timeoutMs} ms: ${what}; ${await this.#complaints()}`);
      await clock.sleep(25);
    }
  }

  async #complaints(): Promise<string> {
    const told = await Promise.all(
      this.#network.processes.map(async (p) => {
        const state = this.#supervisor.states.find((s) => s.name === p.name)?.state;
        const answer = await ask(p, "readyz");
        return answer?.ok === true ? "" : `${p.name} (${state}): ${answer?.text.trim() ?? "no answer"}`;
      }),
    );
    return told.filter((text) => text !== "").join("; ");
  }
}

type L1BlockJson = { readonly transactions: readonly { readonly to: string | null; readonly hash: string }[] };

const toHexNumber = (n: number): string => `0x${n.toString(16)}`;

/** What the process says over its health port; undefined when it has none. */
async function ask(p: ProcessSpec, path: string): Promise<{ readonly ok: boolean; readonly text: string } | undefined> {
  if (p.health === undefined) return undefined;
  try {
    const answer = await fetch(`http://${p.health}/${path}`, { signal: AbortSignal.timeout(2_000) });
    return { ok: answer.ok, text: await answer.text() };
  } catch {
    return { ok: false, text: "no answer" };
  }
}

/** Whether the process does the role's work, by its metrics. */
async function works(p: ProcessSpec, role: RoleName): Promise<boolean> {
  const { text = "" } = (await ask(p, "metrics")) ?? {};
  return new RegExp(`^sheaf_role_works\\{[^}]*role="${role}"[^}]*\\} 1$`, "m").test(text);
}
