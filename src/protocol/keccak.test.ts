import assert from "node:assert/strict";
import { test } from "node:test";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { toHexKey } from "../base/bytes.ts";
import { keccak256 } from "./keccak.ts";

const pattern = (length: number): Uint8Array => new Uint8Array(length).map((_, i) => (i * 7 + length) & 0xff);

test("the empty string and abc hash to the published values", () => {
  assert.equal(
    toHexKey(keccak256(new Uint8Array(0))),
    "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
  );
  assert.equal(
    toHexKey(keccak256(Buffer.from("abc"))),
    "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
  );
});

test("every length up to ten blocks equals an independent implementation", () => {
  for (let length = 0; length <= 1360; length++)
    assert.deepEqual(keccak256(pattern(length)), keccak_256(pattern(length)), `length ${length}`);
});

test("lengths around the input window equal an independent implementation", () => {
  const window = Math.floor((131_072 - 512) / 136) * 136;
  for (const length of [window - 1, window, window + 1, window + 135, window + 136, 2 * window, 2 * window + 5])
    assert.deepEqual(keccak256(pattern(length)), keccak_256(pattern(length)), `length ${length}`);
});

test("a long input leaves nothing behind for the next, and results do not alias", () => {
  keccak256(pattern(200_000));
  const first = keccak256(pattern(3));
  const copy = first.slice();
  keccak256(pattern(4));
  assert.deepEqual(first, copy);
  assert.deepEqual(first, keccak_256(pattern(3)));
});
