import { after, before, describe } from "node:test";
import { systemClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import type { JetStream } from "./jetstream.ts";
import { JetStreamLog, type JetStreamLogOptions } from "./jetstream-log.ts";
import { testLogConformance } from "./testing/conformance.ts";
import { NatsCluster, natsMissing } from "./testing/nats-cluster.ts";

const skip = natsMissing();
const OPTIONS: JetStreamLogOptions = { replicas: 3, log: silentLog, clock: systemClock };
let streams = 0;
const freshName = (): string => `test-${process.pid}-${++streams}`;

describe("on a JetStream cluster of three", { skip }, () => {
  let cluster: NatsCluster;
  let js: JetStream;
  /** Of another process. */
  let other: JetStream;
  before(async () => {
    cluster = await NatsCluster.start();
    js = await cluster.connect();
    other = await cluster.connect();
  });
  after(async () => {
    await js.close();
    await other.close();
    await cluster.stop();
  });

  for (const [name, options] of [
    ["the replicated log", OPTIONS],
    ["the replicated log in many parts", { ...OPTIONS, partSizeMaxBytes: 400 }],
  ] satisfies [string, JetStreamLogOptions][])
    testLogConformance(name, async () => {
      const stream = freshName();
      let log = await JetStreamLog.open(js, stream, options);
      return {
        log,
        reopen: async () => {
          await log.close();
          log = await JetStreamLog.open(js, stream, options);
          return log;
        },
        another: () => JetStreamLog.open(other, stream, options),
        dispose: async () => {
          await log.close();
          await js.deleteStream(stream);
        },
      };
    });
});
