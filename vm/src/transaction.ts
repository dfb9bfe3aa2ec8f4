/**
 * Owns the life of one transaction: checks with a named skip reason, gas purchase, execution, refunds, fees, and the
 * record of its effects. A skipped transaction leaves no trace in the state; a deposit is never skipped.
 * @see EIP-1559, 2930, 3529, 3607, 3651, 3860, 4844, 7623, 7702, 7825; OP Stack specification, deposits and L1 fees
 */
import {
  A_BALANCE, A_BATCH_SLOTS, A_BYTES, A_CHAIN, A_CODE_HASH, A_FLAGS, A_L0, A_L1, A_L2, A_MIN_REMAINING, A_NEXT, A_NONCE, A_O_BALANCE, A_O_CODE_HASH, A_O_NONCE,
  A_SLOTS, A_TX_FLAGS, A_WARM, AF_CODE_CHANGED, AF_DIRTY, AF_STORAGE_CLEARED, BLOOM_CACHE, C_DELEGATE, C_LEN, C_RAW, CANCUN, E_BASE_FEE, E_BLOB_BASE_FEE, E_CHAIN_ID, E_COINBASE, E_FLAGS, E_FORK,
  E_GAS_AVAILABLE, E_MAX_BLOBS, EF_ASSUME_NONCE, EF_BLOOM, EF_OP_FEES, EF_TRACE, ENV, HOST_WORD, I_HEADER, I_KIND, I_L1_FEE, I_SENDER,
  I_SIZE, IN, MEM, N_ADDRESS, N_BALANCE, N_CODE_HASH, N_FLAGS, N_HEAD, N_NONCE, N_SIZE, N_SLOTS, OSAKA, OUT, OUT_END, PRAGUE, R_ACCOUNT_COUNT, R_ACCOUNTS, R_BLOOM, R_CODE_COUNT, R_CODES, R_CREATED,
  R_GAS_REFUNDED, R_GAS_USED, R_HAS_CREATED, R_HEAD, R_LOG_COUNT, R_LOGS, R_MISSING, R_OUTPUT, R_OUTPUT_LEN, R_PRICE, R_REASON,
  R_SENDER_NONCE, R_SIZE, R_STATUS, R_TYPE, RETBUF, S_BATCH_NEXT, S_KEY, S_LOADED, S_NEXT, S_ORIGINAL, S_VALUE, SCRATCH, SHANGHAI, STACK_END, T_ACCESS,
  T_ACCESS_LEN, T_AUTH, T_AUTH_LEN, T_BLOB_COUNT, T_BLOBS, T_CHAIN_ID, T_DATA, T_DATA_LEN, T_FLAGS, T_GAS_LIMIT, T_HAS_CHAIN_ID,
  T_L1_FEE, T_MAX_BLOB_FEE, T_MAX_FEE, T_MAX_TIP, T_MINT, T_NONCE, T_ORIGIN, T_PRICE, T_TIP, T_TO, T_TYPE, T_VALUE,
  TF_DEBITED, TF_DESTROYED, TF_NONCE_PREDICATE, TF_READ_CODE, TF_READ_NONCE, TF_TOUCHED, TX, JOURNAL,
} from "./layout";
import { addCode, codeGeneration, codeOf, tidyCodeCache } from "./code";
import { checkAccessList, checkAuthorizations, decodeTransaction } from "./decode";
import { EMPTY_HASH } from "./empty-hash";
import {
  beginCreate, beginTopCall, clearReturn, createAddress, delegateAccount, frame, logCount, logEnd, paused, resetFrames, returnSize, setLogs, setPaused, setTop,
  topGas, topHalt, topSuccess,
} from "./frame";
import { hostPrecompile, hostTraceFrame } from "./host";
import { run } from "./interpreter";
import { keccak256 } from "./keccak";
import { Halt, Op } from "./ops";
import { itemAt, itemIsList, itemLength, itemU64, readItem } from "./rlp";
import { Skip } from "./skip";
import {
  account, accountChain, beginTransactionState, covers, credit, debit, destroy, findAccount, findSlot, halt, HALT_MISSING, hasCode,
  isEmpty, journalTop, mark, MISSING_KEY, missingKind, refund, resetState, revertTo, setCode, setNonce, setRefund, touch, txAccounts,
  txFlags, useAccount, warmAccount, warmSlot,
} from "./state";
import { add, addCarry, copy32, equal32, fits64, fromBytes, fromShortBytes, isZero, less, mulBy64, set64, sub, toBytes, zero32 } from "./u256";

@inline const W0: usize = SCRATCH + 0x2000;
@inline const W1: usize = SCRATCH + 0x2020;
@inline const W2: usize = SCRATCH + 0x2040;
@inline const AUTH: usize = SCRATCH + 0x2100; // 256 bytes

const VAULT_L2: u32 = 0x42000000;

let inAt: usize = IN;
let record: usize = OUT;

