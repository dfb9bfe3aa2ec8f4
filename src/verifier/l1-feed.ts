/**
 * Owns reading L1 for derivation: canonical blocks in order with the logs that matter, a batch at a time and the next
 * batch while one is worked on. Invariant: blocks come linked by parent hash, each with the complete logs of exactly that
 * block; a reorg is told before any block of the new fork.
 * Near the head logs are asked for by block hash, so that an endpoint that does not know the block says so instead of
 * answering with none. On a fault nothing is lost or skipped: the same question is asked again.
 */
import { bytesEqual, toHexKey } from "../base/bytes.ts";
import { type L1Log, type L1Reader, l1Error } from "../l1/l1.ts";
import { L1Tracker } from "../l1/l1-tracker.ts";
import type { L1Origin } from "../protocol/block.ts";
import { depositsOfLogs } from "../protocol/deposit.ts";
import type { L1Inputs } from "../protocol/derivation.ts";
import type { ClusterContracts } from "../protocol/genesis.ts";
import { decodeSegmentPosted } from "../protocol/inbox-events.ts";
import { decodeOracleEvent, type OracleEvent } from "../protocol/oracle-events.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";

/** Blocks read at once while catching up. */
const BATCH_MAX = 128;
/** Headers held at most, while looking for a reorg. */
const HEADERS_MAX = 4 * BATCH_MAX;
/** Blocks this close to the head are asked by hash. */
const NEAR_HEAD = 16;
/** Questions to the endpoint at the same time. */
const PARALLEL_MAX = 8;

export type FeedBlock = { readonly inputs: L1Inputs; readonly oracle: readonly OracleEvent[] };

export type L1Heads = {
  readonly head: L1BlockInfo;
  readonly safe: L1BlockInfo | undefined;
  readonly finalized: L1BlockInfo | undefined;
};

export type FeedStep =
  | { readonly kind: "block"; readonly block: FeedBlock }
  | { readonly kind: "reorg"; readonly ancestor: L1Origin }
  | { readonly kind: "idle" };

type Batch =
  | { readonly kind: "blocks"; readonly blocks: readonly FeedBlock[]; readonly more: boolean }
  | { readonly kind: "reorg"; readonly ancestor: L1Origin }
  | { readonly kind: "idle" };

export class L1Feed {
  readonly #l1: L1Reader;
  readonly #contracts: Contracts;
  readonly #tracker: L1Tracker;
  #ready: FeedBlock[] = [];
  #next: Promise<Batch> | undefined;
  /** Headers taken from the tracker whose logs are not read yet. */
  #headers: L1BlockInfo[] = [];
  /** An answer contradicted the headers: look for a reorg before asking again. */
  #doubt = false;

  /** `from`: contiguous blocks already derived, ascending; the last is the newest. */
  constructor(l1: L1Reader, contracts: Contracts, from: readonly L1Origin[], windowMax: number) {
    this.#l1 = l1;
    this.#contracts = contracts;
    this.#tracker = new L1Tracker(l1, { from, windowMax });
  }

  /** Newest L1 block number seen. */
  get headNumber(): number {
    return this.#tracker.headNumber;
  }

  /** Blocks read and waiting; their entries can be fetched ahead. */
  get ready(): readonly FeedBlock[] {
    return this.#ready;
  }

  /** @throws {L1Error}, {L1TrackerError} */
  async next(): Promise<FeedStep> {
    const ready = this.#ready.shift();
    if (ready !== undefined) return { kind: "block", block: ready };
    const loading = this.#next ?? this.#load();
    this.#next = undefined;
    const batch = await loading;
    if (batch.kind !== "blocks") return batch;
    this.#ready = [...batch.blocks];
    if (batch.more) {
      this.#next = this.#load();
      this.#next.catch(() => undefined); // told when it is asked for
    }
    return this.next();
  }

  /**
   * Looks for a reorg without handing out blocks: for a follower that is stuck in the block it has. The ancestor when the
   * newest block handed out has left the chain.
   */
  async takeReorg(): Promise<L1Origin | undefined> {
    const loading = this.#next;
    if (loading !== undefined) {
      const batch = await loading;
      this.#next = undefined;
      if (batch.kind === "blocks") this.#ready.push(...batch.blocks);
      if (batch.kind === "reorg") return this.#trimReady(batch.ancestor);
    }
    const ancestor = await this.#readHeaders(HEADERS_MAX);
    return ancestor === undefined ? undefined : this.#trimReady(ancestor);
  }

