/**
 * Owns the shadow of a sequencer: every block runs a second time, on the other engine, in a thread of its own, while
 * the first run goes on; at the end of the block both must have come to the same.
 * Invariant: in mode "required" a block that the engines disagree on is never confirmed, sealed or published. The
 * check is as long as its thread is alive: one that dies is replaced and given the unfinished blocks again; a block
 * that cannot be checked counts as not confirmed (required) or is left out and counted (advisory).
 * Bounded: at most `lagGasMax` and one block of executed gas wait for the thread, with what was read for them.
 * @see docs/decisions/0008-shadow-engine.md
 */
import { MessageChannel, type MessagePort, type Worker } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import { toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { defineErrors } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { startWorker } from "../base/worker.ts";
import type { ChainParameters, ExecutionObserver, ParentBlock } from "../execution/block-execution.ts";
import type { EngineName } from "../execution/config.ts";
import type { StateReader, TxInput, TxResult } from "../execution/execution.ts";
import type { BlockContext } from "../protocol/cut.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { DEPOSIT_TYPE } from "../protocol/transaction-codec.ts";
import type { ExecutedBlock, ShadowApi, ShadowMode, ShadowReport } from "./api.ts";
import { headerDifference, outcomesDifference, writesDifference } from "./difference.ts";
import type { ShadowMetrics } from "./metrics.ts";
import {
  decodeBlockHead,
  decodeWrites,
  encodeBlockHead,
  encodeContext,
  encodeTxs,
  encodeWrites,
  NO_ANSWER,
  outcomeOf,
  type ShadowAnswer,
  type ShadowRequest,
  type ShadowWorkerData,
} from "./shadow-codec.ts";
import { answer, type Question, RecordingReader } from "./witness.ts";

export const shadowError = defineErrors("Shadow", {
  SHADOW_VETOED: {
    summary: "The two engines came to different results for a block; it was not confirmed and the sequencer stopped.",
    action:
      "Look at the report (the named transaction and field) and find out which engine is wrong. Restart with the right one in SHEAF_ENGINE: the order is kept and the block is executed again. SHEAF_SHADOW=advisory goes on without the veto.",
    retryable: false,
  },
  SHADOW_FAILED: {
    summary: "The shadow could not check a block; it was not confirmed and the sequencer stopped.",
    action:
      "Restart: the block is executed and checked again. If it fails again, look at the cause, and decide on SHEAF_SHADOW=advisory.",
    retryable: false,
  },
});

/** A block whose check has brought down this many threads is not given to another. */
const ATTEMPTS_MAX = 3;

export type ShadowOptions = {
  readonly mode: ShadowMode;
  readonly lagGasMax: number;
  /** Name of the sequencer's engine, for reports. */
  readonly engine: string;
  readonly shadowEngine: EngineName;
  readonly chain: ChainParameters;
  readonly log: Log;
  readonly metrics: ShadowMetrics;
  readonly clock: Clock;
  /** Called once a difference, before anything stops. */
  readonly onReport?: (report: ShadowReport) => void;
};

type Check = {
  readonly id: number;
  readonly context: BlockContext;
  readonly parent: ParentBlock;
  /** The state below the block. */
  readonly state: StateReader;
  readonly recorder: RecordingReader;
  /** Everything sent so far, for a thread that must start over. */
  readonly requests: ShadowRequest[];
  readonly inputs: TxInput[];
  readonly results: TxResult[];
  /** Gas of batches the thread has not executed, in order. */
  readonly waitingGas: number[];
  attempts: number;
  executed: ExecutedBlock | undefined;
  finishedMs: number;
  /** It cannot be checked, and why. */
  failure: { readonly reason: string; readonly cause?: unknown } | undefined;
  /** L1 or a rewind took the state below it away: there is nothing to check any more. */
  isMoot: boolean;
  resolve: () => void;
  reject: (error: Error) => void;
};

type Differed = Extract<ShadowAnswer, { kind: "differed" }>;

type Thread = { readonly worker: Worker; readonly answers: MessagePort; readonly answered: Int32Array };

export class Shadow implements ShadowApi {
  readonly mode: ShadowMode;
  readonly #options: ShadowOptions;
  /** Blocks sent and without a verdict, in order; the open one is the last. */
  readonly #checks = new Map<number, Check>();
  #open: Check | undefined;
  #thread: Thread | undefined;
  #nextId = 1;
  #lagGas = 0;
  #closed = false;

  constructor(options: ShadowOptions) {
    this.mode = options.mode;
    this.#options = options;
    this.#thread = this.#start();
    options.metrics.difference.set(0);
    options.metrics.lagGas.set(0);
  }

  open(context: BlockContext, parent: ParentBlock, state: StateReader): ExecutionObserver | undefined {
    assert(this.#open === undefined, "one block is open at a time");
    if (this.mode === "advisory" && this.#lagGas > this.#options.lagGasMax) {
      this.#options.metrics.blocks.inc(1, { result: "skipped" });
      return undefined;
    }
    const recorder = new RecordingReader(state);
    const check: Check = {
      id: this.#nextId++,
      context,
      parent,
      state,
      recorder,
      requests: [],
      inputs: [],
      results: [],
      waitingGas: [],
      attempts: 0,
      executed: undefined,
      finishedMs: 0,
      failure: undefined,
      isMoot: false,
      resolve: () => undefined,
      reject: () => undefined,
    };
    this.#open = check;
    this.#checks.set(check.id, check);
    return { reads: recorder, executed: (inputs, results) => this.#executed(check, inputs, results) };
  }

  async finish(executed: ExecutedBlock): Promise<void> {
    const check = this.#open;
    if (check === undefined) return;
    this.#open = undefined;
    check.executed = executed;
    check.finishedMs = this.#options.clock.nowMs();
    const verdict = new Promise<void>((resolve, reject) => {
      check.resolve = resolve;
      check.reject = reject;
    });
    if (check.failure !== undefined) this.#fail(check);
    else
      this.#send(check, {
        kind: "finish",
        id: check.id,
        reads: check.recorder.take(),
        block: encodeBlockHead(executed.block),
        writes: encodeWrites(executed.writes),
      });
    if (this.mode === "required") await verdict;
    else verdict.catch(() => undefined); // reported where it was found
  }

  abandon(): void {
    const check = this.#open;
    if (check === undefined) return;
    this.#open = undefined;
    this.#send(check, { kind: "abandon", id: check.id });
    this.#forget(check);
  }

  gasRoom(): number {
    return this.mode === "required" ? Math.max(0, this.#options.lagGasMax - this.#lagGas) : Number.POSITIVE_INFINITY;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const thread = this.#thread;
    this.#thread = undefined;
    for (const check of [...this.#checks.values()]) {
      check.failure = { reason: "the node is closing" };
      this.#forget(check);
      check.reject(shadowError("SHADOW_FAILED", "the node is closing"));
    }
    thread?.answers.close();
    await thread?.worker.terminate();
  }

  #executed(check: Check, inputs: readonly TxInput[], results: readonly TxResult[]): void {
    const isDeposits = inputs[0]?.raw[0] === DEPOSIT_TYPE;
    const txs: TxInput[] = [];
    let gas = 0;
    for (const [i, input] of inputs.entries()) {
      const result = results[i] as TxResult;
      // What one engine has no memory for, the other may well run: that is no difference about the chain's rules.
      if (!result.included && result.reason === "RESOURCE") continue;
      txs.push(input);
      check.inputs.push(input);
      check.results.push(result);
      gas += result.included ? result.gasUsed : 0;
    }
    const reads = check.recorder.take();
    if (isDeposits) {
      // The thread derives them from the context, as every node does.
      const { context, parent } = check;
      const packed = { context: encodeContext(context), parent: encodeBlockHead(parent) };
      this.#send(check, { kind: "open", id: check.id, reads, ...packed });
    } else {
      this.#lagGas += gas;
      check.waitingGas.push(gas);
      this.#options.metrics.lagGas.set(this.#lagGas);
      this.#send(check, { kind: "execute", id: check.id, reads, txs: encodeTxs(txs) });
    }
  }

  #send(check: Check, request: ShadowRequest): void {
    if (check.failure !== undefined) return;
    check.requests.push(request);
    this.#thread?.worker.postMessage(request);
  }

  #start(): Thread {
    const { shadowEngine, chain } = this.#options;
    const { port1, port2 } = new MessageChannel();
    const answered = new Int32Array(new SharedArrayBuffer(4));
    const { chainId, elasticity, baseFeeDenominator } = chain;
    const data: ShadowWorkerData = {
      engine: shadowEngine,
      chain: { chainId, elasticity, baseFeeDenominator },
      answers: port2,
      answered,
    };
    const worker = startWorker(new URL("./shadow-worker.ts", import.meta.url), {
      name: "shadow",
      workerData: data,
      transferList: [port2],
    });
    const thread: Thread = { worker, answers: port1, answered };
    worker.on("message", (message: ShadowAnswer) => this.#received(thread, message));
    worker.on("error", (error) => this.#died(thread, error));
    worker.on("exit", () => this.#died(thread, new Error("the shadow's thread ended")));
    return thread;
  }

  /** Replaces a thread that is gone, and gives the new one everything without a verdict. */
  #died(thread: Thread, error: unknown): void {
    if (thread !== this.#thread || this.#closed) return;
    const { log, metrics } = this.#options;
    thread.answers.close();
    metrics.restarts.inc();
    log.error("the shadow's thread failed, starting another", { err: error });
    this.#thread = this.#start();
    for (const check of [...this.#checks.values()]) {
      check.attempts++;
      if (check.attempts >= ATTEMPTS_MAX) {
        check.failure = { reason: `${check.attempts} threads failed on it`, cause: error };
        if (check !== this.#open) this.#fail(check);
        continue;
      }
      for (const request of check.requests) this.#thread.worker.postMessage(request);
    }
  }

  #received(thread: Thread, message: ShadowAnswer): void {
    if (thread !== this.#thread) return;
    const check = this.#checks.get(message.id);
    if (message.kind === "question") return this.#answer(thread, check, message.question);
    if (check === undefined) return; // given up meanwhile
    switch (message.kind) {
      case "executed":
        // A thread that started over answers again for what its predecessor had executed.
        this.#lagGas -= check.waitingGas.shift() ?? 0;
        this.#options.metrics.lagGas.set(this.#lagGas);
        return;
      case "agreed":
        this.#settled(check, "agreed");
        check.resolve();
        return;
      case "differed":
        return this.#differed(check, message);
      case "failed":
        check.failure = { reason: message.reason };
        if (check !== this.#open) this.#fail(check);
    }
  }

  #answer(thread: Thread, check: Check | undefined, question: Question): void {
    let value: Uint8Array | typeof NO_ANSWER = NO_ANSWER;
    try {
      if (check !== undefined) value = answer(check.state, question);
    } catch {
      // Unwound or pruned: the check has lost its ground.
      if (check !== undefined) check.isMoot = true;
    }
    this.#options.metrics.readsAsked.inc();
    thread.answers.postMessage(value);
    Atomics.store(thread.answered, 0, 1);
    Atomics.notify(thread.answered, 0);
  }

  #differed(check: Check, answered: Differed): void {
    const { log, metrics, onReport } = this.#options;
    const report = this.#report(check, answered);
    this.#settled(check, "differed");
    metrics.difference.set(report.blockNumber);
    log.error("the engines differ", report);
    onReport?.(report);
    const where =
      report.transactionHash === undefined
        ? "outside of its transactions"
        : `transaction ${report.transactionIndex} (${report.transactionHash})`;
    const place = [report.address, report.slot].filter((p) => p !== undefined).join(" slot ");
    check.reject(
      shadowError(
        "SHADOW_VETOED",
        `block ${report.blockNumber}, ${where}: ${report.field}${place === "" ? "" : ` of ${place}`} is ${short(report.value)} by ${report.engine}, ${short(report.shadowValue)} by ${report.shadowEngine}`,
        { blockNumber: report.blockNumber, transactionHash: report.transactionHash, field: report.field },
      ),
    );
  }

  #report(check: Check, answered: Differed): ShadowReport {
    const executed = check.executed as ExecutedBlock;
    const first = outcomesDifference(check.results.map(outcomeOf), answered.outcomes, check.state);
    const input = first === undefined ? undefined : check.inputs[first.index];
    const difference =
      first?.difference ??
      writesDifference(executed.writes, decodeWrites(answered.writes), check.state) ??
      headerDifference(executed.block.header, decodeBlockHead(answered.block).header);
    assert(difference !== undefined, "blocks that differ do so in something");
    return {
      blockNumber: executed.block.header.number,
      parentHash: toHex(executed.block.header.parentHash),
      engine: this.#options.engine,
      shadowEngine: this.#options.shadowEngine,
      transactionIndex: first?.index,
      transactionHash: input === undefined ? undefined : toHex(keccak256(input.raw)),
      transaction: input === undefined ? undefined : toHex(input.raw),
      field: difference.field,
      address: difference.address,
      slot: difference.slot,
      value: difference.value,
      shadowValue: difference.shadowValue,
    };
  }

  #fail(check: Check): void {
    const { log } = this.#options;
    if (check.isMoot && this.mode === "advisory") {
      this.#settled(check, "skipped");
      check.resolve();
      return;
    }
    this.#settled(check, "failed");
    const { reason, cause } = check.failure ?? { reason: "unknown" };
    log.error("a block could not be checked", { number: check.context.number, reason });
    check.reject(
      shadowError(
        "SHADOW_FAILED",
        `block ${check.context.number} could not be checked: ${reason}`,
        { blockNumber: check.context.number },
        { cause },
      ),
    );
  }

  #settled(check: Check, result: "agreed" | "differed" | "skipped" | "failed"): void {
    const { metrics, clock } = this.#options;
    this.#forget(check);
    metrics.blocks.inc(1, { result });
    metrics.verdictSeconds.observe((clock.nowMs() - check.finishedMs) / 1_000);
  }

  #forget(check: Check): void {
    this.#checks.delete(check.id);
    for (const gas of check.waitingGas.splice(0)) this.#lagGas -= gas;
    this.#options.metrics.lagGas.set(this.#lagGas);
  }
}

const SHORT_CHARACTERS = 200;
const short = (text: string): string =>
  text.length <= SHORT_CHARACTERS ? text : `${text.slice(0, SHORT_CHARACTERS)}…`;