export function beginBatch(): void {
  resetState();
  inAt = IN;
  record = OUT;
}

/** A clocked call has used up its ticks: it goes on with `resumePaused`. No record yet. */
@inline const PAUSED: u32 = 4;

/** Next transaction of the input; its record is appended to the output. Returns its status. */
export function executeNext(): u32 {
  const entry = inAt;
  const size: usize = load<u32>(entry, I_SIZE);
  inAt = entry + I_HEADER + ((size + 7) & ~7);
  tidyCodeCache();
  beginTransactionState();
  resetFrames();
  entryAt = entry;
  return recorded(execute(entry));
}

/** Goes on with a paused call; its status, or PAUSED again. */
export function resumePaused(): u32 {
  setPaused(false);
  run();
  if (paused) return PAUSED;
  return recorded(halt != 0 ? stopped() : settle());
}

/** Where the entry of the running transaction lies. */
let entryAt: usize = 0;

/** Takes note of the end of a transaction. */
function recorded(status: u32): u32 {
  if (status == PAUSED) return status;
  reasonNow = load<u32>(record, R_REASON);
  if (status == 3) inAt = entryAt;
  const at = record;
  record += load<u32>(at, R_SIZE);
  return status;
}

let reasonNow: u32 = 0;
/** Reason of the last record. */
export function lastReason(): u32 {
  return reasonNow;
}

/** Where the output ends. */
export function outputEnd(): usize {
  return record;
}

// Of the running transaction.
let type: u32 = 0;
let sender: usize = 0;
let intrinsic: i64 = 0;
let floorGas: i64 = 0;
let upfront: u64 = 0;

function execute(entry: usize): u32 {
  memory.fill(record, 0, R_HEAD);
  setLogs(record + R_HEAD, 0);
  const kind = load<u32>(entry, I_KIND);
  const bytes = entry + I_HEADER;
  let reason = kind == 0 ? decodeTransaction(bytes, load<u32>(entry, I_SIZE)) : decodeCall(bytes);
  type = load<u32>(TX, T_TYPE);
  store<u32>(record, type, R_TYPE);
  const deposit = kind == 0 && type == 0x7e;
  if (reason == 0 && kind == 0 && !deposit) reason = checkStatic();
  if (reason != 0) return finish(2, reason);
  copy32(TX + T_L1_FEE, entry + I_L1_FEE);
  const from = entry + I_SENDER;
  store<u64>(TX, bswap<u64>(load<u64>(from, 12)), T_ORIGIN);
  store<u64>(TX, bswap<u64>(load<u64>(from, 4)), T_ORIGIN + 8);
  store<u64>(TX, <u64>bswap<u32>(load<u32>(from)), T_ORIGIN + 16);
  sender = account(load<u64>(TX, T_ORIGIN), load<u64>(TX, T_ORIGIN + 8), load<u32>(TX, T_ORIGIN + 16));
  if (sender == 0) return stopped();
  if (deposit) return executeDeposit();
  if (kind == 0) {
    reason = checkSender();
    if (halt != 0) return stopped();
    if (reason != 0) return finish(2, reason);
  }
  intrinsicGas(kind != 2);
  const gasLimit = <i64>load<u64>(TX, T_GAS_LIMIT);
  const create = (load<u32>(TX, T_FLAGS) & 1) != 0;
  if (intrinsic > gasLimit || floorGas > gasLimit) return finish(2, Skip.INTRINSIC_GAS);
  if (kind != 0 && create && load<u32>(ENV, E_FORK) >= SHANGHAI && load<u32>(TX, T_DATA_LEN) > 49152)
    return finish(2, Skip.INIT_CODE_TOO_LARGE);
  // Buy gas.
  const op = (load<u32>(ENV, E_FLAGS) & EF_OP_FEES) != 0;
  const blobGas = <u64>load<u32>(TX, T_BLOB_COUNT) * 131072;
  if (kind == 0 || !isZero(TX + T_PRICE)) {
    let over = mulBy64(W0, TX + T_MAX_FEE, <u64>gasLimit);
    over |= addCarry(W0, W0, TX + T_VALUE);
    over |= mulBy64(W1, TX + T_MAX_BLOB_FEE, blobGas);
    over |= addCarry(W0, W0, W1);
    if (op) over |= addCarry(W0, W0, TX + T_L1_FEE);
    if (over != 0 || !covers(sender, W0)) return finish(2, Skip.INSUFFICIENT_FUNDS);
    mulBy64(W0, TX + T_PRICE, <u64>gasLimit);
    mulBy64(W1, ENV + E_BLOB_BASE_FEE, blobGas);
    add(W0, W0, W1);
    if (op) add(W0, W0, TX + T_L1_FEE);
    debit(sender, W0);
  }
  store<u64>(record, load<u64>(sender, A_NONCE), R_SENDER_NONCE);
  const outcome = message(gasLimit - intrinsic, create, kind != 2);
  if (paused) return PAUSED;
  return outcome != 0 ? stopped() : settle();
}

