import { randomBytes } from "node:crypto";
import { after, before, describe } from "node:test";
import { systemClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import type { JetStream } from "./jetstream.ts";
import { JetStreamLog, type JetStreamLogOptions } from "./jetstream-log.ts";
import { encodeParts, FRAME_ID_SIZE_BYTES } from "./jetstream-part.ts";
import { NatsCluster, natsMissing } from "./nats-cluster.ts";
import { tipAfter } from "./record.ts";
import { testLogConformance } from "./testing/conformance.ts";
import { testLogFaults } from "./testing/fault-conformance.ts";

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

  testLogFaults("the replicated log", async () => {
    const stream = freshName();
    const messages = async (): Promise<Uint8Array[]> => {
      const { lastSeq } = await js.streamState(stream);
      const found = await Promise.all(Array.from({ length: lastSeq }, (_, i) => js.message(stream, i + 1)));
      return found.map((message) => (message as { bytes: Uint8Array }).bytes);
    };
    return {
      open: () => JetStreamLog.open(js, stream, OPTIONS),
      snapshot: async () => {
        const copy = await messages();
        return async () => {
          await js.deleteStream(stream);
          await js.openStream(stream, 3);
          for (const [i, message] of copy.entries()) await js.publish(stream, message, i);
        };
      },
      store: async (end, term, payloads) => {
        const frameId = randomBytes(FRAME_ID_SIZE_BYTES);
        const parts = encodeParts({
          frameId,
          before: end,
          after: tipAfter(end, term, payloads),
          payloads,
          partSizeMaxBytes: 1 << 20,
        });
        await js.publish(stream, parts[0] as Buffer, (await js.streamState(stream)).lastSeq);
      },
      dispose: () => js.deleteStream(stream),
    };
  });
});
