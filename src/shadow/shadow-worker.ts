/**
 * Entry of the shadow's thread: executes the blocks it is sent on the other engine, in order, and compares each with
 * what the sequencer made of it. A state read it has no value for is asked for; the thread sleeps until the answer.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import { bytesEqual } from "../base/bytes.ts";
import { BlockExecution } from "../execution/block-execution.ts";
import { createEngine } from "../execution/engines.ts";
import type { TxResult } from "../execution/execution.ts";
import { writesDifference } from "./difference.ts";
import {
  decodeBlockHead,
  decodeContext,
  decodeTxs,
  decodeWrites,
  encodeBlockHead,
  encodeWrites,
  NO_ANSWER,
  outcomeOf,
  type ShadowAnswer,
  type ShadowRequest,
  type ShadowWorkerData,
} from "./shadow-codec.ts";
import { KnownCode, type Question, WitnessReader } from "./witness.ts";

const { engine: engineName, chain, answers, answered } = workerData as ShadowWorkerData;
const engine = await createEngine(engineName);
const codes = new KnownCode();
/** The block at work; undefined when there is none or it failed. */
let open: { id: number; execution: BlockExecution; state: WitnessReader; results: TxResult[] } | undefined;

const send = (answer: ShadowAnswer): void => parentPort?.postMessage(answer);

function ask(id: number, question: Question): Uint8Array {
  Atomics.store(answered, 0, 0);
  send({ kind: "question", id, question });
  Atomics.wait(answered, 0, 0);
  const received = receiveMessageOnPort(answers) as { message: Uint8Array | typeof NO_ANSWER } | undefined;
  assert(received !== undefined, "the answer is there when the thread is woken");
  if (received.message === NO_ANSWER) throw new Error("the state below the block is gone");
  return received.message;
}

async function serve(request: ShadowRequest): Promise<void> {
  const { id } = request;
  if (request.kind === "open") {
    const state = new WitnessReader(codes, (question) => ask(id, question));
    state.add(request.reads);
    const results: TxResult[] = [];
    const execution = await BlockExecution.begin({
      chain,
      parent: decodeBlockHead(request.parent),
      attributes: decodeContext(request.context),
      state,
      engine,
      observer: { reads: state, executed: (_, batch) => results.push(...batch) },
    });
    open = { id, execution, state, results };
    return;
  }
  if (open?.id !== id) return;
  if (request.kind === "abandon") {
    open = undefined;
    return;
  }
  open.state.add(request.reads);
  if (request.kind === "execute") {
    await open.execution.apply(decodeTxs(request.txs));
    send({ kind: "executed", id });
    return;
  }
  const { execution, state, results } = open;
  open = undefined;
  const own = decodeBlockHead(request.block);
  // The root follows from the writes, which are compared themselves.
  const { block, writes } = execution.finish(() => ({ stateRoot: own.header.stateRoot }));
  const agreed =
    bytesEqual(block.hash, own.hash) && writesDifference(decodeWrites(request.writes), writes, state) === undefined;
  if (agreed) send({ kind: "agreed", id });
  else {
    const outcomes = results.map(outcomeOf);
    send({ kind: "differed", id, block: encodeBlockHead(block), writes: encodeWrites(writes), outcomes });
  }
}

let queue: Promise<void> = Promise.resolve();
parentPort?.on("message", (request: ShadowRequest) => {
  queue = queue.then(async () => {
    try {
      await serve(request);
    } catch (error) {
      open = undefined;
      send({ kind: "failed", id: request.id, reason: error instanceof Error ? (error.stack ?? error.message) : "?" });
    }
  });
});
