/**
 * The state root by shards in threads beside one shard on the main thread, both in memory, by block: transfers (an
 * account each) and token transfers (a slot each, of one contract). CPU time by thread, which holds on a busy machine;
 * from it the speed-up on idle cores: the serial time over that of the main thread and of the busiest shard. Prints one
 * JSON object. Run: npx tsx bench/state-shards.bench.ts [accounts] [rounds]
 */
import { once } from "node:events";
import { cpus } from "node:os";
import { toHexKey } from "../src/base/bytes.ts";
import { startWorker } from "../src/base/worker.ts";
import { threadTimes } from "../src/bench/processor-time.ts";
import { keccak256 } from "../src/protocol/keccak.ts";
import { EMPTY_CODE_HASH } from "../src/protocol/ordered-trie.ts";
import { type AccountWrite, emptyWrites, type StateWrites } from "../src/protocol/state-writes.ts";
import { decodeTops, RootJoiner } from "../src/state/root-joiner.ts";
import { StateShard } from "../src/state/state-shard.ts";
import { packWrites } from "./lib/state-writes-codec.ts";

const accounts = Number(process.argv[2] ?? 100_000);
const rounds = Number(process.argv[3] ?? 3);
const SHARDS = 2;
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

const whole = new StateShard();
for (let byte = 0; byte < 256; byte++) whole.take(byte);
const wholeJoiner = new RootJoiner();
const joiner = new RootJoiner();
const ownerOf = (byte: number): number => Math.floor((byte * SHARDS) / 256);
const workers = Array.from({ length: SHARDS }, (_, shard) =>
  startWorker(new URL("./lib/state-shard-worker.ts", import.meta.url), {
    workerData: Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => ownerOf(byte) === shard),
  }),
);

function serial(writes: StateWrites): Uint8Array {
  wholeJoiner.update(whole.apply(writes));
  return wholeJoiner.root();
}
async function sharded(writes: StateWrites): Promise<Uint8Array> {
  const parts = workers.map(() => emptyWrites());
  for (const [address, account] of writes.accounts)
    parts[ownerOf(keccak256(Buffer.from(address, "hex"))[0] as number)]?.accounts.set(address, account);
  const answers = workers.map(async (worker, i) => {
    const answer = once(worker, "message") as Promise<[Uint8Array]>;
    const packed = packWrites(parts[i] as StateWrites);
    worker.postMessage(packed, [packed.buffer as ArrayBuffer]);
    joiner.update(decodeTops((await answer)[0]));
  });
  await Promise.all(answers);
  return joiner.root();
}

for (let from = 0; from < accounts; from += LOAD) {
  const writes = emptyWrites();
  const storage = new Map<string, Uint8Array>();
  for (let n = from; n < Math.min(from + LOAD, accounts); n++) {
    writes.accounts.set(addressOf(n), write());
    storage.set(toHexKey(word(n)), word(n + 1));
  }
  writes.accounts.set(TOKEN, write(storage));
  serial(writes);
  await sharded(writes);
}

const results: Record<string, Record<string, number>> = {};
for (const [name, make] of [
  ["transfers", transfers],
  ["token transfers", tokenTransfers],
] as const)
  for (const size of [100, 1_000, 10_000]) {
    // The kernel counts in steps of 10 ms: enough work at a time that this does not matter.
    const repeat = Math.ceil(20_000 / size);
    const cpu = { serial: 0, main: 0 };
    const shards = new Map<string, number>();
    for (let round = -1; round < rounds; round++) {
      const blocks = Array.from({ length: repeat }, () => make(size));
      const before = threadTimes(process.pid);
      for (const block of blocks) serial(block);
      const between = threadTimes(process.pid);
      for (const block of blocks) await sharded(block);
      const after = threadTimes(process.pid);
      if (Buffer.compare(wholeJoiner.root(), joiner.root()) !== 0) throw new Error("the roots differ");
      if (round < 0) continue; // warming up
      for (const [id, { name: thread, ms }] of after) {
        const spent = ms - (between.get(id)?.ms ?? 0);
        if (thread === "main") {
          cpu.main += spent;
          cpu.serial += (between.get(id)?.ms ?? 0) - (before.get(id)?.ms ?? 0);
        } else shards.set(id, (shards.get(id) ?? 0) + spent);
      }
    }
    const busiest = Math.max(...shards.values());
    const us = (ms: number): number => Number(((ms * 1_000) / (rounds * repeat * size)).toFixed(1));
    results[`${size} ${name}`] = {
      serialUsPerLeaf: us(cpu.serial),
      mainUsPerLeaf: us(cpu.main),
      busiestShardUsPerLeaf: us(busiest),
      speedupOnIdleCores: Number((cpu.serial / (cpu.main + busiest)).toFixed(2)),
    };
  }
console.log(
  JSON.stringify({ machine: cpus()[0]?.model, node: process.version, accounts, shards: SHARDS, results }, null, 2),
);
await Promise.all(workers.map((worker) => worker.terminate()));
