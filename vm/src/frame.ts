/**
 * Owns frames: explicit records instead of native recursion, one per call depth. A frame's memory and stack start where
 * those of its parent end, since the parent sleeps; call data is read in the parent's memory. Everything a frame did is
 * undone through the journal when it fails.
 */
import {
  A_BALANCE, A_BYTES, A_CODE_HASH, A_FLAGS, A_L0, A_L1, A_L2, A_NONCE, AF_HAS_STORAGE, AF_PRECOMPILE, C_DELEGATE, C_INS, C_JUMPS,
  C_LEN, C_RAW, CANCUN, E_FLAGS, E_FORK, EF_TRACE, ENV, F_CALL_KIND, F_CALLER, F_CODE_ACCOUNT, F_GAS, F_INPUT, F_INPUT_LEN, F_IP,
  F_JOURNAL, F_JUMPS, F_KIND, F_LOG_COUNT, F_LOG_END, F_MEM, F_MEM_SIZE, F_RAW, F_RAW_LEN, F_REFUND, F_RET_LEN, F_RET_OFFSET,
  F_SELF, F_SIZE, F_SP, F_STACK, F_STATIC, F_VALUE, FRAMES, MEM, MEM_END, OUT_END, RETBUF, RETBUF_END, SCRATCH, SHANGHAI,
  STACK_END, TF_CREATED, TF_DESTROYED, TF_READ_BALANCE, TF_READ_CODE, TF_READ_EMPTY, TF_READ_NONCE,
} from "./layout";
import { addCode, codeGeneration, codeOf, decode, decodedStart, ensureDecoded } from "./code";
import { hostTraceFrame } from "./host";
import { keccak256 } from "./keccak";
import { Halt, Op } from "./ops";
import { precompileOutput, runPrecompile } from "./precompiles";
import {
  covers, credit, debit, findAccount, halt, HALT_RESOURCE, hasCode, isEmpty, journalTop, mark, precompileId, refund, revertTo,
  setBalance, setCode, setFlags, setNonce, setRefund, stop, touch, txFlags, useAccount, warmAccount,
} from "./state";
import { copy32, fits64, isZero, set64, toBytes, zero32 } from "./u256";

/** The running frame and its depth; the top frame has depth 0. */
export let frame: usize = 0;
export let depth: u32 = 0;
/** Why the running frame stops exceptionally (a Halt). */
export let haltReason: u32 = 0;
export function setHaltReason(reason: u32): void {
  haltReason = reason;
}
/** The clock of the running frame has run out: `run` has returned and goes on where it was when called again. */
export let paused: bool = false;
export function setPaused(value: bool): void {
  paused = value;
}
/** Bytes in RETBUF: the return data of the last call. */
export let returnSize: u32 = 0;
export function clearReturn(): void {
  returnSize = 0;
}
/** Result of the top frame. */
export let topSuccess: bool = false;
export let topGas: i64 = 0;
export let topHalt: u32 = 0;
export function setTop(success: bool, gas: i64, reason: u32): void {
  topSuccess = success;
  topGas = gas;
  topHalt = reason;
  returnSize = 0;
}

/** Logs are written to the output as they happen; a revert moves the end back. */
export let logEnd: usize = 0;
export let logCount: u32 = 0;
export function setLogs(end: usize, count: u32): void {
  logEnd = end;
  logCount = count;
}

@inline const FREE: usize = SCRATCH + 0x1000; // address bytes and hash input for CREATE

/** End of the range a memory operand pair names; 0 for an empty one, u64.MAX_VALUE when beyond any memory. */
@inline export function rangeEnd(offset: usize, length: usize): u64 {
  if (isZero(length)) return 0;
  if (!fits64(offset) || !fits64(length)) return u64.MAX_VALUE;
  const o = load<u64>(offset), n = load<u64>(length);
  if ((o | n) >> 32 != 0) return u64.MAX_VALUE;
  return o + n;
}

