/**
 * Owns the version core: what the results of an epoch depend on and change, and the validation of each against all. Its
 * exports are all of it; the host (src/execution/sharded/key-versions.ts) copies accounts of records in and reads answers.
 * Validation goes in the order of transactions: the frontier is the first one whose part is missing or does not hold;
 * everything below it holds against the versions as they are now. Replacing a part takes the frontier back to it, unless
 * it writes what was written before (cut-off). Values stay in the parts, lists lead to them. Memory grows with the epoch
 * and is used again by the next; after an error of the host only `begin` makes sense.
 * @see docs/decisions/0014-sharded-execution.md
 */
import { EMPTY_HASH } from "./empty-hash";
import {
  N_ADDRESS, N_BALANCE, N_CODE_HASH, N_FLAGS, N_HEAD, N_NONCE, N_SIZE, N_SLOTS, TF_DESTROYED, TF_NONCE_PREDICATE, TF_READ_BALANCE,
  TF_READ_CODE, TF_READ_EMPTY, TF_READ_NONCE, TF_TOUCHED,
} from "./layout";
import { copy32, equal32, isZero, less, zero32 } from "./u256";
import {
  accountChain, accountOf, addChange, balanceAt, codeHashAt, giveBack, isEmptyAt, isUnwritten, nonceAt, put, remove, resetKeys, setSeed,
  slotAt, slotOf, take, taken, unsum, writerBelow,
} from "./version-keys";
import {
  K_ADDRESS, K_BALANCE, K_BALANCES, K_CLEARED, K_CODES, K_FLAGS, K_NEXT, K_NONCES, K_SLOTS, K_TOUCHED, KF_EXISTS, KF_HAS_STORAGE,
  P_AT, P_COUNT, P_HEAD, P_REF, Q_ADDRESS, Q_BALANCE, Q_CODE_HASH, Q_HAS_STORAGE, Q_NONCE, Q_SIZE, Q_SLOT, Q_VALUE, Q_WRITER,
  RA_ADDRESS, RA_AT_LEAST, RA_BALANCE, RA_BALANCE_BEFORE, RA_CODE, RA_CODE_BEFORE, RA_FLAGS, RA_NONCE, RA_NONCE_BEFORE, RA_SIZE,
  RA_SLOTS, RS_BEFORE, RS_CELL, RS_KEY, RS_SIZE, RS_VALUE, RS_WRITTEN, SUM_SIZE, V_KEY, V_NEXT, V_WRITES,
} from "./versions-layout";

/** Flags of an account that make it matter by themselves. */
@inline const CONSEQUENTIAL: u32 =
  TF_DESTROYED | TF_TOUCHED | TF_READ_BALANCE | TF_READ_NONCE | TF_NONCE_PREDICATE | TF_READ_CODE | TF_READ_EMPTY;

/** What the host asks with, and reads the answer from. */
const QUESTION: usize = memory.data(<i32>Q_SIZE, 16);
const CHANGE: usize = memory.data(<i32>SUM_SIZE, 8);
const OTHER_CHANGE: usize = memory.data(<i32>SUM_SIZE, 8);
const NO_SUM: usize = memory.data(<i32>SUM_SIZE, 8);

let txCount: u32 = 0;
/** By transaction: u32 address of its part, 0 when it is missing. */
let parts: usize = 0;
let frontier: u32 = 0;
let isBlocked: bool = false;
let accessCount: u32 = 0;
/** What the last dependency that did not hold was on: an account of the part, and a slot of it or 0. */
let wrongAccount: usize = 0;
let wrongSlot: usize = 0;
/** Accounts that the last settlement corrected: u32 addresses. */
let corrected: usize = 0;
let correctedRoom: u32 = 0;
let netEndNow: usize = 0;

export function seed(a: u64, b: u64): void {
  setSeed(a, b);
}

/** Starts an epoch of `count` transactions; forgets the one before. */
export function begin(count: u32): void {
  resetKeys();
  txCount = count;
  parts = take(<usize>count << 2);
  memory.fill(parts, 0, <usize>count << 2);
  frontier = 0;
  isBlocked = false;
  accessCount = 0;
  corrected = 0;
  correctedRoom = 0;
}

