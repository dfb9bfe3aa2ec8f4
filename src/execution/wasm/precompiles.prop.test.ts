/** The pairing precompiles against @ethereumjs/evm's on @noble/curves, and the point evaluation against node-eth-kzg. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import ethKzg from "@crate-crypto/node-eth-kzg";
import { NobleBLS, NobleBN254 } from "@ethereumjs/evm";
import { bls12_381 } from "@noble/curves/bls12-381.js";
import { bn254 } from "@noble/curves/bn254.js";
import fc from "fast-check";
import { bigIntToBytes, concatBytes, fromHex, toHex } from "../../base/bytes.ts";
import { runPrecompile } from "./precompiles.ts";

const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const bn = new NobleBN254();
const bls = new NobleBLS();

function peer(run: () => Uint8Array): string {
  try {
    return toHex(run());
  } catch {
    return "fails";
  }
}
function own(id: number, input: Uint8Array): string {
  const output = runPrecompile(id, input);
  return output === undefined ? "fails" : toHex(output);
}

const word = (value: bigint): Uint8Array => bigIntToBytes(value, 32);
const wide = (value: bigint): Uint8Array => bigIntToBytes(value, 64);
const scalar = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }),
  fc.constantFrom(0n, 1n, 2n, bn254.fields.Fr.ORDER, bn254.fields.Fr.ORDER - 1n, bls12_381.fields.Fr.ORDER),
);

type Curve = typeof bn254 | typeof bls12_381;
type Point = { readonly x: unknown; readonly y: unknown };
const small = fc.bigInt({ min: 1n, max: 2n ** 64n });

/** A point of the curve outside of the subgroup, mostly: by solving for y. Undefined where there is none. */
function pointAtX1(x: bigint): { x: bigint; y: bigint } | undefined {
  const { Fp } = bls12_381.fields;
  try {
    return { x, y: Fp.sqrt(Fp.add(Fp.mul(Fp.sqr(x), x), 4n)) };
  } catch {
    return undefined;
  }
}
function pointAtX2(curve: Curve, x: bigint): Point | undefined {
  const { Fp2 } = curve.fields;
  const at = Fp2.create({ c0: x, c1: 5n });
  const b =
    curve === bls12_381
      ? Fp2.create({ c0: 4n, c1: 4n })
      : Fp2.div(Fp2.create({ c0: 3n, c1: 0n }), Fp2.create({ c0: 9n, c1: 1n }));
  try {
    return { x: at, y: Fp2.sqrt(Fp2.add(Fp2.mul(Fp2.sqr(at), at), b)) };
  } catch {
    return undefined;
  }
}

const g1Bytes = (p: Point, size: (v: bigint) => Uint8Array): Uint8Array =>
  concatBytes(size(p.x as bigint), size(p.y as bigint));
type Pair = { c0: bigint; c1: bigint };
function g2Bytes(p: Point, size: (v: bigint) => Uint8Array, imaginaryFirst: boolean): Uint8Array {
  const halves = [p.x as Pair, p.y as Pair].flatMap(({ c0, c1 }) => (imaginaryFirst ? [c1, c0] : [c0, c1]));
  return concatBytes(...halves.map(size));
}

/** Points of G1 as bytes: good ones, infinity, off the curve, beyond the field, outside of the subgroup. */
function g1(curve: Curve): fc.Arbitrary<Uint8Array> {
  const size = curve === bn254 ? word : wide;
  const good = small.map((k) => g1Bytes(curve.G1.Point.BASE.multiply(k).toAffine(), size));
  const P = curve.fields.Fp.ORDER;
  return fc.oneof(
    { weight: 6, arbitrary: good },
    fc.constant(concatBytes(size(0n), size(0n))),
    small.map((k) => g1Bytes({ x: k, y: k + 1n }, size)),
    fc.constantFrom(
      concatBytes(size(P), size(0n)),
      concatBytes(size(1n + P), size(2n)),
      concatBytes(size(0n), size(P)),
    ),
    ...(curve === bls12_381
      ? [
          small.map((x) => {
            const point = pointAtX1(x);
            return point === undefined ? new Uint8Array(128) : g1Bytes(point, size);
          }),
        ]
      : []),
  );
}
function g2(curve: Curve): fc.Arbitrary<Uint8Array> {
  const isBn = curve === bn254;
  const size = isBn ? word : wide;
  const zero = new Uint8Array(isBn ? 128 : 256);
  return fc.oneof(
    { weight: 6, arbitrary: small.map((k) => g2Bytes(curve.G2.Point.BASE.multiply(k).toAffine(), size, isBn)) },
    fc.constant(zero),
    small.map((x) => {
      const point = pointAtX2(curve, x);
      return point === undefined ? zero : g2Bytes(point, size, isBn);
    }),
    small.map((k) => g2Bytes({ x: { c0: k, c1: 1n }, y: { c0: 2n, c1: k } }, size, isBn)),
  );
}

const runs = (numRuns: number): { seed: number; numRuns: number } => ({ seed, numRuns });

test(`bn254: addition, multiplication, pairing (seed ${seed})`, () => {
  fc.assert(
    fc.property(g1(bn254), g1(bn254), scalar, (a, b, k) => {
      assert.equal(
        own(6, concatBytes(a, b)),
        peer(() => bn.add(concatBytes(a, b))),
      );
      assert.equal(
        own(7, concatBytes(a, word(k))),
        peer(() => bn.mul(concatBytes(a, word(k)))),
      );
    }),
    runs(40),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(g1(bn254), g2(bn254)), { maxLength: 3 }), (pairs) => {
      const input = concatBytes(...pairs.flat());
      assert.equal(
        own(8, input),
        peer(() => bn.pairing(input)),
      );
    }),
    runs(20),
  );
});

