/**
 * Owns the bytes of transactions: types 0 to 4 and the deposit 0x7E, decoded strictly into TX. Signatures are not
 * checked here, the sender is given.
 * @see EIP-2718, 2930, 1559, 4844, 7702; OP Stack specification, deposits
 */
import {
  SCRATCH, T_ACCESS, T_ACCESS_LEN, T_AUTH, T_AUTH_LEN, T_BLOB_COUNT, T_BLOBS, T_CHAIN_ID, T_DATA, T_DATA_LEN, T_FLAGS, T_GAS_LIMIT,
  T_HAS_CHAIN_ID, T_MAX_BLOB_FEE, T_MAX_FEE, T_MAX_TIP, T_MINT, T_NONCE, T_TO, T_TYPE, T_VALUE, TX,
} from "./layout";
import { isInteger, itemAt, itemIsList, itemLength, itemU64, readItem } from "./rlp";
import { Skip } from "./skip";
import { copy32, fits64, fromShortBytes, less } from "./u256";

let at: usize = 0;
let end: usize = 0;
let ok: bool = true;

/** Reads the next item of the transaction's list. */
function next(): void {
  if (!ok) return;
  const after = readItem(at, end);
  if (after == 0) {
    ok = false;
    return;
  }
  at = after;
}

function word(field: usize): void {
  next();
  if (!ok || !isInteger(32)) {
    ok = false;
    return;
  }
  fromShortBytes(TX + field, itemAt, itemLength);
}

function u64Field(field: usize): void {
  next();
  if (!ok || !isInteger(8)) {
    ok = false;
    return;
  }
  store<u64>(TX + field, itemU64());
}

function addressLimbs(to: usize, from: usize): void {
  store<u64>(to, bswap<u64>(load<u64>(from, 12)));
  store<u64>(to, bswap<u64>(load<u64>(from, 4)), 8);
  store<u64>(to, <u64>bswap<u32>(load<u32>(from)), 16);
}

function destination(mayCreate: bool): void {
  next();
  if (!ok) return;
  if (!itemIsList && itemLength == 20) addressLimbs(TX + T_TO, itemAt);
  else if (!itemIsList && itemLength == 0 && mayCreate) store<u32>(TX, 1, T_FLAGS);
  else ok = false;
}

function dataField(): void {
  next();
  if (!ok || itemIsList) {
    ok = false;
    return;
  }
  store<u32>(TX, <u32>itemAt, T_DATA);
  store<u32>(TX, itemLength, T_DATA_LEN);
}

/** Checks an access list: [[address, [slot, ...]], ...]. */
export function checkAccessList(list: usize, length: u32): bool {
  let p = list;
  const stop = list + length;
  while (p < stop) {
    const after = readItem(p, stop);
    if (after == 0 || !itemIsList) return false;
    const entryEnd = itemAt + itemLength;
    let q = readItem(itemAt, entryEnd);
    if (q == 0 || itemIsList || itemLength != 20) return false;
    q = readItem(q, entryEnd);
    if (q != entryEnd || !itemIsList) return false;
    const slotsEnd = itemAt + itemLength;
    let s = itemAt;
    while (s < slotsEnd) {
      s = readItem(s, slotsEnd);
      if (s == 0 || itemIsList || itemLength != 32) return false;
    }
    p = after;
  }
  return true;
}

function accessList(): void {
  next();
  if (!ok || !itemIsList) {
    ok = false;
    return;
  }
  const list = itemAt, length = itemLength;
  if (!checkAccessList(list, length)) {
    ok = false;
    return;
  }
  store<u32>(TX, <u32>list, T_ACCESS);
  store<u32>(TX, length, T_ACCESS_LEN);
}

function blobHashes(): void {
  next();
  if (!ok || !itemIsList || itemLength % 33 != 0) {
    ok = false;
    return;
  }
  const list = itemAt;
  const count = itemLength / 33;
  for (let i: u32 = 0; i < count; i++) if (load<u8>(list + i * 33) != 0xa0) ok = false;
  store<u32>(TX, <u32>list, T_BLOBS);
  store<u32>(TX, count, T_BLOB_COUNT);
}

/** Checks authorisations: [[chainId, address, nonce, yParity, r, s], ...]. */
export function checkAuthorizations(list: usize, length: u32): bool {
  let p = list;
  const stop = list + length;
  while (p < stop) {
    const after = readItem(p, stop);
    if (after == 0 || !itemIsList) return false;
    const entryEnd = itemAt + itemLength;
    let q = readItem(itemAt, entryEnd);
    if (q == 0 || !isInteger(32)) return false;
    q = readItem(q, entryEnd);
    if (q == 0 || itemIsList || itemLength != 20) return false;
    q = readItem(q, entryEnd);
    if (q == 0 || !isInteger(8)) return false;
    q = readItem(q, entryEnd);
    if (q == 0 || !isInteger(1)) return false;
    q = readItem(q, entryEnd);
    if (q == 0 || !isInteger(32)) return false;
    q = readItem(q, entryEnd);
    if (q != entryEnd || !isInteger(32)) return false;
    p = after;
  }
  return true;
}

