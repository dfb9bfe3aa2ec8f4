/** Owns carrying out the steps of a scenario on a network, and looking whether a condition holds. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { posterAccounts } from "../devnet/accounts.ts";
import { SnapshotFolder } from "../snapshot/snapshot-folder.ts";
import type { Load } from "./load.ts";
import { type ChaosNetwork, chaosError } from "./network.ts";
import type { NodeProcess } from "./node-process.ts";
import type { Condition, LogServerRef, NodeRef, Step } from "./scenario.ts";
import type { Watch } from "./watch.ts";

const LOOK_EVERY_MS = 50;
const run = promisify(execFile);

export type StepContext = {
  readonly network: ChaosNetwork;
  readonly load: Load;
  readonly watch: Watch;
  readonly random: () => number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly event: (what: string) => void;
};

export class Steps {
  readonly #c: StepContext;
  #firstKilled: number | undefined;

  constructor(context: StepContext) {
    this.#c = context;
  }

  #node(ref: NodeRef): { node: NodeProcess; index: number } {
    const { network, watch } = this.#c;
    const index =
      typeof ref === "number"
        ? ref
        : ref === "leader"
          ? watch.leader()
          : ref === "first killed"
            ? this.#firstKilled
            : network.nodes.findIndex((n, i) => n.running && i !== watch.leader());
    const node = index === undefined ? undefined : network.nodes[index];
    if (node === undefined || index === undefined) throw chaosError("CHAOS_STEP_FAILED", `there is no ${ref} now`);
    return { node, index };
  }

  async #servers(ref: LogServerRef): Promise<number[]> {
    const { logServers } = this.#c.network;
    if (logServers === undefined) throw chaosError("CHAOS_STEP_FAILED", "this network has no log servers");
    const all = logServers.nodes.map((_, i) => i);
    if (ref === "all") return all;
    if (ref === "majority") return all.slice(0, (all.length >> 1) + 1);
    if (typeof ref === "number") return [ref];
    const js = await logServers.connect();
    try {
      const order = (await js.streamNames()).find((name) => name.endsWith("-order"));
      if (order === undefined) throw chaosError("CHAOS_STEP_FAILED", "there is no order log");
      const { leader } = await js.streamServers(order);
      return [logServers.nodes.findIndex((n) => n.name === leader)];
    } finally {
      await js.close();
    }
  }

  async run(step: Exclude<Step, { do: "until" | "mark" }>): Promise<void> {
    const { network, load, watch, clock, signal, event, random } = this.#c;
    switch (step.do) {
      case "wait":
        event(`load for ${step.seconds} s`);
        return clock.sleep(step.seconds * 1_000, signal);
      case "signal": {
        const { node, index } = this.#node(step.node);
        if (step.signal === "SIGKILL" || step.signal === "SIGSTOP") this.#firstKilled ??= index;
        event(`${step.signal} to ${node.name}`);
        return node.signal(step.signal);
      }
      case "start": {
        const { node } = this.#node(step.node);
        event(`start ${node.name}`);
        node.start();
        return;
      }
      case "lose disk": {
        const { node, index } = this.#node(step.node);
        event(`the disk of ${node.name} is lost`);
        network.loseDisk(node);
        watch.forget(index);
        return;
      }
      case "restore snapshot":
        return this.#restore(this.#node(step.node).node);
      case "l1":
        event(`L1 endpoint ${step.endpoint}: ${describeFault(step.faults)}`);
        for (const [i, endpoint] of network.endpoints.entries())
          if (step.endpoint === "all" || step.endpoint === i) endpoint.set(step.faults);
        return;
      case "reorg":
        event(`L1 reorganises ${step.depth} blocks; their transactions are gone`);
        return network.l1.reorg(step.depth, clock);
      case "poster balance":
        event(`each poster account holds ${step.eth} ETH`);
        for (const { address } of posterAccounts(0))
          await network.l1.rpc.call("anvil_setBalance", [
            toHex(address),
            `0x${(BigInt(step.eth) * 10n ** 18n).toString(16)}`,
          ]);
        return;
      case "log servers": {
        for (const i of await this.#servers(step.which)) {
          const server = network.logServers?.nodes[i];
          if (server === undefined) continue;
          event(`${step.signal} to log server ${server.name}`);
          if (step.signal === "SIGKILL") await network.logServers?.kill(server.name);
          else server.process.kill(step.signal);
        }
        return;
      }
      case "start log servers":
        for (const server of network.logServers?.nodes ?? []) {
          const { process: child, name } = server;
          if (child.exitCode === null && child.signalCode === null) continue;
          event(`start log server ${name}`);
          network.logServers?.restart(name);
        }
        return;
      case "line": {
        const { node, index } = this.#node(step.node);
        const servers = await this.#servers(step.server);
        event(`lines of ${node.name} to log servers ${servers.join(", ")}: ${describeFault(step.fault)}`);
        for (const i of servers) network.lines[index]?.[i]?.set(step.fault);
        return;
      }
      case "slow sync": {
        const { node } = this.#node(step.node);
        event(`syncs of ${node.name} take ${step.ms} ms more`);
        node.order({ syncDelayMs: step.ms });
        return;
      }
      case "clock": {
        const { node } = this.#node(step.node);
        event(`the clock of ${node.name} is ${step.shiftSeconds} s off`);
        node.order({ clockOffsetMs: step.shiftSeconds * 1_000 });
        return;
      }
      case "fill disk": {
        const { node } = this.#node(step.node);
        event(`the disk of ${node.name} is full`);
        network.fillDisk(node);
        return;
      }
      case "free disk": {
        const { node } = this.#node(step.node);
        event(`the disk of ${node.name} has room again`);
        network.freeDisk(node);
        return;
      }
      case "burst": {
        const startMs = clock.nowMs();
        event(`${step.transactions} transactions from ${step.accounts} accounts`);
        await load.burst(step.transactions, step.accounts, signal);
        event(`all of them are accepted after ${((clock.nowMs() - startMs) / 1_000).toFixed(1)} s`);
        return;
      }
      case "kill while starting": {
        const { node } = this.#node(step.node);
        for (let i = 0; i < step.times && !signal.aborted; i++) {
          const afterMs = Math.round(random() * step.withinMs);
          await node.signal("SIGKILL");
          node.start();
          await clock.sleep(afterMs, signal);
          event(`start ${i + 1} of ${step.times} of ${node.name} is killed after ${afterMs} ms`);
        }
        await node.signal("SIGKILL");
        node.start();
        return;
      }
      case "pause load":
        return load.pause();
      case "resume load":
        return load.resume();
    }
  }

  /** With the command an operator has. */
  async #restore(node: NodeProcess): Promise<void> {
    const { network, event, clock } = this.#c;
    const from = join(network.snapshotFolder, String(network.chainId));
    const newest = (await new SnapshotFolder(from).list()).at(-1);
    if (newest === undefined) throw chaosError("CHAOS_STEP_FAILED", `${from} holds no snapshot`);
    const startMs = clock.nowMs();
    await run(
      process.execPath,
      [
        ...["--import", import.meta.resolve("tsx"), fileURLToPath(new URL("../main.ts", import.meta.url))],
        ...["snapshot", "restore", "--from", from, "--to", node.config.dataDir, "--without-logs"],
        ...["--signer", toHex(newest.signer), "--chain-id", String(network.chainId)],
        ...["--genesis", toHex(newest.manifest.genesisHash)],
      ],
      { env: {} },
    );
    const block = newest.manifest.databases[0]?.head.number;
    event(`${node.name} is restored from the snapshot of block ${block} in ${clock.nowMs() - startMs} ms`);
  }

  /** Looks until the condition holds. Resolves to the milliseconds it took, undefined when the bound passed. */
  async until(condition: Condition, withinMs: number): Promise<number | undefined> {
    const { clock, signal } = this.#c;
    const startMs = clock.nowMs();
    const holds = this.#test(condition);
    while (!signal.aborted) {
      if (await holds()) return clock.nowMs() - startMs;
      if (clock.nowMs() - startMs > withinMs) return undefined;
      await clock.sleep(LOOK_EVERY_MS, signal);
    }
    throw chaosError("CHAOS_STEP_FAILED", "the drill was stopped");
  }

  #test(condition: Condition): () => Promise<boolean> | boolean {
    const { network, load, watch } = this.#c;
    const some = (holds: (node: number) => boolean): boolean => network.nodes.some((n, i) => n.running && holds(i));
    if ("probe" in condition) return this.#probe(condition.probe);
    if ("stillForSeconds" in condition) return () => watch.stillForMs() > condition.stillForSeconds * 1_000;
    if ("says" in condition) {
      const pattern = new RegExp(condition.says, "i");
      return () => some((i) => Object.values(watch.waiting(i)).some((words) => pattern.test(words)));
    }
    if ("ready" in condition)
      return () => network.nodes.every((n, i) => !n.open || watch.ready(i)) && some(watch.ready.bind(watch));
    if ("metric" in condition) {
      const { metric, above = -Infinity, below = Infinity } = condition;
      const where = condition.where?.replace(
        /\{endpoint (\d)\}/,
        (_, i) => new URL(network.endpoints[Number(i)]?.url ?? "").host,
      );
      return () =>
        some((i) => {
          const value = watch.metric(i, metric, where);
          return value > above && value < below;
        });
    }
    if ("posted" in condition) {
      let target: number | undefined;
      return () => {
        const heads = watch.heads(watch.leader() ?? 0);
        if (heads === undefined) return false;
        target ??= heads.latest.number;
        return heads.safe.number >= target;
      };
    }
    if ("served" in condition) {
      const endpoint = network.endpoints[condition.served];
      const before = endpoint?.answeredTotal ?? 0;
      return () => (endpoint?.answeredTotal ?? 0) >= before + condition.calls;
    }
    if ("logs" in condition) {
      const pattern = new RegExp(condition.logs);
      return () => network.nodes.some((n) => pattern.test(readFileSync(n.config.logPath, "utf8")));
    }
    return () => {
      const p99Ms = load.p99Ms(condition.overSeconds);
      return p99Ms !== undefined && p99Ms <= condition.p99AtMostMs;
    };
  }

  #probe(reaches: "confirmed" | "sealed" | "safe"): () => Promise<boolean> {
    const { load, watch } = this.#c;
    let hash: string | undefined;
    return async () => {
      hash ??= await load.probe();
      if (hash === undefined) return false;
      const receipt = (await load.ask("eth_getTransactionReceipt", [hash])) as { blockNumber: string } | undefined;
      if (receipt === undefined) return false;
      if (reaches === "confirmed") return true;
      const heads = watch.heads(watch.leader() ?? 0);
      return (heads?.[reaches === "sealed" ? "latest" : "safe"].number ?? -1) >= Number(receipt.blockNumber);
    };
  }
}

function describeFault(fault: object = {}): string {
  const text = Object.entries(fault)
    .map(([name, value]) => (value === true ? name : `${name} ${String(value)}`))
    .join(", ");
  return text === "" ? "healed" : text;
}

/** A condition in words, for timeline and report. */
export function describeCondition(c: Condition): string {
  if ("probe" in c) return `a new transaction is ${c.probe}`;
  if ("stillForSeconds" in c) return `no block for ${c.stillForSeconds} s`;
  if ("says" in c) return `readiness says "${c.says}"`;
  if ("ready" in c) return "everything is ready";
  if ("metric" in c) {
    const limits = [
      ...(c.above === undefined ? [] : [`> ${c.above}`]),
      ...(c.below === undefined ? [] : [`< ${c.below}`]),
    ];
    return `${c.metric}${c.where === undefined ? "" : ` (${c.where})`} ${limits.join(" and ")}`;
  }
  if ("posted" in c) return "what was sealed is safe";
  if ("served" in c) return `L1 endpoint ${c.served} has served ${c.calls} calls`;
  if ("logs" in c) return `the log tells "${c.logs}"`;
  return `99% of confirmations within ${c.p99AtMostMs} ms`;
}
