/**
 * Owns the reading of frame records in the machine's memory while it runs traced code; the layout is that of
 * vm/src/layout.ts. Everything is copied: the memory moves on.
 */
import type { Machine } from "../machine.ts";

const FRAME = {
  gas: 8,
  memory: 16,
  memorySize: 20,
  stack: 24,
  code: 28,
  codeSize: 32,
  input: 40,
  inputSize: 44,
  self: 48,
  caller: 88,
  value: 120,
  codeAccount: 156,
} as const;
export const FRAME_SIZE = 192;
/** The 20 bytes of an account record's address. */
const ACCOUNT_ADDRESS = 236;

export class FrameReader {
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  #u32(at: number): number {
    return this.#machine.view.getUint32(at, true);
  }
  gas(record: number): bigint {
    return this.#machine.view.getBigInt64(record + FRAME.gas, true);
  }
  /** The account whose storage and balance the frame works on. */
  self(record: number): Uint8Array {
    return this.#address(this.#u32(record + FRAME.self));
  }
  /** The account whose code runs, for calls. */
  codeAccount(record: number): Uint8Array {
    return this.#address(this.#u32(record + FRAME.codeAccount));
  }
  #address(account: number): Uint8Array {
    return this.#machine.bytes.slice(account + ACCOUNT_ADDRESS, account + ACCOUNT_ADDRESS + 20);
  }
  caller(record: number): Uint8Array {
    return this.wordBytes(record + FRAME.caller).subarray(12);
  }
  value(record: number): bigint {
    return this.word(record + FRAME.value);
  }
  /** Call data. */
  input(record: number): Uint8Array {
    const at = this.#u32(record + FRAME.input);
    return this.#machine.bytes.slice(at, at + this.#u32(record + FRAME.inputSize));
  }
  inputSize(record: number): number {
    return this.#u32(record + FRAME.inputSize);
  }
  /** Code; of a creation its init code. */
  code(record: number): Uint8Array {
    const at = this.#u32(record + FRAME.code);
    return this.#machine.bytes.slice(at, at + this.#u32(record + FRAME.codeSize));
  }
  codeSize(record: number): number {
    return this.#u32(record + FRAME.codeSize);
  }
  /** The EVM memory of the frame. */
  memory(record: number): Uint8Array {
    const at = this.#u32(record + FRAME.memory);
    return this.#machine.bytes.slice(at, at + this.#u32(record + FRAME.memorySize));
  }
  memorySize(record: number): number {
    return this.#u32(record + FRAME.memorySize);
  }
  memorySlice(record: number, offset: number, length: number): Uint8Array {
    const at = this.#u32(record + FRAME.memory) + offset;
    const out = new Uint8Array(length);
    const size = this.#u32(record + FRAME.memorySize);
    if (offset < size) out.set(this.#machine.bytes.subarray(at, at + Math.min(length, size - offset)));
    return out;
  }
  /** Number of words on the frame's stack when its pointer is at `sp`. */
  stackSize(record: number, sp: number): number {
    return (this.#u32(record + FRAME.stack) - sp) >>> 5;
  }
  /** The word at `at` of the machine's memory as 32 big-endian bytes. */
  wordBytes(at: number): Uint8Array {
    return this.#machine.bytes.slice(at, at + 32).reverse();
  }
  /** The word at `at`. */
  word(at: number): bigint {
    const limb = at >>> 3;
    const { limbs } = this.#machine;
    return (
      ((limbs[limb + 3] as bigint) << 192n) |
      ((limbs[limb + 2] as bigint) << 128n) |
      ((limbs[limb + 1] as bigint) << 64n) |
      (limbs[limb] as bigint)
    );
  }
  /** The lowest 53 bits of a word, for offsets and sizes. */
  wordNumber(at: number): number {
    return Number(this.#machine.limbs[at >>> 3]);
  }
  /** Hex of the word at `at` without leading zeros, as geth prints stack words. */
  shortHex(at: number): string {
    const limb = at >>> 3;
    const { limbs } = this.#machine;
    const low = limbs[limb] as bigint;
    // Most words are small numbers.
    if (limbs[limb + 1] === 0n && limbs[limb + 2] === 0n && limbs[limb + 3] === 0n) return `0x${low.toString(16)}`;
    return `0x${this.word(at).toString(16)}`;
  }
  /** Return data as it stands. */
  returnData(): Uint8Array {
    return this.#machine.returnData();
  }
}