/** After the message: refund, what is left goes back, fees. */
function settle(): u32 {
  const kind = load<u32>(entryAt, I_KIND);
  const op = (load<u32>(ENV, E_FLAGS) & EF_OP_FEES) != 0;
  const gasLimit = <i64>load<u64>(TX, T_GAS_LIMIT);
  let left = topGas;
  const spent = gasLimit - left;
  let refunded = topSuccess || refund > 0 ? refund : 0;
  if (refunded > spent / 5) refunded = spent / 5;
  if (refunded < 0) refunded = 0;
  let used = spent - refunded;
  if (used < floorGas) {
    used = floorGas;
    refunded = 0;
  }
  left = gasLimit - used;
  if (kind == 0 || !isZero(TX + T_PRICE)) {
    mulBy64(W0, TX + T_PRICE, <u64>left);
    if (!isZero(W0)) credit(sender, W0);
  }
  if (kind == 0) {
    if (!payFees(used, op)) return stopped();
  }
  store<u64>(record, <u64>refunded, R_GAS_REFUNDED);
  return complete(<u64>used);
}

/** OP deposit: mints, then runs without fees; whatever fails, it is included, its mint stays and its nonce counts. */
function executeDeposit(): u32 {
  if (!isZero(TX + T_MINT)) credit(sender, TX + T_MINT);
  const checkpoint = journalTop;
  mark(sender, TF_READ_NONCE);
  const nonce = load<u64>(sender, A_NONCE);
  store<u64>(record, nonce, R_SENDER_NONCE);
  intrinsicGas(true);
  const gasLimit = load<u64>(TX, T_GAS_LIMIT);
  const create = (load<u32>(TX, T_FLAGS) & 1) != 0;
  const tooLarge = create && load<u32>(ENV, E_FORK) >= SHANGHAI && load<u32>(TX, T_DATA_LEN) > 49152;
  zero32(TX + T_PRICE);
  const available = load<u64>(ENV, E_GAS_AVAILABLE);
  const system = (load<u32>(TX, T_FLAGS) & 2) != 0;
  const fits =
    !system && gasLimit <= available && gasLimit <= <u64>i64.MAX_VALUE && intrinsic <= <i64>gasLimit && floorGas <= <i64>gasLimit;
  if (!fits || tooLarge || !covers(sender, TX + T_VALUE)) {
    revertTo(checkpoint);
    if (create) {
      const made = createAddress(sender, nonce);
      if (made == 0) return stopped();
      memory.copy(record + R_CREATED, made + A_BYTES, 20);
      store<u32>(record, 1, R_HAS_CREATED);
    }
    setNonce(sender, nonce + 1);
    setTop(false, 0, tooLarge ? Halt.INIT_CODE_SIZE : fits ? Halt.BALANCE : Halt.OUT_OF_GAS);
    return complete(gasLimit < available ? gasLimit : available);
  }
  const outcome = message(<i64>gasLimit - intrinsic, create, true);
  if (outcome != 0) return stopped();
  const spent = <i64>gasLimit - topGas;
  let refunded = refund > 0 ? refund : 0;
  if (refunded > spent / 5) refunded = spent / 5;
  let used = spent - refunded;
  if (used < floorGas) {
    used = floorGas;
    refunded = 0;
  }
  store<u64>(record, <u64>refunded, R_GAS_REFUNDED);
  return complete(<u64>used);
}

/**
 * Warms, applies authorisations, runs the message and leaves topSuccess, topGas and RETBUF. Counts the sender's nonce
 * when `counted`. Non-zero after a halt.
 */
function message(gas: i64, create: bool, counted: bool): u32 {
  const nonce = load<u64>(sender, A_NONCE);
  warmAccount(sender);
  if (load<u32>(ENV, E_FORK) >= SHANGHAI) {
    const coinbase = coinbaseAccount();
    if (coinbase == 0) return 1;
    warmAccount(coinbase);
  }
  if (!warmAccessList()) return 1;
  const value = TX + T_VALUE, data: usize = load<u32>(TX, T_DATA), length = load<u32>(TX, T_DATA_LEN);
  if (counted) setNonce(sender, nonce + 1);
  if (create) {
    const made = createAddress(sender, nonce);
    if (made == 0) return 1;
    warmAccount(made);
    memory.copy(record + R_CREATED, made + A_BYTES, 20);
    store<u32>(record, 1, R_HAS_CREATED);
    if (!counted) mark(sender, TF_READ_NONCE);
    if (!covers(sender, value)) {
      // Only a call can come here: a transaction's value is covered by what was checked.
      setTop(false, gas, Halt.BALANCE);
      return 0;
    }
    const outcome = beginCreate(sender, made, value, data, length, gas, MEM, STACK_END, Op.CREATE);
    if (outcome == 0 || halt != 0) return 1;
    if (outcome == 2) setTop(false, 0, Halt.COLLISION);
  } else {
    if (!applyAuthorizations()) return 1;
    const to = account(load<u64>(TX, T_TO), load<u64>(TX, T_TO + 8), load<u32>(TX, T_TO + 16));
    if (to == 0) return 1;
    warmAccount(to);
    // The target of a delegation is warm too.
    const code = codeOf(to);
    if (code == 0) return 1;
    if (load<u32>(code, C_DELEGATE)) {
      const target = delegateAccount(code);
      if (target == 0) return 1;
      warmAccount(target);
    }
    if (!beginTopCall(sender, to, value, data, length, gas)) return 1;
  }
  if (frame != 0) {
    if (load<u32>(ENV, E_FLAGS) & EF_TRACE) hostTraceFrame(create ? Op.CREATE : Op.CALL, 0, frame);
    run();
  } else if (!create && !topSuccess) clearReturn();
  return halt;
}

