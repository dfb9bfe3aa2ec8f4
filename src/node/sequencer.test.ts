import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { type TestContext, test } from "node:test";
import { bytesEqual, toHex } from "../base/bytes.ts";
import { type Clock, SteadyClock, systemClock } from "../base/clock.ts";
import { hasCode } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { until } from "../base/testing/until.ts";
import { EthereumjsEngine } from "../execution/ethereumjs-engine.ts";
import type { Engine } from "../execution/execution.ts";
import { faultyEngine } from "../execution/testing/faulty-engine.ts";
import { MemoryL1 } from "../l1/memory-l1.ts";
import type { AppendLog, LogTip } from "../log/log.ts";
import { MemoryLog } from "../log/memory-log.ts";
import type { Append } from "../log/record.ts";
import { PassingLog } from "../log/testing/passing-log.ts";
import type { Block } from "../protocol/block.ts";
import { depositLog } from "../protocol/deposit.ts";
import type { ShadowReport } from "../shadow/api.ts";
import { shadowMetrics } from "../shadow/metrics.ts";
import { Shadow } from "../shadow/shadow.ts";
import { MemoryState } from "../state/memory-state.ts";
import { Database } from "../store/database.ts";
import { MemoryChainStore } from "../store/memory-chain-store.ts";
import { type LeaseSettings, Sequencer, type SequencerDeps } from "./sequencer.ts";
import { address, ETHER, fundedGenesis, PORTAL, running, transfer } from "./testing/sequencing.ts";

/** A log whose appends wait while it is held. */
class HeldLog extends MemoryLog {
  held: Promise<void> = Promise.resolve();

  override async append(p: Append): Promise<LogTip> {
    await this.held;
    return super.append(p);
  }
}

class World {
  readonly l1 = new MemoryL1({ timestamp: Math.floor(systemClock.nowMs() / 1_000) - 60 });
  readonly folder = mkdtempSync(join(tmpdir(), "sheaf-sequencer-"));
  readonly database = Database.open(this.folder);
  chain = new MemoryChainStore();
  state = new MemoryState((n) => this.chain.blockHash(n));
  readonly orderLog = new HeldLog("order");
  /** This process's own way to the order log. */
  orderLogSeen: AppendLog | undefined;
  readonly laneLog = new HeldLog("lane-0");
  /** Whether the verifier has caught up with L1. */
  hasSafe = true;
  readonly genesisOrigin = this.l1.mine({ timestamp: Math.floor(systemClock.nowMs() / 1_000) - 50 });
  readonly genesis = fundedGenesis(3, this.genesisOrigin.timestamp);
  safe: { head: { number: number; hash: Uint8Array } | undefined; blocks: Map<number, Block> } = {
    head: undefined,
    blocks: new Map(),
  };

  open(
    p: Pick<Partial<SequencerDeps>, "lease" | "clock" | "env"> & { engine?: Engine; shadow?: Shadow } = {},
  ): Promise<Sequencer> {
    return Sequencer.open({
      genesis: this.genesis,
      genesisOrigin: this.genesisOrigin,
      database: this.database,
      chain: this.chain,
      state: this.state,
      engine: p.engine ?? new EthereumjsEngine(),
      shadow: p.shadow,
      ...(p.lease === undefined ? {} : { lease: p.lease }),
      orderLog: this.orderLogSeen ?? this.orderLog,
      laneLogs: [this.laneLog],
      l1: this.l1,
      safeChain: {
        safeHead: () =>
          this.hasSafe ? (this.safe.head ?? { number: 0, hash: (this.chain.block(0) as Block).hash }) : undefined,
        block: (n) => this.safe.blocks.get(n) ?? this.chain.block(n),
      },
      l1Heads: () => ({ safe: 0, finalized: 0 }),
      env: { SHEAF_CUT_INTERVAL_MS: "10", SHEAF_L1_POLL_MS: "50", ...p.env },
      log: silentLog,
      metrics: new Metrics().withLabels({ rollup: "t", cluster: "t" }),
      clock: p.clock ?? systemClock,
    });
  }