/** Room for accounts of a record, which the host copies there. */
export function reserve(size: u32): u32 {
  return <u32>take(size);
}

/**
 * Takes `count` accounts at `at` as the part of a transaction, instead of an earlier one. False, and nothing taken, when
 * they go beyond `size` bytes or the transaction is none of the epoch.
 */
export function install(index: u32, at: usize, size: u32, count: u32): bool {
  if (index >= txCount || !isWhole(at, size, count)) return false;
  const part = take(P_HEAD + <usize>count * P_REF);
  let used: u32 = 0;
  let account = at;
  for (let n: u32 = 0; n < count; n++) {
    const slots = load<u32>(account, RA_SLOTS);
    if (isConsequential(account, slots)) {
      const key = accountOf(account + RA_ADDRESS);
      const ref = part + P_HEAD + <usize>used * P_REF;
      store<u32>(ref, <u32>account);
      store<u32>(ref, <u32>key, 4);
      used++;
      accessCount += 1 + slots;
      const last = account + RA_SIZE + <usize>slots * RS_SIZE;
      for (let slot = account + RA_SIZE; slot < last; slot += RS_SIZE) store<u32>(slot, <u32>slotOf(key, slot + RS_KEY), RS_CELL);
    }
    account += RA_SIZE + <usize>slots * RS_SIZE;
  }
  store<u32>(part, used, P_COUNT);
  store<u32>(part, <u32>at, P_AT);
  replace(index, part);
  return true;
}

/** Do so many accounts with their slots lie within `size` bytes? */
function isWhole(at: usize, size: u32, count: u32): bool {
  let left = <u64>size;
  for (let n: u32 = 0; n < count; n++) {
    if (left < RA_SIZE) return false;
    const own = RA_SIZE + <u64>load<u32>(at, RA_SLOTS) * RS_SIZE;
    if (left < own) return false;
    left -= own;
    at += <usize>own;
  }
  return true;
}

/** Does the account depend on anything or change anything? */
@inline function isConsequential(a: usize, slots: u32): bool {
  return (
    slots != 0 ||
    (load<u32>(a, RA_FLAGS) & CONSEQUENTIAL) != 0 ||
    load<u64>(a, RA_NONCE) != load<u64>(a, RA_NONCE_BEFORE) ||
    !equal32(a + RA_BALANCE, a + RA_BALANCE_BEFORE) ||
    !equal32(a + RA_CODE, a + RA_CODE_BEFORE) ||
    !isZero(a + RA_AT_LEAST)
  );
}

@inline function partOf(index: u32): usize {
  return load<u32>(parts + (<usize>index << 2));
}

function replace(index: u32, part: usize): void {
  const before = partOf(index);
  store<u32>(parts + (<usize>index << 2), <u32>part);
  if (before != 0 && sameWrites(before, part)) {
    // Lists lead to the earlier part, which says the same.
    if (index == frontier) isBlocked = false;
    else if (index < frontier && !holds(index)) takeBack(index);
    return;
  }
  if (before != 0) unwrite(index, before);
  write(index, part);
  if (index <= frontier) takeBack(index);
}

function takeBack(index: u32): void {
  frontier = min(frontier, index);
  isBlocked = false;
}

function write(index: u32, part: usize): void {
  const last = part + P_HEAD + <usize>load<u32>(part, P_COUNT) * P_REF;
  for (let ref = part + P_HEAD; ref < last; ref += P_REF) {
    const a: usize = load<u32>(ref), k: usize = load<u32>(ref, 4);
    const flags = load<u32>(a, RA_FLAGS);
    if (!equal32(a + RA_BALANCE, a + RA_BALANCE_BEFORE)) unsum(k, put(k + K_BALANCES, index, a));
    if (load<u64>(a, RA_NONCE) != load<u64>(a, RA_NONCE_BEFORE)) put(k + K_NONCES, index, a);
    if (!equal32(a + RA_CODE, a + RA_CODE_BEFORE)) put(k + K_CODES, index, a);
    if (flags & TF_TOUCHED) put(k + K_TOUCHED, index, a);
    if (flags & TF_DESTROYED) {
      // What it wrote to its storage is gone with it.
      put(k + K_CLEARED, index, a);
      continue;
    }
    const end = a + RA_SIZE + <usize>load<u32>(a, RA_SLOTS) * RS_SIZE;
    for (let slot = a + RA_SIZE; slot < end; slot += RS_SIZE)
      if (load<u32>(slot, RS_WRITTEN) != 0) put(<usize>load<u32>(slot, RS_CELL) + V_WRITES, index, slot);
  }
}

