/**
 * Owns the dispatch loop. Instruction pointer, stack pointer, gas and the memory bounds live in locals; they are saved
 * to the frame record only where another frame may start or end. Stack words grow downwards: the top is at sp, the next
 * at sp + 32. Gas and stack bounds are checked once per basic block (code.ts), so plain instructions check nothing.
 */
import {
  A_BALANCE, A_CODE_HASH, A_FLAGS, A_L0, A_L1, A_L2, A_NONCE, C_INS, C_LEN, C_RAW, E_BASE_FEE, E_BLOB_BASE_FEE, E_CHAIN_ID,
  E_COINBASE, E_GAS_LIMIT, E_NUMBER, E_RANDAO, E_TICKS, E_TIMESTAMP, ENV, EXC_INS, RELOAD_INS, F_CALLER, F_GAS, F_INPUT, F_INPUT_LEN, F_IP, F_JUMPS, F_MEM,
  F_MEM_SIZE, F_RAW, F_RAW_LEN, F_SELF, F_SP, F_STACK, F_STATIC, F_VALUE, HOST_WORD, OUT_END, RETBUF, S_LOADED, S_ORIGINAL,
  S_VALUE, SCRATCH, T_BLOB_COUNT, T_BLOBS, T_ORIGIN, T_PRICE, TF_READ_BALANCE, TF_READ_CODE, TF_READ_EMPTY, TX,
} from "./layout";
import { codeOf } from "./code";
import {
  clearReturn, depth, endFrame, frame, grow, haltReason, logCount, logEnd, opCall, opCreate, opSelfDestruct, rangeEnd, returnSize,
  setHaltReason, setLogs, setPaused,
} from "./frame";
import { hostBlockHash, hostTrace, MISSING, PRESENT } from "./host";
import { keccakPairWord, keccakWord } from "./keccak";
import { Halt, Op } from "./ops";
import {
  findAccount, findSlot, halt, HALT_RESOURCE, hasCode, isEmpty, loadTransient, mark, MISSING_KEY, refund, setRefund, setSlot, stop,
  stopMissing, storeTransient, useAccount, useSlot, warmAccount, warmSlot,
} from "./state";
import {
  add, addmod, bitLength, copy32, div, equal32, exp, fits64, fromBytes, fromShortBytes, isZero, less, mod, mul, mulBy64, mulmod, sar, sdiv, set64,
  shiftLeft, shiftRight, signedLess, signExtend, smod, sub, toBytes, zero32,
} from "./u256";

/** Copies `length` bytes of a source of `size` bytes from `offset` (a word) to `to`, zeros beyond its end. */
function copyPadded(to: usize, source: usize, size: u32, offset: usize, length: usize): void {
  const o = fits64(offset) ? load<u64>(offset) : u64.MAX_VALUE;
  if (o >= <u64>size) {
    memory.fill(to, 0, length);
    return;
  }
  const have = <usize>(<u64>size - o);
  if (have >= length) {
    memory.copy(to, source + <usize>o, length);
    return;
  }
  memory.copy(to, source + <usize>o, have);
  memory.fill(to + have, 0, length - have);
}

/** Gas left after a copy instruction: memory at (offset, length), 3 per word; -1 when out of gas. */
function copyGas(f: usize, offset: usize, length: usize, gas: i64): i64 {
  gas = grow(f, rangeEnd(offset, length), gas);
  if (gas < 0) return -1;
  if (isZero(length)) return gas;
  return gas - <i64>((load<u64>(length) + 31) >> 5) * 3;
}

/** SSTORE with the rules of EIP-2200, 2929 and 3529; returns the gas left or -1. */
function sstore(f: usize, sp: usize, gas: i64): i64 {
  if (load<u32>(f, F_STATIC)) {
    setHaltReason(Halt.STATIC_WRITE);
    return -1;
  }
  setHaltReason(Halt.OUT_OF_GAS);
  if (gas <= 2300) return -1;
  const self: usize = load<u32>(f, F_SELF);
  const s = findSlot(self, sp);
  if (s == 0) return -1;
  if (warmSlot(s)) {
    gas -= 2100;
    if (gas < 0) return -1;
  }
  if (!useSlot(self, s)) return -1;
  const value = sp + 32, current = s + S_VALUE, original = s + S_ORIGINAL;
  if (equal32(value, current)) return gas - 100;
  const emptied = isZero(value);
  if (equal32(current, original)) {
    if (isZero(original)) gas -= 20000;
    else {
      gas -= 2900;
      if (emptied) setRefund(refund + 4800);
    }
  } else {
    gas -= 100;
    let r = refund;
    if (!isZero(original)) {
      if (isZero(current)) r -= 4800;
      else if (emptied) r += 4800;
      if (equal32(value, original)) r += 2800;
    } else if (emptied) r += 19900;
    setRefund(r);
  }
  if (gas < 0) return -1;
  setSlot(s, value);
  return gas;
}

/** LOG0..LOG4; returns the gas left or -1. */
function log(f: usize, sp: usize, topics: u32, gas: i64): i64 {
  if (load<u32>(f, F_STATIC)) {
    setHaltReason(Halt.STATIC_WRITE);
    return -1;
  }
  setHaltReason(Halt.OUT_OF_GAS);
  gas = grow(f, rangeEnd(sp, sp + 32), gas);
  if (gas < 0) return -1;
  const length = load<u64>(sp, 32);
  gas -= <i64>length * 8;
  if (gas < 0) return -1;
  // size u32, topics u32, data length u32, address 20, topics, data; padded to 8
  const at = logEnd;
  const data = at + 32 + (<usize>topics << 5);
  const end = data + ((<usize>length + 7) & ~7);
  if (end > OUT_END) {
    stop(HALT_RESOURCE);
    return -1;
  }
  const self: usize = load<u32>(f, F_SELF);
  store<u32>(at, <u32>(end - at));
  store<u32>(at, topics, 4);
  store<u32>(at, <u32>length, 8);
  store<u32>(at, bswap<u32>(load<u32>(self, A_L2)), 12);
  store<u64>(at, bswap<u64>(load<u64>(self, A_L1)), 16);
  store<u64>(at, bswap<u64>(load<u64>(self, A_L0)), 24);
  for (let i: usize = 0; i < <usize>topics; i++) toBytes(at + 32 + (i << 5), sp + 64 + (i << 5));
  if (length != 0) memory.copy(data, <usize>load<u32>(f, F_MEM) + <usize>load<u64>(sp), <usize>length);
  setLogs(end, logCount + 1);
  return gas;
}