function coinbaseAccount(): usize {
  const c = ENV + E_COINBASE;
  return findAccount(bswap<u64>(load<u64>(c, 12)), bswap<u64>(load<u64>(c, 4)), bswap<u32>(load<u32>(c)));
}

/** Checks that need no state. */
function checkStatic(): u32 {
  const fork = load<u32>(ENV, E_FORK);
  const create = (load<u32>(TX, T_FLAGS) & 1) != 0;
  if (type == 3) {
    if (fork < CANCUN || (load<u32>(ENV, E_FLAGS) & EF_OP_FEES) != 0) return Skip.UNSUPPORTED_TYPE;
    const blobs = load<u32>(TX, T_BLOB_COUNT);
    if (create || blobs == 0 || blobs > load<u32>(ENV, E_MAX_BLOBS)) return Skip.BLOBS_INVALID;
    const hashes: usize = load<u32>(TX, T_BLOBS);
    for (let i: u32 = 0; i < blobs; i++) if (load<u8>(hashes + i * 33, 1) != 1) return Skip.BLOBS_INVALID;
    if (less(TX + T_MAX_BLOB_FEE, ENV + E_BLOB_BASE_FEE)) return Skip.FEE_BELOW_BASE;
  }
  if (type == 4) {
    if (fork < PRAGUE) return Skip.UNSUPPORTED_TYPE;
    if (create || load<u32>(TX, T_AUTH_LEN) == 0) return Skip.AUTHORIZATIONS_INVALID;
  }
  if (load<u32>(TX, T_HAS_CHAIN_ID) && !(fits64(TX + T_CHAIN_ID) && load<u64>(TX, T_CHAIN_ID) == load<u64>(ENV, E_CHAIN_ID)))
    return Skip.WRONG_CHAIN;
  if (load<u64>(TX, T_NONCE) == u64.MAX_VALUE) return Skip.NONCE_MAX;
  if (less(TX + T_MAX_FEE, TX + T_MAX_TIP)) return Skip.TIP_ABOVE_FEE;
  if (create && fork >= SHANGHAI && load<u32>(TX, T_DATA_LEN) > 49152) return Skip.INIT_CODE_TOO_LARGE;
  if (fork >= OSAKA && load<u64>(TX, T_GAS_LIMIT) > 1 << 24) return Skip.GAS_LIMIT_EXCEEDED;
  return 0;
}

/** Checks against the sender's account: nonce, EIP-3607 with the exception of EIP-7702; then fee and gas. */
function checkSender(): u32 {
  const nonce = load<u64>(TX, T_NONCE);
  mark(sender, TF_NONCE_PREDICATE);
  if (load<u32>(ENV, E_FLAGS) & EF_ASSUME_NONCE) {
    // The nonce is a predicate for whoever validates; it holds for as far as this run knows.
    store<u64>(sender, nonce, A_NONCE);
    store<u64>(sender, nonce, A_O_NONCE);
  } else {
    if (load<u64>(sender, A_NONCE) < nonce) return Skip.NONCE_TOO_HIGH;
    if (load<u64>(sender, A_NONCE) > nonce) return Skip.NONCE_TOO_LOW;
  }
  mark(sender, TF_READ_CODE);
  if (hasCode(sender)) {
    const code = codeOf(sender);
    if (code == 0) return 0;
    if (load<u32>(ENV, E_FORK) < PRAGUE || !load<u32>(code, C_DELEGATE)) return Skip.SENDER_NOT_EOA;
  }
  const maxFee = TX + T_MAX_FEE, tip = TX + T_MAX_TIP;
  if (less(maxFee, ENV + E_BASE_FEE)) return Skip.FEE_BELOW_BASE;
  // effective tip = min(tip, maxFee - baseFee); price = baseFee + tip
  sub(TX + T_TIP, maxFee, ENV + E_BASE_FEE);
  if (less(tip, TX + T_TIP)) copy32(TX + T_TIP, tip);
  add(TX + T_PRICE, ENV + E_BASE_FEE, TX + T_TIP);
  const gasLimit = load<u64>(TX, T_GAS_LIMIT);
  if (gasLimit > load<u64>(ENV, E_GAS_AVAILABLE) || gasLimit > <u64>i64.MAX_VALUE) return Skip.GAS_LIMIT_EXCEEDED;
  return 0;
}

