/**
 * State root and commit of blocks on a trie of a million accounts, beside @ethereumjs/mpt doing the same changes in
 * memory (a smaller trie, fewer changes: it hashes on every put). Prints machine, workload, median, spread and ratio.
 * Run: npx tsx bench/state-root.bench.ts [--accounts 1000000] [--rounds 30]
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MerklePatriciaTrie } from "@ethereumjs/mpt";
import { toHexKey } from "../src/base/bytes.ts";
import { EMPTY_CODE_HASH, EMPTY_TRIE_ROOT } from "../src/protocol/ordered-trie.ts";
import { emptyWrites, type StateWrites } from "../src/protocol/state-writes.ts";
import { LmdbState } from "../src/state/lmdb-state.ts";
import { accountLeafValue } from "../src/state/trie-node.ts";
import { Database } from "../src/store/database.ts";

const { values } = parseArgs({
  options: { accounts: { type: "string", default: "1000000" }, rounds: { type: "string", default: "30" } },
});
const accounts = Number(values.accounts);
const rounds = Number(values.rounds);
const LOAD_STEP = 50_000;
const PEER_ACCOUNTS = 50_000;

let seed = 1;
/** xorshift32: the same workload every run. */
function random(below: number): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % below;
}

function addressKey(n: number): string {
  const address = new Uint8Array(20);
  const view = new DataView(address.buffer);
  view.setUint32(0, Math.imul(n, 0x9e3779b1));
  view.setUint32(16, n);
  return toHexKey(address);
}

function slotKey(n: number): string {
  const slot = new Uint8Array(32);
  new DataView(slot.buffer).setUint32(28, n);
  return toHexKey(slot);
}

const balance = (): bigint => BigInt(random(2 ** 31)) * 1_000_000_000_007n;

/** A block of plain transfers: `count` different accounts get another nonce and balance. */
function transfers(count: number, total: number): StateWrites {
  const writes = emptyWrites();
  while (writes.accounts.size < count)
    writes.accounts.set(addressKey(random(total)), {
      cleared: false,
      account: { nonce: BigInt(random(1000)), balanceWei: balance(), codeHash: EMPTY_CODE_HASH },
      storage: new Map(),
    });
  return writes;
}

/** A block of token transfers: `count` slots of one contract. */
function tokenTransfers(count: number, total: number): StateWrites {
  const storage = new Map<string, Uint8Array>();
  while (storage.size < count) {
    const value = new Uint8Array(32);
    new DataView(value.buffer).setBigUint64(24, balance());
    storage.set(slotKey(random(total)), value);
  }
  const writes = emptyWrites();
  const account = { nonce: 1n, balanceWei: 0n, codeHash: EMPTY_CODE_HASH };
  writes.accounts.set(addressKey(accounts + 1), { cleared: false, account, storage });
  return writes;
}

/** A block of new accounts. */
function creations(count: number, from: number): StateWrites {
  const writes = emptyWrites();
  for (let n = from; n < from + count; n++)
    writes.accounts.set(addressKey(n), {
      cleared: false,
      account: { nonce: 0n, balanceWei: balance() + 1n, codeHash: EMPTY_CODE_HASH },
      storage: new Map(),
    });
  return writes;
}

type Summary = { readonly median: number; readonly low: number; readonly high: number };

function summary(samples: readonly number[]): Summary {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] as number;
  return { median: at(0.5), low: at(0.1), high: at(0.9) };
}

const show = ({ median, low, high }: Summary): string =>
  `${median.toFixed(2).padStart(8)} µs/leaf  [${low.toFixed(2)} .. ${high.toFixed(2)}]`;

const folder = mkdtempSync(join(tmpdir(), "sheaf-bench-state-"));
const database = Database.open(folder);
const state = new LmdbState(database);

type Cost = { readonly rootMs: number; readonly storeMs: number; readonly diskMs: number };

/**
 * Milliseconds that this thread has run (Linux), so that neighbours on the machine do not count; elsewhere the clock.
 */
const SCHEDSTAT = `/proc/self/task/${process.pid}/schedstat`;
const hasThreadClock = existsSync(SCHEDSTAT);
function threadMs(): number {
  return hasThreadClock ? Number(readFileSync(SCHEDSTAT, "latin1").split(" ")[0]) / 1e6 : performance.now();
}