/** Grows the frame's memory to cover `end` bytes; returns the gas left or -1. */
export function grow(f: usize, end: u64, gas: i64): i64 {
  const size = <u64>load<u32>(f, F_MEM_SIZE);
  if (end <= size) return gas;
  if (end > 0x1fffffffe0) return -1;
  const words = (end + 31) >> 5, before = size >> 5;
  gas -= <i64>(words * 3 + ((words * words) >> 9) - before * 3 - ((before * before) >> 9));
  if (gas < 0) return -1;
  const mem: usize = load<u32>(f, F_MEM);
  if (<u64>mem + (words << 5) > <u64>MEM_END) {
    stop(HALT_RESOURCE);
    return -1;
  }
  memory.fill(mem + <usize>size, 0, <usize>((words << 5) - size));
  store<u32>(f, <u32>(words << 5), F_MEM_SIZE);
  return gas;
}

@inline function traced(): bool {
  return (load<u32>(ENV, E_FLAGS) & EF_TRACE) != 0;
}

/** First free byte above the memory of the running frame. */
@inline export function memoryTop(): usize {
  return depth == 0 && frame == 0 ? MEM : load<u32>(frame, F_MEM) + load<u32>(frame, F_MEM_SIZE);
}

/** Forgets all frames before a transaction. */
export function resetFrames(): void {
  frame = 0;
  depth = 0;
  haltReason = 0;
  returnSize = 0;
  paused = false;
}

/** Makes the next frame without code; its checkpoint is `checkpoint`. Memory starts at `mem`. */
function pushFrame(mem: usize, stack: usize, checkpoint: usize, gas: i64): usize {
  let f: usize;
  if (frame == 0) {
    f = FRAMES;
    depth = 0;
  } else {
    f = frame + F_SIZE;
    depth++;
  }
  frame = f;
  store<u32>(f, <u32>mem, F_MEM);
  store<u32>(f, 0, F_MEM_SIZE);
  store<u32>(f, <u32>stack, F_STACK);
  store<u32>(f, <u32>stack, F_SP);
  store<i64>(f, gas, F_GAS);
  store<u32>(f, <u32>checkpoint, F_JOURNAL);
  store<u32>(f, <u32>logEnd, F_LOG_END);
  store<u32>(f, logCount, F_LOG_COUNT);
  store<i64>(f, refund, F_REFUND);
  return f;
}

function setFrameCode(f: usize, code: usize): void {
  store<u32>(f, load<u32>(code, C_RAW), F_RAW);
  store<u32>(f, load<u32>(code, C_LEN), F_RAW_LEN);
  store<u32>(f, load<u32>(code, C_JUMPS), F_JUMPS);
  store<u32>(f, load<u32>(code, C_INS), F_IP);
}

/** Resolves an EIP-7702 designator: the code that runs for account `a`, whose own code record is `code`. */
function delegatedCode(code: usize): usize {
  const target = delegateAccount(code);
  if (target == 0 || !useAccount(target)) return 0;
  mark(target, TF_READ_CODE);
  return codeOf(target);
}
/** The account a designator names; in no transaction yet. */
export function delegateAccount(code: usize): usize {
  const raw: usize = load<u32>(code, C_RAW);
  return findAccount(
    bswap<u64>(load<u64>(raw, 15)),
    bswap<u64>(load<u64>(raw, 7)),
    bswap<u32>(load<u32>(raw, 3)),
  );
}

/** Moves value between accounts; false when the balance does not cover it. */
export function transfer(from: usize, to: usize, value: usize): bool {
  if (!debit(from, value)) return false;
  credit(to, value);
  return true;
}

/** Starts the top frame of a message call. False after a halt. topSuccess/topGas are set at once when nothing runs. */
export function beginTopCall(sender: usize, to: usize, value: usize, input: usize, inputLen: u32, gas: i64): bool {
  const checkpoint = journalTop;
  if (!isZero(value)) {
    if (!transfer(sender, to, value)) return failTop(gas, Halt.BALANCE);
  }
  touch(to);
  if (load<u32>(to, A_FLAGS) & AF_PRECOMPILE) {
    const id = precompileId(load<u64>(to, A_L0), load<u64>(to, A_L1), load<u32>(to, A_L2));
    const left = runPrecompile(id, input, inputLen, gas, MEM);
    if (halt != 0) return false;
    if (left < 0) {
      revertTo(checkpoint);
      return failTop(0, Halt.PRECOMPILE);
    }
    returnSize = precompileOutput;
    topSuccess = true;
    topGas = left;
    topHalt = 0;
    return true;
  }
  let code = codeOf(to);
  if (code == 0) return false;
  mark(to, TF_READ_CODE);
  if (load<u32>(code, C_DELEGATE)) {
    code = delegatedCode(code);
    if (code == 0) return false;
  }
  if (load<u32>(code, C_LEN) == 0) {
    topSuccess = true;
    topGas = gas;
    topHalt = 0;
    return true;
  }
  if (!ensureDecoded(code)) return false;
  const f = pushFrame(MEM, STACK_END, checkpoint, gas);
  setFrameCode(f, code);
  store<u32>(f, <u32>input, F_INPUT);
  store<u32>(f, inputLen, F_INPUT_LEN);
  store<u32>(f, <u32>to, F_SELF);
  store<u32>(f, 0, F_STATIC);
  store<u32>(f, 0, F_KIND);
  store<u32>(f, Op.CALL, F_CALL_KIND);
  copy32(f + F_VALUE, value);
  setCaller(f, sender);
  return true;
}

