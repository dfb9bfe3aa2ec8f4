/**
 * Owns the reading of recorded mainnet blocks: `N.json.gz` with the block as an RPC gives it, and directories with
 * block.json.gz, txs.json.gz and pre_state.json.gz whose transactions name their caller instead of carrying a signature.
 * Both become an environment, raw transactions with senders, and a pre-state.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { assert } from "../../src/base/assert.ts";
import { bigIntToMinimalBytes, fromHex, padLeft } from "../../src/base/bytes.ts";
import type { BlockEnv, Fork, TxInput } from "../../src/execution/execution.ts";
import { type PreAccount, worldOf } from "../../src/execution/testing/state-test.ts";
import type { World } from "../../src/execution/wasm/testing/world.ts";
import { encodeRlp, type RlpItem } from "../../src/protocol/rlp.ts";
import { blobBaseFee } from "../vm/blob-fee.ts";

type Hex = `0x${string}`;

export type RecordedBlock = {
  readonly name: string;
  readonly env: BlockEnv;
  readonly txs: readonly TxInput[];
  readonly types: readonly number[];
  /** Applied before the transactions (EIP-4788). */
  readonly parentBeaconBlockRoot: Uint8Array | undefined;
  readonly excessBlobGas: bigint;
  readonly blobFeeFraction: bigint;
  /** What the header says; undefined where only the inputs were recorded. */
  readonly expected: { gasUsed: number; logsBloom: Uint8Array; receiptsRoot: Uint8Array } | undefined;
  /** A fresh world each time. */
  readonly world: () => World;
};

const hexOf = (value: string | number | bigint | null | undefined): bigint => BigInt(value ?? 0);
const minimal = (value: string | number | null | undefined): Uint8Array => bigIntToMinimalBytes(hexOf(value));
const bytes = (hex: string): Uint8Array => fromHex(hex);
const word = (hex: string): Uint8Array => padLeft(bytes(hex.length % 2 === 0 ? hex : `0x0${hex.slice(2)}`), 32);
const readJson = (path: string): unknown => JSON.parse(gunzipSync(readFileSync(path)).toString("utf8"));

/** One transaction with the names of the RPC. */
type RpcTx = {
  type: Hex;
  from: Hex;
  nonce: Hex;
  to: Hex | null;
  value: Hex;
  input: Hex;
  gas: Hex;
  gasPrice?: Hex;
  maxFeePerGas?: Hex;
  maxPriorityFeePerGas?: Hex;
  maxFeePerBlobGas?: Hex;
  blobVersionedHashes?: Hex[];
  accessList?: { address: Hex; storageKeys: Hex[] }[];
  authorizationList?: { chainId: Hex; address: Hex; nonce: Hex; yParity: Hex; r: Hex; s: Hex }[];
  chainId?: Hex;
  v: Hex;
  yParity?: Hex;
  r: Hex;
  s: Hex;
};

function encode(tx: RpcTx): Uint8Array {
  const type = Number(tx.type);
  const head: RlpItem[] = [minimal(tx.nonce)];
  if (type >= 2) head.push(minimal(tx.maxPriorityFeePerGas), minimal(tx.maxFeePerGas));
  else head.push(minimal(tx.gasPrice));
  head.push(minimal(tx.gas), tx.to === null ? new Uint8Array(0) : bytes(tx.to), minimal(tx.value), bytes(tx.input));
  const signature = [minimal(type === 0 ? tx.v : (tx.yParity ?? tx.v)), minimal(tx.r), minimal(tx.s)];
  if (type === 0) return encodeRlp([...head, ...signature]);
  const items: RlpItem[] = [minimal(tx.chainId), ...head];
  items.push((tx.accessList ?? []).map((entry) => [bytes(entry.address), entry.storageKeys.map(bytes)]));
  if (type === 3) items.push(minimal(tx.maxFeePerBlobGas), (tx.blobVersionedHashes ?? []).map(bytes));
  if (type === 4)
    items.push(
      (tx.authorizationList ?? []).map((a) => [
        minimal(a.chainId),
        bytes(a.address),
        minimal(a.nonce),
        minimal(a.yParity),
        minimal(a.r),
        minimal(a.s),
      ]),
    );
  return encodeRlp([...items, ...signature], Uint8Array.of(type));
}

