/**
 * Owns the elliptic-curve precompiles: one table from precompile number to a function on bytes, behind which stand
 * libsecp256k1, mcl and @noble/curves (P-256). Prices and everything about gas are the VM's. A function returns the
 * output, or undefined when the precompile fails; bad points throw RangeError, which is such a failure.
 * @see EIP-196, EIP-197, EIP-2537, EIP-4844, EIP-7951
 */
import { createHash } from "node:crypto";
import { p256 } from "@noble/curves/nist.js";
import { bigIntToBytes, bytesEqual, bytesToBigInt, concatBytes, EMPTY_BYTES, fromHex } from "../../base/bytes.ts";
import { recoverAddress } from "../../protocol/secp256k1.ts";
import { BLS12_381, BN254, type Group, type PairingCurve, type Pointer } from "./pairing-curve.ts";

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

/** Cuts `size` bytes from `at` into field elements. */
function fields(data: Uint8Array, at: number, count: number, size: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => data.subarray(at + i * size, at + (i + 1) * size));
}

function bnG1(to: Pointer, data: Uint8Array, at: number): void {
  BN254.readPoint("G1", to, fields(data, at, 2, 32));
}

function bnG2(to: Pointer, data: Uint8Array, at: number): void {
  // Imaginary part first.
  const [x1, x0, y1, y0] = fields(data, at, 4, 32) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  BN254.readPoint("G2", to, [x0, x1, y0, y1]);
  BN254.requireOrder("G2", to);
}

function bnG1Bytes(point: Pointer): Uint8Array {
  const coordinates = BN254.coordinates("G1", point);
  return coordinates === undefined ? new Uint8Array(64) : concatBytes(...coordinates);
}

function bnAdd(input: Uint8Array): Uint8Array {
  const data = padded(input, 128);
  return BN254.withRoom(2, (points) => {
    const other = BN254.pointAt("G1", points, 1);
    bnG1(points, data, 0);
    bnG1(other, data, 64);
    BN254.add("G1", points, points, other);
    return bnG1Bytes(points);
  });
}

function bnMul(input: Uint8Array): Uint8Array {
  const data = padded(input, 96);
  return BN254.withRoom(1, (point, _, scalar) => {
    bnG1(point, data, 0);
    BN254.readScalar(scalar, data.subarray(64, 96));
    BN254.multiply("G1", point, point, scalar);
    return bnG1Bytes(point);
  });
}

/** Reads pairs and drops those that pair to one by themselves; answers whether the product of the rest is one. */
function pairing(
  curve: PairingCurve,
  parts: readonly Uint8Array[],
  read: (part: Uint8Array, g1: Pointer, g2: Pointer) => void,
): Uint8Array {
  return curve.withRoom(parts.length, (firstG1, firstG2) => {
    let count = 0;
    for (const part of parts) {
      const g1 = curve.pointAt("G1", firstG1, count);
      const g2 = curve.pointAt("G2", firstG2, count);
      read(part, g1, g2);
      if (!curve.isZero("G1", g1) && !curve.isZero("G2", g2)) count++;
    }
    return curve.pairsToOne(firstG1, firstG2, count) ? TRUE_WORD : FALSE_WORD;
  });
}

function bnPairing(input: Uint8Array): Uint8Array | undefined {
  const parts = pieces(input, 192);
  if (parts === undefined) return undefined;
  return pairing(BN254, parts, (part, g1, g2) => {
    bnG1(g1, part, 0);
    bnG2(g2, part, 64);
  });
}

// KZG point evaluation

/** The order of the groups of BLS12-381. */
const BLS_ORDER = fromHex("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001");
/** FIELD_ELEMENTS_PER_BLOB and the modulus of the scalar field. */
const POINT_EVALUATION_OUTPUT = concatBytes(bigIntToBytes(4096n, 32), BLS_ORDER);
const BLS_G1 = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";
const BLS_G2 =
  "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8";
/** The secret of Ethereum's KZG ceremony in G2: all of the trusted setup that verification asks for. */
const CEREMONY_G2 =
  "b5bfd7dd8cdeb128843bc287230af38926187075cbfbefa81009a2ce615ac53d2914e5870cb452d2afaaab24f3499f72185cbfee53492714734429b7b38608e23926c911cceceac9a36851477ba4c60b087041de621000edc98edada20c1def2";

