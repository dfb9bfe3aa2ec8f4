/**
 * Owns what method bodies work with: the chain, the optional parts a node may lack (pool, rollup facts), the caches and
 * stores of this server, and the client that asks.
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Genesis } from "../protocol/genesis.ts";
import type { OrderReceipt } from "../protocol/order-receipt.ts";
import type { OrderingName } from "../protocol/ordering.ts";
import type { BlockCache } from "./block-cache.ts";
import type { ChainView, PoolRejection, PoolView } from "./chain-view.ts";
import type { RpcConfig } from "./config.ts";
import type { StaticRejection } from "./errors.ts";
import type { FeeOracle } from "./fee-oracle.ts";
import type { FilterStore } from "./filter-store.ts";
import type { Method } from "./method.ts";
import type { PendingIndex } from "./pending-index.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { Tracing } from "./tracing.ts";

/** What became of one raw transaction; `hash` is that of the bytes when they decode. */
export type IngestOutcome =
  | { readonly accepted: true; readonly hash: Uint8Array }
  | {
      readonly accepted: false;
      readonly hash: Uint8Array | undefined;
      readonly reason: PoolRejection | StaticRejection;
      readonly message: string;
    };

/** The way of raw transactions into the pool: a whole batch at a time, outcomes in its order. */
export interface Ingest {
  submit(raws: readonly Uint8Array[]): Promise<readonly IngestOutcome[]>;
}

export type L1BlockRef = {
  readonly hash: Uint8Array;
  readonly number: number;
  readonly parentHash: Uint8Array;
  readonly timestamp: number;
};

/** Facts about the rollup that only its node knows, for `optimism_*`. */
export interface RollupView {
  /** Heads of L1 as this node sees them. */
  l1Heads(): {
    readonly current: L1BlockRef;
    readonly head: L1BlockRef;
    readonly safe: L1BlockRef;
    readonly finalized: L1BlockRef;
  };
  /** Answer of optimism_rollupConfig, ready as JSON. */
  rollupConfig(): Readonly<Record<string, unknown>>;
}

/** Parameters of the base fee rule of the chain. */
export type BaseFeeRule = Pick<Genesis, "elasticity" | "baseFeeDenominator">;

/** Who asks: a WebSocket connection, or an HTTP request. */
export type Client = {
  /** Remote address: what per-client limits count by. */
  readonly address: string;
  /** The subscriptions of the connection; undefined over HTTP. */
  readonly subscriptions: Subscriptions | undefined;
  /** True when nobody waits for an answer any more. */
  readonly gone: () => boolean;
};

/** What a node knows of the lead of its cluster. */
export type Standing = {
  readonly leads: boolean;
  /** Why this node does not do its part; undefined when it does. */
  readonly reason: string | undefined;
  readonly leader: { readonly holder: string; readonly address: string; readonly term: number } | undefined;
  /** Why this node would not take the lead if nobody had it; undefined when it has it or would. */
  readonly notStanding: string | undefined;
  /** Records of the order known and not replayed. */
  readonly behind: number;
};

/** The order of transactions as its users see it; a node that orders nothing has none. */
export interface OrderView {
  readonly ordering: OrderingName;
  readonly lanes: number;
  /** Who signs the receipts. */
  readonly signer: Uint8Array;
  /** Undefined for a transaction that is not known, or not any more. */
  receipt(hash: Uint8Array): Promise<OrderReceipt | undefined>;
}

export type Services = {
  readonly chain: ChainView;
  readonly pool: PoolView | undefined;
  readonly order: OrderView | undefined;
  readonly ingest: Ingest | undefined;
  readonly rollup: RollupView | undefined;
  /** Absent on a node without a sequencer. */
  readonly standing: (() => Standing) | undefined;
  readonly baseFeeRule: BaseFeeRule;
  readonly blocks: BlockCache;
  readonly fees: FeeOracle;
  readonly pendingIndex: PendingIndex;
  readonly filters: FilterStore;
  readonly tracing: Tracing;
  readonly config: RpcConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly clientVersion: string;
  /** All methods of this server by name, for rpc_modules and dispatch. */
  readonly methods: ReadonlyMap<string, Method>;
  /** Undefined when in sync; else what eth_syncing answers. */
  readonly syncing: () =>
    | { readonly startingBlock: number; readonly currentBlock: number; readonly highestBlock: number }
    | undefined;
};
