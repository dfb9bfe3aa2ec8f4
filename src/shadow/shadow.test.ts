import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Worker } from "node:worker_threads";
import { toHex } from "../base/bytes.ts";
import { systemClock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { BlockExecution, type SequencedTx } from "../execution/block-execution.ts";
import { type EngineName } from "../execution/config.ts";
import { createEngine, otherEngine } from "../execution/engines.ts";
import type { Engine } from "../execution/execution.ts";
import { FAULTS, type Fault, faultyEngine } from "../execution/testing/faulty-engine.ts";
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
} from "../execution/testing/world.ts";
import type { Block } from "../protocol/block.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { encodeDeposit } from "../protocol/transaction-codec.ts";
import type { MemoryState } from "../state/memory-state.ts";
import type { ShadowMode, ShadowReport } from "./api.ts";
import { shadowMetrics } from "./metrics.ts";
import { Shadow } from "./shadow.ts";

const [alice, bob, carol] = testKeys(3) as [
  ReturnType<typeof testKeys>[0],
  ReturnType<typeof testKeys>[0],
  ReturnType<typeof testKeys>[0],
];
/** Counts its calls in slot 0 and logs the count. */
const counter = plainAddress(1);
const COUNTER_CODE = assemble(0, "SLOAD", 1, "ADD", "DUP1", 0, "SSTORE", 0, "MSTORE", 7, 32, 0, "LOG1");

const engines: Record<EngineName, Engine> = {
  wasm: await createEngine("wasm"),
  ethereumjs: await createEngine("ethereumjs"),
};

/** A chain that one engine builds, with the other as its shadow. */
class Rig {
  readonly state: MemoryState;
  readonly metrics = new Metrics();
  readonly reports: ShadowReport[] = [];
  readonly shadow: Shadow;
  readonly threads: Worker[] = [];
  engine: Engine;
  head: Block;
  #nonces = [0n, 0n];

  constructor(t: TestContext, name: EngineName, mode: ShadowMode, lagGasMax = 30_000_000) {
    this.engine = engines[name];
    this.state = stateOf([
      ...SYSTEM_CONTRACTS,
      ...[alice, bob].map(({ address }) => [address, account({ balanceWei: 10n ** 20n })] as const),
      [counter, account({ nonce: 1n, code: COUNTER_CODE })],
    ]);
    this.head = testGenesisBlock(this.state.prepare({ accounts: new Map(), codes: new Map() }).stateRoot);
    const started = (worker: Worker): void => void this.threads.push(worker);
    process.on("worker", started);
    this.shadow = new Shadow({
      mode,
      lagGasMax,
      engine: name,
      shadowEngine: otherEngine(name),
      chain: TEST_CHAIN,
      log: silentLog,
      metrics: shadowMetrics(this.metrics),
      clock: systemClock,
      onReport: (report) => this.reports.push(report),
    });
    t.after(async () => {
      process.off("worker", started);
      await this.shadow.close();
    });
  }

  /** A call of the counter by alice and a transfer by bob. */
  txs(): SequencedTx[] {
    const [a, b] = this.#nonces as [bigint, bigint];
    this.#nonces = [a + 1n, b + 1n];
    return [
      signed(alice, { nonce: a, to: counter, maxPriorityFeePerGasWei: a }),
      signed(bob, { nonce: b, to: carol.address, valueWei: 1n }),
    ];
  }

