/**
 * Owns code: a cache by hash, and the decoder that turns bytecode into instructions once. A basic block carries its
 * static gas and stack bounds in one head, so the instructions in it need no checks. Blocks end where gas left becomes
 * observable (GAS, calls, creates, SSTORE): charging a block in advance can then only turn one exceptional halt into
 * another, which have the same effect. Constants meet their consumers here (fused instructions), jumps to constants are
 * resolved here.
 */
import {
  A_CODE, A_CODE_GEN, A_CODE_HASH, C_DELEGATE, C_HASH, C_INS, C_JUMPS, C_LEN, C_MADE, C_RAW, C_SIZE, CODE, CODE_END, CODE_TABLE,
  CODE_TABLE_SIZE, E_FLAGS, E_FORK, EF_CLOCK, EF_TRACE, ENV, EXC_INS, RELOAD_INS, SCRATCH,
} from "./layout";
import { hostCode } from "./host";
import { Halt, Op } from "./ops";
import { POPS, PUSHES, SINCE, STATIC_GAS } from "./optable";
import { EMPTY_HASH } from "./empty-hash";
import { generation, HALT_RESOURCE, MISSING_KEY, stop, stopMissing } from "./state";
import { add, copy32, equal32, fits64, set64, shiftLeft, shiftRight, sub, zero32 } from "./u256";

let codeTop: usize = CODE;
let codeCount: u32 = 0;
/** Changes when the cache is emptied; account records hold it beside their code pointer. */
export let codeGeneration: u32 = 1;
let cachedFork: u32 = 0xffffffff;
let cachedKind: u32 = 0;

/** Empties the cache when the fork or the kind of code changed or it is half full. Only between transactions. */
export function tidyCodeCache(): void {
  const fork = load<u32>(ENV, E_FORK);
  const kind = load<u32>(ENV, E_FLAGS) & (EF_TRACE | EF_CLOCK);
  if (fork == cachedFork && kind == cachedKind && codeTop < CODE + (CODE_END - CODE) / 2 && codeCount < CODE_TABLE_SIZE / 4) return;
  cachedFork = fork;
  cachedKind = kind;
  codeTop = CODE;
  codeCount = 0;
  codeGeneration++;
  memory.fill(CODE_TABLE, 0, CODE_TABLE_SIZE << 2);
  store<u64>(EXC_INS, <u64>Op.RAISE);
  store<u64>(RELOAD_INS, <u64>Op.RELOAD);
}

/** The record of the code with this hash, or 0 when it is not in the cache. */
function lookup(hash: usize): usize {
  let i = load<u32>(hash) & (CODE_TABLE_SIZE - 1);
  while (true) {
    const c: usize = load<u32>(CODE_TABLE + (<usize>i << 2));
    if (c == 0 || equal32(c + C_HASH, hash)) return c;
    i = (i + 1) & (CODE_TABLE_SIZE - 1);
  }
}

function insert(c: usize): void {
  let i = load<u32>(c, C_HASH) & (CODE_TABLE_SIZE - 1);
  while (load<u32>(CODE_TABLE + (<usize>i << 2)) != 0) i = (i + 1) & (CODE_TABLE_SIZE - 1);
  store<u32>(CODE_TABLE + (<usize>i << 2), <u32>c);
  codeCount++;
}

/** Room for a record and `length` bytes of code, padded with 32 zero bytes; 0 after a halt. */
function reserve(length: usize): usize {
  const c = codeTop;
  const end = c + C_SIZE + ((length + 32 + 7) & ~7);
  if (end > CODE_END || codeCount >= CODE_TABLE_SIZE / 2) {
    stop(HALT_RESOURCE);
    return 0;
  }
  codeTop = end;
  memory.fill(c, 0, C_SIZE);
  store<u32>(c, <u32>(c + C_SIZE), C_RAW);
  store<u32>(c, <u32>length, C_LEN);
  memory.fill(c + C_SIZE + length, 0, end - (c + C_SIZE + length));
  return c;
}

@inline function isDesignator(raw: usize, length: u32): bool {
  return length == 23 && (load<u32>(raw) & 0xffffff) == 0x0001ef;
}

