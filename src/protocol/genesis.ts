/**
 * Owns the genesis document: everything a node must know of a cluster, published once on L1 (decision 0002).
 * `parseGenesis` and `encodeGenesis` (genesis-codec.ts) check and carry it.
 */
import type { SystemConfigValues } from "./system-config.ts";

export type GenesisAccount = {
  readonly balanceWei: bigint;
  readonly nonce: bigint;
  readonly code: Uint8Array;
  /** 32-byte slot (hex key) → 32-byte value. */
  readonly storage: ReadonlyMap<string, Uint8Array>;
};

export type ClusterContracts = {
  readonly portal: Uint8Array;
  readonly inbox: Uint8Array;
  readonly outputOracle: Uint8Array;
  readonly systemConfig: Uint8Array;
  readonly l1CrossDomainMessenger: Uint8Array;
  readonly l1StandardBridge: Uint8Array;
};

export type Genesis = {
  readonly version: 1;
  readonly name: string;
  readonly chainId: number;
  readonly l1ChainId: number;
  readonly contracts: ClusterContracts;
  readonly timestamp: number;
  readonly baseFeePerGasWei: bigint;
  readonly systemConfig: SystemConfigValues;
  /** EIP-1559 parameters. */
  readonly elasticity: number;
  readonly baseFeeDenominator: number;
  /** In L1 blocks. */
  readonly sequencingWindow: number;
  readonly maxDriftSeconds: number;
  /** Hex key of the address → account. */
  readonly alloc: ReadonlyMap<string, GenesisAccount>;
};
