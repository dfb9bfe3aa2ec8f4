/**
 * Owns the orderer's view of L1: the next origins with their deposits and the SystemConfig they bring, fetched ahead,
 * and the news that an origin in use is no longer canonical. Invariant: entries are linked by parent hash from the
 * anchor on; an entry is complete (deposits of exactly that block hash) or absent.
 * On an L1 fault the feed keeps what it has and the orderer goes on with the current origin until the drift limit.
 */
import { assert } from "../base/assert.ts";
import { bytesEqual, toHexKey } from "../base/bytes.ts";
import type { L1Log, L1Reader } from "../l1/l1.ts";
import type { L1Origin } from "../protocol/block.ts";
import { depositsOfLogs } from "../protocol/deposit.ts";
import type { L1BlockInfo, SystemConfigValues } from "../protocol/system-config.ts";
import { applySystemConfigLogs } from "../protocol/system-config-events.ts";

export type OriginEntry = {
  readonly info: L1BlockInfo;
  readonly systemConfig: SystemConfigValues;
  readonly deposits: readonly Uint8Array[];
};

export type OriginFeedDeps = {
  readonly l1: L1Reader;
  readonly portal: Uint8Array;
  readonly systemConfig: Uint8Array;
  readonly confDepth: number;
};

/** Origins fetched ahead: enough for catching up quickly, bounded in memory. */
const AHEAD_MAX = 128;

export class OriginFeed {
  readonly #deps: OriginFeedDeps;
  #anchor: { origin: L1Origin; systemConfig: SystemConfigValues };
  #ahead: OriginEntry[] = [];
  #current: L1BlockInfo | undefined;
  #head: L1BlockInfo | undefined;
  #broken = false;

  /** `anchor`: origin of the chain's head and the SystemConfig in force there. */
  constructor(deps: OriginFeedDeps, anchor: { origin: L1Origin; systemConfig: SystemConfigValues }) {
    this.#deps = deps;
    this.#anchor = anchor;
  }

  /** Newest L1 block seen. */
  get head(): L1BlockInfo | undefined {
    return this.#head;
  }

  /** The anchor's complete L1 block; undefined until L1 was asked once. */
  get current(): L1BlockInfo | undefined {
    return this.#current;
  }

  get systemConfig(): SystemConfigValues {
    return this.#anchor.systemConfig;
  }

  /** True when the anchor is not part of L1 any more: the chain must rewind and the feed be reset. */
  get broken(): boolean {
    return this.#broken;
  }

  /** The origin after the anchor, when it is known and deep enough. */
  next(): OriginEntry | undefined {
    return this.#broken ? undefined : this.#ahead[0];
  }

  /** How many origins are waiting. */
  get waiting(): number {
    return this.#ahead.length;
  }

  /** The next origin was used: it becomes the anchor. */
  advance(): void {
    const entry = this.#ahead.shift();
    assert(entry !== undefined, "only a known origin is used");
    this.#anchor = { origin: entry.info, systemConfig: entry.systemConfig };
    this.#current = entry.info;
  }

  /** Starts again from another anchor (after a rewind). */
  reset(anchor: { origin: L1Origin; systemConfig: SystemConfigValues }): void {
    this.#anchor = anchor;
    this.#ahead = [];
    this.#current = undefined;
    this.#broken = false;
  }

  /** Looks at L1 once. @throws {L1Error} retryable ones; nothing changes then */
  async poll(): Promise<void> {
    const { l1, confDepth } = this.#deps;
    const anchor = this.#anchor;
    const head = await l1.head();
    const canonical = await l1.block(anchor.origin.number);
    if (this.#anchor !== anchor) return; // used or reset meanwhile: next poll
    this.#head = head;
    if (canonical === undefined || !bytesEqual(canonical.hash, anchor.origin.hash)) {
      // L1 may only lag behind (another endpoint): an unknown block above its head is not a reorg.
      this.#broken = canonical !== undefined || head.number >= anchor.origin.number;
      return;
    }
    this.#current = canonical;
    let tail: OriginEntry | undefined = this.#ahead.at(-1);
    if (tail !== undefined) {
      const again = await l1.block(tail.info.number);
      if (again === undefined || !bytesEqual(again.hash, tail.info.hash)) {
        if (this.#anchor !== anchor) return;
        this.#ahead = [];
        tail = undefined;
      }
    }
    const from = (tail?.info.number ?? anchor.origin.number) + 1;
    const to = Math.min(head.number - confDepth, from + AHEAD_MAX - this.#ahead.length - 1);
    if (to < from) return;
    const entries = await this.#fetch(from, to, tail?.systemConfig ?? anchor.systemConfig);
    // The anchor may have advanced into #ahead meanwhile; what counts is that the new entries link to the end.
    const end = this.#ahead.at(-1)?.info ?? this.#anchor.origin;
    for (const entry of entries) {
      const last = this.#ahead.at(-1)?.info ?? end;
      if (entry.info.number !== last.number + 1 || !bytesEqual(entry.info.parentHash, last.hash)) break;
      this.#ahead.push(entry);
    }
  }

  async #fetch(from: number, to: number, config: SystemConfigValues): Promise<OriginEntry[]> {
    const { l1, portal, systemConfig } = this.#deps;
    const [infos, logs] = await Promise.all([
      l1.blocks(from, to),
      l1.logs({ fromBlock: from, toBlock: to, addresses: [portal, systemConfig], topics: [] }),
    ]);
    const byBlock = new Map<string, L1Log[]>();
    const known = new Set(infos.map((info) => toHexKey(info.hash)));
    for (const log of logs) {
      const key = toHexKey(log.blockHash);
      if (!known.has(key)) {
        // Answers of two forks: take nothing now.
        if (infos.some((info) => info.number === log.blockNumber)) return [];
        continue;
      }
      const list = byBlock.get(key);
      if (list === undefined) byBlock.set(key, [log]);
      else list.push(log);
    }
    const entries: OriginEntry[] = [];
    let values = config;
    for (const info of infos) {
      const own = byBlock.get(toHexKey(info.hash)) ?? [];
      const ofPortal = own.filter((log) => bytesEqual(log.address, portal));
      values = applySystemConfigLogs(
        values,
        own.filter((log) => bytesEqual(log.address, systemConfig)),
      );
      const deposits = depositsOfLogs(ofPortal, info.hash).map((d) => d.raw);
      entries.push({ info, systemConfig: values, deposits });
    }
    return entries;
  }
}
