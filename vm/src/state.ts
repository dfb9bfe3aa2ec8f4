/**
 * Owns the state a batch sees: accounts and slots read from the host once, with the values at the start of the running
 * transaction beside the current ones, and a journal that undoes a frame or a whole transaction.
 * Balances change by deltas: a debit records the least balance left after it, so that "balance before >= x" follows;
 * only what looks at a balance marks it as read (DESIGN D3).
 * On a missing read or a full region `halt` is set and the caller unwinds the whole transaction.
 */
import {
  A_BALANCE, A_BATCH_SLOTS, A_BYTES, A_CHAIN, A_CODE, A_CODE_GEN, A_CODE_HASH, A_FLAGS, A_GEN, A_L0, A_L1, A_L2, A_MIN_REMAINING, A_NEXT,
  A_NONCE, A_O_BALANCE, A_O_CODE_HASH, A_O_NONCE, A_PLACE, A_SIZE, A_SLOTS, A_TX_FLAGS, A_WARM, ACCOUNT_TABLE, ACCOUNT_TABLE_SIZE,
  AF_EXISTS, AF_HAS_STORAGE, AF_LOADED, AF_PRECOMPILE, AF_STORAGE_CLEARED, BATCH, BATCH_END, CANCUN, E_FORK, E_SEED, ENV,
  HOST_ACCOUNT, HOST_WORD, J_KIND, J_OLD, J_RECORD, J_SIZE, JK_BALANCE, JK_CODE, JK_NONCE, JK_STORAGE, JK_TRANSIENT,
  JK_TX_FLAGS, JK_WARM_ACCOUNT, JK_WARM_SLOT, JOURNAL, JOURNAL_END, LONDON, OSAKA, PRAGUE, R_MISSING, S_ACCOUNT,
  S_BATCH_NEXT, S_GEN, S_KEY, S_LOADED, S_NEXT, S_ORIGINAL, S_PLACE, S_SIZE, S_TRANSIENT, S_TRANSIENT_GEN, S_VALUE, S_WARM, SLOT_TABLE,
  SLOT_TABLE_SIZE, TF_DEBITED, TF_JOURNALED, TF_READ_BALANCE, TF_READ_CODE, TF_READ_EMPTY, TF_TOUCHED,
} from "./layout";
import { EMPTY_HASH } from "./empty-hash";
import { hostAccount, hostStorage, MISSING, PRESENT } from "./host";
import { add, copy32, equal32, fromBytes, isZero, less, sub, toBytes, zero32 } from "./u256";

/** Why the whole transaction stops: 0 it does not, else one of these. */
@inline export const HALT_MISSING: u32 = 1;
@inline export const HALT_RESOURCE: u32 = 2;
export let halt: u32 = 0;
/** What is missing: 1 account, 2 slot, 3 code, 4 block hash; the key at MISSING_KEY. */
export let missingKind: u32 = 0;
@inline export const MISSING_KEY: usize = HOST_WORD + 64; // address 20, slot/hash 32

export function stop(reason: u32): void {
  if (halt == 0) halt = reason;
}
export function stopMissing(kind: u32): void {
  if (halt == 0) {
    halt = HALT_MISSING;
    missingKind = kind;
  }
}

let batchTop: usize = BATCH;
let accountCount: u32 = 0;
let slotCount: u32 = 0;
/** All accounts of the batch, newest first. */
export let accountChain: usize = 0;
/** Generation of the running transaction; never reused within a batch. */
export let generation: u32 = 1;
/** Accounts of this transaction in the order of first use. */
export let txAccounts: usize = 0;
let txAccountsTail: usize = 0;
export let txAccountCount: u32 = 0;
export let journalTop: usize = JOURNAL;
export let refund: i64 = 0;
export function setRefund(value: i64): void {
  refund = value;
}
/** Highest precompile number of the fork, contiguous from 1; P256VERIFY (0x100) comes with Osaka. */
let precompileMax: u64 = 9;

/** Forgets everything read; the hash tables are emptied entry by entry: sweeping 5 MB would cost more than a batch. */
export function resetState(): void {
  for (let a = accountChain; a != 0; a = load<u32>(a, A_CHAIN)) {
    store<u32>(load<u32>(a, A_PLACE), 0);
    for (let s: usize = load<u32>(a, A_BATCH_SLOTS); s != 0; s = load<u32>(s, S_BATCH_NEXT)) store<u32>(load<u32>(s, S_PLACE), 0);
  }
  accountChain = 0;
  accountCount = 0;
  slotCount = 0;
  batchTop = BATCH;
  generation = 1;
  txAccounts = 0;
  journalTop = JOURNAL;
  const fork = load<u32>(ENV, E_FORK);
  precompileMax = fork >= PRAGUE ? 0x11 : fork >= CANCUN ? 0x0a : 9;
}

