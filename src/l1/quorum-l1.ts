/**
 * Owns the view of L1 that may enter the chain: several endpoints, of which a quorum must agree before anything is
 * believed. What has to be agreed on is small, because the rest follows from it: a block number's hash is agreed on by
 * the quorum; headers prove themselves by their hash, runs of blocks by their parent hashes up to an agreed one, events
 * by the receipts root of an agreed header. So one honest answer serves for bulk, and a lying endpoint can neither
 * invent a deposit nor leave one out; fewer than `quorum` colluding ones cannot move the head either.
 * An endpoint on a fork of its own is found though nobody needs it (view-audit.ts) and asked last.
 * Liveness: endpoints are asked in order of health, as many as the quorum needs, and one more for each that fails,
 * contradicts or takes long. Without a quorum a question fails (L1_NO_QUORUM, retryable) and the followers wait.
 *
 *   head       the highest number that a quorum has reached and agrees on
 *   number     the hash that a quorum gives (or that a quorum has none)
 *   hash       the first endpoint that has it: it proves itself
 *   events     of a block: proven; the transactions they name: agreed. Of long ranges: agreed, else block by block
 *   calls      agreed
 */
import { createHash } from "node:crypto";
import { assert } from "../base/assert.ts";
import { bytesEqual, toHexKey } from "../base/bytes.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { type CodedError, hasCode, isRetryable } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
import { type Endpoint, isEndpointFault } from "./endpoint.ts";
import { byHealth } from "./failover-rpc.ts";
import {
  BLOCKS_PER_CALL_MAX,
  type L1BlockRef,
  type L1Log,
  type L1LogFilter,
  type L1Reader,
  type L1Transaction,
  l1Error,
} from "./l1.ts";
import type { EndpointMetrics } from "./metrics.ts";
import type { RpcL1 } from "./rpc-l1.ts";
import { ViewAudit } from "./view-audit.ts";

/** One endpoint and the reader on it. */
export type Witness = { readonly endpoint: Endpoint; readonly reader: RpcL1 };

/** An answer that takes longer than this is not waited for alone: the next endpoint is asked as well. */
const HEDGE_AFTER_MS = 1_000;
/** How far below the heads an agreed block is looked for: forks at the tip are short. */
const FORK_MAX_BLOCKS = 64;
/** Ranges up to this long are read block by block, each proven. */
const PROVEN_RANGE_MAX_BLOCKS = 16;

type Answer<T> = { readonly witness: Witness; readonly value: T; readonly key: string };
type Failure = { readonly witness: Witness; readonly error: unknown };

export class QuorumL1 implements L1Reader {
  readonly #witnesses: readonly Witness[];
  readonly #quorum: number;
  readonly #metrics: EndpointMetrics;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #audit: ViewAudit;
  /** The agreed head of the last look. */
  #headNumber = -1;
  /** A look at the head in flight: those who ask meanwhile share it. */
  #heading: Promise<L1BlockInfo> | undefined;

  constructor(p: {
    readonly witnesses: readonly Witness[];
    readonly quorum: number;
    readonly metrics: EndpointMetrics;
    readonly log: Log;
    readonly clock?: Clock;
  }) {
    assert(p.quorum >= 1 && p.quorum <= p.witnesses.length, "a quorum is of the endpoints there are");
    this.#witnesses = p.witnesses;
    this.#quorum = p.quorum;
    this.#metrics = p.metrics;
    this.#log = p.log;
    this.#clock = p.clock ?? systemClock;
    this.#audit = new ViewAudit(p.witnesses, (number) => this.block(number), this.#clock);
  }

  chainId(): Promise<number> {
    return this.#agree("chain id", (reader) => reader.chainId(), String);
  }

