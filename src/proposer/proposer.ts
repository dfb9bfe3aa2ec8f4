/**
 * Owns posting output roots: on the oracle's schedule, from what a verifier derived from L1, never from the sequencer.
 * Every step reads the oracle anew and decides from there, so a restart, a reorg and an output deleted by a challenge are
 * the same case, and nothing is proposed twice. A proposal names the L1 block it was derived from: where L1 drops that
 * block, the proposal reverts instead of standing.
 *
 * Settlement stops, with the reason, while the verifier reports a divergence or an output on L1 differs from what was
 * derived; nothing here resolves that, an operator does.
 */
import { bytesEqual, toHex } from "../base/bytes.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { CodedError, hasCode } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { Loop } from "../base/loop.ts";
import type { Service } from "../base/service.ts";
import type { L1Reader } from "../l1/l1.ts";
import { type OracleState, proposeOutputInput, readOracle } from "../l1/output-oracle.ts";
import type { SendRequest, TransactionSender } from "../l1/sender.ts";
import type { L1Origin } from "../protocol/block.ts";
import type { Divergence, VerifierApi } from "../verifier/api.ts";
import type { ProposerApi, ProposerStatus } from "./api.ts";
import type { ProposerConfig } from "./config.ts";
import type { ProposerMetrics } from "./metrics.ts";

export type ProposerDeps = {
  readonly l1: L1Reader;
  readonly oracle: Uint8Array;
  readonly verifier: Pick<VerifierApi, "safeHead" | "finalizedHead" | "outputRootAt" | "divergence" | "status">;
  readonly sender: TransactionSender;
  readonly metrics: ProposerMetrics;
  readonly log: Log;
  readonly clock?: Clock;
};

/** How far derivation was when it stood at an L1 block. */
type Snapshot = { readonly l1: L1Origin; readonly blockNumber: number };

/** The EVM knows the hashes of 256 blocks; some of them pass until a proposal is included. */
const BASIS_AGE_MAX_BLOCKS = 200;
const SNAPSHOTS_MAX = 256;

