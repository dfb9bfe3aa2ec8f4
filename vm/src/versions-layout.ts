/**
 * Owns the records of the version core in linear memory: keys with their version lists, parts of results, and what is
 * reported to the host. All of it is allocated from the end of what is there and given up at once with the epoch.
 */

/** A list sorted by position; an entry is u32 position, u32 address of what wrote. */
@inline export const L_AT: usize = 0;
@inline export const L_COUNT: usize = 4;
@inline export const L_ROOM: usize = 8;
@inline export const L_SIZE: usize = 16;
@inline export const LE_SIZE: usize = 8;

/** An account: its state before the epoch, and who wrote what. */
@inline export const K_ADDRESS: usize = 0; // 20 bytes
@inline export const K_FLAGS: usize = 20;
@inline export const K_NONCE: usize = 24;
@inline export const K_BALANCE: usize = 32; // a sum, see SUM_SIZE
@inline export const K_CODE_HASH: usize = 72;
@inline export const K_HASH: usize = 104;
@inline export const K_SLOTS: usize = 108; // all its slots
@inline export const K_NEXT: usize = 112; // all accounts
@inline export const K_NONCES: usize = 120; // lists: entries lead to accounts of parts
@inline export const K_CODES: usize = 136;
@inline export const K_CLEARED: usize = 152;
@inline export const K_TOUCHED: usize = 168;
@inline export const K_BALANCES: usize = 184;
@inline export const K_SUMS: usize = 200; // entry i: the balance before the i-th change; valid up to K_SUMMED
@inline export const K_SUMMED: usize = 204;
@inline export const K_SUM_ROOM: usize = 208;
@inline export const K_SIZE: usize = 216;

/** It was there before the epoch; it had storage. */
@inline export const KF_EXISTS: u32 = 1;
@inline export const KF_HAS_STORAGE: u32 = 2;

/** Balances add up to five limbs, two's complement: what is not there yet may be spent. */
@inline export const SUM_SIZE: usize = 40;

/** A slot. */
@inline export const V_KEY: usize = 0;
@inline export const V_BASE: usize = 32;
@inline export const V_ACCOUNT: usize = 64;
@inline export const V_HASH: usize = 68;
@inline export const V_NEXT: usize = 72; // slots of the account
@inline export const V_WRITES: usize = 80; // list: entries lead to slots of parts
@inline export const V_SIZE: usize = 96;

/** A part: the accounts of one result that matter here, as (u32 account in the record, u32 account record). */
@inline export const P_COUNT: usize = 0;
@inline export const P_AT: usize = 4; // where its accounts were copied
@inline export const P_HEAD: usize = 8;
@inline export const P_REF: usize = 8;

/** An account in a record of the VM, and a slot of it (transaction.ts writes them). */
@inline export const RA_FLAGS: usize = 0;
@inline export const RA_SLOTS: usize = 4;
@inline export const RA_ADDRESS: usize = 8;
@inline export const RA_NONCE_BEFORE: usize = 32;
@inline export const RA_NONCE: usize = 40;
@inline export const RA_BALANCE_BEFORE: usize = 48;
@inline export const RA_BALANCE: usize = 80;
@inline export const RA_AT_LEAST: usize = 112;
@inline export const RA_CODE_BEFORE: usize = 144;
@inline export const RA_CODE: usize = 176;
@inline export const RA_SIZE: usize = 208;
@inline export const RS_KEY: usize = 0;
@inline export const RS_BEFORE: usize = 32;
@inline export const RS_VALUE: usize = 64;
@inline export const RS_WRITTEN: usize = 96;
@inline export const RS_CELL: usize = 100; // free in records: the slot record, while the part is here
@inline export const RS_SIZE: usize = 104;

/** What the host reads after a question: a conflict, or an account. */
@inline export const Q_ADDRESS: usize = 0; // asked for, or of the conflict: 20 bytes
@inline export const Q_SLOT: usize = 32; // asked for, or of the conflict
@inline export const Q_VALUE: usize = 64; // what the slot holds
@inline export const Q_WRITER: usize = 96; // i32: who wrote it, or -1
@inline export const Q_NONCE: usize = 104;
@inline export const Q_BALANCE: usize = 112;
@inline export const Q_CODE_HASH: usize = 144;
@inline export const Q_HAS_STORAGE: usize = 176;
@inline export const Q_SIZE: usize = 184;