function failTop(gas: i64, reason: u32): bool {
  topSuccess = false;
  topGas = gas;
  topHalt = reason;
  return true;
}

@inline function setCaller(f: usize, a: usize): void {
  store<u64>(f, load<u64>(a, A_L0), F_CALLER);
  store<u64>(f, load<u64>(a, A_L1), F_CALLER + 8);
  store<u64>(f, <u64>load<u32>(a, A_L2), F_CALLER + 16);
  store<u64>(f, 0, F_CALLER + 24);
}

/** Account at the CREATE address of `creator` with `nonce`; not in the transaction yet. */
export function createAddress(creator: usize, nonce: u64): usize {
  // rlp([address, nonce])
  const at = FREE;
  store<u8>(at, 0x94, 1);
  memory.copy(at + 2, creator + A_BYTES, 20);
  let size: u32;
  if (nonce < 0x80) {
    store<u8>(at, nonce == 0 ? 0x80 : <u8>nonce, 22);
    size = 22;
  } else {
    const bytes = 8 - <u32>(clz<u64>(nonce) >> 3);
    store<u8>(at, 0x80 + <u8>bytes, 22);
    const be = bswap<u64>(nonce) >> (<u64>(8 - bytes) << 3);
    store<u64>(at, be, 23);
    size = 22 + bytes;
  }
  store<u8>(at, 0xc0 + <u8>size);
  return accountOfHash(at, size + 1);
}

function accountOfHash(from: usize, size: usize): usize {
  const hash = FREE + 128;
  keccak256(hash, from, size);
  return findAccount(bswap<u64>(load<u64>(hash, 24)), bswap<u64>(load<u64>(hash, 16)), bswap<u32>(load<u32>(hash, 12)));
}

/**
 * Starts a contract creation by `creator` at account `made` (warm already). Returns 0 after a halt, 1 when a frame
 * runs, 2 on an address collision.
 */
export function beginCreate(
  creator: usize, made: usize, value: usize, init: usize, initLen: u32, gas: i64, mem: usize, stack: usize, kind: u32,
): u32 {
  if (!useAccount(made)) return 0;
  mark(made, TF_READ_CODE | TF_READ_NONCE);
  if (load<u64>(made, A_NONCE) != 0 || hasCode(made) || (load<u32>(made, A_FLAGS) & AF_HAS_STORAGE) != 0) return 2;
  const checkpoint = journalTop;
  setFlags(made, TF_CREATED);
  touch(made);
  setNonce(made, 1);
  if (!isZero(value)) transfer(creator, made, value);
  // Decoded init code lives below the memory of the frame and goes with it.
  const jumps = (mem + 7) & ~7;
  const end = decode(init, initLen, jumps, MEM_END);
  if (end == 0) return 0;
  const f = pushFrame((end + 31) & ~31, stack, checkpoint, gas);
  store<u32>(f, <u32>init, F_RAW);
  store<u32>(f, initLen, F_RAW_LEN);
  store<u32>(f, <u32>jumps, F_JUMPS);
  store<u32>(f, <u32>decodedStart(jumps, initLen), F_IP);
  store<u32>(f, <u32>init, F_INPUT);
  store<u32>(f, 0, F_INPUT_LEN);
  store<u32>(f, <u32>made, F_SELF);
  store<u32>(f, 0, F_STATIC);
  store<u32>(f, 1, F_KIND);
  store<u32>(f, kind, F_CALL_KIND);
  copy32(f + F_VALUE, value);
  setCaller(f, creator);
  return 1;
}

