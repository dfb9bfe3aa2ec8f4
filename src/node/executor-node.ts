/** Owns a process that executes for sequencers elsewhere: an engine that calls each of them and serves it. */
import { executorService } from "../execution/sharded/remote-executor.ts";
import { linkMetrics } from "../link/metrics.ts";
import { processesOf } from "./network-file.ts";
import type { RoleContext, RoleNode } from "./role-node.ts";

export async function openExecutorNode({
  network,
  cluster,
  callTo,
  log,
  metrics,
  clock,
}: RoleContext): Promise<RoleNode> {
  const services = [];
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
  return { services };
}
