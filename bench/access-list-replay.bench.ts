/**
 * Replay of a block from its access list on N threads beside the serial run of the same engine, by kind of work: token
 * transfers (a few microseconds each) and hashing loops (thousands). CPU time by thread, which holds on a busy machine, and
 * from it the speed-up on idle cores: serial time over that of the main thread and an even share of the others'. Wall
 * time (medians of interleaved rounds) beside it. Prints one JSON object.
 * Run: npx tsx bench/access-list-replay.bench.ts [transactions] [rounds]
 */
import { cpus } from "node:os";
import { concatBytes, fromHex, padLeft, toHexKey } from "../src/base/bytes.ts";
import { silentLog } from "../src/base/log.ts";
import { threadTimes } from "../src/bench/processor-time.ts";
import type { TxInput } from "../src/execution/execution.ts";
import { AccessListReplay } from "../src/execution/parallel/access-list-replay.ts";
import { ReplayThreads } from "../src/execution/parallel/replay-threads.ts";
import { account, assemble, plainAddress, signed, stateOf, testEnv, testKeys } from "../src/execution/testing/world.ts";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";
import { AccessListBuilder, encodeBlockAccessList } from "../src/protocol/block-access-list.ts";

const count = Number(process.argv[2] ?? 500);
const rounds = Number(process.argv[3] ?? 9);
const keys = testKeys(Math.min(count, 250));
const token = plainAddress(0x70ce);
const hasher = plainAddress(0x4a54);
/** Moves the word at 36 from the caller's slot to the slot of the address at 4, as a token's transfer does. */
// biome-ignore format: one line per half of the transfer
const MOVE = assemble(
  36, "CALLDATALOAD", "DUP1", "CALLER", "SLOAD", "SUB", "CALLER", "SSTORE",
  4, "CALLDATALOAD", "SLOAD", "ADD", 4, "CALLDATALOAD", "SSTORE",
);
/** Hashes a growing word 4000 times, then counts the call in the caller's slot. */
const HASH = fromHex("610fa05b60205f205f52600190038060035733546001013355");
const word = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(64, "0"));
const state = stateOf([
  ...keys.map(({ address }) => [address, account({ balanceWei: 10n ** 21n })] as const),
  [hasher, account({ nonce: 1n, code: HASH })],
  [
    token,
    account({
      nonce: 1n,
      code: MOVE,
      storage: new Map(keys.map(({ address }) => [toHexKey(padLeft(address, 32)), word(10n ** 24n)])),
    }),
  ],
]).reader();
const env = testEnv({ gasLimit: 1_000_000 * count });
const transactions = (to: Uint8Array, n: number): TxInput[] =>
  Array.from({ length: n }, (_, i) => ({
    ...signed(keys[i % keys.length] as (typeof keys)[number], {
      nonce: BigInt(Math.floor(i / keys.length)),
      to,
      data: concatBytes(fromHex("a9059cbb"), padLeft(plainAddress(0x9000 + (i % 500)), 32), word(BigInt(1 + i))),
      gasLimit: 900_000n,
      maxPriorityFeePerGasWei: 1n,
    }),
    l1FeeWei: 1_000n,
  }));

const engine = await WasmEngine.create();
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] as number;
const results: Record<string, Record<string, number>> = {};
for (const threads of [1, 2]) {
  const pool = await ReplayThreads.create(threads, silentLog);
  for (const [name, to, repeat] of [
    ["transfers", token, 40],
    ["hashing", hasher, 1],
  ] as const) {
    const txs = transactions(to, count);
    const truth = engine.execute(env, txs, state, env.gasLimit, { bloom: true });
    const builder = new AccessListBuilder();
    for (const [i, result] of truth.entries()) {
      if (!result.included || result.status !== 1) throw new Error(`transaction ${i} failed`);
      result.recordAccess?.(builder, i + 1, (hash) => state.code(hash));
    }
    const list = encodeBlockAccessList(builder.finish());
    const serialMs: number[] = [];
    const parallelMs: number[] = [];
    const cpu = { serial: 0, main: 0, threads: 0 };
    let counted = rounds;
    for (let round = 0; counted > 0; round++) {
      const before = threadTimes(process.pid);
      const start = performance.now();
      // The kernel counts in steps of 10 ms: enough work at a time that this does not matter.
      for (let i = 0; i < repeat; i++) engine.execute(env, txs, state, env.gasLimit, { bloom: true });
      const serial = performance.now() - start;
      const between = threadTimes(process.pid);
      const middle = performance.now();
      for (let i = 0; i < repeat; i++) {
        const replay = new AccessListReplay(engine, pool, list);
        await replay.executeBatch(env, txs, state, env.gasLimit);
        if (replay.outcome !== "parallel") throw new Error(`the replay was ${replay.outcome}`);
      }
      const parallel = performance.now() - middle;
      if (round < 3) continue; // warming up
      const end = threadTimes(process.pid);
      serialMs.push(serial / repeat);
      parallelMs.push(parallel / repeat);
      for (const [id, { name: thread, ms }] of end) {
        const at = between.get(id)?.ms ?? 0;
        if (thread === "main") {
          cpu.serial += at - (before.get(id)?.ms ?? 0);
          cpu.main += ms - at;
        } else cpu.threads += ms - at;
      }
      counted--;
    }
    const us = (ms: number): number => Number(((ms * 1_000) / count).toFixed(1));
    const spent = (ms: number): number => us(ms / rounds / repeat);
    results[`${name}, ${threads} threads`] = {
      serialCpuUsPerTx: spent(cpu.serial),
      mainCpuUsPerTx: spent(cpu.main),
      threadsCpuUsPerTx: spent(cpu.threads),
      speedupOnIdleCores: Number((cpu.serial / (cpu.main + cpu.threads / threads)).toFixed(2)),
      serialWallUsPerTx: us(median(serialMs)),
      parallelWallUsPerTx: us(median(parallelMs)),
    };
  }
  await pool.close();
}
console.log(
  JSON.stringify({ machine: cpus()[0]?.model, node: process.version, transactions: count, results }, null, 2),
);