function unwrite(index: u32, part: usize): void {
  const last = part + P_HEAD + <usize>load<u32>(part, P_COUNT) * P_REF;
  for (let ref = part + P_HEAD; ref < last; ref += P_REF) {
    const a: usize = load<u32>(ref), k: usize = load<u32>(ref, 4);
    const flags = load<u32>(a, RA_FLAGS);
    if (!equal32(a + RA_BALANCE, a + RA_BALANCE_BEFORE)) unsum(k, remove(k + K_BALANCES, index));
    if (load<u64>(a, RA_NONCE) != load<u64>(a, RA_NONCE_BEFORE)) remove(k + K_NONCES, index);
    if (!equal32(a + RA_CODE, a + RA_CODE_BEFORE)) remove(k + K_CODES, index);
    if (flags & TF_TOUCHED) remove(k + K_TOUCHED, index);
    if (flags & TF_DESTROYED) {
      remove(k + K_CLEARED, index);
      continue;
    }
    const end = a + RA_SIZE + <usize>load<u32>(a, RA_SLOTS) * RS_SIZE;
    for (let slot = a + RA_SIZE; slot < end; slot += RS_SIZE)
      if (load<u32>(slot, RS_WRITTEN) != 0) remove(<usize>load<u32>(slot, RS_CELL) + V_WRITES, index);
  }
}

/** Would readers see the same after either? */
function sameWrites(one: usize, other: usize): bool {
  const count = load<u32>(one, P_COUNT);
  if (count != load<u32>(other, P_COUNT)) return false;
  for (let n: u32 = 0; n < count; n++) {
    const ref = P_HEAD + <usize>n * P_REF;
    if (load<u32>(one + ref, 4) != load<u32>(other + ref, 4)) return false;
    if (!sameWritesOf(load<u32>(one + ref), load<u32>(other + ref))) return false;
  }
  return true;
}

function sameWritesOf(a: usize, b: usize): bool {
  const flags = load<u32>(a, RA_FLAGS);
  if (((flags ^ load<u32>(b, RA_FLAGS)) & (TF_DESTROYED | TF_TOUCHED)) != 0) return false;
  const nonce = load<u64>(a, RA_NONCE), otherNonce = load<u64>(b, RA_NONCE);
  const isCounted = nonce != load<u64>(a, RA_NONCE_BEFORE);
  if (isCounted != (otherNonce != load<u64>(b, RA_NONCE_BEFORE)) || (isCounted && nonce != otherNonce)) return false;
  const isRecoded = !equal32(a + RA_CODE, a + RA_CODE_BEFORE);
  if (isRecoded == equal32(b + RA_CODE, b + RA_CODE_BEFORE)) return false;
  if (isRecoded && !equal32(a + RA_CODE, b + RA_CODE)) return false;
  addChange(CHANGE, NO_SUM, a + RA_BALANCE, a + RA_BALANCE_BEFORE);
  addChange(OTHER_CHANGE, NO_SUM, b + RA_BALANCE, b + RA_BALANCE_BEFORE);
  if (!equal32(CHANGE, OTHER_CHANGE) || load<u64>(CHANGE, 32) != load<u64>(OTHER_CHANGE, 32)) return false;
  const slots = load<u32>(a, RA_SLOTS);
  if (slots != load<u32>(b, RA_SLOTS)) return false;
  const isGone = (flags & TF_DESTROYED) != 0;
  for (let n: u32 = 0; n < slots; n++) {
    const slot = a + RA_SIZE + <usize>n * RS_SIZE, other = b + RA_SIZE + <usize>n * RS_SIZE;
    if (load<u32>(slot, RS_CELL) != load<u32>(other, RS_CELL)) return false;
    if (isGone) continue;
    const isWritten = load<u32>(slot, RS_WRITTEN) != 0;
    if (isWritten != (load<u32>(other, RS_WRITTEN) != 0)) return false;
    if (isWritten && !equal32(slot + RS_VALUE, other + RS_VALUE)) return false;
  }
  return true;
}

