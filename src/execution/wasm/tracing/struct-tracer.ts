/** Owns geth's default tracer: a log per instruction with gas, cost, stack, and memory and storage when asked for. */
import { toHex, toHexKey } from "../../../base/bytes.ts";
import type { MachineTracer } from "../machine.ts";
import { HALT_REASONS } from "../result.ts";
import { type FrameReader, OP_CREATE, OP_CREATE2, OP_SELFDESTRUCT } from "./frames.ts";
import { opcodeName } from "./opcode-names.ts";

export type StructTracerConfig = {
  readonly disableStack?: boolean;
  readonly disableStorage?: boolean;
  readonly enableMemory?: boolean;
  readonly enableReturnData?: boolean;
  /** At most this many logs; 0 or absent: up to the bound below. */
  readonly limit?: number;
};

export type StructLog = {
  pc: number;
  op: string;
  gas: number;
  gasCost: number;
  depth: number;
  refund?: number;
  error?: string;
  stack?: string[];
  memory?: string[];
  returnData?: string;
  storage?: Record<string, string>;
};

/** A trace must not take the process with it: longer ones are cut here. */
const LOGS_MAX = 1_000_000;
const OP_SLOAD = 0x54;
const OP_SSTORE = 0x55;

export class StructTracer implements MachineTracer {
  readonly logs: StructLog[] = [];
  readonly #frames: FrameReader;
  readonly #config: StructTracerConfig;
  readonly #limit: number;
  /** The log of each open frame whose cost is not known yet, the top frame first. */
  readonly #pending: (StructLog | undefined)[] = [];
  readonly #records: { at: number; isCreation: boolean }[] = [];
  readonly #storage = new Map<string, Map<string, string>>();
  #loading: { log: StructLog; slots: Map<string, string>; slot: string; depth: number } | undefined;

  constructor(frames: FrameReader, config: StructTracerConfig) {
    this.#frames = frames;
    this.#config = config;
    this.#limit = Math.min(LOGS_MAX, config.limit === undefined || config.limit === 0 ? LOGS_MAX : config.limit);
  }

  step(
    frame: number,
    pc: number,
    op: number,
    gas: bigint,
    sp: number,
    depth: number,
    _memorySize: number,
    refund: bigint,
  ): void {
    const frames = this.#frames;
    const pending = this.#pending[depth];
    if (pending !== undefined && pending.gasCost < 0) pending.gasCost = pending.gas - Number(gas);
    this.#pending[depth] = undefined;
    const loading = this.#loading;
    this.#loading = undefined;
    if (loading !== undefined && loading.depth === depth) {
      // What the SLOAD before this step found.
      loading.slots.set(loading.slot, toHexKey(frames.wordBytes(sp)));
      loading.log.storage = Object.fromEntries(loading.slots);
    }
    if (this.logs.length >= this.#limit) return;
    const log: StructLog = { pc, op: opcodeName(op), gas: Number(gas), gasCost: -1, depth: depth + 1 };
    if (refund > 0n) log.refund = Number(refund);
    const size = frames.stackSize(frame, sp);
    if (this.#config.disableStack !== true)
      log.stack = Array.from({ length: size }, (_, i) => shortHex(frames.wordBytes(sp + (size - 1 - i) * 32)));
    if (this.#config.enableMemory === true) {
      const memory = toHexKey(frames.memory(frame));
      log.memory = Array.from({ length: memory.length / 64 }, (_, i) => `0x${memory.slice(i * 64, i * 64 + 64)}`);
    }
    if (this.#config.enableReturnData === true) {
      const data = frames.returnData();
      if (data.length > 0) log.returnData = toHex(data);
    }
    this.#pending[depth] = log;
    this.logs.push(log);
    if (this.#config.disableStorage !== true && (op === OP_SLOAD || op === OP_SSTORE))
      this.#noteStorage(log, frame, op, sp, size, depth);
  }

  /** The slots of the account seen so far; what an SLOAD finds is known at the next step. */
  #noteStorage(log: StructLog, frame: number, op: number, sp: number, size: number, depth: number): void {
    if (size < (op === OP_SLOAD ? 1 : 2)) return;
    const account = toHexKey(this.#frames.self(frame));
    const slots = this.#storage.get(account) ?? new Map<string, string>();
    this.#storage.set(account, slots);
    const slot = toHexKey(this.#frames.wordBytes(sp));
    if (op === OP_SLOAD) {
      this.#loading = { log, slots, slot, depth };
      return;
    }
    slots.set(slot, toHexKey(this.#frames.wordBytes(sp + 32)));
    log.storage = Object.fromEntries(slots);
  }

  frame(kind: number, depth: number, record: number): void {
    if (kind === -1 || kind === -2) {
      const own = this.#records.pop();
      if (kind === -2 || own === undefined) return;
      const pending = this.#pending[depth];
      this.#pending[depth] = undefined;
      if (pending === undefined) return;
      // `record` is the reason here. An exception takes all gas; what it would have cost is not known.
      if (record > 1) {
        pending.gasCost = 0;
        pending.error = HALT_REASONS[record] ?? "failed";
      } else if (pending.gasCost < 0) {
        pending.gasCost = pending.gas - Number(this.#frames.gas(own.at));
        // The deposit of the code is charged after the instruction that returned it.
        if (own.isCreation && record === 0) pending.gasCost -= 200 * this.#frames.returnData().length;
      }
      return;
    }
    if (kind === OP_SELFDESTRUCT) return;
    // The caller's record holds what it has left meanwhile. A call's cost counts the gas it gave away, a creation's not.
    const isCreation = kind === OP_CREATE || kind === OP_CREATE2;
    const caller = this.#pending[depth - 1];
    const callerRecord = this.#records.at(-1);
    if (caller !== undefined && callerRecord !== undefined) {
      caller.gasCost = caller.gas - Number(this.#frames.gas(callerRecord.at));
      if (isCreation) caller.gasCost -= Number(this.#frames.gas(record));
    }
    this.#records.push({ at: record, isCreation });
  }
}

/** Without leading zeros, as geth prints stack words. */
function shortHex(word: Uint8Array): string {
  const hex = toHexKey(word).replace(/^0+/, "");
  return `0x${hex === "" ? "0" : hex}`;
}