/** [commitment - y] paired with [1] equals [proof] paired with [secret - z]. */
function pointEvaluation(input: Uint8Array): Uint8Array | undefined {
  if (input.length !== 192) return undefined;
  const commitment = input.slice(96, 144);
  const versionedHash = new Uint8Array(createHash("sha256").update(commitment).digest());
  versionedHash[0] = 1;
  if (!bytesEqual(versionedHash, input.subarray(0, 32))) return undefined;
  const z = input.subarray(32, 64);
  const y = input.subarray(64, 96);
  if (Buffer.compare(z, BLS_ORDER) >= 0 || Buffer.compare(y, BLS_ORDER) >= 0) return undefined;
  const curve = BLS12_381;
  return curve.withRoom(3, (g1, g2, scalar) => {
    const proof = curve.pointAt("G1", g1, 1);
    const base = curve.pointAt("G1", g1, 2);
    const secret = curve.pointAt("G2", g2, 1);
    const shift = curve.pointAt("G2", g2, 2);
    curve.readCompressed("G1", g1, commitment);
    curve.readCompressed("G1", proof, input.subarray(144, 192));
    curve.readCompressed("G1", base, fromHex(BLS_G1));
    curve.readScalar(scalar, y);
    curve.multiply("G1", base, base, scalar);
    curve.subtract("G1", g1, base, g1);
    curve.readCompressed("G2", g2, fromHex(BLS_G2));
    curve.readCompressed("G2", secret, fromHex(CEREMONY_G2));
    curve.readScalar(scalar, z);
    curve.multiply("G2", shift, g2, scalar);
    curve.subtract("G2", secret, secret, shift);
    // A pair with infinity is one already.
    const pairs = [
      [g1, g2],
      [proof, secret],
    ].filter(([a, b]) => !curve.isZero("G1", a as Pointer) && !curve.isZero("G2", b as Pointer));
    const valid =
      pairs.length === 2
        ? curve.pairsToOne(g1, g2, 2)
        : pairs.every(([a, b]) => curve.pairsToOne(a as Pointer, b as Pointer, 1));
    return valid ? POINT_EVALUATION_OUTPUT : undefined;
  });
}

// BLS12-381

/** A field element stands in 64 bytes, the first 16 zero. */
function blsFields(data: Uint8Array, at: number, count: number): Uint8Array[] {
  return fields(data, at, count, 64).map((bytes) => {
    for (let i = 0; i < 16; i++) if (bytes[i] !== 0) throw new RangeError("coordinate is not in the field");
    return bytes.subarray(16);
  });
}

const BLS_POINT_BYTES: Record<Group, number> = { G1: 128, G2: 256 };

function blsPoint(group: Group, to: Pointer, data: Uint8Array, at: number, inSubgroup: boolean): void {
  BLS12_381.readPoint(group, to, blsFields(data, at, group === "G1" ? 2 : 4));
  if (inSubgroup) BLS12_381.requireOrder(group, to);
}

function blsPointBytes(group: Group, point: Pointer): Uint8Array {
  const out = new Uint8Array(BLS_POINT_BYTES[group]);
  for (const [i, bytes] of (BLS12_381.coordinates(group, point) ?? []).entries()) out.set(bytes, i * 64 + 16);
  return out;
}

function blsAdd(group: Group, input: Uint8Array): Uint8Array | undefined {
  const size = BLS_POINT_BYTES[group];
  if (input.length !== 2 * size) return undefined;
  return BLS12_381.withRoom(2, (g1, g2) => {
    const first = group === "G1" ? g1 : g2;
    const second = BLS12_381.pointAt(group, first, 1);
    blsPoint(group, first, input, 0, false);
    blsPoint(group, second, input, size, false);
    BLS12_381.add(group, first, first, second);
    return blsPointBytes(group, first);
  });
}

function blsMultiplySum(group: Group, input: Uint8Array): Uint8Array | undefined {
  const size = BLS_POINT_BYTES[group];
  const parts = pieces(input, size + 32);
  if (parts === undefined || parts.length === 0) return undefined;
  return BLS12_381.withRoom(parts.length + 1, (g1, g2, scalars) => {
    const sum = group === "G1" ? g1 : g2;
    const points = BLS12_381.pointAt(group, sum, 1);
    for (const [i, part] of parts.entries()) {
      blsPoint(group, BLS12_381.pointAt(group, points, i), part, 0, true);
      BLS12_381.readScalar(BLS12_381.scalarAt(scalars, i), part.subarray(size));
    }
    BLS12_381.multiplySum(group, sum, points, scalars, parts.length);
    return blsPointBytes(group, sum);
  });
}

function blsPairing(input: Uint8Array): Uint8Array | undefined {
  const parts = pieces(input, 384);
  if (parts === undefined || parts.length === 0) return undefined;
  return pairing(BLS12_381, parts, (part, g1, g2) => {
    blsPoint("G1", g1, part, 0, true);
    blsPoint("G2", g2, part, 128, true);
  });
}

function blsMap(group: Group, input: Uint8Array): Uint8Array | undefined {
  const count = group === "G1" ? 1 : 2;
  if (input.length !== count * 64) return undefined;
  return BLS12_381.withRoom(1, (g1, g2) => {
    const to = group === "G1" ? g1 : g2;
    BLS12_381.map(group, to, blsFields(input, 0, count));
    return blsPointBytes(group, to);
  });
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
  [0x0b, (input) => blsAdd("G1", input)],
  [0x0c, (input) => blsMultiplySum("G1", input)],
  [0x0d, (input) => blsAdd("G2", input)],
  [0x0e, (input) => blsMultiplySum("G2", input)],
  [0x0f, blsPairing],
  [0x10, (input) => blsMap("G1", input)],
  [0x11, (input) => blsMap("G2", input)],
  [0x100, p256Verify],
]);

/**
 * Runs an elliptic-curve precompile; undefined when it fails. Bad input fails; a fault of a library or of ours does not
 * pass for that, or nodes would differ in silence.
 */
export function runPrecompile(id: number, input: Uint8Array): Uint8Array | undefined {
  try {
    return PRECOMPILES.get(id)?.(input);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