/** CALL, CALLCODE, DELEGATECALL and STATICCALL of the saved frame. False raises `haltReason` (or `halt` is set). */
export function opCall(op: u32): bool {
  const f = frame;
  const sp: usize = load<u32>(f, F_SP);
  let gas = load<i64>(f, F_GAS);
  const withValue = op == Op.CALL || op == Op.CALLCODE;
  const value = sp + 64;
  const operands = withValue ? sp + 96 : sp + 64;
  const inEnd = rangeEnd(operands, operands + 32), outEnd = rangeEnd(operands + 64, operands + 96);
  gas = grow(f, inEnd > outEnd ? inEnd : outEnd, gas);
  if (gas < 0) return outOfGas();
  const hasValue = withValue && !isZero(value);
  if (hasValue && op == Op.CALL && load<u32>(f, F_STATIC)) {
    haltReason = Halt.STATIC_WRITE;
    return false;
  }
  const to = findAccount(load<u64>(sp, 32), load<u64>(sp, 40), load<u32>(sp, 48));
  if (to == 0) return false;
  if (warmAccount(to)) gas -= 2500;
  if (hasValue) gas -= 9000;
  if (gas < 0) return outOfGas();
  if (!useAccount(to)) return false;
  if (hasValue && op == Op.CALL && isEmpty(to)) {
    gas -= 25000;
    if (gas < 0) return outOfGas();
  }
  let code: usize = 0;
  const precompile = (load<u32>(to, A_FLAGS) & AF_PRECOMPILE) != 0;
  if (!precompile) {
    code = codeOf(to);
    if (code == 0) return false;
    mark(to, TF_READ_CODE);
    if (load<u32>(code, C_DELEGATE)) {
      const target = delegateAccount(code);
      if (target == 0) return false;
      gas -= warmAccount(target) ? 2600 : 100;
      if (gas < 0) return outOfGas();
      if (!useAccount(target)) return false;
      mark(target, TF_READ_CODE);
      code = codeOf(target);
      if (code == 0) return false;
    }
  }
  let callGas = gas - (gas >> 6);
  if (fits64(sp) && load<u64>(sp) < <u64>callGas) callGas = <i64>load<u64>(sp);
  gas -= callGas;
  if (hasValue) callGas += 2300;
  const result = operands + 96;
  store<u32>(f, <u32>result, F_SP);
  returnSize = 0;
  const self: usize = load<u32>(f, F_SELF);
  // The out range is read before the result overwrites its length.
  const outLen = <u32>load<u64>(operands, 96), outOffset = outLen == 0 ? 0 : <u32>load<u64>(operands, 64);
  const inLen = <u32>load<u64>(operands, 32);
  const input = inLen == 0 ? <usize>load<u32>(f, F_MEM) : <usize>load<u32>(f, F_MEM) + <usize>load<u64>(operands);
  let refusal: u32 = depth == 1024 ? Halt.DEPTH : Halt.NONE;
  if (refusal == 0 && hasValue && op == Op.CALLCODE && !covers(self, value)) refusal = Halt.BALANCE;
  const checkpoint = journalTop;
  if (refusal == 0 && op == Op.CALL && hasValue && !transfer(self, to, value)) refusal = Halt.BALANCE;
  if (refusal != 0) {
    if (traced()) {
      traceLeafCall(op, to, input, inLen, callGas, hasValue ? value : 0, gas);
      traceLeafEnd(callGas, refusal);
    }
    return refuse(f, gas + callGas, result);
  }
  if (op == Op.CALL) {
    touch(to);
  } else if (op == Op.STATICCALL) touch(to);
  if (halt != 0) return false;
  if (precompile) {
    const id = precompileId(load<u64>(to, A_L0), load<u64>(to, A_L1), load<u32>(to, A_L2));
    if (traced()) traceLeafCall(op, to, input, inLen, callGas, hasValue ? value : 0, gas);
    const left = runPrecompile(id, input, inLen, callGas, memoryTop());
    if (halt != 0) return false;
    if (left < 0) {
      revertTo(checkpoint);
      set64(result, 0);
    } else {
      gas += left;
      returnSize = precompileOutput;
      copyReturn(f, outOffset, outLen);
      set64(result, 1);
    }
    if (traced()) traceLeafEnd(left < 0 ? 0 : left, left < 0 ? Halt.PRECOMPILE : Halt.NONE);
    store<i64>(f, gas, F_GAS);
    return true;
  }
  if (load<u32>(code, C_LEN) == 0) {
    if (traced()) {
      traceLeafCall(op, to, input, inLen, callGas, hasValue ? value : 0, gas);
      traceLeafEnd(callGas, Halt.NONE);
    }
    set64(result, 1);
    store<i64>(f, gas + callGas, F_GAS);
    return true;
  }
  if (!ensureDecoded(code)) return false;
  store<i64>(f, gas, F_GAS);
  store<u32>(f, outOffset, F_RET_OFFSET);
  store<u32>(f, outLen, F_RET_LEN);
  const child = pushFrame((memoryTop() + 31) & ~31, sp, checkpoint, callGas);
  setFrameCode(child, code);
  store<u32>(child, <u32>input, F_INPUT);
  store<u32>(child, inLen, F_INPUT_LEN);
  store<u32>(child, op == Op.STATICCALL ? 1 : load<u32>(f, F_STATIC), F_STATIC);
  store<u32>(child, 0, F_KIND);
  store<u32>(child, op, F_CALL_KIND);
  store<u32>(child, <u32>to, F_CODE_ACCOUNT);
  if (op == Op.DELEGATECALL) {
    store<u32>(child, <u32>self, F_SELF);
    copy32(child + F_CALLER, f + F_CALLER);
    copy32(child + F_VALUE, f + F_VALUE);
  } else {
    store<u32>(child, <u32>(op == Op.CALLCODE ? self : to), F_SELF);
    setCaller(child, self);
    if (withValue) copy32(child + F_VALUE, value);
    else zero32(child + F_VALUE);
  }
  if (traced()) hostTraceFrame(<i32>op, depth, child);
  return true;
}

