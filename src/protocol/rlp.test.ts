import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fromHex, toHex } from "../base/bytes.ts";
import { CodedError, hasCode } from "../base/error.ts";
import { decodeRlp, encodeRlp, RLP_DEPTH_MAX, type RlpItem } from "./rlp.ts";
import { sharedFolder } from "./testing/shared-vectors.ts";

const { path: vectors, skip } = sharedFolder("ethereum-tests/RLPTests");

type Vector = { readonly in: unknown; readonly out: string };

function readVectors(file: string): [string, Vector][] {
  return Object.entries(JSON.parse(readFileSync(join(vectors, file), "utf8")) as Record<string, Vector>);
}

function itemOf(value: unknown): RlpItem {
  if (Array.isArray(value)) return value.map(itemOf);
  if (typeof value === "string" && !value.startsWith("#")) return new Uint8Array(Buffer.from(value, "latin1"));
  const number = BigInt(typeof value === "string" ? value.slice(1) : (value as number));
  const hex = number === 0n ? "" : number.toString(16);
  return fromHex(hex.length % 2 === 0 ? hex : `0${hex}`);
}

test("the valid vectors of ethereum/tests encode and decode", { skip }, () => {
  const cases = readVectors("rlptest.json");
  assert.ok(cases.length > 25);
  for (const [name, vector] of cases) {
    const item = itemOf(vector.in);
    assert.equal(toHex(encodeRlp(item)), vector.out.toLowerCase(), name);
    assert.deepEqual(decodeRlp(fromHex(vector.out)), item, name);
  }
});

test("the invalid vectors of ethereum/tests are refused with a code", { skip }, () => {
  const cases = readVectors("invalidRLPTest.json");
  assert.ok(cases.length > 20);
  for (const [name, vector] of cases)
    assert.throws(
      () => decodeRlp(fromHex(vector.out)),
      (error) => error instanceof CodedError && error.code.startsWith("RLP_"),
      name,
    );
});

test("the random vectors of ethereum/tests decode and encode back", { skip }, () => {
  for (const file of readdirSync(join(vectors, "RandomRLPTests")))
    for (const [name, vector] of readVectors(`RandomRLPTests/${file}`)) {
      const bytes = fromHex(vector.out);
      assert.deepEqual(encodeRlp(decodeRlp(bytes)), bytes, name);
    }
});

test("each way to break the canonical form has its code", () => {
  const cases: [hex: string, code: string][] = [
    ["", "RLP_TRUNCATED"],
    ["8100", "RLP_NOT_CANONICAL"],
    ["817f", "RLP_NOT_CANONICAL"],
    ["b800", "RLP_NOT_CANONICAL"],
    ["b837", "RLP_NOT_CANONICAL"],
    [`b90038${"00".repeat(56)}`, "RLP_NOT_CANONICAL"],
    ["f800", "RLP_NOT_CANONICAL"],
    ["bfffffffffffffffff", "RLP_TRUNCATED"],
    ["ff7fffffffffffffff", "RLP_TRUNCATED"],
    ["b8", "RLP_TRUNCATED"],
    ["83aabb", "RLP_TRUNCATED"],
    ["c281", "RLP_TRUNCATED"],
    ["c20183", "RLP_TRUNCATED"],
    ["c3820102", "decodes"],
    ["c382010203", "RLP_TRAILING_BYTES"],
    ["8080", "RLP_TRAILING_BYTES"],
  ];
  for (const [hex, code] of cases) {
    if (code === "decodes") decodeRlp(fromHex(hex));
    else
      assert.throws(
        () => decodeRlp(fromHex(hex)),
        (error) => hasCode(error, code),
        `${hex} gives ${code}`,
      );
  }
});

test("nesting beyond the limit is refused, at the limit it decodes", () => {
  let item: RlpItem = [];
  for (let depth = 1; depth < RLP_DEPTH_MAX; depth++) item = [item];
  assert.deepEqual(encodeRlp(decodeRlp(encodeRlp(item))), encodeRlp(item));
  assert.throws(
    () => decodeRlp(encodeRlp([item])),
    (error) => hasCode(error, "RLP_TOO_DEEP"),
  );
});

test("an item beyond the size limit is refused before it is read", () => {
  assert.throws(
    () => decodeRlp(new Uint8Array(11), 10),
    (error) => hasCode(error, "RLP_TOO_LARGE"),
  );
});

test("decoding a Buffer gives plain arrays", () => {
  const item = decodeRlp(Buffer.from("83646f67", "hex"));
  assert.equal(Object.getPrototypeOf(item), Uint8Array.prototype);
});
