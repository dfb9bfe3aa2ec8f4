/**
 * Owns how tracers speak of instructions that could not be paid or do not exist: geth's words for a halt, and what the
 * failing instruction would have cost as far as stack and memory say it (whether an account or slot was warm they do not).
 */
import { HALT_REASONS } from "../result.ts";
import { opcodeOf } from "./opcodes.ts";

/** The VM's numbers (vm/src/ops.ts, Halt). */
export const HALT_REVERT = 1;
export const HALT_OUT_OF_GAS = 2;
export const HALT_INVALID_OPCODE = 3;
export const HALT_UNDERFLOW = 4;
export const HALT_OVERFLOW = 5;

/** `op` is the last instruction of the frame, before which the stack held `stackSize` words. */
export function haltText(reason: number, op: number, stackSize: number): string {
  if (reason === HALT_INVALID_OPCODE) return `invalid opcode: ${opcodeOf(op).name}`;
  if (reason === HALT_UNDERFLOW) return `stack underflow (${stackSize} <=> ${opcodeOf(op).taken})`;
  return HALT_REASONS[reason] ?? "failed";
}

/** These stop an instruction before it runs; the rest happen in it, and a log of the step shows nothing of them yet. */
export function stopsBefore(reason: number): boolean {
  return reason === HALT_OUT_OF_GAS || reason === HALT_UNDERFLOW || reason === HALT_OVERFLOW;
}

/** Cold or warm, new or not: what these cost hangs on state. */
const PRICED_BY_STATE = new Set([0x31, 0x3b, 0x3c, 0x3f, 0x54, 0x55, 0xf1, 0xf2, 0xf4, 0xfa, 0xff]);

/** Operands that name a piece of memory: positions on the stack of offset and length (or a constant length). */
const MEMORY: Readonly<Record<number, readonly (readonly [offset: number, length: number | "word" | "byte"])[]>> = {
  0x20: [[0, 1]],
  0x37: [[0, 2]],
  0x39: [[0, 2]],
  0x3e: [[0, 2]],
  0x51: [[0, "word"]],
  0x52: [[0, "word"]],
  0x53: [[0, "byte"]],
  0x5e: [
    [0, 2],
    [1, 2],
  ],
  0xa0: [[0, 1]],
  0xa1: [[0, 1]],
  0xa2: [[0, 1]],
  0xa3: [[0, 1]],
  0xa4: [[0, 1]],
  0xf0: [[1, 2]],
  0xf3: [[0, 1]],
  0xf5: [[1, 2]],
  0xfd: [[0, 1]],
};
/** Gas per word of data besides memory, and where its length stands. */
const PER_WORD: Readonly<Record<number, readonly [gas: bigint, length: number]>> = {
  0x20: [6n, 1],
  0x37: [3n, 2],
  0x39: [3n, 2],
  0x3e: [3n, 2],
  0x5e: [3n, 2],
  0xf0: [2n, 2],
  0xf5: [8n, 2],
};

const words = (bytes: bigint): bigint => (bytes + 31n) / 32n;
const memoryGas = (size: bigint): bigint => 3n * size + (size * size) / 512n;

/**
 * What an instruction that ran out of gas asked for; `gasLeft` when that hangs on state, for then all that is known is
 * that it was more. `word(i)` reads the stack from the top.
 */
export function unpaidCost(op: number, gasLeft: number, memorySize: number, word: (i: number) => bigint): number {
  const { fixedGas } = opcodeOf(op);
  if (fixedGas > gasLeft) return fixedGas;
  if (PRICED_BY_STATE.has(op)) return gasLeft;
  let gas = BigInt(fixedGas);
  let end = 0n;
  for (const [offset, length] of MEMORY[op] ?? []) {
    const bytes = length === "word" ? 32n : length === "byte" ? 1n : word(length);
    if (bytes > 0n && word(offset) + bytes > end) end = word(offset) + bytes;
  }
  const now = words(BigInt(memorySize));
  if (words(end) > now) gas += memoryGas(words(end)) - memoryGas(now);
  const perWord = PER_WORD[op];
  if (perWord !== undefined) gas += perWord[0] * words(word(perWord[1]));
  if (op === 0x0a) gas += 10n + 50n * BigInt(Math.ceil(word(1).toString(16).length / 2)) * (word(1) === 0n ? 0n : 1n);
  if (op >= 0xa0 && op <= 0xa4) gas += 375n * BigInt(op - 0x9f) + 8n * word(1);
  // Beyond what a number holds no gas limit reaches; geth says overflow there.
  return gas > BigInt(gasLeft) && gas <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(gas) : gasLeft;
}
