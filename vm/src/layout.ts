/**
 * Owns the memory map of the VM: fixed regions of one fixed-size linear memory, and the fields of the records in them.
 * Nothing here is allocated by a runtime. A region that would overflow abandons the transaction with RESOURCE, which
 * no gas schedule in use can reach; it never writes outside its region.
 */

/** Pages of 64 KiB; `scripts/build-vm.ts` passes the same number to the compiler. */
@inline export const MEMORY_PAGES: u32 = 16384;

@inline const MIB: usize = 0x100000;

// Static data of the compiler lies below 512 KiB.
@inline export const SCRATCH: usize = 0x80000; // 64 KiB of short-lived words, see users
@inline export const MODEXP_AREA: usize = 0x90000; // 256 KiB
@inline export const BLOOM_CACHE: usize = 0xd0000; // 48 KiB, see transaction.ts
@inline export const ENV: usize = 0xe0000;
@inline export const TX: usize = 0xe1000;
@inline export const EXC_INS: usize = 0xe2000; // one instruction that raises
@inline export const RELOAD_INS: usize = 0xe2010; // one that takes the registers of the running frame
@inline export const KECCAK_STATE: usize = 0xe2100;
@inline export const HASH_STATE: usize = 0xe2300;
@inline export const HOST_ACCOUNT: usize = 0xe3000; // the host writes an account here
@inline export const HOST_WORD: usize = 0xe3100;

@inline export const IN: usize = 1 * MIB;
@inline export const IN_END: usize = 33 * MIB;
@inline export const OUT: usize = 33 * MIB;
@inline export const OUT_END: usize = 97 * MIB;
@inline export const STACK: usize = 97 * MIB;
@inline export const STACK_END: usize = 132 * MIB;
@inline export const FRAMES: usize = 132 * MIB; // 1025 of them, below 256 KiB
@inline export const KECCAK_CACHE: usize = 132 * MIB + 0x40000; // 384 KiB, see keccak.ts
@inline export const JOURNAL: usize = 133 * MIB;
@inline export const JOURNAL_END: usize = 197 * MIB;
@inline export const RETBUF: usize = 197 * MIB;
@inline export const RETBUF_END: usize = 229 * MIB;
@inline export const ACCOUNT_TABLE: usize = 229 * MIB;
@inline export const SLOT_TABLE: usize = 230 * MIB;
@inline export const BATCH: usize = 234 * MIB;
@inline export const BATCH_END: usize = 421 * MIB;
@inline export const CODE_TABLE: usize = 421 * MIB;
@inline export const CODE: usize = 422 * MIB;
@inline export const CODE_END: usize = 613 * MIB;
@inline export const MEM: usize = 613 * MIB;
@inline export const MEM_END: usize = 1024 * MIB;

@inline export const ACCOUNT_TABLE_SIZE: u32 = 1 << 18;
@inline export const SLOT_TABLE_SIZE: u32 = 1 << 20;
@inline export const CODE_TABLE_SIZE: u32 = 1 << 16;

/** Block environment, written by the host; words are four little-endian limbs. */
@inline export const E_FORK: usize = 0;
@inline export const E_FLAGS: usize = 4;
@inline export const E_NUMBER: usize = 8;
@inline export const E_TIMESTAMP: usize = 16;
@inline export const E_GAS_LIMIT: usize = 24;
@inline export const E_CHAIN_ID: usize = 32;
@inline export const E_GAS_AVAILABLE: usize = 40;
@inline export const E_SEED: usize = 48; // 2 x u64, keys the hash tables
@inline export const E_BASE_FEE: usize = 64;
@inline export const E_RANDAO: usize = 96;
@inline export const E_BLOB_BASE_FEE: usize = 128;
@inline export const E_COINBASE: usize = 160; // 20 bytes, big-endian
@inline export const E_MAX_BLOBS: usize = 180;
/** Ticks left until a clocked run pauses; the host may lower it while it is asked for something. */
@inline export const E_TICKS: usize = 184;

/** Environment flags. */
@inline export const EF_OP_FEES: u32 = 1;
@inline export const EF_ASSUME_NONCE: u32 = 2;
@inline export const EF_TRACE: u32 = 4;
@inline export const EF_BLOOM: u32 = 8;
@inline export const EF_CLOCK: u32 = 16;

/** One entry of the input: header, then `size` bytes, padded to 8. */
@inline export const I_SIZE: usize = 0;
@inline export const I_KIND: usize = 4; // 0 transaction, 1 call, 2 call without intrinsic gas
@inline export const I_SENDER: usize = 8; // 20 bytes
@inline export const I_L1_FEE: usize = 32;
@inline export const I_HEADER: usize = 64;

