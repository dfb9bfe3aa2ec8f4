/** What tests of the sequencer share: a chain with funded senders, their transfers, and a run with an end. */
import assert from "node:assert/strict";
import { fromHex, toHexKey } from "../../base/bytes.ts";
import type { Genesis } from "../../protocol/genesis.ts";
import { L1_BLOCK } from "../../protocol/predeploys.ts";
import { recoverSender } from "../../protocol/sender.ts";
import { signTransaction } from "../../protocol/transaction-codec.ts";
import type { PooledTransaction } from "../../rpc/chain-view.ts";
import type { Sequencer } from "../sequencer.ts";

export const CHAIN_ID = 901;
export const ETHER = 10n ** 18n;
export const address = (n: number): Uint8Array => new Uint8Array(20).fill(n);
export const PORTAL = address(0x11);
const key = (i: number): Uint8Array => new Uint8Array(32).fill(i + 1);

/** Of sender number `from`, to 0xaa…. */
export function transfer(
  from: number,
  nonce: number,
  p: { valueWei?: bigint; tipGwei?: number } = {},
): PooledTransaction {
  const tx = signTransaction(
    {
      type: 2,
      chainId: CHAIN_ID,
      nonce: BigInt(nonce),
      to: address(0xaa),
      valueWei: p.valueWei ?? 1n,
      data: new Uint8Array(0),
      gasLimit: 21_000n,
      maxFeePerGasWei: 10n ** 11n,
      maxPriorityFeePerGasWei: BigInt(p.tipGwei ?? 1) * 10n ** 9n,
    },
    key(from),
  );
  return { tx, sender: recoverSender(tx) };
}

/** With 100 ether for each of so many senders. */
export function fundedGenesis(senders: number, timestamp: number): Genesis {
  const funded = Array.from({ length: senders }, (_, i) => toHexKey(transfer(i, 0).sender));
  // L1Block is a contract that accepts anything: its content is tested with the real contracts.
  const l1Block = { balanceWei: 0n, nonce: 1n, code: fromHex("00"), storage: new Map() };
  const account = { balanceWei: 100n * ETHER, nonce: 0n, code: new Uint8Array(0), storage: new Map() };
  return {
    version: 1,
    name: "test",
    chainId: CHAIN_ID,
    l1ChainId: 31_337,
    contracts: {
      portal: PORTAL,
      inbox: address(0x12),
      outputOracle: address(0x13),
      systemConfig: address(0x14),
      l1CrossDomainMessenger: address(0x15),
      l1StandardBridge: address(0x16),
    },
    timestamp,
    baseFeePerGasWei: 10n ** 9n,
    systemConfig: { gasLimit: 30_000_000, baseFeeScalar: 1_000, blobBaseFeeScalar: 1_000 },
    elasticity: 2,
    baseFeeDenominator: 8,
    sequencingWindow: 100,
    maxDriftSeconds: 1_800,
    alloc: new Map([[toHexKey(L1_BLOCK), l1Block], ...funded.map((sender) => [sender, account] as const)]),
  };
}

/** Runs a sequencer until `body` is done, then stops it. */
export async function running(s: Sequencer, body: () => Promise<unknown>): Promise<void> {
  const stop = new AbortController();
  const run = s.run(stop.signal);
  try {
    await Promise.race([body(), run.then(() => assert.fail("ended by itself"))]);
  } finally {
    stop.abort();
  }
  await run;
}