/** Root and store are time of the caller's thread; disk is the wait after that until the block is synced. */
async function commit(writes: StateWrites): Promise<Cost> {
  const start = threadMs();
  const prepared = state.prepare(writes);
  const rooted = threadMs();
  database.transaction(() => state.commit(state.head + 1, prepared));
  const stored = threadMs();
  const handed = performance.now();
  await database.flushed();
  return { rootMs: rooted - start, storeMs: stored - rooted, diskMs: performance.now() - handed };
}

console.log(
  `machine   ${cpus().length} x ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, node ${process.version}`,
);
console.log(`clock     ${hasThreadClock ? "CPU time of the thread (disk: wall)" : "wall"}; median [10 % .. 90 %]`);
console.log(`workload  trie of ${accounts} accounts and one contract of ${accounts} slots; ${rounds} samples per row`);

const loadStart = performance.now();
for (let from = 0; from < accounts; from += LOAD_STEP)
  await commit(creations(Math.min(LOAD_STEP, accounts - from), from));
for (let from = 0; from < accounts; from += LOAD_STEP) {
  const writes = tokenTransfers(0, 1);
  const [write] = writes.accounts.values();
  for (let n = from; n < Math.min(accounts, from + LOAD_STEP); n++) {
    const value = new Uint8Array(32);
    value[31] = 1 + (n % 255);
    write?.storage.set(slotKey(n), value);
  }
  await commit(writes);
}
while (!state.prune(state.head)) await database.settled();
console.log(`loaded    in ${((performance.now() - loadStart) / 1000).toFixed(1)} s`);

/** The kernel counts a running thread's time in ticks: a sample is as many blocks as it takes to see some. */
const SAMPLE_LEAVES = 2000;

async function row(name: string, leaves: number, next: () => StateWrites): Promise<Summary> {
  const samples: Cost[] = [];
  const blocks = Math.ceil(SAMPLE_LEAVES / leaves);
  for (let round = 0; round < rounds + 3; round++) {
    const sample = { rootMs: 0, storeMs: 0, diskMs: 0 };
    for (let block = 0; block < blocks; block++) {
      const cost = await commit(next());
      sample.rootMs += cost.rootMs;
      sample.storeMs += cost.storeMs;
      sample.diskMs += cost.diskMs;
    }
    if (round >= 3) samples.push(sample);
  }
  const perLeaf = (pick: (cost: Cost) => number): Summary =>
    summary(samples.map((cost) => (pick(cost) * 1000) / (leaves * blocks)));
  const total = perLeaf((cost) => cost.rootMs + cost.storeMs);
  console.log(`${name.padEnd(34)} root  ${show(perLeaf((cost) => cost.rootMs))}`);
  console.log(`${"".padEnd(34)} store ${show(perLeaf((cost) => cost.storeMs))}`);
  console.log(`${"".padEnd(34)} both  ${show(total)}`);
  console.log(`${"".padEnd(34)} disk  ${show(perLeaf((cost) => cost.diskMs))} (wall, another thread)`);
  return total;
}

let created = accounts + 10;
const main = await row("1000 changed accounts", 1000, () => transfers(1000, accounts));
await row("1000 changed slots, one contract", 1000, () => tokenTransfers(1000, accounts));
await row("1000 new accounts", 1000, () => {
  created += 1000;
  return creations(1000, created);
});
await row("100 changed accounts", 100, () => transfers(100, accounts));
await row("10 changed accounts", 10, () => transfers(10, accounts));

// The peer gets a trie twenty times smaller and no storage at all: in memory, current version only.
const peer = new MerklePatriciaTrie({ useKeyHashing: true });
const value = (): Uint8Array => accountLeafValue(BigInt(random(1000)), balance(), EMPTY_TRIE_ROOT, EMPTY_CODE_HASH);
for (let n = 0; n < PEER_ACCOUNTS; n++) await peer.put(Buffer.from(addressKey(n), "hex"), value());
const peerSamples: number[] = [];
for (let round = 0; round < 5; round++) {
  const start = threadMs();
  for (let i = 0; i < 200; i++) await peer.put(Buffer.from(addressKey(random(PEER_ACCOUNTS)), "hex"), value());
  peerSamples.push(((threadMs() - start) * 1000) / 200);
}
const peerTotal = summary(peerSamples);
console.log(`${`@ethereumjs/mpt, ${PEER_ACCOUNTS} in memory`.padEnd(34)} both  ${show(peerTotal)}`);
console.log(`ratio     ${(peerTotal.median / main.median).toFixed(1)} x (1000 changed accounts, root and store)`);

await database.close();
rmSync(folder, { recursive: true });
