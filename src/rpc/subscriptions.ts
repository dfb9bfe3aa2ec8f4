/**
 * Owns the subscriptions of one WebSocket connection: newHeads, logs, newPendingTransactions, newFlashblocks, syncing. After a reorg
 * the logs of unwound blocks are sent again with `removed`, then the new blocks follow. All end with the connection.
 */
import { randomBytes } from "node:crypto";
import { toHex } from "../base/bytes.ts";
import { answered, type PoolView } from "./chain-view.ts";
import type { ConfirmationFeed } from "./confirmation-feed.ts";
import { encodeHeader, encodeLog, encodePooled } from "./encode.ts";
import { RpcError } from "./errors.ts";
import type { HeadFeed, HeadListener } from "./head-feed.ts";
import { type LogCriteria, logsOfBlock } from "./log-match.ts";

export class Subscriptions {
  readonly #feed: HeadFeed;
  readonly #confirmations: ConfirmationFeed;
  readonly #send: (message: string) => void;
  readonly #max: number;
  readonly #stops = new Map<string, () => void>();

  constructor(feed: HeadFeed, confirmations: ConfirmationFeed, send: (message: string) => void, max: number) {
    this.#feed = feed;
    this.#confirmations = confirmations;
    this.#send = send;
    this.#max = max;
  }

  newHeads(): string {
    return this.#add((notify) => ({
      block: (bundle) => notify(encodeHeader(bundle.block)),
    }));
  }

  logs(criteria: LogCriteria): string {
    return this.#add((notify) => ({
      block: (bundle) => {
        for (const log of logsOfBlock(bundle, criteria)) notify(encodeLog(log, false));
      },
      reorg: (removed) => {
        for (const bundle of removed)
          for (const log of logsOfBlock(bundle, criteria).reverse()) notify(encodeLog(log, true));
      },
    }));
  }

  newPendingTransactions(full: boolean, pool: PoolView | undefined): string {
    return this.#add((notify) => ({
      accepted: (tx) => {
        void answered(full ? pool?.get(tx.hash) : undefined, (pooled) =>
          notify(pooled === undefined ? toHex(tx.hash) : encodePooled(pooled)),
        );
      },
    }));
  }

  newFlashblocks(): string {
    return this.#start((notify) => this.#confirmations.listen(notify));
  }

  /** The node is in sync when it serves at all, so there is nothing to report after the first state. */
  syncing(): string {
    return this.#add(() => ({}));
  }

  remove(id: string): boolean {
    const stop = this.#stops.get(id);
    stop?.();
    return this.#stops.delete(id);
  }

  close(): void {
    for (const stop of this.#stops.values()) stop();
    this.#stops.clear();
  }

  #add(listenerOf: (notify: (result: unknown) => void) => HeadListener): string {
    return this.#start((notify) => this.#feed.listen(listenerOf((result) => notify(JSON.stringify(result)))));
  }

  /** `begin` gets what sends a notification, its result as JSON, and returns what ends them. */
  #start(begin: (notify: (result: string) => void) => () => void): string {
    if (this.#stops.size >= this.#max)
      throw new RpcError("LIMIT_EXCEEDED", `too many subscriptions on this connection (limit ${this.#max})`);
    const id = toHex(randomBytes(16));
    const head = `{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"${id}","result":`;
    const stop = begin((result) => this.#send(`${head}${result}}}`));
    this.#stops.set(id, stop);
    return id;
  }
}