/** The transaction being executed, decoded. */
@inline export const T_TYPE: usize = 0;
@inline export const T_FLAGS: usize = 4; // 1 create, 2 system deposit
@inline export const T_NONCE: usize = 8;
@inline export const T_GAS_LIMIT: usize = 16;
@inline export const T_MAX_FEE: usize = 32;
@inline export const T_MAX_TIP: usize = 64;
@inline export const T_VALUE: usize = 96;
@inline export const T_TO: usize = 128; // 3 limbs
@inline export const T_DATA: usize = 152;
@inline export const T_DATA_LEN: usize = 156;
@inline export const T_ACCESS: usize = 160;
@inline export const T_ACCESS_LEN: usize = 164;
@inline export const T_BLOBS: usize = 168;
@inline export const T_BLOB_COUNT: usize = 172;
@inline export const T_AUTH: usize = 176;
@inline export const T_AUTH_LEN: usize = 180;
@inline export const T_MAX_BLOB_FEE: usize = 192;
@inline export const T_MINT: usize = 224;
@inline export const T_CHAIN_ID: usize = 256;
@inline export const T_PRICE: usize = 288; // effective gas price
@inline export const T_TIP: usize = 320; // per gas to the coinbase
@inline export const T_L1_FEE: usize = 352;
@inline export const T_ORIGIN: usize = 384; // 3 limbs
@inline export const T_HAS_CHAIN_ID: usize = 408;

/** Account record. `O` fields are the values at the start of the transaction `GEN`. */
@inline export const A_L0: usize = 0;
@inline export const A_L1: usize = 8;
@inline export const A_L2: usize = 16; // u32
@inline export const A_FLAGS: usize = 20;
@inline export const A_NONCE: usize = 24;
@inline export const A_BALANCE: usize = 32;
@inline export const A_CODE_HASH: usize = 64; // 32 bytes as hashed
@inline export const A_CODE: usize = 96; // code entry, valid when A_CODE_GEN is the code generation
@inline export const A_CODE_GEN: usize = 100;
@inline export const A_GEN: usize = 104;
@inline export const A_WARM: usize = 108; // generation in which the account became warm
@inline export const A_O_NONCE: usize = 112;
@inline export const A_O_BALANCE: usize = 120;
@inline export const A_O_CODE_HASH: usize = 152;
@inline export const A_MIN_REMAINING: usize = 184;
@inline export const A_TX_FLAGS: usize = 216;
@inline export const A_SLOTS: usize = 220; // slots of this transaction
@inline export const A_NEXT: usize = 224; // next account of this transaction
@inline export const A_BATCH_SLOTS: usize = 228; // all slots of the batch
@inline export const A_CHAIN: usize = 232; // all accounts of the batch
@inline export const A_BYTES: usize = 236; // 20 bytes big-endian
@inline export const A_PLACE: usize = 256; // its entry in the table
@inline export const A_SIZE: usize = 264;

/** Account flags of the batch. */
@inline export const AF_LOADED: u32 = 1;
@inline export const AF_PRECOMPILE: u32 = 2;
@inline export const AF_HAS_STORAGE: u32 = 4;
@inline export const AF_STORAGE_CLEARED: u32 = 8;
@inline export const AF_EXISTS: u32 = 16;
/** Changed by a transaction of the batch; its code too. */
@inline export const AF_DIRTY: u32 = 32;
@inline export const AF_CODE_CHANGED: u32 = 64;

/** Account flags of the transaction; the first four are journaled. */
@inline export const TF_CREATED: u32 = 1;
@inline export const TF_DESTROYED: u32 = 2;
@inline export const TF_TOUCHED: u32 = 4;
@inline export const TF_READ_BALANCE: u32 = 16;
@inline export const TF_READ_NONCE: u32 = 32;
@inline export const TF_READ_CODE: u32 = 64;
@inline export const TF_READ_EMPTY: u32 = 128;
@inline export const TF_DEBITED: u32 = 256;
@inline export const TF_NONCE_PREDICATE: u32 = 512;
@inline export const TF_JOURNALED: u32 = 7;

/** Storage slot record. */
@inline export const S_KEY: usize = 0;
@inline export const S_VALUE: usize = 32;
@inline export const S_ORIGINAL: usize = 64;
@inline export const S_TRANSIENT: usize = 96;
@inline export const S_ACCOUNT: usize = 128;
@inline export const S_GEN: usize = 132;
@inline export const S_WARM: usize = 136;
@inline export const S_TRANSIENT_GEN: usize = 140;
@inline export const S_LOADED: usize = 144; // 1 loaded, 2 changed by a transaction of the batch
@inline export const S_NEXT: usize = 148;
@inline export const S_BATCH_NEXT: usize = 152;
@inline export const S_PLACE: usize = 156; // its entry in the table
@inline export const S_SIZE: usize = 160;