/** Puts code the VM made (a deployment, a delegation) into the cache; returns its record or 0 after a halt. */
export function addCode(hash: usize, raw: usize, length: u32): usize {
  const known = lookup(hash);
  if (known != 0) {
    store<u32>(known, generation, C_MADE);
    return known;
  }
  const c = reserve(length);
  if (c == 0) return 0;
  copy32(c + C_HASH, hash);
  memory.copy(c + C_SIZE, raw, length);
  store<u32>(c, isDesignator(raw, length) ? 1 : 0, C_DELEGATE);
  store<u32>(c, generation, C_MADE);
  insert(c);
  return c;
}

/** Code record of an account that is in use; loads from the host. 0 after a halt. */
@inline export function codeOf(a: usize): usize {
  return load<u32>(a, A_CODE_GEN) == codeGeneration ? <usize>load<u32>(a, A_CODE) : codeOfSlow(a);
}
function codeOfSlow(a: usize): usize {
  const hash = a + A_CODE_HASH;
  let c = lookup(hash);
  if (c == 0) {
    if (equal32(hash, EMPTY_HASH)) {
      c = reserve(0);
      if (c == 0) return 0;
    } else {
      const room = CODE_END - codeTop;
      if (room < C_SIZE + 64) {
        stop(HALT_RESOURCE);
        return 0;
      }
      const length = hostCode(hash, codeTop + C_SIZE, room - C_SIZE - 64);
      if (length == -1) {
        memory.fill(MISSING_KEY, 0, 20);
        memory.copy(MISSING_KEY + 20, hash, 32);
        stopMissing(3);
        return 0;
      }
      if (length < 0) {
        stop(HALT_RESOURCE);
        return 0;
      }
      c = reserve(<usize>length);
      if (c == 0) return 0;
      store<u32>(c, isDesignator(c + C_SIZE, length) ? 1 : 0, C_DELEGATE);
    }
    copy32(c + C_HASH, hash);
    insert(c);
  }
  store<u32>(a, <u32>c, A_CODE);
  store<u32>(a, codeGeneration, A_CODE_GEN);
  return c;
}

/** Decodes the code of a record once. False after a halt. */
@inline export function ensureDecoded(c: usize): bool {
  return load<u32>(c, C_INS) != 0 ? true : decodeRecord(c);
}
function decodeRecord(c: usize): bool {
  const length: usize = load<u32>(c, C_LEN);
  const jumps = codeTop;
  const end = decode(load<u32>(c, C_RAW), <u32>length, jumps, CODE_END);
  if (end == 0) return false;
  codeTop = (end + 7) & ~7;
  store<u32>(c, <u32>jumps, C_JUMPS);
  store<u32>(c, <u32>decodedStart(jumps, length), C_INS);
  return true;
}

/** Where the instructions start when `decode` put the jump map at `jumps`. */
@inline export function decodedStart(jumps: usize, length: usize): usize {
  return (jumps + (length << 2) + 7) & ~7;
}

// State of one decode.
/** Clocked code has a tick at least every so many bytes. */
@inline const CLOCK_BYTES: u32 = 256;
/** Whether neighbours are fused: not in traced code. */
let pairing: bool = false;
let out: usize = 0;
let blockAt: usize = 0;
let blockGas: u32 = 0;
let height: i32 = 0;
let need: i32 = 0;
let peak: i32 = 0;
/** The last instructions of the block, newest first; 0 at a block head. Fusing never looks beyond it. */
let last: usize = 0;
let last2: usize = 0;
let last3: usize = 0;

@inline function emit(op: u32, a: u32, b: u32): void {
  store<u64>(out, <u64>op | (<u64>a << 16) | (<u64>b << 32));
  last3 = last2;
  last2 = last;
  last = out;
  out += 8;
}

function openBlock(): void {
  blockAt = out;
  blockGas = 0;
  height = 0;
  need = 0;
  peak = 0;
  last = 0;
  last2 = 0;
  last3 = 0;
  out += 8;
}

