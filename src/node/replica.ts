/**
 * Owns following the logs of a cluster that another process leads, or none: every order record is executed and sealed as
 * it appears, so that reads are served from here and a takeover has only the newest records left to do. What the leader
 * tells of its blocks is compared with what was sealed here.
 * Invariant: nothing is written into a log. The sealed chain is a prefix of what the order log says.
 * On failure: a block that comes out differently here, or that the shadow vetoes, ends the replay for good: this process
 * serves what it has, is not ready, and does not stand. A log that does not hold what was read from it ends the process.
 */
import { bytesEqual, toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { CodedError, defineErrors, hasCode } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { aborted } from "../base/signal.ts";
import { LaneTail } from "../lane/lane-tail.ts";
import { LaneTails } from "../lane/lane-tails.ts";
import { decodeLeaseRecord, isLeaseRecord } from "../log/lease.ts";
import type { AppendLog, LogRecord } from "../log/log.ts";
import { type ReadPosition, recordsBehind } from "../log/record-reader.ts";
import { decodeOrderRecord } from "../protocol/cut.ts";
import type { Sealer } from "../sealer/sealer.ts";
import type { ReplicaMetrics } from "./metrics.ts";

export const sequencerError = defineErrors("Sequencer", {
  SEQUENCER_LOG_LOST: {
    summary: "The order log is shorter than what the stored chain was built from.",
    action:
      "Bring the log back. Where it is lost for good, restore the database with `sheaf snapshot restore --without-logs`; what was accepted and not posted is then lost too.",
    retryable: false,
  },
  SEQUENCER_LOG_REPLACED: {
    summary: "The order log holds other records than those the stored chain was built from.",
    action:
      "Point the node at the log it followed before, or restore its database from a snapshot taken with this log; it must never lead on the other one.",
    retryable: false,
  },
  SEQUENCER_LOG_TRIMMED: {
    summary: "The logs no longer hold the records that follow the stored chain: the node was away for too long.",
    action: "Restore its database from a newer snapshot: `sheaf snapshot restore`.",
    retryable: false,
  },
  SEQUENCER_DIVERGED: {
    summary: "A block sealed here differs from the leader's: one of the two executes wrongly.",
    action:
      "Compare both blocks with a verifier's (`sheaf verify`), take the node that is wrong out and report it with the block number.",
    retryable: false,
  },
  SEQUENCER_NOT_LEADING: {
    summary: "This node does not lead: there is nothing to hand over.",
    action: "Ask the node that leads; `sheaf_leader` over JSON-RPC names it.",
    retryable: false,
  },
});

/** Who leads, as its claim says. */
export type Leader = { readonly holder: string; readonly address: string; readonly term: number };

export type ReplicaDeps = {
  readonly orderLog: AppendLog;
  /** By lane. */
  readonly laneLogs: readonly AppendLog[];
  readonly sealer: Sealer;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: ReplicaMetrics;
};

export class Replica {
  /** The lanes as their logs tell them. */
  readonly tails: LaneTails;
  readonly #deps: ReplicaDeps;
  #read: ReadPosition;
  #leader: Leader | undefined;
  #heardMs: number | undefined;
  /** When this began to follow. */
  readonly openedMs: number;
  #halted: CodedError | undefined;

  private constructor(deps: ReplicaDeps, tails: LaneTails) {
    this.#deps = deps;
    this.tails = tails;
    this.openedMs = deps.clock.nowMs();
    const { orderSeq, orderHash } = deps.sealer.position;
    this.#read = { seq: orderSeq, ...(orderHash === undefined ? {} : { hash: orderHash }) };
  }

  /** Starts where the sealed chain ends; nothing may be open there. @throws {SequencerError} when the logs are not its own */
  static async open(deps: ReplicaDeps): Promise<Replica> {
    const { orderLog, laneLogs, sealer } = deps;
    const { orderSeq } = sealer.position;
    await orderLog.refresh();
    if (orderLog.tip.seq < orderSeq)
      throw sequencerError(
        "SEQUENCER_LOG_LOST",
        `the order log ends at record ${orderLog.tip.seq}, the stored chain has consumed ${orderSeq}`,
      );
    const tails = new LaneTails(
      await Promise.all(laneLogs.map((journal, lane) => LaneTail.open(lane, journal, sealer.orderedSeq(lane)))),
    );
    sealer.follow(tails);
    return new Replica(deps, tails);
  }

  /** Who leads, or led last. */
  get leader(): Leader | undefined {
    return this.#leader;
  }

  /** When the leader was heard last, by this process's clock; undefined: not since this started to follow. */
  get heardMs(): number | undefined {
    return this.#heardMs;
  }

  /** Records of the order that are known to be there and not replayed. */
  get behind(): number {
    return this.#deps.orderLog.tip.seq - this.#read.seq;
  }

  /** Why nothing more is replayed. */
  get halted(): CodedError | undefined {
    return this.#halted;
  }

  /** Replays up to the end of the order log as it is known, then reads on in the lanes. @throws what a record meets */
  async catchUp(signal?: AbortSignal): Promise<void> {
    const { orderLog, metrics } = this.#deps;
    try {
      for await (const record of recordsBehind(orderLog, this.#read)) {
        await this.#replay(record);
        this.#read = record;
        metrics.behindRecords.set(this.behind);
        if (signal?.aborted === true) return;
      }
      await this.tails.readOn();
    } catch (error) {
      throw this.#wordsOf(error);
    }
  }

  /** Follows until `signal` aborts. @throws {LogError} {SequencerError} */
  async run(signal: AbortSignal): Promise<void> {
    const { orderLog, clock, log } = this.#deps;
    while (!signal.aborted) {
      await orderLog.waitBeyond(this.#read.seq, signal);
      if (signal.aborted) return;
      this.#heardMs = clock.nowMs();
      try {
        await this.catchUp(signal);
      } catch (error) {
        if (!stopsReplayOnly(error)) throw error;
        this.#halted = error;
        log.error("the replay halts", { err: error });
        await aborted(signal);
      }
    }
  }

  async #replay({ seq, term, payload }: LogRecord): Promise<void> {
    const { sealer } = this.#deps;
    if (!isLeaseRecord(payload)) return sealer.replay(seq, decodeOrderRecord(payload));
    const { kind, holder, address, block } = decodeLeaseRecord(payload);
    if (kind === "claim") this.#leader = { holder, address, term };
    const own = block === undefined ? undefined : sealer.block(block.number);
    if (block !== undefined && own !== undefined && !bytesEqual(own.hash, block.hash))
      throw sequencerError(
        "SEQUENCER_DIVERGED",
        `block ${block.number} is ${toHex(own.hash)} here and ${toHex(block.hash)} at ${holder}`,
        { block: block.number, holder },
      );
  }

  /** A log's fault, told as what it means for the chain that was built from it. */
  #wordsOf(error: unknown): unknown {
    const { position } = this.#deps.sealer;
    if (hasCode(error, "LOG_TRIMMED"))
      return sequencerError(
        "SEQUENCER_LOG_TRIMMED",
        `record ${this.#read.seq + 1} of the order, or what it names, is gone`,
        { seq: this.#read.seq },
        { cause: error },
      );
    if (hasCode(error, "LOG_CORRUPT") && this.#read.seq === position.orderSeq && position.orderSeq > 0)
      return sequencerError(
        "SEQUENCER_LOG_REPLACED",
        `what follows record ${position.orderSeq} does not continue what the stored chain was built from`,
        { seq: position.orderSeq },
        { cause: error },
      );
    return error;
  }
}

function stopsReplayOnly(error: unknown): error is CodedError {
  return error instanceof CodedError && (error.name === "ShadowError" || error.code === "SEQUENCER_DIVERGED");
}