/** Code record. */
@inline export const C_HASH: usize = 0;
@inline export const C_RAW: usize = 32;
@inline export const C_LEN: usize = 36;
@inline export const C_INS: usize = 40; // 0: not decoded yet
@inline export const C_JUMPS: usize = 44; // u32 per code byte: instruction address of a JUMPDEST, else 0
@inline export const C_DELEGATE: usize = 48; // 1: EIP-7702 designator
@inline export const C_MADE: usize = 52; // generation of the transaction that created it
@inline export const C_SIZE: usize = 56;

/** Frame record. */
@inline export const F_IP: usize = 0;
@inline export const F_SP: usize = 4;
@inline export const F_GAS: usize = 8; // i64
@inline export const F_MEM: usize = 16;
@inline export const F_MEM_SIZE: usize = 20;
@inline export const F_STACK: usize = 24;
@inline export const F_RAW: usize = 28;
@inline export const F_RAW_LEN: usize = 32;
@inline export const F_JUMPS: usize = 36;
@inline export const F_INPUT: usize = 40;
@inline export const F_INPUT_LEN: usize = 44;
@inline export const F_SELF: usize = 48; // account record
@inline export const F_STATIC: usize = 52;
@inline export const F_KIND: usize = 56; // 0 call, 1 create
@inline export const F_RET_OFFSET: usize = 60; // where the parent wants the output
@inline export const F_RET_LEN: usize = 64;
@inline export const F_JOURNAL: usize = 68;
@inline export const F_LOG_END: usize = 72;
@inline export const F_LOG_COUNT: usize = 76;
@inline export const F_REFUND: usize = 80; // i64
@inline export const F_CALLER: usize = 88; // word
@inline export const F_VALUE: usize = 120; // word
@inline export const F_CALL_KIND: usize = 152; // opcode that made the frame
@inline export const F_CODE_ACCOUNT: usize = 156;
@inline export const F_SIZE: usize = 192;

/** Journal entry. */
@inline export const J_KIND: usize = 0;
@inline export const J_RECORD: usize = 4;
@inline export const J_OLD: usize = 8;
@inline export const J_SIZE: usize = 40;

@inline export const JK_BALANCE: u32 = 0;
@inline export const JK_NONCE: u32 = 1;
@inline export const JK_CODE: u32 = 2;
@inline export const JK_STORAGE: u32 = 3;
@inline export const JK_TRANSIENT: u32 = 4;
@inline export const JK_WARM_ACCOUNT: u32 = 5;
@inline export const JK_WARM_SLOT: u32 = 6;
@inline export const JK_TX_FLAGS: u32 = 7;

/** Forks. */
@inline export const LONDON: u32 = 0;
@inline export const PARIS: u32 = 1;
@inline export const SHANGHAI: u32 = 2;
@inline export const CANCUN: u32 = 3;
@inline export const PRAGUE: u32 = 4;
@inline export const OSAKA: u32 = 5;

/** Result of one input, at the head of its output. */
@inline export const R_SIZE: usize = 0;
@inline export const R_STATUS: usize = 4; // 0 failed, 1 succeeded, 2 skipped, 3 a read is missing
@inline export const R_REASON: usize = 8; // skip reason, halt reason, or kind of missing read
@inline export const R_TYPE: usize = 12;
@inline export const R_GAS_USED: usize = 16;
@inline export const R_GAS_REFUNDED: usize = 24;
@inline export const R_SENDER_NONCE: usize = 32;
@inline export const R_HAS_CREATED: usize = 40;
@inline export const R_LOG_COUNT: usize = 44;
@inline export const R_PRICE: usize = 48; // word
@inline export const R_CREATED: usize = 80; // 20 bytes
@inline export const R_OUTPUT: usize = 100; // offset from the head
@inline export const R_OUTPUT_LEN: usize = 104;
@inline export const R_LOGS: usize = 108;
@inline export const R_ACCOUNTS: usize = 112;
@inline export const R_ACCOUNT_COUNT: usize = 116;
@inline export const R_MISSING: usize = 120; // address 20, slot 32 (or code hash, or block number)
@inline export const R_CODES: usize = 172;
@inline export const R_CODE_COUNT: usize = 176;
@inline export const R_BLOOM: usize = 180; // offset, 0 when not asked for
@inline export const R_HEAD: usize = 192;

/** Net effect of a batch: u32 accounts, u32 codes, accounts with their slots (key, value), codes as in a record. */
@inline export const N_HEAD: usize = 8;
@inline export const N_FLAGS: usize = 0; // 1 the storage was wiped first
@inline export const N_SLOTS: usize = 4;
@inline export const N_ADDRESS: usize = 8;
@inline export const N_NONCE: usize = 32;
@inline export const N_BALANCE: usize = 40;
@inline export const N_CODE_HASH: usize = 72;
@inline export const N_SIZE: usize = 104;
