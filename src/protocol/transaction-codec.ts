/**
 * Owns the encodings of transactions: strict decoding of types 0–4 and 0x7E, signing hashes, building and signing.
 * Invariant: what decodes is canonical and holds every bound that needs no chain state (field widths, signature
 * ranges with low s, tip below fee), so `encode(decode(raw))` is `raw`. Fields are views of `raw`.
 * Any other input is a CodedError with one code per cause. Type 3 is taken as its body, without the blob sidecar.
 * @see EIP-155, 2718, 2930, 1559, 4844, 7702, 2681; OP Stack specification, deposits
 */
import { bigIntToMinimalBytes, concatBytes, EMPTY_BYTES } from "../base/bytes.ts";
import { CodedError, defineErrors } from "../base/error.ts";
import { keccak256 } from "./keccak.ts";
import {
  encodeRlp,
  type RlpItem,
  RlpReader,
  rlpHeaderLength,
  rlpStringLength,
  writeRlpHeader,
  writeRlpString,
} from "./rlp.ts";
import { signDigest } from "./secp256k1.ts";
import type { AccessList, Authorization, DepositTransaction, SignedTransaction, Transaction } from "./transaction.ts";

export const DEPOSIT_TYPE = 0x7e;
/** Bound on a signed transaction: what the Ethereum network relays. */
export const TRANSACTION_SIZE_BYTES_MAX = 128 * 1024;
/** Beyond what a log of an L1 block can carry at 8 gas a byte, so that no deposit is ever refused. */
export const DEPOSIT_SIZE_BYTES_MAX = 64 * 1024 * 1024;

/** Order of the secp256k1 group. */
const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const CURVE_ORDER_HALF = CURVE_ORDER >> 1n;
/** EIP-2681: the nonce after the last usable one. */
const NONCE_MAX = (1n << 64n) - 2n;
const UINT256_END = 1n << 256n;
const BLOB_HASH_VERSION = 0x01;

export const transactionError = defineErrors("Transaction", {
  UNDECODABLE: {
    summary: "The bytes are not the canonical encoding of a transaction.",
    action: "Encode with a current library; compare field count, lengths and leading zeros.",
    retryable: false,
  },
  UNSUPPORTED_TYPE: {
    summary: "The transaction type is not one this chain takes.",
    action: "Use type 0, 1, 2 or 4.",
    retryable: false,
  },
  BAD_SIGNATURE: {
    summary: "The signature is out of range, not in its low-s form, or recovers to no key.",
    action: "Sign again with a library that gives low-s signatures (EIP-2).",
    retryable: false,
  },
  FIELD_OUT_OF_RANGE: {
    summary: "A field breaks a bound that no chain state could lift.",
    action: "Correct the field that the message names.",
    retryable: false,
  },
  TIP_ABOVE_FEE: {
    summary: "maxPriorityFeePerGas exceeds maxFeePerGas.",
    action: "Raise the maximum fee or lower the tip.",
    retryable: false,
  },
  TRANSACTION_TOO_LARGE: {
    summary: "The encoded transaction exceeds the size limit.",
    action: "Split the data over several transactions.",
    retryable: false,
  },
});

/** What a caller chooses of a transaction before signing. Absent amounts are 0, absent lists empty. */
export type TransactionFields = {
  readonly type: 0 | 1 | 2 | 3 | 4;
  /** May be absent only in type 0: a signature without replay protection. */
  readonly chainId?: number | undefined;
  readonly nonce: bigint;
  readonly to?: Uint8Array | undefined;
  readonly valueWei?: bigint;
  readonly data?: Uint8Array;
  readonly gasLimit: bigint;
  /** The gas price in types 0 and 1. */
  readonly maxFeePerGasWei: bigint;
  readonly maxPriorityFeePerGasWei?: bigint;
  readonly accessList?: AccessList;
  readonly authorizations?: readonly Authorization[];
  readonly maxFeePerBlobGasWei?: bigint;
  readonly blobHashes?: readonly Uint8Array[];
};

export type DepositFields = Omit<DepositTransaction, "type" | "raw" | "hash">;

/**
 * Decodes one transaction of any type. `raw` is kept, not copied: pass bytes nobody writes to.
 * @throws {CodedError} UNDECODABLE, UNSUPPORTED_TYPE, BAD_SIGNATURE, FIELD_OUT_OF_RANGE, TIP_ABOVE_FEE, TRANSACTION_TOO_LARGE
 */
export function decodeTransaction(raw: Uint8Array): Transaction {
  return raw[0] === DEPOSIT_TYPE ? decodeDeposit(raw) : decodeSignedTransaction(raw);
}

