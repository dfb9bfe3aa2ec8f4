import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { systemClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { FileLog } from "./file-log.ts";
import type { JetStream } from "./jetstream.ts";
import { JetStreamLog } from "./jetstream-log.ts";
import { MemoryLog } from "./memory-log.ts";
import { NatsCluster, natsMissing } from "./nats-cluster.ts";
import { testLeaseProperties } from "./testing/lease-properties.ts";

/** A few turns of the event loop: what was started may come as far as it can. */
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

testLeaseProperties(
  "leadership on the memory log",
  async () => {
    const log = new MemoryLog();
    return { handle: async () => log, dispose: () => log.close() };
  },
  { runs: 300, settle: () => turns(2) },
);

testLeaseProperties(
  "leadership on the file log",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "sheaf-lease-"));
    const log = await FileLog.open(directory);
    return {
      handle: async () => log,
      dispose: async () => {
        await log.close();
        rmSync(directory, { recursive: true });
      },
    };
  },
  { runs: 30, settle: () => turns(5) },
);

describe("on three servers", { skip: natsMissing() }, () => {
  let cluster: NatsCluster;
  const connections: JetStream[] = [];
  before(async () => {
    cluster = await NatsCluster.start();
    for (let i = 0; i < 4; i++) connections.push(await cluster.connect());
  });
  after(async () => {
    for (const js of connections) await js.close();
    await cluster.stop();
  });
  let streams = 0;
  testLeaseProperties(
    "leadership on the replicated log",
    async () => {
      const stream = `lease-${process.pid}-${++streams}`;
      const logs: JetStreamLog[] = [];
      return {
        handle: async () => {
          const js = connections[logs.length] as JetStream;
          const log = await JetStreamLog.open(js, stream, { replicas: 3, log: silentLog, clock: systemClock });
          logs.push(log);
          return log;
        },
        dispose: async () => {
          for (const log of logs) await log.close();
          await connections[0]?.deleteStream(stream);
        },
      };
    },
    { runs: 6, settle: () => systemClock.sleep(4) },
  );
});
