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
import { LaneSeat } from "../lane/lane-seat.ts";
import { workerLink } from "../link/worker-link.ts";
import { jetStreamSettings, logConfig } from "../log/config.ts";
import { FileLog } from "../log/file-log.ts";
import { JetStream } from "../log/jetstream.ts";
import { JetStreamLog } from "../log/jetstream-log.ts";
import type { AppendLog } from "../log/log.ts";
import type { LogPlace } from "../log/log-place.ts";

export type ClusterLogs = {
  readonly order: AppendLog;
  /** By lane: as many as are configured, and those an earlier configuration left. */
  readonly lanes: readonly AppendLog[];
  /** By lane, where the lanes run elsewhere: their logs are read through these. */
  readonly laneSeats: readonly LaneSeat[];
  /** 0: the logs have one owner at a time. */
  readonly leaseMs: number;
};

/** Folder of each lane's log, by lane. */
const laneFolders = Array.from({ length: LANES_MAX }, (_, lane) => (lane === 0 ? "lane-log" : `lane-log-${lane}`));

const LANE_ENTRY = new URL("../lane/lane-worker.ts", import.meta.url);

/** Opens side by side. Where one fails the others are open when this throws, so that they can be closed. */
async function inOrder<T>(count: number, open: (index: number) => Promise<T>): Promise<T[]> {
  const opened = await Promise.allSettled(Array.from({ length: count }, (_, index) => open(index)));
  return opened.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

/** What a lane elsewhere is told of the settings: its own, and how its log is reached. No keys. */
function laneEnv(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const own = /^SHEAF_(LANES$|POOL_|ORDERING$|ORDER_RECEIPTS_MAX$|LOG($|_))/;
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => own.test(entry[0]) && entry[1] !== undefined),
  );
}

/** What the names of a chain's streams begin with. */
function streamsOf(prefix: string, p: { readonly chainId: number; readonly genesisOriginHash: Uint8Array }): string {
  return `${prefix}-${p.chainId}-${toHexKey(p.genesisOriginHash).slice(0, 16)}`;
}

/** The log in which processes of a role beside the sequencers settle who works; undefined where logs are files. */
export async function openLeaseLog(
  role: "publisher" | "proposer",
  p: {
    readonly chainId: number;
    readonly genesisOriginHash: Uint8Array;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly log: Log;
    readonly clock: Clock;
    readonly close: CloseStack;
  },
): Promise<{ readonly lease: AppendLog; readonly leaseMs: number } | undefined> {
  const config = readConfig(logConfig, p.env);
  if (config.store === "file") return undefined;
  const log = p.log.child({ role: "log" });
  const js = await JetStream.connect(jetStreamSettings(config), log, p.clock);
  p.close.add("log servers", () => js.close());
  const { replicas, leaseMs } = config;
  const lease = await JetStreamLog.open(js, `${streamsOf(config.prefix, p)}-${role}`, {
    replicas,
    log,
    clock: p.clock,
  });
  p.close.add(`${role} lease`, () => lease.close());
  return { lease, leaseMs };
}

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
  const lane = readConfig(laneConfig, p.env);
  const laneCount = lane.lanes;
  const laneSeats: LaneSeat[] = [];
  const openLane = async (index: number, place: LogPlace, here: () => Promise<AppendLog>): Promise<AppendLog> => {
    if (lane.lanesIn === "here") {
      const log = await here();
      close.add(`lane log ${index}`, () => log.close());
      return log;
    }
    const seat = await LaneSeat.open({
      settings: { index, chainId: p.chainId, place, env: laneEnv(p.env) },
      openLink: workerLink(lane.lanesIn, LANE_ENTRY, { name: "lane" }),
      timeoutMs: lane.laneTimeoutMs,
      log: p.log.child({ role: "lane" }),
      clock: p.clock,
    });
    close.add(`lane ${index}`, () => seat.close());
    laneSeats[index] = seat;
    return seat.log;
  };
  if (config.store === "file") {
    const folder = join(p.dataDir, "sequencer");
    const order = await FileLog.open(join(folder, "order-log"), { name: "order" });
    close.add("order log", () => order.close());
    // A log behind a gap is still one that may hold something.
    const left = existsSync(folder) ? readdirSync(folder).map((name) => laneFolders.indexOf(name)) : [];
    const count = Math.max(laneCount, ...left.map((lane) => lane + 1));
    const lanes = await inOrder(count, async (index) => {
      const place = {
        store: "file",
        folder: join(folder, laneFolders[index] as string),
        name: `lane-${index}`,
      } as const;
      return openLane(index, place, () => FileLog.open(place.folder, { name: place.name }));
    });
    return { order, lanes, laneSeats, leaseMs: 0 };
  }
  const log = p.log.child({ role: "log" });
  const js = await JetStream.connect(jetStreamSettings(config), log, p.clock);
  close.add("log servers", () => js.close());
  const chain = streamsOf(config.prefix, p);
  const options = { replicas: config.replicas, log, clock: p.clock };
  const order = await JetStreamLog.open(js, `${chain}-order`, options);
  close.add("order log", () => order.close());
  let count = laneCount;
  for (let index = LANES_MAX - 1; index >= laneCount && count === laneCount; index--)
    if (await js.hasStream(`${chain}-lane-${index}`)) count = index + 1;
  const lanes = await inOrder(count, async (index) => {
    const place = { store: "nats", stream: `${chain}-lane-${index}` } as const;
    return openLane(index, place, () => JetStreamLog.open(js, place.stream, options));
  });
  log.info("logs are replicated", {
    server: js.serverVersion,
    replicas: config.replicas,
    orderSeq: order.tip.seq,
    laneSeqs: lanes.map((log) => log.tip.seq),
  });
  return { order, lanes, laneSeats, leaseMs: config.leaseMs };
}