/** As {@link decodeTransaction}, for what users send: a deposit is UNSUPPORTED_TYPE. */
export function decodeSignedTransaction(raw: Uint8Array): SignedTransaction {
  if (raw.length > TRANSACTION_SIZE_BYTES_MAX)
    throw transactionError("TRANSACTION_TOO_LARGE", `${raw.length} bytes exceed ${TRANSACTION_SIZE_BYTES_MAX}`, {
      sizeBytes: raw.length,
    });
  const type = typeOf(raw);
  try {
    const reader = new RlpReader(raw, type === 0 ? 0 : 1);
    const end = reader.enter();
    const transaction = type === 0 ? readLegacy(reader) : readTyped(reader, type);
    reader.leave(end);
    reader.finish();
    return transaction;
  } catch (error) {
    throw undecodable(error);
  }
}

/** Gas limit of a signed transaction that decodes, read without decoding the rest. */
export function gasLimitOf(raw: Uint8Array): number {
  const type = typeOf(raw);
  const reader = new RlpReader(raw, type === 0 ? 0 : 1);
  reader.enter();
  for (let skip = type === 0 ? 2 : type === 1 ? 3 : 4; skip > 0; skip--) reader.string();
  return reader.safeInteger("gas limit");
}

function typeOf(raw: Uint8Array): 0 | 1 | 2 | 3 | 4 {
  const first = raw[0];
  if (first === undefined) throw transactionError("UNDECODABLE", "the transaction is empty");
  if (first >= 0xc0) return 0;
  if (first === 1 || first === 2 || first === 3 || first === 4) return first;
  if (first >= 0x80) throw transactionError("UNDECODABLE", "neither a list nor a typed envelope", { first });
  throw transactionError("UNSUPPORTED_TYPE", `type ${first} is not accepted`, { type: first });
}

/** RLP faults become UNDECODABLE with their cause; coded transaction faults pass. */
function undecodable(error: unknown): unknown {
  return error instanceof CodedError && error.code.startsWith("RLP_")
    ? transactionError("UNDECODABLE", error.message, { reason: error.code }, { cause: error })
    : error;
}

function readTo(reader: RlpReader): Uint8Array | undefined {
  const to = reader.string();
  if (to.length === 0) return undefined;
  if (to.length !== 20) throw transactionError("UNDECODABLE", `the recipient has ${to.length} bytes, not 20 or none`);
  return to;
}

function readNonce(reader: RlpReader): bigint {
  const nonce = reader.integer(8, "nonce");
  if (nonce > NONCE_MAX)
    throw transactionError("FIELD_OUT_OF_RANGE", "the nonce is above 2^64 - 2", { field: "nonce" });
  return nonce;
}

function readLegacy(reader: RlpReader): SignedTransaction {
  const nonce = readNonce(reader);
  const gasPriceWei = reader.integer(32, "gasPrice");
  const gasLimit = reader.integer(8, "gasLimit");
  const to = readTo(reader);
  const valueWei = reader.integer(32, "value");
  const data = reader.string();
  const v = reader.integer(32, "v");
  const r = reader.integer(32, "r");
  const s = reader.integer(32, "s");
  let chainId: number | undefined;
  let yParity: number;
  if (v === 27n || v === 28n) {
    yParity = Number(v - 27n);
  } else if (v >= 35n) {
    chainId = Number((v - 35n) >> 1n);
    yParity = Number((v - 35n) & 1n);
  } else {
    throw transactionError("BAD_SIGNATURE", `v = ${v} names no parity`, { v });
  }
  return checked(reader, {
    type: 0,
    raw: reader.bytes,
    hash: EMPTY_BYTES,
    chainId,
    nonce,
    to,
    valueWei,
    data,
    gasLimit,
    maxFeePerGasWei: gasPriceWei,
    maxPriorityFeePerGasWei: gasPriceWei,
    accessList: NO_ACCESS_LIST,
    authorizations: NO_AUTHORIZATIONS,
    maxFeePerBlobGasWei: 0n,
    blobHashes: NO_BLOB_HASHES,
    yParity,
    r,
    s,
  });
}

const NO_ACCESS_LIST: AccessList = Object.freeze([]);
const NO_AUTHORIZATIONS: readonly Authorization[] = Object.freeze([]);
const NO_BLOB_HASHES: readonly Uint8Array[] = Object.freeze([]);

