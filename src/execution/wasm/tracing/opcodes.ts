/**
 * Owns what debuggers print and expect of opcodes: names, words they take from the stack, and the part of their cost
 * that is the same every time (EIP-2929 prices), as geth's jump table of Osaka has them.
 */

/** Name, words taken, fixed gas; in the order of the codes from `first` on. */
const TABLE: readonly (readonly [first: number, entries: string])[] = [
  [0x00, "STOP 0 0|ADD 2 3|MUL 2 5|SUB 2 3|DIV 2 5|SDIV 2 5|MOD 2 5|SMOD 2 5|ADDMOD 3 8|MULMOD 3 8|EXP 2 0"],
  [0x0b, "SIGNEXTEND 2 5"],
  [0x10, "LT 2 3|GT 2 3|SLT 2 3|SGT 2 3|EQ 2 3|ISZERO 1 3|AND 2 3|OR 2 3|XOR 2 3|NOT 1 3|BYTE 2 3|SHL 2 3|SHR 2 3"],
  [0x1d, "SAR 2 3|CLZ 1 5"],
  [0x20, "KECCAK256 2 30"],
  [0x30, "ADDRESS 0 2|BALANCE 1 100|ORIGIN 0 2|CALLER 0 2|CALLVALUE 0 2|CALLDATALOAD 1 3|CALLDATASIZE 0 2"],
  [0x37, "CALLDATACOPY 3 3|CODESIZE 0 2|CODECOPY 3 3|GASPRICE 0 2|EXTCODESIZE 1 100|EXTCODECOPY 4 100"],
  [0x3d, "RETURNDATASIZE 0 2|RETURNDATACOPY 3 3|EXTCODEHASH 1 100"],
  [
    0x40,
    "BLOCKHASH 1 20|COINBASE 0 2|TIMESTAMP 0 2|NUMBER 0 2|DIFFICULTY 0 2|GASLIMIT 0 2|CHAINID 0 2|SELFBALANCE 0 5",
  ],
  [0x48, "BASEFEE 0 2|BLOBHASH 1 3|BLOBBASEFEE 0 2"],
  [0x50, "POP 1 2|MLOAD 1 3|MSTORE 2 3|MSTORE8 2 3|SLOAD 1 0|SSTORE 2 0|JUMP 1 8|JUMPI 2 10|PC 0 2|MSIZE 0 2|GAS 0 2"],
  [0x5b, "JUMPDEST 0 1|TLOAD 1 100|TSTORE 2 100|MCOPY 3 3|PUSH0 0 2"],
  [0xa0, "LOG0 2 0|LOG1 3 0|LOG2 4 0|LOG3 5 0|LOG4 6 0"],
  [0xf0, "CREATE 3 32000|CALL 7 100|CALLCODE 7 100|RETURN 2 0|DELEGATECALL 6 100|CREATE2 4 32000"],
  [0xfa, "STATICCALL 6 100"],
  [0xfd, "REVERT 2 0|INVALID 0 0|SELFDESTRUCT 1 5000"],
];

export type Opcode = { readonly name: string; readonly taken: number; readonly fixedGas: number };

const OPCODES: readonly Opcode[] = (() => {
  const opcodes: Opcode[] = Array.from({ length: 256 }, (_, op) => ({
    name: `opcode 0x${op.toString(16)} not defined`,
    taken: 0,
    fixedGas: 0,
  }));
  for (const [first, entries] of TABLE)
    for (const [i, entry] of entries.split("|").entries()) {
      const [name = "", taken, fixedGas] = entry.split(" ");
      opcodes[first + i] = { name, taken: Number(taken), fixedGas: Number(fixedGas) };
    }
  for (let n = 1; n <= 32; n++) opcodes[0x5f + n] = { name: `PUSH${n}`, taken: 0, fixedGas: 3 };
  for (let n = 1; n <= 16; n++) {
    opcodes[0x7f + n] = { name: `DUP${n}`, taken: n, fixedGas: 3 };
    opcodes[0x8f + n] = { name: `SWAP${n}`, taken: n + 1, fixedGas: 3 };
  }
  return opcodes;
})();

export const opcodeOf = (op: number): Opcode => OPCODES[op & 0xff] as Opcode;

export const OP_SLOAD = 0x54;
export const OP_SSTORE = 0x55;
export const OP_CREATE = 0xf0;
export const OP_CALL = 0xf1;
export const OP_CALLCODE = 0xf2;
export const OP_DELEGATECALL = 0xf4;
export const OP_CREATE2 = 0xf5;
export const OP_STATICCALL = 0xfa;
export const OP_SELFDESTRUCT = 0xff;

export const isCreation = (op: number): boolean => op === OP_CREATE || op === OP_CREATE2;