/** Validates as far as parts are there and hold; the new frontier. */
export function advance(): u32 {
  while (!isBlocked && frontier < txCount && partOf(frontier) != 0) {
    if (holds(frontier)) frontier++;
    else isBlocked = true;
  }
  return frontier;
}

/** Does the part hold against the versions below it? If not, `wrongAccount` and `wrongSlot` say what does not. */
function holds(index: u32): bool {
  const part = partOf(index);
  if (part == 0) return true;
  const last = part + P_HEAD + <usize>load<u32>(part, P_COUNT) * P_REF;
  for (let ref = part + P_HEAD; ref < last; ref += P_REF) {
    const a: usize = load<u32>(ref), k: usize = load<u32>(ref, 4);
    if (!fieldsHold(a, k, index)) {
      wrongAccount = ref;
      wrongSlot = 0;
      return false;
    }
    if (!slotsHold(ref, a, k, index)) return false;
  }
  return true;
}

@inline function fieldsHold(a: usize, k: usize, index: u32): bool {
  const flags = load<u32>(a, RA_FLAGS);
  if (!isZero(a + RA_AT_LEAST)) {
    const balance = balanceAt(k, index);
    const upper = load<i64>(balance, 32);
    if (upper < 0 || (upper == 0 && less(balance, a + RA_AT_LEAST))) return false;
  }
  if ((flags & (TF_READ_NONCE | TF_NONCE_PREDICATE)) != 0 && nonceAt(k, index) != load<u64>(a, RA_NONCE_BEFORE)) return false;
  if ((flags & TF_READ_CODE) != 0 && !equal32(codeHashAt(k, index), a + RA_CODE_BEFORE)) return false;
  if ((flags & TF_READ_BALANCE) != 0) {
    const balance = balanceAt(k, index);
    if (load<u64>(balance, 32) != 0 || !equal32(balance, a + RA_BALANCE_BEFORE)) return false;
  }
  return (flags & TF_READ_EMPTY) == 0 || isEmptyAt(k, index) == wasEmpty(a);
}

@inline function wasEmpty(a: usize): bool {
  return load<u64>(a, RA_NONCE_BEFORE) == 0 && isZero(a + RA_BALANCE_BEFORE) && equal32(a + RA_CODE_BEFORE, EMPTY_HASH);
}

@inline function slotsHold(ref: usize, a: usize, k: usize, index: u32): bool {
  const end = a + RA_SIZE + <usize>load<u32>(a, RA_SLOTS) * RS_SIZE;
  for (let slot = a + RA_SIZE; slot < end; slot += RS_SIZE)
    if (!equal32(slotAt(k, load<u32>(slot, RS_CELL), index), slot + RS_BEFORE)) {
      wrongAccount = ref;
      wrongSlot = slot;
      return false;
    }
  return true;
}

/** Tells the dependency of a transaction that does not hold: 0 none, 1 on a field of an account, 2 on a slot. */
export function conflict(index: u32): u32 {
  return holds(index) ? 0 : explain(index);
}

/**
 * Tells a slot that the transaction read and that somebody below has since given another value: 0 or 2. Early and
 * advisory: what is still missing below may change the answer, so fields that add up are not looked at.
 */
export function staleSlot(index: u32): u32 {
  const part = partOf(index);
  if (part == 0) return 0;
  const last = part + P_HEAD + <usize>load<u32>(part, P_COUNT) * P_REF;
  for (let ref = part + P_HEAD; ref < last; ref += P_REF)
    if (!slotsHold(ref, load<u32>(ref), load<u32>(ref, 4), index)) return explain(index);
  return 0;
}