/** Mainnet's blob fee update fraction by time: Cancun, Prague (EIP-7691), then the two blob-only forks (EIP-7892). */
function blobFeeFraction(timestamp: number): bigint {
  if (timestamp >= 1_767_747_671) return 11_684_671n;
  if (timestamp >= 1_765_290_071) return 8_346_193n;
  if (timestamp >= 1_746_612_311) return 5_007_716n;
  return 3_338_477n;
}

function recordedForks(name: string): Fork {
  const forks: Record<string, Fork> = {
    London: "london",
    Merge: "paris",
    Paris: "paris",
    Shanghai: "shanghai",
    Cancun: "cancun",
    Prague: "prague",
    Osaka: "osaka",
  };
  const fork = forks[name];
  assert(fork !== undefined, `${name} is a fork from London on`);
  return fork;
}

type RpcBlock = Record<
  "hash" | "parentHash" | "miner" | "receiptsRoot" | "logsBloom" | "difficulty" | "number" | "gasLimit" | "gasUsed",
  Hex
> & {
  timestamp: Hex;
  mixHash: Hex;
  baseFeePerGas: Hex;
  excessBlobGas?: Hex;
  parentBeaconBlockRoot?: Hex;
  transactions: RpcTx[];
};

/** proposeL2Output(bytes32,uint256,bytes32,uint256) */
const PROPOSE_L2_OUTPUT = "0x9aaab648";

/**
 * Block hashes the recorded block itself testifies: output proposals of OP Stack rollups carry the hash and number of a
 * recent L1 block, and revert when BLOCKHASH disagrees. Others are not recorded and read as zero.
 */
function testifiedHashes(txs: readonly RpcTx[]): [number, Uint8Array][] {
  return txs
    .filter((tx) => tx.input.startsWith(PROPOSE_L2_OUTPUT) && tx.input.length === 10 + 4 * 64)
    .map((tx) => [Number(`0x${tx.input.slice(10 + 3 * 64)}`), bytes(`0x${tx.input.slice(10 + 2 * 64, 10 + 3 * 64)}`)]);
}

/** Reads `path`: a .json.gz file or a directory of the three. */
export function loadBlock(path: string): RecordedBlock {
  if (statSync(path).isDirectory()) return loadParts(path);
  if (existsSync(join(dirname(path), "pre_state.json.gz"))) return loadParts(dirname(path));
  const {
    fork: forkName,
    block,
    preState,
  } = readJson(path) as {
    fork: string;
    block: RpcBlock;
    preState: Record<string, PreAccount>;
  };
  const fork = recordedForks(forkName);
  const number = Number(block.number);
  const timestamp = Number(block.timestamp);
  const excessBlobGas = hexOf(block.excessBlobGas);
  const hashes = new Map([[number - 1, bytes(block.parentHash)], ...testifiedHashes(block.transactions)]);
  return {
    name: basename(path, ".json.gz"),
    env: {
      chainId: 1,
      number,
      timestamp,
      gasLimit: Number(block.gasLimit),
      baseFeePerGasWei: BigInt(block.baseFeePerGas),
      blobBaseFeeWei: blobBaseFee(excessBlobGas, blobFeeFraction(timestamp)),
      coinbase: bytes(block.miner),
      prevRandao: fork === "london" ? word(block.difficulty) : bytes(block.mixHash),
      fork,
      feePolicy: "ethereum",
    },
    txs: block.transactions.map((tx) => ({ raw: encode(tx), sender: bytes(tx.from), l1FeeWei: 0n })),
    types: block.transactions.map((tx) => Number(tx.type)),
    parentBeaconBlockRoot: block.parentBeaconBlockRoot === undefined ? undefined : bytes(block.parentBeaconBlockRoot),
    excessBlobGas,
    blobFeeFraction: blobFeeFraction(timestamp),
    expected: {
      gasUsed: Number(block.gasUsed),
      logsBloom: bytes(block.logsBloom),
      receiptsRoot: bytes(block.receiptsRoot),
    },
    world: () => worldOf(preState, (n) => hashes.get(n) ?? new Uint8Array(32)),
  };
}

