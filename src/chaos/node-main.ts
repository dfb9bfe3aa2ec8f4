/**
 * Owns a node of a drill as a process of its own: all roles of a cluster, on the L1 endpoints and log servers it is
 * given. It takes orders from its parent over the inherited channel, for the two faults that no signal or proxy makes:
 * its clock can be set wrong, and the sync of its log files can be slowed down. It dies with its parent.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { fromHex } from "../base/bytes.ts";
import { SteadyClock, systemClock } from "../base/clock.ts";
import { createLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { ClusterNode } from "../node/cluster-node.ts";
import { HealthServer, type ReadyPart } from "../rpc/health-server.ts";
import type { NodeConfig, NodeOrder, NodeReport } from "./node-process.ts";

const config = JSON.parse(process.argv[2] as string) as NodeConfig;
const tell = (report: NodeReport): void => void process.send?.(report);

let clockOffsetMs = 0;
/** As {@link systemClock}, on a wall clock that can be set wrong. */
const clock = new SteadyClock(
  () => performance.timeOrigin + performance.now() + clockOffsetMs,
  () => performance.now(),
);

let syncDelayMs = 0;
slowSyncs();

const stop = new AbortController();
process.on("message", (order: NodeOrder) => {
  if (order.clockOffsetMs !== undefined) clockOffsetMs = order.clockOffsetMs;
  if (order.syncDelayMs !== undefined) syncDelayMs = order.syncDelayMs;
  if (order.handOver === true) leading?.handOver().catch((err: unknown) => log.error("the lead stays here", { err }));
});
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
let leading: ClusterNode | undefined;
let isOpen = false;
// Who is not open yet has nothing to finish.
process.on("SIGTERM", () => (isOpen ? stop.abort() : process.kill(process.pid, "SIGKILL")));

const log = createLog({ level: "info", destination: config.logPath, fields: { node: config.name } });
const metrics = new Metrics();
const parts: ReadyPart[] = [{ name: config.name, notReady: () => "starting" }];
const health = await HealthServer.create({
  host: "127.0.0.1",
  port: config.ports.health,
  parts: () => parts,
  metrics,
  log,
});
tell({ kind: "health", url: health.url });
try {
  const node = await ClusterNode.create({
    name: config.name,
    dataDir: config.dataDir,
    l1: config.l1,
    inbox: fromHex(config.inbox),
    ports: { rpc: config.ports.rpc, verifierRpc: config.ports.verifierRpc },
    keys: { posters: config.posterKeys.map(fromHex), proposer: fromHex(config.proposerKey) },
    env: config.env,
    log,
    metrics: metrics.withLabels({ rollup: "chaos", cluster: config.cluster }),
    clock,
  });
  parts.splice(0, 1, node);
  isOpen = true;
  leading = node;
  tell({ kind: "open", rpcUrl: node.rpcUrl, wsUrl: node.wsUrl, verifierRpcUrl: node.verifierRpcUrl });
  try {
    await node.run(stop.signal);
  } finally {
    await node.close();
  }
} catch (err) {
  log.error("the node ends", { err });
  tell({ kind: "failed", message: err instanceof Error ? err.message : String(err) });
  process.exitCode = 1;
} finally {
  await health.close();
  process.removeAllListeners("disconnect");
  process.disconnect();
  // Threads of libraries must not keep a node alive that is over; the logs were synced when it was told so.
  setTimeout(() => process.kill(process.pid, "SIGKILL"), 2_000).unref();
}

/** Every sync of a file takes `syncDelayMs` longer, as on a disk that is ill. The sync itself is the real one. */
function slowSyncs(): void {
  const probe = fs.promises.open;
  fs.promises.open = async (...args: Parameters<typeof probe>) => {
    const file = await probe(...args);
    const sync = file.datasync.bind(file);
    file.datasync = async () => {
      if (syncDelayMs > 0) await systemClock.sleep(syncDelayMs);
      await sync();
    };
    return file;
  };
  syncBuiltinESMExports();
}
