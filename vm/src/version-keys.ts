/**
 * Owns the keys of an epoch: accounts and slots by hash of their bytes, each with its value before the epoch, asked of
 * the host once, and lists of who wrote it at which position of the order. A lookup asks for what a transaction at some
 * position sees: the latest write below it, of balances the sum of all below. In the usual case writes come in order and
 * every operation is constant. Memory is taken from the end and never freed before `resetKeys`.
 */
import { EMPTY_HASH } from "./empty-hash";
import { hostAccount, hostFull, hostGrown, hostStorage, PRESENT } from "./host";
import { copy32, equal32, isZero, zero32 } from "./u256";
import {
  K_ADDRESS, K_BALANCE, K_BALANCES, K_CLEARED, K_CODE_HASH, K_CODES, K_FLAGS, K_HASH, K_NEXT, K_NONCE, K_NONCES, K_SIZE, K_SLOTS,
  K_SUM_ROOM, K_SUMMED, K_SUMS, KF_EXISTS, KF_HAS_STORAGE, L_AT, L_COUNT, L_ROOM, LE_SIZE, RA_BALANCE, RA_BALANCE_BEFORE, RA_CODE, RA_NONCE,
  RS_VALUE, SUM_SIZE, V_ACCOUNT, V_BASE, V_HASH, V_KEY, V_NEXT, V_SIZE, V_WRITES,
} from "./versions-layout";

@inline const PAGE: usize = 0x10000;
/** What is added at least when memory ends. */
@inline const GROWTH_PAGES: usize = 64;
@inline const ACCOUNTS_AT_FIRST: u32 = 4096;
@inline const SLOTS_AT_FIRST: u32 = 8192;

const ZERO: usize = memory.data(32, 8);
const HOST_ACCOUNT: usize = memory.data(80, 8);

let top: usize = 0;
let end: usize = 0;
let seed0: u64 = 0;
let seed1: u64 = 0;
/** Open addressing: u32 addresses of records, at most half full. */
let accountTable: usize = 0;
let accountRoom: u32 = 0;
let accountCount: u32 = 0;
let slotTable: usize = 0;
let slotRoom: u32 = 0;
let slotCount: u32 = 0;
/** All accounts, newest first. */
export let accountChain: usize = 0;

/** Strangers choose keys: the tables are seeded, or they could choose some that collide. */
export function setSeed(a: u64, b: u64): void {
  seed0 = a;
  seed1 = b;
}

export function resetKeys(): void {
  top = (__heap_base + 15) & ~15;
  end = <usize>memory.size() * PAGE;
  accountChain = 0;
  accountCount = 0;
  slotCount = 0;
  accountRoom = ACCOUNTS_AT_FIRST;
  slotRoom = SLOTS_AT_FIRST;
  accountTable = emptyTable(accountRoom);
  slotTable = emptyTable(slotRoom);
}

/** Takes memory; what is in it is left over from before. */
export function take(size: usize): usize {
  const at = top;
  // In 64 bits: the memory may end where 32 do.
  const next = <u64>at + ((<u64>size + 7) & ~7);
  if (next > <u64>end) grow(next);
  top = <usize>next;
  return at;
}

/** Gives back what was taken from `to` on. */
@inline export function giveBack(to: usize): void {
  top = to;
}

/** Where the next piece is taken. */
@inline export function taken(): usize {
  return top;
}

function grow(to: u64): void {
  const missing = <usize>((to - <u64>end + PAGE - 1) / PAGE);
  const more = max(missing, max(GROWTH_PAGES, <usize>memory.size() >> 1));
  if (memory.grow(<i32>more) < 0 && memory.grow(<i32>missing) < 0) {
    hostFull();
    unreachable();
  }
  hostGrown();
  end = <usize>memory.size() * PAGE;
}

function emptyTable(room: u32): usize {
  const at = take(<usize>room << 2);
  memory.fill(at, 0, <usize>room << 2);
  return at;
}