  /** Builds the next block of `batches`, as the executor does; it is committed when the shadow lets it. */
  async build(batches: readonly (readonly SequencedTx[])[], observed = true): Promise<Block> {
    const parent = this.head;
    const number = parent.header.number + 1;
    const deposit = encodeDeposit({
      sourceHash: new Uint8Array(32).fill(number),
      from: plainAddress(0xd0),
      to: bob.address,
      mintWei: 77n,
      valueWei: 5n,
      gasLimit: 50_000n,
      isSystemTx: false,
      data: new Uint8Array(0),
    }).raw;
    const context = {
      number,
      timestamp: testOrigin(number).timestamp,
      origin: testOrigin(number),
      sequenceNumber: 0,
      systemConfig: TEST_SYSTEM_CONFIG,
      deposits: [deposit],
    };
    const state = this.state.reader();
    const observer = this.shadow.open(context, parent, state);
    const execution = await BlockExecution.begin({
      chain: TEST_CHAIN,
      parent,
      attributes: context,
      state,
      engine: this.engine,
      // Unobserved: the shadow is told nothing of what was read.
      observer: observer === undefined || observed ? observer : { ...observer, reads: state },
    });
    for (const batch of batches) await execution.apply(batch);
    const finished = execution.finish((writes) => this.state.prepare(writes));
    await this.shadow.finish(finished);
    this.state.commit(number, finished.prepared);
    this.head = finished.block;
    return finished.block;
  }

  async metric(name: string): Promise<string | undefined> {
    const text = await this.metrics.registry.metrics();
    return new RegExp(`^${name.replace(/[{}]/g, "\\$&")}.* (\\S+)$`, "m").exec(text)?.[1];
  }

  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const endMs = systemClock.nowMs() + 60_000;
    while (!(await condition())) {
      assert.ok(systemClock.nowMs() < endMs, `in time: ${what}`);
      await systemClock.sleep(10);
    }
  }
}

const result = (r: string): string => `sheaf_shadow_blocks_total{result="${r}"`;

for (const name of ["wasm", "ethereumjs"] as const)
  test(`blocks of ${name} that are right are agreed on, invalid transactions and creations among them`, async (t) => {
    const rig = new Rig(t, name, "required");
    const create = signed(carol, {
      nonce: 0n,
      gasLimit: 200_000n,
      data: assemble(0x6001, 0, "MSTORE", 2, 30, "RETURN"),
    });
    const fund = signed(bob, { nonce: 0n, to: carol.address, valueWei: 10n ** 18n });
    await rig.build([[fund, create], [signed(alice, { nonce: 99n, to: bob.address })]]);
    const hash = assemble(1, "NUMBER", "SUB", "BLOCKHASH", 0, "SSTORE", counter, "EXTCODEHASH", 1, "SSTORE");
    const reverting = assemble(1, 1, "SSTORE", 0, 0, "REVERT");
    await rig.build([
      [signed(alice, { nonce: 0n, gasLimit: 200_000n, data: hash })],
      [signed(alice, { nonce: 1n, gasLimit: 200_000n, data: reverting })],
    ]);
    await rig.build([]);
    assert.equal(await rig.metric(result("agreed")), "3");
    assert.equal(await rig.metric("sheaf_shadow_lag_gas"), "0");
  });

test("what was not recorded is asked for: a witness that holds nothing changes no verdict", async (t) => {
  const rig = new Rig(t, "wasm", "required");
  await rig.build([rig.txs(), rig.txs()], false);
  assert.equal(await rig.metric(result("agreed")), "1");
  assert.ok(Number(await rig.metric("sheaf_shadow_reads_asked_total")) > 5);
});

const FIELDS: Record<Fault, string> = {
  storage: "storage",
  balance: "balanceWei",
  nonce: "accountNonce",
  gas: "gasUsed",
  status: "status",
  log: "logs",
  inclusion: "inclusion",
};
test("an engine that is wrong is vetoed, with the transaction and the field", async (t) => {
  const rig = new Rig(t, "wasm", "required");
  const right = rig.engine;
  for (const fault of FAULTS)
    await t.test(fault, async () => {
      const before = rig.head;
      const batches = [rig.txs(), rig.txs(), rig.txs()];
      const hit = (batches[1] as SequencedTx[])[0] as SequencedTx;
      rig.engine = faultyEngine(right, fault, (tx) => tx.raw === hit.raw);
      await assert.rejects(rig.build(batches), (error) => hasCode(error, "SHADOW_VETOED"));
      assert.equal(rig.head, before, "it is not part of the chain");
      const report = rig.reports.at(-1);
      assert.equal(report?.transactionHash, toHex(keccak256(hit.raw)));
      assert.equal(report.field, FIELDS[fault]);
      assert.notEqual(report.value, report.shadowValue);
      assert.equal(await rig.metric("sheaf_shadow_difference"), String(before.header.number + 1));
      rig.engine = right;
      assert.equal((await rig.build(batches)).header.number, before.header.number + 1);
    });
  assert.equal(await rig.metric(result("agreed")), String(FAULTS.length));
});