/** Account named by the word at `p`, warmed, in use; gas in `accountGas`, or 0. */
let accountGas: i64 = 0;
function accessAccount(p: usize, gas: i64): usize {
  setHaltReason(Halt.OUT_OF_GAS);
  const a = findAccount(load<u64>(p), load<u64>(p, 8), load<u32>(p, 16));
  if (a == 0) return 0;
  if (warmAccount(a)) gas -= 2500;
  accountGas = gas;
  if (gas < 0 || !useAccount(a)) return 0;
  return a;
}

/** BALANCE, EXTCODESIZE, EXTCODEHASH at sp; returns the gas left or -1. */
function queryAccount(op: u32, sp: usize, gas: i64): i64 {
  const a = accessAccount(sp, gas);
  if (a == 0) return -1;
  if (op == Op.BALANCE) {
    mark(a, TF_READ_BALANCE);
    copy32(sp, a + A_BALANCE);
  } else if (op == Op.EXTCODESIZE) {
    mark(a, TF_READ_CODE);
    const c = codeOf(a);
    if (c == 0) return -1;
    set64(sp, load<u32>(c, C_LEN));
  } else {
    mark(a, TF_READ_CODE);
    if (isEmpty(a)) zero32(sp);
    else fromBytes(sp, a + A_CODE_HASH);
  }
  return accountGas;
}

function extCodeCopy(f: usize, sp: usize, gas: i64): i64 {
  setHaltReason(Halt.OUT_OF_GAS);
  gas = copyGas(f, sp + 32, sp + 96, gas);
  if (gas < 0) return -1;
  const a = accessAccount(sp, gas);
  if (a == 0) return -1;
  mark(a, TF_READ_CODE);
  const c = codeOf(a);
  if (c == 0) return -1;
  if (!isZero(sp + 96))
    copyPadded(<usize>load<u32>(f, F_MEM) + <usize>load<u64>(sp, 32), load<u32>(c, C_RAW), load<u32>(c, C_LEN), sp + 64, <usize>load<u64>(sp, 96));
  return accountGas;
}

/** BLOCKHASH at sp; false after a halt. */
function blockHash(sp: usize): bool {
  const now = load<u64>(ENV, E_NUMBER);
  const n = load<u64>(sp);
  if (!fits64(sp) || n >= now || now - n > 256) {
    zero32(sp);
    return true;
  }
  const found = hostBlockHash(n, HOST_WORD);
  if (found == MISSING) {
    memory.fill(MISSING_KEY, 0, 52);
    store<u64>(MISSING_KEY, n, 20);
    stopMissing(4);
    return false;
  }
  if (found == PRESENT) fromBytes(sp, HOST_WORD);
  else zero32(sp);
  return true;
}

/** MCOPY; returns the gas left or -1. */
function mcopy(f: usize, sp: usize, gas: i64): i64 {
  const a = rangeEnd(sp, sp + 64), b = rangeEnd(sp + 32, sp + 64);
  gas = grow(f, a > b ? a : b, gas);
  if (gas < 0) return -1;
  const length = load<u64>(sp, 64);
  if (length == 0) return gas;
  gas -= <i64>((length + 31) >> 5) * 3;
  if (gas < 0) return -1;
  const mem: usize = load<u32>(f, F_MEM);
  memory.copy(mem + <usize>load<u64>(sp), mem + <usize>load<u64>(sp, 32), <usize>length);
  return gas;
}

/** RETURNDATACOPY; returns the gas left or -1. */
function returnDataCopy(f: usize, sp: usize, gas: i64): i64 {
  setHaltReason(Halt.RETURN_DATA_BOUNDS);
  // Out of bounds is an exception even for an empty range.
  if (!fits64(sp + 32) || !fits64(sp + 64)) return -1;
  const offset = load<u64>(sp, 32), length = load<u64>(sp, 64);
  if (offset > <u64>returnSize || length > <u64>returnSize - offset) return -1;
  setHaltReason(Halt.OUT_OF_GAS);
  gas = copyGas(f, sp, sp + 64, gas);
  if (gas < 0) return -1;
  if (length != 0) memory.copy(<usize>load<u32>(f, F_MEM) + <usize>load<u64>(sp), RETBUF + <usize>offset, <usize>length);
  return gas;
}

/** CALLDATALOAD beyond the last whole word. */
function callDataLoadTail(f: usize, sp: usize): void {
  const size = <u64>load<u32>(f, F_INPUT_LEN);
  const offset = load<u64>(sp);
  if (!fits64(sp) || offset >= size) {
    zero32(sp);
    return;
  }
  const n: usize = size - offset < 32 ? <usize>(size - offset) : 32;
  const word = HOST_WORD;
  zero32(word);
  memory.copy(word, <usize>load<u32>(f, F_INPUT) + <usize>offset, n);
  fromBytes(sp, word);
}

function blobHash(sp: usize): void {
  if (fits64(sp) && load<u64>(sp) < <u64>load<u32>(TX, T_BLOB_COUNT)) {
    // Each item of the list is 0xa0 and 32 bytes.
    fromBytes(sp, <usize>load<u32>(TX, T_BLOBS) + <usize>load<u64>(sp) * 33 + 1);
  } else zero32(sp);
}

function coinbaseWord(to: usize): void {
  store<u64>(to, bswap<u64>(load<u64>(ENV, E_COINBASE + 12)));
  store<u64>(to, bswap<u64>(load<u64>(ENV, E_COINBASE + 4)), 8);
  store<u64>(to, <u64>bswap<u32>(load<u32>(ENV, E_COINBASE)), 16);
  store<u64>(to, 0, 24);
}

/** Charges 50 gas per byte of the exponent. */
@inline function expGas(p: usize): i64 {
  return <i64>((bitLength(p) + 7) >> 3) * 50;
}

/** High 32 bits set, or any limb above: no memory reaches there. */
@inline function isFar(p: usize): bool {
  return (load<u64>(p, 8) | load<u64>(p, 16) | load<u64>(p, 24) | (load<u64>(p) >> 32)) != 0;
}

/** An immediate as a word. */
@inline const IMMEDIATE: usize = SCRATCH + 0x3100;

