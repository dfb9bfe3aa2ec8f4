import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { fromHex } from "../base/bytes.ts";
import { estimatedSizeScaled, flzCompressLength, l1DataFeeWei } from "./l1-fee.ts";
import { signedTransaction, unsigned } from "./testing/arbitraries.ts";

/**
 * A FastLZ level 1 compressor that really emits its stream, in the control flow of the published ones: the position
 * moves before the comparison decides, so a match found on the last start position is dropped.
 */
function compress(input: Uint8Array): number[] {
  const out: number[] = [];
  const seen = new Map<number, number>();
  const three = (i: number): number => (input[i] ?? 0) + 256 * (input[i + 1] ?? 0) + 65536 * (input[i + 2] ?? 0);
  const slotOf = (v: number): number => Number(((2654435769n * BigInt(v)) >> 19n) & 8191n);
  const emitLiterals = (from: number, to: number): void => {
    for (let at = from; at < to; at += 32) {
      const run = Math.min(32, to - at);
      out.push(run - 1, ...input.subarray(at, at + run));
    }
  };
  const bound = input.length - 4;
  const limit = bound - 9;
  let anchor = 0;
  let position = 2;
  while (position < limit) {
    let candidate = 0;
    let distance = 0;
    let same = false;
    do {
      const value = three(position);
      const slot = slotOf(value);
      candidate = seen.get(slot) ?? 0;
      seen.set(slot, position);
      distance = position - candidate;
      same = distance < 8192 && three(candidate) === value;
      position++;
    } while (position < limit && !same);
    if (position >= limit) break;
    position--;
    emitLiterals(anchor, position);
    let run = 0;
    for (let going = true; going && position + 3 + run < bound; run++)
      going = input[candidate + 3 + run] === input[position + 3 + run];
    position += run;
    const back = distance - 1;
    let rest = run;
    for (; rest > 262; rest -= 262) out.push(0xe0 + (back >> 8), 253, back & 0xff);
    if (rest < 7) out.push((rest << 5) + (back >> 8), back & 0xff);
    else out.push(0xe0 + (back >> 8), rest - 7, back & 0xff);
    seen.set(slotOf(three(position)), position);
    seen.set(slotOf(three(position + 1)), position + 1);
    position += 2;
    anchor = position;
  }
  emitLiterals(anchor, input.length);
  return out;
}

function decompress(stream: readonly number[]): Uint8Array {
  const out: number[] = [];
  for (let at = 0; at < stream.length; ) {
    const control = stream[at++] as number;
    const kind = control >> 5;
    if (kind === 0) {
      for (let i = 0; i <= control; i++) out.push(stream[at++] as number);
      continue;
    }
    const length = kind === 7 ? 9 + (stream[at++] as number) : kind + 2;
    const from = out.length - 1 - ((control & 31) * 256 + (stream[at++] as number));
    for (let i = 0; i < length; i++) out.push(out[from + i] as number);
  }
  return Uint8Array.from(out);
}

/** Bytes with repeats near and far, as transactions and adversaries make them. */
const compressible = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((value) => ({ value, times: 1 })),
      fc.record({ value: fc.uint8Array({ minLength: 1, maxLength: 9 }), times: fc.integer({ min: 1, max: 400 }) }),
      fc.record({ value: fc.constant(new Uint8Array(32)), times: fc.integer({ min: 1, max: 300 }) }),
      fc.integer({ min: 0, max: 12_000 }).map((seed) => ({ value: noise(seed), times: 1 })),
    ),
    { maxLength: 12 },
  )
  .map((parts) =>
    Uint8Array.from(parts.flatMap(({ value, times }) => Array.from({ length: times }, () => [...value])).flat()),
  );

/** `length` bytes of a linear congruential sequence: pushes earlier matches out of the window. */
function noise(length: number): Uint8Array {
  let state = 12345;
  return new Uint8Array(length).map(() => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state >>> 16;
  });
}

