/**
 * Owns one process of a network: opens the roles that the network file gives it, joins them to those of other processes
 * over links, and to each other directly. Whoever it calls may be away; it runs, says so in /readyz, and calls again.
 */

import { fromHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import type { Log } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { CloseStack, runAll, type Service } from "../base/service.ts";
import { executorSeats, executorService } from "../execution/sharded/remote-executor.ts";
import { ShardedEngine } from "../execution/sharded/sharded-engine.ts";
import { linkMetrics } from "../link/metrics.ts";
import type { CallOptions } from "../link/tls-link.ts";
import { type LinkService, TlsListener } from "../link/tls-listener.ts";
import { publisherConfig } from "../publisher/config.ts";
import { DerivedServer } from "../publisher/derived-link.ts";
import { SealedServer } from "../publisher/sealed-link.ts";
import { HealthServer } from "../rpc/health-server.ts";
import { ClusterNode, sealedBlocks } from "./cluster-node.ts";
import {
  dataDirOf,
  environmentOf,
  hostAndPort,
  type Network,
  networkError,
  type ProcessSpec,
  processesOf,
  type RoleName,
} from "./network-file.ts";
import { credentialsOf, logTokenOf, readAccountKey } from "./pki.ts";
import { openPublisherNode } from "./publisher-node.ts";
import { sequencerError } from "./replica.ts";
import { openVerifyingNode } from "./verifying-node.ts";

/** Executors of one sequencer. */
const EXECUTORS_MAX = 64;
/** One posts, another may wait to take its place. */
const PUBLISHERS_MAX = 4;

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
  readonly #close: CloseStack;

  private constructor(name: string, services: readonly Service[], close: CloseStack) {
    this.name = name;
    this.#services = services;
    this.#close = close;
  }

  /** Opens everything; when it resolves its ports answer. */
  static async create(options: ProcessOptions): Promise<ProcessNode> {
    const close = new CloseStack();
    try {
      const services = await open(options, close);
      return new ProcessNode(options.process.name, services, close);
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
    const leading = this.#services.find((service) => service instanceof ClusterNode);
    if (leading === undefined) throw sequencerError("SEQUENCER_NOT_LEADING", `${this.name} has no sequencer`);
    await leading.handOver();
  }

  close(): Promise<void> {
    return this.#close.close();
  }
}

async function open(options: ProcessOptions, close: CloseStack): Promise<Service[]> {
  const { network, process: spec, clock } = options;
  const { cluster = "" } = spec;
  const contracts = network.clusters[cluster];
  if (contracts === undefined)
    throw networkError("NETWORK_NO_PROCESS", `${spec.name} works for no cluster of this file`);
  const log = options.log.child({ process: spec.name, cluster });
  const registry = new Metrics();
  const metrics = registry.withLabels({ rollup: network.network, cluster });
  const env = { ...logTokenOf(network), ...environmentOf(network, spec, options.env) };
  const has = (role: RoleName): boolean => spec.roles.includes(role);
  const credentials = credentialsOf(network, spec, clock.nowMs());
  const l1 = { rpcUrl: network.l1.rpc.join(","), beaconUrl: network.l1.beacon, chainId: network.l1.chainId };
  const inbox = fromHex(contracts.inbox);
  const dataDir = dataDirOf(network, spec);
  const posters = (spec.keys?.posters ?? []).map((path) => readAccountKey(network, path));
  const proposer = spec.keys?.proposer === undefined ? undefined : readAccountKey(network, spec.keys.proposer);
  const common = { env, log, metrics, clock, dataDir, l1, inbox };
  /** How to reach `role`, speaking as `self`. */
  const callTo = (target: ProcessSpec, role: RoleName, self: RoleName): Omit<CallOptions, "service"> => ({
    ...hostAndPort(target.links ?? ""),
    credentials,
    self: { network: network.network, cluster, role: self, process: spec.name },
    role,
  });

  const services: Service[] = [];
  const offers: LinkService[] = [];
  if (has("executor")) {
    for (const sequencer of processesOf(network, cluster, "sequencer"))
      services.push(
        await executorService({
          name: `executor of ${sequencer.name}`,
          call: callTo(sequencer, "sequencer", "executor"),
          log: log.child({ role: "executor" }),
          metrics: linkMetrics(metrics),
          clock,
        }),
      );
  }
  if (has("sequencer")) {
    const elsewhere = (role: RoleName): boolean =>
      network.processes.some((p) => p.cluster === cluster && p.name !== spec.name && p.roles.includes(role));
    let sealed: SealedServer | undefined;
    const rpc = hostAndPort(spec.rpc ?? "");
    const node = await ClusterNode.create({
      ...common,
      name: spec.name,
      ports: { rpc: rpc.port, verifierRpc: spec.verifierRpc === undefined ? 0 : hostAndPort(spec.verifierRpc).port },
      env: { SHEAF_RPC_HOST: rpc.host, ...env },
      keys: { posters, proposer },
      guests: elsewhere("executor"),
      ...(has("publisher") ? {} : { admissionShare: (bytes) => sealed?.admissionShare(bytes) ?? 1 }),
    });
    close.add(node.name, () => node.close());
    const { sequencer, engine, chain, verifier } = node;
    if (engine instanceof ShardedEngine) offers.push(executorSeats(engine, EXECUTORS_MAX));
    if (!has("publisher")) {
      sealed = new SealedServer({
        sealed: sealedBlocks(chain, sequencer),
        onRewind: (listener) => sequencer.sealer.subscribe({ rewound: () => listener() }),
        term: () => sequencer.term,
        backlogMaxBytes: readConfig(publisherConfig, env).backlogMaxBytes,
      });
      offers.push(sealed.service(PUBLISHERS_MAX));
    }
    const derived = new DerivedServer(() => verifier.status(), { log, clock });
    offers.push(derived.service(PUBLISHERS_MAX));
    services.push(node, derived);
  }
  if (has("verifier")) {
    const verifying = await openVerifyingNode(
      { ...common, rpc: hostAndPort(spec.rpc ?? ""), proposerKey: proposer },
      close,
    );
    const derived = new DerivedServer(() => verifying.verifier.status(), { log, clock });
    offers.push(derived.service(PUBLISHERS_MAX));
    services.push(...verifying.services, derived);
  }
  if (has("publisher") && !has("sequencer")) {
    const callAll = (role: RoleName) =>
      processesOf(network, cluster, role).map((target) => callTo(target, role, "publisher"));
    const sequencers = callAll("sequencer");
    const verifiers = callAll("verifier");
    services.push(
      ...(await openPublisherNode({
        ...common,
        keys: posters,
        sequencers,
        // Verifiers of their own, where there are any: the sequencer is not believed about what L1 says.
        verifiers: verifiers.length > 0 ? verifiers : sequencers,
      })),
    );
  }
  if (offers.length > 0 && spec.links !== undefined) {
    const listener = await TlsListener.create({
      ...hostAndPort(spec.linksListen ?? spec.links),
      credentials,
      network: network.network,
      cluster,
      services: offers,
      log: log.child({ role: "link" }),
      metrics: linkMetrics(metrics),
    });
    close.add("links", () => listener.close());
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
  return services;
}
