/** Owns small chains for tests of execution: keys, a state with accounts, environments, an assembler for a few opcodes. */
import { fromHex, toHexKey } from "../../base/bytes.ts";
import type { Block } from "../../protocol/block.ts";
import type { GenesisAccount } from "../../protocol/genesis.ts";
import { genesisBlock } from "../../protocol/genesis-codec.ts";
import { addressOfPrivateKey } from "../../protocol/secp256k1.ts";
import type { L1BlockInfo, SystemConfigValues } from "../../protocol/system-config.ts";
import { signTransaction, type TransactionFields } from "../../protocol/transaction-codec.ts";
import { MemoryState } from "../../state/memory-state.ts";
import type { ChainParameters } from "../block-execution.ts";
import type { BlockEnv } from "../execution.ts";
import { genesisWrites } from "../genesis-state.ts";

export const CHAIN_ID = 901;

export type Key = { readonly secret: Uint8Array; readonly address: Uint8Array };

/** Distinct keys, the same in every run. */
export function testKeys(count: number): Key[] {
  return Array.from({ length: count }, (_, i) => {
    const secret = new Uint8Array(32).fill(0x11);
    secret[31] = i + 1;
    return { secret, address: addressOfPrivateKey(secret) };
  });
}

/** An address that nobody has the key of. */
export function plainAddress(number: number): Uint8Array {
  return fromHex(`c0de${number.toString(16).padStart(36, "0")}`);
}

export function account(p: Partial<GenesisAccount>): GenesisAccount {
  return { balanceWei: 0n, nonce: 0n, code: new Uint8Array(0), storage: new Map(), ...p };
}

export type Alloc = readonly (readonly [Uint8Array, GenesisAccount])[];

export function allocOf(entries: Alloc): Map<string, GenesisAccount> {
  return new Map(entries.map(([address, value]) => [toHexKey(address), value]));
}

/** A state whose version 0 is the allocation. */
export function stateOf(entries: Alloc): MemoryState {
  const state = new MemoryState();
  state.commit(0, state.prepare(genesisWrites(allocOf(entries))));
  return state;
}

export function testEnv(p: Partial<BlockEnv> = {}): BlockEnv {
  return {
    chainId: CHAIN_ID,
    number: 1,
    timestamp: 1_700_000_000,
    gasLimit: 30_000_000,
    baseFeePerGasWei: 1_000_000_000n,
    blobBaseFeeWei: 1n,
    coinbase: fromHex("4200000000000000000000000000000000000011"),
    prevRandao: new Uint8Array(32).fill(0x33),
    fork: "prague",
    feePolicy: "op",
    ...p,
  };
}

/** A signed transaction and who sent it. */
export function signed(
  key: Key,
  fields: Partial<TransactionFields> & { nonce: bigint },
): {
  raw: Uint8Array;
  sender: Uint8Array;
} {
  const tx = signTransaction(
    { type: 2, chainId: CHAIN_ID, gasLimit: 100_000n, maxFeePerGasWei: 3_000_000_000n, ...fields },
    key.secret,
  );
  return { raw: tx.raw, sender: key.address };
}

export const TEST_CHAIN: ChainParameters = {
  chainId: CHAIN_ID,
  elasticity: 2,
  baseFeeDenominator: 8,
};

export const TEST_SYSTEM_CONFIG: SystemConfigValues = {
  gasLimit: 30_000_000,
  baseFeeScalar: 1_368,
  blobBaseFeeScalar: 810_949,
};

/** L1 block `number` of a made-up L1 with a block every 12 seconds. */
export function testOrigin(number: number): L1BlockInfo {
  const hashOf = (n: number): Uint8Array => fromHex((0xabc000 + n).toString(16).padStart(64, "0"));
  return {
    number,
    hash: hashOf(number),
    parentHash: hashOf(number - 1),
    timestamp: 1_700_000_000 + 12 * number,
    baseFeePerGasWei: 7_000_000_000n,
    blobBaseFeeWei: 3n,
    prevRandao: new Uint8Array(32).fill(number),
    parentBeaconBlockRoot: new Uint8Array(32).fill(0xb0 + number),
  };
}

