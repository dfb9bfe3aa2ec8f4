/**
 * Owns the compiled VM: one WebAssembly module per process, one instance with its memory per machine. Between calls of
 * the exports the machine is idle; host reads are answered from the reader it was lent. A reader that throws stops the
 * running transaction cleanly (as if the read were missing) and the error surfaces from here afterwards.
 */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { toHexKey } from "../../base/bytes.ts";
import { defineErrors } from "../../base/error.ts";
import { MissingRead, type StateReader } from "../execution.ts";
import { ENV, ENV_SIZE_BYTES } from "./layout.ts";
import { runPrecompile } from "./precompiles.ts";

export const machineError = defineErrors("Vm", {
  VM_NOT_BUILT: {
    summary: "The compiled VM is not there.",
    action: "Build it with `npm run build:vm`.",
    retryable: false,
  },
});

/** What hears about each step and frame of traced code; `memory` is the machine's. */
export interface MachineTracer {
  step(
    frame: number,
    pc: number,
    op: number,
    gas: bigint,
    sp: number,
    depth: number,
    memorySize: number,
    refund: bigint,
  ): void;
  frame(kind: number, depth: number, record: number): void;
}

/** A compiled module; opaque, but it can be posted to a worker. */
export type VmModule = object;

/** The little of the WebAssembly API used here; Node's types leave it to the browser's. */
declare const WebAssembly: {
  compile(bytes: Uint8Array<ArrayBuffer>): Promise<VmModule>;
  readonly Instance: new (module: VmModule, imports: object) => { readonly exports: unknown };
};

type Exports = {
  readonly memory: { readonly buffer: ArrayBuffer };
  init(): void;
  next(): number;
  resume(): number;
  batch(count: number): number;
  finish(): number;
  net(): number;
  netEnd(): number;
  environmentAt(): number;
  inputAt(): number;
  outputAt(): number;
  returnDataAt(): number;
  returnDataSize(): number;
};

const ABSENT = 0;
const PRESENT = 1;
const MISSING = 2;

let compiled: Promise<VmModule> | undefined;

async function compileModule(): Promise<VmModule> {
  const path = new URL("../../../vm/build/evm.wasm", import.meta.url);
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array(await readFile(path));
  } catch (cause) {
    throw machineError("VM_NOT_BUILT", "vm/build/evm.wasm cannot be read", {}, { cause });
  }
  return WebAssembly.compile(bytes);
}

/** The module, compiled once; workers may be handed it instead of compiling again. */
export function vmModule(): Promise<VmModule> {
  compiled ??= compileModule();
  return compiled;
}

export class Machine {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly limbs: BigUint64Array;
  readonly environmentAt: number;
  readonly inputAt: number;
  readonly outputAt: number;
  readonly #exports: Exports;
  #reader: StateReader | undefined;
  #tracer: MachineTracer | undefined;
  #fault: unknown;
  #turnEndMs: number | undefined;

  constructor(module: VmModule) {
    const instance = new WebAssembly.Instance(module, {
      host: {
        account: (address: number, to: number) => this.#account(address, to),
        storage: (address: number, slot: number, to: number) => this.#storage(address, slot, to),
        code: (hash: number, to: number, room: number) => this.#code(hash, to, room),
        blockHash: (number: bigint, to: number) => this.#blockHash(number, to),
        precompile: (id: number, from: number, length: number, to: number) => this.#precompile(id, from, length, to),
        trace: (
          f: number,
          pc: number,
          op: number,
          gas: bigint,
          sp: number,
          depth: number,
          size: number,
          refund: bigint,
        ) => this.#tracer?.step(f, pc, op, gas, sp, depth, size, refund),
        traceFrame: (kind: number, depth: number, record: number) => this.#tracer?.frame(kind, depth, record),
      },
    });
    this.#exports = instance.exports as Exports;
    // The memory never grows: its size is fixed in the module, so these views stay valid.
    const { buffer } = this.#exports.memory;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.limbs = new BigUint64Array(buffer);
    this.environmentAt = this.#exports.environmentAt();
    this.inputAt = this.#exports.inputAt();
    this.outputAt = this.#exports.outputAt();
    // The hash tables are keyed, or strangers could choose slots that collide.
    this.bytes.set(randomBytes(16), this.environmentAt + ENV.seed);
  }

  static async create(): Promise<Machine> {
    return new Machine(await vmModule());
  }

  /** Clears the environment except for the seed of the hash tables. */
  clearEnvironment(): void {
    this.bytes.fill(0, this.environmentAt, this.environmentAt + ENV.seed);
    this.bytes.fill(0, this.environmentAt + ENV.baseFee, this.environmentAt + ENV_SIZE_BYTES);
  }

  /** Forgets the previous batch. */
  init(): void {
    this.#exports.init();
  }

  /** Runs up to `count` inputs on `reader`; returns how many were done. @throws what the reader threw, but MissingRead. */
  batch(count: number, reader: StateReader, tracer?: MachineTracer): number {
    this.#tracer = tracer;
    try {
      return this.#enter(reader, () => this.#exports.batch(count));
    } finally {
      this.#tracer = undefined;
    }
  }

