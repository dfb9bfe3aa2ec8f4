/**
 * Owns geth's default tracer: a log per instruction with gas, cost, stack, and memory and storage when asked for.
 * @see https://github.com/ethereum/execution-apis (schemas/opcode-tracer.yaml)
 */
import { toHex, toHexKey } from "../../../base/bytes.ts";
import type { MachineTracer } from "../machine.ts";
import type { FrameReader } from "./frames.ts";
import { HALT_INVALID_OPCODE, HALT_OUT_OF_GAS, haltText, stopsBefore, unpaidCost } from "./halts.ts";
import { isCreation, OP_SELFDESTRUCT, OP_SLOAD, OP_SSTORE, opcodeOf } from "./opcodes.ts";
import type { TraceLimits } from "./trace-limits.ts";

export type StructTracerConfig = {
  readonly disableStack?: boolean;
  readonly disableStorage?: boolean;
  readonly enableMemory?: boolean;
  readonly enableReturnData?: boolean;
  /** At most this many logs; 0 or absent: as many as there are. */
  readonly limit?: number;
};

export type StructLog = {
  pc: number;
  op: string;
  gas: number;
  gasCost: number;
  depth: number;
  error?: string;
  stack?: string[];
  returnData?: string;
  memory?: string[];
  storage?: Record<string, string>;
  refund?: number;
};

/** What the fixed part of a log prints, roughly. */
const LOG_BYTES = 70;
const WORD_BYTES = 69;

/** The log of a step whose cost is not known yet. */
type Pending = { readonly log: StructLog; readonly op: number; readonly sp: number; readonly memorySize: number };

/** An open frame, the top one first. */
type OpenFrame = {
  readonly at: number;
  readonly isCreation: boolean;
  pending: Pending | undefined;
  /** An SLOAD whose value the next step shows. */
  loading: { readonly log: StructLog; readonly slots: Map<string, string>; readonly slot: string } | undefined;
};

export class StructTracer implements MachineTracer {
  readonly logs: StructLog[] = [];
  readonly #frames: FrameReader;
  readonly #config: StructTracerConfig;
  readonly #limits: TraceLimits;
  readonly #limit: number;
  readonly #open: OpenFrame[] = [];
  /** Slots seen so far, by account. */
  readonly #storage = new Map<string, Map<string, string>>();

  constructor(frames: FrameReader, config: StructTracerConfig, limits: TraceLimits) {
    this.#frames = frames;
    this.#config = config;
    this.#limits = limits;
    this.#limit = config.limit === undefined || config.limit === 0 ? Number.POSITIVE_INFINITY : config.limit;
  }

