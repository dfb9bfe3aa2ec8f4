import assert from "node:assert/strict";
import { test } from "node:test";
import { RLP } from "@ethereumjs/rlp";
import * as ethers from "ethers";
import * as fc from "fast-check";
import { toHex } from "../base/bytes.ts";
import { CodedError } from "../base/error.ts";
import { decodeRlp, encodeRlp, type RlpItem, RlpReader } from "./rlp.ts";
import { bytesUpTo, edited, unsigned } from "./testing/arbitraries.ts";

const { item } = fc.letrec<{ item: RlpItem }>((tie) => ({
  item: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.oneof(bytesUpTo(3), bytesUpTo(60), bytesUpTo(300)),
    fc.array(tie("item"), { maxLength: 6 }),
  ),
}));

const hexOf = (value: RlpItem): ethers.RlpStructuredDataish =>
  value instanceof Uint8Array ? toHex(value) : value.map(hexOf);

test("any item encodes as two independent encoders do, and decodes to itself", () => {
  fc.assert(
    fc.property(item, (value) => {
      const encoded = encodeRlp(value);
      assert.equal(toHex(encoded), ethers.encodeRlp(hexOf(value)));
      assert.deepEqual(encoded, RLP.encode(value as Uint8Array));
      assert.deepEqual(decodeRlp(encoded), value);
    }),
    { numRuns: 500 },
  );
});

test("edited encodings either decode to what encodes back to the same bytes, or give an RLP code", () => {
  let decoded = 0;
  fc.assert(
    fc.property(edited(item.map((value) => encodeRlp(value))), (bytes) => {
      let value: RlpItem;
      try {
        value = decodeRlp(bytes);
      } catch (error) {
        assert.ok(error instanceof CodedError && error.code.startsWith("RLP_"), String(error));
        return;
      }
      decoded++;
      assert.deepEqual(encodeRlp(value), bytes);
      assert.equal(ethers.encodeRlp(ethers.decodeRlp(bytes)), toHex(bytes));
    }),
    { numRuns: 2000 },
  );
  assert.ok(decoded > 20, `${decoded} edits stayed canonical`);
});

test("integers read back, and a list of them as a cursor sees it", () => {
  fc.assert(
    fc.property(fc.array(unsigned(256), { maxLength: 20 }), (values) => {
      const hex = (value: bigint): string => (value === 0n ? "0x" : ethers.toBeHex(value));
      const bytes = ethers.getBytes(ethers.encodeRlp(values.map(hex)));
      const reader = new RlpReader(bytes);
      const end = reader.enter();
      const read: bigint[] = [];
      while (!reader.isAtEnd) read.push(reader.integer(32, "value"));
      reader.leave(end);
      reader.finish();
      assert.deepEqual(read, values);
    }),
    { numRuns: 300 },
  );
});