test("advisory goes on with a block that differs, and reports it", async (t) => {
  const rig = new Rig(t, "wasm", "advisory");
  const batch = rig.txs();
  rig.engine = faultyEngine(rig.engine, "storage", (tx) => tx.raw === batch[0]?.raw);
  const block = await rig.build([batch]);
  assert.equal(rig.head, block);
  await rig.until("the report", async () => rig.reports.length > 0);
  await rig.build([rig.txs()]);
  await rig.until("the next block is checked", async () => (await rig.metric(result("agreed"))) === "1");
  assert.equal(rig.shadow.gasRoom(), Number.POSITIVE_INFINITY);
});

test("advisory leaves out blocks while it is too far behind", async (t) => {
  const rig = new Rig(t, "wasm", "advisory", 1_000);
  // The thread has not even started when the second block opens.
  await rig.build([rig.txs()]);
  await rig.build([rig.txs()]);
  assert.equal(await rig.metric(result("skipped")), "1");
  await rig.until("the first is checked", async () => (await rig.metric(result("agreed"))) === "1");
  await rig.build([rig.txs()]);
  await rig.until("and later ones again", async () => (await rig.metric(result("agreed"))) === "2");
});

test("required leaves no room while it is behind", async (t) => {
  const rig = new Rig(t, "wasm", "required", 1_000_000);
  assert.equal(rig.shadow.gasRoom(), 1_000_000);
  const building = rig.build([rig.txs()]);
  await rig.until("gas is waiting", async () => rig.shadow.gasRoom() < 1_000_000);
  await building;
  assert.equal(rig.shadow.gasRoom(), 1_000_000);
});

test("a thread that dies is replaced, and the block is checked all the same", async (t) => {
  const rig = new Rig(t, "wasm", "required");
  await rig.build([rig.txs()]);
  const building = rig.build([rig.txs(), rig.txs()]);
  await rig.threads[0]?.terminate();
  await building;
  assert.equal(await rig.metric("sheaf_shadow_restarts_total"), "1");
  assert.equal(await rig.metric(result("agreed")), "2");
});

test("a block whose check brings down every thread is not confirmed", async (t) => {
  const rig = new Rig(t, "wasm", "required");
  const kill = (worker: Worker): void => void worker.terminate();
  await rig.threads[0]?.terminate();
  process.on("worker", kill);
  t.after(() => process.off("worker", kill));
  await assert.rejects(rig.build([rig.txs()]), (error) => hasCode(error, "SHADOW_FAILED"));
  process.off("worker", kill);
  assert.equal(await rig.metric(result("failed")), "1");
});

test("a block that is given up leaves nothing behind", async (t) => {
  const rig = new Rig(t, "wasm", "required", 1_000_000);
  const { context, state } = { context: rig.head, state: rig.state.reader() };
  const observer = rig.shadow.open(
    {
      number: 1,
      timestamp: testOrigin(1).timestamp,
      origin: testOrigin(1),
      sequenceNumber: 0,
      systemConfig: TEST_SYSTEM_CONFIG,
      deposits: [],
    },
    context,
    state,
  );
  assert.ok(observer !== undefined);
  rig.shadow.abandon();
  await rig.build([rig.txs()]);
  assert.equal(rig.shadow.gasRoom(), 1_000_000);
  assert.equal(await rig.metric(result("agreed")), "1");
});