function intrinsicGas(charged: bool): void {
  intrinsic = 0;
  floorGas = 0;
  if (!charged) return;
  const data: usize = load<u32>(TX, T_DATA), length = load<u32>(TX, T_DATA_LEN);
  let zeros: u32 = 0;
  for (let p = data, end = data + length; p < end; p++) zeros += u32(load<u8>(p) == 0);
  const tokens = <i64>zeros + 4 * <i64>(length - zeros);
  intrinsic = 21000 + 4 * tokens;
  const fork = load<u32>(ENV, E_FORK);
  if (load<u32>(TX, T_FLAGS) & 1) {
    intrinsic += 32000;
    if (fork >= SHANGHAI) intrinsic += 2 * ((<i64>length + 31) >> 5);
  }
  const list: usize = load<u32>(TX, T_ACCESS), listEnd = list + load<u32>(TX, T_ACCESS_LEN);
  for (let p = list; p < listEnd; ) {
    p = readItem(p, listEnd);
    readItem(readItem(itemAt, p), p);
    intrinsic += 2400 + 1900 * <i64>(itemLength / 33);
  }
  const auth: usize = load<u32>(TX, T_AUTH), authEnd = auth + load<u32>(TX, T_AUTH_LEN);
  for (let p = auth; p < authEnd; ) {
    p = readItem(p, authEnd);
    intrinsic += 25000;
  }
  if (fork >= PRAGUE) floorGas = 21000 + 10 * tokens;
}

function warmAccessList(): bool {
  const list: usize = load<u32>(TX, T_ACCESS), end = list + load<u32>(TX, T_ACCESS_LEN);
  for (let p = list; p < end; ) {
    p = readItem(p, end);
    const rest = readItem(itemAt, p);
    const a = findAccount(bswap<u64>(load<u64>(itemAt, 12)), bswap<u64>(load<u64>(itemAt, 4)), bswap<u32>(load<u32>(itemAt)));
    if (a == 0) return false;
    warmAccount(a);
    readItem(rest, p);
    const slotsEnd = itemAt + itemLength;
    for (let s = itemAt; s < slotsEnd; s += 33) {
      fromBytes(W0, s + 1);
      const slot = findSlot(a, W0);
      if (slot == 0) return false;
      warmSlot(slot);
    }
  }
  return true;
}

/** EIP-7702: each valid tuple sets or clears the delegation of its authority; invalid ones are passed over. */
function applyAuthorizations(): bool {
  const list: usize = load<u32>(TX, T_AUTH), end = list + load<u32>(TX, T_AUTH_LEN);
  for (let p = list; p < end; ) {
    const after = readItem(p, end);
    if (!applyAuthorization(itemAt, after)) return false;
    p = after;
  }
  return true;
}

/** Half of the order of secp256k1, big-endian. */
const HALF_ORDER: usize = memory.data<u8>([
  0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e, 0x73,
  0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
]);

function applyAuthorization(at: usize, end: usize): bool {
  const signedFrom = at;
  let p = readItem(at, end);
  fromShortBytes(W0, itemAt, itemLength);
  if (!isZero(W0) && !(fits64(W0) && load<u64>(W0) == load<u64>(ENV, E_CHAIN_ID))) return true;
  p = readItem(p, end);
  const target = itemAt;
  p = readItem(p, end);
  const nonce = itemU64();
  const signedEnd = p;
  if (nonce == u64.MAX_VALUE) return true;
  p = readItem(p, end);
  const parity = itemU64();
  if (parity > 1) return true;
  // ecrecover input: hash, v, r, s
  memory.fill(AUTH, 0, 128);
  store<u8>(AUTH, 27 + <u8>parity, 63);
  p = readItem(p, end);
  memory.copy(AUTH + 96 - itemLength, itemAt, itemLength);
  readItem(p, end);
  memory.copy(AUTH + 128 - itemLength, itemAt, itemLength);
  fromBytes(W0, AUTH + 96);
  fromBytes(W1, HALF_ORDER);
  if (less(W1, W0)) return true;
  // The signed message is 0x05 and the list of the first three fields.
  const size = <u32>(signedEnd - signedFrom);
  const message = AUTH + 160;
  store<u8>(message, 5);
  let head: usize = 2;
  if (size < 56) store<u8>(message, 0xc0 + <u8>size, 1);
  else {
    store<u8>(message, 0xf8, 1);
    store<u8>(message, <u8>size, 2);
    head = 3;
  }
  memory.copy(message + head, signedFrom, size);
  keccak256(AUTH, message, head + size);
  if (hostPrecompile(1, AUTH, 128, AUTH + 128) != 32) return true;
  const who = AUTH + 140;
  const authority = account(bswap<u64>(load<u64>(who, 12)), bswap<u64>(load<u64>(who, 4)), bswap<u32>(load<u32>(who)));
  if (authority == 0) return false;
  warmAccount(authority);
  mark(authority, TF_READ_CODE | TF_READ_NONCE);
  if (hasCode(authority)) {
    const code = codeOf(authority);
    if (code == 0) return false;
    if (!load<u32>(code, C_DELEGATE)) return true;
  }
  if (load<u64>(authority, A_NONCE) != nonce) return true;
  if (!isEmpty(authority)) setRefund(refund + 12500);
  let empty = true;
  for (let i: usize = 0; i < 20; i++) if (load<u8>(target + i) != 0) empty = false;
  if (empty) {
    if (hasCode(authority)) setCode(authority, EMPTY_HASH, 0, 0);
  } else {
    const designator = AUTH + 160;
    store<u32>(designator, 0x0001ef);
    memory.copy(designator + 3, target, 20);
    keccak256(AUTH, designator, 23);
    const code = addCode(AUTH, designator, 23);
    if (code == 0) return false;
    setCode(authority, AUTH, code, codeGeneration);
  }
  setNonce(authority, nonce + 1);
  return true;
}

