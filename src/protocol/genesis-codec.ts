/**
 * Owns how the genesis document travels: brotli of canonical JSON (fixed key order, sorted allocation, minimal hex), so
 * that equal documents are equal bytes; and the header of block 0 (decision 0002).
 * Invariant: `encodeGenesis(parseGenesis(b))` has the content of `b`; parsing is bounded and refuses with
 * GENESIS_MALFORMED what is unknown, missing, of the wrong size or out of range, and names the place.
 */
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { z } from "zod";
import { EMPTY_BYTES, fromHex, toHex } from "../base/bytes.ts";
import { defineErrors } from "../base/error.ts";
import type { Block, Header } from "./block.ts";
import type { Genesis, GenesisAccount } from "./genesis.ts";
import { headerHash } from "./header-codec.ts";
import { EMPTY_OMMERS_HASH, EMPTY_TRIE_ROOT } from "./ordered-trie.ts";
import { SEQUENCER_FEE_VAULT } from "./predeploys.ts";
import type { L1BlockInfo } from "./system-config.ts";

export const genesisError = defineErrors("Genesis", {
  GENESIS_MALFORMED: {
    summary: "The genesis document is not readable or breaks a rule.",
    action: "Check the inbox address, and the document given to the deployment; the message names the field.",
    retryable: false,
  },
});

/** Calldata of one L1 transaction holds less than this. */
export const GENESIS_MAX_BYTES = 128 * 1024;
const GENESIS_JSON_MAX_BYTES = 8 * 1024 * 1024;

/** Lower-case, `0x`, whole bytes. */
const bytesOf = (sizeBytes: number): z.ZodType<Uint8Array, string> =>
  z
    .string()
    .regex(new RegExp(`^0x[0-9a-f]{${2 * sizeBytes}}$`), `is 0x and ${2 * sizeBytes} lower-case hex digits`)
    .transform(fromHex);
const anyBytes = z
  .string()
  .regex(/^0x([0-9a-f]{2})*$/, "is 0x and an even number of lower-case hex digits")
  .transform(fromHex);
const quantity = z
  .string()
  .regex(/^0x(0|[1-9a-f][0-9a-f]{0,63})$/, "is a minimal 0x quantity of at most 256 bits")
  .transform((text) => BigInt(text));
const positive = z.int().min(1);
const uint32 = z
  .int()
  .min(0)
  .max(2 ** 32 - 1);

const accountSchema = z.strictObject({
  balanceWei: quantity,
  nonce: quantity,
  code: anyBytes,
  storage: z.record(z.string().regex(/^[0-9a-f]{64}$/, "a slot is 64 lower-case hex digits"), bytesOf(32)),
});

const schema = z.strictObject({
  version: z.literal(1),
  name: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, "is 1 to 32 of a-z, 0-9 and -"),
  chainId: positive.max(2 ** 51),
  l1ChainId: positive,
  contracts: z.strictObject({
    portal: bytesOf(20),
    inbox: bytesOf(20),
    outputOracle: bytesOf(20),
    systemConfig: bytesOf(20),
    l1CrossDomainMessenger: bytesOf(20),
    l1StandardBridge: bytesOf(20),
  }),
  timestamp: z.int().min(0),
  baseFeePerGasWei: quantity,
  systemConfig: z.strictObject({ gasLimit: z.int().min(1_000_000), baseFeeScalar: uint32, blobBaseFeeScalar: uint32 }),
  elasticity: positive.max(100),
  baseFeeDenominator: positive.max(1_000_000),
  sequencingWindow: positive.max(1_000_000),
  maxDriftSeconds: positive.max(1_000_000),
  alloc: z.record(z.string().regex(/^[0-9a-f]{40}$/, "an address is 40 lower-case hex digits"), accountSchema),
});

const hexQuantity = (value: bigint): string => `0x${value.toString(16)}`;

function sorted<T, U>(map: ReadonlyMap<string, T>, encode: (value: T) => U): Record<string, U> {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, encode(value)]));
}

