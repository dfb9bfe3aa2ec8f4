/**
 * Owns what the VM asks of its host. Reads are synchronous and of one state version; a read that is not available
 * answers MISSING and the transaction is abandoned. Words and addresses are big-endian bytes unless said otherwise.
 */

@inline export const ABSENT: i32 = 0;
@inline export const PRESENT: i32 = 1;
@inline export const MISSING: i32 = 2;

/** Account at 20 bytes; writes nonce u64, balance as 4 little-endian limbs, code hash 32 bytes, u32 flags (1: has storage). */
@external("host", "account") export declare function hostAccount(address: usize, to: usize): i32;
/** Storage slot; writes 32 bytes when PRESENT, ABSENT means zero. */
@external("host", "storage") export declare function hostStorage(address: usize, slot: usize, to: usize): i32;
/** Code by hash, written to `to`; its length, or -1 when missing, or -2 when longer than `room`. */
@external("host", "code") export declare function hostCode(hash: usize, to: usize, room: usize): i32;
/** Hash of an ancestor block; writes 32 bytes. */
@external("host", "blockHash") export declare function hostBlockHash(number: u64, to: usize): i32;
/** An elliptic-curve operation by precompile number; output length, or -1 when the precompile fails. */
@external("host", "precompile") export declare function hostPrecompile(id: u32, from: usize, length: usize, to: usize): i32;
/** Called before each instruction of traced code, with registers as they are. */
@external("host", "trace") export declare function hostTrace(frame: usize, pc: u32, op: u32, gas: i64, sp: usize, depth: u32, memSize: u32, refund: i64): void;
/**
 * Called when traced code enters a frame (kind = the opcode, `record` the frame record) and leaves it (kind = -1, `record`
 * the Halt reason, gas left in the record, output in RETBUF). What runs no code (precompiles, plain accounts, refused
 * calls) is entered the same way and left with kind = -2. SELFDESTRUCT is entered only.
 */
@external("host", "traceFrame") export declare function hostTraceFrame(kind: i32, depth: u32, record: usize): void;
/** The memory of the version core has grown: the host's views of it are of no use any more. */
@external("host", "grown") export declare function hostGrown(): void;
/** It cannot grow any more. Does not return. */
@external("host", "full") export declare function hostFull(): void;
