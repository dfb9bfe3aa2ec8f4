/**
 * Owns the running again of stored blocks on the state their parent left: system calls, then the transactions in the
 * order in which they were sealed, deposits and L1 attributes among them. Untraced, in short turns of the thread.
 * Invariant: each transaction uses the gas its receipt says; anything else is a bug and throws.
 */
import { assert } from "../base/assert.ts";
import type { BlockEnv, StateReader, TxInput, TxResult } from "../execution/execution.ts";
import { OverlayReader } from "../execution/overlay.ts";
import { RecordingReader } from "../execution/state-recording.ts";
import { runSystemCalls } from "../execution/system-calls.ts";
import type { WasmEngine } from "../execution/wasm/wasm.ts";
import { l1DataFeeWei } from "../protocol/l1-fee.ts";
import { emptyWrites, mergeWrites, type StateWrites } from "../protocol/state-writes.ts";
import { DEPOSIT_TYPE } from "../protocol/transaction-codec.ts";
import type { BlockBundle } from "./block-cache.ts";
import { RpcError } from "./errors.ts";
import { requireBlock } from "./resolve.ts";
import type { Services } from "./services.ts";
import { Turns } from "./turns.ts";

/** Gas run in one go: some ten milliseconds. */
const CHUNK_GAS = 2_000_000;
/** State held for one trace. */
const RECORDED_MAX_BYTES = 64 << 20;

export class BlockReplay {
  readonly env: BlockEnv;
  readonly engine: WasmEngine;
  readonly #s: Services;
  readonly #bundle: BlockBundle;
  readonly #deadlineMs: number;
  readonly #turns: Turns;
  /** The state before the next transaction. */
  #base: StateReader;
  #writes: StateWrites = emptyWrites();
  #next = 0;

  private constructor(s: Services, bundle: BlockBundle, engine: WasmEngine, deadlineMs: number) {
    this.#s = s;
    this.#bundle = bundle;
    this.#deadlineMs = deadlineMs;
    this.#turns = new Turns(s.clock);
    this.engine = engine;
    this.env = s.chain.envAt(bundle.number);
    this.#base = s.chain.stateAt(bundle.number - 1);
  }

  /**
   * Stands before the first transaction of `bundle`.
   * @throws {RpcError} SERVER_ERROR for the genesis; {StateError} STATE_PRUNED
   */
  static async begin(s: Services, bundle: BlockBundle, deadlineMs: number): Promise<BlockReplay> {
    if (bundle.number === 0) throw new RpcError("SERVER_ERROR", "genesis is not traceable");
    const engine = await s.tracing.engine();
    const { header, hash } = bundle.block;
    // It may have been reorganized away meanwhile; the state below would be another one's.
    requireBlock(s, { hash, requireCanonical: true });
    const replay = new BlockReplay(s, bundle, engine, deadlineMs);
    await runSystemCalls(engine, replay.env, replay.state, header, ({ writes }) => mergeWrites(replay.#writes, writes));
    return replay;
  }

  get state(): StateReader {
    return new OverlayReader(this.#base, [this.#writes]);
  }

  /** Gas the block has left for the next transaction. */
  get gasAvailable(): number {
    const before = this.#next === 0 ? 0 : (this.#bundle.receipts[this.#next - 1]?.cumulativeGasUsed ?? 0);
    return this.env.gasLimit - before;
  }

  inputs(from: number, to: number): TxInput[] {
    const { transactions, senders } = this.#bundle.block;
    const fees = this.#bundle.l1Fees;
    return transactions.slice(from, to).map((raw, i) => {
      const sender = senders[from + i];
      assert(sender !== undefined, "a stored block has the sender of each transaction");
      return { raw, sender, l1FeeWei: raw[0] === DEPOSIT_TYPE ? 0n : l1DataFeeWei(raw, fees) };
    });
  }

  /** Runs up to, and without, the transaction `end`. @throws {RpcError} TIMED_OUT */
  async runTo(end: number, visit?: (result: TxResult) => void): Promise<void> {
    while (this.#next < end) {
      let stop = this.#next;
      for (let gas = 0; stop < end && (gas === 0 || gas < CHUNK_GAS); stop++) gas += this.#gasUsed(stop);
      const { state } = this;
      const results = this.engine.execute(this.env, this.inputs(this.#next, stop), state, this.gasAvailable);
      for (const [i, result] of results.entries()) {
        const expected = this.#gasUsed(this.#next + i);
        if (!result.included || result.gasUsed !== expected) this.#requireCanonical();
        assert(result.included && result.gasUsed === expected, "a stored transaction runs again as it did");
        visit?.(result);
      }
      assert(results.writes !== undefined, "the engine tells the net effect");
      mergeWrites(this.#writes, results.writes);
      this.#next = stop;
      if (this.#s.clock.nowMs() > this.#deadlineMs)
        throw new RpcError("TIMED_OUT", "execution timeout: the block could not be run again in time");
      await this.#turns.giveWay();
    }
  }

  /** Notes what is read from here on; call once. */
  record(): RecordingReader {
    const recorder = recording(this.state);
    this.#base = recorder;
    this.#writes = emptyWrites();
    return recorder;
  }

  /** @throws {RpcError} RESOURCE_NOT_FOUND: a reorg took the block, and the state under it, while it ran */
  #requireCanonical(): void {
    requireBlock(this.#s, { hash: this.#bundle.block.hash, requireCanonical: true });
  }

  #gasUsed(index: number): number {
    const receipt = this.#bundle.receipts[index];
    assert(receipt !== undefined, "a stored block has the receipt of each transaction");
    return receipt.gasUsed;
  }
}

/** A reader that notes what a trace will read. */
export function recording(state: StateReader): RecordingReader {
  return new RecordingReader(state, RECORDED_MAX_BYTES);
}