  /**
   * Runs the next input, clocked: it pauses after `ticks`, or soon after `turnEndMs` (of performance.now) when it asks
   * the host for something slow. Returns its status. @throws what the reader threw, but MissingRead.
   */
  next(reader: StateReader, ticks: number, turnEndMs: number): number {
    return this.#clocked(reader, ticks, turnEndMs, () => this.#exports.next());
  }

  /** Goes on with a paused input; otherwise as `next`. */
  resume(reader: StateReader, ticks: number, turnEndMs: number): number {
    return this.#clocked(reader, ticks, turnEndMs, () => this.#exports.resume());
  }

  #clocked(reader: StateReader, ticks: number, turnEndMs: number, run: () => number): number {
    this.view.setInt32(this.environmentAt + ENV.ticks, ticks, true);
    this.#turnEndMs = turnEndMs;
    try {
      return this.#enter(reader, run);
    } finally {
      this.#turnEndMs = undefined;
    }
  }

  #enter(reader: StateReader, run: () => number): number {
    this.#reader = reader;
    this.#fault = undefined;
    try {
      const answer = run();
      if (this.#fault !== undefined && !(this.#fault instanceof MissingRead)) throw this.#fault;
      return answer;
    } finally {
      this.#reader = undefined;
    }
  }

  /** The host was at work: a clocked run whose turn is over pauses at the next tick. */
  #lookAtClock(): void {
    if (this.#turnEndMs !== undefined && performance.now() > this.#turnEndMs)
      this.view.setInt32(this.environmentAt + ENV.ticks, 0, true);
  }

  /** Writes the net effect of the batch behind its records; its place, or 0 when it does not fit. */
  net(): number {
    return this.#exports.net();
  }

  /** Where the net effect ends. */
  netEnd(): number {
    return this.#exports.netEnd();
  }

  /** Where the records end. */
  finish(): number {
    return this.#exports.finish();
  }

  #account(address: number, to: number): number {
    try {
      const account = this.#reader?.account(this.bytes.slice(address, address + 20));
      if (account === undefined) return ABSENT;
      const limb = to >>> 3;
      this.limbs[limb] = account.nonce;
      this.writeWord(to + 8, account.balanceWei);
      this.bytes.set(account.codeHash, to + 40);
      this.view.setUint32(to + 72, account.hasStorage === true ? 1 : 0, true);
      return PRESENT;
    } catch (fault) {
      this.#fault = fault;
      return MISSING;
    }
  }

  #storage(address: number, slot: number, to: number): number {
    try {
      const value = this.#reader?.storage(this.bytes.slice(address, address + 20), this.bytes.slice(slot, slot + 32));
      this.#lookAtClock();
      if (value === undefined) return ABSENT;
      this.bytes.set(value, to);
      return PRESENT;
    } catch (fault) {
      this.#fault = fault;
      return MISSING;
    }
  }

  #code(hash: number, to: number, room: number): number {
    try {
      const code = this.#reader?.code(this.bytes.slice(hash, hash + 32)) ?? new Uint8Array(0);
      if (code.length > room) return -2;
      this.bytes.set(code, to);
      return code.length;
    } catch (fault) {
      this.#fault = fault;
      return -1;
    }
  }

  #blockHash(number: bigint, to: number): number {
    try {
      const hash = this.#reader?.blockHash(Number(number));
      if (hash === undefined) return ABSENT;
      this.bytes.set(hash, to);
      return PRESENT;
    } catch (fault) {
      this.#fault = fault;
      return MISSING;
    }
  }

  #precompile(id: number, from: number, length: number, to: number): number {
    const output = runPrecompile(id, this.bytes.slice(from, from + length));
    this.#lookAtClock();
    if (output === undefined) return -1;
    this.bytes.set(output, to);
    return output.length;
  }

  /** Return data as it stands, for tracers; a copy. */
  returnData(): Uint8Array {
    const at = this.#exports.returnDataAt();
    return this.bytes.slice(at, at + this.#exports.returnDataSize());
  }

  /** Writes a 256-bit integer as four little-endian limbs. `at` is a multiple of 8. */
  writeWord(at: number, value: bigint): void {
    const { limbs } = this;
    let limb = at >>> 3;
    if (value < 0x1_0000_0000_0000_0000n) {
      limbs[limb++] = value;
      limbs[limb++] = 0n;
    } else {
      limbs[limb++] = BigInt.asUintN(64, value);
      limbs[limb++] = BigInt.asUintN(64, value >> 64n);
    }
    if (value >> 128n === 0n) {
      limbs[limb++] = 0n;
      limbs[limb] = 0n;
    } else {
      limbs[limb++] = BigInt.asUintN(64, value >> 128n);
      limbs[limb] = BigInt.asUintN(64, value >> 192n);
    }
  }

  /** Hex of bytes in the machine's memory, for messages. */
  hexAt(at: number, length: number): string {
    return toHexKey(this.bytes.subarray(at, at + length));
  }
}
