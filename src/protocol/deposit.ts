/**
 * Owns what L1 puts into L2: source hashes, address aliases, and the deposits in the portal's events.
 * Invariant: the deposits of an L1 block are a pure function of its portal logs and its hash, in log order. Total: a
 * log that is not a well-formed version 0 TransactionDeposited event gives no deposit; the portal cannot emit such.
 * @see OP Stack specification, deposits
 */
import { assert } from "../base/assert.ts";
import { bigIntToBytes, bytesEqual, bytesToBigInt, concatBytes, fromHex, padLeft } from "../base/bytes.ts";
import { keccak256 } from "./keccak.ts";
import type { Log } from "./receipt.ts";
import type { DepositTransaction } from "./transaction.ts";
import { encodeDeposit } from "./transaction-codec.ts";

/** `keccak256("TransactionDeposited(address,address,uint256,bytes)")` */
export const TRANSACTION_DEPOSITED_TOPIC = fromHex("b3813568d9991fc951961fcb4c784893574240a28925604d09fc577c55bb7c32");

const WORD_BYTES = 32;
/** mint, value, gas limit and the creation flag, packed. */
const OPAQUE_HEAD_BYTES = 32 + 32 + 8 + 1;
const USER_DEPOSIT_DOMAIN = 0;
const L1_ATTRIBUTES_DOMAIN = 1;

/** A log with its position in the L1 block. */
export type PositionedLog = Log & { readonly logIndex: number };

function sourceHash(domain: number, identifier: Uint8Array): Uint8Array {
  return keccak256(concatBytes(bigIntToBytes(BigInt(domain), WORD_BYTES), keccak256(identifier)));
}

/** Source hash of the user deposit that log `logIndex` of the L1 block stands for. */
export function userDepositSourceHash(l1BlockHash: Uint8Array, logIndex: number): Uint8Array {
  return sourceHash(USER_DEPOSIT_DOMAIN, concatBytes(l1BlockHash, bigIntToBytes(BigInt(logIndex), WORD_BYTES)));
}

/** Source hash of the L1-attributes deposit of the block with this sequence number in the origin. */
export function l1AttributesSourceHash(l1BlockHash: Uint8Array, sequenceNumber: number): Uint8Array {
  return sourceHash(L1_ATTRIBUTES_DOMAIN, concatBytes(l1BlockHash, bigIntToBytes(BigInt(sequenceNumber), WORD_BYTES)));
}

/**
 * The deposits of one L1 block.
 * @param logs of the portal, in ascending log order; other events of the portal are passed over.
 */
export function depositsOfLogs(logs: readonly PositionedLog[], l1BlockHash: Uint8Array): DepositTransaction[] {
  const deposits: DepositTransaction[] = [];
  let before = -1;
  for (const log of logs) {
    assert(log.logIndex > before, "logs of a block come in ascending order");
    before = log.logIndex;
    const deposit = depositOfLog(log, l1BlockHash);
    if (deposit !== undefined) deposits.push(deposit);
  }
  return deposits;
}

/** The deposit that a log stands for, or undefined for other events and foreign versions. */
export function depositOfLog(log: PositionedLog, l1BlockHash: Uint8Array): DepositTransaction | undefined {
  const [topic, from, to, version] = log.topics;
  if (topic === undefined || from === undefined || to === undefined || version === undefined) return undefined;
  if (log.topics.length !== 4 || !bytesEqual(topic, TRANSACTION_DEPOSITED_TOPIC)) return undefined;
  if (!isZero(version) || !isAddressWord(from) || !isAddressWord(to)) return undefined;
  const opaque = abiBytes(log.data);
  if (opaque === undefined || opaque.length < OPAQUE_HEAD_BYTES) return undefined;
  // The portal writes 0 or 1; any other byte is a creation for nobody and not a deposit it made.
  const creation = opaque[OPAQUE_HEAD_BYTES - 1] as number;
  if (creation > 1) return undefined;
  return encodeDeposit({
    sourceHash: userDepositSourceHash(l1BlockHash, log.logIndex),
    from: new Uint8Array(from.subarray(12)),
    to: creation === 1 ? undefined : new Uint8Array(to.subarray(12)),
    mintWei: bytesToBigInt(opaque.subarray(0, 32)),
    valueWei: bytesToBigInt(opaque.subarray(32, 64)),
    gasLimit: bytesToBigInt(opaque.subarray(64, 72)),
    isSystemTx: false,
    data: opaque.subarray(OPAQUE_HEAD_BYTES),
  });
}