@inline function mix(x: u64): u64 {
  x ^= x >> 32;
  x *= 0x9fb21c651e98df25;
  x ^= x >> 29;
  return x;
}
@inline function hashOfAddress(at: usize): u32 {
  const a = (load<u64>(at) ^ seed0) * 0x9e3779b97f4a7c15;
  const b = rotl<u64>(load<u64>(at, 8) ^ seed1, 29);
  return <u32>(mix(a + b + <u64>load<u32>(at, 16) * 0xc2b2ae3d27d4eb4f) >> 20);
}
@inline function hashOfSlot(account: usize, key: usize): u32 {
  const a = (load<u64>(key) ^ seed0) * 0x9e3779b97f4a7c15;
  const b = rotl<u64>((load<u64>(key, 8) ^ seed1) * 0xc2b2ae3d27d4eb4f, 31);
  const c = rotl<u64>((load<u64>(key, 16) ^ seed0) * 0x9fb21c651e98df25, 17);
  const d = (load<u64>(key, 24) ^ seed1) * 0xd6e8feb86659fd93;
  return <u32>(mix(a + b + c + rotl<u64>(d, 41) + <u64>account * 0xd6e8feb86659fd93) >> 20);
}

/** A table twice as large with the same records, whose hash is at `hashAt` in each. */
function enlarged(table: usize, room: u32, hashAt: usize): usize {
  const larger = emptyTable(room << 1);
  const mask = (room << 1) - 1;
  for (let i: u32 = 0; i < room; i++) {
    const record = load<u32>(table + (<usize>i << 2));
    if (record == 0) continue;
    let home = load<u32>(<usize>record + hashAt) & mask;
    while (load<u32>(larger + (<usize>home << 2)) != 0) home = (home + 1) & mask;
    store<u32>(larger + (<usize>home << 2), record);
  }
  return larger;
}

/** The record of the account whose 20 bytes are at `address`. */
export function accountOf(address: usize): usize {
  const hash = hashOfAddress(address);
  let i = hash & (accountRoom - 1);
  while (true) {
    const k: usize = load<u32>(accountTable + (<usize>i << 2));
    if (k == 0) break;
    if (
      load<u64>(k) == load<u64>(address) &&
      load<u64>(k, 8) == load<u64>(address, 8) &&
      load<u32>(k, 16) == load<u32>(address, 16)
    )
      return k;
    i = (i + 1) & (accountRoom - 1);
  }
  return makeAccount(address, hash);
}

function makeAccount(address: usize, hash: u32): usize {
  const k = take(K_SIZE);
  memory.fill(k, 0, K_SIZE);
  memory.copy(k + K_ADDRESS, address, 20);
  store<u32>(k, hash, K_HASH);
  if (hostAccount(k + K_ADDRESS, HOST_ACCOUNT) == PRESENT) {
    store<u64>(k, load<u64>(HOST_ACCOUNT), K_NONCE);
    copy32(k + K_BALANCE, HOST_ACCOUNT + 8);
    copy32(k + K_CODE_HASH, HOST_ACCOUNT + 40);
    store<u32>(k, load<u32>(HOST_ACCOUNT, 72) & 1 ? KF_EXISTS | KF_HAS_STORAGE : KF_EXISTS, K_FLAGS);
  } else copy32(k + K_CODE_HASH, EMPTY_HASH);
  if (accountCount >= accountRoom >> 1) {
    accountTable = enlarged(accountTable, accountRoom, K_HASH);
    accountRoom <<= 1;
  }
  enter(accountTable, accountRoom, hash, k);
  accountCount++;
  store<u32>(k, <u32>accountChain, K_NEXT);
  accountChain = k;
  return k;
}

function enter(table: usize, room: u32, hash: u32, record: usize): void {
  let i = hash & (room - 1);
  while (load<u32>(table + (<usize>i << 2)) != 0) i = (i + 1) & (room - 1);
  store<u32>(table + (<usize>i << 2), <u32>record);
}

