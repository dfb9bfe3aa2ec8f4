/**
 * Where the time of an ERC-20 transfer goes in the engine on `@ethereumjs/evm` and in the building of a block: opcodes
 * (inside the library), everything around them in the engine, block execution (L1 fee, receipts, logs bloom), sealing
 * (tries and header), and the peer: the same transfer through `@ethereumjs/vm`'s runTx.
 * Run: npx tsx bench/engine-overhead.bench.ts [transfers] [senders] [peer transfers, 0 for none]
 */
import { cpus } from "node:os";
import { EVM } from "@ethereumjs/evm";
import { concatBytes, fromHex, padLeft } from "../src/base/bytes.ts";
import { BlockExecution } from "../src/execution/block-execution.ts";
import { EthereumjsEngine } from "../src/execution/ethereumjs-engine.ts";
import type { Engine } from "../src/execution/execution.ts";
import { VmPeer } from "../src/execution/testing/vm-peer.ts";
import {
  type Alloc,
  account,
  plainAddress,
  SYSTEM_CONTRACTS,
  signed,
  stateOf,
  TEST_CHAIN,
  TEST_SYSTEM_CONFIG,
  testEnv,
  testGenesisBlock,
  testKeys,
  testOrigin,
} from "../src/execution/testing/world.ts";
import { balanceSlot, tokenCode } from "./lib/token-code.ts";

const transfers = Number(process.argv[2] ?? 2_000);
const senders = testKeys(Math.min(250, Number(process.argv[3] ?? 200)));
const token = plainAddress(0x70ce);
const word = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(64, "0"));
const alloc: Alloc = [
  ...SYSTEM_CONTRACTS,
  ...senders.map(({ address }) => [address, account({ balanceWei: 10n ** 21n })] as const),
  [
    token,
    account({
      nonce: 1n,
      code: tokenCode(),
      storage: new Map(senders.map(({ address }) => [balanceSlot(address), word(10n ** 24n)])),
    }),
  ],
];
const txs = Array.from({ length: transfers }, (_, i) => {
  const sender = senders[i % senders.length] as (typeof senders)[number];
  const data = concatBytes(fromHex("a9059cbb"), padLeft(plainAddress(0x9000 + (i % 500)), 32), word(BigInt(1 + i)));
  const nonce = BigInt(Math.floor(i / senders.length));
  return signed(sender, { nonce, to: token, data, gasLimit: 80_000n, maxPriorityFeePerGasWei: 1_000n });
});

/** Time spent in the library's outermost runCall, summed while it is measured. */
let libraryMs = 0;
const runCall = Reflect.get(EVM.prototype, "runCall") as EVM["runCall"];
EVM.prototype.runCall = async function (this: EVM, options) {
  if (options.message !== undefined) return await runCall.call(this, options);
  const start = performance.now();
  const result = await runCall.call(this, options);
  libraryMs += performance.now() - start;
  return result;
};

const state = stateOf(alloc);
const genesis = testGenesisBlock(state.prepare({ accounts: new Map(), codes: new Map() }).stateRoot);
const env = testEnv({ gasLimit: 10_000_000_000 });
const us = (ms: number): number => Number(((ms * 1_000) / transfers).toFixed(1));

async function measureBlock(): Promise<Record<string, number>> {
  const inner = new EthereumjsEngine();
  let engineMs = 0;
  const engine: Engine = {
    name: "timed",
    executeBatch: async (...args) => {
      const start = performance.now();
      const results = await inner.executeBatch(...args);
      engineMs += performance.now() - start;
      return results;
    },
    call: (...args) => inner.call(...args),
    close: () => inner.close(),
  };
  const execution = await BlockExecution.begin({
    chain: TEST_CHAIN,
    parent: genesis,
    attributes: {
      timestamp: testOrigin(1).timestamp,
      origin: testOrigin(1),
      sequenceNumber: 0,
      systemConfig: { ...TEST_SYSTEM_CONFIG, gasLimit: env.gasLimit },
      deposits: [],
    },
    state: state.reader(),
    engine,
  });
  engineMs = 0;
  libraryMs = 0;
  const start = performance.now();
  for (let at = 0; at < txs.length; at += 100) {
    const applied = await execution.apply(txs.slice(at, at + 100));
    if (!applied.every((result) => result.included && result.receipt.status === 1))
      throw new Error("a transfer failed");
  }
  const applyMs = performance.now() - start;
  const sealStart = performance.now();
  execution.finish(() => ({ stateRoot: new Uint8Array(32) }));
  const sealMs = performance.now() - sealStart;
  return {
    opcodesUs: us(libraryMs),
    engineAroundUs: us(engineMs - libraryMs),
    blockExecutionUs: us(applyMs - engineMs),
    sealUs: us(sealMs),
    aroundTotalUs: us(applyMs - libraryMs + sealMs),
    totalUs: us(applyMs + sealMs),
  };
}

async function measurePeer(count: number): Promise<number> {
  const peer = await VmPeer.create(testEnv({ gasLimit: 1_000_000_000, feePolicy: "ethereum" }), alloc);
  const start = performance.now();
  for (const { raw } of txs.slice(0, count)) {
    const result = await peer.run(raw);
    if (!result.included || result.status !== 1) throw new Error("a transfer failed at the peer");
  }
  return Number((((performance.now() - start) * 1_000) / count).toFixed(1));
}

await measureBlock();
const runs: Record<string, number>[] = [];
for (let i = 0; i < 3; i++) runs.push(await measureBlock());
const best = runs.reduce((a, b) => ((a["totalUs"] as number) <= (b["totalUs"] as number) ? a : b));
const peerTransfers = Math.min(transfers, Number(process.argv[4] ?? 400));
if (peerTransfers > 0) await measurePeer(100);
const peerUs = peerTransfers > 0 ? await measurePeer(peerTransfers) : undefined;
console.table(Object.entries(best).map(([stage, value]) => ({ stage, "µs per transfer": value })));
console.log(
  JSON.stringify({
    bench: "engine-overhead",
    cpu: cpus()[0]?.model,
    node: process.version,
    transfers,
    senders: senders.length,
    ...best,
    peerRunTxUs: peerUs,
  }),
);