function isZero(bytes: Uint8Array, from = 0, to: number = bytes.length): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false;
  return true;
}

function isAddressWord(word: Uint8Array): boolean {
  return word.length === WORD_BYTES && isZero(word, 0, 12);
}

/** The one `bytes` value of ABI-encoded event data: offset 32, length, content padded with zeros to whole words. */
function abiBytes(data: Uint8Array): Uint8Array | undefined {
  if (data.length < 2 * WORD_BYTES || data.length % WORD_BYTES !== 0) return undefined;
  if (!isZero(data, 0, 31) || data[31] !== WORD_BYTES) return undefined;
  if (!isZero(data, WORD_BYTES, 2 * WORD_BYTES - 6)) return undefined;
  let length = 0;
  for (let i = 2 * WORD_BYTES - 6; i < 2 * WORD_BYTES; i++) length = length * 256 + (data[i] as number);
  const end = 2 * WORD_BYTES + length;
  if (Math.ceil(end / WORD_BYTES) * WORD_BYTES !== data.length || !isZero(data, end)) return undefined;
  return data.subarray(2 * WORD_BYTES, end);
}

/** Opaque data of a version 0 deposit as the portal packs it: for tools and tests that stand in for the portal. */
export function encodeOpaqueData(
  fields: Pick<DepositTransaction, "mintWei" | "valueWei" | "gasLimit" | "to" | "data">,
): Uint8Array {
  return concatBytes(
    bigIntToBytes(fields.mintWei, 32),
    bigIntToBytes(fields.valueWei, 32),
    bigIntToBytes(fields.gasLimit, 8),
    Uint8Array.of(fields.to === undefined ? 1 : 0),
    fields.data,
  );
}

/** The TransactionDeposited log of a deposit, as the portal at `portal` emits it. */
export function depositLog(
  fields: Pick<DepositTransaction, "from" | "mintWei" | "valueWei" | "gasLimit" | "to" | "data">,
  portal: Uint8Array,
  logIndex: number,
): PositionedLog {
  const opaque = encodeOpaqueData(fields);
  const data = new Uint8Array(2 * WORD_BYTES + Math.ceil(opaque.length / WORD_BYTES) * WORD_BYTES);
  data[31] = WORD_BYTES;
  data.set(bigIntToBytes(BigInt(opaque.length), WORD_BYTES), WORD_BYTES);
  data.set(opaque, 2 * WORD_BYTES);
  const topics = [
    TRANSACTION_DEPOSITED_TOPIC,
    padLeft(fields.from, WORD_BYTES),
    padLeft(fields.to ?? new Uint8Array(20), WORD_BYTES),
    new Uint8Array(WORD_BYTES),
  ];
  return { address: portal, topics, data, logIndex };
}

/** Distance between an L1 contract and the address it acts under on L2. */
const ALIAS_OFFSET = 0x1111000000000000000000000000000000001111n;
const ADDRESS_END = 1n << 160n;

/** The L2 address an L1 contract's deposits come from. */
export function applyL1ToL2Alias(l1Address: Uint8Array): Uint8Array {
  assert(l1Address.length === 20, "an address has 20 bytes");
  return bigIntToBytes((bytesToBigInt(l1Address) + ALIAS_OFFSET) % ADDRESS_END, 20);
}

/** The L1 contract behind an aliased L2 address. */
export function undoL1ToL2Alias(l2Address: Uint8Array): Uint8Array {
  assert(l2Address.length === 20, "an address has 20 bytes");
  return bigIntToBytes((bytesToBigInt(l2Address) - ALIAS_OFFSET + ADDRESS_END) % ADDRESS_END, 20);
}