export class Proposer implements Service, ProposerApi {
  readonly name = "proposer";
  readonly #config: ProposerConfig;
  readonly #deps: ProposerDeps;
  readonly #loop: Loop;
  /** Ascending by L1 block. */
  #snapshots: Snapshot[] = [];
  #halt: { readonly reason: string } | undefined;
  #fault: string | undefined;
  #status: ProposerStatus = {
    state: "starting",
    reason: "has not looked at L1 yet",
    latestBlock: undefined,
    nextBlock: 0,
  };

  constructor(config: ProposerConfig, deps: ProposerDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#loop = new Loop("proposer", () => this.#step(), {
      everyMs: config.pollMs,
      log: deps.log,
      clock: deps.clock ?? systemClock,
      isFatal: (error) => !(error instanceof CodedError),
    });
    deps.metrics.halted.set(0);
  }

  status(): ProposerStatus {
    return this.#status;
  }

  notReady(): string | undefined {
    if (this.#fault !== undefined) return this.#fault;
    const { state, reason } = this.#status;
    // Waiting is part of its work: whoever it waits for says so itself.
    return state === "starting" || state === "halted" ? (reason ?? state) : undefined;
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#loop.run(signal);
  }

  async #step(): Promise<void> {
    try {
      await this.#lookAndPropose();
      this.#fault = undefined;
    } catch (error) {
      this.#fault = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }

  async #lookAndPropose(): Promise<void> {
    const { l1, oracle, verifier, sender, metrics } = this.#deps;
    if (!sender.recovered) return this.#report("starting", "waits for transactions of an earlier run");
    const head = await l1.head();
    const listed = await readOracle(l1, oracle, head.hash);
    this.#status = { ...this.#status, latestBlock: listed.latest?.blockNumber, nextBlock: listed.nextBlockNumber };
    if (listed.latest !== undefined) metrics.latestBlock.set(listed.latest.blockNumber);

    const contradiction = this.#contradiction(listed);
    if (contradiction !== undefined) return this.#haltOn(contradiction);
    const safe = verifier.safeHead();
    if (safe === undefined) return this.#report("waiting", "the verifier has not caught up with L1");
    this.#remember({
      l1: verifier.status().l1Derived,
      blockNumber: this.#config.basis === "finalized" ? verifier.finalizedHead().number : safe.number,
    });

    // Only what was derived from an ancestor of the head: a call made at the head cannot see the head's own hash.
    const basis = this.#snapshots.findLast((s) => s.l1.number < head.number);
    if (basis === undefined || head.number - basis.l1.number > BASIS_AGE_MAX_BLOCKS)
      return this.#report("waiting", "the verifier is behind L1");
    const canonical = await l1.block(basis.l1.number);
    if (canonical === undefined || !bytesEqual(canonical.hash, basis.l1.hash)) {
      this.#snapshots = [];
      return this.#report("waiting", "the verifier has not followed a reorg of L1 yet");
    }
    const { nextBlockNumber, submissionInterval } = listed;
    if (basis.blockNumber < nextBlockNumber) {
      this.#clearHalt();
      return this.#report("proposing", undefined);
    }
    // After a pause only the newest output on the schedule matters.
    const steps = Math.floor((basis.blockNumber - nextBlockNumber) / submissionInterval);
    await this.#propose(nextBlockNumber + steps * submissionInterval, basis.l1);
  }

  #contradiction(listed: OracleState): string | undefined {
    const { verifier } = this.#deps;
    const divergence = verifier.divergence();
    if (divergence !== undefined) return describe(divergence);
    const { latest } = listed;
    const derived = latest === undefined ? undefined : verifier.outputRootAt(latest.blockNumber);
    if (latest === undefined || derived === undefined || bytesEqual(derived.outputRoot, latest.outputRoot))
      return undefined;
    return `output ${listed.length - 1} of block ${latest.blockNumber} on L1 is ${toHex(latest.outputRoot)}, derived is ${toHex(derived.outputRoot)}`;
  }

  #remember(snapshot: Snapshot): void {
    const { number } = snapshot.l1;
    // A verifier that unwound makes everything above obsolete, and its own block may be another one now.
    while ((this.#snapshots.at(-1)?.l1.number ?? -1) >= number) this.#snapshots.pop();
    this.#snapshots.push(snapshot);
    if (this.#snapshots.length > SNAPSHOTS_MAX) this.#snapshots.shift();
  }

  async #propose(blockNumber: number, basis: L1Origin): Promise<void> {
    const { verifier, sender, oracle, metrics, log } = this.#deps;
    const output = verifier.outputRootAt(blockNumber);
    if (output === undefined) return this.#report("waiting", `block ${blockNumber} is not derived any more`);
    const request: SendRequest = {
      purpose: "proof",
      what: `output of block ${blockNumber}`,
      to: oracle,
      data: proposeOutputInput({ outputRoot: output.outputRoot, blockNumber }, basis),
    };
    this.#report("proposing", undefined);
    try {
      if (this.#halt !== undefined) await sender.simulate(request);
      const receipt = await sender.send(request);
      this.#clearHalt();
      metrics.outputs.inc(1, { result: "success" });
      metrics.latestBlock.set(blockNumber);
      log.info("output proposed", {
        blockNumber,
        outputRoot: toHex(output.outputRoot),
        l1BlockNumber: receipt.blockNumber,
      });
    } catch (error) {
      if (hasCode(error, "SENDER_STOPPED")) return;
      if (!hasCode(error, "SENDER_WOULD_REVERT") && !hasCode(error, "SENDER_REVERTED")) throw error;
      if (hasCode(error, "SENDER_REVERTED")) metrics.outputs.inc(1, { result: "failure" });
      const revert = error.data["revert"];
      // L1 moved between the look and the call: the next look sees it.
      if (revert === "WrongL1Block" || revert === "BlockTooLow") {
        this.#snapshots = [];
        return this.#report("waiting", error.message);
      }
      this.#haltOn(error.message);
    }
  }

  #haltOn(reason: string): void {
    if (this.#halt?.reason !== reason) this.#deps.log.error("proposing is halted", { reason });
    this.#halt = { reason };
    this.#deps.metrics.halted.set(1);
    this.#report("halted", reason);
  }

  #clearHalt(): void {
    if (this.#halt !== undefined) this.#deps.log.info("proposing goes on");
    this.#halt = undefined;
    this.#deps.metrics.halted.set(0);
  }

  #report(state: ProposerStatus["state"], reason: string | undefined): void {
    this.#status = { ...this.#status, state, reason };
  }
}

function describe(d: Divergence): string {
  if (d.kind === "output")
    return `the verifier derives another output ${d.outputIndex} (block ${d.blockNumber}) than L1 holds`;
  return `the verifier derives another block ${d.blockNumber} than was sealed (${d.field} differs)`;
}