export function beginTransactionState(): void {
  generation++;
  txAccounts = 0;
  txAccountsTail = 0;
  txAccountCount = 0;
  journalTop = JOURNAL;
  refund = 0;
  halt = 0;
}

@inline export function allocate(size: usize): usize {
  const at = batchTop;
  if (at + size > BATCH_END) {
    stop(HALT_RESOURCE);
    return 0;
  }
  batchTop = at + ((size + 7) & ~7);
  return at;
}

@inline function mix(x: u64): u64 {
  x ^= x >> 32;
  x *= 0x9fb21c651e98df25;
  x ^= x >> 29;
  return x;
}
@inline function accountHome(l0: u64, l1: u64, l2: u32): u32 {
  return <u32>(mix((l0 ^ load<u64>(ENV, E_SEED)) * 0x9e3779b97f4a7c15 + rotl<u64>(l1 ^ load<u64>(ENV, E_SEED + 8), 29) + <u64>l2 * 0xc2b2ae3d27d4eb4f) >> 20) & (ACCOUNT_TABLE_SIZE - 1);
}
/** `key` points to a word. */
@inline function slotHome(account: usize, key: usize): u32 {
  const a = (load<u64>(key) ^ load<u64>(ENV, E_SEED)) * 0x9e3779b97f4a7c15;
  const b = rotl<u64>((load<u64>(key, 8) ^ load<u64>(ENV, E_SEED + 8)) * 0xc2b2ae3d27d4eb4f, 31);
  const c = rotl<u64>(load<u64>(key, 16) * 0x9fb21c651e98df25, 17) ^ load<u64>(key, 24);
  return <u32>(mix(a + b + c + <u64>account * 0xd6e8feb86659fd93) >> 20) & (SLOT_TABLE_SIZE - 1);
}

/** True for the addresses of precompiles of the fork. */
@inline export function precompileId(l0: u64, l1: u64, l2: u32): u32 {
  if ((l1 | <u64>l2) != 0 || l0 == 0) return 0;
  if (l0 <= precompileMax) return <u32>l0;
  return l0 == 0x100 && load<u32>(ENV, E_FORK) >= OSAKA ? 0x100 : 0;
}

/** The record of an address, made when new; not loaded from the host yet. 0 after a halt. */
export function findAccount(l0: u64, l1: u64, l2: u32): usize {
  let i = accountHome(l0, l1, l2);
  while (true) {
    const at = ACCOUNT_TABLE + (<usize>i << 2);
    const a: usize = load<u32>(at);
    if (a == 0) {
      if (accountCount >= ACCOUNT_TABLE_SIZE >> 1) {
        stop(HALT_RESOURCE);
        return 0;
      }
      const made = allocate(A_SIZE);
      if (made == 0) return 0;
      memory.fill(made, 0, A_SIZE);
      store<u64>(made, l0, A_L0);
      store<u64>(made, l1, A_L1);
      store<u32>(made, l2, A_L2);
      store<u32>(made, precompileId(l0, l1, l2) != 0 ? AF_PRECOMPILE : 0, A_FLAGS);
      store<u32>(made, bswap<u32>(l2), A_BYTES);
      store<u64>(made, bswap<u64>(l1), A_BYTES + 4);
      store<u64>(made, bswap<u64>(l0), A_BYTES + 12);
      store<u32>(made, <u32>accountChain, A_CHAIN);
      accountChain = made;
      accountCount++;
      store<u32>(at, <u32>made);
      store<u32>(made, <u32>at, A_PLACE);
      return made;
    }
    if (load<u64>(a, A_L0) == l0 && load<u64>(a, A_L1) == l1 && load<u32>(a, A_L2) == l2) return a;
    i = (i + 1) & (ACCOUNT_TABLE_SIZE - 1);
  }
}

