/**
 * Appending blocks of token transfers to the chain store, and log searches over all of them. Prints machine, workload,
 * time per transaction and per search.
 * Run: npx tsx bench/chain-store.bench.ts [--blocks 100000] [--transactions 10]
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { hasCode } from "../src/base/error.ts";
import type { Block } from "../src/protocol/block.ts";
import type { Receipt } from "../src/protocol/receipt.ts";
import type { LogFilter } from "../src/store/chain-store.ts";
import { Database } from "../src/store/database.ts";
import { LmdbChainStore } from "../src/store/lmdb-chain-store.ts";

const { values } = parseArgs({
  options: { blocks: { type: "string", default: "100000" }, transactions: { type: "string", default: "10" } },
});
const blocks = Number(values.blocks);
const perBlock = Number(values.transactions);
const USERS = 100_000;
const TOKENS = 20;

let seed = 1;
/** xorshift32: the same workload every run. */
function random(below: number): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % below;
}

function word(length: number, tag: number, n: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = tag;
  new DataView(bytes.buffer).setUint32(length - 4, n);
  return bytes;
}

const TRANSFER = word(32, 0xdd, 1);
const token = (n: number): Uint8Array => word(20, 0x70, n);
const user = (n: number): Uint8Array => word(32, 0, n);

function next(parent: Block | undefined): { block: Block; receipts: Receipt[] } {
  const number = (parent?.header.number ?? -1) + 1;
  const zero = new Uint8Array(32);
  const receipts = Array.from(
    { length: perBlock },
    (_, i): Receipt => ({
      type: 2,
      status: 1,
      cumulativeGasUsed: 50_000 * (i + 1),
      gasUsed: 50_000,
      logs: [
        { address: token(random(TOKENS)), topics: [TRANSFER, user(random(USERS)), user(random(USERS))], data: zero },
      ],
      effectiveGasPriceWei: 1_000_000_000n,
      contractAddress: undefined,
      l1FeeWei: 1_000_000n,
      depositNonce: undefined,
    }),
  );
  const transactions = receipts.map((_, i) => {
    const raw = new Uint8Array(180).fill(i);
    new DataView(raw.buffer).setUint32(0, number);
    return raw;
  });
  const header: Block["header"] = {
    parentHash: parent?.hash ?? zero,
    ommersHash: zero,
    coinbase: new Uint8Array(20),
    stateRoot: zero,
    transactionsRoot: zero,
    receiptsRoot: zero,
    logsBloom: new Uint8Array(256),
    difficulty: 0n,
    number,
    gasLimit: 30_000_000,
    gasUsed: 50_000 * perBlock,
    timestamp: number,
    extraData: new Uint8Array(0),
    prevRandao: zero,
    nonce: new Uint8Array(8),
    baseFeePerGasWei: 7n,
    withdrawalsRoot: zero,
    blobGasUsed: 0,
    excessBlobGas: 0,
    parentBeaconBlockRoot: zero,
    requestsHash: zero,
  };
  const senders = receipts.map((_, i) => word(20, 1, i));
  const block = { hash: word(32, 0xb0, number), header, transactions, senders, origin: { number, hash: zero } };
  return { block: { ...block, sequenceNumber: 0 }, receipts };
}

const SCHEDSTAT = `/proc/self/task/${process.pid}/schedstat`;
const hasThreadClock = existsSync(SCHEDSTAT);
/** Time this thread has run (Linux), so that neighbours on the machine do not count; elsewhere the clock. */
function threadMs(): number {
  return hasThreadClock ? Number(readFileSync(SCHEDSTAT, "latin1").split(" ")[0]) / 1e6 : performance.now();
}

const folder = mkdtempSync(join(tmpdir(), "sheaf-bench-chain-"));
const database = Database.open(folder);
const store = new LmdbChainStore(database);

console.log(
  `machine   ${cpus().length} x ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, node ${process.version}`,
);
console.log(`workload  ${blocks} blocks of ${perBlock} token transfers, ${TOKENS} tokens, ${USERS} users`);

let spentMs = 0;
let parent: Block | undefined;
const wallStart = performance.now();
for (let n = 0; n < blocks; n++) {
  const { block, receipts } = next(parent);
  const start = threadMs();
  database.transaction(() => store.append(block, receipts));
  spentMs += threadMs() - start;
  parent = block;
  await database.settled();
  if (n % 100 === 0) await database.flushed();
}
await database.flushed();
const wallSeconds = (performance.now() - wallStart) / 1000;
console.log(
  `append    ${((spentMs * 1000) / (blocks * perBlock)).toFixed(2)} µs per transaction on the caller's thread, ` +
    `${Math.round((blocks * perBlock) / wallSeconds)} transactions/s to disk`,
);

function search(name: string, filter: Partial<LogFilter>): void {
  const samples: number[] = [];
  let outcome = "";
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    try {
      const found = store.logs({ fromBlock: 0, toBlock: blocks, addresses: [], topics: [], limit: 10_000, ...filter });
      outcome = `${found.length} logs`;
    } catch (error) {
      if (!hasCode(error, "LOG_RESULT_LIMIT") && !hasCode(error, "LOG_SCAN_LIMIT")) throw error;
      outcome = error.code;
    }
    samples.push(performance.now() - start);
  }
  samples.sort((a, b) => a - b);
  const [low, , median, , high] = samples as [number, number, number, number, number];
  console.log(
    `search    ${name.padEnd(44)} ${median.toFixed(2).padStart(9)} ms  [${low.toFixed(2)} .. ${high.toFixed(2)}]  ${outcome}`,
  );
}

search("one user as receiver, whole chain", { topics: [[TRANSFER], undefined, [user(77)]] });
search("one user of one token, whole chain", { addresses: [token(3)], topics: [[TRANSFER], [user(77)]] });
search("a token nobody knows, whole chain", { addresses: [token(999)] });
search("one token, whole chain (too many)", { addresses: [token(3)] });
search("one token, 1000 blocks", { addresses: [token(3)], fromBlock: blocks - 1000 });
search("everything, 100 blocks", { fromBlock: blocks - 100 });
search("two common topics that never meet", { topics: [[TRANSFER], [TRANSFER]] });

await database.close();
rmSync(folder, { recursive: true });
