import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import type { JetStream } from "./jetstream.ts";
import { JetStreamLog, type JetStreamLogOptions } from "./jetstream-log.ts";
import type { AppendLog, LogTip } from "./log.ts";
import { NatsCluster, natsMissing } from "./nats-cluster.ts";
import { recordsBehind } from "./record-reader.ts";
import { NatsProxy } from "./testing/nats-proxy.ts";

const skip = natsMissing();
const OPTIONS: JetStreamLogOptions = { replicas: 3, log: silentLog, clock: systemClock };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
let streams = 0;
const freshName = (): string => `fault-${process.pid}-${++streams}`;

async function texts(log: AppendLog): Promise<string[]> {
  const found: string[] = [];
  for await (const record of recordsBehind(log, { seq: 0 })) found.push(new TextDecoder().decode(record.payload));
  return found;
}

/** Appends numbered records, several at a time, until it is told to stop; knows what was acknowledged. */
class Writer {
  readonly acknowledged: string[] = [];
  gapMaxMs = 0;
  #stop = false;
  readonly #ended: Promise<void>;
  #newestMs = systemClock.nowMs();

  constructor(log: AppendLog, label: string) {
    let next = log.tip.seq;
    const one = async (): Promise<void> => {
      while (!this.#stop) {
        const expectedSeq = next++;
        await log.append({ expectedSeq, term: 1, payloads: [bytes(`${label} ${expectedSeq + 1}`)] });
        this.acknowledged.push(`${label} ${expectedSeq + 1}`);
        const nowMs = systemClock.nowMs();
        this.gapMaxMs = Math.max(this.gapMaxMs, nowMs - this.#newestMs);
        this.#newestMs = nowMs;
      }
    };
    this.#ended = Promise.all(Array.from({ length: 8 }, one)).then(() => undefined);
  }

  /** Resolves when `count` more are acknowledged. */
  async more(count: number): Promise<void> {
    const target = this.acknowledged.length + count;
    for (let waitedMs = 0; this.acknowledged.length < target; waitedMs += 20) {
      assert.ok(waitedMs < 120_000, `${count} more appends are acknowledged in time`);
      await Promise.race([systemClock.sleep(20), this.#ended.then(() => undefined)]);
    }
  }

  async stop(): Promise<void> {
    this.#stop = true;
    await this.#ended;
  }
}

describe("a replicated log under faults", { skip }, () => {
  let cluster: NatsCluster;
  let js: JetStream;
  before(async () => {
    cluster = await NatsCluster.start();
    js = await cluster.connect({ requestTimeoutMs: 1_000 });
  });
  after(async () => {
    await js.close();
    await cluster.stop();
  });

  const proxied = async (
    body: (p: { proxy: NatsProxy; log: JetStreamLog; stream: string }) => Promise<void>,
    options: Partial<JetStreamLogOptions> = {},
  ): Promise<void> => {
    const proxy = await NatsProxy.start(() => (cluster.nodes[0] as { port: number }).port);
    const own = await cluster.connect({ servers: [proxy.address], discover: false, requestTimeoutMs: 300 });
    const stream = freshName();
    const log = await JetStreamLog.open(own, stream, { ...OPTIONS, ...options });
    try {
      await body({ proxy, log, stream });
    } finally {
      await log.close();
      await own.close();
      await proxy.close();
      await js.deleteStream(stream).catch(() => undefined);
    }
  };

  /** What a process that knows nothing of the faults finds. */
  const assertHolds = async (stream: string, expected: readonly string[]): Promise<void> => {
    const fresh = await JetStreamLog.open(js, stream, OPTIONS);
    assert.deepEqual(await texts(fresh), expected);
    await fresh.close();
  };

  const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i + 1}`);
  const appendAll = (log: AppendLog, from: number, count: number): Promise<LogTip[]> =>
    Promise.all(
      Array.from({ length: count }, (_, i) =>
        log.append({ expectedSeq: from + i, term: 1, payloads: [bytes(`${from + i + 1}`)] }),
      ),
    );

  test("appends whose answers are lost are stored once and acknowledged", () =>
    proxied(async ({ proxy, log, stream }) => {
      await appendAll(log, 0, 3);
      proxy.losesAnswers = true;
      const waiting = appendAll(log, 3, 20);
      for (let waitedMs = 0; log.notReady() === undefined; waitedMs += 10) {
        assert.ok(waitedMs < 30_000, "the log says that it waits");
        await systemClock.sleep(10);
      }
      proxy.losesAnswers = false;
      proxy.cut();
      assert.equal((await waiting).at(-1)?.seq, 23);
      assert.equal(log.notReady(), undefined);
      await assertHolds(stream, numbered(23));
    }));

  test("lines cut again and again lose and double nothing", () =>
    proxied(async ({ proxy, log, stream }) => {
      const writer = new Writer(log, "r");
      for (let i = 0; i < 8; i++) {
        await writer.more(5 + i * 7);
        proxy.cut();
      }
      await writer.more(5);
      await writer.stop();
      assert.equal(new Set(writer.acknowledged).size, writer.acknowledged.length);
      await assertHolds(
        stream,
        Array.from({ length: writer.acknowledged.length }, (_, i) => `r ${i + 1}`),
      );
    }));

  test("messages sent twice below the log are stored once", () =>
    proxied(
      async ({ proxy, log, stream }) => {
        proxy.doublesPublishes = true;
        for (let i = 0; i < 5; i++) await appendAll(log, i * 10, 10);
        assert.ok(proxy.publishes >= 5);
        await assertHolds(stream, numbered(50));
      },
      { partSizeMaxBytes: 200 },
    ));

  test("a message that arrives long after it was sent again changes nothing", () =>
    proxied(
      async ({ proxy, log, stream }) => {
        await appendAll(log, 0, 2);
        // A part in the middle of an append: what is behind it is void, and the append is sent again whole.
        proxy.holdsNext = true;
        await log.append({
          expectedSeq: 2,
          term: 1,
          payloads: [bytes("3"), bytes("4"), new Uint8Array(900).fill(120)],
        });
        proxy.release();
        await appendAll(log, 5, 2);
        const expected = ["1", "2", "3", "4", "x".repeat(900), "6", "7"];
        assert.deepEqual(await texts(log), expected);
        await assertHolds(stream, expected);
      },
      { partSizeMaxBytes: 300 },
    ));

  test("a stream that lost acknowledged records stops its writer", () =>
    proxied(
      async ({ log, stream }) => {
        await appendAll(log, 0, 3);
        await js.deleteStream(stream);
        await js.openStream(stream, 3);
        await assert.rejects(appendAll(log, 3, 1), (error) => hasCode(error, "LOG_CORRUPT"));
        await assert.rejects(appendAll(log, 3, 1), (error) => hasCode(error, "LOG_CORRUPT"));
        assert.match(log.notReady() ?? "", /acknowledged records are gone/);
      },
      { truncationConfirmMs: 500 },
    ));

  test("an owner that lost the log while its append was under way sees the whole log when it looks again", () =>
    proxied(async ({ proxy, log, stream }) => {
      await appendAll(log, 0, 2);
      proxy.holdsNext = true;
      const late = assert.rejects(appendAll(log, 2, 1), (error) => hasCode(error, "LOG_STALE_TERM"));
      for (let waitedMs = 0; proxy.holdsNext; waitedMs += 5) {
        assert.ok(waitedMs < 30_000, "the append is under way");
        await systemClock.sleep(5);
      }
      const next = await JetStreamLog.open(js, stream, OPTIONS);
      await next.append({ expectedSeq: 2, term: 2, payloads: [bytes("b"), bytes("c")] });
      // Asked while the append is not answered, and again while the log looks for what became of it.
      const looks = [log.refresh(), log.refresh()];
      assert.deepEqual(await Promise.all(looks), [next.tip, next.tip]);
      await late;
      assert.deepEqual(await texts(log), ["1", "2", "b", "c"]);
      await next.close();
    }));

  test("a stream that may drop records is refused", async () => {
    const stream = freshName();
    await js.openStream(stream, 1);
    await assert.rejects(JetStreamLog.open(js, stream, OPTIONS), (error) => hasCode(error, "LOG_MISCONFIGURED"));
    await js.deleteStream(stream);
  });

  test("the leading server killed, stopped and all killed at once: nothing acknowledged is lost, nothing doubled", async (t) => {
    const stream = freshName();
    const log = await JetStreamLog.open(js, stream, OPTIONS);
    const writer = new Writer(log, "k");
    await writer.more(200);
    /** The leader, when every other server holds all of the stream: one fault at a time. */
    const leader = async (): Promise<string> => {
      for (let waitedMs = 0; waitedMs < 90_000; waitedMs += 200) {
        const servers = await js.streamServers(stream).catch(() => undefined);
        if (servers?.leader !== undefined && servers.behind.length === 0) return servers.leader;
        await systemClock.sleep(200);
      }
      throw new Error("the stream is whole on all servers in time");
    };
    const killed = await leader();
    writer.gapMaxMs = 0;
    await cluster.kill(killed);
    await writer.more(300);
    t.diagnostic(`leader killed: no acknowledgement for ${writer.gapMaxMs} ms`);
    cluster.restart(killed);

    const stopped = cluster.node(await leader());
    writer.gapMaxMs = 0;
    stopped.process.kill("SIGSTOP");
    await writer.more(300);
    t.diagnostic(`leader stopped: no acknowledgement for ${writer.gapMaxMs} ms`);
    stopped.process.kill("SIGCONT");
    await writer.more(100);

    await leader();
    await Promise.all(cluster.nodes.map((node) => cluster.kill(node.name)));
    for (const node of cluster.nodes) cluster.restart(node.name);
    await writer.more(100);
    await writer.stop();
    await cluster.ready();
    const count = writer.acknowledged.length;
    assert.equal(new Set(writer.acknowledged).size, count);
    await assertHolds(
      stream,
      Array.from({ length: count }, (_, i) => `k ${i + 1}`),
    );
    await log.close();
  });
});