function closeBlock(): void {
  if (pairing) pairUp();
  let bytes = need << 5;
  let room = ((1024 - peak) << 5) - bytes;
  if (need > 1024 || room < 0) {
    bytes = 0xffe0;
    room = 0;
  }
  store<u64>(blockAt, <u64>Op.BLOCK | (<u64>blockGas << 16) | (<u64>bytes << 32) | (<u64>room << 48));
}

@inline function count(op: u32): void {
  blockGas += load<u16>(STATIC_GAS + (<usize>op << 1));
  const pops = <i32>load<u8>(POPS + <usize>op);
  if (pops - height > need) need = pops - height;
  height += <i32>load<u8>(PUSHES + <usize>op) - pops;
  if (height > peak) peak = height;
}

@inline function opOf(at: usize): u32 {
  return at == 0 ? 0xffff : <u32>load<u16>(at);
}

/** Drops the newest instruction, whatever its size. */
@inline function dropLast(): void {
  out = last;
  last = last2;
  last2 = last3;
  last3 = 0;
}

/**
 * Decodes `length` bytes at `raw`: at `jumps` a u32 per byte (instruction address of a JUMPDEST), then instructions.
 * Returns the end, or 0 when `limit` would be passed (HALT_RESOURCE). Code beyond its end reads as STOP.
 */
export function decode(raw: usize, length: u32, jumps: usize, limit: usize): usize {
  // At most 16 bytes of instructions per code byte (32 when clocked, 40 when traced), 40 for a PUSH32 of 33 bytes, a
  // little at the end.
  const start = decodedStart(jumps, length);
  const traced = (load<u32>(ENV, E_FLAGS) & EF_TRACE) != 0;
  const clocked = !traced && (load<u32>(ENV, E_FLAGS) & EF_CLOCK) != 0;
  if (start + <usize>length * (traced ? 40 : clocked ? 32 : 16) + 128 > limit) {
    stop(HALT_RESOURCE);
    return 0;
  }
  memory.fill(jumps, 0, <usize>length << 2);
  const fork = load<u32>(ENV, E_FORK);
  out = start;
  pairing = !traced;
  openBlock();
  let pc: u32 = 0, clockAt: u32 = CLOCK_BYTES;
  while (pc < length) {
    const op = <u32>load<u8>(raw + pc);
    if ((traced || op == Op.JUMPDEST) && (out != blockAt + 8 || blockGas != 0)) {
      closeBlock();
      openBlock();
    }
    if (op == Op.JUMPDEST) store<u32>(jumps + (<usize>pc << 2), <u32>blockAt);
    if (traced) {
      // One instruction a block, so that gas and the reason of a halt are exact at each. The hook has a block of its
      // own in front, because it sees the gas before the instruction is charged.
      emit(Op.TRACE, op, pc);
      closeBlock();
      openBlock();
    }
    if (clocked && pc >= clockAt) {
      emit(Op.CLOCK, CLOCK_BYTES / 32, 0);
      clockAt = pc + CLOCK_BYTES;
    }
    if (<u32>load<u8>(SINCE + <usize>op) > fork) {
      emit(Op.RAISE, 0, Halt.INVALID_OPCODE);
      closeBlock();
      pc = skipDead(raw, pc + 1, length);
      openBlock();
      continue;
    }
    count(op);
    if (op == Op.JUMPDEST) {
      pc++;
      if (clocked) emit(Op.CLOCK, 1, 0);
      if (traced) {
        closeBlock();
        openBlock();
      }
      continue;
    }
    if (op >= 0x60 && op <= 0x7f) {
      const n = op - 0x5f;
      emitPush(raw, pc + 1, n, length);
      pc += 1 + n;
      continue;
    }
    if (op >= 0x80 && op <= 0x8f) {
      emitDup((op - 0x80) << 5, traced);
      pc++;
      continue;
    }
    if (op >= 0x90 && op <= 0x9f) {
      if (op == 0x90) emit(Op.SWAP1, 32, 0);
      else emit(Op.SWAP, (op - 0x8f) << 5, 0);
      pc++;
      continue;
    }
    if (op >= 0xa0 && op <= 0xa4) {
      emit(Op.LOG, op - 0xa0, 0);
      pc++;
      continue;
    }
    pc++;
    switch (op) {
      case Op.PUSH0:
        emitConstant(0);
        break;
      case Op.PC:
        emitConstant(pc - 1);
        break;
      case Op.CODESIZE:
        emitConstant(length);
        break;
      case Op.JUMP:
        if (!traced && opOf(last) == Op.PUSHI) {
          const target = load<u32>(last, 4);
          dropLast();
          emit(Op.JUMP_TO, 0, target);
        } else emit(Op.JUMP, 0, 0);
        closeBlock();
        pc = skipDead(raw, pc, length);
        openBlock();
        break;
      case Op.JUMPI:
        if (!traced && opOf(last) == Op.PUSHI) {
          const target = load<u32>(last, 4);
          dropLast();
          emitBranch(target);
        } else emit(Op.JUMPI, 0, 0);
        closeBlock();
        openBlock();
        break;
      case Op.STOP:
      case Op.RETURN:
      case Op.REVERT:
      case Op.SELFDESTRUCT:
        emit(op, 0, 0);
        closeBlock();
        pc = skipDead(raw, pc, length);
        openBlock();
        break;
      case Op.GAS:
      case Op.SSTORE:
        emit(op, 0, 0);
        closeBlock();
        openBlock();
        break;
      case Op.CREATE:
      case Op.CREATE2:
      case Op.CALL:
      case Op.CALLCODE:
      case Op.DELEGATECALL:
      case Op.STATICCALL:
        // A frame or a precompile takes as long as dozens of plain instructions.
        if (clocked) emit(Op.CLOCK, 32, 0);
        emit(op, 0, 0);
        closeBlock();
        openBlock();
        break;
      default:
        if (traced) emit(op, 0, 0);
        else emitFused(op);
        if (blockGas > 50000) {
          closeBlock();
          openBlock();
        }
        break;
    }
  }
  if (traced) emit(Op.TRACE, 0, length);
  emit(Op.STOP, 0, 0);
  closeBlock();
  resolveJumps(start, jumps, length);
  return out;
}