/** Snapshots the account at its first use in the transaction. */
function enlist(a: usize): void {
  store<u32>(a, generation, A_GEN);
  store<u64>(a, load<u64>(a, A_NONCE), A_O_NONCE);
  copy32(a + A_O_BALANCE, a + A_BALANCE);
  copy32(a + A_O_CODE_HASH, a + A_CODE_HASH);
  store<u32>(a, 0, A_TX_FLAGS);
  store<u32>(a, 0, A_SLOTS);
  store<u32>(a, 0, A_NEXT);
  if (txAccounts == 0) txAccounts = a;
  else store<u32>(txAccountsTail, <u32>a, A_NEXT);
  txAccountsTail = a;
  txAccountCount++;
}

/** Loads the account and takes it into the transaction. False after a halt. */
@inline export function useAccount(a: usize): bool {
  return load<u32>(a, A_GEN) == generation ? true : useAccountSlow(a);
}
function useAccountSlow(a: usize): bool {
  if ((load<u32>(a, A_FLAGS) & AF_LOADED) == 0) {
    const found = hostAccount(a + A_BYTES, HOST_ACCOUNT);
    if (found == MISSING) {
      memory.copy(MISSING_KEY, a + A_BYTES, 20);
      stopMissing(1);
      return false;
    }
    let flags = load<u32>(a, A_FLAGS) | AF_LOADED;
    if (found == PRESENT) {
      flags |= AF_EXISTS;
      store<u64>(a, load<u64>(HOST_ACCOUNT), A_NONCE);
      copy32(a + A_BALANCE, HOST_ACCOUNT + 8);
      copy32(a + A_CODE_HASH, HOST_ACCOUNT + 40);
      if (load<u32>(HOST_ACCOUNT, 72) & 1) flags |= AF_HAS_STORAGE;
    } else {
      store<u64>(a, 0, A_NONCE);
      zero32(a + A_BALANCE);
      copy32(a + A_CODE_HASH, EMPTY_HASH);
    }
    store<u32>(a, flags, A_FLAGS);
  }
  enlist(a);
  return true;
}

/** Record of an address, loaded and in the transaction; 0 after a halt. */
export function account(l0: u64, l1: u64, l2: u32): usize {
  const a = findAccount(l0, l1, l2);
  if (a == 0) return 0;
  return useAccount(a) ? a : 0;
}

@inline export function txFlags(a: usize): u32 {
  return load<u32>(a, A_TX_FLAGS);
}
@inline export function mark(a: usize, flags: u32): void {
  store<u32>(a, load<u32>(a, A_TX_FLAGS) | flags, A_TX_FLAGS);
}

/** Appends a journal entry; the caller fills J_OLD. */
function journal(kind: u32, record: usize): usize {
  const at = journalTop;
  if (at + J_SIZE > JOURNAL_END) {
    stop(HALT_RESOURCE);
    return JOURNAL_END - J_SIZE;
  }
  store<u32>(at, kind, J_KIND);
  store<u32>(at, <u32>record, J_RECORD);
  journalTop = at + J_SIZE;
  return at;
}

/** Undoes everything since `to`. */
export function revertTo(to: usize): void {
  let at = journalTop;
  while (at > to) {
    at -= J_SIZE;
    const record: usize = load<u32>(at, J_RECORD);
    const kind = load<u32>(at, J_KIND);
    const old = at + J_OLD;
    if (kind == JK_STORAGE) copy32(record + S_VALUE, old);
    else if (kind == JK_BALANCE) copy32(record + A_BALANCE, old);
    else if (kind == JK_WARM_SLOT) store<u32>(record, 0, S_WARM);
    else if (kind == JK_WARM_ACCOUNT) store<u32>(record, 0, A_WARM);
    else if (kind == JK_NONCE) store<u64>(record, load<u64>(old), A_NONCE);
    else if (kind == JK_TRANSIENT) copy32(record + S_TRANSIENT, old);
    else if (kind == JK_TX_FLAGS)
      store<u32>(record, (load<u32>(record, A_TX_FLAGS) & ~TF_JOURNALED) | load<u32>(old), A_TX_FLAGS);
    else {
      // JK_CODE: the entry is found again by hash.
      copy32(record + A_CODE_HASH, old);
      store<u32>(record, 0, A_CODE_GEN);
    }
  }
  journalTop = to;
}

/** Sets journaled transaction flags. */
export function setFlags(a: usize, flags: u32): void {
  const now = load<u32>(a, A_TX_FLAGS);
  if ((now & flags) == flags) return;
  store<u64>(journal(JK_TX_FLAGS, a), <u64>(now & TF_JOURNALED), J_OLD);
  store<u32>(a, now | flags, A_TX_FLAGS);
}

