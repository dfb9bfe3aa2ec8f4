/** Random protocol objects for property tests: every field over its whole legal range, edges favoured. */
import * as fc from "fast-check";
import { bigIntToBytes } from "../../base/bytes.ts";
import type { Log } from "../receipt.ts";
import type { Authorization, SignedTransaction } from "../transaction.ts";
import {
  type DepositFields,
  signAuthorization,
  signTransaction,
  type TransactionFields,
} from "../transaction-codec.ts";

/** Plain objects only, as decoders give them. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record<T>(model, { noNullPrototype: true });

export const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
export const bytesUpTo = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength: length });

/** Unsigned integers of up to `bits` bits, short ones as likely as long ones. */
export const unsigned = (bits: number): fc.Arbitrary<bigint> =>
  fc.oneof(
    fc.bigInt(0n, (1n << BigInt(bits)) - 1n),
    fc.integer({ min: 0, max: bits }).chain((n) => fc.bigInt(0n, (1n << BigInt(n)) - 1n)),
  );

export const privateKey: fc.Arbitrary<Uint8Array> = fc
  .bigInt(1n, 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140n)
  .map((value) => bigIntToBytes(value, 32));

const chainId = fc.oneof(fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 2 ** 48 }));
const accessList = fc.array(record({ address: bytes(20), slots: fc.array(bytes(32), { maxLength: 3 }) }), {
  maxLength: 3,
});

export const authorization: fc.Arbitrary<Authorization> = fc
  .tuple(
    record({ chainId: fc.constantFrom(0n, 1n, 901n), address: bytes(20), nonce: fc.bigInt(0n, (1n << 64n) - 2n) }),
    privateKey,
  )
  .map(([fields, key]) => signAuthorization(fields, key));

/** Fields that obey all static bounds. */
export const transactionFields: fc.Arbitrary<TransactionFields> = record({
  type: fc.constantFrom<(0 | 1 | 2 | 3 | 4)[]>(0, 1, 2, 3, 4),
  protectedLegacy: fc.boolean(),
  chainId,
  nonce: fc.oneof(fc.bigInt(0n, 1000n), fc.bigInt(0n, (1n << 64n) - 2n)),
  to: fc.option(bytes(20), { nil: undefined }),
  contract: bytes(20),
  valueWei: unsigned(256),
  data: fc.oneof(bytesUpTo(100), bytesUpTo(2), bytesUpTo(2000)),
  gasLimit: unsigned(64),
  fee: unsigned(192),
  tip: unsigned(192),
  accessList,
  authorizations: fc.array(authorization, { minLength: 1, maxLength: 2 }),
  blobFee: unsigned(256),
  blobHashes: fc.array(
    bytes(32).map((hash) => Uint8Array.of(1, ...hash.subarray(1))),
    { minLength: 1, maxLength: 3 },
  ),
}).map((f) => ({
  type: f.type,
  chainId: f.type === 0 && !f.protectedLegacy ? undefined : f.chainId,
  nonce: f.nonce,
  to: f.type >= 3 ? (f.to ?? f.contract) : f.to,
  valueWei: f.valueWei,
  data: f.data,
  gasLimit: f.gasLimit,
  maxFeePerGasWei: f.fee > f.tip ? f.fee : f.tip,
  maxPriorityFeePerGasWei: f.type < 2 ? (f.fee > f.tip ? f.fee : f.tip) : f.fee > f.tip ? f.tip : f.fee,
  accessList: f.type === 0 ? [] : f.accessList,
  authorizations: f.type === 4 ? f.authorizations : [],
  maxFeePerBlobGasWei: f.type === 3 ? f.blobFee : 0n,
  blobHashes: f.type === 3 ? f.blobHashes : [],
}));

export const signedTransaction: fc.Arbitrary<SignedTransaction> = fc
  .tuple(transactionFields, privateKey)
  .map(([fields, key]) => signTransaction(fields, key));

/** Whether libraries that hold nonces as `number` can read it. */
export function hasSafeNonces(tx: Pick<SignedTransaction, "nonce" | "authorizations">): boolean {
  return [tx, ...tx.authorizations].every(({ nonce }) => nonce <= Number.MAX_SAFE_INTEGER);
}

export const depositFields: fc.Arbitrary<DepositFields> = record({
  sourceHash: bytes(32),
  from: bytes(20),
  to: fc.option(bytes(20), { nil: undefined }),
  mintWei: unsigned(128),
  valueWei: unsigned(256),
  gasLimit: unsigned(64),
  isSystemTx: fc.boolean(),
  data: bytesUpTo(200),
});

export const log: fc.Arbitrary<Log> = record({
  address: bytes(20),
  topics: fc.array(bytes(32), { maxLength: 4 }),
  data: bytesUpTo(100),
});

/** One to four random edits of valid bytes: flips, cuts, insertions, repeats. */
export function edited(base: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const edit = record({
    kind: fc.constantFrom("flip", "set", "cut", "insert", "truncate"),
    at: fc.nat(),
    value: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x00, 0x80, 0xb8, 0xc0, 0xf8, 0xff)),
  });
  return fc.tuple(base, fc.array(edit, { minLength: 1, maxLength: 4 })).map(([bytesIn, edits]) => {
    let out = [...bytesIn];
    for (const { kind, at, value } of edits) {
      const index = out.length === 0 ? 0 : at % out.length;
      if (kind === "flip") out[index] = (out[index] ?? 0) ^ (1 << (value & 7));
      else if (kind === "set") out[index] = value;
      else if (kind === "cut") out.splice(index, 1);
      else if (kind === "insert") out.splice(index, 0, value);
      else out = out.slice(0, index);
    }
    return Uint8Array.from(out);
  });
}
