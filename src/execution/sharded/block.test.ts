import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { fromHex, toHex, toHexKey } from "../../base/bytes.ts";
import type { OpenLink } from "../../link/link.ts";
import { BlockExecution } from "../block-execution.ts";
import type { Engine } from "../execution.ts";
import {
  account,
  SYSTEM_CONTRACTS,
  stateOf,
  TEST_CHAIN,
  TEST_SYSTEM_CONFIG,
  testGenesisBlock,
  testOrigin,
} from "../testing/world.ts";
import { Random } from "../wasm/testing/random-program.ts";
import { WasmEngine } from "../wasm/wasm.ts";
import { executorHere, executorProcess, executorThread } from "./executor-links.ts";
import { shardProcess, shardThread } from "./shard-links.ts";
import { ShardedEngine } from "./sharded-engine.ts";
import { PROFILES, type Profile, Workload } from "./testing/workloads.ts";

const BLOCKS = 2;

/** Builds blocks on `engine`, each out of several cuts; their hashes and access lists. */
async function chainOn(engine: Engine, profile: Profile, seed: number): Promise<string[]> {
  const workload = new Workload(profile, new Random(seed, 1), 24);
  const state = stateOf([
    ...SYSTEM_CONTRACTS,
    ...[...workload.world.accounts].map(([address, { nonce, balanceWei, codeHash, storage }]) => {
      const code = workload.world.codes.get(toHexKey(codeHash)) ?? new Uint8Array(0);
      return [fromHex(address), account({ nonce, balanceWei, code, storage })] as const;
    }),
  ]);
  let parent = testGenesisBlock(state.prepare({ accounts: new Map(), codes: new Map() }).stateRoot);
  const lines: string[] = [];
  for (let n = 1; n <= BLOCKS; n++) {
    const execution = await BlockExecution.begin({
      chain: TEST_CHAIN,
      parent,
      attributes: {
        timestamp: parent.header.timestamp + 1,
        origin: testOrigin(0),
        sequenceNumber: n,
        systemConfig: TEST_SYSTEM_CONFIG,
        deposits: [],
      },
      state: state.reader(),
      engine,
      withAccessList: true,
    });
    for (let cut = 0; cut < 3; cut++) await execution.apply(workload.epoch(40).txs);
    const { block, prepared, accessList, writes } = execution.finish((w) => state.prepare(w));
    state.commit(n, prepared);
    workload.world.apply(writes);
    workload.settle();
    lines.push(`${toHex(block.hash)} ${block.transactions.length} ${toHex(accessList ?? new Uint8Array(0))}`);
    parent = block;
  }
  return lines;
}

test("I1: blocks of every workload have the serial run's hash and access list, over threads and processes too", async (t) => {
  const seed = randomInt(2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const serial = await WasmEngine.create();
  const links: Record<Profile, readonly OpenLink[]> = {
    M1: [executorThread, executorThread],
    B1: [executorHere(serial), executorHere(serial), executorHere(serial)],
    H1: [executorProcess, executorThread],
    U1: [executorProcess, executorProcess],
  };
  const shards: Record<Profile, number | readonly OpenLink[]> = {
    M1: [shardThread, shardThread],
    B1: 4,
    H1: [shardProcess, shardThread],
    U1: [shardProcess],
  };
  for (const profile of PROFILES) {
    const expected = await chainOn(serial, profile, seed);
    const engine = new ShardedEngine(await WasmEngine.create(), {
      links: links[profile],
      shards: shards[profile],
      always: true,
    });
    await engine.shardsReady();
    assert.deepEqual(await chainOn(engine, profile, seed), expected, profile);
    await engine.close();
  }
});