function readTyped(reader: RlpReader, type: 1 | 2 | 3 | 4): SignedTransaction {
  const chainId = Number(reader.integer(32, "chainId"));
  const nonce = readNonce(reader);
  const maxPriorityFeePerGasWei = reader.integer(32, type === 1 ? "gasPrice" : "maxPriorityFeePerGas");
  const maxFeePerGasWei = type === 1 ? maxPriorityFeePerGasWei : reader.integer(32, "maxFeePerGas");
  const gasLimit = reader.integer(8, "gasLimit");
  const to = readTo(reader);
  if (to === undefined && type >= 3)
    throw transactionError("FIELD_OUT_OF_RANGE", `type ${type} cannot create a contract`, { field: "to" });
  const valueWei = reader.integer(32, "value");
  const data = reader.string();
  const accessList = readAccessList(reader);
  const maxFeePerBlobGasWei = type === 3 ? reader.integer(32, "maxFeePerBlobGas") : 0n;
  const blobHashes = type === 3 ? readBlobHashes(reader) : NO_BLOB_HASHES;
  const authorizations = type === 4 ? readAuthorizations(reader) : NO_AUTHORIZATIONS;
  const parity = reader.integer(32, "yParity");
  if (parity > 1n) throw transactionError("BAD_SIGNATURE", `yParity = ${parity} is neither 0 nor 1`, { parity });
  const r = reader.integer(32, "r");
  const s = reader.integer(32, "s");
  return checked(reader, {
    type,
    raw: reader.bytes,
    hash: EMPTY_BYTES,
    chainId,
    nonce,
    to,
    valueWei,
    data,
    gasLimit,
    maxFeePerGasWei,
    maxPriorityFeePerGasWei,
    accessList,
    authorizations,
    maxFeePerBlobGasWei,
    blobHashes,
    yParity: Number(parity),
    r,
    s,
  });
}

/** The bounds across fields; fills in the hash, last, so that refused bytes cost no hashing. */
function checked(reader: RlpReader, draft: { -readonly [K in keyof SignedTransaction]: SignedTransaction[K] }) {
  if (!reader.isAtEnd) throw transactionError("UNDECODABLE", "the transaction has more fields than its type");
  const { r, s } = draft;
  if (r <= 0n || r >= CURVE_ORDER) throw transactionError("BAD_SIGNATURE", "r is out of range");
  if (s <= 0n || s > CURVE_ORDER_HALF) throw transactionError("BAD_SIGNATURE", "s is out of range or not low");
  if (draft.chainId !== undefined && !Number.isSafeInteger(draft.chainId))
    throw transactionError("FIELD_OUT_OF_RANGE", "the chain id exceeds 2^53 - 1", { field: "chainId" });
  if (draft.maxPriorityFeePerGasWei > draft.maxFeePerGasWei)
    throw transactionError("TIP_ABOVE_FEE", `tip ${draft.maxPriorityFeePerGasWei} above fee ${draft.maxFeePerGasWei}`);
  if (draft.gasLimit * draft.maxFeePerGasWei >= UINT256_END)
    throw transactionError("FIELD_OUT_OF_RANGE", "gas limit times fee exceeds 256 bits", { field: "gasLimit" });
  draft.hash = keccak256(draft.raw);
  return draft;
}

function readAccessList(reader: RlpReader): AccessList {
  const end = reader.enter();
  if (reader.isAtEnd) {
    reader.leave(end);
    return NO_ACCESS_LIST;
  }
  const list: { address: Uint8Array; slots: Uint8Array[] }[] = [];
  while (!reader.isAtEnd) {
    const entryEnd = reader.enter();
    const address = reader.fixed(20, "access list address");
    const slots: Uint8Array[] = [];
    const slotsEnd = reader.enter();
    while (!reader.isAtEnd) slots.push(reader.fixed(32, "access list slot"));
    reader.leave(slotsEnd);
    reader.leave(entryEnd);
    list.push({ address, slots });
  }
  reader.leave(end);
  return list;
}

function readBlobHashes(reader: RlpReader): readonly Uint8Array[] {
  const end = reader.enter();
  const hashes: Uint8Array[] = [];
  while (!reader.isAtEnd) {
    const hash = reader.fixed(32, "blob hash");
    if (hash[0] !== BLOB_HASH_VERSION)
      throw transactionError("FIELD_OUT_OF_RANGE", `blob hash version ${hash[0]}`, { field: "blobVersionedHashes" });
    hashes.push(hash);
  }
  reader.leave(end);
  if (hashes.length === 0)
    throw transactionError("FIELD_OUT_OF_RANGE", "a blob transaction names no blob", { field: "blobVersionedHashes" });
  return hashes;
}