/** The next JUMPDEST at or after `pc`, or `length`: what is between cannot be reached. */
function skipDead(raw: usize, pc: u32, length: u32): u32 {
  while (pc < length) {
    const op = <u32>load<u8>(raw + pc);
    if (op == Op.JUMPDEST) return pc;
    pc += op >= 0x60 && op <= 0x7f ? op - 0x5e : 1;
  }
  return length;
}

@inline function emitConstant(value: u32): void {
  emit(Op.PUSHI, 0, value);
}

function emitPush(raw: usize, at: u32, n: u32, length: u32): void {
  // Bytes beyond the end of the code read as zero.
  const have: u32 = at >= length ? 0 : length - at < n ? length - at : n;
  let i: u32 = 0;
  while (i < have && load<u8>(raw + at + i) == 0) i++;
  const significant: u32 = i == have ? 0 : n - i;
  if (significant <= 4) {
    let value: u32 = 0;
    for (let k: u32 = n > 4 ? n - 4 : 0; k < n; k++) value = (value << 8) | (k < have ? <u32>load<u8>(raw + at + k) : 0);
    emitConstant(value);
    return;
  }
  if (significant <= 8) {
    let value: u64 = 0;
    for (let k: u32 = n > 8 ? n - 8 : 0; k < n; k++) value = (value << 8) | (k < have ? <u64>load<u8>(raw + at + k) : 0);
    emit(Op.PUSH64, 0, 0);
    store<u64>(out, value);
    out += 8;
    return;
  }
  emit(Op.PUSH256, 0, 0);
  memory.fill(out, 0, 32);
  for (let k: u32 = 0; k < have; k++) store<u8>(out + (n - 1 - k), load<u8>(raw + at + k));
  out += 32;
}

@inline function emitDup(offset: u32, traced: bool): void {
  emit(Op.DUP, offset, 0);
}