/** Tip to the coinbase; with OP fees also base fee and L1 fee to their vaults. */
function payFees(used: i64, op: bool): bool {
  const coinbase = coinbaseAccount();
  if (coinbase == 0 || !useAccount(coinbase)) return false;
  mulBy64(W0, TX + T_TIP, <u64>used);
  touch(coinbase);
  if (!isZero(W0)) credit(coinbase, W0);
  if (!op) return true;
  mulBy64(W0, ENV + E_BASE_FEE, <u64>used);
  return payVault(0x19, W0) && payVault(0x1a, TX + T_L1_FEE);
}

function payVault(number: u64, amount: usize): bool {
  if (isZero(amount)) return true;
  const vault = account(number, 0, VAULT_L2);
  if (vault == 0) return false;
  credit(vault, amount);
  return true;
}

/** A call in the layout of wasm.ts: no nonce, no signature. */
function decodeCall(from: usize): u32 {
  memory.fill(TX, 0, 512);
  store<u64>(TX, load<u64>(from), T_GAS_LIMIT);
  if (load<u64>(from) > <u64>i64.MAX_VALUE) return Skip.GAS_LIMIT_EXCEEDED;
  copy32(TX + T_VALUE, from + 8);
  copy32(TX + T_PRICE, from + 40);
  copy32(TX + T_MAX_FEE, from + 40);
  if (load<u32>(from, 72)) store<u32>(TX, 1, T_FLAGS);
  store<u64>(TX, bswap<u64>(load<u64>(from, 76 + 12)), T_TO);
  store<u64>(TX, bswap<u64>(load<u64>(from, 76 + 4)), T_TO + 8);
  store<u64>(TX, <u64>bswap<u32>(load<u32>(from, 76)), T_TO + 16);
  const dataLen = load<u32>(from, 96), accessLen = load<u32>(from, 100), authLen = load<u32>(from, 104);
  const data = from + 112;
  store<u32>(TX, <u32>data, T_DATA);
  store<u32>(TX, dataLen, T_DATA_LEN);
  store<u32>(TX, <u32>(data + dataLen), T_ACCESS);
  store<u32>(TX, accessLen, T_ACCESS_LEN);
  store<u32>(TX, <u32>(data + dataLen + accessLen), T_AUTH);
  store<u32>(TX, authLen, T_AUTH_LEN);
  if (!checkAccessList(data + dataLen, accessLen)) return Skip.UNDECODABLE;
  if (!checkAuthorizations(data + dataLen + accessLen, authLen)) return Skip.UNDECODABLE;
  return 0;
}

/** The record of a transaction that cannot go on: a missing read, or a full region (a skip). */
function stopped(): u32 {
  if (halt == HALT_MISSING) {
    revertTo(JOURNAL);
    setLogs(record + R_HEAD, 0);
    store<u32>(record, 3, R_STATUS);
    store<u32>(record, missingKind, R_REASON);
    memory.copy(record + R_MISSING, MISSING_KEY, 52);
    store<u32>(record, R_HEAD, R_SIZE);
    return 3;
  }
  return finish(2, Skip.RESOURCE);
}

/** A skip: nothing happened, but what was read to decide so is reported. */
function finish(status: u32, reason: u32): u32 {
  revertTo(JOURNAL);
  setLogs(record + R_HEAD, 0);
  store<u32>(record, status, R_STATUS);
  store<u32>(record, reason, R_REASON);
  clearReturn();
  return writeEffects();
}

