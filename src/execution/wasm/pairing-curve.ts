/**
 * Owns the two pairing-friendly curves of the precompiles, bn254 and BLS12-381, on mcl compiled to WebAssembly: points
 * come and go as big-endian bytes, in between they live in the memory of the library. One instance per curve and thread,
 * loaded with this module. Six to eight times as fast as JavaScript, which priced in gas would stall a chain.
 * Invariant: what is no field element, not on its curve or not in the subgroup where that is asked for throws RangeError.
 * @see https://github.com/herumi/mcl (include/mcl/bn.h)
 */
import { createRequire } from "node:module";
import { assert } from "../../base/assert.ts";
import { fromHex } from "../../base/bytes.ts";

/** A pointer into the memory of the library. */
export type Pointer = number;

/** What is used of the library's C interface; results first. */
type Library = {
  readonly HEAP8: Int8Array;
  readonly _malloc: (size: number) => Pointer;
  readonly _free: (at: Pointer) => void;
  readonly _mclBn_init: (curve: number, compiledTimeVar: number) => number;
  readonly _mclBn_setETHserialization: (on: number) => void;
  readonly _mclBn_setMapToMode: (mode: number) => number;
  readonly _mclBn_verifyOrderG1: (on: number) => void;
  readonly _mclBn_verifyOrderG2: (on: number) => void;
  readonly _mclBnFp_setInt32: (to: Pointer, value: number) => void;
  readonly _mclBnFp_clear: (to: Pointer) => void;
  readonly _mclBnFp_setBigEndianMod: (to: Pointer, bytes: Pointer, size: number) => number;
  readonly _mclBnFp_getLittleEndian: (bytes: Pointer, sizeMax: number, from: Pointer) => number;
  readonly _mclBnFr_setBigEndianMod: (to: Pointer, bytes: Pointer, size: number) => number;
  readonly _mclBnFp_mapToG1: (to: Pointer, from: Pointer) => number;
  readonly _mclBnFp2_mapToG2: (to: Pointer, from: Pointer) => number;
  readonly _mclBnGT_isOne: (of: Pointer) => number;
  readonly _mclBn_millerLoopVec: (to: Pointer, g1: Pointer, g2: Pointer, count: number) => void;
  readonly _mclBn_finalExp: (to: Pointer, from: Pointer) => void;
} & Readonly<Record<`_mclBn${"G1" | "G2"}_${"clear" | "getBasePoint"}`, (to: Pointer) => void>> &
  Readonly<Record<`_mclBn${"G1" | "G2"}_${"isValid" | "isValidOrder" | "isZero"}`, (of: Pointer) => number>> &
  Readonly<Record<`_mclBn${"G1" | "G2"}_${"normalize" | "neg"}`, (to: Pointer, from: Pointer) => void>> &
  Readonly<Record<`_mclBn${"G1" | "G2"}_${"add" | "sub" | "mul"}`, (to: Pointer, a: Pointer, b: Pointer) => void>> &
  Readonly<Record<`_mclBn${"G1" | "G2"}_deserialize`, (to: Pointer, bytes: Pointer, size: number) => number>> &
  Readonly<
    Record<`_mclBn${"G1" | "G2"}_mulVec`, (to: Pointer, points: Pointer, scalars: Pointer, count: number) => void>
  >;

/** Sizes and the version key of this build of the library. */
const FP_SIZE = 48;
const FR_SIZE = 32;
const COMPILED_TIME_VAR = 46;
/** Map to curve as RFC 9380 has it. */
const MAP_RFC_9380 = 5;
/** Room for bytes on their way in or out. */
const IO_SIZE = 256;

/** Coordinates of a group: one field element each in G1, two in G2. */
export type Group = "G1" | "G2";
const POINT_SIZE: Record<Group, number> = { G1: 3 * FP_SIZE, G2: 6 * FP_SIZE };

export class PairingCurve {
  /** Bytes of a field element. */
  readonly fieldBytes: number;
  readonly #library: Library;
  readonly #modulus: Uint8Array;
  readonly #io: Pointer;
  readonly #pairing: Pointer;

