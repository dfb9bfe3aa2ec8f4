/**
 * Owns what the engines are compared on: an ERC-20 transfer and the main set of ipsilon/evm-benchmarks, each called in a
 * loop by a contract of a few bytes, so that one and many executions differ by nothing else.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bigIntToBytes, concatBytes, fromHex, padLeft, toHexKey } from "../../src/base/bytes.ts";
import type { BlockEnv, CallInput } from "../../src/execution/execution.ts";
import { EMPTY_CODE_HASH, World } from "../../src/execution/wasm/testing/world.ts";
import { keccak256 } from "../../src/protocol/keccak.ts";
import { balanceSlot, tokenCode } from "./token-code.ts";

export type EvmWorkload = {
  readonly name: string;
  readonly code: Uint8Array;
  readonly storage: ReadonlyMap<string, Uint8Array>;
  readonly input: Uint8Array;
};

export const TRANSFER = "erc20 transfer";

export const REPEATER = fromHex("00000000000000000000000000000000000be4c4");
export const TARGET = fromHex("be7c43a580000000000000000000000000000001");
export const CALLER = fromHex("a94f5374fce5edbc8e2a8697c15331677e6ebf0b");

/**
 * calldata: count, target, payload. Calls the target with the payload `count` times, reverts when a call fails, answers
 * with the return data of the last.
 */
export const REPEATER_CODE = fromHex(
  [
    "60403603", // payload length
    "80",
    "6040",
    "6000",
    "37", // payload to memory 0
    "600035", // count
    "5b", // loop (at 13)
    "80",
    "15",
    "6031",
    "57", // done when the count is 0
    "6000",
    "6000",
    "83",
    "6000",
    "6000",
    "602035",
    "5a",
    "f1", // call
    "15",
    "602c",
    "57", // failed?
    "6001",
    "90",
    "03",
    "600d",
    "56", // count - 1, loop
    "5b",
    "6000",
    "80",
    "fd", // failed (at 44)
    "5b",
    "3d",
    "6000",
    "80",
    "3e",
    "3d",
    "6000",
    "f3", // done (at 49)
  ].join(""),
);

export const ENV: BlockEnv = {
  chainId: 1,
  number: 1,
  timestamp: 1_638_519_433,
  gasLimit: 1_000_000_000_000,
  baseFeePerGasWei: 0n,
  blobBaseFeeWei: 1n,
  coinbase: new Uint8Array(20),
  prevRandao: new Uint8Array(32),
  fork: "prague",
  feePolicy: "ethereum",
};
export const GAS = 900_000_000_000;

const word = (value: bigint | number): Uint8Array => bigIntToBytes(BigInt(value), 32);

export function transfer(): EvmWorkload {
  return {
    name: TRANSFER,
    code: tokenCode(),
    storage: new Map([[balanceSlot(REPEATER), word(10n ** 30n)]]),
    input: concatBytes(fromHex("a9059cbb"), word(0xbeefn), word(1)),
  };
}

/** The programs of ipsilon/evm-benchmarks, each input a workload. */
export function programs(shared: string): EvmWorkload[] {
  const directory = join(shared, "evm-benchmarks/benchmarks/main");
  if (!existsSync(directory)) return [];
  type Program = {
    pre: Record<string, { code: string; storage: Record<string, string> }>;
    transaction: { to: string; data: string[] };
    _info: { labels?: Record<string, string> };
  };
  return readdirSync(directory)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .flatMap((file) => {
      const [[name, program] = ["", undefined]] = Object.entries(
        JSON.parse(readFileSync(join(directory, file), "utf8")) as Record<string, Program>,
      );
      if (program === undefined) return [];
      const account = program.pre[program.transaction.to];
      return program.transaction.data.map((data, i) => ({
        name: `${name}/${program._info.labels?.[String(i)] ?? i}`,
        code: fromHex(account?.code ?? "0x"),
        storage: new Map(
          Object.entries(account?.storage ?? {}).map(([slot, value]) => [
            toHexKey(padLeft(fromHex(slot), 32)),
            padLeft(fromHex(value), 32),
          ]),
        ),
        input: fromHex(data),
      }));
    });
}

export function worldOf(workload: EvmWorkload): World {
  const world = new World();
  for (const [address, code, storage] of [
    [REPEATER, REPEATER_CODE, new Map<string, Uint8Array>()],
    [TARGET, workload.code, new Map(workload.storage)],
  ] as const) {
    const codeHash = keccak256(code);
    world.codes.set(toHexKey(codeHash), code);
    world.accounts.set(toHexKey(address), { nonce: 1n, balanceWei: 0n, codeHash, storage });
  }
  world.accounts.set(toHexKey(CALLER), {
    nonce: 0n,
    balanceWei: 10n ** 30n,
    codeHash: EMPTY_CODE_HASH,
    storage: new Map(),
  });
  return world;
}

/** Calldata of the repeater for `count` calls of the workload. */
export const callData = (workload: EvmWorkload, count: number): Uint8Array =>
  concatBytes(word(count), padLeft(TARGET, 32), workload.input);

export function callInput(workload: EvmWorkload, count: number): CallInput {
  return {
    from: CALLER,
    to: REPEATER,
    data: callData(workload, count),
    valueWei: 0n,
    gasLimit: GAS,
    gasPriceWei: 0n,
    intrinsicGas: false,
  };
}