/** Block 0 on top of `stateRoot`, with L1 block 0 as its origin. */
export function testGenesisBlock(stateRoot: Uint8Array): Block {
  const contract = new Uint8Array(20);
  return genesisBlock(
    {
      version: 1,
      name: "test",
      l1ChainId: 1,
      contracts: {
        portal: contract,
        inbox: contract,
        outputOracle: contract,
        systemConfig: contract,
        l1CrossDomainMessenger: contract,
        l1StandardBridge: contract,
      },
      timestamp: testOrigin(0).timestamp,
      baseFeePerGasWei: 1_000_000_000n,
      systemConfig: TEST_SYSTEM_CONFIG,
      sequencingWindow: 100,
      maxDriftSeconds: 1_800,
      alloc: new Map(),
      ...TEST_CHAIN,
    },
    stateRoot,
    testOrigin(0),
  );
}

/** EIP-2935 and EIP-4788 as deployed everywhere. */
export const SYSTEM_CONTRACTS: Alloc = [
  [
    fromHex("0000f90827f1c53a10cb7a02335b175320002935"),
    account({
      nonce: 1n,
      code: fromHex(
        "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500",
      ),
    }),
  ],
  [
    fromHex("000f3df6d732807ef1319fb7b8bb8522d0beac02"),
    account({
      nonce: 1n,
      code: fromHex(
        "3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500",
      ),
    }),
  ],
];

/** Opcodes by name, numbers as the shortest PUSH, byte strings as PUSH of their length. */
export function assemble(...items: readonly (keyof typeof OPCODES | number | bigint | Uint8Array)[]): Uint8Array {
  const out: number[] = [];
  for (const item of items) {
    if (typeof item === "string") {
      out.push(OPCODES[item]);
      continue;
    }
    const bytes = item instanceof Uint8Array ? item : fromHex(evenHex(item));
    out.push(0x5f + bytes.length, ...bytes);
  }
  return Uint8Array.from(out);
}

function evenHex(value: number | bigint): string {
  const hex = value.toString(16);
  return hex.length % 2 === 0 ? hex : `0${hex}`;
}

const OPCODES = {
  STOP: 0x00,
  ADD: 0x01,
  MUL: 0x02,
  SUB: 0x03,
  LT: 0x10,
  ISZERO: 0x15,
  KECCAK256: 0x20,
  ADDRESS: 0x30,
  BALANCE: 0x31,
  ORIGIN: 0x32,
  CALLER: 0x33,
  CALLVALUE: 0x34,
  CALLDATALOAD: 0x35,
  CALLDATASIZE: 0x36,
  CALLDATACOPY: 0x37,
  GASPRICE: 0x3a,
  EXTCODESIZE: 0x3b,
  EXTCODECOPY: 0x3c,
  RETURNDATASIZE: 0x3d,
  RETURNDATACOPY: 0x3e,
  EXTCODEHASH: 0x3f,
  BLOCKHASH: 0x40,
  COINBASE: 0x41,
  TIMESTAMP: 0x42,
  NUMBER: 0x43,
  PREVRANDAO: 0x44,
  GASLIMIT: 0x45,
  CHAINID: 0x46,
  SELFBALANCE: 0x47,
  BASEFEE: 0x48,
  POP: 0x50,
  MLOAD: 0x51,
  MSTORE: 0x52,
  MSTORE8: 0x53,
  SLOAD: 0x54,
  SSTORE: 0x55,
  JUMP: 0x56,
  JUMPI: 0x57,
  GAS: 0x5a,
  JUMPDEST: 0x5b,
  TLOAD: 0x5c,
  TSTORE: 0x5d,
  MCOPY: 0x5e,
  PUSH0: 0x5f,
  DUP1: 0x80,
  DUP2: 0x81,
  SWAP1: 0x90,
  LOG0: 0xa0,
  LOG1: 0xa1,
  LOG2: 0xa2,
  CREATE: 0xf0,
  CALL: 0xf1,
  CALLCODE: 0xf2,
  RETURN: 0xf3,
  DELEGATECALL: 0xf4,
  CREATE2: 0xf5,
  STATICCALL: 0xfa,
  REVERT: 0xfd,
  INVALID: 0xfe,
  SELFDESTRUCT: 0xff,
} as const;
