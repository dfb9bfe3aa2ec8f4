/**
 * Owns the choice of a cluster's logs: files below its data directory, or streams on NATS JetStream that several
 * processes may open, of which one leads. Streams are named after the chain's identity, so that a network that was
 * deployed anew never meets the logs of the one before.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { toHexKey } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { readConfig } from "../base/config.ts";
import type { Log } from "../base/log.ts";
import type { CloseStack } from "../base/service.ts";
import { laneConfig } from "../lane/config.ts";
import { LANES_MAX } from "../lane/lane-of.ts";
import { jetStreamSettings, logConfig } from "../log/config.ts";
import { FileLog } from "../log/file-log.ts";
import { JetStream } from "../log/jetstream.ts";
import { JetStreamLog } from "../log/jetstream-log.ts";
import type { AppendLog } from "../log/log.ts";

export type ClusterLogs = {
  readonly order: AppendLog;
  /** By lane: as many as are configured, and those an earlier configuration left. */
  readonly lanes: readonly AppendLog[];
  /** 0: the logs have one owner at a time. */
  readonly leaseMs: number;
};

/** Folder of each lane's log, by lane. */
const laneFolders = Array.from({ length: LANES_MAX }, (_, lane) => (lane === 0 ? "lane-log" : `lane-log-${lane}`));

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
  const laneCount = readConfig(laneConfig, p.env).lanes;
  if (config.store === "file") {
    const order = await FileLog.open(join(p.dataDir, "sequencer", "order-log"), { name: "order" });
    close.add("order log", () => order.close());
    const folder = join(p.dataDir, "sequencer");
    const lanes: AppendLog[] = [];
    // A log behind a gap is still one that may hold something.
    const left = existsSync(folder) ? readdirSync(folder).map((name) => laneFolders.indexOf(name)) : [];
    const count = Math.max(laneCount, ...left.map((lane) => lane + 1));
    for (let lane = 0; lane < count; lane++) {
      const log = await FileLog.open(join(folder, laneFolders[lane] as string), { name: `lane-${lane}` });
      close.add(`lane log ${lane}`, () => log.close());
      lanes.push(log);
    }
    return { order, lanes, leaseMs: 0 };
  }
  const log = p.log.child({ role: "log" });
  const js = await JetStream.connect(jetStreamSettings(config), log, p.clock);
  close.add("log servers", () => js.close());
  const chain = `${config.prefix}-${p.chainId}-${toHexKey(p.genesisOriginHash).slice(0, 16)}`;
  const options = { replicas: config.replicas, log, clock: p.clock };
  const order = await JetStreamLog.open(js, `${chain}-order`, options);
  close.add("order log", () => order.close());
  const lanes: AppendLog[] = [];
  let count = laneCount;
  for (let lane = LANES_MAX - 1; lane >= laneCount && count === laneCount; lane--)
    if (await js.hasStream(`${chain}-lane-${lane}`)) count = lane + 1;
  for (let lane = 0; lane < count; lane++) {
    const laneLog = await JetStreamLog.open(js, `${chain}-lane-${lane}`, options);
    close.add(`lane log ${lane}`, () => laneLog.close());
    lanes.push(laneLog);
  }
  log.info("logs are replicated", {
    server: js.serverVersion,
    replicas: config.replicas,
    orderSeq: order.tip.seq,
    laneSeqs: lanes.map((lane) => lane.tip.seq),
  });
  return { order, lanes, leaseMs: config.leaseMs };
}