/** JUMPI to a constant: a comparison or ISZERO in front becomes part of it. */
function emitBranch(target: u32): void {
  let op = opOf(last);
  let inverted = false;
  if (op == Op.ISZERO) {
    dropLast();
    inverted = true;
    op = opOf(last);
    if (op == Op.ISZERO) {
      dropLast();
      inverted = false;
      op = opOf(last);
    }
  }
  switch (op) {
    case Op.LT:
    case Op.GT:
    case Op.SLT:
    case Op.SGT:
    case Op.EQ: {
      // The five follow each other in both families.
      const at: u32 = op == Op.LT ? 0 : op == Op.GT ? 1 : op == Op.SLT ? 2 : op == Op.SGT ? 3 : 4;
      dropLast();
      emit((inverted ? <u32>Op.LT_JUMPZ : <u32>Op.LT_JUMPI) + at, 0, target);
      return;
    }
    case Op.EQI: {
      if (!inverted && opOf(last2) == Op.DUP && load<u16>(last2, 2) == 0) {
        const value = <u64>load<u32>(last, 4);
        dropLast();
        dropLast();
        emit(Op.SELECT, 0, target);
        store<u64>(out, value);
        out += 8;
        return;
      }
      break;
    }
  }
  emit(inverted ? Op.JUMPZ_TO : Op.JUMPI_TO, 0, target);
}

@inline const FOLD: usize = SCRATCH + 0x3000; // three words

@inline function isConstant(op: u32): bool {
  return op == Op.PUSHI || op == Op.PUSH64 || op == Op.PUSH256;
}

function constantAt(at: usize, to: usize): void {
  const op = opOf(at);
  if (op == Op.PUSH256) copy32(to, at + 8);
  else set64(to, op == Op.PUSHI ? <u64>load<u32>(at, 4) : load<u64>(at, 8));
}

/** Pushes the word at `value` in the smallest form. */
function emitWord(value: usize): void {
  if (fits64(value)) {
    const low = load<u64>(value);
    if (low >> 32 == 0) emit(Op.PUSHI, 0, <u32>low);
    else {
      emit(Op.PUSH64, 0, 0);
      store<u64>(out, low);
      out += 8;
    }
    return;
  }
  emit(Op.PUSH256, 0, 0);
  copy32(out, value);
  out += 32;
}

/** Computes an operation on constants now; false when it is not one of those. */
function fold(op: u32): bool {
  if (op == Op.NOT) {
    constantAt(last, FOLD);
    store<u64>(FOLD, ~load<u64>(FOLD));
    store<u64>(FOLD, ~load<u64>(FOLD, 8), 8);
    store<u64>(FOLD, ~load<u64>(FOLD, 16), 16);
    store<u64>(FOLD, ~load<u64>(FOLD, 24), 24);
    dropLast();
    emitWord(FOLD);
    return true;
  }
  if (!isConstant(opOf(last2))) return false;
  const a = FOLD, b = FOLD + 32;
  switch (op) {
    case Op.ADD:
    case Op.SUB:
    case Op.AND:
    case Op.OR:
    case Op.SHL:
    case Op.SHR:
      break;
    default:
      return false;
  }
  constantAt(last, a);
  constantAt(last2, b);
  dropLast();
  dropLast();
  if (op == Op.ADD) add(a, a, b);
  else if (op == Op.SUB) sub(a, a, b);
  else if (op == Op.AND || op == Op.OR) {
    for (let i: usize = 0; i < 32; i += 8) {
      const x = load<u64>(a + i), y = load<u64>(b + i);
      store<u64>(a + i, op == Op.AND ? x & y : x | y);
    }
  } else if (!fits64(a) || load<u64>(a) > 255) zero32(a);
  else if (op == Op.SHL) shiftLeft(a, b, load<u64>(a));
  else shiftRight(a, b, load<u64>(a));
  emitWord(a);
  return true;
}

/** The fused form of `op` behind a constant that fits b; 0 when there is none. */
function withConstant(op: u32): u32 {
  switch (op) {
    case Op.ADD:
      return Op.ADDI;
    case Op.SUB:
      return Op.SUBI;
    case Op.AND:
      return Op.ANDI;
    case Op.MUL:
      return Op.MULI;
    case Op.EQ:
      return Op.EQI;
    case Op.LT:
      return Op.LTI;
    case Op.GT:
      return Op.GTI;
    case Op.MLOAD:
      return Op.MLOADI;
    case Op.MSTORE:
      return Op.MSTOREI;
    case Op.CALLDATALOAD:
      return Op.CALLDATALOADI;
    default:
      return 0;
  }
}