test("bn254: a product of one, and short input", () => {
  const k = 77n;
  const P = bn254.G1.Point.BASE;
  const Q = bn254.G2.Point.BASE;
  const input = concatBytes(
    g1Bytes(P.multiply(k).toAffine(), word),
    g2Bytes(Q.toAffine(), word, true),
    g1Bytes(P.negate().toAffine(), word),
    g2Bytes(Q.multiply(k).toAffine(), word, true),
  );
  assert.equal(own(8, input), toHex(word(1n)));
  assert.equal(own(8, input.subarray(0, 192)), toHex(word(0n)));
  assert.equal(own(8, new Uint8Array(0)), toHex(word(1n)));
  assert.equal(own(8, input.subarray(1)), "fails");
  assert.equal(own(6, new Uint8Array(0)), toHex(new Uint8Array(64)));
  assert.equal(own(7, input.subarray(0, 64)), toHex(new Uint8Array(64)));
});

test("BLS12-381: addition, sums of products, pairing, maps", () => {
  fc.assert(
    fc.property(g1(bls12_381), g1(bls12_381), g2(bls12_381), g2(bls12_381), (a, b, c, d) => {
      assert.equal(
        own(0x0b, concatBytes(a, b)),
        peer(() => bls.addG1(concatBytes(a, b))),
      );
      assert.equal(
        own(0x0d, concatBytes(c, d)),
        peer(() => bls.addG2(concatBytes(c, d))),
      );
    }),
    runs(25),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(g1(bls12_381), g2(bls12_381), scalar), { minLength: 1, maxLength: 3 }), (items) => {
      const first = concatBytes(...items.flatMap(([a, , k]) => [a, word(k)]));
      const second = concatBytes(...items.flatMap(([, b, k]) => [b, word(k)]));
      const pairs = concatBytes(...items.flatMap(([a, b]) => [a, b]));
      assert.equal(
        own(0x0c, first),
        peer(() => bls.msmG1(first)),
      );
      assert.equal(
        own(0x0e, second),
        peer(() => bls.msmG2(second)),
      );
      assert.equal(
        own(0x0f, pairs),
        peer(() => bls.pairingCheck(pairs)),
      );
    }),
    runs(12),
  );
  const element = fc.oneof(
    fc.bigInt({ min: 0n, max: bls12_381.fields.Fp.ORDER - 1n }),
    fc.constantFrom(0n, 1n, bls12_381.fields.Fp.ORDER, bls12_381.fields.Fp.ORDER - 1n),
  );
  fc.assert(
    fc.property(element, element, (a, b) => {
      assert.equal(
        own(0x10, wide(a)),
        peer(() => bls.mapFPtoG1(wide(a))),
      );
      assert.equal(
        own(0x11, concatBytes(wide(a), wide(b))),
        peer(() => bls.mapFP2toG2(concatBytes(wide(a), wide(b)))),
      );
    }),
    runs(8),
  );
});

test("point evaluation: what node-eth-kzg accepts, and nothing else", () => {
  const kzg = ethKzg.DasContextJs.create({ usePrecomp: false });
  const { G1 } = bls12_381;
  const infinity = fromHex(`c0${"00".repeat(47)}`);
  const g = (k: bigint): Uint8Array => G1.Point.BASE.multiply(k).toBytes(true);
  /** Compressed by hand: the library refuses to write what is outside of the subgroup. */
  const outside = (): Uint8Array => {
    for (let x = 1n; ; x++) {
      const point = pointAtX1(x);
      if (point === undefined || G1.Point.fromAffine(point).isTorsionFree()) continue;
      const bytes = bigIntToBytes(x, 48);
      bytes[0] = point.y * 2n > bls12_381.fields.Fp.ORDER ? 0xa0 : 0x80;
      return bytes;
    }
  };
  const commitments = [
    infinity,
    g(1n),
    g(5n),
    outside(),
    fromHex(`e0${"00".repeat(47)}`),
    fromHex(`c0${"00".repeat(46)}01`),
    new Uint8Array(48),
    fromHex("ff".repeat(48)),
  ];
  const blob = new Uint8Array(131_072);
  for (let i = 0; i < 4_096; i++) blob[i * 32 + 31] = i & 255;
  const real = kzg.blobToKzgCommitment(blob);
  const order = bls12_381.fields.Fr.ORDER;
  const inputs: [Uint8Array, Uint8Array, Uint8Array, Uint8Array][] = [];
  for (const commitment of commitments)
    for (const proof of [infinity, g(1n), outside(), new Uint8Array(48)])
      for (const [z, y] of [
        [0n, 0n],
        [3n, 1n],
        [3n, 5n],
        [order, 1n],
        [1n, order],
      ] as const)
        inputs.push([commitment, word(z), word(y), proof]);
  for (const z of [0n, 9n, order - 1n]) {
    const [proof, y] = kzg.computeKzgProof(blob, word(z)) as [Uint8Array, Uint8Array];
    inputs.push([real, word(z), y, proof], [real, word(z), word(1n), proof], [real, word(z + 1n), y, proof]);
  }
  let valid = 0;
  for (const [commitment, z, y, proof] of inputs) {
    const versioned = new Uint8Array(createHash("sha256").update(commitment).digest());
    versioned[0] = 1;
    let expected = false;
    try {
      expected = kzg.verifyKzgProof(commitment, z, y, proof);
    } catch {
      // no points, or no field elements
    }
    if (expected) valid++;
    const answer = runPrecompile(0x0a, concatBytes(versioned, z, y, commitment, proof));
    assert.equal(answer !== undefined, expected, toHex(concatBytes(commitment, z, y, proof)));
  }
  assert.ok(valid >= 5, `only ${valid} of the proofs are valid`);
});
