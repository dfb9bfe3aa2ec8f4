/**
 * Owns the elliptic-curve precompiles: one table from precompile number to a function on bytes, behind which stand
 * libsecp256k1, @noble/curves and node-eth-kzg. Prices and everything about gas are the VM's. A function returns the
 * output, or undefined when the precompile fails; whatever a library throws on bad points is such a failure.
 * @see EIP-196, EIP-197, EIP-2537, EIP-4844, EIP-7951
 */
import { createHash } from "node:crypto";
// A CommonJS module whose names Node cannot see from outside: only the default import works.
import ethKzg from "@crate-crypto/node-eth-kzg";
import { bls12_381 } from "@noble/curves/bls12-381.js";
import { bn254 } from "@noble/curves/bn254.js";
import { p256 } from "@noble/curves/nist.js";
import { bigIntToBytes, bytesEqual, bytesToBigInt, concatBytes, EMPTY_BYTES } from "../../base/bytes.ts";
import { recoverAddress } from "../../protocol/secp256k1.ts";

type Precompile = (input: Uint8Array) => Uint8Array | undefined;

const TRUE_WORD = bigIntToBytes(1n, 32);
const FALSE_WORD = new Uint8Array(32);

/** The first `length` bytes of the input, zeros beyond its end. */
function padded(input: Uint8Array, length: number): Uint8Array {
  if (input.length === length) return input;
  const out = new Uint8Array(length);
  out.set(input.subarray(0, length));
  return out;
}

const number = (bytes: Uint8Array, at: number, length: number): bigint =>
  bytesToBigInt(bytes.subarray(at, at + length));

/** The input cut into pieces of `size`; undefined when it does not divide. */
function pieces(input: Uint8Array, size: number): Uint8Array[] | undefined {
  if (input.length % size !== 0) return undefined;
  return Array.from({ length: input.length / size }, (_, i) => input.subarray(i * size, (i + 1) * size));
}

function ecrecover(input: Uint8Array): Uint8Array | undefined {
  const data = padded(input, 128);
  const v = number(data, 32, 32);
  const address =
    v === 27n || v === 28n
      ? recoverAddress(data.slice(0, 32), Number(v - 27n), number(data, 64, 32), number(data, 96, 32))
      : undefined;
  if (address === undefined) return EMPTY_BYTES;
  const out = new Uint8Array(32);
  out.set(address, 12);
  return out;
}

// bn254

const BN_FIELD = bn254.fields.Fp.ORDER;
type BnG1 = typeof bn254.G1.Point.ZERO;
type BnG2 = typeof bn254.G2.Point.ZERO;

function bnField(data: Uint8Array, at: number): bigint {
  const value = number(data, at, 32);
  if (value >= BN_FIELD) throw new RangeError("bn254 coordinate is not in the field");
  return value;
}

function bnG1(data: Uint8Array, at: number): BnG1 {
  const x = bnField(data, at);
  const y = bnField(data, at + 32);
  if (x === 0n && y === 0n) return bn254.G1.Point.ZERO;
  const point = bn254.G1.Point.fromAffine({ x, y });
  point.assertValidity();
  return point;
}

function bnG2(data: Uint8Array, at: number): BnG2 {
  // Imaginary part first.
  const x = { c1: bnField(data, at), c0: bnField(data, at + 32) };
  const y = { c1: bnField(data, at + 64), c0: bnField(data, at + 96) };
  if (x.c0 === 0n && x.c1 === 0n && y.c0 === 0n && y.c1 === 0n) return bn254.G2.Point.ZERO;
  const point = bn254.G2.Point.fromAffine({ x, y });
  point.assertValidity();
  return point;
}

function bnG1Bytes(point: BnG1): Uint8Array {
  const { x, y } = point.toAffine();
  return concatBytes(bigIntToBytes(x, 32), bigIntToBytes(y, 32));
}

function bnAdd(input: Uint8Array): Uint8Array {
  const data = padded(input, 128);
  return bnG1Bytes(bnG1(data, 0).add(bnG1(data, 64)));
}