function authorizations(): void {
  next();
  if (!ok || !itemIsList) {
    ok = false;
    return;
  }
  const list = itemAt, length = itemLength;
  if (!checkAuthorizations(list, length)) {
    ok = false;
    return;
  }
  store<u32>(TX, <u32>list, T_AUTH);
  store<u32>(TX, length, T_AUTH_LEN);
}

/** Order of secp256k1 and half of it, as words. */
const ORDER: usize = memory.data<u64>([0xbfd25e8cd0364141, 0xbaaedce6af48a03b, 0xfffffffffffffffe, 0xffffffffffffffff]);
const ORDER_HALF: usize = memory.data<u64>([0xdfe92f46681b20a0, 0x5d576e7357a4501d, 0xffffffffffffffff, 0x7fffffffffffffff]);

@inline const V: usize = SCRATCH + 0x600;
@inline const RS: usize = SCRATCH + 0x620;
/** Reads v (or the parity) into V, then r and s, which must be in their ranges (EIP-2). */
function signature(): void {
  next();
  if (!ok || !isInteger(32)) {
    ok = false;
    return;
  }
  fromShortBytes(V, itemAt, itemLength);
  next();
  if (!ok || !isInteger(32) || itemLength == 0) {
    ok = false;
    return;
  }
  fromShortBytes(RS, itemAt, itemLength);
  if (!less(RS, ORDER)) ok = false;
  next();
  if (!ok || !isInteger(32) || itemLength == 0) {
    ok = false;
    return;
  }
  fromShortBytes(RS, itemAt, itemLength);
  if (less(ORDER_HALF, RS)) ok = false;
}

/** Signed transactions above this size are no transactions; deposits are bounded by their L1 block. */
const SIZE_MAX: u32 = 128 * 1024;

/** Decodes `length` bytes at `from` into TX; a Skip reason, or 0. */
export function decodeTransaction(from: usize, length: u32): u32 {
  memory.fill(TX, 0, 512);
  if (length == 0) return Skip.UNDECODABLE;
  const first = <u32>load<u8>(from);
  const limit = from + length;
  const typed = first < 0x80;
  const type: u32 = typed ? first : 0;
  if (typed && (type == 0 || (type > 4 && type != 0x7e))) return Skip.UNDECODABLE;
  if (type != 0x7e && length > SIZE_MAX) return Skip.UNDECODABLE;
  store<u32>(TX, type, T_TYPE);
  if (readItem(typed ? from + 1 : from, limit) != limit || !itemIsList) return Skip.UNDECODABLE;
  at = itemAt;
  end = limit;
  ok = true;
  if (type == 0x7e) {
    next(); // source hash
    if (itemIsList || itemLength != 32) ok = false;
    next(); // from: the sender given by the host
    if (itemIsList || itemLength != 20) ok = false;
    destination(true);
    word(T_MINT);
    word(T_VALUE);
    u64Field(T_GAS_LIMIT);
    next();
    if (!ok || !isInteger(1) || itemU64() > 1) return Skip.UNDECODABLE;
    if (itemU64() == 1) store<u32>(TX, load<u32>(TX, T_FLAGS) | 2, T_FLAGS);
    dataField();
    return ok && at == end ? 0 : Skip.UNDECODABLE;
  }
  if (typed) {
    word(T_CHAIN_ID);
    store<u32>(TX, 1, T_HAS_CHAIN_ID);
  }
  u64Field(T_NONCE);
  if (type >= 2) word(T_MAX_TIP);
  word(T_MAX_FEE);
  if (type < 2) copy32(TX + T_MAX_TIP, TX + T_MAX_FEE);
  u64Field(T_GAS_LIMIT);
  destination(true);
  word(T_VALUE);
  dataField();
  if (typed) accessList();
  if (type == 3) {
    word(T_MAX_BLOB_FEE);
    blobHashes();
  }
  if (type == 4) authorizations();
  signature();
  if (!ok || at != end) return Skip.UNDECODABLE;
  if (typed) return fits64(V) && load<u64>(V) <= 1 ? 0 : Skip.UNDECODABLE;
  // EIP-155: v = 35 + 2 * chain id + parity
  if (!fits64(V)) return Skip.WRONG_CHAIN;
  const v = load<u64>(V);
  if (v >= 35) {
    store<u64>(TX, (v - 35) >> 1, T_CHAIN_ID);
    store<u32>(TX, 1, T_HAS_CHAIN_ID);
    return 0;
  }
  return v == 27 || v == 28 ? 0 : Skip.UNDECODABLE;
}