  /** Mines an L1 block with a deposit of `valueWei` to `to`. */
  deposit(to: Uint8Array, valueWei: bigint): void {
    const log = depositLog(
      { from: address(0x77), to, mintWei: valueWei, valueWei, gasLimit: 100_000n, data: new Uint8Array(0) },
      PORTAL,
      0,
    );
    this.l1.mine({ transactions: [{ events: [log] }] });
  }

  close(): void {
    void this.database.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One process's way to a log of several: it keeps appends back until it is told to let them through. */
class LineToLog extends PassingLog {
  #held: Promise<void> | undefined;
  #release: () => void = () => undefined;

  hold(): void {
    this.#held = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  release(): void {
    this.#release();
    this.#held = undefined;
  }

  override async append(append: Append): Promise<LogTip> {
    await this.#held;
    return super.append(append);
  }
}

const hashes = (w: World): string[] =>
  Array.from({ length: w.chain.head + 1 }, (_, n) => toHex((w.chain.block(n) as Block).hash));

test("transactions and deposits enter blocks, and a replay of the logs alone gives the same chain", async () => {
  const w = new World();
  const s = await w.open();
  const submitted = [transfer(0, 0), transfer(0, 1), transfer(1, 0), transfer(2, 1), transfer(2, 0)];
  await running(s, async () => {
    await until("the first block", () => w.chain.head >= 1);
    const outcomes = await s.lanes.submit(submitted);
    assert.ok(outcomes.every((o) => o.accepted));
    w.deposit(address(0xbb), 5n * ETHER);
    await until("transactions sealed", () => submitted.every((t) => w.chain.transaction(t.tx.hash) !== undefined));
    await until("deposit sealed", () => w.state.reader().account(address(0xbb))?.balanceWei === 5n * ETHER);
  });
  assert.equal(w.state.reader().account(address(0xaa))?.balanceWei, 5n);
  const before = hashes(w);
  // Everything but the logs is lost.
  w.chain = new MemoryChainStore();
  w.state = new MemoryState((n) => w.chain.blockHash(n));
  await w.open();
  assert.deepEqual(hashes(w), before);
  w.close();
});

test("what is executed and not durable in the order is not pending yet, and not lost either", async () => {
  const w = new World();
  const one = transfer(0, 0);
  const engine = new EthereumjsEngine();
  const executed: string[] = [];
  const executeBatch = engine.executeBatch.bind(engine);
  engine.executeBatch = async (env, txs, state, gasAvailable) => {
    const results = await executeBatch(env, txs, state, gasAvailable);
    for (const { raw } of txs) executed.push(toHex(raw));
    return results;
  };
  const s = await w.open({ engine });
  await running(s, async () => {
    await until("the first block", () => w.chain.head >= 1);
    let release = (): void => undefined;
    w.orderLog.held = new Promise((resolve) => {
      release = resolve;
    });
    await s.lanes.submit([one]);
    await until("executed", () => executed.includes(toHex(one.tx.raw)));
    await systemClock.sleep(20);
    const pending = s.view.pending();
    assert.ok(!pending?.transactions.some((raw) => bytesEqual(raw, one.tx.raw)));
    assert.equal((pending?.state ?? w.state.reader()).account(address(0xaa)), undefined);
    assert.ok(s.lanes.get(one.tx.hash) !== undefined, "its hash finds it in the lane");
    assert.equal(s.lanes.nextNonce(one.sender), 1n);
    release();
    const isVisible = (): boolean =>
      w.chain.transaction(one.tx.hash) !== undefined ||
      s.view.pending()?.transactions.some((raw) => bytesEqual(raw, one.tx.raw)) === true;
    await until("confirmed", isVisible);
    assert.equal((s.view.pending()?.state ?? w.state.reader()).account(address(0xaa))?.balanceWei, 1n);
  });
  w.close();
});

test("blocks keep their pace when the system clock jumps", async () => {
  for (const byMs of [3_600_000, -3_600_000]) {
    const w = new World();
    let awayMs = 0;
    const clock = new SteadyClock(
      () => systemClock.nowMs() + awayMs,
      () => performance.now(),
    );
    const s = await w.open({ clock });
    await running(s, async () => {
      await until("the first block", () => w.chain.head >= 1);
      awayMs = byMs;
      const { head } = w.chain;
      await until("further blocks", () => w.chain.head >= head + 2);
    });
    const { timestamp } = (w.chain.block(w.chain.head) as Block).header;
    assert.ok(Math.abs(timestamp - systemClock.nowMs() / 1_000) < 60, "of the time it was");
    w.close();
  }
});

test("after a silent L1 the chain takes its origins up without running ahead of the clock", async () => {
  const w = new World();
  const startMs = systemClock.nowMs();
  const FASTER = 10;
  const clock: Clock = {
    nowMs: () => startMs + (systemClock.nowMs() - startMs) * FASTER,
    sleep: (ms, signal) => systemClock.sleep(ms / FASTER, signal),
  };
  const s = await w.open({ clock });
  const headTime = (): number => (w.chain.block(w.chain.head) as Block).header.timestamp;
  let aheadMaxSeconds = 0;
  s.sealer.subscribe({
    sealed: ({ block }) => {
      aheadMaxSeconds = Math.max(aheadMaxSeconds, block.header.timestamp - clock.nowMs() / 1_000);
    },
  });
  await running(s, async () => {
    await until("blocks of now, on an old origin", () => headTime() * 1_000 > startMs + 20_000);
    const origin = w.chain.block(w.chain.head)?.origin.number ?? 0;
    // L1 was there all the while: its blocks come at once.
    for (let at = w.genesisOrigin.timestamp + 2; at * 1_000 < clock.nowMs(); at += 2) w.l1.mine({ timestamp: at });
    await until(
      "many of its blocks are taken up",
      () => (w.chain.block(w.chain.head)?.origin.number ?? 0) > origin + 20,
    );
  });
  assert.ok(aheadMaxSeconds < 2, `blocks were sealed ${aheadMaxSeconds} s before their time`);
  w.close();
});

test("a disk that stalls holds clients back up to a bound, and nothing is lost when it goes on", async () => {
  const w = new World();
  const s = await w.open({ env: { SHEAF_POOL_TXS_MAX: "100" } });
  const txs = Array.from({ length: 110 }, (_, i) => transfer(i % 3, Math.floor(i / 3)));
  await running(s, async () => {
    await until("the first block", () => w.chain.head >= 1);
    let goOn = (): void => undefined;
    w.laneLog.held = new Promise((resolve) => {
      goOn = resolve;
    });
    let answered = 0;
    const answers = txs.map((tx) => s.lanes.submit([tx]).then(([outcome]) => (answered++, outcome)));
    await until("the pool is full", () => answered === 10);
    goOn();
    const outcomes = await Promise.all(answers);
    const full = outcomes.filter((o) => o?.accepted === false && o.code === "POOL_FULL");
    assert.equal(full.length, 10, "beyond the bound clients are told so at once");
    const accepted = txs.filter((_, i) => outcomes[i]?.accepted === true);
    assert.equal(accepted.length, 100);
    await until("sealed", () => accepted.every(({ tx }) => w.chain.transaction(tx.hash) !== undefined));
  });
  w.close();
});

test("an L1 reorg takes blocks back and their transactions return", async () => {
  const w = new World();
  const s = await w.open();
  const one = transfer(0, 0);
  await running(s, async () => {
    w.deposit(address(0xbb), ETHER);
    w.deposit(address(0xcc), ETHER);
    await until("origins used", () => (w.chain.block(w.chain.head) as Block).origin.number === w.l1.headNumber);
    await s.lanes.submit([one]);
    await until("sealed", () => w.chain.transaction(one.tx.hash) !== undefined);
    assert.equal(w.state.reader().account(address(0xcc))?.balanceWei, ETHER);
    w.l1.reorg(2);
    w.l1.mine();
    w.l1.mine();
    w.l1.mine();
    await until("the stale deposits are gone", () => w.state.reader().account(address(0xcc)) === undefined);
    await until("and the transaction is sealed again", () => w.chain.transaction(one.tx.hash) !== undefined);
    await until("on the new L1", () => (w.chain.block(w.chain.head) as Block).origin.number === w.l1.headNumber);
  });
  const before = hashes(w);
  w.chain = new MemoryChainStore();
  w.state = new MemoryState((n) => w.chain.blockHash(n));
  await w.open();
  assert.deepEqual(hashes(w), before, "the rewind is replayed too");
  w.close();
});

test("a derived chain that differs is adopted", async () => {
  const a = new World();
  const b = new World();
  // Two worlds with the same genesis: what b sequenced is what L1 is said to hold.
  Object.assign(b, { l1: a.l1, genesisOrigin: a.genesisOrigin, genesis: a.genesis });
  const sb = await b.open();
  const moved = transfer(1, 0, { valueWei: 7n });
  await running(sb, async () => {
    await sb.lanes.submit([moved]);
    await until("b sealed", () => b.chain.transaction(moved.tx.hash) !== undefined && b.chain.head >= 2);
  });
  const sa = await a.open();
  const kept = transfer(0, 0, { valueWei: 3n });
  await running(sa, async () => {
    await sa.lanes.submit([kept]);
    await until("a sealed", () => a.chain.transaction(kept.tx.hash) !== undefined);
    for (let n = 0; n <= b.chain.head; n++) a.safe.blocks.set(n, b.chain.block(n) as Block);
    const head = b.chain.block(b.chain.head) as Block;
    a.safe.head = { number: head.header.number, hash: head.hash };
    await until("adopted", () => a.chain.transaction(moved.tx.hash) !== undefined);
    await until("own transaction sealed again", () => a.chain.transaction(kept.tx.hash) !== undefined);
  });
  assert.equal(
    toHex(a.chain.blockHash(b.chain.head) as Uint8Array),
    toHex(b.chain.blockHash(b.chain.head) as Uint8Array),
  );
  assert.equal(a.state.reader().account(address(0xaa))?.balanceWei, 10n);
  a.close();
  b.close();
});

test("a block the shadow vetoes is not confirmed, the sequencer halts, and the right engine goes on from the logs", async () => {
  const w = new World();
  const reports: ShadowReport[] = [];
  const shadow = (): Shadow =>
    new Shadow({
      mode: "required",
      lagGasMax: 30_000_000,
      engine: "ethereumjs",
      shadowEngine: "wasm",
      chain: w.genesis,
      log: silentLog,
      metrics: shadowMetrics(new Metrics()),
      clock: systemClock,
      onReport: (report) => reports.push(report),
    });
  const first = shadow();
  const bad = transfer(1, 0, { valueWei: 13n });
  const right = new EthereumjsEngine();
  const s = await w.open({
    engine: faultyEngine(right, "balance", (tx) => bytesEqual(tx.raw, bad.tx.raw)),
    shadow: first,
  });
  const confirmed: string[] = [];
  s.sealer.subscribe({ confirmed: (list) => confirmed.push(...list.map(toHex)) });
  const good = transfer(0, 0);
  const later = transfer(2, 0);
  let head = 0;
  await running(s, async () => {
    await s.lanes.submit([good]);
    await until("the good one is sealed", () => w.chain.transaction(good.tx.hash) !== undefined);
    await s.lanes.submit([bad]);
    await until("halted", () => s.notReady()?.includes("SHADOW_VETOED") === true);
    head = w.chain.head;
    assert.equal(w.chain.transaction(bad.tx.hash), undefined);
    assert.ok(confirmed.includes(toHex(good.tx.hash)) && !confirmed.includes(toHex(bad.tx.hash)));
    assert.equal(s.view.pending(), undefined, "what was vetoed is not shown as pending");
    assert.equal(reports[0]?.transactionHash, toHex(bad.tx.hash));
    assert.ok((await s.lanes.submit([later]))[0]?.accepted, "what comes in is kept");
  });
  assert.equal(w.chain.head, head, "no block is built any more");
  await first.close();
  const before = hashes(w);

  const again = shadow();
  await assert.rejects(
    w.open({ engine: faultyEngine(right, "balance", (tx) => bytesEqual(tx.raw, bad.tx.raw)), shadow: again }),
    (error) => hasCode(error, "SHADOW_VETOED"),
    "the same engine is stopped again, in replay",
  );
  await again.close();
  assert.deepEqual(hashes(w), before);

  const last = shadow();
  const resumed = await w.open({ engine: right, shadow: last });
  assert.ok(w.chain.transaction(bad.tx.hash) !== undefined, "executed again, from the order log");
  await running(resumed, async () => {
    await until("what waited is sealed", () => w.chain.transaction(later.tx.hash) !== undefined);
  });
  await last.close();
  assert.deepEqual(hashes(w).slice(0, before.length), before);
  assert.equal(w.state.reader().account(address(0xaa))?.balanceWei, 15n);
  w.close();
});

/** Two processes on the logs of one cluster, each with a database of its own. */
function twoWorlds(): [World, World] {
  const a = new World();
  const b = new World();
  const { l1, genesisOrigin, genesis, orderLog, laneLog } = a;
  Object.assign(b, { l1, genesisOrigin, genesis, orderLog, laneLog });
  return [a, b];
}

const lease = (holder: string, leaseMs: number): LeaseSettings => ({
  holder,
  leaseMs,
  address: () => `http://${holder}`,
});

/** Sequencers that run until the test ends or they are stopped. */
class Running {
  constructor(t: TestContext) {
    t.after(() => this.stopAll());
  }

  readonly #stops = new Map<Sequencer, { stop: AbortController; run: Promise<void> }>();

  start(s: Sequencer): Sequencer {
    const stop = new AbortController();
    this.#stops.set(s, { stop, run: s.run(stop.signal) });
    return s;
  }

  async stop(s: Sequencer): Promise<void> {
    const running = this.#stops.get(s);
    this.#stops.delete(s);
    running?.stop.abort();
    await running?.run;
  }

  async stopAll(): Promise<void> {
    for (const s of [...this.#stops.keys()]) await this.stop(s);
  }
}

test("a replica seals the leader's blocks as they come, confirms with its cuts, and leads when that one resigns", async (t) => {
  const [a, b] = twoWorlds();
  const all = new Running(t);
  const sa = all.start(await a.open({ lease: lease("a", 60_000) }));
  await until("a leads", () => sa.leads);
  const sb = all.start(await b.open({ lease: lease("b", 60_000) }));
  const confirmed = new Set<string>();
  sb.view.subscribe({ confirmed: (list) => list.forEach((hash) => confirmed.add(toHex(hash))) });
  const first = transfer(0, 0);
  const waiting = transfer(1, 1);
  await sa.lanes.submit([first, waiting]);
  await until("confirmed at b", () => confirmed.has(toHex(first.tx.hash)));
  await until("sealed by b", () => b.chain.transaction(first.tx.hash) !== undefined);
  assert.deepEqual(sb.leader, { holder: "a", address: "http://a", term: sa.term });
  assert.equal(sb.leads, false);
  await until("b is ready to serve", () => sb.notReady() === undefined);
  assert.deepEqual(hashes(b), hashes(a).slice(0, b.chain.head + 1));

  // Ended in order, a has resigned: nobody waits for the lease.
  const { lanes } = sa;
  const term = sa.term;
  await all.stop(sa);
  await until("b leads", () => sb.leads);
  assert.ok(sb.term > term);
  await assert.rejects(lanes.submit([transfer(2, 0)]), (error) => hasCode(error, "LOG_STALE_TERM"));
  const between = transfer(1, 0);
  await sb.lanes.submit([between]);
  await until("what a had accepted is sealed by b", () => b.chain.transaction(waiting.tx.hash) !== undefined);
  assert.deepEqual(hashes(b).slice(0, a.chain.head + 1), hashes(a));
  await all.stopAll();
  a.close();
  b.close();
});

test("the lead is handed over and back without a restart, and nobody who only follows takes it", async (t) => {
  const [a, b] = twoWorlds();
  const all = new Running(t);
  const sa = all.start(await a.open({ lease: { ...lease("a", 60_000), progressMs: 60_000 } }));
  await until("a leads", () => sa.leads);
  const sb = all.start(await b.open({ lease: lease("b", 60_000) }));
  await assert.rejects(sb.handOver(), (error) => hasCode(error, "SEQUENCER_NOT_LEADING"));
  let nonce = 0;
  for (const [from, to] of [
    [sa, sb],
    [sb, sa],
    [sa, sb],
  ] as const) {
    const open = transfer(0, nonce++);
    const held = transfer(1, nonce);
    await from.lanes.submit([open, held]);
    await from.handOver();
    assert.equal(from.leads, false);
    await until("the other one leads", () => to.leads);
    await to.lanes.submit([transfer(1, nonce - 1)]);
    for (const w of [a, b])
      for (const tx of [open, held]) await until("sealed in both", () => w.chain.transaction(tx.tx.hash) !== undefined);
  }
  await until("both are at one block", () => a.chain.head === b.chain.head);
  assert.deepEqual(hashes(a), hashes(b));
  await all.stopAll();
  a.close();
  b.close();
});

test("a leader that was stopped is fenced, forgets what it executed alone, and follows", async (t) => {
  const [a, b] = twoWorlds();
  const all = new Running(t);
  const hold = new LineToLog(a.orderLog);
  a.orderLogSeen = hold;
  const sa = all.start(await a.open({ lease: lease("a", 300) }));
  await until("a leads", () => sa.leads);
  const sb = all.start(await b.open({ lease: lease("b", 300) }));
  const before = transfer(0, 0);
  await sa.lanes.submit([before]);
  await until("b follows", () => b.chain.transaction(before.tx.hash) !== undefined);
  // From here on a's order does not reach the log: as when its process or its network stands still.
  const confirmed = new Set<string>();
  sa.view.subscribe({ confirmed: (list) => list.forEach((hash) => confirmed.add(toHex(hash))) });
  hold.hold();
  const alone = transfer(1, 0);
  await sa.lanes.submit([alone]);
  await until("b leads", () => sb.leads);
  await until("and seals it, for it was accepted", () => b.chain.transaction(alone.tx.hash) !== undefined);
  assert.equal(confirmed.size, 0, "a has confirmed nothing");
  hold.release();
  await until("a follows", () => !sa.leads && sa.leader?.holder === "b");
  await until("a has the same chain", () => a.chain.transaction(alone.tx.hash) !== undefined);
  assert.deepEqual(hashes(a), hashes(b).slice(0, a.chain.head + 1));
  await all.stop(sb);
  await until("a leads again", () => sa.leads);
  await all.stopAll();
  a.close();
  b.close();
});

test("a leader that seals nothing gives the lead up, and one that is not ready does not take it", async (t) => {
  const [a, b] = twoWorlds();
  const all = new Running(t);
  // Its verifier never catches up: it may not build.
  a.safe.head = undefined;
  a.hasSafe = false;
  const sa = all.start(await a.open({ lease: { ...lease("a", 400), progressMs: 2_000 } }));
  await until("a leads", () => sa.leads);
  let ready: string | undefined = "its disk is full";
  const sb = all.start(await b.open({ lease: { ...lease("b", 400), notReadyToLead: () => ready } }));
  await until("a gives up", () => !sa.leads);
  await until("nobody leads, and b says why it does not", () => sb.notReady()?.includes("its disk is full") === true);
  assert.equal(sb.leads, false);
  ready = undefined;
  await until("b leads", () => sb.leads);
  await until("b seals", () => b.chain.head >= 1);
  await all.stopAll();
  a.close();
  b.close();
});

test("a log of the same length with other records is told from the one the chain was built from", async () => {
  const w = new World();
  const s = await w.open();
  await running(s, () => until("blocks", () => w.chain.head >= 1));
  const other = new World();
  const so = await other.open();
  await running(so, () => until("blocks", () => other.orderLog.tip.seq >= w.orderLog.tip.seq));
  w.orderLogSeen = other.orderLog;
  await assert.rejects(w.open(), (error) => hasCode(error, "SEQUENCER_LOG_REPLACED"));
  w.orderLogSeen = new MemoryLog("order");
  await assert.rejects(w.open(), (error) => hasCode(error, "SEQUENCER_LOG_LOST"));
  w.close();
  other.close();
});

test("a replica whose block differs from the leader's halts and says so", async (t) => {
  const [a, b] = twoWorlds();
  const all = new Running(t);
  const sa = all.start(await a.open({ lease: lease("a", 60_000) }));
  await until("a leads", () => sa.leads);
  const bad = transfer(1, 0, { valueWei: 13n });
  const engine = faultyEngine(new EthereumjsEngine(), "balance", (tx) => bytesEqual(tx.raw, bad.tx.raw));
  const sb = all.start(await b.open({ lease: lease("b", 60_000), engine }));
  await sa.lanes.submit([bad]);
  await until("b halts", () => sb.notReady()?.includes("SEQUENCER_DIVERGED") === true);
  await all.stop(sa);
  await systemClock.sleep(100);
  assert.equal(sb.leads, false, "and does not stand");
  await all.stopAll();
  a.close();
  b.close();
});