/** The fused form of `op` behind a DUP; 0 when there is none. */
function withDuplicate(op: u32): u32 {
  switch (op) {
    case Op.ADD:
      return Op.DUP_ADD;
    case Op.SUB:
      return Op.DUP_SUB;
    case Op.MUL:
      return Op.DUP_MUL;
    case Op.AND:
      return Op.DUP_AND;
    case Op.LT:
      return Op.DUP_LT;
    case Op.GT:
      return Op.DUP_GT;
    case Op.EQ:
      return Op.DUP_EQ;
    case Op.XOR:
      return Op.DUP_XOR;
    case Op.OR:
      return Op.DUP_OR;
    case Op.MLOAD:
      return Op.DUP_MLOAD;
    case Op.MSTORE:
      return Op.DUP_MSTORE;
    case Op.DIV:
      return Op.DUP_DIV;
    case Op.SHR:
      return Op.DUP_SHR;
    case Op.SHL:
      return Op.DUP_SHL;
    case Op.ISZERO:
      return Op.DUP_ISZERO;
    case Op.SLT:
      return Op.DUP_SLT;
    default:
      return 0;
  }
}

@inline function commutes(op: u32): bool {
  return op == Op.ADD || op == Op.MUL || op == Op.AND || op == Op.OR || op == Op.XOR || op == Op.EQ;
}

/** Emits an instruction that only works on the stack or memory, joined with what produced its first operand. */
function emitFused(op: u32): void {
  let before = opOf(last);
  // SWAP1 in front of an operation of two operands exchanges them.
  if (before == Op.SWAP1) {
    if (commutes(op)) {
      dropLast();
      before = opOf(last);
    } else if (op == Op.LT || op == Op.GT || op == Op.SLT || op == Op.SGT) {
      dropLast();
      op = op == Op.LT ? Op.GT : op == Op.GT ? Op.LT : op == Op.SLT ? Op.SGT : Op.SLT;
      before = opOf(last);
    } else if (op == Op.SUB || op == Op.DIV) {
      dropLast();
      // A small constant that was pushed just before becomes the second operand.
      if (opOf(last) == Op.PUSHI && (op == Op.SUB || load<u32>(last, 4) != 0)) {
        const value = load<u32>(last, 4);
        dropLast();
        emit(op == Op.SUB ? Op.SUBTRACTI : Op.DIVIDEI, 0, value);
      } else emit(op == Op.SUB ? Op.SWAP_SUB : Op.SWAP_DIV, 0, 0);
      return;
    }
  }
  if (isConstant(before)) {
    if (fold(op)) return;
    if (before == Op.PUSHI) {
      const value = load<u32>(last, 4);
      if (op == Op.SHL || op == Op.SHR) {
        if (value < 256) {
          dropLast();
          emit(op == Op.SHL ? Op.SHLI : Op.SHRI, value, 0);
          return;
        }
      } else {
        const fused = withConstant(op);
        // Memory operands stay below what a frame can hold without the slow path seeing 64 bits.
        if (fused != 0 && ((op != Op.MLOAD && op != Op.MSTORE && op != Op.CALLDATALOAD) || value < 0x7fffffff)) {
          dropLast();
          emit(fused, 0, value);
          return;
        }
      }
    } else if (before == Op.PUSH256 && op == Op.AND) {
      if (load<u64>(last, 8) == u64.MAX_VALUE && load<u64>(last, 16) == u64.MAX_VALUE && load<u64>(last, 24) == 0xffffffff && load<u64>(last, 32) == 0) {
        dropLast();
        emit(Op.AND160, 0, 0);
      } else store<u16>(last, Op.AND256);
      return;
    } else if (before == Op.PUSH256 && op == Op.ADD) {
      store<u16>(last, Op.ADD256);
      return;
    }
  } else if (before == Op.DUP) {
    const fused = withDuplicate(op);
    if (fused != 0) {
      store<u16>(last, <u16>fused);
      return;
    }
  }
  emit(op, 0, 0);
}