/** Adds one to the word above its lowest limb. */
function carryUp(p: usize): void {
  const x = load<u64>(p, 8) + 1;
  store<u64>(p, x, 8);
  if (x != 0) return;
  const y = load<u64>(p, 16) + 1;
  store<u64>(p, y, 16);
  if (y == 0) store<u64>(p, load<u64>(p, 24) + 1, 24);
}

/** Takes one from the word above its lowest limb. */
function borrowUp(p: usize): void {
  const x = load<u64>(p, 8);
  store<u64>(p, x - 1, 8);
  if (x != 0) return;
  const y = load<u64>(p, 16);
  store<u64>(p, y - 1, 16);
  if (y == 0) store<u64>(p, load<u64>(p, 24) - 1, 24);
}

@inline function exchange(p: usize, q: usize): void {
  const a0 = load<u64>(p), a1 = load<u64>(p, 8), a2 = load<u64>(p, 16), a3 = load<u64>(p, 24);
  const b0 = load<u64>(q), b1 = load<u64>(q, 8), b2 = load<u64>(q, 16), b3 = load<u64>(q, 24);
  store<u64>(p, b0);
  store<u64>(p, b1, 8);
  store<u64>(p, b2, 16);
  store<u64>(p, b3, 24);
  store<u64>(q, a0);
  store<u64>(q, a1, 8);
  store<u64>(q, a2, 16);
  store<u64>(q, a3, 24);
}