type PartTx = {
  tx_type: number;
  caller: Hex;
  to: Hex | null;
  nonce: number;
  value: Hex;
  data: Hex;
  gas_limit: number;
  gas_price: number;
  gas_priority_fee: number | null;
  chain_id: number;
  access_list: { address: Hex; storage_keys: Hex[] }[];
  blob_hashes: Hex[];
  max_fee_per_blob_gas: number;
  authorization_list: { chain_id: Hex; address: Hex; nonce: number; y_parity: number; r: Hex; s: Hex }[];
};
type PartBlock = {
  number: number;
  coinbase: Hex;
  timestamp: number;
  gas_limit: number;
  basefee: number;
  prevrandao: Hex;
  excess_blob_gas: number;
  spec_id: string;
  block_hashes?: Record<string, Hex>;
};

const quantity = (value: number | bigint | null): Hex => `0x${(value ?? 0).toString(16)}`;

function loadParts(directory: string): RecordedBlock {
  const block = readJson(join(directory, "block.json.gz")) as PartBlock;
  const txs = readJson(join(directory, "txs.json.gz")) as PartTx[];
  const parts = readJson(join(directory, "pre_state.json.gz")) as Record<
    string,
    { balance: Hex; nonce: number; code: Hex | null; storage: Record<Hex, Hex> }
  >;
  const preState: Record<string, PreAccount> = {};
  for (const [address, account] of Object.entries(parts))
    preState[address] = {
      balance: account.balance,
      nonce: quantity(account.nonce),
      code: account.code ?? "0x",
      storage: account.storage,
    };
  const fork = recordedForks(block.spec_id);
  const excessBlobGas = BigInt(block.excess_blob_gas);
  const fraction = blobFeeFraction(block.timestamp);
  const hashes = new Map(Object.entries(block.block_hashes ?? {}).map(([n, hash]) => [Number(n), bytes(hash)]));
  return {
    name: basename(directory),
    env: {
      chainId: 1,
      number: block.number,
      timestamp: block.timestamp,
      gasLimit: block.gas_limit,
      baseFeePerGasWei: BigInt(block.basefee),
      blobBaseFeeWei: blobBaseFee(excessBlobGas, fraction),
      coinbase: bytes(block.coinbase),
      prevRandao: bytes(block.prevrandao),
      fork,
      feePolicy: "ethereum",
    },
    txs: txs.map((tx) => ({ raw: encode(rpcTx(tx)), sender: bytes(tx.caller), l1FeeWei: 0n })),
    types: txs.map((tx) => tx.tx_type),
    parentBeaconBlockRoot: undefined,
    excessBlobGas,
    blobFeeFraction: fraction,
    expected: undefined,
    world: () => worldOf(preState, (n) => hashes.get(n) ?? new Uint8Array(32)),
  };
}

/** The caller is recorded, the signature is not: r = s = 1 stands in for it. */
function rpcTx(tx: PartTx): RpcTx {
  return {
    type: quantity(tx.tx_type),
    from: tx.caller,
    nonce: quantity(tx.nonce),
    to: tx.to,
    value: tx.value,
    input: tx.data,
    gas: quantity(tx.gas_limit),
    gasPrice: quantity(tx.gas_price),
    maxFeePerGas: quantity(tx.gas_price),
    maxPriorityFeePerGas: quantity(tx.gas_priority_fee ?? 0),
    maxFeePerBlobGas: quantity(tx.max_fee_per_blob_gas),
    blobVersionedHashes: tx.blob_hashes,
    accessList: tx.access_list.map((entry) => ({ address: entry.address, storageKeys: entry.storage_keys })),
    authorizationList: tx.authorization_list.map((a) => ({
      chainId: a.chain_id,
      address: a.address,
      nonce: quantity(a.nonce),
      yParity: quantity(a.y_parity),
      r: a.r,
      s: a.s,
    })),
    chainId: quantity(tx.chain_id),
    v: tx.tx_type === 0 ? "0x25" : "0x0",
    yParity: "0x0",
    r: "0x1",
    s: "0x1",
  };
}

/** The recorded blocks below a path, or the one it names. */
export function* blocksIn(path: string): Generator<string> {
  if (!statSync(path).isDirectory() || existsSync(join(path, "pre_state.json.gz"))) {
    yield path;
    return;
  }
  for (const name of readdirSync(path).sort())
    if (name.endsWith(".json.gz") || statSync(join(path, name)).isDirectory()) yield* blocksIn(join(path, name));
}