/** Joins neighbours that only move words: two become one where a pair is known. Works in place on the open block. */
function pairUp(): void {
  const end = out;
  let from = blockAt + 8;
  let to = from;
  while (from < end) {
    const op = <u32>load<u16>(from);
    const size = sizeOf(op);
    const after = from + size;
    if (after < end) {
      const next = <u32>load<u16>(after);
      let joined: u64 = 0;
      if (op == Op.DUP) {
        const a = <u64>load<u16>(from, 2);
        if (next == Op.DUP) {
          // As seen before the first: the second's offset less one word; the fresh copy itself is the first's word.
          const b = <u64>load<u16>(after, 2);
          joined = <u64>Op.DUP_DUP | (a << 16) | ((b == 0 ? a : b - 32) << 32);
        } else if (next == Op.PUSHI) joined = <u64>Op.DUP_PUSH | (a << 16) | (<u64>load<u32>(after, 4) << 32);
      } else if (op == Op.PUSHI) {
        if (next == Op.PUSHI && load<u32>(after, 4) < 0x10000)
          joined = <u64>Op.PUSH_PUSH | (<u64>load<u32>(after, 4) << 16) | (<u64>load<u32>(from, 4) << 32);
        else if (next == Op.DUP && load<u16>(after, 2) != 0)
          joined = <u64>Op.PUSH_DUP | ((<u64>load<u16>(after, 2) - 32) << 16) | (<u64>load<u32>(from, 4) << 32);
      } else if (op == Op.POP) {
        if (next == Op.POP) {
          const third = after + 8;
          if (third < end && <u32>load<u16>(third) == Op.POP) {
            store<u64>(to, <u64>Op.POP3);
            to += 8;
            from = third + 8;
            continue;
          }
          joined = <u64>Op.POP2;
        } else if (next == Op.JUMP) joined = <u64>Op.POP_JUMP;
      } else if (op == Op.SWAP) {
        if (next == Op.POP) joined = <u64>Op.SWAP_POP | (<u64>load<u16>(from, 2) << 16);
        else if (next == Op.SWAP || next == Op.SWAP1)
          joined = <u64>Op.SWAP_SWAP | (<u64>load<u16>(from, 2) << 16) | (<u64>load<u16>(after, 2) << 32);
      } else if (op == Op.SWAP1) {
        if (next == Op.POP) joined = <u64>Op.SWAP1_POP;
        else if (next == Op.JUMP) joined = <u64>Op.SWAP_JUMP;
        else if (next == Op.SWAP)
          joined = <u64>Op.SWAP_SWAP | (<u64>32 << 16) | (<u64>load<u16>(after, 2) << 32);
      }
      if (joined != 0) {
        store<u64>(to, joined);
        to += 8;
        from = after + 8;
        continue;
      }
    }
    if (to != from) memory.copy(to, from, size);
    to += size;
    from = after;
  }
  out = to;
}

/** Size in bytes of an instruction with its immediates. */
@inline function sizeOf(op: u32): usize {
  if (op == Op.PUSH256 || op == Op.AND256 || op == Op.ADD256) return 40;
  return op == Op.PUSH64 || op == Op.SELECT ? 16 : 8;
}

@inline function takesTarget(op: u32): bool {
  return (<i32>op >= Op.JUMP_TO && <i32>op <= Op.EQ_JUMPZ) || op == Op.SELECT;
}

/** Turns code positions of constant jumps into instruction addresses; 0 marks a jump that must fail. */
function resolveJumps(start: usize, jumps: usize, length: u32): void {
  let at = start;
  while (at < out) {
    const op = <u32>load<u16>(at);
    if (takesTarget(op)) {
      const target = load<u32>(at, 4);
      store<u32>(at, target < length ? load<u32>(jumps + (<usize>target << 2)) : 0, 4);
    }
    at += sizeOf(op);
  }
}