  step(
    frame: number,
    pc: number,
    op: number,
    gas: bigint,
    sp: number,
    depth: number,
    memorySize: number,
    refund: bigint,
  ): void {
    this.#limits.tick();
    const own = this.#open[depth] as OpenFrame;
    const { pending, loading } = own;
    if (pending !== undefined) {
      if (pending.log.gasCost < 0) pending.log.gasCost = pending.log.gas - Number(gas);
      own.pending = undefined;
    }
    if (loading !== undefined) {
      own.loading = undefined;
      this.#showStorage(loading.log, loading.slots, loading.slot, toHex(this.#frames.wordBytes(sp)));
    }
    if (this.logs.length >= this.#limit) return;
    const log = this.#logOf(frame, pc, op, gas, sp, depth, memorySize);
    if (refund > 0n) log.refund = Number(refund);
    own.pending = { log, op, sp, memorySize };
    this.logs.push(log);
    if (this.#config.disableStorage !== true && (op === OP_SLOAD || op === OP_SSTORE))
      this.#noteStorage(own, log, frame, op, sp);
  }

  #logOf(frame: number, pc: number, op: number, gas: bigint, sp: number, depth: number, memorySize: number): StructLog {
    const frames = this.#frames;
    const log: StructLog = { pc, op: opcodeOf(op).name, gas: Number(gas), gasCost: -1, depth: depth + 1 };
    let bytes = LOG_BYTES;
    if (this.#config.disableStack !== true) {
      const stack: string[] = [];
      for (let at = sp + (frames.stackSize(frame, sp) - 1) * 32; at >= sp; at -= 32) {
        const word = frames.shortHex(at);
        bytes += word.length + 3;
        stack.push(word);
      }
      log.stack = stack;
    }
    if (this.#config.enableReturnData === true) {
      const data = frames.returnData();
      bytes += 2 * data.length;
      this.#limits.spend(2 * data.length);
      if (data.length > 0) log.returnData = toHex(data);
    }
    if (this.#config.enableMemory === true && memorySize > 0) {
      this.#limits.spend((memorySize / 32) * WORD_BYTES);
      const memory = toHexKey(frames.memorySlice(frame, 0, memorySize));
      log.memory = Array.from({ length: memory.length / 64 }, (_, i) => `0x${memory.slice(i * 64, i * 64 + 64)}`);
    }
    this.#limits.spend(bytes);
    return log;
  }

  #noteStorage(own: OpenFrame, log: StructLog, frame: number, op: number, sp: number): void {
    if (this.#frames.stackSize(frame, sp) < opcodeOf(op).taken) return;
    const account = toHexKey(this.#frames.self(frame));
    const slots = this.#storage.get(account) ?? new Map<string, string>();
    this.#storage.set(account, slots);
    const slot = toHex(this.#frames.wordBytes(sp));
    if (op === OP_SLOAD) own.loading = { log, slots, slot };
    else this.#showStorage(log, slots, slot, toHex(this.#frames.wordBytes(sp + 32)));
  }

  /** A log shows all slots of the account seen up to it. */
  #showStorage(log: StructLog, slots: Map<string, string>, slot: string, value: string): void {
    slots.set(slot, value);
    this.#limits.spend(2 * WORD_BYTES * slots.size);
    log.storage = Object.fromEntries(slots);
  }

  frame(kind: number, _depth: number, record: number): void {
    if (kind === -1 || kind === -2) {
      const own = this.#open.pop();
      // `record` is the reason here.
      if (kind === -1 && own?.pending !== undefined) this.#finish(own, own.pending, record);
      return;
    }
    if (kind === OP_SELFDESTRUCT) return;
    // The caller's record holds what it has left meanwhile. A call's cost counts the gas it gave away, a creation's not.
    const creating = isCreation(kind);
    const caller = this.#open.at(-1);
    if (caller?.pending !== undefined) {
      const { log } = caller.pending;
      log.gasCost = log.gas - Number(this.#frames.gas(caller.at));
      if (creating) log.gasCost -= Number(this.#frames.gas(record));
    }
    this.#open.push({ at: record, isCreation: creating, pending: undefined, loading: undefined });
  }

  /** The last step of a frame that ends for `reason`. */
  #finish(own: OpenFrame, { log, op, sp, memorySize }: Pending, reason: number): void {
    const frames = this.#frames;
    if (reason <= 1) {
      log.gasCost = log.gas - Number(frames.gas(own.at));
      // The deposit of the code is charged after the instruction that returned it.
      if (own.isCreation && reason === 0) log.gasCost -= 200 * frames.returnData().length;
      return;
    }
    // An exception takes all gas.
    const size = frames.stackSize(own.at, sp);
    const word = (i: number): bigint => (i < size ? frames.word(sp + 32 * i) : 0n);
    if (reason === HALT_OUT_OF_GAS) log.gasCost = unpaidCost(op, log.gas, memorySize, word);
    // An opcode of a later fork has a name and no price.
    else log.gasCost = reason === HALT_INVALID_OPCODE ? 0 : opcodeOf(op).fixedGas;
    if (stopsBefore(reason)) log.error = haltText(reason, op, size);
  }
}
