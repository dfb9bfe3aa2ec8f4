/**
 * Owns eth_config: what the rules of the chain are now, in the form operators and tools compare between nodes. All forks
 * are active from genesis and none is scheduled.
 * @see EIP-7910, EIP-6122
 */
import { crc32 } from "node:zlib";
import { assert } from "../base/assert.ts";
import { bigIntToBytes, toHex } from "../base/bytes.ts";
import type { Fork } from "../execution/execution.ts";
import { isFork } from "../execution/transaction-rules.ts";
import { BEACON_ROOTS, HISTORY_STORAGE } from "../protocol/predeploys.ts";
import { type Json, quantity } from "./encode.ts";
import type { Services } from "./services.ts";

/** In the order of their addresses, from 1 on. */
const PRECOMPILES: readonly (readonly [since: Fork, names: string])[] = [
  ["london", "ECREC SHA256 RIPEMD160 ID MODEXP BN254_ADD BN254_MUL BN254_PAIRING BLAKE2F"],
  ["cancun", "KZG_POINT_EVALUATION"],
  [
    "prague",
    "BLS12_G1ADD BLS12_G1MSM BLS12_G2ADD BLS12_G2MSM BLS12_PAIRING_CHECK BLS12_MAP_FP_TO_G1 BLS12_MAP_FP2_TO_G2",
  ],
];
const P256_VERIFY = 0x100;
/** Of EIP-7691; without blobs it moves nothing. */
const BLOB_UPDATE_FRACTION = 5_007_716;

const addressOf = (number: number): string => toHex(bigIntToBytes(BigInt(number), 20));

function precompiles(fork: Fork): Record<string, string> {
  const names = PRECOMPILES.filter(([since]) => isFork(fork, since)).flatMap(([, some]) => some.split(" "));
  const found = names.map((name, i): [string, string] => [name, addressOf(i + 1)]);
  if (isFork(fork, "osaka")) found.push(["P256VERIFY", addressOf(P256_VERIFY)]);
  return Object.fromEntries(found);
}

export function forkConfig(s: Services): Json {
  const genesis = s.chain.block(0);
  assert(genesis !== undefined, "block 0 is stored");
  const { fork } = s.chain.envAt(s.chain.heads().latest);
  const current = {
    activationTime: 0,
    // This chain carries no blobs of its own.
    blobSchedule: { baseFeeUpdateFraction: BLOB_UPDATE_FRACTION, max: 0, target: 0 },
    chainId: quantity(s.chain.chainId),
    // Forks that are active at genesis do not count.
    forkId: `0x${crc32(genesis.hash).toString(16).padStart(8, "0")}`,
    precompiles: precompiles(fork),
    systemContracts: {
      BEACON_ROOTS_ADDRESS: toHex(BEACON_ROOTS),
      HISTORY_STORAGE_ADDRESS: toHex(HISTORY_STORAGE),
    },
  };
  return { current, next: null, last: null };
}
