import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { concat, encodeAbiParameters, type Hex, keccak256, parseAbiParameters, toEventHash, zeroHash } from "viem";
import { getWithdrawalHashStorageSlot, getWithdrawals } from "viem/op-stack";
import { padLeft, toHex } from "../base/bytes.ts";
import { outputRoot } from "./output-root.ts";
import { bytes, bytesUpTo, unsigned } from "./testing/arbitraries.ts";
import { MESSAGE_PASSED_TOPIC, sentMessageSlot, withdrawalHash, withdrawalOfLog } from "./withdrawal.ts";

const withdrawal = fc.record(
  {
    nonce: unsigned(256),
    sender: bytes(20),
    target: bytes(20),
    valueWei: unsigned(256),
    gasLimit: unsigned(256),
    data: bytesUpTo(100),
  },
  { noNullPrototype: true },
);

test("the withdrawal hash is keccak of the ABI encoding, and its slot that of viem", () => {
  fc.assert(
    fc.property(withdrawal, (w) => {
      const encoded = encodeAbiParameters(parseAbiParameters("uint256, address, address, uint256, uint256, bytes"), [
        w.nonce,
        toHex(w.sender),
        toHex(w.target),
        w.valueWei,
        w.gasLimit,
        toHex(w.data),
      ]);
      const hash = withdrawalHash(w);
      assert.equal(toHex(hash), keccak256(encoded));
      assert.equal(toHex(sentMessageSlot(hash)), getWithdrawalHashStorageSlot({ withdrawalHash: toHex(hash) }));
    }),
  );
});

test("a MessagePassed log reads as viem reads it", () => {
  assert.equal(
    toHex(MESSAGE_PASSED_TOPIC),
    toEventHash("MessagePassed(uint256,address,address,uint256,uint256,bytes,bytes32)"),
  );
  fc.assert(
    fc.property(withdrawal, (w) => {
      const hash = withdrawalHash(w);
      const word = (value: bigint): Uint8Array =>
        padLeft(Uint8Array.from(Buffer.from(value.toString(16).padStart(64, "0"), "hex")), 32);
      const topics = [MESSAGE_PASSED_TOPIC, word(w.nonce), padLeft(w.sender, 32), padLeft(w.target, 32)];
      const data = encodeAbiParameters(parseAbiParameters("uint256, uint256, bytes, bytes32"), [
        w.valueWei,
        w.gasLimit,
        toHex(w.data),
        toHex(hash),
      ]);
      assert.deepEqual(withdrawalOfLog({ topics, data: Buffer.from(data.slice(2), "hex") }), w);
      const [theirs] = getWithdrawals({
        logs: [
          { topics: topics.map(toHex) as [Hex, ...Hex[]], data } as Parameters<typeof getWithdrawals>[0]["logs"][0],
        ],
      });
      assert.equal(theirs?.withdrawalHash, toHex(hash));
      assert.equal(theirs?.nonce, w.nonce);
      assert.equal(theirs?.value, w.valueWei);
      assert.equal(theirs?.data, toHex(w.data));
    }),
  );
});

test("logs of other shapes read as undefined", () => {
  fc.assert(
    fc.property(fc.array(bytes(32), { maxLength: 4 }), bytesUpTo(300), (topics, data) => {
      assert.equal(withdrawalOfLog({ topics, data }), undefined);
      assert.equal(
        withdrawalOfLog({ topics: [MESSAGE_PASSED_TOPIC, ...topics.slice(1)], data: data.subarray(0, 159) }),
        undefined,
      );
    }),
  );
});

test("an output root is keccak of four words, the first zero", () => {
  fc.assert(
    fc.property(bytes(32), bytes(32), bytes(32), (stateRoot, messagePasserStorageRoot, blockHash) => {
      assert.equal(
        toHex(outputRoot({ stateRoot, messagePasserStorageRoot, blockHash })),
        keccak256(concat([zeroHash, toHex(stateRoot), toHex(messagePasserStorageRoot), toHex(blockHash)])),
      );
    }),
  );
});
