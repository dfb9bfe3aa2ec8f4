/**
 * Owns a process that sequences: a cluster's node with what it offers to processes elsewhere, which are seats for
 * executors, the sealed chain for publishers, and its own view of derivation for those without a verifier.
 */
import { readConfig } from "../base/config.ts";
import { executorSeats } from "../execution/sharded/remote-executor.ts";
import { ShardedEngine } from "../execution/sharded/sharded-engine.ts";
import type { LinkService } from "../link/tls-listener.ts";
import { publisherConfig } from "../publisher/config.ts";
import { DerivedServer } from "../publisher/derived-link.ts";
import { SealedServer } from "../publisher/sealed-link.ts";
import { ClusterNode, sealedBlocks } from "./cluster-node.ts";
import { hostAndPort, type RoleName } from "./network-file.ts";
import { PUBLISHERS_MAX, type RoleContext, type RoleNode } from "./role-node.ts";

/** Executors of one sequencer. */
const EXECUTORS_MAX = 64;

export async function openSequencerNode(context: RoleContext): Promise<RoleNode> {
  const { network, process: spec, cluster, env, posters, proposer, log, clock, close } = context;
  const isElsewhere = (role: RoleName): boolean =>
    network.processes.some((p) => p.cluster === cluster && p.name !== spec.name && p.roles.includes(role));
  const publishes = spec.roles.includes("publisher");
  const rpc = hostAndPort(spec.rpc ?? "");
  let sealed: SealedServer | undefined;
  const node = await ClusterNode.create({
    ...context,
    name: spec.name,
    ports: { rpc: rpc.port, verifierRpc: spec.verifierRpc === undefined ? 0 : hostAndPort(spec.verifierRpc).port },
    env: { SHEAF_RPC_HOST: rpc.host, ...env },
    keys: { posters, proposer },
    guests: isElsewhere("executor"),
    ...(publishes ? {} : { admissionShare: (bytes) => sealed?.admissionShare(bytes) ?? 1 }),
  });
  close.add(node.name, () => node.close());
  const { sequencer, engine, chain, verifier } = node;
  const offers: LinkService[] = [];
  if (engine instanceof ShardedEngine) offers.push(executorSeats(engine, EXECUTORS_MAX));
  if (!publishes) {
    sealed = new SealedServer({
      sealed: sealedBlocks(chain, sequencer),
      onRewind: (listener) => sequencer.sealer.subscribe({ rewound: () => listener() }),
      term: () => sequencer.term,
      leads: () => sequencer.leads,
      backlogMaxBytes: readConfig(publisherConfig, env).backlogMaxBytes,
    });
    offers.push(sealed.service(PUBLISHERS_MAX));
  }
  const derived = new DerivedServer(() => verifier.status(), { log, clock });
  offers.push(derived.service(PUBLISHERS_MAX));
  return { services: [node, derived], offers, handOver: () => node.handOver() };
}
