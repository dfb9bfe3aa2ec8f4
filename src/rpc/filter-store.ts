/**
 * Owns polled filters. A filter is a cursor into the head feed plus what it wants, so ten thousand of them cost little.
 * It dies after its lifetime without a poll, or when it fell behind the feed's history. Ids are unguessable, because
 * over HTTP nothing else ties a filter to its client.
 */
import { randomBytes } from "node:crypto";
import { toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import type { FoundLog } from "../store/chain-store.ts";
import type { ChainView } from "./chain-view.ts";
import type { RpcConfig } from "./config.ts";
import { encodeLog } from "./encode.ts";
import { RpcError } from "./errors.ts";
import type { HeadFeed } from "./head-feed.ts";
import { type LogCriteria, logsOfBlock } from "./log-match.ts";

/** What a log filter was made with; bounds undefined when open. */
export type LogFilterRequest = LogCriteria & {
  readonly fromBlock: number | undefined;
  readonly toBlock: number | undefined;
};

type Filter = {
  readonly kind: "logs" | "blocks" | "pending";
  readonly client: string;
  readonly request: LogFilterRequest | undefined;
  cursor: number;
  expiresAtMs: number;
};

export class FilterStore {
  readonly #chain: ChainView;
  readonly #feed: HeadFeed;
  readonly #clock: Clock;
  readonly #config: RpcConfig;
  readonly #filters = new Map<string, Filter>();
  readonly #perClient = new Map<string, number>();

  constructor(chain: ChainView, feed: HeadFeed, clock: Clock, config: RpcConfig) {
    this.#chain = chain;
    this.#feed = feed;
    this.#clock = clock;
    this.#config = config;
  }

  get size(): number {
    return this.#filters.size;
  }

  /** @throws {RpcError} LIMIT_EXCEEDED */
  create(kind: Filter["kind"], client: string, request?: LogFilterRequest): string {
    const { filtersMax, filtersPerClientMax } = this.#config;
    if (this.#filters.size >= filtersMax || (this.#perClient.get(client) ?? 0) >= filtersPerClientMax) {
      this.expire();
      if (this.#filters.size >= filtersMax)
        throw new RpcError("LIMIT_EXCEEDED", `too many filters (limit ${filtersMax})`);
      if ((this.#perClient.get(client) ?? 0) >= filtersPerClientMax)
        throw new RpcError("LIMIT_EXCEEDED", `too many filters of one client (limit ${filtersPerClientMax})`);
    }
    // A quantity may not start with a zero digit.
    const bytes = randomBytes(16);
    bytes[0] = (bytes[0] as number) | 0x10;
    const id = toHex(bytes);
    this.#filters.set(id, {
      kind,
      client,
      request,
      cursor: kind === "pending" ? this.#feed.pendingHashes.next : this.#feed.events.next,
      expiresAtMs: this.#expiry(),
    });
    this.#perClient.set(client, (this.#perClient.get(client) ?? 0) + 1);
    return id;
  }

  remove(id: string): boolean {
    const filter = this.#filters.get(id);
    if (filter === undefined) return false;
    this.#filters.delete(id);
    const left = (this.#perClient.get(filter.client) ?? 1) - 1;
    if (left === 0) this.#perClient.delete(filter.client);
    else this.#perClient.set(filter.client, left);
    return true;
  }

  /** Forgets filters nobody asked for in their lifetime. */
  expire(): void {
    const nowMs = this.#clock.nowMs();
    for (const [id, filter] of this.#filters) if (filter.expiresAtMs <= nowMs) this.remove(id);
  }

  /** The request of a log filter. @throws {RpcError} when there is no such filter */
  logRequest(id: string): LogFilterRequest {
    const { request } = this.#find(id);
    if (request === undefined) throw new RpcError("SERVER_ERROR", "filter not found: not a log filter");
    return request;
  }

  /** What happened since the last poll. @throws {RpcError} when there is no such filter */
  changes(id: string): unknown[] {
    const filter = this.#find(id);
    if (filter.kind === "pending") {
      const hashes = this.#feed.pendingHashes.since(filter.cursor);
      filter.cursor = this.#feed.pendingHashes.next;
      return this.#orLost(id, hashes).map(toHex);
    }
    const events = this.#orLost(id, this.#feed.events.since(filter.cursor));
    filter.cursor = this.#feed.events.next;
    if (filter.kind === "blocks") return events.flatMap((event) => (event.kind === "block" ? [toHex(event.hash)] : []));
    return this.#logChanges(filter.request as LogFilterRequest, events);
  }

  #logChanges(request: LogFilterRequest, events: ReturnType<HeadFeed["events"]["since"]> & {}): unknown[] {
    const out: unknown[] = [];
    const limit = this.#config.logResultsMax;
    const put = (logs: readonly FoundLog[], removed: boolean): void => {
      for (const log of logs) out.push(encodeLog(log, removed));
      if (out.length > limit)
        throw new RpcError("LIMIT_EXCEEDED", `query returned more than ${limit} results; use eth_getLogs by range`);
    };
    const wanted = (number: number): boolean =>
      (request.fromBlock === undefined || number >= request.fromBlock) &&
      (request.toBlock === undefined || number <= request.toBlock);
    // Runs of blocks still canonical are one search of the log index; blocks that came and went since the last poll
    // were never reported, so neither is their removal.
    const vanished = new Set<string>();
    let runFrom = -1;
    let runTo = -1;
    const flush = (): void => {
      if (runFrom < 0) return;
      put(
        this.#chain.logs({
          fromBlock: runFrom,
          toBlock: runTo,
          addresses: request.addresses,
          topics: request.topics,
          limit,
        }),
        false,
      );
      runFrom = -1;
    };
    for (const event of events) {
      if (event.kind === "block") {
        const known = this.#chain.numberOfHash(event.hash);
        if (known !== event.number) {
          vanished.add(toHex(event.hash));
          continue;
        }
        if (!wanted(event.number)) continue;
        if (runFrom < 0) runFrom = event.number;
        else if (event.number !== runTo + 1) {
          flush();
          runFrom = event.number;
        }
        runTo = event.number;
        continue;
      }
      flush();
      for (const bundle of event.removed)
        if (wanted(bundle.number) && !vanished.has(toHex(bundle.block.hash)))
          put(logsOfBlock(bundle, request).reverse(), true);
    }
    flush();
    return out;
  }

  #find(id: string): Filter {
    const filter = this.#filters.get(id);
    if (filter === undefined || filter.expiresAtMs <= this.#clock.nowMs()) {
      this.remove(id);
      throw new RpcError("SERVER_ERROR", "filter not found");
    }
    filter.expiresAtMs = this.#expiry();
    return filter;
  }

  #orLost<T>(id: string, values: T[] | undefined): T[] {
    if (values !== undefined) return values;
    this.remove(id);
    throw new RpcError("SERVER_ERROR", "filter not found: it fell too far behind");
  }

  #expiry(): number {
    return this.#clock.nowMs() + this.#config.filterLifetimeSeconds * 1_000;
  }
}
