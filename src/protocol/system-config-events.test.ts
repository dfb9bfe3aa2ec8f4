import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeAbiParameters, keccak256, numberToHex, toBytes } from "viem";
import { fromHex, toHex } from "../base/bytes.ts";
import { applySystemConfigLogs, CONFIG_UPDATE_TOPIC } from "./system-config-events.ts";

const values = { gasLimit: 30_000_000, baseFeeScalar: 1, blobBaseFeeScalar: 2 };
const event = (kind: number, payload: `0x${string}`) => ({
  topics: [CONFIG_UPDATE_TOPIC, fromHex(numberToHex(0, { size: 32 })), fromHex(numberToHex(kind, { size: 32 }))],
  data: fromHex(encodeAbiParameters([{ type: "bytes" }], [payload])),
});

test("the topic is that of ConfigUpdate", () => {
  assert.equal(toHex(CONFIG_UPDATE_TOPIC), keccak256(toBytes("ConfigUpdate(uint256,uint8,bytes)")));
});

test("gas limit and fee scalars are taken, later events win", () => {
  const scalar = (1n << 248n) | (77n << 32n) | 5n;
  const scalars = encodeAbiParameters([{ type: "uint256" }, { type: "uint256" }], [0n, scalar]);
  const out = applySystemConfigLogs(values, [
    event(2, numberToHex(40_000_000, { size: 32 })),
    event(1, scalars),
    event(2, numberToHex(50_000_000, { size: 32 })),
  ]);
  assert.deepEqual(out, { gasLimit: 50_000_000, baseFeeScalar: 5, blobBaseFeeScalar: 77 });
});

test("malformed, foreign and out-of-bounds events change nothing", () => {
  const out = applySystemConfigLogs(values, [
    event(2, numberToHex(1, { size: 32 })),
    event(2, "0x01"),
    event(1, numberToHex(1, { size: 32 })),
    { topics: [], data: new Uint8Array(0) },
    { topics: event(2, "0x").topics, data: fromHex("ff".repeat(64)) },
  ]);
  assert.deepEqual(out, values);
});