function complete(used: u64): u32 {
  store<u32>(record, topSuccess ? 1 : 0, R_STATUS);
  store<u32>(record, topSuccess ? 0 : topHalt, R_REASON);
  store<u64>(record, used, R_GAS_USED);
  const available = load<u64>(ENV, E_GAS_AVAILABLE);
  store<u64>(ENV, used > available ? 0 : available - used, E_GAS_AVAILABLE);
  copy32(record + R_PRICE, TX + T_PRICE);
  // Before the effects are written: what reached an account after its self-destruct goes with it.
  for (let a = txAccounts; a != 0; a = load<u32>(a, A_NEXT)) if (txFlags(a) & TF_DESTROYED) destroy(a);
  return writeEffects();
}

/** Account effects follow the logs: 208 bytes each and 104 for each slot read. Then output, codes, bloom. */
function writeEffects(): u32 {
  store<u32>(record, R_HEAD, R_LOGS);
  store<u32>(record, logCount, R_LOG_COUNT);
  let at = logEnd;
  store<u32>(record, <u32>(at - record), R_ACCOUNTS);
  let accounts: u32 = 0, codes: u32 = 0;
  for (let a = txAccounts; a != 0; a = load<u32>(a, A_NEXT)) {
    if (at + 4096 > OUT_END) return overflow();
    const entry = at;
    const flags = txFlags(a);
    store<u32>(entry, flags);
    memory.copy(entry + 8, a + A_BYTES, 20);
    store<u32>(entry, 0, 28);
    store<u64>(entry, load<u64>(a, A_O_NONCE), 32);
    store<u64>(entry, load<u64>(a, A_NONCE), 40);
    copy32(entry + 48, a + A_O_BALANCE);
    copy32(entry + 80, a + A_BALANCE);
    // Least balance before the transaction with which every debit still went through.
    if (flags & TF_DEBITED && less(a + A_MIN_REMAINING, a + A_O_BALANCE)) sub(entry + 112, a + A_O_BALANCE, a + A_MIN_REMAINING);
    else zero32(entry + 112);
    copy32(entry + 144, a + A_O_CODE_HASH);
    copy32(entry + 176, a + A_CODE_HASH);
    let marks: u32 = 0;
    if (!equal32(a + A_CODE_HASH, a + A_O_CODE_HASH)) marks = AF_DIRTY | AF_CODE_CHANGED;
    if (
      (flags & TF_DESTROYED) != 0 ||
      load<u64>(a, A_NONCE) != load<u64>(a, A_O_NONCE) ||
      !equal32(a + A_BALANCE, a + A_O_BALANCE) ||
      ((flags & TF_TOUCHED) != 0 && load<u64>(a, A_NONCE) == 0 && isZero(a + A_BALANCE) && !hasCode(a))
    )
      marks |= AF_DIRTY;
    at += 208;
    let slots: u32 = 0;
    for (let s: usize = load<u32>(a, A_SLOTS); s != 0; s = load<u32>(s, S_NEXT)) {
      if (at + 4096 > OUT_END) return overflow();
      toBytes(at, s + S_KEY);
      toBytes(at + 32, s + S_ORIGINAL);
      toBytes(at + 64, s + S_VALUE);
      const written = !equal32(s + S_ORIGINAL, s + S_VALUE);
      store<u64>(at, u64(written), 96);
      if (written) {
        store<u32>(s, 3, S_LOADED);
        marks |= AF_DIRTY;
      }
      at += 104;
      slots++;
    }
    if (marks != 0) store<u32>(a, load<u32>(a, A_FLAGS) | marks, A_FLAGS);
    store<u32>(entry, slots, 4);
    accounts++;
  }
  store<u32>(record, accounts, R_ACCOUNT_COUNT);
  const output = at;
  if (at + <usize>returnSize + 4096 > OUT_END) return overflow();
  memory.copy(output, RETBUF, returnSize);
  store<u32>(record, <u32>(output - record), R_OUTPUT);
  store<u32>(record, returnSize, R_OUTPUT_LEN);
  at = (at + returnSize + 7) & ~7;
  store<u32>(record, <u32>(at - record), R_CODES);
  for (let a = txAccounts; a != 0; a = load<u32>(a, A_NEXT)) {
    if (equal32(a + A_CODE_HASH, a + A_O_CODE_HASH) || !hasCode(a)) continue;
    const c = codeOf(a);
    const length: usize = load<u32>(c, C_LEN);
    if (at + length + 4096 > OUT_END) return overflow();
    copy32(at, a + A_CODE_HASH);
    store<u64>(at, length, 32);
    memory.copy(at + 40, load<u32>(c, C_RAW), length);
    at = (at + 40 + length + 7) & ~7;
    codes++;
  }
  store<u32>(record, codes, R_CODE_COUNT);
  if (load<u32>(ENV, E_FLAGS) & EF_BLOOM) {
    store<u32>(record, <u32>(at - record), R_BLOOM);
    writeBloom(at);
    at += 256;
  }
  store<u32>(record, <u32>(at - record), R_SIZE);
  return load<u32>(record, R_STATUS);
}