/** Marks the account warm; true when it was cold. */
@inline export function warmAccount(a: usize): bool {
  if (load<u32>(a, A_WARM) == generation || (load<u32>(a, A_FLAGS) & AF_PRECOMPILE) != 0) return false;
  journal(JK_WARM_ACCOUNT, a);
  store<u32>(a, generation, A_WARM);
  return true;
}

export function setNonce(a: usize, nonce: u64): void {
  store<u64>(journal(JK_NONCE, a), load<u64>(a, A_NONCE), J_OLD);
  store<u64>(a, nonce, A_NONCE);
}

export function setBalance(a: usize, value: usize): void {
  copy32(journal(JK_BALANCE, a) + J_OLD, a + A_BALANCE);
  copy32(a + A_BALANCE, value);
}

/** Adds the word at `value`; a pure delta. */
export function credit(a: usize, value: usize): void {
  copy32(journal(JK_BALANCE, a) + J_OLD, a + A_BALANCE);
  add(a + A_BALANCE, a + A_BALANCE, value);
}

/** Takes the word at `value` when the balance covers it. A refusal depends on the balance itself: a true read. */
export function debit(a: usize, value: usize): bool {
  if (less(a + A_BALANCE, value)) {
    mark(a, TF_READ_BALANCE);
    return false;
  }
  copy32(journal(JK_BALANCE, a) + J_OLD, a + A_BALANCE);
  sub(a + A_BALANCE, a + A_BALANCE, value);
  noteRemaining(a);
  return true;
}

/** Records that the balance could not have been lower than it was by what it holds now. */
function noteRemaining(a: usize): void {
  if ((load<u32>(a, A_TX_FLAGS) & TF_DEBITED) == 0) {
    mark(a, TF_DEBITED);
    copy32(a + A_MIN_REMAINING, a + A_BALANCE);
  } else if (less(a + A_BALANCE, a + A_MIN_REMAINING)) copy32(a + A_MIN_REMAINING, a + A_BALANCE);
}

/** Is the balance at least the word at `value`? A yes is a predicate, a no a true read. */
export function covers(a: usize, value: usize): bool {
  if (less(a + A_BALANCE, value)) {
    mark(a, TF_READ_BALANCE);
    return false;
  }
  const keep = HOST_WORD + 32;
  sub(keep, a + A_BALANCE, value);
  if ((load<u32>(a, A_TX_FLAGS) & TF_DEBITED) == 0) {
    mark(a, TF_DEBITED);
    copy32(a + A_MIN_REMAINING, keep);
  } else if (less(keep, a + A_MIN_REMAINING)) copy32(a + A_MIN_REMAINING, keep);
  return true;
}

@inline export function hasCode(a: usize): bool {
  return !equal32(a + A_CODE_HASH, EMPTY_HASH);
}

/** EIP-161 emptiness as a predicate: only what it depends on is recorded. */
export function isEmpty(a: usize): bool {
  if (hasCode(a)) {
    mark(a, TF_READ_CODE);
    return false;
  }
  const nonce = load<u64>(a, A_NONCE);
  // Changed in this transaction: the change itself, or a true read, tells.
  if (nonce != load<u64>(a, A_O_NONCE) && nonce != 0) return false;
  const balance = a + A_BALANCE, before = a + A_O_BALANCE;
  if (equal32(balance, before)) mark(a, TF_READ_EMPTY);
  else if (less(before, balance)) return false;
  else mark(a, TF_READ_BALANCE | TF_READ_EMPTY);
  return nonce == 0 && isZero(balance);
}

/** Changes the code hash; `entry` is the code record, valid in code generation `codeGeneration`. */
export function setCode(a: usize, hash: usize, entry: usize, codeGeneration: u32): void {
  copy32(journal(JK_CODE, a) + J_OLD, a + A_CODE_HASH);
  copy32(a + A_CODE_HASH, hash);
  store<u32>(a, <u32>entry, A_CODE);
  store<u32>(a, codeGeneration, A_CODE_GEN);
}

