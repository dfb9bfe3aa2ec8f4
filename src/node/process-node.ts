/**
 * Owns one process of a network: opens the roles that the network file gives it, joins them to those of other processes
 * over links, and to each other directly. Whoever it calls may be away; it runs, says so in /readyz, and calls again.
 * The parts of a role are loaded only where it runs: most of a start is the loading of modules.
 */

import { fromHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { CloseStack, runAll, type Service } from "../base/service.ts";
import { linkMetrics } from "../link/metrics.ts";
import { type LinkService, TlsListener } from "../link/tls-listener.ts";
import { HealthServer } from "../rpc/health-server.ts";
import { LiveCredentials } from "./live-credentials.ts";
import {
  dataDirOf,
  environmentOf,
  hostAndPort,
  type Network,
  networkError,
  type ProcessSpec,
  type RoleName,
} from "./network-file.ts";
import { logTokenOf, readAccountKey } from "./pki.ts";
import { sequencerError } from "./replica.ts";
import type { RoleContext, RoleNode } from "./role-node.ts";

export type ProcessOptions = {
  readonly network: Network;
  readonly process: ProcessSpec;
  /** Of the machine; the file's settings stand behind it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  readonly clock: Clock;
};

export class ProcessNode implements Service {
  readonly name: string;
  readonly #services: readonly Service[];
  readonly #handOver: (() => Promise<void>) | undefined;
  readonly #close: CloseStack;

  private constructor(
    name: string,
    opened: { readonly services: readonly Service[]; readonly handOver: (() => Promise<void>) | undefined },
    close: CloseStack,
  ) {
    this.name = name;
    this.#services = opened.services;
    this.#handOver = opened.handOver;
    this.#close = close;
  }

  /** Opens everything; when it resolves its ports answer. */
  static async create(options: ProcessOptions): Promise<ProcessNode> {
    const close = new CloseStack();
    try {
      return new ProcessNode(options.process.name, await open(options, close), close);
    } catch (error) {
      await close.close().catch(() => undefined);
      throw error;
    }
  }

  /** Runs until `signal` aborts; a fault that cannot be retried ends it with that fault. */
  run(signal: AbortSignal): Promise<void> {
    return runAll(signal, this.#services);
  }

  /** Gives the lead to another process. @throws {SequencerError} SEQUENCER_NOT_LEADING */
  async handOver(): Promise<void> {
    if (this.#handOver === undefined) throw sequencerError("SEQUENCER_NOT_LEADING", `${this.name} has no sequencer`);
    await this.#handOver();
  }

  close(): Promise<void> {
    return this.#close.close();
  }
}

async function open(
  options: ProcessOptions,
  close: CloseStack,
): Promise<{ readonly services: readonly Service[]; readonly handOver: (() => Promise<void>) | undefined }> {
  const { network, process: spec, clock } = options;
  const { cluster = "" } = spec;
  const contracts = network.clusters[cluster];
  if (contracts === undefined)
    throw networkError("NETWORK_NO_PROCESS", `${spec.name} works for no cluster of this file`);
  const log = options.log.child({ process: spec.name, cluster });
  const registry = new Metrics();
  const metrics = registry.withLabels({ rollup: network.network, cluster });
  const credentials = new LiveCredentials(network, spec, { log, metrics, clock });
  const context: RoleContext = {
    ...{ network, process: spec, cluster, log, metrics, clock, close },
    env: { ...logTokenOf(network), ...environmentOf(network, spec, options.env) },
    dataDir: dataDirOf(network, spec),
    l1: { rpcUrl: network.l1.rpc.join(","), beaconUrl: network.l1.beacon, chainId: network.l1.chainId },
    inbox: fromHex(contracts.inbox),
    posters: (spec.keys?.posters ?? []).map((path) => readAccountKey(network, path)),
    proposer: spec.keys?.proposer === undefined ? undefined : readAccountKey(network, spec.keys.proposer),
    callTo: (target, role, self) => ({
      ...hostAndPort(target.links ?? ""),
      credentials: () => credentials.current,
      self: { network: network.network, cluster, role: self, process: spec.name },
      role,
    }),
  };
  const services: Service[] = [credentials];
  const offers: LinkService[] = [];
  let handOver: (() => Promise<void>) | undefined;
  for (const openRole of rolesOf(spec)) {
    const role = await (await openRole())(context);
    services.push(...role.services);
    offers.push(...(role.offers ?? []));
    handOver ??= role.handOver;
  }
  if (offers.length > 0 && spec.links !== undefined) {
    const listener = await TlsListener.create({
      ...hostAndPort(spec.linksListen ?? spec.links),
      credentials: credentials.current,
      network: network.network,
      cluster,
      services: offers,
      log: log.child({ role: "link" }),
      metrics: linkMetrics(metrics),
    });
    close.add("links", () => listener.close());
    credentials.onChange((renewed) => listener.setCredentials(renewed));
    services.push(listener);
  }
  if (spec.health !== undefined) {
    const parts = [...services];
    const health = await HealthServer.create({
      ...hostAndPort(spec.health),
      parts: () => parts,
      metrics: registry,
      log,
    });
    close.add("health", () => health.close());
    services.push(health);
  }
  return { services, handOver };
}

type OpenRole = () => Promise<(context: RoleContext) => Promise<RoleNode>>;

/** A proposer comes with its verifier or sequencer, a publisher beside a sequencer with that. */
function rolesOf(spec: ProcessSpec): readonly OpenRole[] {
  const has = (role: RoleName): boolean => spec.roles.includes(role);
  const roles: OpenRole[] = [];
  if (has("executor")) roles.push(async () => (await import("./executor-node.ts")).openExecutorNode);
  if (has("sequencer")) roles.push(async () => (await import("./sequencer-node.ts")).openSequencerNode);
  if (has("verifier")) roles.push(async () => (await import("./verifying-node.ts")).openVerifyingNode);
  if (has("publisher") && !has("sequencer"))
    roles.push(async () => (await import("./publisher-node.ts")).openPublisherNode);
  return roles;
}