function explain(index: u32): u32 {
  const k: usize = load<u32>(wrongAccount, 4);
  memory.copy(QUESTION + Q_ADDRESS, k + K_ADDRESS, 20);
  if (wrongSlot == 0) return 1;
  const slot: usize = load<u32>(wrongSlot, RS_CELL);
  copy32(QUESTION + Q_SLOT, slot + V_KEY);
  copy32(QUESTION + Q_VALUE, slotAt(k, slot, index));
  store<i32>(QUESTION, writerBelow(slot + V_WRITES, index), Q_WRITER);
  return 2;
}

/** Answers for the account asked for, as a transaction at `index` finds it: 1 when it is there. */
export function account(index: u32): u32 {
  const k = accountOf(QUESTION + Q_ADDRESS);
  const flags = load<u32>(k, K_FLAGS);
  const nonce = nonceAt(k, index);
  const hash = codeHashAt(k, index);
  const balance = balanceAt(k, index);
  // A balance above what is there yet may be spent by a speculation: what is missing comes later, or it fails to hold.
  const isOwing = load<i64>(balance, 32) < 0;
  const hasStorage = (flags & KF_HAS_STORAGE) != 0 && writerBelow(k + K_CLEARED, index) < 0;
  const isUnchanged =
    isUnwritten(k + K_BALANCES) && isUnwritten(k + K_NONCES) && isUnwritten(k + K_CODES) && isUnwritten(k + K_CLEARED);
  const isNothing = nonce == 0 && equal32(hash, EMPTY_HASH) && isZero(balance) && load<u64>(balance, 32) == 0 && !hasStorage;
  if (isUnchanged ? (flags & KF_EXISTS) == 0 : isNothing) return 0;
  store<u64>(QUESTION, nonce, Q_NONCE);
  if (isOwing) zero32(QUESTION + Q_BALANCE);
  else copy32(QUESTION + Q_BALANCE, balance);
  copy32(QUESTION + Q_CODE_HASH, hash);
  store<u32>(QUESTION, u32(hasStorage), Q_HAS_STORAGE);
  return 1;
}

/** Answers for the slot asked for. */
export function storage(index: u32): void {
  const k = accountOf(QUESTION + Q_ADDRESS);
  copy32(QUESTION + Q_VALUE, slotAt(k, slotOf(k, QUESTION + Q_SLOT), index));
}

/**
 * Writes into the accounts of a final part what a serial run would have found: fields nobody depended on may have been
 * others. How many were; their addresses at `correctedAt`.
 */
export function settle(index: u32): u32 {
  const part = partOf(index);
  const count: u32 = part == 0 ? 0 : load<u32>(part, P_COUNT);
  if (count > correctedRoom) {
    correctedRoom = count << 1;
    corrected = take(<usize>correctedRoom << 2);
  }
  let found: u32 = 0;
  for (let n: u32 = 0; n < count; n++) {
    const ref = part + P_HEAD + <usize>n * P_REF;
    const a: usize = load<u32>(ref);
    if (!settleAccount(a, load<u32>(ref, 4), index)) continue;
    store<u32>(corrected + (<usize>found << 2), <u32>a);
    found++;
  }
  return found;
}

function settleAccount(a: usize, k: usize, index: u32): bool {
  let isOther = false;
  const nonce = nonceAt(k, index), assumedNonce = load<u64>(a, RA_NONCE_BEFORE);
  if (nonce != assumedNonce) {
    isOther = true;
    if (load<u64>(a, RA_NONCE) == assumedNonce) store<u64>(a, nonce, RA_NONCE);
    store<u64>(a, nonce, RA_NONCE_BEFORE);
  }
  const balance = balanceAt(k, index);
  if (!equal32(balance, a + RA_BALANCE_BEFORE)) {
    isOther = true;
    addChange(CHANGE, balance, a + RA_BALANCE, a + RA_BALANCE_BEFORE);
    copy32(a + RA_BALANCE, CHANGE);
    copy32(a + RA_BALANCE_BEFORE, balance);
  }
  const hash = codeHashAt(k, index);
  if (!equal32(hash, a + RA_CODE_BEFORE)) {
    isOther = true;
    if (equal32(a + RA_CODE, a + RA_CODE_BEFORE)) copy32(a + RA_CODE, hash);
    copy32(a + RA_CODE_BEFORE, hash);
  }
  return isOther;
}

