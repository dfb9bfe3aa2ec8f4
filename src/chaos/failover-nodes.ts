/**
 * Owns the part of the failover series whose faults are on nodes, on the processes a node starts, and on log servers: a
 * leader and its standbys on three log servers, or one node whose lanes, executors and key shards are processes.
 */
import { readdirSync, readFileSync } from "node:fs";
import { userAccounts } from "../devnet/accounts.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import type { Fault, Measured, PartCheck, PartOptions, Series } from "./failover.ts";
import { CLIENTS, GapClients } from "./gap-clients.ts";
import { ChaosNetwork, chaosError } from "./network.ts";
import type { NodeProcess } from "./node-process.ts";

const READY_MS_MAX = 300_000;
/** Who asks how a node stands has time: on a busy machine it only answers late. */
const STANDING_TIMEOUT_MS = 15_000;
const RECOVERY_MS_MAX = 120_000;
/** A leader that was harmed comes back when another one has led for this long. */
const AWAY_MS = 1_500;

/** Entries of the processes that a node starts, by what is done to them. */
const WORKER_ENTRIES = {
  "kill-lane": /\/lane-worker\.ts/,
  "kill-executor": /executor-worker\.ts/,
  "kill-key-shard": /\/keyshard\/shard-worker\.ts/,
} as const;
/** Those whose work cannot wait: a node starts them again at once. Executors come back when something is dealt out. */
const NEEDED = /\/(lane\/lane-worker|keyshard\/shard-worker)\.ts/;

type Standing = {
  readonly leads: boolean;
  readonly ready: boolean;
  readonly stands: boolean;
  readonly reason?: string;
  readonly head: number;
};

/** A part on a network of `nodes` nodes. */
export async function seriesOfNodes(nodes: number, p: PartOptions): Promise<Series> {
  const network = await ChaosNetwork.start(
    { nodes, logServers: 3, l1Endpoints: 1, env: p.env },
    { folder: p.folder, random: p.random, clock: p.clock, onEvent: () => undefined, signal: p.signal },
  );
  return new NodeSeries(network, p);
}

class NodeSeries implements Series {
  readonly #network: ChaosNetwork;
  readonly #o: PartOptions;
  readonly #clients: GapClients;
  readonly #askers: readonly JsonRpcClient[];
  /** Nodes that clients leave alone: a fault is on them. */
  readonly #faulty = new Set<number>();
  /** Processes that a node starts, when all is well. */
  #workers = 0;

