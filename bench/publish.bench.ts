/**
 * How fast a backlog of segments gets onto L1 from one account and from several, with every answer of L1 coming late
 * (default 200 ms): a real anvil behind a proxy that adds the latency, the real publisher, senders, inbox and blobs.
 * The two take turns in one run; printed are the rate of each round, the medians and their ratio, as JSON.
 * Run: npx tsx bench/publish.bench.ts [--accounts 4] [--segments 24] [--latency 200] [--rounds 3] [--da blobs|calldata]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { parseArgs } from "node:util";
import { readConfig } from "../src/base/config.ts";
import { silentLog } from "../src/base/log.ts";
import { Metrics } from "../src/base/metrics.ts";
import { BlobWriter } from "../src/da/blob.ts";
import { BlobArchive } from "../src/da/blob-archive.ts";
import { CalldataWriter } from "../src/da/calldata.ts";
import { FaultProxy } from "../src/l1/fault-proxy.ts";
import { readInbox } from "../src/l1/inbox.ts";
import { JsonRpcClient } from "../src/l1/json-rpc.ts";
import { proveBlob } from "../src/l1/kzg.ts";
import { RpcL1 } from "../src/l1/rpc-l1.ts";
import { SenderPool } from "../src/l1/sender-pool.ts";
import { allowPoster, ROLE_ACCOUNTS, startSender, startSettlement } from "../src/l1/testing/settlement.ts";
import { publisherConfig } from "../src/publisher/config.ts";
import { publisherMetrics } from "../src/publisher/metrics.ts";
import { Publisher } from "../src/publisher/publisher.ts";
import { FakeChain } from "../src/publisher/testing/fake-chain.ts";

const { values } = parseArgs({
  options: {
    accounts: { type: "string", default: "4" },
    segments: { type: "string", default: "24" },
    latency: { type: "string", default: "200" },
    rounds: { type: "string", default: "3" },
    da: { type: "string", default: "blobs" },
  },
});
const segments = Number(values.segments);
const da = values.da === "calldata" ? "calldata" : "blobs";
/** Of a segment, incompressible: most of a blob. */
const SEGMENT_BYTES = da === "blobs" ? 120_000 : 20_000;
const ROUND_MAX_MS = 300_000;

/** Segments a second from the first post to the last inclusion. */
async function round(accounts: number): Promise<number> {
  const enders: (() => unknown)[] = [];
  const after = (end: () => Promise<unknown>): void => {
    enders.push(end);
  };
  const t = { after } as unknown as TestContext;
  try {
    const settlement = await startSettlement(t, { blockTimeSeconds: 1, accounts: 30 });
    const { anvil, contracts, origin } = settlement;
    const indexes = [ROLE_ACCOUNTS.poster, ...Array.from({ length: accounts - 1 }, (_, i) => 10 + i)];
    for (const index of indexes.slice(1)) await allowPoster(settlement, true, index);
    const proxy = await FaultProxy.start(anvil.rpcUrl);
    enders.push(() => proxy.stop());
    proxy.set({ latencyMs: Number(values.latency) });
    const rpc = new JsonRpcClient({ url: proxy.url, timeoutMs: 60_000 });
    const l1 = new RpcL1(rpc, { chainId: anvil.chainId });
    const started = indexes.map((index) => startSender(settlement, index, { pollMs: 500 }, rpc));
    for (const { stop } of started) enders.push(stop);
    const sender = new SenderPool({ name: "posters", senders: started.map((s) => s.sender), log: silentLog });
    const folder = mkdtempSync(join(tmpdir(), "sheaf-publish-bench-"));
    enders.push(() => rmSync(folder, { recursive: true, force: true }));
    const chain = new FakeChain(origin, Math.floor(Date.now() / 1000) - 100_000);
    chain.seal(segments, SEGMENT_BYTES);
    const metrics = publisherMetrics(new Metrics());
    const publisher = new Publisher(
      {
        ...readConfig(publisherConfig, {}),
        da,
        blobsMin: 1,
        blobsMax: 1,
        calldataTargetBytes: SEGMENT_BYTES - 1_000,
        ageMaxSeconds: 1,
        pollMs: 100,
      },
      {
        l1,
        inbox: contracts.inbox,
        chainId: 901,
        genesisOrigin: origin,
        sequencingWindow: 3_600,
        sealed: chain,
        derived: () => ({
          safe: { number: 0, hash: chain.genesisHash },
          nextIndex: 0,
          l1Derived: origin,
          waitingEntries: 0,
        }),
        sender,
        writers: {
          blobs: new BlobWriter({
            inbox: contracts.inbox,
            sender,
            l1,
            proofs: "blob",
            archive: new BlobArchive(join(folder, "blobs")),
            readBackFailures: metrics.readBackFailures,
            log: silentLog,
          }),
          calldata: new CalldataWriter({ inbox: contracts.inbox, sender }),
        },
        term: () => 1,
        metrics,
        log: silentLog,
      },
    );
    const abort = new AbortController();
    const done = publisher.run(abort.signal);
    enders.unshift(async () => {
      abort.abort();
      await done;
    });
    const giveUpMs = Date.now() + ROUND_MAX_MS;
    const wait = async (what: string, holds: () => Promise<boolean> | boolean): Promise<number> => {
      while (!(await holds())) {
        if (Date.now() > giveUpMs) throw new Error(`${what} did not happen in ${ROUND_MAX_MS} ms`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return Date.now();
    };
    const startMs = await wait("a first post", () => publisher.status().inFlight > 0);
    const endMs = await wait(
      "the last inclusion",
      async () => (await readInbox(settlement.l1, contracts.inbox, "latest")).nextIndex >= segments,
    );
    return (segments * 1000) / (endMs - startMs);
  } finally {
    for (const end of enders) await end();
  }
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1] as number;
const rounded = (value: number): number => Number(value.toFixed(2));

await proveBlob(new Uint8Array(131_072), "blob"); // the proving thread loads its set-up once
const accounts = Number(values.accounts);
const single: number[] = [];
const parallel: number[] = [];
for (let i = 0; i < Number(values.rounds); i++) {
  single.push(rounded(await round(1)));
  parallel.push(rounded(await round(accounts)));
}
console.log(
  JSON.stringify({
    machine: `${cpus().length} x ${cpus()[0]?.model}`,
    da,
    segments,
    segmentBytes: SEGMENT_BYTES,
    latencyMs: Number(values.latency),
    single,
    parallel,
    accounts,
    singleMedian: median(single),
    parallelMedian: median(parallel),
    ratio: rounded(median(parallel) / median(single)),
  }),
);
process.exit(0);
