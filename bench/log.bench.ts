/**
 * Appending to the logs of a cluster: files of this machine beside a stream on three NATS servers on loopback, each with
 * and without every write reaching the disk before the answer. Rounds take turns, so that what else the machine does
 * meets all of them alike; figures are medians of rounds, with the least and the greatest.
 *   one at a time   the next append waits for the answer: latency
 *   paced           2000 appends a second, on a timer: latency at a steady load
 *   flat out        256 appends wait at any time: throughput
 * Run: npx tsx bench/log.bench.ts [--rounds 3] [--size 400] [--seconds 2]
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../src/base/clock.ts";
import { silentLog } from "../src/base/log.ts";
import { latencyOf, spread } from "../src/bench/statistics.ts";
import { FileLog } from "../src/log/file-log.ts";
import type { JetStream } from "../src/log/jetstream.ts";
import { JetStreamLog } from "../src/log/jetstream-log.ts";
import type { AppendLog } from "../src/log/log.ts";
import { LogWriter } from "../src/log/log-writer.ts";
import { NatsCluster, natsMissing } from "../src/log/nats-cluster.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    size: { type: "string", default: "400" },
    seconds: { type: "string", default: "2" },
  },
});
const rounds = Number(values.rounds);
const sizeBytes = Number(values.size);
const roundMs = Number(values.seconds) * 1_000;
const PACED_PER_SECOND = 2_000;
const WAITING = 256;

type Subject = { readonly name: string; readonly log: AppendLog; readonly writer: LogWriter };
type Sample = { latency: Map<string, { p50Ms: number; p99Ms: number }[]>; perSecond: number[] };

const payload = new Uint8Array(sizeBytes).map((_, i) => (i * 131) & 0xff);

async function oneAtATime(writer: LogWriter): Promise<number[]> {
  const samples: number[] = [];
  for (const end = performance.now() + roundMs; performance.now() < end; ) {
    const start = performance.now();
    await writer.append(payload);
    samples.push(performance.now() - start);
  }
  return samples;
}

async function paced(writer: LogWriter): Promise<number[]> {
  const samples: number[] = [];
  const waiting: Promise<unknown>[] = [];
  const begin = performance.now();
  for (let sent = 0; performance.now() - begin < roundMs; ) {
    const due = Math.floor(((performance.now() - begin) * PACED_PER_SECOND) / 1_000);
    for (; sent < due; sent++) {
      const start = performance.now();
      waiting.push(writer.append(payload).then(() => samples.push(performance.now() - start)));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(waiting);
  return samples;
}

/** Appends per second. */
async function flatOut(writer: LogWriter): Promise<number> {
  let count = 0;
  const begin = performance.now();
  const end = begin + roundMs;
  const one = async (): Promise<void> => {
    while (performance.now() < end) {
      await writer.append(payload);
      count++;
    }
  };
  await Promise.all(Array.from({ length: WAITING }, one));
  return (count * 1_000) / (performance.now() - begin);
}

const folder = mkdtempSync(join(tmpdir(), "sheaf-bench-log-"));
const subjects: Subject[] = [];
const closers: (() => Promise<void>)[] = [];

function add(name: string, log: AppendLog): void {
  subjects.push({ name, log, writer: new LogWriter(log, 1) });
  closers.push(() => log.close());
}

async function addCluster(name: string, syncWrites: boolean): Promise<string> {
  const cluster = await NatsCluster.start({ syncWrites });
  closers.unshift(() => cluster.stop());
  const js: JetStream = await cluster.connect();
  closers.push(() => js.close());
  const log = await JetStreamLog.open(js, "bench", { replicas: 3, log: silentLog, clock: systemClock });
  add(name, log);
  return js.serverVersion;
}

add("file", await FileLog.open(join(folder, "file")));
add("file, no sync", await FileLog.open(join(folder, "file-no-sync"), { sync: async () => undefined }));
const missing = natsMissing();
let version = "";
if (missing === false) {
  version = await addCluster("nats R3", false);
  await addCluster("nats R3, sync", true).catch((error: unknown) => {
    console.log(`nats R3, sync: not measured, the file system or chattr refuses: ${String(error)}`);
  });
} else console.log(missing);

const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
const cpu = /model name\s*:\s*(.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown";
console.log(`machine   ${cpus().length} cores (${cpu}), ${memory}; node ${process.version}, nats-server ${version}`);
console.log(
  `workload  records of ${sizeBytes} bytes, ${rounds} rounds of ${values.seconds} s each; median [least .. greatest]`,
);

const samples = new Map<Subject, Sample>(subjects.map((s) => [s, { latency: new Map(), perSecond: [] }]));
for (const { writer } of subjects) for (let i = 0; i < 50; i++) await writer.append(payload);
for (let round = 0; round < rounds; round++)
  for (const [kind, measure] of [
    ["one at a time", oneAtATime],
    ["paced", paced],
  ] as const)
    for (const [subject, sample] of samples) {
      const latency = latencyOf(await measure(subject.writer));
      if (latency !== undefined) sample.latency.set(kind, [...(sample.latency.get(kind) ?? []), latency]);
    }
for (let round = 0; round < rounds; round++)
  for (const [subject, sample] of samples) sample.perSecond.push(await flatOut(subject.writer));

const figure = (found: readonly number[], digits: number): string => {
  const s = spread(found);
  return s === undefined
    ? "none"
    : `${s.median.toFixed(digits)} [${s.min.toFixed(digits)} .. ${s.max.toFixed(digits)}]`;
};
for (const [{ name }, { latency, perSecond }] of samples) {
  for (const [kind, found] of latency)
    console.log(
      `${name.padEnd(15)} ${kind.padEnd(14)} p50 ${figure(
        found.map((l) => l.p50Ms),
        2,
      )} ms   p99 ${figure(
        found.map((l) => l.p99Ms),
        2,
      )} ms`,
    );
  console.log(`${name.padEnd(15)} flat out       ${figure(perSecond, 0)} appends/s`);
}

for (const close of closers.toReversed()) await close();
rmSync(folder, { recursive: true, force: true });