function bnMul(input: Uint8Array): Uint8Array {
  const data = padded(input, 96);
  const point = bnG1(data, 0);
  const scalar = number(data, 64, 32) % bn254.fields.Fr.ORDER;
  return bnG1Bytes(scalar === 0n ? bn254.G1.Point.ZERO : point.multiplyUnsafe(scalar));
}

function bnPairing(input: Uint8Array): Uint8Array | undefined {
  const parts = pieces(input, 192);
  if (parts === undefined) return undefined;
  const pairs = parts
    .map((part) => ({ g1: bnG1(part, 0), g2: bnG2(part, 64) }))
    .filter(({ g1, g2 }) => !g1.is0() && !g2.is0());
  const { Fp12 } = bn254.fields;
  return Fp12.eql(bn254.pairingBatch(pairs), Fp12.ONE) ? TRUE_WORD : FALSE_WORD;
}

// KZG point evaluation

let kzg: ethKzg.DasContextJs | undefined;
/** FIELD_ELEMENTS_PER_BLOB and the modulus of the scalar field. */
const POINT_EVALUATION_OUTPUT = concatBytes(bigIntToBytes(4096n, 32), bigIntToBytes(bls12_381.fields.Fr.ORDER, 32));

function pointEvaluation(input: Uint8Array): Uint8Array | undefined {
  if (input.length !== 192) return undefined;
  const commitment = input.slice(96, 144);
  const versionedHash = new Uint8Array(createHash("sha256").update(commitment).digest());
  versionedHash[0] = 1;
  if (!bytesEqual(versionedHash, input.subarray(0, 32))) return undefined;
  kzg ??= ethKzg.DasContextJs.create({ usePrecomp: false });
  const valid = kzg.verifyKzgProof(commitment, input.slice(32, 64), input.slice(64, 96), input.slice(144, 192));
  return valid ? POINT_EVALUATION_OUTPUT : undefined;
}

// BLS12-381

const BLS_FIELD = bls12_381.fields.Fp.ORDER;
const BlsG1 = bls12_381.G1.Point;
const BlsG2 = bls12_381.G2.Point;
type BlsG1Point = typeof BlsG1.ZERO;
type BlsG2Point = typeof BlsG2.ZERO;

/** A field element: 64 bytes, the first 16 zero. */
function blsField(data: Uint8Array, at: number): bigint {
  const value = number(data, at, 64);
  if (value >= BLS_FIELD) throw new RangeError("BLS12-381 coordinate is not in the field");
  return value;
}

function blsG1(data: Uint8Array, at: number, inSubgroup: boolean): BlsG1Point {
  const x = blsField(data, at);
  const y = blsField(data, at + 64);
  if (x === 0n && y === 0n) return BlsG1.ZERO;
  const { Fp } = bls12_381.fields;
  if (!Fp.eql(Fp.sqr(y), Fp.add(Fp.mul(Fp.sqr(x), x), 4n))) throw new RangeError("point is not on the curve");
  const point = BlsG1.fromAffine({ x, y });
  if (inSubgroup && !point.isTorsionFree()) throw new RangeError("point is not in the subgroup");
  return point;
}

function blsG2(data: Uint8Array, at: number, inSubgroup: boolean): BlsG2Point {
  const { Fp2 } = bls12_381.fields;
  const x = Fp2.create({ c0: blsField(data, at), c1: blsField(data, at + 64) });
  const y = Fp2.create({ c0: blsField(data, at + 128), c1: blsField(data, at + 192) });
  if (Fp2.is0(x) && Fp2.is0(y)) return BlsG2.ZERO;
  const b = Fp2.create({ c0: 4n, c1: 4n });
  if (!Fp2.eql(Fp2.sqr(y), Fp2.add(Fp2.mul(Fp2.sqr(x), x), b))) throw new RangeError("point is not on the curve");
  const point = BlsG2.fromAffine({ x, y });
  if (inSubgroup && !point.isTorsionFree()) throw new RangeError("point is not in the subgroup");
  return point;
}

function blsG1Bytes(point: BlsG1Point): Uint8Array {
  if (point.is0()) return new Uint8Array(128);
  const { x, y } = point.toAffine();
  return concatBytes(bigIntToBytes(x, 64), bigIntToBytes(y, 64));
}

