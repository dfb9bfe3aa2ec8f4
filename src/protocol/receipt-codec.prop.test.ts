import assert from "node:assert/strict";
import { test } from "node:test";
import { Bloom, encodeReceipt as referenceReceipt } from "@ethereumjs/vm";
import * as ethers from "ethers";
import * as fc from "fast-check";
import { toHex } from "../base/bytes.ts";
import { BLOOM_BYTES, bloomMatcher, bloomMatches, logsBloom, mergeBloom } from "./bloom.ts";
import type { Receipt } from "./receipt.ts";
import { encodeReceipt } from "./receipt-codec.ts";
import { bytes, log, unsigned } from "./testing/arbitraries.ts";

const receipt: fc.Arbitrary<Receipt> = fc
  .record({
    type: fc.constantFrom(0, 1, 2, 3, 4, 0x7e),
    status: fc.constantFrom<(0 | 1)[]>(0, 1),
    cumulativeGasUsed: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    logs: fc.array(log, { maxLength: 5 }),
    depositNonce: unsigned(64),
  })
  .map((f) => ({
    ...f,
    gasUsed: 0,
    effectiveGasPriceWei: 0n,
    contractAddress: undefined,
    l1FeeWei: 0n,
    depositNonce: f.type === 0x7e ? f.depositNonce : undefined,
  }));

test("blooms and receipts equal those of ethereumjs", () => {
  fc.assert(
    fc.property(
      // A receipt without gas does not exist, and ethereumjs writes its zero as a byte.
      receipt.filter(({ type, cumulativeGasUsed }) => type !== 0x7e && cumulativeGasUsed > 0),
      (value) => {
        const bloom = new Bloom();
        for (const { address, topics } of value.logs) for (const item of [address, ...topics]) bloom.add(item);
        assert.deepEqual(logsBloom(value.logs), bloom.bitvector);
        const theirs = referenceReceipt(
          {
            status: value.status,
            cumulativeBlockGasUsed: BigInt(value.cumulativeGasUsed),
            bitvector: bloom.bitvector,
            logs: value.logs.map(({ address, topics, data }) => [address, [...topics], data]),
          },
          value.type as 0,
        );
        assert.equal(toHex(encodeReceipt(value)), toHex(theirs));
        assert.deepEqual(encodeReceipt(value, bloom.bitvector), encodeReceipt(value));
      },
    ),
  );
});

test("a deposit receipt carries nonce and version behind the logs", () => {
  fc.assert(
    fc.property(
      receipt.filter(({ type }) => type === 0x7e),
      (value) => {
        const nonce = value.depositNonce ?? 0n;
        const body = ethers.encodeRlp([
          value.status === 1 ? "0x01" : "0x",
          value.cumulativeGasUsed === 0 ? "0x" : ethers.toBeHex(value.cumulativeGasUsed),
          toHex(logsBloom(value.logs)),
          value.logs.map(({ address, topics, data }) => [toHex(address), topics.map(toHex), toHex(data)]),
          nonce === 0n ? "0x" : ethers.toBeHex(nonce),
          "0x01",
        ]);
        assert.equal(toHex(encodeReceipt(value)), `0x7e${body.slice(2)}`);
      },
    ),
  );
});

test("a bloom never misses a log, whatever the filter asks of it", () => {
  fc.assert(
    fc.property(fc.array(log, { minLength: 1, maxLength: 6 }), fc.nat(), bytes(20), (logs, pick, other) => {
      const bloom = logsBloom(logs);
      const { address, topics } = logs[pick % logs.length] as (typeof logs)[number];
      assert.ok(bloomMatches(bloom, [], []));
      assert.ok(bloomMatches(bloom, [address], []));
      assert.ok(bloomMatches(bloom, [other, address], [...topics.map((topic) => [other, topic]), []]));
      const union = new Uint8Array(BLOOM_BYTES);
      for (const one of logs) mergeBloom(union, logsBloom([one]));
      assert.deepEqual(union, bloom);
    }),
  );
});

test("a bloom excludes nearly all values that are not in it, and a position with none present", () => {
  const bloom = logsBloom([
    { address: new Uint8Array(20).fill(1), topics: [new Uint8Array(32).fill(2)], data: new Uint8Array() },
  ]);
  let hits = 0;
  for (let i = 0; i < 1000; i++) {
    const value = new Uint8Array(20);
    new DataView(value.buffer).setUint32(0, 1_000_000 + i);
    if (bloomMatcher([value], [])(bloom)) hits++;
  }
  assert.ok(hits <= 1, `${hits} false positives`);
  assert.equal(bloomMatches(bloom, [new Uint8Array(20).fill(1)], [[new Uint8Array(32).fill(3)]]), false);
});
