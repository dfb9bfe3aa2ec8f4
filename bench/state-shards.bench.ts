/**
 * The state root on durable key shards beside the single database, in the same run and block by block in turn: transfers
 * (an account each) and token transfers (a slot each, of one contract). Root: from a block's writes to its root, wall
 * time; main and busiest: processor time of the node's thread and of the busiest shard's for root and storing, which
 * holds on a busy machine; with as many idle cores a block takes about their sum. Medians of blocks, and sums by thread.
 * Prints one JSON object. Run: npx tsx bench/state-shards.bench.ts [accounts] [rounds]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { toHexKey } from "../src/base/bytes.ts";
import { silentLog } from "../src/base/log.ts";
import { Metrics } from "../src/base/metrics.ts";
import { type ThreadTimes, threadTimes } from "../src/bench/processor-time.ts";
import { type ShardsIn, shardLink } from "../src/keyshard/links.ts";
import { keyshardMetrics } from "../src/keyshard/metrics.ts";
import { PartitionedState } from "../src/keyshard/partitioned-state.ts";
import { EMPTY_CODE_HASH } from "../src/protocol/ordered-trie.ts";
import { type AccountWrite, emptyWrites, type StateWrites } from "../src/protocol/state-writes.ts";
import { LmdbState } from "../src/state/lmdb-state.ts";
import type { ChainState } from "../src/state/state.ts";
import { Database } from "../src/store/database.ts";

const accounts = Number(process.argv[2] ?? 50_000);
const rounds = Number(process.argv[3] ?? 5);
const LOAD = 10_000;
let seed = 1;
/** xorshift32: the same workload every run. */
function random(below: number): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % below;
}
function addressOf(n: number): string {
  const address = new Uint8Array(20);
  new DataView(address.buffer).setUint32(16, n);
  return toHexKey(address);
}
const word = (n: number): Uint8Array => {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(28, n);
  return bytes;
};
const TOKEN = addressOf(0xffff_ffff);
function write(storage: AccountWrite["storage"] = new Map()): AccountWrite {
  const account = { nonce: BigInt(random(1_000)), balanceWei: BigInt(random(2 ** 31)), codeHash: EMPTY_CODE_HASH };
  return { cleared: false, account, storage };
}
function transfers(count: number): StateWrites {
  const writes = emptyWrites();
  while (writes.accounts.size < count) writes.accounts.set(addressOf(random(accounts)), write());
  return writes;
}
function tokenTransfers(count: number): StateWrites {
  const storage = new Map<string, Uint8Array>();
  while (storage.size < count) storage.set(toHexKey(word(random(accounts))), word(1 + random(2 ** 31)));
  const writes = emptyWrites();
  writes.accounts.set(TOKEN, write(storage));
  return writes;
}

const folder = mkdtempSync(join(tmpdir(), "sheaf-bench-shards-"));
type Peer = { readonly name: string; readonly database: Database; readonly state: ChainState; close(): Promise<void> };
function single(): Peer {
  const database = Database.open(join(folder, "single"));
  return { name: "single", database, state: new LmdbState(database), close: () => Promise.resolve() };
}
async function shards(count: number, where: ShardsIn): Promise<Peer> {
  const name = `${count} in ${where}`;
  const database = Database.open(join(folder, name));
  const state = await PartitionedState.open(database, {
    shards: count,
    folderOf: (shard) => join(folder, `${name} ${shard}`),
    linkOf: (to) => shardLink(where, to),
    log: silentLog,
    metrics: keyshardMetrics(new Metrics()),
  });
  return { name, database, state, close: () => state.close() };
}
const peers = [single(), await shards(1, "threads"), await shards(2, "threads"), await shards(4, "threads")];

type Sample = { rootMs: number[]; mainMs: number; threads: Map<string, number> };
const newSample = (): Sample => ({ rootMs: [], mainMs: 0, threads: new Map() });

/** Makes a block on one of them; what it took goes to `sample`. */
async function block({ state, database }: Peer, writes: StateWrites, sample: Sample): Promise<Uint8Array> {
  const startMs = performance.now();
  const prepared = await state.prepare(writes);
  sample.rootMs.push(performance.now() - startMs);
  database.transaction(() => state.commit(state.head + 1, prepared));
  await database.settled();
  return prepared.stateRoot;
}

function account(sample: Sample, before: ThreadTimes, after: ThreadTimes): void {
  for (const [id, { name, ms }] of after) {
    const spent = ms - (before.get(id)?.ms ?? 0);
    if (name === "main") sample.mainMs += spent;
    // Threads of the garbage collector and of LMDB have names of their own; shards' are those of workers.
    else if (!/^(V8|libuv|lmdb)/i.test(name)) sample.threads.set(id, (sample.threads.get(id) ?? 0) + spent);
  }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;
const round = (value: number): number => Number(value.toFixed(2));

for (let from = 0; from < accounts; from += LOAD) {
  const writes = emptyWrites();
  const storage = new Map<string, Uint8Array>();
  for (let n = from; n < Math.min(from + LOAD, accounts); n++) {
    writes.accounts.set(addressOf(n), write());
    storage.set(toHexKey(word(n)), word(n + 1));
  }
  writes.accounts.set(TOKEN, write(storage));
  for (const peer of peers) await block(peer, writes, newSample());
}

const results: Record<string, Record<string, object>> = {};
for (const [name, make, sizes] of [
  ["transfers", transfers, [100, 1_000, 5_000]],
  ["token transfers", tokenTransfers, [1_000]],
] as const)
  for (const size of sizes) {
    // The kernel counts in steps of 10 ms: enough work at a time that this does not matter.
    const repeat = Math.ceil(1_000 / size);
    const samples = new Map(peers.map((peer) => [peer, newSample()]));
    for (let n = -1; n < rounds; n++) {
      const blocks = Array.from({ length: repeat }, () => make(size));
      const roots = new Set<string>();
      for (const peer of peers) {
        const sample = n < 0 ? newSample() : (samples.get(peer) as Sample); // at first it warms up
        const before = threadTimes(process.pid);
        let root: Uint8Array = new Uint8Array(0);
        for (const writes of blocks) root = await block(peer, writes, sample);
        account(sample, before, threadTimes(process.pid));
        roots.add(toHexKey(root));
      }
      if (roots.size !== 1) throw new Error("the roots differ");
    }
    const perBlock = (ms: number): number => round(ms / (rounds * repeat));
    results[`${size} ${name}`] = Object.fromEntries(
      [...samples].map(([peer, { rootMs, mainMs, threads }]) => [
        peer.name,
        {
          rootMs: round(median(rootMs)),
          mainMs: perBlock(mainMs),
          busiestMs: perBlock(Math.max(0, ...threads.values())),
        },
      ]),
    );
  }
console.log(JSON.stringify({ machine: cpus()[0]?.model, node: process.version, accounts, results }, null, 2));
for (const peer of peers) {
  await peer.close();
  await peer.database.close();
}
rmSync(folder, { recursive: true });
