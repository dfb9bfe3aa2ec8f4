/** A sequencer over several lanes on logs in memory: what a process that is killed leaves behind, and nothing else. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex, toHexKey } from "../../base/bytes.ts";
import { systemClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import { Metrics } from "../../base/metrics.ts";
import { EthereumjsEngine } from "../../execution/ethereumjs-engine.ts";
import { MemoryL1 } from "../../l1/memory-l1.ts";
import { LaneSeat } from "../../lane/lane-seat.ts";
import type { OpenLink } from "../../link/link.ts";
import type { AppendLog } from "../../log/log.ts";
import { MemoryLog } from "../../log/memory-log.ts";
import type { Block } from "../../protocol/block.ts";
import { DEPOSIT_TYPE, decodeSignedTransaction } from "../../protocol/transaction-codec.ts";
import { MemoryState } from "../../state/memory-state.ts";
import { Database } from "../../store/database.ts";
import { MemoryChainStore } from "../../store/memory-chain-store.ts";
import { Sequencer } from "../sequencer.ts";
import { CHAIN_ID, fundedGenesis } from "./sequencing.ts";

const SENDERS = 12;

export class LaneWorld {
  readonly l1 = new MemoryL1({ timestamp: Math.floor(systemClock.nowMs() / 1_000) - 60 });
  readonly #folder = mkdtempSync(join(tmpdir(), "sheaf-lanes-"));
  readonly #database = Database.open(this.#folder);
  chain = new MemoryChainStore();
  state = new MemoryState((n) => this.chain.blockHash(n));
  readonly orderLog = new MemoryLog("order");
  readonly laneLogs: AppendLog[] = [];
  /** Where the lanes run, when it is not here: their logs are files then. */
  readonly #openLink: OpenLink | undefined;
  #seats: LaneSeat[] = [];
  laneTimeoutMs = 60_000;
  readonly #genesisOrigin = this.l1.mine({ timestamp: Math.floor(systemClock.nowMs() / 1_000) - 50 });
  readonly genesis = fundedGenesis(SENDERS, this.#genesisOrigin.timestamp);

  constructor(openLink?: OpenLink) {
    this.#openLink = openLink;
  }

  /** Starts again, as after a kill: workers of the start before end without a word. */
  async open(lanes: number, env: Readonly<Record<string, string>> = {}): Promise<Sequencer> {
    const count = Math.max(lanes, this.laneLogs.length);
    const settings = { SHEAF_LANES: String(lanes), ...env };
    if (this.#openLink === undefined)
      while (this.laneLogs.length < count) this.laneLogs.push(new MemoryLog(`lane-${this.laneLogs.length}`));
    else {
      await this.#closeSeats();
      const openLink = this.#openLink;
      this.#seats = await Promise.all(
        Array.from({ length: count }, (_, index) => this.#openSeat(index, openLink, settings)),
      );
      this.laneLogs.splice(0, this.laneLogs.length, ...this.#seats.map((seat) => seat.log));
    }
    return Sequencer.open({
      genesis: this.genesis,
      genesisOrigin: this.#genesisOrigin,
      database: this.#database,
      chain: this.chain,
      state: this.state,
      engine: new EthereumjsEngine(),
      orderLog: this.orderLog,
      laneLogs: this.laneLogs,
      laneSeats: this.#seats,
      l1: this.l1,
      safeChain: {
        safeHead: () => ({ number: 0, hash: (this.chain.block(0) as Block).hash }),
        block: (n) => this.chain.block(n),
      },
      l1Heads: () => ({ safe: 0, finalized: 0 }),
      env: { SHEAF_CUT_INTERVAL_MS: "10", SHEAF_L1_POLL_MS: "50", ...settings },
      log: silentLog,
      metrics: new Metrics().withLabels({ rollup: "t", cluster: "t" }),
      clock: systemClock,
    });
  }

  #openSeat(index: number, openLink: OpenLink, env: Readonly<Record<string, string>>): Promise<LaneSeat> {
    const place = { store: "file", folder: join(this.#folder, `lane-${index}`), name: `lane-${index}` } as const;
    return LaneSeat.open({
      settings: { index, chainId: CHAIN_ID, place, env },
      openLink,
      timeoutMs: this.laneTimeoutMs,
      log: silentLog,
      clock: systemClock,
    });
  }

  async #closeSeats(): Promise<void> {
    await Promise.all(this.#seats.splice(0).map((seat) => seat.close()));
  }

  /** Everything but the logs is lost. */
  loseDatabase(): void {
    this.chain = new MemoryChainStore();
    this.state = new MemoryState((n) => this.chain.blockHash(n));
  }

  hashes(): string[] {
    return Array.from({ length: this.chain.head + 1 }, (_, n) => toHex((this.chain.block(n) as Block).hash));
  }

  /** Sequenced transactions of the chain as "sender nonce", in its order. */
  sequenced(): { sender: string; nonce: number; hash: string }[] {
    const found: { sender: string; nonce: number; hash: string }[] = [];
    for (let n = 1; n <= this.chain.head; n++) {
      const block = this.chain.block(n) as Block;
      for (const [i, raw] of block.transactions.entries()) {
        if (raw[0] === DEPOSIT_TYPE) continue;
        const tx = decodeSignedTransaction(raw);
        const sender = toHexKey(block.senders[i] as Uint8Array);
        found.push({ sender, nonce: Number(tx.nonce), hash: toHexKey(tx.hash) });
      }
    }
    return found;
  }

  /** I9: each once, nonces of a sender in order without a gap. */
  checkOrder(): void {
    const next = new Map<string, number>();
    for (const { sender, nonce } of this.sequenced()) {
      assert.equal(nonce, next.get(sender) ?? 0, "nonces of a sender are in order, each once");
      next.set(sender, nonce + 1);
    }
  }

  async close(): Promise<void> {
    await this.#closeSeats();
    await this.#database.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