/** The effects do not fit the output region: the transaction is skipped as beyond the machine's means. */
function overflow(): u32 {
  revertTo(JOURNAL);
  memory.fill(record, 0, R_HEAD);
  store<u32>(record, 2, R_STATUS);
  store<u32>(record, Skip.RESOURCE, R_REASON);
  store<u32>(record, R_HEAD, R_SIZE);
  return 2;
}

/**
 * Writes the net effect of the batch behind the records: final fields of every account that changed. Returns where it
 * starts, or 0 when it does not fit (the records tell the same).
 */
export function writeNet(): usize {
  const head = record;
  let at = head + N_HEAD;
  let accounts: u32 = 0, codes: u32 = 0;
  for (let a = accountChain; a != 0; a = load<u32>(a, A_CHAIN)) {
    const flags = load<u32>(a, A_FLAGS);
    if ((flags & AF_DIRTY) == 0) continue;
    if (at + 4096 > OUT_END) return 0;
    const entry = at;
    const wiped = (flags & AF_STORAGE_CLEARED) != 0;
    store<u32>(entry, u32(wiped), N_FLAGS);
    memory.copy(entry + N_ADDRESS, a + A_BYTES, 20);
    store<u32>(entry, 0, N_ADDRESS + 20);
    store<u64>(entry, load<u64>(a, A_NONCE), N_NONCE);
    copy32(entry + N_BALANCE, a + A_BALANCE);
    copy32(entry + N_CODE_HASH, a + A_CODE_HASH);
    at += N_SIZE;
    let slots: u32 = 0;
    for (let s: usize = load<u32>(a, A_BATCH_SLOTS); s != 0; s = load<u32>(s, S_BATCH_NEXT)) {
      // After a wipe only what holds a value again counts.
      if (wiped ? (load<u32>(s, S_LOADED) & 1) == 0 || isZero(s + S_VALUE) : (load<u32>(s, S_LOADED) & 2) == 0) continue;
      if (at + 4096 > OUT_END) return 0;
      toBytes(at, s + S_KEY);
      toBytes(at + 32, s + S_VALUE);
      at += 64;
      slots++;
    }
    store<u32>(entry, slots, N_SLOTS);
    accounts++;
  }
  for (let a = accountChain; a != 0; a = load<u32>(a, A_CHAIN)) {
    if ((load<u32>(a, A_FLAGS) & AF_CODE_CHANGED) == 0 || !hasCode(a)) continue;
    const c = codeOf(a);
    const length: usize = load<u32>(c, C_LEN);
    if (at + length + 4096 > OUT_END) return 0;
    copy32(at, a + A_CODE_HASH);
    store<u64>(at, length, 32);
    memory.copy(at + 40, load<u32>(c, C_RAW), length);
    at = (at + 40 + length + 7) & ~7;
    codes++;
  }
  store<u32>(head, accounts);
  store<u32>(head, codes, 4);
  netEndNow = at;
  return head;
}

let netEndNow: usize = 0;
export function netEndAt(): usize {
  return netEndNow;
}

/** Bits of the bloom by value: addresses and first topics repeat. Direct-mapped: 32 bytes of value, u32 length, 3 x u16. */
@inline const BLOOM_CACHE_MASK: u32 = 1023;

function writeBloom(to: usize): void {
  memory.fill(to, 0, 256);
  let log = record + R_HEAD;
  for (let i: u32 = 0; i < logCount; i++) {
    bloomAdd(to, log + 12, 20);
    const topics: usize = load<u32>(log, 4);
    for (let t: usize = 0; t < topics; t++) bloomAdd(to, log + 32 + (t << 5), 32);
    log += load<u32>(log);
  }
}

function bloomAdd(bloom: usize, from: usize, length: usize): void {
  // Compare as 32 bytes, zeros above the 20 of an address.
  copy32(W1, from);
  if (length == 20) {
    store<u32>(W1, 0, 20);
    store<u64>(W1, 0, 24);
  }
  const mixed = (load<u64>(W1) ^ load<u64>(W1, 8) ^ load<u64>(W1, 16) ^ rotl<u64>(load<u64>(W1, 24), 7)) * 0x9e3779b97f4a7c15;
  const entry = BLOOM_CACHE + <usize>(<u32>(mixed >> 40) & BLOOM_CACHE_MASK) * 48;
  if (load<u32>(entry, 32) != <u32>length || !equal32(entry, W1)) {
    copy32(entry, W1);
    store<u32>(entry, <u32>length, 32);
    keccak256(W0, from, length);
    for (let i: usize = 0; i < 6; i += 2) store<u16>(entry + i, bswap<u16>(load<u16>(W0 + i)) & 2047, 36);
  }
  for (let i: usize = 0; i < 6; i += 2) {
    const bit = load<u16>(entry + i, 36);
    const byte = bloom + 255 - <usize>(bit >> 3);
    store<u8>(byte, load<u8>(byte) | (<u8>1 << <u8>(bit & 7)));
  }
}