  /** Drops waiting blocks above `ancestor`; the ancestor again when blocks handed out are above it too. */
  #trimReady(ancestor: L1Origin): L1Origin | undefined {
    const first = this.#ready[0];
    if (first !== undefined && ancestor.number >= first.inputs.info.number - 1) {
      this.#ready.length = ancestor.number - first.inputs.info.number + 1;
      return undefined;
    }
    this.#ready = [];
    return ancestor;
  }

  /** L1's own heads; safe and finalized are undefined where L1 has none yet. */
  async heads(): Promise<L1Heads> {
    const [head, safe, finalized] = await Promise.all([
      this.#l1.head(),
      this.#l1.block("safe"),
      this.#l1.block("finalized"),
    ]);
    return { head, safe, finalized };
  }

  async #load(): Promise<Batch> {
    const ancestor = await this.#readHeaders(this.#doubt ? HEADERS_MAX : BATCH_MAX);
    if (ancestor !== undefined) return { kind: "reorg", ancestor };
    if (this.#headers.length === 0) return { kind: "idle" };
    const headers = this.#headers.slice(0, BATCH_MAX);
    let logs: Map<string, L1Log[]>;
    try {
      logs = await this.#logsOf(headers);
    } catch (error) {
      this.#doubt = true;
      throw error;
    }
    const blocks = headers.map((info) => feedBlock(info, logs.get(toHexKey(info.hash)) ?? [], this.#contracts));
    this.#headers = this.#headers.slice(headers.length);
    return { kind: "blocks", blocks, more: headers.length === BATCH_MAX };
  }

  /**
   * Takes headers from the tracker until there are `countMax` or L1 has no more. A reorg among headers that nobody has
   * seen only shortens them; one below them is returned.
   */
  async #readHeaders(countMax: number): Promise<L1Origin | undefined> {
    while (this.#headers.length < countMax) {
      const step = await this.#tracker.next();
      if (step.kind === "idle") break;
      if (step.kind === "block") {
        this.#headers.push(step.block);
        continue;
      }
      const first = this.#headers[0];
      if (first === undefined || step.ancestor.number < first.number - 1) {
        this.#headers = [];
        this.#doubt = false;
        return step.ancestor;
      }
      this.#headers.length = step.ancestor.number - first.number + 1;
    }
    this.#doubt = false;
    return undefined;
  }

  async #logsOf(headers: readonly L1BlockInfo[]): Promise<Map<string, L1Log[]>> {
    const { portal, systemConfig, inbox, outputOracle } = this.#contracts;
    const what = { addresses: [portal, systemConfig, inbox, outputOracle], topics: [] };
    const settled = headers.filter((h) => h.number <= this.#tracker.headNumber - NEAR_HEAD);
    const near = headers.slice(settled.length);
    const byHash = new Map<string, L1Log[]>();
    const keep = (log: L1Log, header: L1BlockInfo | undefined): void => {
      if (header === undefined || !bytesEqual(header.hash, log.blockHash))
        throw l1Error("L1_INCONSISTENT", `logs of block ${log.blockNumber} belong to another fork`, {
          number: log.blockNumber,
        });
      const key = toHexKey(log.blockHash);
      const list = byHash.get(key);
      if (list === undefined) byHash.set(key, [log]);
      else list.push(log);
    };
    const first = settled[0];
    const last = settled.at(-1);
    if (first !== undefined && last !== undefined) {
      const logs = await this.#l1.logs({ fromBlock: first.number, toBlock: last.number, ...what });
      for (const log of logs) keep(log, settled[log.blockNumber - first.number]);
    }
    for (let at = 0; at < near.length; at += PARALLEL_MAX) {
      const group = near.slice(at, at + PARALLEL_MAX);
      const answers = await Promise.all(group.map((header) => this.#l1.logs({ blockHash: header.hash, ...what })));
      for (const [i, logs] of answers.entries()) for (const log of logs) keep(log, group[i]);
    }
    return byHash;
  }
}

type Contracts = Pick<ClusterContracts, "portal" | "systemConfig" | "inbox" | "outputOracle">;

/** Sorts the logs of one block by the contract that emitted them. */
export function feedBlock(info: L1BlockInfo, logs: readonly L1Log[], contracts: Contracts): FeedBlock {
  const of = (address: Uint8Array): L1Log[] => logs.filter((log) => bytesEqual(log.address, address));
  return {
    inputs: {
      info,
      systemConfigLogs: of(contracts.systemConfig),
      deposits: depositsOfLogs(of(contracts.portal), info.hash).map((deposit) => deposit.raw),
      entries: of(contracts.inbox).flatMap((log) => decodeSegmentPosted(log) ?? []),
    },
    oracle: of(contracts.outputOracle).flatMap((log) => decodeOracleEvent(log) ?? []),
  };
}