/**
 * Announces a call that runs no code as a frame record above the running one, so that tracers see one shape. `left` is
 * the caller's gas meanwhile.
 */
function traceLeafCall(op: u32, to: usize, input: usize, inLen: u32, gas: i64, value: usize, left: i64): void {
  const f = frame, child = f + F_SIZE;
  store<i64>(f, left, F_GAS);
  store<u32>(child, <u32>input, F_RAW);
  store<u32>(child, inLen, F_RAW_LEN);
  const self: usize = load<u32>(f, F_SELF);
  store<u32>(child, <u32>input, F_INPUT);
  store<u32>(child, inLen, F_INPUT_LEN);
  store<u32>(child, <u32>to, F_CODE_ACCOUNT);
  store<u32>(child, <u32>(op == Op.CALL || op == Op.STATICCALL ? to : self), F_SELF);
  store<i64>(child, gas, F_GAS);
  store<u32>(child, op, F_CALL_KIND);
  setCaller(child, self);
  if (op == Op.DELEGATECALL) copy32(child + F_VALUE, f + F_VALUE);
  else if (value != 0) copy32(child + F_VALUE, value);
  else zero32(child + F_VALUE);
  hostTraceFrame(<i32>op, depth + 1, child);
}

/** Ends what traceLeafCall announced; the output, if any, is in RETBUF. */
function traceLeafEnd(left: i64, reason: u32): void {
  store<i64>(frame + F_SIZE, left, F_GAS);
  hostTraceFrame(-2, depth + 1, reason);
}

function outOfGas(): bool {
  haltReason = Halt.OUT_OF_GAS;
  return false;
}

/** A call that does not happen: 0 on the stack, its gas back. */
function refuse(f: usize, gas: i64, result: usize): bool {
  set64(result, 0);
  store<i64>(f, gas, F_GAS);
  return true;
}

@inline function copyReturn(f: usize, offset: u32, length: u32): void {
  const n = length < returnSize ? length : returnSize;
  if (n != 0) memory.copy(<usize>load<u32>(f, F_MEM) + <usize>offset, RETBUF, n);
}