/** The record of the slot whose 32 bytes are at `key`. */
export function slotOf(account: usize, key: usize): usize {
  const hash = hashOfSlot(account, key);
  let i = hash & (slotRoom - 1);
  while (true) {
    const v: usize = load<u32>(slotTable + (<usize>i << 2));
    if (v == 0) break;
    if (<usize>load<u32>(v, V_ACCOUNT) == account && equal32(v + V_KEY, key)) return v;
    i = (i + 1) & (slotRoom - 1);
  }
  return makeSlot(account, key, hash);
}

function makeSlot(account: usize, key: usize, hash: u32): usize {
  const v = take(V_SIZE);
  memory.fill(v, 0, V_SIZE);
  copy32(v + V_KEY, key);
  store<u32>(v, <u32>account, V_ACCOUNT);
  store<u32>(v, hash, V_HASH);
  if (hostStorage(account + K_ADDRESS, v + V_KEY, v + V_BASE) != PRESENT) zero32(v + V_BASE);
  if (slotCount >= slotRoom >> 1) {
    slotTable = enlarged(slotTable, slotRoom, V_HASH);
    slotRoom <<= 1;
  }
  enter(slotTable, slotRoom, hash, v);
  slotCount++;
  store<u32>(v, load<u32>(account, K_SLOTS), V_NEXT);
  store<u32>(account, <u32>v, K_SLOTS);
  return v;
}

