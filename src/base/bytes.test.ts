import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bigIntToBytes, bigIntToMinimalBytes, bytesToBigInt, fromHex, toHex, toHexKey } from "./bytes.ts";

const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

test("hex is that of Buffer, of views into larger arrays too", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(40), fc.nat(40), (bytes, a, b) => {
      const part = bytes.subarray(Math.min(a, b), Math.max(a, b));
      const text = Buffer.from(part).toString("hex");
      assert.equal(toHexKey(part), text);
      assert.equal(toHex(part), `0x${text}`);
      assert.deepEqual(fromHex(text.toUpperCase()), part.slice());
      assert.deepEqual(fromHex(`0x${text}`), part.slice());
    }),
    { seed },
  );
});

test("what is no hex is refused wherever the foreign character is", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 40 }),
      fc.nat(79),
      fc.constantFrom("g", "G", " ", "x", "é", "ÿ", "\0", "０"),
      (bytes, at, foreign) => {
        const text = toHexKey(bytes);
        const i = at % text.length;
        assert.throws(() => fromHex(`0x${text.slice(0, i)}${foreign}${text.slice(i + 1)}`));
      },
    ),
    { seed },
  );
  for (const odd of ["0", "0x0", "123"]) assert.throws(() => fromHex(odd));
  assert.deepEqual(fromHex("0x"), new Uint8Array(0));
});

test("integers have one minimal form, and it reads back", () => {
  const edges = [0n, 1n, 255n, 256n, 2n ** 31n, 2n ** 32n, 2n ** 48n - 1n, 2n ** 48n, 2n ** 53n, 2n ** 256n - 1n];
  fc.assert(
    fc.property(fc.oneof(fc.constantFrom(...edges), fc.bigInt({ min: 0n, max: 2n ** 256n - 1n })), (value) => {
      const minimal = bigIntToMinimalBytes(value);
      assert.notEqual(minimal[0], 0);
      assert.equal(bytesToBigInt(minimal), value);
      assert.equal(bytesToBigInt(bigIntToBytes(value, 32)), value);
    }),
    { seed },
  );
  assert.throws(() => bigIntToMinimalBytes(-1n));
});