/** Where the accounts of a transaction's part were copied, whose slots are as they were before again: it is final. */
export function release(index: u32): u32 {
  const part = partOf(index);
  if (part == 0) return 0;
  const last = part + P_HEAD + <usize>load<u32>(part, P_COUNT) * P_REF;
  for (let ref = part + P_HEAD; ref < last; ref += P_REF) {
    const a: usize = load<u32>(ref);
    const end = a + RA_SIZE + <usize>load<u32>(a, RA_SLOTS) * RS_SIZE;
    for (let slot = a + RA_SIZE; slot < end; slot += RS_SIZE) store<u32>(slot, 0, RS_CELL);
  }
  return load<u32>(part, P_AT);
}

/** Writes the net effect of all parts as the VM does (layout.ts); of codes that were set only the hashes. Where it is. */
export function net(): u32 {
  // Sums take memory: they are made before, so that what is written stays in one piece.
  for (let k = accountChain; k != 0; k = load<u32>(k, K_NEXT)) balanceAt(k, txCount);
  const head = take(N_HEAD);
  let accounts: u32 = 0, codes: u32 = 0;
  for (let k = accountChain; k != 0; k = load<u32>(k, K_NEXT)) if (writeNet(k)) accounts++;
  for (let k = accountChain; k != 0; k = load<u32>(k, K_NEXT)) {
    const hash = codeHashAt(k, txCount);
    if (isUnwritten(k + K_CODES) || equal32(hash, EMPTY_HASH)) continue;
    const at = take(40);
    copy32(at, hash);
    store<u64>(at, 0, 32);
    codes++;
  }
  store<u32>(head, accounts);
  store<u32>(head, codes, 4);
  netEndNow = taken();
  return <u32>head;
}

function writeNet(k: usize): bool {
  const wiped = writerBelow(k + K_CLEARED, txCount);
  const balance = balanceAt(k, txCount);
  const entry = take(N_SIZE);
  let slots: u32 = 0;
  for (let v: usize = load<u32>(k, K_SLOTS); v != 0; v = load<u32>(v, V_NEXT)) {
    if (writerBelow(v + V_WRITES, txCount) <= wiped) continue;
    const at = take(64);
    copy32(at, v + V_KEY);
    copy32(at + 32, slotAt(k, v, txCount));
    slots++;
  }
  const isChanged =
    slots > 0 ||
    wiped >= 0 ||
    !isUnwritten(k + K_NONCES) ||
    !isUnwritten(k + K_CODES) ||
    !equal32(balance, k + K_BALANCE) ||
    (!isUnwritten(k + K_TOUCHED) && isEmptyAt(k, txCount));
  if (!isChanged) {
    giveBack(entry);
    return false;
  }
  store<u32>(entry, u32(wiped >= 0), N_FLAGS);
  store<u32>(entry, slots, N_SLOTS);
  memory.copy(entry + N_ADDRESS, k + K_ADDRESS, 20);
  store<u32>(entry, 0, N_ADDRESS + 20);
  store<u64>(entry, nonceAt(k, txCount), N_NONCE);
  copy32(entry + N_BALANCE, balance);
  copy32(entry + N_CODE_HASH, codeHashAt(k, txCount));
  return true;
}

export function netEnd(): u32 {
  return <u32>netEndNow;
}

/** Accounts and slots of the parts taken so far. */
export function accesses(): u32 {
  return accessCount;
}

export function questionAt(): u32 {
  return <u32>QUESTION;
}

export function correctedAt(): u32 {
  return <u32>corrected;
}