/** How many entries of the list are below `index`. */
@inline function countBelow(list: usize, index: u32): u32 {
  const count = load<u32>(list, L_COUNT);
  if (count == 0) return 0;
  const at: usize = load<u32>(list, L_AT);
  if (load<u32>(at + (<usize>count - 1) * LE_SIZE) < index) return count;
  return search(at, count, index);
}
function search(at: usize, count: u32, index: u32): u32 {
  let low: u32 = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (load<u32>(at + <usize>middle * LE_SIZE) < index) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Puts `value` at `index`, in the place of what may be there; the entry's place. */
export function put(list: usize, index: u32, value: usize): u32 {
  const place = countBelow(list, index);
  const count = load<u32>(list, L_COUNT);
  let at: usize = load<u32>(list, L_AT);
  let entry = at + <usize>place * LE_SIZE;
  if (place < count && load<u32>(entry) == index) {
    store<u32>(entry, <u32>value, 4);
    return place;
  }
  const room = load<u32>(list, L_ROOM);
  if (count == room) {
    const wider: u32 = room == 0 ? 2 : room << 1;
    const moved = take(<usize>wider * LE_SIZE);
    memory.copy(moved, at, <usize>count * LE_SIZE);
    store<u32>(list, <u32>moved, L_AT);
    store<u32>(list, wider, L_ROOM);
    at = moved;
    entry = at + <usize>place * LE_SIZE;
  }
  if (place < count) memory.copy(entry + LE_SIZE, entry, <usize>(count - place) * LE_SIZE);
  store<u32>(entry, index);
  store<u32>(entry, <u32>value, 4);
  store<u32>(list, count + 1, L_COUNT);
  return place;
}

/** Removes what is at `index`; its place, or that of the next one. */
export function remove(list: usize, index: u32): u32 {
  const place = countBelow(list, index);
  const count = load<u32>(list, L_COUNT);
  const entry = <usize>load<u32>(list, L_AT) + <usize>place * LE_SIZE;
  if (place < count && load<u32>(entry) == index) {
    memory.copy(entry, entry + LE_SIZE, <usize>(count - place - 1) * LE_SIZE);
    store<u32>(list, count - 1, L_COUNT);
  }
  return place;
}

@inline export function isUnwritten(list: usize): bool {
  return load<u32>(list, L_COUNT) == 0;
}

/** The latest position below `index` in the list, or -1. */
export function writerBelow(list: usize, index: u32): i32 {
  const count = countBelow(list, index);
  return count == 0 ? -1 : <i32>load<u32>(<usize>load<u32>(list, L_AT) + (<usize>count - 1) * LE_SIZE);
}

/** What the latest one below `index` left, or 0. */
@inline function below(list: usize, index: u32): usize {
  const count = countBelow(list, index);
  return count == 0 ? 0 : <usize>load<u32>(<usize>load<u32>(list, L_AT) + (<usize>count - 1) * LE_SIZE, 4);
}

export function nonceAt(account: usize, index: u32): u64 {
  const writer = below(account + K_NONCES, index);
  return writer == 0 ? load<u64>(account, K_NONCE) : load<u64>(writer, RA_NONCE);
}

/** Where the code hash stands. */
export function codeHashAt(account: usize, index: u32): usize {
  const writer = below(account + K_CODES, index);
  return writer == 0 ? account + K_CODE_HASH : writer + RA_CODE;
}

/** Where the balance stands, as a sum. */
export function balanceAt(account: usize, index: u32): usize {
  const count = countBelow(account + K_BALANCES, index);
  if (count == 0) return account + K_BALANCE;
  if (count > load<u32>(account, K_SUMMED)) sumUp(account, count);
  return <usize>load<u32>(account, K_SUMS) + <usize>count * SUM_SIZE;
}

/** Sums up the first `count` changes. */
function sumUp(account: usize, count: u32): void {
  const room = load<u32>(account, K_BALANCES + L_ROOM) + 1;
  let sums: usize = load<u32>(account, K_SUMS);
  let summed = load<u32>(account, K_SUMMED);
  if (load<u32>(account, K_SUM_ROOM) <= count) {
    const wider = take(<usize>room * SUM_SIZE);
    if (sums == 0) memory.copy(wider, account + K_BALANCE, SUM_SIZE);
    else memory.copy(wider, sums, (<usize>summed + 1) * SUM_SIZE);
    sums = wider;
    store<u32>(account, <u32>sums, K_SUMS);
    store<u32>(account, room, K_SUM_ROOM);
  }
  const changes: usize = load<u32>(account, K_BALANCES + L_AT);
  for (; summed < count; summed++) {
    const sum = sums + <usize>summed * SUM_SIZE;
    const change: usize = load<u32>(changes + <usize>summed * LE_SIZE, 4);
    addChange(sum + SUM_SIZE, sum, change + RA_BALANCE, change + RA_BALANCE_BEFORE);
  }
  store<u32>(account, summed, K_SUMMED);
}

/** Sums above the first `place` changes are not right any more. */
@inline export function unsum(account: usize, place: u32): void {
  if (load<u32>(account, K_SUMMED) > place) store<u32>(account, place, K_SUMMED);
}

/** to = sum + after - before, of which the latter two are words. */
export function addChange(to: usize, sum: usize, after: usize, before: usize): void {
  let carry: u64 = 0;
  let borrow: u64 = 0;
  for (let i: usize = 0; i < 32; i += 8) {
    const x = load<u64>(sum + i);
    const y = x + load<u64>(after + i);
    const z = y + carry;
    carry = u64(y < x) | u64(z < y);
    const b = load<u64>(before + i);
    const w = z - b;
    const v = w - borrow;
    borrow = u64(z < b) | u64(w < borrow);
    store<u64>(to + i, v);
  }
  store<u64>(to + 32, load<u64>(sum + 32) + carry - borrow);
}

export function isEmptyAt(account: usize, index: u32): bool {
  if (nonceAt(account, index) != 0 || !equal32(codeHashAt(account, index), EMPTY_HASH)) return false;
  const balance = balanceAt(account, index);
  return isZero(balance) && load<u64>(balance, 32) == 0;
}

/** Where the value of a slot stands. */
export function slotAt(account: usize, slot: usize, index: u32): usize {
  const wiped = isUnwritten(account + K_CLEARED) ? -1 : writerBelow(account + K_CLEARED, index);
  const count = countBelow(slot + V_WRITES, index);
  if (count == 0) return wiped >= 0 ? ZERO : slot + V_BASE;
  const entry = <usize>load<u32>(slot, V_WRITES + L_AT) + (<usize>count - 1) * LE_SIZE;
  if (<i32>load<u32>(entry) <= wiped) return ZERO;
  return <usize>load<u32>(entry, 4) + RS_VALUE;
}
