/** Parameters: what is valid is read exactly, what is not is -32602 and nothing else, whatever JSON comes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toHex } from "../base/bytes.ts";
import { blockOverrides, callArgs, stateOverrides } from "./call-args.ts";
import { RpcError } from "./errors.ts";
import { METHODS } from "./method-table.ts";
import {
  address,
  blockNumberOrTag,
  blockRef,
  countParser,
  data,
  hash,
  type Parser,
  readParams,
  safeUint,
  slot,
  uint64,
  uint256,
} from "./params.ts";

const RUNS = { numRuns: 500 };

function refused(parser: Parser<unknown>, value: unknown): boolean {
  try {
    parser.parse(value, "x");
    return false;
  } catch (error) {
    assert.ok(error instanceof RpcError, String(error));
    assert.equal(error.rpcCode, -32602);
    assert.ok(error.message.length < 500, "input is not echoed whole");
    return true;
  }
}

test("a quantity is read as the number it is", () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 2n ** 256n - 1n), (value) => {
      assert.equal(uint256.parse(`0x${value.toString(16)}`, "x"), value);
      assert.equal(uint256.parse(`0x${value.toString(16).toUpperCase()}`, "x"), value);
      assert.equal(refused(uint64, `0x${value.toString(16)}`), value >= 2n ** 64n);
      assert.equal(refused(safeUint, `0x${value.toString(16)}`), value > BigInt(Number.MAX_SAFE_INTEGER));
    }),
    RUNS,
  );
});

test("quantities that are negative, padded, too large, decimal or no strings are refused", () => {
  const wrong: unknown[] = ["", "0x", "0x01", "0x00", "-0x1", "0x-1", "1", "x1", "0x1.5", "0xg", " 0x1", "0x1 ", "0x١"];
  wrong.push(1, -1, 0, 1.5, Number.NaN, true, null, {}, [], ["0x1"], 10n ** 30n, `0x1${"0".repeat(64)}`);
  wrong.push(`0x${"f".repeat(10_000_000)}`);
  for (const value of wrong) {
    assert.ok(refused(uint256, value), String(value).slice(0, 40));
    assert.ok(refused(safeUint, value), String(value).slice(0, 40));
    assert.ok(refused(blockNumberOrTag, value), String(value).slice(0, 40));
  }
});

test("data is read as the bytes it is, of the length it must have", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const hex = toHex(bytes);
      assert.deepEqual(data.parse(hex, "x"), new Uint8Array(bytes));
      assert.equal(refused(address, hex), bytes.length !== 20);
      assert.equal(refused(hash, hex), bytes.length !== 32);
      assert.ok(refused(data, `${hex}0`));
      assert.ok(refused(data, hex.slice(2)) || bytes.length === 0);
    }),
    RUNS,
  );
});

test("one foreign character anywhere refuses data", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 60 }),
      fc.nat(),
      fc.string({ unit: "binary", minLength: 1, maxLength: 1 }).filter((c) => !/[0-9a-fA-F]/.test(c)),
      (bytes, position, foreign) => {
        const hex = toHex(bytes);
        const at = 2 + (position % (hex.length - 2));
        assert.ok(refused(data, hex.slice(0, at) + foreign + hex.slice(at + 1)));
      },
    ),
    RUNS,
  );
});

test("storage keys come as words or as quantities and mean the same", () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 2n ** 256n - 1n), (value) => {
      const padded = value.toString(16).padStart(64, "0");
      assert.deepEqual(slot.parse(`0x${padded}`, "x"), slot.parse(`0x${value.toString(16)}`, "x"));
    }),
    RUNS,
  );
  for (const wrong of ["0x", "1", `0x${"0".repeat(65)}`, "0xzz", 1, null]) assert.ok(refused(slot, wrong));
});

test("blocks are named by number, tag, hash or object, and nothing else", () => {
  const hex = `0x${"ab".repeat(32)}`;
  assert.deepEqual(blockRef.parse("latest", "x"), { tag: "latest" });
  assert.deepEqual(blockRef.parse("0x10", "x"), { number: 16 });
  assert.deepEqual(blockRef.parse(hex, "x"), { hash: new Uint8Array(32).fill(0xab), requireCanonical: false });
  assert.deepEqual(blockRef.parse({ blockNumber: "0x10" }, "x"), { number: 16 });
  assert.deepEqual(blockRef.parse({ blockNumber: "safe" }, "x"), { tag: "safe" });
  assert.deepEqual(blockRef.parse({ blockHash: hex, requireCanonical: true }, "x"), {
    hash: new Uint8Array(32).fill(0xab),
    requireCanonical: true,
  });
  for (const wrong of ["Latest", "toString", "__proto__", "", {}, { blockHash: hex, blockNumber: "0x1" }, [], 1, null])
    assert.ok(refused(blockRef, wrong), JSON.stringify(wrong));
});

test("counts come as quantities, decimal text or integers", () => {
  assert.equal(countParser.parse("0x10", "x"), 16);
  assert.equal(countParser.parse(16, "x"), 16);
  assert.equal(countParser.parse("16", "x"), 16);
  for (const wrong of [-1, 1.5, "1e3", "", null, 2 ** 60]) assert.ok(refused(countParser, wrong));
});

test("any JSON to any parser gives a value or -32602", () => {
  const parsers: Parser<unknown>[] = [
    ...[uint256, uint64, safeUint, data, address, hash, slot, blockRef, blockNumberOrTag, countParser],
    ...[callArgs, stateOverrides, blockOverrides],
  ];
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      for (const parser of parsers) refused(parser, value);
    }),
    RUNS,
  );
});

test("call objects built of plausible fields give a value or -32602", () => {
  const plausible = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.bigInt(0n, 2n ** 260n).map((n) => `0x${n.toString(16)}`),
    fc.uint8Array({ minLength: 20, maxLength: 20 }).map(toHex),
    fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex),
  );
  const fields = "from to gas gasPrice maxFeePerGas maxPriorityFeePerGas value nonce data input accessList".split(" ");
  const record = Object.fromEntries(fields.map((name) => [name, plausible]));
  fc.assert(
    fc.property(fc.record(record, { requiredKeys: [] }), (value) => void refused(callArgs, value)),
    RUNS,
  );
});

test("any list of parameters to any method is read or refused with -32602", () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 5 }), (values) => {
      for (const method of METHODS)
        refused({ kind: "list", parse: () => readParams(method.params, values) }, undefined);
    }),
    { numRuns: 200 },
  );
});
