/**
 * Owns the numbers of the internal instructions. EVM opcodes keep theirs; numbers the EVM leaves free in the byte, or
 * that the decoder never emits (PUSH1..32, DUP2..16, SWAP2..16), are instructions of our own and fused pairs.
 * An instruction is 8 bytes: op u16, a u16, b u32; some are followed by an immediate.
 */
export const enum Op {
  STOP = 0x00, ADD = 0x01, MUL = 0x02, SUB = 0x03, DIV = 0x04, SDIV = 0x05, MOD = 0x06, SMOD = 0x07, ADDMOD = 0x08,
  MULMOD = 0x09, EXP = 0x0a, SIGNEXTEND = 0x0b,
  /** Head of a basic block: a = gas, b = stack need (bytes) | room << 16. */
  BLOCK = 0x0c,
  /** Push b. */
  PUSHI = 0x0d,
  /** Push the u64 that follows. */
  PUSH64 = 0x0e,
  /** Push the word that follows. */
  PUSH256 = 0x0f,
  LT = 0x10, GT = 0x11, SLT = 0x12, SGT = 0x13, EQ = 0x14, ISZERO = 0x15, AND = 0x16, OR = 0x17, XOR = 0x18, NOT = 0x19,
  BYTE = 0x1a, SHL = 0x1b, SHR = 0x1c, SAR = 0x1d, CLZ = 0x1e,
  /** Exceptional halt; b = reason. */
  RAISE = 0x1f,
  KECCAK256 = 0x20,
  /** Jumps whose target is known: b = instruction address. */
  JUMP_TO = 0x21, JUMPI_TO = 0x22, JUMPZ_TO = 0x23,
  LT_JUMPI = 0x24, GT_JUMPI = 0x25, SLT_JUMPI = 0x26, SGT_JUMPI = 0x27, EQ_JUMPI = 0x28,
  LT_JUMPZ = 0x29, GT_JUMPZ = 0x2a, SLT_JUMPZ = 0x2b, SGT_JUMPZ = 0x2c, EQ_JUMPZ = 0x2d,
  /** In front of each instruction of traced code: a = opcode, b = position. */
  TRACE = 0x2e,
  /** In clocked code, at jump destinations and in front of calls: takes a ticks, and the run pauses when none is left. */
  CLOCK = 0x2f,
  ADDRESS = 0x30, BALANCE = 0x31, ORIGIN = 0x32, CALLER = 0x33, CALLVALUE = 0x34, CALLDATALOAD = 0x35, CALLDATASIZE = 0x36,
  CALLDATACOPY = 0x37, CODESIZE = 0x38, CODECOPY = 0x39, GASPRICE = 0x3a, EXTCODESIZE = 0x3b, EXTCODECOPY = 0x3c,
  RETURNDATASIZE = 0x3d, RETURNDATACOPY = 0x3e, EXTCODEHASH = 0x3f, BLOCKHASH = 0x40, COINBASE = 0x41, TIMESTAMP = 0x42,
  NUMBER = 0x43, PREVRANDAO = 0x44, GASLIMIT = 0x45, CHAINID = 0x46, SELFBALANCE = 0x47, BASEFEE = 0x48, BLOBHASH = 0x49,
  BLOBBASEFEE = 0x4a,
  POP = 0x50, MLOAD = 0x51, MSTORE = 0x52, MSTORE8 = 0x53, SLOAD = 0x54, SSTORE = 0x55, JUMP = 0x56, JUMPI = 0x57, PC = 0x58,
  MSIZE = 0x59, GAS = 0x5a, JUMPDEST = 0x5b, TLOAD = 0x5c, TSTORE = 0x5d, MCOPY = 0x5e, PUSH0 = 0x5f,
  /** Fused with a pushed constant b, which is the first operand of the EVM. */
  ADDI = 0x60, SUBI = 0x61, ANDI = 0x62, AND160 = 0x63, MULI = 0x64, SHLI = 0x65, SHRI = 0x66, EQI = 0x67, LTI = 0x68, GTI = 0x69,
  MLOADI = 0x6a, MSTOREI = 0x6b, CALLDATALOADI = 0x6c, DIVI = 0x6d,
  /** The constant is the second operand: top - b, top / b. */
  SUBTRACTI = 0x6e, DIVIDEI = 0x6f,
  /** The first operand of the EVM is the word at sp + a; nothing is popped but what the result replaces. */
  DUP_ADD = 0x70, DUP_SUB = 0x71, DUP_MUL = 0x72, DUP_AND = 0x73, DUP_LT = 0x74, DUP_GT = 0x75, DUP_EQ = 0x76, DUP_XOR = 0x77,
  DUP_OR = 0x78, DUP_MLOAD = 0x79, DUP_MSTORE = 0x7a, DUP_DIV = 0x7b, DUP_SHR = 0x7c, DUP_SHL = 0x7d, DUP_ISZERO = 0x7e,
  DUP_SLT = 0x7f,
  /** Duplicate the word at sp + a. */
  DUP = 0x80,
  /** Two duplicates, a and then b, both as seen before the first. */
  DUP_DUP = 0x81,
  /** Push b, then a. */
  PUSH_PUSH = 0x82,
  /** Push b, then duplicate the word at sp + a as seen before. */
  PUSH_DUP = 0x83,
  /** Duplicate the word at sp + a, then push b. */
  DUP_PUSH = 0x84,
  /** Move the top to sp + a and pop. */
  SWAP_POP = 0x85,
  POP2 = 0x86, POP3 = 0x87,
  /** Second operand first: sp + 32 op sp. */
  SWAP_SUB = 0x88, SWAP_DIV = 0x89,
  SWAP1 = 0x8a,
  /** Exchange the top with sp + a, then the new top with sp + b. */
  SWAP_SWAP = 0x8b,
  /** Jump to b when the top equals the u64 that follows; the top stays. */
  SELECT = 0x8c,
  POP_JUMP = 0x8d, SWAP_JUMP = 0x8e,
  /** Take the registers of the running frame. */
  RELOAD = 0x8f,
  /** Exchange the top with the word at sp + a. */
  SWAP = 0x90,
  LOG = 0xa0,
  /** The word that follows is the first operand. */
  AND256 = 0xa5, ADD256 = 0xa6,
  SWAP1_POP = 0xa7,
  CREATE = 0xf0, CALL = 0xf1, CALLCODE = 0xf2, RETURN = 0xf3, DELEGATECALL = 0xf4, CREATE2 = 0xf5, STATICCALL = 0xfa,
  REVERT = 0xfd, INVALID = 0xfe, SELFDESTRUCT = 0xff,
}

/** Reasons of an exceptional halt. */
export const enum Halt {
  NONE = 0, REVERT = 1, OUT_OF_GAS = 2, INVALID_OPCODE = 3, STACK_UNDERFLOW = 4, STACK_OVERFLOW = 5, BAD_JUMP = 6,
  STATIC_WRITE = 7, RETURN_DATA_BOUNDS = 8, CODE_SIZE = 9, CODE_PREFIX = 10, COLLISION = 11, DEPTH = 12, BALANCE = 13,
  CODE_STORE_GAS = 14, PRECOMPILE = 15, NONCE = 16, INIT_CODE_SIZE = 17,
}
