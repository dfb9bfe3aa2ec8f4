/**
 * What a block access list (EIP-7928) costs: collecting it from the engine's records, encoding and hashing, per
 * transaction, beside the execution of the same block without it. Prints one JSON object, medians of the CPU time of interleaved rounds.
 * Run: npx tsx bench/access-list.bench.ts [transactions] [rounds]
 */
import { cpus } from "node:os";
import { concatBytes, fromHex, padLeft, toHexKey } from "../src/base/bytes.ts";
import { BlockExecution } from "../src/execution/block-execution.ts";
import {
  account,
  assemble,
  plainAddress,
  SYSTEM_CONTRACTS,
  signed,
  stateOf,
  TEST_CHAIN,
  TEST_SYSTEM_CONFIG,
  testGenesisBlock,
  testKeys,
  testOrigin,
} from "../src/execution/testing/world.ts";
import { WasmEngine } from "../src/execution/wasm/wasm.ts";
import { blockAccessListHash } from "../src/protocol/block-access-list.ts";

/** CPU time of the process: what holds on a machine that is busy otherwise. */
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};
const count = Number(process.argv[2] ?? 1_000);
const rounds = Number(process.argv[3] ?? 15);
const keys = testKeys(Math.min(count, 250));
const token = plainAddress(0x70ce);
/** Moves the word at 36 from the caller's slot to the slot of the address at 4, as a token's transfer does. */
const MOVE = assemble(
  36, "CALLDATALOAD", "DUP1", "CALLER", "SLOAD", "SUB", "CALLER", "SSTORE",
  4, "CALLDATALOAD", "SLOAD", "ADD", 4, "CALLDATALOAD", "SSTORE",
); // biome-ignore format: one line per half of the transfer
const word = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(64, "0"));
const state = stateOf([
  ...SYSTEM_CONTRACTS,
  ...keys.map(({ address }) => [address, account({ balanceWei: 10n ** 21n })] as const),
  [
    token,
    account({
      nonce: 1n,
      code: MOVE,
      storage: new Map(keys.map(({ address }) => [toHexKey(padLeft(address, 32)), word(10n ** 24n)])),
    }),
  ],
]);
const genesis = testGenesisBlock(state.prepare({ accounts: new Map(), codes: new Map() }).stateRoot);
const txs = Array.from({ length: count }, (_, i) => {
  const data = concatBytes(fromHex("a9059cbb"), padLeft(plainAddress(0x9000 + (i % 500)), 32), word(BigInt(1 + i)));
  return signed(keys[i % keys.length] as (typeof keys)[number], {
    nonce: BigInt(Math.floor(i / keys.length)),
    to: token,
    data,
    gasLimit: 100_000n,
    maxPriorityFeePerGasWei: 1n,
  });
});

const engine = await WasmEngine.create();
const prepare = (): { stateRoot: Uint8Array } => ({ stateRoot: new Uint8Array(32) });
const run = async (withAccessList: boolean): Promise<{ applyMs: number; finishMs: number; list: Uint8Array }> => {
  const execution = await BlockExecution.begin({
    chain: TEST_CHAIN,
    parent: genesis,
    attributes: {
      timestamp: testOrigin(1).timestamp,
      origin: testOrigin(1),
      sequenceNumber: 0,
      systemConfig: { ...TEST_SYSTEM_CONFIG, gasLimit: 100_000 * count + 1_000_000 },
      deposits: [],
    },
    state: state.reader(),
    engine,
    withAccessList,
  });
  const start = cpuMs();
  for (let at = 0; at < txs.length; at += 100) await execution.apply(txs.slice(at, at + 100));
  const applied = cpuMs();
  const { receipts, accessList } = execution.finish(prepare);
  if (receipts.some(({ status }) => status !== 1) || receipts.length !== count + 1) throw new Error("transfers failed");
  return {
    applyMs: applied - start,
    finishMs: cpuMs() - applied,
    list: accessList ?? new Uint8Array(0),
  };
};
const times = { apply: [] as number[], applyWith: [] as number[], finish: [] as number[], finishWith: [] as number[] };
const hashes: number[] = [];
let list = new Uint8Array(0);
for (let round = 0; round < rounds + 5; round++) {
  const without = await run(false);
  const withList = await run(true);
  list = new Uint8Array(withList.list);
  const start = cpuMs();
  blockAccessListHash(list);
  if (round < 5) continue; // warming up
  hashes.push(cpuMs() - start);
  times.apply.push(without.applyMs);
  times.applyWith.push(withList.applyMs);
  times.finish.push(without.finishMs);
  times.finishWith.push(withList.finishMs);
}
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] as number;
const perTx = (ms: number): number => Number(((ms * 1_000) / count).toFixed(2));
console.log(
  JSON.stringify(
    {
      machine: cpus()[0]?.model,
      node: process.version,
      transactions: count,
      listBytesPerTx: Number((list.length / count).toFixed(1)),
      usPerTx: {
        apply: perTx(median(times.apply)),
        applyWithList: perTx(median(times.applyWith)),
        collectAndEncode: perTx(median(times.finishWith) - median(times.finish)),
        hash: perTx(median(hashes)),
      },
    },
    null,
    2,
  ),
);