/** Record of a slot; `key` points to a word. Made when new, value not loaded yet. 0 after a halt. */
export function findSlot(a: usize, key: usize): usize {
  let i = slotHome(a, key);
  while (true) {
    const at = SLOT_TABLE + (<usize>i << 2);
    const s: usize = load<u32>(at);
    if (s == 0) {
      if (slotCount >= SLOT_TABLE_SIZE >> 1) {
        stop(HALT_RESOURCE);
        return 0;
      }
      const made = allocate(S_SIZE);
      if (made == 0) return 0;
      copy32(made + S_KEY, key);
      store<u32>(made, <u32>a, S_ACCOUNT);
      store<u64>(made, 0, S_GEN); // and S_WARM
      store<u64>(made, 0, S_TRANSIENT_GEN); // and S_LOADED
      store<u32>(made, load<u32>(a, A_BATCH_SLOTS), S_BATCH_NEXT);
      store<u32>(a, <u32>made, A_BATCH_SLOTS);
      slotCount++;
      store<u32>(at, <u32>made);
      store<u32>(made, <u32>at, S_PLACE);
      return made;
    }
    if (<usize>load<u32>(s, S_ACCOUNT) == a && equal32(s, key)) return s;
    i = (i + 1) & (SLOT_TABLE_SIZE - 1);
  }
}

/** Loads the slot and takes it into the transaction. False after a halt. The account must be in use. */
@inline export function useSlot(a: usize, s: usize): bool {
  return load<u32>(s, S_GEN) == generation ? true : useSlotSlow(a, s);
}
function useSlotSlow(a: usize, s: usize): bool {
  if (load<u32>(s, S_LOADED) == 0) {
    if (load<u32>(a, A_FLAGS) & AF_STORAGE_CLEARED) zero32(s + S_VALUE);
    else {
      toBytes(HOST_WORD, s + S_KEY);
      const found = hostStorage(a + A_BYTES, HOST_WORD, HOST_WORD + 32);
      if (found == MISSING) {
        memory.copy(MISSING_KEY, a + A_BYTES, 20);
        memory.copy(MISSING_KEY + 20, HOST_WORD, 32);
        stopMissing(2);
        return false;
      }
      if (found == PRESENT) fromBytes(s + S_VALUE, HOST_WORD + 32);
      else zero32(s + S_VALUE);
    }
    store<u32>(s, 1, S_LOADED);
  }
  store<u32>(s, generation, S_GEN);
  copy32(s + S_ORIGINAL, s + S_VALUE);
  store<u32>(s, load<u32>(a, A_SLOTS), S_NEXT);
  store<u32>(a, <u32>s, A_SLOTS);
  return true;
}

/** Marks the slot warm; true when it was cold. */
@inline export function warmSlot(s: usize): bool {
  if (load<u32>(s, S_WARM) == generation) return false;
  journal(JK_WARM_SLOT, s);
  store<u32>(s, generation, S_WARM);
  return true;
}

@inline export function setSlot(s: usize, value: usize): void {
  copy32(journal(JK_STORAGE, s) + J_OLD, s + S_VALUE);
  copy32(s + S_VALUE, value);
}

/** Reads transient storage into `to`. */
export function loadTransient(to: usize, a: usize, key: usize): bool {
  const s = findSlot(a, key);
  if (s == 0) return false;
  if (load<u32>(s, S_TRANSIENT_GEN) == generation) copy32(to, s + S_TRANSIENT);
  else zero32(to);
  return true;
}

export function storeTransient(a: usize, key: usize, value: usize): bool {
  const s = findSlot(a, key);
  if (s == 0) return false;
  if (load<u32>(s, S_TRANSIENT_GEN) != generation) {
    store<u32>(s, generation, S_TRANSIENT_GEN);
    zero32(s + S_TRANSIENT);
  }
  copy32(journal(JK_TRANSIENT, s) + J_OLD, s + S_TRANSIENT);
  copy32(s + S_TRANSIENT, value);
  return true;
}

/** Applies a self-destruct at the end of the transaction: nothing of the account is left for those that follow. */
export function destroy(a: usize): void {
  store<u64>(a, 0, A_NONCE);
  zero32(a + A_BALANCE);
  copy32(a + A_CODE_HASH, EMPTY_HASH);
  store<u32>(a, 0, A_CODE_GEN);
  store<u32>(a, (load<u32>(a, A_FLAGS) | AF_STORAGE_CLEARED) & ~AF_HAS_STORAGE, A_FLAGS);
  for (let s: usize = load<u32>(a, A_BATCH_SLOTS); s != 0; s = load<u32>(s, S_BATCH_NEXT)) zero32(s + S_VALUE);
}

/** Marks an account as touched (EIP-158): when it ends empty it is deleted. */
@inline export function touch(a: usize): void {
  if ((load<u32>(a, A_TX_FLAGS) & TF_TOUCHED) == 0) setFlags(a, TF_TOUCHED);
}