  constructor(network: ChaosNetwork, options: PartOptions) {
    this.#network = network;
    this.#o = options;
    this.#askers = network.nodes.map((n) => new JsonRpcClient({ url: n.rpcUrl, timeoutMs: STANDING_TIMEOUT_MS }));
    this.#clients = new GapClients({
      keys: userAccounts().map((a) => a.privateKey),
      chainId: network.chainId,
      urls: network.nodes.map((n) => n.rpcUrl),
      isUsable: (i) => network.nodes[i]?.open === true && !this.#faulty.has(i),
      random: options.random,
      clock: options.clock,
    });
  }

  readonly start = async (): Promise<void> => {
    await this.#allReady();
    this.#workers = this.#workersOf(0, NEEDED).length;
    this.#clients.start();
  };

  readonly inject = async (fault: Fault): Promise<Measured> => {
    await this.#allReady();
    const leader = await this.#leader();
    if (fault === "kill-executor" && this.#workersOf(leader, WORKER_ENTRIES[fault]).length === 0)
      await this.#restart(leader);
    return { gapMs: await this.#inject(fault, await this.#leader()) };
  };

  readonly check = async (): Promise<PartCheck> => {
    await this.#allReady();
    await this.#clients.stop();
    await this.#nextBlocks();
    const heads = (await this.#standings()).map((s) => s?.head ?? 0);
    const ended = this.#network.nodes.flatMap((n) => n.ends.map((end) => `${n.name}: ${end}`));
    return { ...(await this.#clients.check(heads)), ended };
  };

  readonly close = async (): Promise<void> => {
    await this.#clients.stop();
    await this.#network.close();
  };

  // ---- faults ----

  #inject(fault: Fault, leader: number): Promise<number> {
    const { nodes, lines, logServers } = this.#network;
    const node = nodes[leader] as NodeProcess;
    const kill = (i: number): Promise<number> => {
      const victim = nodes[i] as NodeProcess;
      return this.#around(
        [i],
        () => victim.signal("SIGKILL"),
        async () => victim.start(),
      );
    };
    switch (fault) {
      case "kill":
        return kill(leader);
      case "kill-standby":
        return kill((leader + 1) % nodes.length);
      case "stop":
        return this.#around(
          [leader],
          () => node.signal("SIGSTOP"),
          () => node.signal("SIGCONT"),
        );
      case "cut": {
        // Now connections end, now they stay and nothing passes.
        const how = this.#o.random() < 0.5 ? { cut: true } : { silent: true };
        const set = async (line: object): Promise<void> => lines[leader]?.forEach((l) => l.set(line));
        return this.#around(
          [leader],
          () => set(how),
          () => set({}),
        );
      }
      case "hand-over":
        return this.#around([], async () => node.order({ handOver: true }), undefined, leader);
      case "kill-lane":
      case "kill-executor":
      case "kill-key-shard":
        return this.#around([], () => this.#killWorker(leader, WORKER_ENTRIES[fault]), undefined);
      case "kill-log-server": {
        let name = "";
        return this.#around(
          [],
          async () => {
            name = await this.#orderServer();
            await logServers?.kill(name);
          },
          async () => logServers?.restart(name),
        );
      }
      case "kill-publisher":
      case "stop-publisher":
      case "kill-proposer":
        break;
    }
    throw chaosError("CHAOS_STEP_FAILED", `${fault} is another part's`);
  }

  /** Longest time without a confirmation, from the fault until new transactions are confirmed and it is healed. */
  async #around(
    faulty: readonly number[],
    begin: () => Promise<unknown>,
    heal: (() => Promise<unknown>) | undefined,
    leaves?: number,
  ): Promise<number> {
    const { clock, signal } = this.#o;
    // The load runs as it should: what was before is not of this fault.
    this.#clients.begin();
    await this.#until("confirmations before the fault", RECOVERY_MS_MAX, async () => this.#clients.fresh >= CLIENTS);
    for (const i of faulty) this.#faulty.add(i);
    this.#clients.begin();
    await begin();
    await this.#until("confirmations after the fault", RECOVERY_MS_MAX, async () => this.#clients.fresh >= 2 * CLIENTS);
    if (leaves !== undefined)
      await this.#until("another leader", RECOVERY_MS_MAX, async () => (await this.#standing(leaves))?.leads === false);
    if (heal !== undefined) {
      await clock.sleep(AWAY_MS, signal);
      await heal();
      await clock.sleep(AWAY_MS, signal);
    }
    for (const i of faulty) this.#faulty.delete(i);
    return this.#clients.gapMs();
  }

  /** Between faults: a node whose executors are all gone, as transfers are not worth dealing out. */
  async #restart(node: number): Promise<void> {
    await this.#network.nodes[node]?.signal("SIGKILL");
    this.#network.nodes[node]?.start();
    await this.#allReady();
  }

  async #orderServer(): Promise<string> {
    const { logServers } = this.#network;
    const js = await logServers?.connect();
    try {
      const order = (await js?.streamNames())?.find((name) => name.endsWith("-order"));
      const leader = order === undefined ? undefined : (await js?.streamServers(order))?.leader;
      return leader ?? (logServers?.nodes[0]?.name as string);
    } finally {
      await js?.close();
    }
  }

  async #killWorker(node: number, entry: RegExp): Promise<void> {
    const pids = this.#workersOf(node, entry);
    const pid = pids[Math.floor(this.#o.random() * pids.length)];
    if (pid === undefined) throw chaosError("CHAOS_STEP_FAILED", `node ${node} has no process of ${entry.source}`);
    process.kill(pid, "SIGKILL");
  }

  /** Processes that the node has started. */
  #workersOf(node: number, entry: RegExp): number[] {
    const parent = this.#network.nodes[node]?.pid;
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          const [, ppid] = /\) . (\d+) /.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
          return Number(ppid) === parent && entry.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
        } catch {
          return false; // it has just ended
        }
      });
  }

  // ---- what nodes say ----

  async #standing(i: number): Promise<Standing | undefined> {
    try {
      return (await this.#askers[i]?.call("sheaf_leader", [])) as Standing;
    } catch {
      return undefined;
    }
  }

  #standings(): Promise<(Standing | undefined)[]> {
    return Promise.all(this.#network.nodes.map((_, i) => this.#standing(i)));
  }

  async #leader(): Promise<number> {
    let found = -1;
    await this.#until("one leader", READY_MS_MAX, async () => {
      const standings = await this.#standings();
      found = standings.findIndex((s) => s?.leads === true);
      return standings.filter((s) => s?.leads === true).length === 1;
    });
    return found;
  }

  async #allReady(): Promise<void> {
    await this.#until("all nodes are ready", READY_MS_MAX, async () => {
      const standings = await this.#standings();
      return (
        standings.every((s) => s?.ready === true && s.stands) &&
        standings.filter((s) => s?.leads === true).length === 1 &&
        this.#workersOf(0, NEEDED).length >= this.#workers
      );
    });
  }

  /** What is confirmed now is sealed everywhere then. */
  async #nextBlocks(): Promise<void> {
    const heads = async (): Promise<number[]> => (await this.#standings()).map((s) => s?.head ?? 0);
    const newest = Math.max(...(await heads()));
    await this.#until("two more blocks", READY_MS_MAX, async () => Math.min(...(await heads())) >= newest + 2);
  }

  async #until(what: string, timeoutMs: number, holds: () => Promise<boolean>): Promise<void> {
    const { clock, signal } = this.#o;
    const endMs = clock.nowMs() + timeoutMs;
    while (!(await holds())) {
      if (signal.aborted || clock.nowMs() > endMs)
        throw chaosError(
          "CHAOS_STEP_FAILED",
          `not in ${timeoutMs} ms: ${what}; ${JSON.stringify(await this.#standings())}`,
        );
      await clock.sleep(50);
    }
  }
}