  head(): Promise<L1BlockInfo> {
    this.#heading ??= this.#readHead().finally(() => {
      this.#heading = undefined;
    });
    return this.#heading;
  }

  async #readHead(): Promise<L1BlockInfo> {
    const head = await this.#highest("head", "latest");
    if (head === undefined) throw l1Error("L1_ENDPOINT_MALFORMED", "L1 has no newest block", {});
    this.#headNumber = head.number;
    this.#metrics.quorumHead.set(head.number);
    this.#audit.maybe(head.number);
    return head;
  }

  async block(ref: L1BlockRef): Promise<L1BlockInfo | undefined> {
    if (ref === "latest") return this.head();
    if (ref === "safe" || ref === "finalized") return this.#highest(ref, ref);
    if (ref instanceof Uint8Array) return this.#blockOfHash(ref);
    return this.#agree(`block ${ref}`, (reader) => reader.block(ref), hashKey, ref);
  }

  /**
   * The highest block that a quorum has reached and agrees on, by a tag that endpoints understand differently when they
   * are not in step. All are asked: it is also how their heads are watched.
   */
  async #highest(what: string, tag: "latest" | "safe" | "finalized"): Promise<L1BlockInfo | undefined> {
    const answers = await this.#askAll(
      async (witness) => {
        const block = await witness.reader.block(tag);
        if (tag === "latest" && block !== undefined) witness.endpoint.sawHead(block.number);
        return block;
      },
      (known) => tag === "latest" && this.#isAgreedHead(known),
    );
    const blocks = answers.map((a) => a.value).filter((block) => block !== undefined);
    if (blocks.length < this.#quorum) {
      if (answers.length - blocks.length >= this.#quorum) return undefined;
      throw this.#noQuorum(what, answers.length);
    }
    blocks.sort((a, b) => b.number - a.number);
    const reached = (blocks[this.#quorum - 1] as L1BlockInfo).number;
    for (let number = reached; number >= Math.max(0, reached - FORK_MAX_BLOCKS); number--) {
      const same = agreedAmong(
        blocks.filter((b) => b.number === number).map((b) => [toHexKey(b.hash), b]),
        this.#quorum,
      );
      if (same !== undefined) return same;
      try {
        const block = await this.block(number);
        if (block !== undefined) return block;
      } catch (error) {
        if (!hasCode(error, "L1_NO_QUORUM")) throw error; // endpoints follow different forks here: look further down
      }
    }
    throw this.#noQuorum(what, answers.length);
  }

  /** True when a quorum gave the same block, not below the head known so far: the rest need not be waited for. */
  #isAgreedHead(known: readonly Answer<L1BlockInfo | undefined>[]): boolean {
    const top = known.filter((a) => a.value !== undefined && a.value.number >= this.#headNumber);
    return (
      agreedAmong(
        top.map((a) => [hashKey(a.value), a]),
        this.#quorum,
      ) !== undefined
    );
  }

  async #blockOfHash(hash: Uint8Array): Promise<L1BlockInfo | undefined> {
    let unknown = 0;
    let fault: unknown;
    for (const witness of this.#inOrder()) {
      try {
        const block = await witness.reader.block(hash);
        if (block !== undefined) return block;
        unknown++;
        if (unknown >= this.#quorum && witness.endpoint.resting) break;
      } catch (error) {
        this.#onFailure({ witness, error });
        fault ??= error;
      }
    }
    if (unknown >= this.#quorum) return undefined;
    throw fault ?? this.#noQuorum(`block ${toHexKey(hash)}`, unknown);
  }

  async blocks(fromBlock: number, toBlock: number): Promise<readonly L1BlockInfo[]> {
    assert(fromBlock >= 0, "block numbers are not negative");
    let last = Math.min(toBlock, fromBlock + BLOCKS_PER_CALL_MAX - 1);
    if (last < fromBlock) return [];
    if (last > this.#headNumber) last = Math.min(last, (await this.head()).number);
    if (last < fromBlock) return [];
    const top = await this.block(last);
    if (top === undefined) return []; // L1 has become shorter: the follower looks for the reorg
    if (last === fromBlock) return [top];
    let fault: unknown;
    for (const witness of this.#inOrder()) {
      try {
        const run = await witness.reader.blocks(fromBlock, last);
        const end = run.at(-1);
        if (end?.number === last && bytesEqual(end.hash, top.hash)) return run;
        fault ??= l1Error("L1_INCONSISTENT", `block ${last} changed while the run up to it was read`, { number: last });
      } catch (error) {
        this.#onFailure({ witness, error });
        fault ??= error;
      }
    }
    throw fault;
  }

  async logs(filter: L1LogFilter): Promise<readonly L1Log[]> {
    if ("blockHash" in filter) return this.#logsOfBlock(filter.blockHash, filter);
    const { fromBlock, toBlock } = filter;
    if (fromBlock > toBlock) return [];
    if (toBlock - fromBlock < PROVEN_RANGE_MAX_BLOCKS) return this.#logsBlockByBlock(filter, fromBlock, toBlock);
    try {
      return await this.#agree(`events ${fromBlock} to ${toBlock}`, (reader) => reader.logs(filter), logsKey);
    } catch (error) {
      if (this.#quorum === 1 || !hasCode(error, "L1_NO_QUORUM")) throw error;
      this.#log.warn("endpoints disagree about past events, they are proven block by block", { fromBlock, toBlock });
    }
    const out: L1Log[] = [];
    for (let at = fromBlock; at <= toBlock; at += PROVEN_RANGE_MAX_BLOCKS)
      out.push(...(await this.#logsBlockByBlock(filter, at, Math.min(toBlock, at + PROVEN_RANGE_MAX_BLOCKS - 1))));
    return out;
  }

  async #logsBlockByBlock(filter: L1LogFilter, fromBlock: number, toBlock: number): Promise<readonly L1Log[]> {
    const blocks = await this.blocks(fromBlock, toBlock);
    return (await Promise.all(blocks.map((block) => this.#logsOfBlock(block.hash, filter)))).flat();
  }

  /**
   * Events of one block. They are proven where an endpoint can; the hashes of their transactions are not part of the
   * proof and must be the same at a quorum.
   */
  async #logsOfBlock(blockHash: Uint8Array, { addresses, topics }: L1LogFilter): Promise<readonly L1Log[]> {
    const filter = { blockHash, addresses, topics };
    const answers: Answer<readonly L1Log[]>[] = [];
    let fault: unknown;
    for (const witness of this.#inOrder()) {
      try {
        const proven = await witness.reader.provenLogs(filter);
        if (proven?.length === 0) return proven; // nobody can add to it
        const value = proven ?? (await witness.reader.claimedLogs(filter));
        answers.push({ witness, value, key: logsKey(value) });
      } catch (error) {
        this.#onFailure({ witness, error });
        fault ??= error;
        continue;
      }
      const agreed = agreedAmong(
        answers.map((a) => [a.key, a]),
        this.#quorum,
      );
      if (agreed === undefined) continue;
      for (const answer of answers)
        if (answer.key !== agreed.key) answer.witness.endpoint.diverged(answer.value[0]?.blockNumber ?? -1);
      return agreed.value;
    }
    if (answers.length > 0) throw this.#noQuorum(`events of block ${toHexKey(blockHash)}`, answers.length);
    throw fault;
  }

  transaction(hash: Uint8Array): Promise<L1Transaction | undefined> {
    return this.#agree(
      "transaction",
      (reader) => reader.transaction(hash),
      (tx) => (tx === undefined ? "none" : `${toHexKey(tx.blockHash ?? new Uint8Array(0))}:${sha256(tx.input)}`),
    );
  }

  async call(request: { to: Uint8Array; data: Uint8Array; at: L1BlockRef }): Promise<Uint8Array> {
    // A tag means another block to each endpoint: the agreed one is named by its hash.
    const block = this.#quorum === 1 || request.at instanceof Uint8Array ? undefined : await this.block(request.at);
    const at = block?.hash ?? request.at;
    return this.#agree("call", (reader) => reader.call({ ...request, at }), toHexKey);
  }

  // -- asking ----------------------------------------------------------------------------------------------------

  #inOrder(): Witness[] {
    for (const { endpoint } of this.#witnesses) endpoint.maybeProbe();
    return byHealth(this.#witnesses.map((w) => w.endpoint)).map(
      (endpoint) => this.#witnesses.find((w) => w.endpoint === endpoint) as Witness,
    );
  }

  #onFailure({ witness, error }: Failure): void {
    // Faults of transport are blamed where they happen; what only a reader sees is blamed here.
    if (hasCode(error, "L1_ENDPOINT_MALFORMED")) witness.endpoint.blame(error);
  }

  /** Asks every endpoint that is well (all, when those are too few); ends early when `enough` says so. */
  async #askAll<T extends L1BlockInfo | undefined>(
    ask: (witness: Witness) => Promise<T>,
    enough: (known: readonly Answer<T>[]) => boolean,
  ): Promise<readonly Answer<T>[]> {
    const order = this.#inOrder();
    const well = order.filter((w) => w.endpoint.isWell);
    const asked = well.length >= this.#quorum ? well : order;
    const answers: Answer<T>[] = [];
    const faults: unknown[] = [];
    let open = asked.length;
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        open--;
        if (open === 0 || enough(answers)) resolve();
      };
      for (const witness of asked)
        ask(witness).then(
          (value) => {
            answers.push({ witness, value, key: hashKey(value) });
            settle();
          },
          (error: unknown) => {
            this.#onFailure({ witness, error });
            faults.push(error);
            settle();
          },
        );
    });
    if (answers.length === 0) throw faults[0];
    return [...answers];
  }

  /**
   * The answer that a quorum gives. As many endpoints are asked as it takes, the next one when an answer fails, differs
   * or is late. A question that a quorum refuses alike (a revert, an unknown block) fails with that refusal.
   */
  async #agree<T>(
    what: string,
    ask: (reader: RpcL1) => Promise<T>,
    keyOf: (value: T) => string,
    number = -1,
  ): Promise<T> {
    const order = this.#inOrder();
    const answers: Answer<T>[] = [];
    const failures: Failure[] = [];
    let asked = 0;
    const outcome = await new Promise<{ agreed: Answer<T> } | { refused: unknown } | "none">((resolve) => {
      const ended = new AbortController();
      const end = (value: { agreed: Answer<T> } | { refused: unknown } | "none"): void => {
        ended.abort();
        resolve(value);
      };
      const next = (): void => {
        const witness = order[asked];
        if (witness === undefined) return;
        asked++;
        ask(witness.reader).then(
          (value) => {
            answers.push({ witness, value, key: keyOf(value) });
            settled();
          },
          (error: unknown) => {
            this.#onFailure({ witness, error });
            failures.push({ witness, error });
            settled();
          },
        );
      };
      const settled = (): void => {
        if (ended.signal.aborted) return;
        const agreed = agreedAmong(
          answers.map((a) => [a.key, a]),
          this.#quorum,
        );
        if (agreed !== undefined) return end({ agreed });
        const refused = agreedAmong(
          failures.map((f) => [refusalKey(f.error), f]),
          this.#quorum,
        );
        if (refused !== undefined && !isEndpointFault(refused.error)) return end({ refused: refused.error });
        if (answers.length + failures.length === order.length) return end("none");
        const open = asked - answers.length - failures.length;
        // Enough for a quorum must always be on its way, as if the most frequent answer were the right one.
        const best = Math.max(0, ...tally(answers).values());
        for (let missing = this.#quorum - best - open; missing > 0; missing--) next();
      };
      for (let i = 0; i < this.#quorum; i++) next();
      if (order.length > this.#quorum) void this.#hedge(next, () => asked < order.length, ended.signal);
    });
    if (outcome !== "none" && "agreed" in outcome) {
      for (const answer of answers)
        if (answer.key !== outcome.agreed.key && answer.key !== "none") answer.witness.endpoint.diverged(number);
      return outcome.agreed.value;
    }
    if (outcome !== "none") throw outcome.refused;
    // With one endpoint its own words say more than that there is no quorum.
    const failure = failures[0];
    if (failure !== undefined && (this.#witnesses.length === 1 || answers.length === 0)) throw failure.error;
    throw this.#noQuorum(what, answers.length);
  }

  async #hedge(next: () => void, more: () => boolean, signal: AbortSignal): Promise<void> {
    while (more()) {
      await this.#clock.sleep(HEDGE_AFTER_MS, signal);
      if (signal.aborted) return;
      next();
    }
  }

  #noQuorum(what: string, answered: number): CodedError {
    this.#metrics.quorumFailures.inc();
    return l1Error("L1_NO_QUORUM", `no ${this.#quorum} of ${this.#witnesses.length} endpoints agree on ${what}`, {
      what,
      answered,
      quorum: this.#quorum,
    });
  }
}

const hashKey = (block: L1BlockInfo | undefined): string => (block === undefined ? "none" : toHexKey(block.hash));

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Everything a log says, as one digest. */
function logsKey(logs: readonly L1Log[]): string {
  const hash = createHash("sha256");
  for (const log of logs) {
    hash.update(`${log.blockNumber}:${log.logIndex}:${log.topics.length}:${log.data.length}:`);
    hash.update(log.blockHash).update(log.transactionHash).update(log.address);
    for (const topic of log.topics) hash.update(topic);
    hash.update(log.data);
  }
  return hash.digest("hex");
}

/** Refusals of the same kind are the same; faults never are. */
function refusalKey(error: unknown): string {
  if (isEndpointFault(error)) return "fault";
  if (hasCode(error, "L1_REFUSED")) return `refused:${String(error.data["revertData"])}`;
  return isRetryable(error) ? (error as CodedError).code : "unexpected";
}

function tally(answers: readonly { readonly key: string }[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { key } of answers) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

/** The first value whose key comes `quorum` times. */
function agreedAmong<T>(keyed: readonly (readonly [key: string, value: T])[], quorum: number): T | undefined {
  const counts = new Map<string, number>();
  for (const [key, value] of keyed) {
    const count = (counts.get(key) ?? 0) + 1;
    if (count >= quorum) return value;
    counts.set(key, count);
  }
  return undefined;
}
