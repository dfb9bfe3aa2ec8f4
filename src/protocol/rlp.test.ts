import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fromHex } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import { decodeRlp, encodeRlp, RLP_DEPTH_MAX, type RlpItem } from "./rlp.ts";
import { sharedFolder } from "./testing/shared-vectors.ts";
import { rlpCases } from "./testing/vectors.ts";

const { path: vectors, skip } = sharedFolder("ethereum-tests/RLPTests");

test("the vectors of ethereum/tests encode and decode, and the invalid ones are refused", { skip }, () => {
  const cases = ["rlptest.json", "invalidRLPTest.json", "RandomRLPTests/example.json"].flatMap((file) =>
    rlpCases(JSON.parse(readFileSync(join(vectors, file), "utf8")) as Parameters<typeof rlpCases>[0]),
  );
  assert.ok(cases.length > 50);
  assert.deepEqual(
    cases.filter((c) => c.failure !== undefined),
    [],
  );
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
