/**
 * Owns the threads that replay parts of a block from its access list: each has a machine of its own and knows of the
 * state what a witness tells. Parts wait in one queue, so a thread that is done early takes more.
 * On failure of a thread its part, and every part when none is left, is answered with undefined: whoever asked runs it
 * itself. Slower, never wrong.
 */
import type { Worker } from "node:worker_threads";
import type { Log } from "../../base/log.ts";
import { startWorker } from "../../base/worker.ts";
import type { BlockEnv, MissingKey, TxInput } from "../execution.ts";
import { type VmModule, vmModule } from "../wasm/machine.ts";
import type { RawBatch } from "../wasm/wasm.ts";

/** Code that threads keep between blocks, together; beyond it they start anew. */
const CODE_BYTES_MAX = 64 * 1024 * 1024;

export type ReplayBlock = {
  readonly env: BlockEnv;
  /** Index in the access list of the first transaction: claims of earlier parts are in the witness. */
  readonly first: number;
  /** Encoded list and witness in shared memory. */
  readonly list: Uint8Array;
  readonly witness: Uint8Array;
  readonly gasAvailable: number;
};

export type ReplayPart = { readonly index: number; readonly txs: readonly TxInput[] };

export type ReplayRequest =
  | { readonly kind: "forget" }
  | {
      readonly kind: "block";
      readonly block: ReplayBlock;
      readonly codes: readonly (readonly [string, Uint8Array])[];
    }
  | { readonly kind: "part"; readonly part: ReplayPart; readonly blockHashes: Uint8Array | undefined };
export type ReplayAnswer = RawBatch | MissingKey | undefined;

type Job = { readonly request: ReplayRequest; readonly done: (answer: ReplayAnswer) => void };

class ReplayThread {
  readonly #worker: Worker;
  readonly #log: Log;
  #done: ((answer: ReplayAnswer) => void) | undefined;
  isAlive = true;

  constructor(module: VmModule, log: Log, onFree: () => void) {
    this.#log = log;
    this.#worker = startWorker(new URL("./replay-worker.ts", import.meta.url), { name: "replay", workerData: module });
    this.#worker.on("message", (answer: ReplayAnswer) => {
      this.#finish(answer);
      onFree();
    });
    const failed = (error: Error): void => {
      if (this.isAlive) this.#log.error("replay thread failed, its part runs in place", { err: error });
      this.isAlive = false;
      this.#finish(undefined);
      onFree();
    };
    this.#worker.on("error", failed);
    this.#worker.on("exit", () => failed(new Error("the replay thread ended")));
    // Idle threads hold no process open. Last: a listener for messages takes hold of it again.
    this.#worker.unref();
  }

  get isFree(): boolean {
    return this.isAlive && this.#done === undefined;
  }

  tell(request: ReplayRequest): void {
    if (this.isAlive) this.#worker.postMessage(request);
  }

  take({ request, done }: Job): void {
    this.#done = done;
    this.#worker.ref();
    this.#worker.postMessage(request);
  }

  #finish(answer: ReplayAnswer): void {
    const done = this.#done;
    this.#done = undefined;
    this.#worker.unref();
    done?.(answer);
  }

  async close(): Promise<void> {
    this.isAlive = false;
    await this.#worker.terminate();
  }
}

export class ReplayThreads {
  readonly #threads: readonly ReplayThread[];
  readonly #queue: Job[] = [];
  readonly #knownCodes = new Set<string>();
  #codeBytes = 0;

  private constructor(threads: number, module: VmModule, log: Log) {
    this.#threads = Array.from({ length: threads }, () => new ReplayThread(module, log, () => this.#pump()));
  }

  static async create(threads: number, log: Log): Promise<ReplayThreads> {
    return new ReplayThreads(threads, await vmModule(), log);
  }

  /** Threads that work. */
  get size(): number {
    return this.#threads.filter(({ isAlive }) => isAlive).length;
  }

  /** Whether the threads hold this code (a key of its hash) already. */
  knowsCode(key: string): boolean {
    return this.#knownCodes.has(key);
  }

  /** Hands every thread the block whose parts follow; `codes` are those it needs and they lack. One block at a time. */
  begin(block: ReplayBlock, codes: ReadonlyMap<string, Uint8Array>): void {
    for (const [key, code] of codes) {
      this.#knownCodes.add(key);
      this.#codeBytes += code.length;
    }
    const request: ReplayRequest = { kind: "block", block, codes: [...codes] };
    for (const thread of this.#threads) thread.tell(request);
  }

  /** Makes room when the threads hold more code than they may; before the codes of a block are collected. */
  trimCodes(): void {
    if (this.#codeBytes <= CODE_BYTES_MAX) return;
    this.#knownCodes.clear();
    this.#codeBytes = 0;
    for (const thread of this.#threads) thread.tell({ kind: "forget" });
  }

  /** Runs a part of the block begun last. Undefined: it has to be run in place. */
  run(part: ReplayPart, blockHashes?: Uint8Array): Promise<ReplayAnswer> {
    return new Promise((done) => {
      this.#queue.push({ request: { kind: "part", part, blockHashes }, done });
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#queue.length > 0) {
      const thread = this.#threads.find(({ isFree }) => isFree);
      if (thread === undefined) {
        if (this.size > 0) return;
        for (const { done } of this.#queue.splice(0)) done(undefined);
        return;
      }
      thread.take(this.#queue.shift() as Job);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
    this.#pump();
  }
}