function readAuthorizations(reader: RlpReader): readonly Authorization[] {
  const end = reader.enter();
  const list: Authorization[] = [];
  while (!reader.isAtEnd) {
    const entryEnd = reader.enter();
    list.push({
      chainId: reader.integer(32, "authorization chainId"),
      address: reader.fixed(20, "authorization address"),
      nonce: reader.integer(8, "authorization nonce"),
      yParity: Number(reader.integer(1, "authorization yParity")),
      r: reader.integer(32, "authorization r"),
      s: reader.integer(32, "authorization s"),
    });
    reader.leave(entryEnd);
  }
  reader.leave(end);
  if (list.length === 0)
    throw transactionError("FIELD_OUT_OF_RANGE", "a type 4 transaction authorizes nobody", {
      field: "authorizationList",
    });
  return list;
}

function decodeDeposit(raw: Uint8Array): DepositTransaction {
  if (raw.length > DEPOSIT_SIZE_BYTES_MAX)
    throw transactionError("TRANSACTION_TOO_LARGE", `${raw.length} bytes exceed ${DEPOSIT_SIZE_BYTES_MAX}`, {
      sizeBytes: raw.length,
    });
  try {
    const reader = new RlpReader(raw, 1);
    const end = reader.enter();
    const sourceHash = reader.fixed(32, "sourceHash");
    const from = reader.fixed(20, "from");
    const to = readTo(reader);
    const mintWei = reader.integer(32, "mint");
    const valueWei = reader.integer(32, "value");
    const gasLimit = reader.integer(8, "gasLimit");
    const system = reader.integer(1, "isSystemTx");
    if (system > 1n) throw transactionError("UNDECODABLE", "isSystemTx is neither 0 nor 1", { system });
    const data = reader.string();
    reader.leave(end);
    reader.finish();
    const hash = keccak256(reader.bytes);
    const isSystemTx = system === 1n;
    return {
      type: DEPOSIT_TYPE,
      raw: reader.bytes,
      hash,
      sourceHash,
      from,
      to,
      mintWei,
      valueWei,
      gasLimit,
      isSystemTx,
      data,
    };
  } catch (error) {
    throw undecodable(error);
  }
}

/** Encodes a deposit and gives it its hash. @throws {CodedError} UNDECODABLE when a field breaks its width. */
export function encodeDeposit(fields: DepositFields): DepositTransaction {
  const raw = encodeRlp(
    [
      fields.sourceHash,
      fields.from,
      fields.to ?? EMPTY_BYTES,
      bigIntToMinimalBytes(fields.mintWei),
      bigIntToMinimalBytes(fields.valueWei),
      bigIntToMinimalBytes(fields.gasLimit),
      fields.isSystemTx ? ONE : EMPTY_BYTES,
      fields.data,
    ],
    DEPOSIT_PREFIX,
  );
  return decodeDeposit(raw);
}

const ONE = Uint8Array.of(1);
const DEPOSIT_PREFIX = Uint8Array.of(DEPOSIT_TYPE);

/** Length of an integer as an RLP item. */
function integerItemLength(value: bigint): number {
  return value < 0x80n ? 1 : 1 + ((value.toString(16).length + 1) >> 1);
}

/**
 * `v` as JSON-RPC and the legacy encoding carry it: 27/28 or EIP-155 in type 0, the parity otherwise.
 */
export function signatureV(tx: Pick<SignedTransaction, "type" | "chainId" | "yParity">): bigint {
  if (tx.type !== 0) return BigInt(tx.yParity);
  return tx.chainId === undefined ? BigInt(27 + tx.yParity) : BigInt(tx.chainId) * 2n + BigInt(35 + tx.yParity);
}

/** The 32 bytes the sender signed. Cut out of `raw`: fields in front of the signature are not encoded again. */
export function signingHash(tx: SignedTransaction): Uint8Array {
  const start = tx.type === 0 ? 0 : 1;
  const first = tx.raw[start] as number;
  const headerLength = first <= 0xf7 ? 1 : 1 + (first - 0xf7);
  const fieldsAt = start + headerLength;
  const signatureLength = integerItemLength(signatureV(tx)) + integerItemLength(tx.r) + integerItemLength(tx.s);
  const fields = tx.raw.subarray(fieldsAt, tx.raw.length - signatureLength);
  return keccak256(envelope(tx.type, fields, replaySuffix(tx)));
}

/** `type ‖ rlp(list)` where the list is already encoded `fields` followed by `suffix` strings. */
function envelope(type: number, fields: Uint8Array, suffix: readonly Uint8Array[]): Uint8Array {
  let payload = fields.length;
  for (const item of suffix) payload += rlpStringLength(item);
  const start = type === 0 ? 0 : 1;
  const out = new Uint8Array(start + rlpHeaderLength(payload) + payload);
  if (type !== 0) out[0] = type;
  let at = writeRlpHeader(out, start, 0xc0, payload);
  out.set(fields, at);
  at += fields.length;
  for (const item of suffix) at = writeRlpString(out, at, item);
  return out;
}