test("the length is that of an emitted stream, and the stream decompresses to the input", () => {
  fc.assert(
    fc.property(fc.oneof(compressible, fc.uint8Array({ maxLength: 40 })), (input) => {
      const stream = compress(input);
      assert.deepEqual(decompress(stream), input);
      assert.equal(flzCompressLength(input), stream.length);
    }),
    { numRuns: 400 },
  );
});

test("every length of repetitive and of scarcely repetitive input agrees, whatever came before", () => {
  for (let length = 0; length < 330; length++)
    for (const input of [
      new Uint8Array(length),
      new Uint8Array(length).map((_, i) => i % 7),
      new Uint8Array(length).map((_, i) => i % 97),
      noise(length),
    ])
      assert.equal(flzCompressLength(input), compress(input).length, `length ${length}`);
});

test("transactions have the length of their emitted stream", () => {
  fc.assert(
    fc.property(signedTransaction, ({ raw }) => assert.equal(flzCompressLength(raw), compress(raw).length)),
    { numRuns: 200 },
  );
});

test("the published lengths hold", () => {
  const emptyTx = fromHex("dd80808094095e7baea6a6c7c4c2dfeb977efac326af552d878080808080");
  const word = (tail: string): string => tail.padStart(64, "0");
  const contractCall = fromHex(
    `02f901550a758302df1483be21b88304743f94f80e51afb613d764fa61751affd3313c190a86bb870151bd62fd12adb8e41ef24f3f${word(
      "6e",
    )}${word("af88d065e77c8cc2239327c5edb3a432268e5831")}${word("03c1e5")}${word("00")}${word("a0")}${word(
      "00",
    )}00000000000000148c89ed219d02f1a5be012c689b4f5b731827bebe000000000000000000000000c001a033fd89cb37c31b2cba46b6466e040c61fc9b2a3675a7f5f493ebd5ad77c497f8a07cdf65680e238392693019b4092f610222e71b7cec06449cb922b93b6a12744e`,
  );
  assert.equal(flzCompressLength(new Uint8Array(0)), 0);
  assert.equal(flzCompressLength(fromHex("facade")), 4);
  assert.equal(flzCompressLength(new Uint8Array(1000)), 21);
  assert.equal(flzCompressLength(new Uint8Array(1000).fill(1)), 21);
  assert.equal(flzCompressLength(emptyTx), 31);
  assert.equal(flzCompressLength(contractCall), 202);
});

test("the fee follows the Fjord formula: floor size, scalars, rounding down once", () => {
  const prices = {
    l1BaseFeeWei: 1_000_000_000n,
    l1BlobBaseFeeWei: 10_000_000n,
    baseFeeScalar: 2,
    blobBaseFeeScalar: 3,
  };
  const scaled = 16n * 2n * 1_000_000_000n + 3n * 10_000_000n;
  // Anything that compresses to 170 bytes or less pays for 100.
  assert.equal(l1DataFeeWei(new Uint8Array(1000), prices), (100_000_000n * scaled) / 10n ** 12n);
  assert.equal(estimatedSizeScaled(noise(1000)), 836_500 * flzCompressLength(noise(1000)) - 42_585_600);
  assert.equal(l1DataFeeWei(noise(1000), { ...prices, baseFeeScalar: 0, blobBaseFeeScalar: 0 }), 0n);
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 500 }),
      unsigned(80),
      unsigned(80),
      fc.nat(),
      fc.nat(),
      (raw, l1, blob, a, b) => {
        const size = BigInt(Math.max(100_000_000, 836_500 * compress(raw).length - 42_585_600));
        const expected = (size * (16n * BigInt(a) * l1 + BigInt(b) * blob)) / 1_000_000_000_000n;
        const parameters = { l1BaseFeeWei: l1, l1BlobBaseFeeWei: blob, baseFeeScalar: a, blobBaseFeeScalar: b };
        assert.equal(l1DataFeeWei(raw, parameters), expected);
      },
    ),
  );
});