/** Runs the current frame and those it starts until the top frame has ended, `halt` is set or the run is `paused`. */
export function run(): void {
  let f: usize = frame;
  let ip: usize = load<u32>(f, F_IP);
  let sp: usize = load<u32>(f, F_SP);
  let gas: i64 = load<i64>(f, F_GAS);
  let mem: usize = load<u32>(f, F_MEM);
  let memSize: u64 = load<u32>(f, F_MEM_SIZE);
  let stack: usize = load<u32>(f, F_STACK);
  while (true) {
    switch (<u32>load<u16>(ip)) {
      case Op.STOP: {
        store<i64>(f, gas, F_GAS);
        if (endFrame(Halt.NONE, 0, 0)) return;
        ip = RELOAD_INS;
        continue;
      }
      case Op.ADD: {
        add(sp + 32, sp, sp + 32);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.MUL: {
        mul(sp + 32, sp, sp + 32);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.SUB: {
        sub(sp + 32, sp, sp + 32);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.DIV: {
        div(sp + 32, sp, sp + 32);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.SDIV: {
        sdiv(sp + 32, sp, sp + 32);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.MOD: {
        mod(sp + 32, sp, sp + 32);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.SMOD: {
        smod(sp + 32, sp, sp + 32);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.ADDMOD: {
        addmod(sp + 64, sp, sp + 32, sp + 64);
        sp += 64;
        ip += 8;
        continue;
      }
      case Op.MULMOD: {
        mulmod(sp + 64, sp, sp + 32, sp + 64);
        sp += 64;
        ip += 8;
        continue;
      }
      case Op.EXP: {
        gas -= expGas(sp + 32);
        if (gas < 0) {
          setHaltReason(Halt.OUT_OF_GAS);
          ip = EXC_INS;
          continue;
        }
        exp(sp, sp, sp + 32);
        copy32(sp + 32, sp);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.SIGNEXTEND: {
        signExtend(sp + 32, sp, sp + 32);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.BLOCK: {
        gas -= <i64>load<u16>(ip, 2);
        const need = <u32>load<u16>(ip, 4);
        if (gas < 0 || <u32>(stack - sp) - need > <u32>load<u16>(ip, 6)) {
          setHaltReason(gas < 0 ? Halt.OUT_OF_GAS : <u32>(stack - sp) < need ? Halt.STACK_UNDERFLOW : Halt.STACK_OVERFLOW);
          ip = EXC_INS;
          continue;
        }
        ip += 8;
        continue;
      }
      case Op.PUSHI: {
        sp -= 32;
        set64(sp, load<u32>(ip, 4));
        ip += 8;
        continue;
      }
      case Op.PUSH64: {
        sp -= 32;
        set64(sp, load<u64>(ip, 8));
        ip += 16;
        continue;
      }
      case Op.PUSH256: {
        sp -= 32;
        copy32(sp, ip + 8);
        ip += 40;
        continue;
      }
      case Op.LT: {
        set64(sp + 32, u64(less(sp, sp + 32)));
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.GT: {
        set64(sp + 32, u64(less(sp + 32, sp)));
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.SLT: {
        set64(sp + 32, u64(signedLess(sp, sp + 32)));
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.SGT: {
        set64(sp + 32, u64(signedLess(sp + 32, sp)));
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.EQ: {
        set64(sp + 32, u64(equal32(sp, sp + 32)));
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.ISZERO: {
        set64(sp, u64(isZero(sp)));
        ip += 8;
        continue;
      }
      case Op.AND: {
        store<u64>(sp, load<u64>(sp) & load<u64>(sp, 32), 32);
        store<u64>(sp, load<u64>(sp, 8) & load<u64>(sp, 40), 40);
        store<u64>(sp, load<u64>(sp, 16) & load<u64>(sp, 48), 48);
        store<u64>(sp, load<u64>(sp, 24) & load<u64>(sp, 56), 56);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.OR: {
        store<u64>(sp, load<u64>(sp) | load<u64>(sp, 32), 32);
        store<u64>(sp, load<u64>(sp, 8) | load<u64>(sp, 40), 40);
        store<u64>(sp, load<u64>(sp, 16) | load<u64>(sp, 48), 48);
        store<u64>(sp, load<u64>(sp, 24) | load<u64>(sp, 56), 56);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.XOR: {
        store<u64>(sp, load<u64>(sp) ^ load<u64>(sp, 32), 32);
        store<u64>(sp, load<u64>(sp, 8) ^ load<u64>(sp, 40), 40);
        store<u64>(sp, load<u64>(sp, 16) ^ load<u64>(sp, 48), 48);
        store<u64>(sp, load<u64>(sp, 24) ^ load<u64>(sp, 56), 56);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.NOT: {
        store<u64>(sp, ~load<u64>(sp));
        store<u64>(sp, ~load<u64>(sp, 8), 8);
        store<u64>(sp, ~load<u64>(sp, 16), 16);
        store<u64>(sp, ~load<u64>(sp, 24), 24);
        ip += 8;
        continue;
      }
      case Op.BYTE: {
        const n = load<u64>(sp);
        const value: u64 = fits64(sp) && n < 32 ? <u64>load<u8>(sp + 32 + (31 - <usize>n)) : 0;
        sp += 32;
        set64(sp, value);
        ip += 8;
        continue;
      }
      case Op.SHL: {
        const n = load<u64>(sp);
        const in256 = fits64(sp) && n < 256;
        sp += 32;
        if (in256) shiftLeft(sp, sp, n);
        else zero32(sp);
        ip += 8;
        continue;
      }
      case Op.SHR: {
        const n = load<u64>(sp);
        const in256 = fits64(sp) && n < 256;
        sp += 32;
        if (in256) shiftRight(sp, sp, n);
        else zero32(sp);
        ip += 8;
        continue;
      }
      case Op.SAR: {
        sar(sp + 32, sp + 32, sp);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.CLZ: {
        set64(sp, 256 - <u64>bitLength(sp));
        ip += 8;
        continue;
      }
      case Op.RAISE: {
        if (halt != 0) return;
        const given = load<u32>(ip, 4);
        store<i64>(f, gas, F_GAS);
        if (endFrame(given != 0 ? given : <i32>haltReason > Halt.REVERT ? haltReason : <u32>Halt.OUT_OF_GAS, 0, 0)) return;
        ip = RELOAD_INS;
        continue;
      }
      case Op.KECCAK256: {
        setHaltReason(Halt.OUT_OF_GAS);
        const end = rangeEnd(sp, sp + 32);
        if (end > memSize) {
          gas = grow(f, end, gas);
          if (gas < 0) {
            ip = EXC_INS;
            continue;
          }
          memSize = load<u32>(f, F_MEM_SIZE);
        }
        const length = load<u64>(sp, 32);
        gas -= <i64>((length + 31) >> 5) * 6;
        if (gas < 0) {
          ip = EXC_INS;
          continue;
        }
        if (length == 64) keccakPairWord(sp + 32, mem + <usize>load<u64>(sp));
        else keccakWord(sp + 32, length == 0 ? mem : mem + <usize>load<u64>(sp), <usize>length);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.JUMP_TO: {
        ip = load<u32>(ip, 4);
        break;
      }
      case Op.JUMPI_TO: {
        const taken = !isZero(sp);
        sp += 32;
        ip = taken ? <usize>load<u32>(ip, 4) : ip + 8;
        break;
      }
      case Op.JUMPZ_TO: {
        const taken = isZero(sp);
        sp += 32;
        ip = taken ? <usize>load<u32>(ip, 4) : ip + 8;
        break;
      }
      case Op.LT_JUMPI: {
        const taken = less(sp, sp + 32);
        sp += 64;
        ip = taken ? <usize>load<u32>(ip, 4) : ip + 8;
        break;
      }
      case Op.LT_JUMPZ: {
        const taken = less(sp, sp + 32);
        sp += 64;
        ip = taken ? ip + 8 : <usize>load<u32>(ip, 4);
        break;
      }
      case Op.GT_JUMPI: {
        const taken = less(sp + 32, sp);
        sp += 64;
        ip = taken ? <usize>load<u32>(ip, 4) : ip + 8;
        break;
      }
      case Op.GT_JUMPZ: {
        const taken = less(sp + 32, sp);
        sp += 64;
        ip = taken ? ip + 8 : <usize>load<u32>(ip, 4);
        break;
      }
      case Op.SLT_JUMPI: {
        const taken = signedLess(sp, sp + 32);
        sp += 64;
        ip = taken ? <usize>load<u32>(ip, 4) : ip + 8;
        break;
      }
      case Op.SLT_JUMPZ: {
        const taken = signedLess(sp, sp + 32);
        sp += 64;
        ip = taken ? ip + 8 : <usize>load<u32>(ip, 4);
        break;
      }
      case Op.SGT_JUMPI: {
        const taken = signedLess(sp + 32, sp);
        sp += 64;
        ip = taken ? <usize>load<u32>(ip, 4) : ip + 8;
        break;
      }
      case Op.SGT_JUMPZ: {
        const taken = signedLess(sp + 32, sp);
        sp += 64;
        ip = taken ? ip + 8 : <usize>load<u32>(ip, 4);
        break;
      }
      case Op.EQ_JUMPI: {
        const taken = equal32(sp, sp + 32);
        sp += 64;
        ip = taken ? <usize>load<u32>(ip, 4) : ip + 8;
        break;
      }
      case Op.EQ_JUMPZ: {
        const taken = equal32(sp, sp + 32);
        sp += 64;
        ip = taken ? ip + 8 : <usize>load<u32>(ip, 4);
        break;
      }
      case Op.SELECT: {
        ip = load<u64>(sp) == load<u64>(ip, 8) && fits64(sp) ? <usize>load<u32>(ip, 4) : ip + 16;
        break;
      }
      case Op.TRACE: {
        hostTrace(f, load<u32>(ip, 4), <u32>load<u16>(ip, 2), gas, sp, depth, <u32>memSize, refund);
        ip += 8;
        continue;
      }
      case Op.CLOCK: {
        const left = load<i32>(ENV, E_TICKS) - <i32>load<u16>(ip, 2);
        store<i32>(ENV, left, E_TICKS);
        ip += 8;
        if (left > 0) continue;
        store<u32>(f, <u32>ip, F_IP);
        store<u32>(f, <u32>sp, F_SP);
        store<i64>(f, gas, F_GAS);
        setPaused(true);
        return;
      }
      case Op.ADDRESS: {
        sp -= 32;
        const a: usize = load<u32>(f, F_SELF);
        store<u64>(sp, load<u64>(a, A_L0));
        store<u64>(sp, load<u64>(a, A_L1), 8);
        store<u64>(sp, <u64>load<u32>(a, A_L2), 16);
        store<u64>(sp, 0, 24);
        ip += 8;
        continue;
      }
      case Op.BALANCE: {
        gas = queryAccount(Op.BALANCE, sp, gas);
        ip = gas < 0 ? EXC_INS : ip + 8;
        continue;
      }
      case Op.ORIGIN: {
        sp -= 32;
        store<u64>(sp, load<u64>(TX, T_ORIGIN));
        store<u64>(sp, load<u64>(TX, T_ORIGIN + 8), 8);
        store<u64>(sp, load<u64>(TX, T_ORIGIN + 16), 16);
        store<u64>(sp, 0, 24);
        ip += 8;
        continue;
      }
      case Op.CALLER: {
        sp -= 32;
        copy32(sp, f + F_CALLER);
        ip += 8;
        continue;
      }
      case Op.CALLVALUE: {
        sp -= 32;
        copy32(sp, f + F_VALUE);
        ip += 8;
        continue;
      }
      case Op.CALLDATALOAD: {
        const o = load<u64>(sp);
        if (fits64(sp) && o < 0xffffff00 && <u32>o + 32 <= load<u32>(f, F_INPUT_LEN)) fromBytes(sp, <usize>load<u32>(f, F_INPUT) + <usize>o);
        else callDataLoadTail(f, sp);
        ip += 8;
        continue;
      }
      case Op.CALLDATASIZE: {
        sp -= 32;
        set64(sp, load<u32>(f, F_INPUT_LEN));
        ip += 8;
        continue;
      }
      case Op.CALLDATACOPY: {
        setHaltReason(Halt.OUT_OF_GAS);
        gas = copyGas(f, sp, sp + 64, gas);
        if (gas < 0) {
          ip = EXC_INS;
          continue;
        }
        memSize = load<u32>(f, F_MEM_SIZE);
        if (!isZero(sp + 64)) copyPadded(mem + <usize>load<u64>(sp), load<u32>(f, F_INPUT), load<u32>(f, F_INPUT_LEN), sp + 32, <usize>load<u64>(sp, 64));
        sp += 96;
        ip += 8;
        continue;
      }
      case Op.CODECOPY: {
        setHaltReason(Halt.OUT_OF_GAS);
        gas = copyGas(f, sp, sp + 64, gas);
        if (gas < 0) {
          ip = EXC_INS;
          continue;
        }
        memSize = load<u32>(f, F_MEM_SIZE);
        if (!isZero(sp + 64)) copyPadded(mem + <usize>load<u64>(sp), load<u32>(f, F_RAW), load<u32>(f, F_RAW_LEN), sp + 32, <usize>load<u64>(sp, 64));
        sp += 96;
        ip += 8;
        continue;
      }
      case Op.GASPRICE: {
        sp -= 32;
        copy32(sp, TX + T_PRICE);
        ip += 8;
        continue;
      }
      case Op.EXTCODESIZE: {
        gas = queryAccount(Op.EXTCODESIZE, sp, gas);
        ip = gas < 0 ? EXC_INS : ip + 8;
        continue;
      }
      case Op.EXTCODECOPY: {
        gas = extCodeCopy(f, sp, gas);
        if (gas < 0) {
          ip = EXC_INS;
          continue;
        }
        memSize = load<u32>(f, F_MEM_SIZE);
        sp += 128;
        ip += 8;
        continue;
      }
      case Op.RETURNDATASIZE: {
        sp -= 32;
        set64(sp, returnSize);
        ip += 8;
        continue;
      }
      case Op.RETURNDATACOPY: {
        gas = returnDataCopy(f, sp, gas);
        if (gas < 0) {
          ip = EXC_INS;
          continue;
        }
        memSize = load<u32>(f, F_MEM_SIZE);
        sp += 96;
        ip += 8;
        continue;
      }
      case Op.EXTCODEHASH: {
        gas = queryAccount(Op.EXTCODEHASH, sp, gas);
        ip = gas < 0 ? EXC_INS : ip + 8;
        continue;
      }
      case Op.BLOCKHASH: {
        ip = blockHash(sp) ? ip + 8 : EXC_INS;
        continue;
      }
      case Op.COINBASE: {
        sp -= 32;
        coinbaseWord(sp);
        ip += 8;
        continue;
      }
      case Op.TIMESTAMP: {
        sp -= 32;
        set64(sp, load<u64>(ENV, E_TIMESTAMP));
        ip += 8;
        continue;
      }
      case Op.NUMBER: {
        sp -= 32;
        set64(sp, load<u64>(ENV, E_NUMBER));
        ip += 8;
        continue;
      }
      case Op.PREVRANDAO: {
        sp -= 32;
        copy32(sp, ENV + E_RANDAO);
        ip += 8;
        continue;
      }
      case Op.GASLIMIT: {
        sp -= 32;
        set64(sp, load<u64>(ENV, E_GAS_LIMIT));
        ip += 8;
        continue;
      }
      case Op.CHAINID: {
        sp -= 32;
        set64(sp, load<u64>(ENV, E_CHAIN_ID));
        ip += 8;
        continue;
      }
      case Op.SELFBALANCE: {
        sp -= 32;
        const a: usize = load<u32>(f, F_SELF);
        mark(a, TF_READ_BALANCE);
        copy32(sp, a + A_BALANCE);
        ip += 8;
        continue;
      }
      case Op.BASEFEE: {
        sp -= 32;
        copy32(sp, ENV + E_BASE_FEE);
        ip += 8;
        continue;
      }
      case Op.BLOBHASH: {
        blobHash(sp);
        ip += 8;
        continue;
      }
      case Op.BLOBBASEFEE: {
        sp -= 32;
        copy32(sp, ENV + E_BLOB_BASE_FEE);
        ip += 8;
        continue;
      }
      case Op.POP: {
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.MLOAD: {
        const o = load<u64>(sp);
        if (isFar(sp) || o + 32 > memSize) {
          setHaltReason(Halt.OUT_OF_GAS);
          gas = isFar(sp) ? -1 : grow(f, o + 32, gas);
          if (gas < 0) {
            ip = EXC_INS;
            continue;
          }
          memSize = load<u32>(f, F_MEM_SIZE);
        }
        fromBytes(sp, mem + <usize>o);
        ip += 8;
        continue;
      }
      case Op.MSTORE: {
        const o = load<u64>(sp);
        if (isFar(sp) || o + 32 > memSize) {
          setHaltReason(Halt.OUT_OF_GAS);
          gas = isFar(sp) ? -1 : grow(f, o + 32, gas);
          if (gas < 0) {
            ip = EXC_INS;
            continue;
          }
          memSize = load<u32>(f, F_MEM_SIZE);
        }
        toBytes(mem + <usize>o, sp + 32);
        sp += 64;
        ip += 8;
        continue;
      }
      case Op.MSTORE8: {
        const o = load<u64>(sp);
        if (isFar(sp) || o + 1 > memSize) {
          setHaltReason(Halt.OUT_OF_GAS);
          gas = isFar(sp) ? -1 : grow(f, o + 1, gas);
          if (gas < 0) {
            ip = EXC_INS;
            continue;
          }
          memSize = load<u32>(f, F_MEM_SIZE);
        }
        store<u8>(mem + <usize>o, <u8>load<u64>(sp, 32));
        sp += 64;
        ip += 8;
        continue;
      }
      case Op.SLOAD: {
        const self: usize = load<u32>(f, F_SELF);
        const s = findSlot(self, sp);
        setHaltReason(Halt.OUT_OF_GAS);
        if (s != 0) {
          if (warmSlot(s)) gas -= 2000;
          if (gas >= 0 && useSlot(self, s)) {
            copy32(sp, s + S_VALUE);
            ip += 8;
            continue;
          }
        }
        ip = EXC_INS;
        continue;
      }
      case Op.SSTORE: {
        gas = sstore(f, sp, gas);
        sp += 64;
        ip = gas < 0 ? EXC_INS : ip + 8;
        continue;
      }
      case Op.JUMP: {
        const target = load<u64>(sp);
        ip =
          fits64(sp) && target < <u64>load<u32>(f, F_RAW_LEN)
            ? <usize>load<u32>(<usize>load<u32>(f, F_JUMPS) + (<usize>target << 2))
            : 0;
        sp += 32;
        break;
      }
      case Op.POP_JUMP: {
        const target = load<u64>(sp, 32);
        ip =
          fits64(sp + 32) && target < <u64>load<u32>(f, F_RAW_LEN)
            ? <usize>load<u32>(<usize>load<u32>(f, F_JUMPS) + (<usize>target << 2))
            : 0;
        sp += 64;
        break;
      }
      case Op.SWAP_JUMP: {
        const target = load<u64>(sp, 32);
        ip =
          fits64(sp + 32) && target < <u64>load<u32>(f, F_RAW_LEN)
            ? <usize>load<u32>(<usize>load<u32>(f, F_JUMPS) + (<usize>target << 2))
            : 0;
        copy32(sp + 32, sp);
        sp += 32;
        break;
      }
      case Op.JUMPI: {
        const target = load<u64>(sp);
        const known = fits64(sp) && target < <u64>load<u32>(f, F_RAW_LEN);
        const taken = !isZero(sp + 32);
        sp += 64;
        if (!taken) ip += 8;
        else ip = known ? <usize>load<u32>(<usize>load<u32>(f, F_JUMPS) + (<usize>target << 2)) : 0;
        break;
      }
      case Op.MSIZE: {
        sp -= 32;
        set64(sp, memSize);
        ip += 8;
        continue;
      }
      case Op.GAS: {
        sp -= 32;
        set64(sp, <u64>gas);
        ip += 8;
        continue;
      }
      case Op.TLOAD: {
        ip = loadTransient(sp, load<u32>(f, F_SELF), sp) ? ip + 8 : EXC_INS;
        continue;
      }
      case Op.TSTORE: {
        if (load<u32>(f, F_STATIC)) {
          setHaltReason(Halt.STATIC_WRITE);
          ip = EXC_INS;
          continue;
        }
        const ok = storeTransient(load<u32>(f, F_SELF), sp, sp + 32);
        sp += 64;
        ip = ok ? ip + 8 : EXC_INS;
        continue;
      }
      case Op.MCOPY: {
        setHaltReason(Halt.OUT_OF_GAS);
        gas = mcopy(f, sp, gas);
        if (gas < 0) {
          ip = EXC_INS;
          continue;
        }
        memSize = load<u32>(f, F_MEM_SIZE);
        sp += 96;
        ip += 8;
        continue;
      }
      case Op.ADDI: {
        const x = <u64>load<u32>(ip, 4);
        const s0 = load<u64>(sp) + x;
        store<u64>(sp, s0);
        if (s0 < x) carryUp(sp);
        ip += 8;
        continue;
      }
      case Op.SUBI: {
        const word = IMMEDIATE;
        set64(word, load<u32>(ip, 4));
        sub(sp, word, sp);
        ip += 8;
        continue;
      }
      case Op.SUBTRACTI: {
        const x = <u64>load<u32>(ip, 4);
        const s0 = load<u64>(sp);
        store<u64>(sp, s0 - x);
        if (s0 < x) borrowUp(sp);
        ip += 8;
        continue;
      }
      case Op.ANDI: {
        set64(sp, load<u64>(sp) & <u64>load<u32>(ip, 4));
        ip += 8;
        continue;
      }
      case Op.AND160: {
        store<u64>(sp, load<u64>(sp, 16) & 0xffffffff, 16);
        store<u64>(sp, 0, 24);
        ip += 8;
        continue;
      }
      case Op.AND256: {
        store<u64>(sp, load<u64>(sp) & load<u64>(ip, 8));
        store<u64>(sp, load<u64>(sp, 8) & load<u64>(ip, 16), 8);
        store<u64>(sp, load<u64>(sp, 16) & load<u64>(ip, 24), 16);
        store<u64>(sp, load<u64>(sp, 24) & load<u64>(ip, 32), 24);
        ip += 40;
        continue;
      }
      case Op.ADD256: {
        add(sp, sp, ip + 8);
        ip += 40;
        continue;
      }
      case Op.MULI: {
        mulBy64(sp, sp, load<u32>(ip, 4));
        ip += 8;
        continue;
      }
      case Op.SHLI: {
        shiftLeft(sp, sp, load<u16>(ip, 2));
        ip += 8;
        continue;
      }
      case Op.SHRI: {
        shiftRight(sp, sp, load<u16>(ip, 2));
        ip += 8;
        continue;
      }
      case Op.EQI: {
        set64(sp, u64(load<u64>(sp) == <u64>load<u32>(ip, 4) && fits64(sp)));
        ip += 8;
        continue;
      }
      case Op.LTI: {
        // The constant is the first operand: b < top.
        set64(sp, u64(!fits64(sp) || <u64>load<u32>(ip, 4) < load<u64>(sp)));
        ip += 8;
        continue;
      }
      case Op.GTI: {
        set64(sp, u64(fits64(sp) && <u64>load<u32>(ip, 4) > load<u64>(sp)));
        ip += 8;
        continue;
      }
      case Op.DIVIDEI: {
        const d = <u64>load<u32>(ip, 4);
        if (fits64(sp)) store<u64>(sp, load<u64>(sp) / d);
        else {
          const word = IMMEDIATE;
          set64(word, d);
          div(sp, sp, word);
        }
        ip += 8;
        continue;
      }
      case Op.MLOADI: {
        const o = <u64>load<u32>(ip, 4);
        if (o + 32 > memSize) {
          setHaltReason(Halt.OUT_OF_GAS);
          gas = grow(f, o + 32, gas);
          if (gas < 0) {
            ip = EXC_INS;
            continue;
          }
          memSize = load<u32>(f, F_MEM_SIZE);
        }
        sp -= 32;
        fromBytes(sp, mem + <usize>o);
        ip += 8;
        continue;
      }
      case Op.MSTOREI: {
        const o = <u64>load<u32>(ip, 4);
        if (o + 32 > memSize) {
          setHaltReason(Halt.OUT_OF_GAS);
          gas = grow(f, o + 32, gas);
          if (gas < 0) {
            ip = EXC_INS;
            continue;
          }
          memSize = load<u32>(f, F_MEM_SIZE);
        }
        toBytes(mem + <usize>o, sp);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.CALLDATALOADI: {
        const o = load<u32>(ip, 4);
        sp -= 32;
        if (o + 32 <= load<u32>(f, F_INPUT_LEN)) fromBytes(sp, <usize>load<u32>(f, F_INPUT) + <usize>o);
        else {
          set64(sp, o);
          callDataLoadTail(f, sp);
        }
        ip += 8;
        continue;
      }
      case Op.DUP_ADD: {
        const a = sp + <usize>load<u16>(ip, 2);
        add(sp, a, sp);
        ip += 8;
        continue;
      }
      case Op.DUP_SUB: {
        const a = sp + <usize>load<u16>(ip, 2);
        sub(sp, a, sp);
        ip += 8;
        continue;
      }
      case Op.DUP_MUL: {
        const a = sp + <usize>load<u16>(ip, 2);
        mul(sp, a, sp);
        ip += 8;
        continue;
      }
      case Op.DUP_DIV: {
        const a = sp + <usize>load<u16>(ip, 2);
        div(sp, a, sp);
        ip += 8;
        continue;
      }
      case Op.DUP_LT: {
        const a = sp + <usize>load<u16>(ip, 2);
        set64(sp, u64(less(a, sp)));
        ip += 8;
        continue;
      }
      case Op.DUP_GT: {
        const a = sp + <usize>load<u16>(ip, 2);
        set64(sp, u64(less(sp, a)));
        ip += 8;
        continue;
      }
      case Op.DUP_SLT: {
        const a = sp + <usize>load<u16>(ip, 2);
        set64(sp, u64(signedLess(a, sp)));
        ip += 8;
        continue;
      }
      case Op.DUP_EQ: {
        const a = sp + <usize>load<u16>(ip, 2);
        set64(sp, u64(equal32(a, sp)));
        ip += 8;
        continue;
      }
      case Op.DUP_AND: {
        const a = sp + <usize>load<u16>(ip, 2);
        store<u64>(sp, load<u64>(a) & load<u64>(sp));
        store<u64>(sp, load<u64>(a, 8) & load<u64>(sp, 8), 8);
        store<u64>(sp, load<u64>(a, 16) & load<u64>(sp, 16), 16);
        store<u64>(sp, load<u64>(a, 24) & load<u64>(sp, 24), 24);
        ip += 8;
        continue;
      }
      case Op.DUP_OR: {
        const a = sp + <usize>load<u16>(ip, 2);
        store<u64>(sp, load<u64>(a) | load<u64>(sp));
        store<u64>(sp, load<u64>(a, 8) | load<u64>(sp, 8), 8);
        store<u64>(sp, load<u64>(a, 16) | load<u64>(sp, 16), 16);
        store<u64>(sp, load<u64>(a, 24) | load<u64>(sp, 24), 24);
        ip += 8;
        continue;
      }
      case Op.DUP_XOR: {
        const a = sp + <usize>load<u16>(ip, 2);
        store<u64>(sp, load<u64>(a) ^ load<u64>(sp));
        store<u64>(sp, load<u64>(a, 8) ^ load<u64>(sp, 8), 8);
        store<u64>(sp, load<u64>(a, 16) ^ load<u64>(sp, 16), 16);
        store<u64>(sp, load<u64>(a, 24) ^ load<u64>(sp, 24), 24);
        ip += 8;
        continue;
      }
      case Op.DUP_SHR: {
        const a = sp + <usize>load<u16>(ip, 2);
        const n = load<u64>(a);
        if (fits64(a) && n < 256) shiftRight(sp, sp, n);
        else zero32(sp);
        ip += 8;
        continue;
      }
      case Op.DUP_SHL: {
        const a = sp + <usize>load<u16>(ip, 2);
        const n = load<u64>(a);
        if (fits64(a) && n < 256) shiftLeft(sp, sp, n);
        else zero32(sp);
        ip += 8;
        continue;
      }
      case Op.DUP_ISZERO: {
        const a = sp + <usize>load<u16>(ip, 2);
        const zero = u64(isZero(a));
        sp -= 32;
        set64(sp, zero);
        ip += 8;
        continue;
      }
      case Op.DUP_MLOAD: {
        const a = sp + <usize>load<u16>(ip, 2);
        const o = load<u64>(a);
        if (isFar(a) || o + 32 > memSize) {
          setHaltReason(Halt.OUT_OF_GAS);
          gas = isFar(a) ? -1 : grow(f, o + 32, gas);
          if (gas < 0) {
            ip = EXC_INS;
            continue;
          }
          memSize = load<u32>(f, F_MEM_SIZE);
        }
        sp -= 32;
        fromBytes(sp, mem + <usize>o);
        ip += 8;
        continue;
      }
      case Op.DUP_MSTORE: {
        const a = sp + <usize>load<u16>(ip, 2);
        const o = load<u64>(a);
        if (isFar(a) || o + 32 > memSize) {
          setHaltReason(Halt.OUT_OF_GAS);
          gas = isFar(a) ? -1 : grow(f, o + 32, gas);
          if (gas < 0) {
            ip = EXC_INS;
            continue;
          }
          memSize = load<u32>(f, F_MEM_SIZE);
        }
        toBytes(mem + <usize>o, sp);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.DUP_DUP: {
        const a = sp + <usize>load<u16>(ip, 2), b = sp + <usize>load<u32>(ip, 4);
        copy32(sp - 32, a);
        copy32(sp - 64, b);
        sp -= 64;
        ip += 8;
        continue;
      }
      case Op.PUSH_PUSH: {
        sp -= 64;
        set64(sp + 32, load<u32>(ip, 4));
        set64(sp, load<u16>(ip, 2));
        ip += 8;
        continue;
      }
      case Op.PUSH_DUP: {
        const a = sp + <usize>load<u16>(ip, 2);
        set64(sp - 32, load<u32>(ip, 4));
        copy32(sp - 64, a);
        sp -= 64;
        ip += 8;
        continue;
      }
      case Op.DUP_PUSH: {
        const a = sp + <usize>load<u16>(ip, 2);
        copy32(sp - 32, a);
        set64(sp - 64, load<u32>(ip, 4));
        sp -= 64;
        ip += 8;
        continue;
      }
      case Op.SWAP_POP: {
        copy32(sp + <usize>load<u16>(ip, 2), sp);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.SWAP1_POP: {
        copy32(sp + 32, sp);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.POP2: {
        sp += 64;
        ip += 8;
        continue;
      }
      case Op.POP3: {
        sp += 96;
        ip += 8;
        continue;
      }
      case Op.SWAP_SUB: {
        sub(sp + 32, sp + 32, sp);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.SWAP_DIV: {
        div(sp + 32, sp + 32, sp);
        sp += 32;
        ip += 8;
        continue;
      }
      case Op.SWAP_SWAP: {
        exchange(sp, sp + <usize>load<u16>(ip, 2));
        exchange(sp, sp + <usize>load<u32>(ip, 4));
        ip += 8;
        continue;
      }
      case Op.RELOAD: {
        // Another frame may be the running one.
        f = frame;
        ip = load<u32>(f, F_IP);
        sp = load<u32>(f, F_SP);
        gas = load<i64>(f, F_GAS);
        mem = load<u32>(f, F_MEM);
        memSize = load<u32>(f, F_MEM_SIZE);
        stack = load<u32>(f, F_STACK);
        continue;
      }
      case Op.DUP: {
        const from = sp + <usize>load<u16>(ip, 2);
        sp -= 32;
        copy32(sp, from);
        ip += 8;
        continue;
      }
      case Op.SWAP1: {
        const a0 = load<u64>(sp), a1 = load<u64>(sp, 8), a2 = load<u64>(sp, 16), a3 = load<u64>(sp, 24);
        const b0 = load<u64>(sp, 32), b1 = load<u64>(sp, 40), b2 = load<u64>(sp, 48), b3 = load<u64>(sp, 56);
        store<u64>(sp, b0);
        store<u64>(sp, b1, 8);
        store<u64>(sp, b2, 16);
        store<u64>(sp, b3, 24);
        store<u64>(sp, a0, 32);
        store<u64>(sp, a1, 40);
        store<u64>(sp, a2, 48);
        store<u64>(sp, a3, 56);
        ip += 8;
        continue;
      }
      case Op.SWAP: {
        const other = sp + <usize>load<u16>(ip, 2);
        const a0 = load<u64>(sp), a1 = load<u64>(sp, 8), a2 = load<u64>(sp, 16), a3 = load<u64>(sp, 24);
        const b0 = load<u64>(other), b1 = load<u64>(other, 8), b2 = load<u64>(other, 16), b3 = load<u64>(other, 24);
        store<u64>(sp, b0);
        store<u64>(sp, b1, 8);
        store<u64>(sp, b2, 16);
        store<u64>(sp, b3, 24);
        store<u64>(other, a0);
        store<u64>(other, a1, 8);
        store<u64>(other, a2, 16);
        store<u64>(other, a3, 24);
        ip += 8;
        continue;
      }
      case Op.LOG: {
        const topics = <u32>load<u16>(ip, 2);
        gas = log(f, sp, topics, gas);
        memSize = load<u32>(f, F_MEM_SIZE);
        sp += 64 + (<usize>topics << 5);
        ip = gas < 0 ? EXC_INS : ip + 8;
        continue;
      }
      case Op.CREATE:
      case Op.CREATE2:
      case Op.CALL:
      case Op.CALLCODE:
      case Op.DELEGATECALL:
      case Op.STATICCALL: {
        const op = <u32>load<u16>(ip);
        store<u32>(f, <u32>(ip + 8), F_IP);
        store<u32>(f, <u32>sp, F_SP);
        store<i64>(f, gas, F_GAS);
        const ok = op == Op.CREATE || op == Op.CREATE2 ? opCreate(op) : opCall(op);
        if (!ok) {
          ip = EXC_INS;
          continue;
        }
        ip = RELOAD_INS;
        continue;
      }
      case Op.RETURN:
      case Op.REVERT: {
        setHaltReason(Halt.OUT_OF_GAS);
        const reason = <u32>load<u16>(ip) == Op.REVERT ? Halt.REVERT : Halt.NONE;
        gas = grow(f, rangeEnd(sp, sp + 32), gas);
        if (gas < 0) {
          ip = EXC_INS;
          continue;
        }
        store<i64>(f, gas, F_GAS);
        const length = <u32>load<u64>(sp, 32);
        if (endFrame(reason, length == 0 ? 0 : <usize>load<u64>(sp), length)) return;
        ip = RELOAD_INS;
        continue;
      }
      case Op.SELFDESTRUCT: {
        store<u32>(f, <u32>sp, F_SP);
        store<i64>(f, gas, F_GAS);
        if (!opSelfDestruct()) {
          ip = EXC_INS;
          continue;
        }
        if (endFrame(Halt.NONE, 0, 0)) return;
        ip = RELOAD_INS;
        continue;
      }
      default: {
        // INVALID and the undefined.
        setHaltReason(Halt.INVALID_OPCODE);
        ip = EXC_INS;
        continue;
      }
    }
    // Jumps come here with ip at the head of the block they go to, or 0: charge the block and enter it.
    if (ip != 0) {
      const head = load<u64>(ip);
      gas -= <i64>((head >> 16) & 0xffff);
      const need = <u32>(head >> 32) & 0xffff;
      if (gas >= 0 && <u32>(stack - sp) - need <= <u32>(head >> 48)) {
        ip += 8;
        continue;
      }
      setHaltReason(gas < 0 ? Halt.OUT_OF_GAS : <u32>(stack - sp) < need ? Halt.STACK_UNDERFLOW : Halt.STACK_OVERFLOW);
    } else setHaltReason(Halt.BAD_JUMP);
    ip = EXC_INS;
  }
}
