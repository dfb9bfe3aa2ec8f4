/**
 * What deriving and verifying costs per transaction, one thread, L1 in memory: segments (encode, decode, bytes), sender
 * recovery, execution, state root, storing, and what is left for the verifier itself. Prints one JSON object, microseconds
 * per transfer. Run: tsx bench/replay.bench.ts [recovery threads]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../src/base/log.ts";
import { EthereumjsEngine } from "../src/execution/ethereumjs-engine.ts";
import type { Engine } from "../src/execution/execution.ts";
import { SenderRecovery } from "../src/gateway/sender-recovery.ts";
import { decodeBlobs, encodeBlobs } from "../src/protocol/blob-codec.ts";
import { decodeSegment } from "../src/protocol/segment.ts";
import { decodeSignedTransaction } from "../src/protocol/transaction-codec.ts";
import { LmdbState } from "../src/state/lmdb-state.ts";
import type { StateStore } from "../src/state/state.ts";
import { Database } from "../src/store/database.ts";
import { LmdbChainStore } from "../src/store/lmdb-chain-store.ts";
import { readPosted, recoverInPlace } from "../src/verifier/replay.ts";
import { World } from "../src/verifier/testing/l1-world.ts";
import { LmdbVerifierStore } from "../src/verifier/verifier-store.ts";

const SEGMENTS = 10;
const BLOCKS = 5;
const TRANSFERS = 100;
const COUNT = SEGMENTS * BLOCKS * TRANSFERS;

const spentMs = new Map<string, number>();
function timed<T>(name: string, run: () => T): T {
  const start = performance.now();
  const add = (): unknown => spentMs.set(name, (spentMs.get(name) ?? 0) + performance.now() - start);
  const result = run();
  if (result instanceof Promise) void result.then(add, add);
  else add();
  return result;
}

const world = World.create({ maxDriftSeconds: 100_000 });
const segments: Uint8Array[] = [];
const raws: Uint8Array[] = [];
for (let s = 0; s < SEGMENTS; s++) {
  world.mine();
  const first = world.head.header.number + 1;
  for (let b = 0; b < BLOCKS; b++) {
    const txs = Array.from({ length: TRANSFERS }, (_, i) => world.transfer(i % 4, BigInt(1 + i)));
    raws.push(...txs.map((tx) => tx.raw));
    await world.build({ advance: b === 0, txs });
  }
  const bytes = timed("encode", () => world.segment(first));
  segments.push(bytes);
  world.post(bytes);
}
world.mine();
for (const bytes of segments) decodeBlobs(encodeBlobs(decodeSegment(bytes).parentHash));
await readPosted(raws, recoverInPlace); // once cold
timed("decode", () => segments.map((bytes) => decodeSegment(bytes)));
timed("blobs", () => segments.map((bytes) => decodeBlobs(encodeBlobs(bytes))));
await timed("recover", () => readPosted(raws, recoverInPlace));

/** Recovery threads: the argument, else none. */
const threads = Number(process.argv[2] ?? 0);
const recovery = new SenderRecovery(threads, silentLog);
// Threads take a while to start, which is not what is measured.
await recovery.recover(raws.slice(0, 256).map((raw) => decodeSignedTransaction(raw)));

const folder = mkdtempSync(join(tmpdir(), "sheaf-bench-"));
const database = Database.open(join(folder, "db"));
const chain = new LmdbChainStore(database);
const state = new LmdbState(database, { blockHash: (n) => chain.blockHash(n) });
const inner = new EthereumjsEngine();
const engine: Engine = {
  name: inner.name,
  executeBatch: (...args) => timed("execute", () => inner.executeBatch(...args)),
  call: (...args) => timed("execute", () => inner.call(...args)),
  close: () => inner.close(),
};
const timedState = new Proxy<StateStore>(state, {
  get(target, name) {
    const value = Reflect.get(target, name, target) as unknown;
    if (typeof value !== "function") return value;
    const call = (...args: unknown[]): unknown => Reflect.apply(value, target, args) as unknown;
    return name === "prepare" ? (...args: unknown[]) => timed("root", () => call(...args)) : call;
  },
});
const verifier = await world.verifier(
  {
    database: {
      transaction: (body) => timed("store", () => database.transaction(body)),
      settled: () => database.settled(),
    },
    chain,
    state: timedState,
    store: new LmdbVerifierStore(database),
  },
  threads > 0 ? { engine, recovery } : { engine },
);
const cpuBefore = process.cpuUsage();
const start = performance.now();
await verifier.catchUp();
const totalMs = performance.now() - start;
const cpu = process.cpuUsage(cpuBefore);
const perTx = (ms: number): number => Number(((ms * 1_000) / COUNT).toFixed(2));
const of = (name: string): number => perTx(spentMs.get(name) ?? 0);
const parts = ["execute", "root", "store", "recover", "decode"];
const compressed = segments.reduce((sum, bytes) => sum + bytes.length, 0);
console.log(
  JSON.stringify(
    {
      machine: cpus()[0]?.model,
      node: process.version,
      transfers: COUNT,
      recoveryThreads: threads,
      safe: verifier.status().safe.number,
      segmentBytesPerTx: Number((compressed / COUNT).toFixed(1)),
      rawBytesPerTx: Number((raws.reduce((sum, raw) => sum + raw.length, 0) / COUNT).toFixed(1)),
      usPerTx: {
        segmentEncode: of("encode"),
        blobs: of("blobs"),
        total: perTx(totalMs),
        ...Object.fromEntries(parts.map((name) => [name, of(name)])),
        verifierItself: Number((perTx(totalMs) - parts.reduce((sum, name) => sum + of(name), 0)).toFixed(2)),
      },
      /** Of all threads: what holds on a machine that is busy otherwise. */
      cpuUsPerTx: Number(((cpu.user + cpu.system) / COUNT).toFixed(2)),
      transactionsPerSecond: Math.round((COUNT / totalMs) * 1_000),
    },
    null,
    2,
  ),
);
await recovery.close();
await inner.close();
await database.close();
rmSync(folder, { recursive: true, force: true });