/** The document as JSON, in its canonical order; what people read. */
export function genesisJson(genesis: Genesis): string {
  const { contracts, systemConfig } = genesis;
  return JSON.stringify({
    version: genesis.version,
    name: genesis.name,
    chainId: genesis.chainId,
    l1ChainId: genesis.l1ChainId,
    contracts: {
      portal: toHex(contracts.portal),
      inbox: toHex(contracts.inbox),
      outputOracle: toHex(contracts.outputOracle),
      systemConfig: toHex(contracts.systemConfig),
      l1CrossDomainMessenger: toHex(contracts.l1CrossDomainMessenger),
      l1StandardBridge: toHex(contracts.l1StandardBridge),
    },
    timestamp: genesis.timestamp,
    baseFeePerGasWei: hexQuantity(genesis.baseFeePerGasWei),
    systemConfig: {
      gasLimit: systemConfig.gasLimit,
      baseFeeScalar: systemConfig.baseFeeScalar,
      blobBaseFeeScalar: systemConfig.blobBaseFeeScalar,
    },
    elasticity: genesis.elasticity,
    baseFeeDenominator: genesis.baseFeeDenominator,
    sequencingWindow: genesis.sequencingWindow,
    maxDriftSeconds: genesis.maxDriftSeconds,
    alloc: sorted(genesis.alloc, (account: GenesisAccount) => ({
      balanceWei: hexQuantity(account.balanceWei),
      nonce: hexQuantity(account.nonce),
      code: toHex(account.code),
      storage: sorted(account.storage, toHex),
    })),
  });
}

/** The bytes that `Inbox.publishGenesis` carries. @throws {GenesisError} GENESIS_MALFORMED when they would be too large */
export function encodeGenesis(genesis: Genesis): Uint8Array {
  const json = Buffer.from(genesisJson(genesis), "utf8");
  const compressed = brotliCompressSync(json, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: json.length,
    },
  });
  if (compressed.length > GENESIS_MAX_BYTES)
    throw genesisError("GENESIS_MALFORMED", `${compressed.length} bytes are more than ${GENESIS_MAX_BYTES}`);
  return Uint8Array.from(compressed);
}

/** The document in the bytes of {@link encodeGenesis}. @throws {GenesisError} GENESIS_MALFORMED */
export function parseGenesis(bytes: Uint8Array): Genesis {
  if (bytes.length > GENESIS_MAX_BYTES)
    throw genesisError("GENESIS_MALFORMED", `${bytes.length} bytes are more than ${GENESIS_MAX_BYTES}`);
  let json: unknown;
  try {
    json = JSON.parse(brotliDecompressSync(bytes, { maxOutputLength: GENESIS_JSON_MAX_BYTES }).toString("utf8"));
  } catch (cause) {
    throw genesisError("GENESIS_MALFORMED", "not brotli of JSON", {}, { cause });
  }
  const result = schema.safeParse(json);
  if (!result.success) {
    const issue = result.error.issues[0];
    const place = issue?.path.join(".") ?? "";
    throw genesisError("GENESIS_MALFORMED", `${place === "" ? "document" : place}: ${issue?.message ?? "invalid"}`, {
      place,
    });
  }
  const { alloc, ...rest } = result.data;
  return {
    ...rest,
    alloc: new Map(
      Object.entries(alloc).map(([address, account]) => [
        address,
        { ...account, storage: new Map(Object.entries(account.storage)) },
      ]),
    ),
  };
}

/** sha256 of nothing: no execution requests. */
const EMPTY_REQUESTS_HASH = fromHex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

/** Block 0: `stateRoot` is the root of `genesis.alloc`, `origin` the L1 block of the GenesisPublished event. */
export function genesisBlock(genesis: Genesis, stateRoot: Uint8Array, origin: L1BlockInfo): Block {
  const header: Header = {
    parentHash: new Uint8Array(32),
    ommersHash: EMPTY_OMMERS_HASH,
    coinbase: SEQUENCER_FEE_VAULT,
    stateRoot,
    transactionsRoot: EMPTY_TRIE_ROOT,
    receiptsRoot: EMPTY_TRIE_ROOT,
    logsBloom: new Uint8Array(256),
    difficulty: 0n,
    number: 0,
    gasLimit: genesis.systemConfig.gasLimit,
    gasUsed: 0,
    timestamp: genesis.timestamp,
    extraData: EMPTY_BYTES,
    prevRandao: origin.prevRandao,
    nonce: new Uint8Array(8),
    baseFeePerGasWei: genesis.baseFeePerGasWei,
    withdrawalsRoot: EMPTY_TRIE_ROOT,
    blobGasUsed: 0,
    excessBlobGas: 0,
    parentBeaconBlockRoot: origin.parentBeaconBlockRoot,
    requestsHash: EMPTY_REQUESTS_HASH,
  };
  return {
    hash: headerHash(header),
    header,
    transactions: [],
    senders: [],
    origin: { number: origin.number, hash: origin.hash },
    sequenceNumber: 0,
  };
}
