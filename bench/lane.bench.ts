/**
 * What a lane costs per transaction, one thread and a log in memory: submitted in batches, taken and released in cuts,
 * settled, and told of heads, with order receipts and without. Prints one JSON object; figures are microseconds of
 * processor time per transaction, medians of rounds that take turns.
 * Run: tsx --expose-gc bench/lane.bench.ts
 */
import { toHexKey } from "../src/base/bytes.ts";
import { systemClock } from "../src/base/clock.ts";
import { readConfig } from "../src/base/config.ts";
import { silentLog } from "../src/base/log.ts";
import { laneConfig } from "../src/lane/config.ts";
import { Lane } from "../src/lane/lane.ts";
import { LaneTail } from "../src/lane/lane-tail.ts";
import type { AppendLog, LogTip } from "../src/log/log.ts";
import { keccak256 } from "../src/protocol/keccak.ts";
import { orderingPolicy } from "../src/protocol/ordering.ts";
import { recoverSender } from "../src/protocol/sender.ts";
import { signTransaction } from "../src/protocol/transaction-codec.ts";
import type { PooledTransaction } from "../src/rpc/chain-view.ts";

const SENDERS = 500;
const NONCES = 40;
const BATCH = 50;
const CUT = 250;
const ROUNDS = 9;
/** As many as fit the index twice over: it is full from the second round on. */
const RECEIPTS_MAX = 16_384;

const key = (i: number): Uint8Array => keccak256(Uint8Array.of(i & 255, i >> 8));
const item = (i: number): PooledTransaction => {
  const tx = signTransaction(
    {
      type: 2,
      chainId: 901,
      nonce: BigInt(Math.floor(i / SENDERS)),
      to: new Uint8Array(20).fill(9),
      data: new Uint8Array(68).fill(i & 255),
      gasLimit: 60_000n,
      maxFeePerGasWei: 1_500_000_000n,
      maxPriorityFeePerGasWei: 1_000_000n,
    },
    key(i % SENDERS),
  );
  return { tx, sender: recoverSender(tx) };
};
const items = Array.from({ length: SENDERS * NONCES }, (_, i) => item(i));
const hashes = new Map(items.map(({ tx }) => [tx.raw, tx.hash]));
const addresses = new Map(items.map(({ sender }) => [sender, toHexKey(sender)]));

/** Takes everything and keeps nothing: what a log costs is not what is measured. */
class NoLog implements AppendLog {
  readonly name = "none";
  readonly oldestSeq = 1;
  tip: LogTip = { seq: 0, term: 0, hash: new Uint8Array(32) };
  append(p: { term: number; payloads: readonly Uint8Array[] }): Promise<LogTip> {
    this.tip = { ...this.tip, seq: this.tip.seq + p.payloads.length, term: p.term };
    return Promise.resolve(this.tip);
  }
  read(): Promise<never[]> {
    return Promise.resolve([]);
  }
  refresh(): Promise<LogTip> {
    return Promise.resolve(this.tip);
  }
  waitBeyond(): Promise<LogTip> {
    return Promise.resolve(this.tip);
  }
  notReady(): undefined {}
  trim(): Promise<void> {
    return Promise.resolve();
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

async function openLane(orderReceiptsMax: number): Promise<{ lane: Lane; nonces: Map<string, bigint> }> {
  const nonces = new Map<string, bigint>();
  const journal = new NoLog();
  const lane = await Lane.open(
    { ...readConfig(laneConfig, {}), orderReceiptsMax },
    {
      index: 0,
      ordering: orderingPolicy("priority-fee"),
      chainId: 901,
      clock: systemClock,
      account: (address) => ({
        nonce: nonces.get(toHexKey(address)) ?? 0n,
        balanceWei: 10n ** 24n,
        codeHash: new Uint8Array(32),
      }),
      l1FeeWei: () => 0n,
      codeKind: () => "none",
      log: silentLog,
      journal,
      term: 1,
      onDropped: () => undefined,
    },
    await LaneTail.open(0, journal, 0),
  );
  return { lane, nonces };
}

async function round({ lane, nonces }: Awaited<ReturnType<typeof openLane>>): Promise<number> {
  nonces.clear();
  (globalThis as { gc?: () => void }).gc?.();
  const start = process.cpuUsage();
  for (let at = 0; at < items.length; at += CUT) {
    for (let b = at; b < at + CUT; b += BATCH) {
      const outcomes = await lane.submit(items.slice(b, b + BATCH));
      if (!outcomes.every(({ accepted }) => accepted)) throw new Error(JSON.stringify(outcomes));
    }
    const batch = lane.take({
      gasMax: 1e9,
      gasLeft: 1e9,
      sizeMaxBytes: 1e9,
      txOverheadBytes: 0,
      baseFeeWei: 1n,
      acceptedBeforeMs: systemClock.nowMs() + 1,
    });
    await lane.release(batch);
    const changed = new Set<string>();
    for (const { sender } of batch.txs) {
      const address = addresses.get(sender) as string;
      changed.add(address);
      nonces.set(address, (nonces.get(address) ?? 0n) + 1n);
    }
    await lane.settle(batch.txs.map((tx) => ({ hash: hashes.get(tx.raw) as Uint8Array, tx, included: true as const })));
    if (at % (4 * CUT) === 0) lane.onHead({ gasLimit: 60_000_000, changed });
  }
  lane.onHead({ gasLimit: 60_000_000, changed: [] });
  const { user, system } = process.cpuUsage(start);
  if (lane.usage().txs !== 0) throw new Error(`${lane.usage().txs} transactions are left`);
  return (user + system) / items.length;
}

const lanes = { receipts: await openLane(RECEIPTS_MAX), none: await openLane(0) };
const figures = { receipts: [] as number[], none: [] as number[] };
for (let i = -2; i < ROUNDS; i++)
  for (const name of ["receipts", "none"] as const) {
    const us = await round(lanes[name]);
    if (i >= 0) figures[name].push(us);
  }
const median = (list: number[]): number => Number((list.toSorted((a, b) => a - b)[list.length >> 1] ?? 0).toFixed(2));
process.stdout.write(
  `${JSON.stringify({ usPerTx: { receipts: median(figures.receipts), none: median(figures.none) } })}\n`,
);
