/**
 * Owns the gateway role: the public JSON-RPC of a cluster. It decodes and recovers what clients send, forwards it to
 * the lane, serves reads from the chain view, and measures what clients feel. It keeps no state that a restart loses:
 * a transaction is accepted only once the lane says it is durable.
 */
import { type Clock, systemClock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import type { Metrics } from "../base/metrics.ts";
import { runAll, type Service } from "../base/service.ts";
import type { ChainView, PoolView } from "../rpc/chain-view.ts";
import type { RpcConfig } from "../rpc/config.ts";
import type { Method } from "../rpc/method.ts";
import { RpcServer } from "../rpc/server.ts";
import type { BaseFeeRule, IngestOutcome, OrderView, RollupView, Standing } from "../rpc/services.ts";
import type { GatewayApi } from "./api.ts";
import type { GatewayConfig } from "./config.ts";
import { ConfirmationDelay } from "./confirmation-delay.ts";
import { gatewayMetrics } from "./metrics.ts";
import type { SenderMemo } from "./sender-memo.ts";
import { SenderRecovery } from "./sender-recovery.ts";
import { TransactionIntake } from "./transaction-intake.ts";

const REFRESH_MS = 1_000;
const WEI_PER_GWEI = 1_000_000_000n;

export type GatewayOptions = {
  readonly config: GatewayConfig;
  readonly rpcConfig: RpcConfig;
  /** 0 takes a free port. */
  readonly port: number;
  readonly wsPort?: number | undefined;
};

export type GatewayDeps = {
  readonly chain: ChainView;
  readonly pool: PoolView;
  readonly order?: OrderView | undefined;
  readonly rollup?: RollupView | undefined;
  readonly standing?: (() => Standing) | undefined;
  readonly methods?: readonly Method[] | undefined;
  readonly baseFeeRule?: BaseFeeRule | undefined;
  readonly clientVersion?: string | undefined;
  readonly clock?: Clock | undefined;
  /** Shared with who recovers the same transactions later in this process. */
  readonly senderMemo?: SenderMemo | undefined;
  readonly log: Log;
  /** With the labels rollup and cluster bound. */
  readonly metrics: Metrics;
};

export class Gateway implements GatewayApi, Service {
  readonly name = "gateway";
  readonly #server: RpcServer;
  readonly #intake: TransactionIntake;
  readonly #recovery: SenderRecovery;
  readonly #refresh: Loop;
  readonly #unsubscribe: () => void;

  private constructor(p: {
    server: RpcServer;
    intake: TransactionIntake;
    recovery: SenderRecovery;
    refresh: Loop;
    unsubscribe: () => void;
  }) {
    this.#server = p.server;
    this.#intake = p.intake;
    this.#recovery = p.recovery;
    this.#refresh = p.refresh;
    this.#unsubscribe = p.unsubscribe;
  }

  /** Opens the ports and answers from then on. */
  static async create(options: GatewayOptions, deps: GatewayDeps): Promise<Gateway> {
    const clock = deps.clock ?? systemClock;
    const metrics = gatewayMetrics(deps.metrics);
    const delay = new ConfirmationDelay(clock, metrics);
    // The series exists from the start: an alert on its absence must not fire on an idle gateway.
    delay.refresh();
    const recovery = new SenderRecovery(options.config.recoveryThreads, deps.log, { memo: deps.senderMemo });
    const intake = new TransactionIntake({
      pool: deps.pool,
      rules: {
        chainId: deps.chain.chainId,
        allowUnprotected: options.rpcConfig.allowUnprotected,
        feeMaxWei: BigInt(options.config.feeMaxGwei) * WEI_PER_GWEI,
        submitBatchMax: options.config.submitBatchMax,
        intakeTxsMax: options.config.intakeTxsMax,
      },
      recovery,
      delay,
      metrics,
      clock,
      log: deps.log,
    });
    const server = await RpcServer.create(
      { config: options.rpcConfig, port: options.port, wsPort: options.wsPort },
      { ...deps, clock, ingest: intake },
    ).catch(async (error: unknown) => {
      await recovery.close();
      throw error;
    });
    const unsubscribe = deps.chain.subscribe({
      confirmed: (hashes) => delay.confirmed(hashes),
      // Sealed is confirmed at the latest: catches what a chain without the earlier event confirms.
      block: (block) => {
        if (delay.waiting === 0) return;
        delay.confirmed(server.services.blocks.get(block.header.number)?.hashes ?? []);
      },
    });
    const refresh = new Loop("confirmation delay", async () => delay.refresh(), {
      everyMs: REFRESH_MS,
      log: deps.log,
      clock,
    });
    return new Gateway({ server, intake, recovery, refresh, unsubscribe });
  }

  get url(): string {
    return this.#server.url;
  }

  get wsUrl(): string {
    return this.#server.wsUrl;
  }

  /** Bytes of bodies and answers held for clients now. */
  get bufferedBytes(): number {
    return this.#server.bufferedBytes;
  }

  submit(raws: readonly Uint8Array[]): Promise<readonly IngestOutcome[]> {
    return this.#intake.submit(raws);
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      await runAll(signal, [this.#server, this.#refresh]);
    } finally {
      await this.close();
    }
  }

  /** Drains the server; for owners that never call `run`. */
  async close(): Promise<void> {
    this.#unsubscribe();
    await this.#server.close();
    await this.#recovery.close();
  }
}
