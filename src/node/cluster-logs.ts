/**
 * Owns the choice of a cluster's logs: files below its data directory, or streams on NATS JetStream that several
 * processes may open, of which one leads. Streams are named after the chain's identity, so that a network that was
 * deployed anew never meets the logs of the one before.
 */
import { join } from "node:path";
import { toHexKey } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import type { Log } from "../base/log.ts";
import type { CloseStack } from "../base/service.ts";
import { jetStreamSettings, logConfig } from "../log/config.ts";
import { FileLog } from "../log/file-log.ts";
import { JetStream } from "../log/jetstream.ts";
import { JetStreamLog } from "../log/jetstream-log.ts";
import type { AppendLog } from "../log/log.ts";

export type ClusterLogs = {
  readonly order: AppendLog;
  readonly lane: AppendLog;
  /** 0: the logs have one owner at a time. */
  readonly leaseMs: number;
};

export async function openClusterLogs(
  p: {
    dataDir: string;
    chainId: number;
    genesisOriginHash: Uint8Array;
    env: Readonly<Record<string, string | undefined>>;
    log: Log;
    clock: Clock;
  },
  close: CloseStack,
): Promise<ClusterLogs> {
  const config = readConfig(logConfig, p.env);
  if (config.store === "file") {
    const order = await FileLog.open(join(p.dataDir, "sequencer", "order-log"), { name: "order" });
    close.add("order log", () => order.close());
    const lane = await FileLog.open(join(p.dataDir, "sequencer", "lane-log"), { name: "lane-0" });
    close.add("lane log", () => lane.close());
    return { order, lane, leaseMs: 0 };
  }
  const log = p.log.child({ role: "log" });
  const js = await JetStream.connect(jetStreamSettings(config), log, p.clock);
  close.add("log servers", () => js.close());
  const chain = `${config.prefix}-${p.chainId}-${toHexKey(p.genesisOriginHash).slice(0, 16)}`;
  const options = { replicas: config.replicas, log, clock: p.clock };
  const order = await JetStreamLog.open(js, `${chain}-order`, options);
  close.add("order log", () => order.close());
  const lane = await JetStreamLog.open(js, `${chain}-lane-0`, options);
  close.add("lane log", () => lane.close());
  log.info("logs are replicated", {
    server: js.serverVersion,
    replicas: config.replicas,
    orderSeq: order.tip.seq,
    laneSeq: lane.tip.seq,
  });
  return { order, lane, leaseMs: config.leaseMs };
}