/** The list items in front of the signature. */
function unsignedItems(fields: TransactionFields): RlpItem[] {
  const integer = (value: bigint | undefined): Uint8Array => bigIntToMinimalBytes(value ?? 0n);
  const body: RlpItem[] = [
    integer(fields.gasLimit),
    fields.to ?? EMPTY_BYTES,
    integer(fields.valueWei),
    fields.data ?? EMPTY_BYTES,
  ];
  const fee = integer(fields.maxFeePerGasWei);
  if (fields.type === 0) return [integer(fields.nonce), fee, ...body];
  const head: RlpItem[] = [integer(BigInt(fields.chainId ?? 0)), integer(fields.nonce)];
  if (fields.type !== 1) head.push(integer(fields.maxPriorityFeePerGasWei));
  const accessList = (fields.accessList ?? []).map((entry) => [entry.address, entry.slots]);
  const tail: RlpItem[] = [accessList];
  if (fields.type === 3) tail.push(integer(fields.maxFeePerBlobGasWei), fields.blobHashes ?? []);
  if (fields.type === 4) tail.push((fields.authorizations ?? []).map(authorizationItems));
  return [...head, fee, ...body, ...tail];
}

function authorizationItems(authorization: Authorization): RlpItem[] {
  return [
    bigIntToMinimalBytes(authorization.chainId),
    authorization.address,
    bigIntToMinimalBytes(authorization.nonce),
    bigIntToMinimalBytes(BigInt(authorization.yParity)),
    bigIntToMinimalBytes(authorization.r),
    bigIntToMinimalBytes(authorization.s),
  ];
}

/** Concatenated encodings of items, without a list header. */
function encodeItems(items: readonly RlpItem[]): Uint8Array {
  return concatBytes(...items.map((item) => encodeRlp(item)));
}

export type Signature = { readonly yParity: number; readonly r: bigint; readonly s: bigint };

/**
 * Joins fields with a signature made elsewhere.
 * @throws {CodedError} as {@link decodeTransaction}, when the fields or the signature break a bound.
 */
export function assembleTransaction(fields: TransactionFields, signature: Signature): SignedTransaction {
  const v = signatureV({ type: fields.type, chainId: fields.chainId, yParity: signature.yParity });
  const suffix = [v, signature.r, signature.s].map(bigIntToMinimalBytes);
  return decodeSignedTransaction(envelope(fields.type, encodeItems(unsignedItems(fields)), suffix));
}

/** The 32 bytes to sign for these fields. */
export function signingHashOf(fields: TransactionFields): Uint8Array {
  return keccak256(envelope(fields.type, encodeItems(unsignedItems(fields)), replaySuffix(fields)));
}

/** EIP-155: what stands in the place of the signature in the digest of a protected legacy transaction. */
function replaySuffix({ type, chainId }: Pick<SignedTransaction, "type"> & { readonly chainId?: number | undefined }) {
  if (type !== 0 || chainId === undefined) return [];
  return [bigIntToMinimalBytes(BigInt(chainId)), EMPTY_BYTES, EMPTY_BYTES];
}

/**
 * Signs with a 32-byte private key (RFC 6979, low s); for tests, the devnet and tools.
 * @throws {CodedError} as {@link decodeTransaction}, when the fields break a bound.
 */
export function signTransaction(fields: TransactionFields, privateKey: Uint8Array): SignedTransaction {
  return assembleTransaction(fields, signDigest(signingHashOf(fields), privateKey));
}

/**
 * Signs an EIP-7702 authorization.
 * @param privateKey of the account that delegates.
 */
export function signAuthorization(
  fields: Pick<Authorization, "chainId" | "address" | "nonce">,
  privateKey: Uint8Array,
): Authorization {
  return { ...fields, ...signDigest(authorizationHash(fields), privateKey) };
}

/** The digest of an EIP-7702 authorization: `keccak256(0x05 ‖ rlp([chainId, address, nonce]))`. */
export function authorizationHash(fields: Pick<Authorization, "chainId" | "address" | "nonce">): Uint8Array {
  return keccak256(
    encodeRlp(
      [bigIntToMinimalBytes(fields.chainId), fields.address, bigIntToMinimalBytes(fields.nonce)],
      AUTHORIZATION_PREFIX,
    ),
  );
}

const AUTHORIZATION_PREFIX = Uint8Array.of(0x05);