  private constructor(library: Library, modulus: Uint8Array) {
    this.#library = library;
    this.#modulus = modulus;
    this.fieldBytes = modulus.length;
    this.#io = library._malloc(IO_SIZE);
    this.#pairing = library._malloc(12 * FP_SIZE);
  }

  static async create(number: number, modulus: string): Promise<PairingCurve> {
    // The package's own door knows one curve per process; the module behind it makes an instance each time.
    const make = createRequire(import.meta.url)("mcl-wasm/dist/mcl_c.js") as (o: object) => Promise<Library>;
    const library = await make({});
    const status = library._mclBn_init(number, COMPILED_TIME_VAR);
    assert(status === 0, "the library knows the curve");
    // Whether order is checked differs by precompile: it is asked for where it is meant.
    library._mclBn_verifyOrderG1(0);
    library._mclBn_verifyOrderG2(0);
    return new PairingCurve(library, fromHex(modulus));
  }

  /** Switches to the encodings and maps of BLS12-381 on Ethereum. */
  useEthereumEncodings(): this {
    this.#library._mclBn_setETHserialization(1);
    assert(this.#library._mclBn_setMapToMode(MAP_RFC_9380) === 0, "the library maps as RFC 9380");
    return this;
  }

  /** Calls `use` with room for `count` points of each group and scalars, which ends with it. */
  withRoom<T>(count: number, use: (g1: Pointer, g2: Pointer, scalars: Pointer) => T): T {
    const perItem = POINT_SIZE.G1 + POINT_SIZE.G2 + FR_SIZE;
    const at = this.#library._malloc(perItem * Math.max(1, count));
    assert(at !== 0, "the library has memory for the points of a call");
    try {
      return use(at, at + POINT_SIZE.G1 * count, at + (POINT_SIZE.G1 + POINT_SIZE.G2) * count);
    } finally {
      this.#library._free(at);
    }
  }

  pointAt(group: Group, first: Pointer, index: number): Pointer {
    return first + POINT_SIZE[group] * index;
  }
  scalarAt(first: Pointer, index: number): Pointer {
    return first + FR_SIZE * index;
  }

  /** Reads affine coordinates, each field element on its own: x and y, in G2 (x0, x1) and (y0, y1). All zero: infinity. */
  readPoint(group: Group, to: Pointer, coordinates: readonly Uint8Array[]): void {
    const library = this.#library;
    if (coordinates.every((bytes) => bytes.every((byte) => byte === 0))) {
      library[`_mclBn${group}_clear`](to);
      return;
    }
    let at = to;
    for (const bytes of coordinates) {
      this.#readField(at, bytes);
      at += FP_SIZE;
    }
    library._mclBnFp_setInt32(at, 1);
    if (group === "G2") library._mclBnFp_clear(at + FP_SIZE);
    if (library[`_mclBn${group}_isValid`](to) !== 1) throw new RangeError("point is not on the curve");
  }

  /** Throws unless the point is in the subgroup of prime order. */
  requireOrder(group: Group, point: Pointer): void {
    if (this.#library[`_mclBn${group}_isValidOrder`](point) !== 1) throw new RangeError("point is not in the subgroup");
  }

  /** Reads the compressed form of Ethereum's consensus layer, order included. */
  readCompressed(group: Group, to: Pointer, bytes: Uint8Array): void {
    // The library overlooks what follows the mark of infinity.
    const first = bytes[0] as number;
    if ((first & 0x40) !== 0 && (first !== 0xc0 || bytes.subarray(1).some((byte) => byte !== 0)))
      throw new RangeError("bytes are no compressed point");
    this.#bytesIn(bytes);
    if (this.#library[`_mclBn${group}_deserialize`](to, this.#io, bytes.length) !== bytes.length)
      throw new RangeError("bytes are no compressed point");
    this.requireOrder(group, to);
  }

  /** Reads a scalar, modulo the order of the groups. */
  readScalar(to: Pointer, bytes: Uint8Array): void {
    this.#bytesIn(bytes);
    assert(this.#library._mclBnFr_setBigEndianMod(to, this.#io, bytes.length) === 0, "32 bytes are a scalar");
  }

  /** Affine coordinates in the order they are read in; undefined for infinity. Changes the form of the point only. */
  coordinates(group: Group, point: Pointer): Uint8Array[] | undefined {
    const library = this.#library;
    if (library[`_mclBn${group}_isZero`](point) === 1) return undefined;
    library[`_mclBn${group}_normalize`](point, point);
    const count = group === "G1" ? 2 : 4;
    return Array.from({ length: count }, (_, i) => {
      const size = library._mclBnFp_getLittleEndian(this.#io, IO_SIZE, point + i * FP_SIZE);
      assert(size > 0 && size <= this.fieldBytes, "a field element has the size of its field");
      const bytes = new Uint8Array(this.fieldBytes);
      bytes.set(this.#heap().subarray(this.#io, this.#io + size));
      return bytes.reverse();
    });
  }

  isZero(group: Group, point: Pointer): boolean {
    return this.#library[`_mclBn${group}_isZero`](point) === 1;
  }
  add(group: Group, to: Pointer, a: Pointer, b: Pointer): void {
    this.#library[`_mclBn${group}_add`](to, a, b);
  }
  subtract(group: Group, to: Pointer, a: Pointer, b: Pointer): void {
    this.#library[`_mclBn${group}_sub`](to, a, b);
  }
  negate(group: Group, to: Pointer, a: Pointer): void {
    this.#library[`_mclBn${group}_neg`](to, a);
  }
  multiply(group: Group, to: Pointer, point: Pointer, scalar: Pointer): void {
    this.#library[`_mclBn${group}_mul`](to, point, scalar);
  }
  /** Sum of products; the points may change their form. `to` is none of them. */
  multiplySum(group: Group, to: Pointer, points: Pointer, scalars: Pointer, count: number): void {
    this.#library[`_mclBn${group}_mulVec`](to, points, scalars, count);
  }

  /** Maps a field element (two in G2) to a point of the subgroup. */
  map(group: Group, to: Pointer, coordinates: readonly Uint8Array[]): void {
    coordinates.forEach((bytes, i) => this.#readField(this.#pairing + i * FP_SIZE, bytes));
    const library = this.#library;
    const status =
      group === "G1" ? library._mclBnFp_mapToG1(to, this.#pairing) : library._mclBnFp2_mapToG2(to, this.#pairing);
    assert(status === 0, "every field element maps to a point");
  }

  /** Is the product of the pairings one? None of the points is infinity. */
  pairsToOne(g1: Pointer, g2: Pointer, count: number): boolean {
    if (count === 0) return true;
    const library = this.#library;
    library._mclBn_millerLoopVec(this.#pairing, g1, g2, count);
    library._mclBn_finalExp(this.#pairing, this.#pairing);
    return library._mclBnGT_isOne(this.#pairing) === 1;
  }

  #readField(to: Pointer, bytes: Uint8Array): void {
    assert(bytes.length === this.fieldBytes, "a field element has the size of its field");
    if (Buffer.compare(bytes, this.#modulus) >= 0) throw new RangeError("coordinate is not in the field");
    this.#bytesIn(bytes);
    assert(
      this.#library._mclBnFp_setBigEndianMod(to, this.#io, bytes.length) === 0,
      "below the modulus is in the field",
    );
  }

  #bytesIn(bytes: Uint8Array): void {
    this.#heap().set(bytes, this.#io);
  }

  /** The library's memory; it may have grown since last asked. */
  #heap(): Uint8Array {
    return new Uint8Array(this.#library.HEAP8.buffer);
  }
}

const [BN254, BLS12_381] = await Promise.all([
  PairingCurve.create(4, "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47"),
  PairingCurve.create(
    5,
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab",
  ),
]);
BLS12_381.useEthereumEncodings();

export { BLS12_381, BN254 };