/** CREATE and CREATE2 of the saved frame. */
export function opCreate(op: u32): bool {
  const f = frame;
  const sp: usize = load<u32>(f, F_SP);
  let gas = load<i64>(f, F_GAS);
  if (load<u32>(f, F_STATIC)) {
    haltReason = Halt.STATIC_WRITE;
    return false;
  }
  gas = grow(f, rangeEnd(sp + 32, sp + 64), gas);
  if (gas < 0) return outOfGas();
  const initLen = <u32>load<u64>(sp, 64);
  const words = (<i64>initLen + 31) >> 5;
  if (load<u32>(ENV, E_FORK) >= SHANGHAI) {
    if (initLen > 49152) {
      haltReason = Halt.INIT_CODE_SIZE;
      return false;
    }
    gas -= words * 2;
  }
  if (op == Op.CREATE2) gas -= words * 6;
  if (gas < 0) return outOfGas();
  const init = initLen == 0 ? <usize>load<u32>(f, F_MEM) : <usize>load<u32>(f, F_MEM) + <usize>load<u64>(sp, 32);
  const callGas = gas - (gas >> 6);
  gas -= callGas;
  const result = op == Op.CREATE2 ? sp + 96 : sp + 64;
  store<u32>(f, <u32>result, F_SP);
  returnSize = 0;
  const self: usize = load<u32>(f, F_SELF);
  let refusal: u32 = depth == 1024 ? Halt.DEPTH : covers(self, sp) ? Halt.NONE : Halt.BALANCE;
  const nonce = load<u64>(self, A_NONCE);
  if (refusal == 0) {
    mark(self, TF_READ_NONCE);
    if (nonce == u64.MAX_VALUE) refusal = Halt.NONCE;
  }
  if (refusal != 0) {
    if (traced()) {
      traceLeafCall(op, self, init, initLen, callGas, sp, gas);
      traceLeafEnd(callGas, refusal);
    }
    return refuse(f, gas + callGas, result);
  }
  setNonce(self, nonce + 1);
  let made: usize;
  if (op == Op.CREATE) made = createAddress(self, nonce);
  else {
    const at = FREE;
    store<u8>(at, 0xff);
    memory.copy(at + 1, self + A_BYTES, 20);
    toBytes(at + 21, sp + 96);
    keccak256(at + 53, init, initLen);
    made = accountOfHash(at, 85);
  }
  if (made == 0) return false;
  warmAccount(made);
  store<i64>(f, gas, F_GAS);
  // The value operand may be the result slot's neighbour: it is copied before anything is written.
  const value = FREE + 256;
  copy32(value, sp);
  const outcome = beginCreate(self, made, value, init, initLen, callGas, memoryTop(), sp, op);
  if (outcome == 0 || halt != 0) return false;
  if (outcome == 2) {
    if (traced()) {
      traceLeafCall(op, made, init, initLen, callGas, value, gas);
      traceLeafEnd(0, Halt.COLLISION);
    }
    set64(result, 0);
    return true;
  }
  if (traced()) hostTraceFrame(<i32>op, depth, frame);
  return true;
}

/**
 * Ends the running frame: `reason` NONE is success, REVERT keeps the gas. Output is in the frame's memory. True when it
 * was the top frame; its output is then in RETBUF.
 */