function blsG2Bytes(point: BlsG2Point): Uint8Array {
  if (point.is0()) return new Uint8Array(256);
  const { x, y } = point.toAffine();
  return concatBytes(...[x.c0, x.c1, y.c0, y.c1].map((value) => bigIntToBytes(value, 64)));
}

function blsG1Add(input: Uint8Array): Uint8Array | undefined {
  if (input.length !== 256) return undefined;
  return blsG1Bytes(blsG1(input, 0, false).add(blsG1(input, 128, false)));
}

function blsG2Add(input: Uint8Array): Uint8Array | undefined {
  if (input.length !== 512) return undefined;
  return blsG2Bytes(blsG2(input, 0, false).add(blsG2(input, 256, false)));
}

function blsG1Msm(input: Uint8Array): Uint8Array | undefined {
  const parts = pieces(input, 160);
  if (parts === undefined || parts.length === 0) return undefined;
  let sum = BlsG1.ZERO;
  for (const part of parts) {
    const point = blsG1(part, 0, true);
    const scalar = number(part, 128, 32) % bls12_381.fields.Fr.ORDER;
    if (scalar !== 0n) sum = sum.add(point.multiplyUnsafe(scalar));
  }
  return blsG1Bytes(sum);
}

function blsG2Msm(input: Uint8Array): Uint8Array | undefined {
  const parts = pieces(input, 288);
  if (parts === undefined || parts.length === 0) return undefined;
  let sum = BlsG2.ZERO;
  for (const part of parts) {
    const point = blsG2(part, 0, true);
    const scalar = number(part, 256, 32) % bls12_381.fields.Fr.ORDER;
    if (scalar !== 0n) sum = sum.add(point.multiplyUnsafe(scalar));
  }
  return blsG2Bytes(sum);
}

function blsPairing(input: Uint8Array): Uint8Array | undefined {
  const parts = pieces(input, 384);
  if (parts === undefined || parts.length === 0) return undefined;
  const pairs = parts
    .map((part) => ({ g1: blsG1(part, 0, true), g2: blsG2(part, 128, true) }))
    .filter(({ g1, g2 }) => !g1.is0() && !g2.is0());
  const { Fp12 } = bls12_381.fields;
  return Fp12.eql(bls12_381.pairingBatch(pairs, true), Fp12.ONE) ? TRUE_WORD : FALSE_WORD;
}

function blsMapG1(input: Uint8Array): Uint8Array | undefined {
  if (input.length !== 64) return undefined;
  return blsG1Bytes(bls12_381.G1.mapToCurve([blsField(input, 0)]) as unknown as BlsG1Point);
}

function blsMapG2(input: Uint8Array): Uint8Array | undefined {
  if (input.length !== 128) return undefined;
  return blsG2Bytes(bls12_381.G2.mapToCurve([blsField(input, 0), blsField(input, 64)]) as unknown as BlsG2Point);
}

// P-256

function p256Verify(input: Uint8Array): Uint8Array {
  if (input.length !== 160) return EMPTY_BYTES;
  try {
    const point = p256.Point.fromAffine({ x: number(input, 96, 32), y: number(input, 128, 32) });
    point.assertValidity();
    const valid = p256.verify(input.slice(32, 96), input.slice(0, 32), point.toBytes(false), {
      lowS: false,
      prehash: false,
    });
    return valid ? TRUE_WORD : EMPTY_BYTES;
  } catch {
    return EMPTY_BYTES;
  }
}

/** Precompile number → operation. */
const PRECOMPILES: ReadonlyMap<number, Precompile> = new Map<number, Precompile>([
  [0x01, ecrecover],
  [0x06, bnAdd],
  [0x07, bnMul],
  [0x08, bnPairing],
  [0x0a, pointEvaluation],
  [0x0b, blsG1Add],
  [0x0c, blsG1Msm],
  [0x0d, blsG2Add],
  [0x0e, blsG2Msm],
  [0x0f, blsPairing],
  [0x10, blsMapG1],
  [0x11, blsMapG2],
  [0x100, p256Verify],
]);

/** Runs an elliptic-curve precompile; undefined when it fails. */
export function runPrecompile(id: number, input: Uint8Array): Uint8Array | undefined {
  try {
    return PRECOMPILES.get(id)?.(input);
  } catch {
    return undefined;
  }
}