export function endFrame(reason: u32, offset: usize, length: u32): bool {
  const f = frame;
  let gas = load<i64>(f, F_GAS);
  const source = <usize>load<u32>(f, F_MEM) + offset;
  const creating = load<u32>(f, F_KIND) == 1;
  const made: usize = load<u32>(f, F_SELF);
  const outputLength = length;
  if (reason == Halt.NONE && creating) {
    reason = deploy(made, source, length, gas);
    if (halt != 0) return true;
    gas -= reason == Halt.NONE ? <i64>length * 200 : 0;
    // A creation leaves no return data, but a creating transaction answers with the code.
    if (reason == Halt.NONE && depth != 0) length = 0;
  }
  if (<i32>reason > Halt.REVERT) {
    gas = 0;
    length = 0;
  }
  if (<usize>length > RETBUF_END - RETBUF) {
    stop(HALT_RESOURCE);
    return true;
  }
  if (reason != Halt.NONE) {
    revertTo(load<u32>(f, F_JOURNAL));
    logEnd = load<u32>(f, F_LOG_END);
    logCount = load<u32>(f, F_LOG_COUNT);
    setRefund(load<i64>(f, F_REFUND));
  }
  if (traced()) {
    store<i64>(f, gas, F_GAS);
    // Tracers see the code a creation made.
    returnSize = <i32>reason > Halt.REVERT ? 0 : outputLength;
    memory.copy(RETBUF, source, returnSize);
    hostTraceFrame(-1, depth, reason);
  }
  if (depth == 0) {
    memory.copy(RETBUF, source, length);
    returnSize = length;
    topSuccess = reason == Halt.NONE;
    topGas = gas;
    topHalt = reason;
    frame = 0;
    return true;
  }
  const parent = f - F_SIZE;
  frame = parent;
  depth--;
  memory.copy(RETBUF, source, length);
  returnSize = length;
  const result: usize = load<u32>(parent, F_SP);
  store<i64>(parent, load<i64>(parent, F_GAS) + gas, F_GAS);
  if (creating) {
    if (reason == Halt.NONE) {
      store<u64>(result, load<u64>(made, A_L0));
      store<u64>(result, load<u64>(made, A_L1), 8);
      store<u64>(result, <u64>load<u32>(made, A_L2), 16);
      store<u64>(result, 0, 24);
    } else set64(result, 0);
  } else {
    copyReturn(parent, load<u32>(parent, F_RET_OFFSET), load<u32>(parent, F_RET_LEN));
    set64(result, reason == Halt.NONE ? 1 : 0);
  }
  return false;
}

/** Checks and stores deployed code. */
function deploy(made: usize, source: usize, length: u32, gas: i64): u32 {
  if (length > 24576) return Halt.CODE_SIZE;
  if (length != 0 && load<u8>(source) == 0xef) return Halt.CODE_PREFIX;
  if (gas < <i64>length * 200) return Halt.CODE_STORE_GAS;
  if (length == 0) return Halt.NONE;
  const hash = FREE + 128;
  keccak256(hash, source, length);
  const code = addCode(hash, source, length);
  if (code == 0) return Halt.OUT_OF_GAS;
  setCode(made, hash, code, codeGeneration);
  return Halt.NONE;
}

/** SELFDESTRUCT of the saved frame; false raises. */
export function opSelfDestruct(): bool {
  const f = frame;
  const sp: usize = load<u32>(f, F_SP);
  let gas = load<i64>(f, F_GAS);
  if (load<u32>(f, F_STATIC)) {
    haltReason = Halt.STATIC_WRITE;
    return false;
  }
  const heir = findAccount(load<u64>(sp), load<u64>(sp, 8), load<u32>(sp, 16));
  if (heir == 0) return false;
  if (warmAccount(heir)) gas -= 2600;
  if (gas < 0) return outOfGas();
  if (!useAccount(heir)) return false;
  const self: usize = load<u32>(f, F_SELF);
  mark(self, TF_READ_BALANCE);
  if (!isZero(self + A_BALANCE) && isEmpty(heir)) {
    gas -= 25000;
    if (gas < 0) return outOfGas();
  }
  store<i64>(f, gas, F_GAS);
  const amount = FREE + 256;
  copy32(amount, self + A_BALANCE);
  const gone = load<u32>(ENV, E_FORK) < CANCUN || (txFlags(self) & TF_CREATED) != 0;
  if (traced()) {
    copy32(f + F_SIZE + F_VALUE, amount);
    store<u32>(f + F_SIZE, <u32>heir, F_SELF);
    hostTraceFrame(Op.SELFDESTRUCT, depth + 1, f + F_SIZE);
  }
  touch(heir);
  if (heir != self) {
    debit(self, amount);
    credit(heir, amount);
  } else if (gone) {
    zero32(amount);
    setBalance(self, amount);
  }
  if (gone) {
    setFlags(self, TF_DESTROYED);
    touch(self);
  }
  return halt == 0;
}

/** Gives `to` the address of an account as a word. */
@inline export function addressWord(to: usize, a: usize): void {
  store<u64>(to, load<u64>(a, A_L0));
  store<u64>(to, load<u64>(a, A_L1), 8);
  store<u64>(to, <u64>load<u32>(a, A_L2), 16);
  store<u64>(to, 0, 24);
}
