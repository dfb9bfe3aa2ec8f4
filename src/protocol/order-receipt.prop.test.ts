import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { toHex, toHexKey } from "../base/bytes.ts";
import {
  judgeOrder,
  type OrderQuestion,
  type OrderReceipt,
  receiptOf,
  receiptRoot,
  receiptSigner,
  receiptTree,
  signRoot,
} from "./order-receipt.ts";
import { addressOfPrivateKey } from "./secp256k1.ts";

const KEY = new Uint8Array(32).fill(7);
const SIGNER = toHexKey(addressOfPrivateKey(KEY));

function receipts(count: number, p: { lane?: number; acceptedMs?: number } = {}): OrderReceipt[] {
  const batch = {
    lane: p.lane ?? 3,
    firstSequence: 100,
    acceptedMs: p.acceptedMs ?? 1_700_000_000_000,
    hashes: Array.from({ length: count }, (_, i) => new Uint8Array(32).fill(i + 1)),
  };
  const levels = receiptTree(901, batch);
  const signature = signRoot(levels, KEY);
  return batch.hashes.map((_, i) => receiptOf(901, batch, i, levels, signature));
}

const signerOf = (receipt: OrderReceipt): string => toHexKey(receiptSigner(receipt) ?? new Uint8Array(0));

test("every receipt of a batch leads to the one signature, whatever the size of the batch", () => {
  for (let count = 1; count <= 40; count++) for (const one of receipts(count)) assert.equal(signerOf(one), SIGNER);
});

test("a receipt that says anything else than was signed is nobody's, or somebody else's", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(), fc.nat({ max: 7 }), (count, pick, change) => {
      const one = receipts(count)[pick % count] as OrderReceipt;
      const { arrival } = one;
      const changed: OrderReceipt[] = [
        { ...one, chainId: 902 },
        { ...one, arrival: { ...arrival, lane: arrival.lane + 1 } },
        { ...one, arrival: { ...arrival, sequence: arrival.sequence + 1 } },
        { ...one, arrival: { ...arrival, acceptedMs: arrival.acceptedMs - 1 } },
        { ...one, hash: one.hash.map((byte) => byte ^ 1) },
        { ...one, proof: [...one.proof, one.hash] },
        { ...one, proof: one.proof.map((node) => node.map((byte) => byte ^ 1)), hash: one.hash.map((b) => b ^ 1) },
        { ...one, index: one.count },
      ];
      assert.notEqual(signerOf(changed[change] as OrderReceipt), SIGNER);
    }),
  );
});

test("bytes that are no receipt are refused, never a fault", () => {
  fc.assert(
    fc.property(
      fc.record({
        index: fc.integer({ min: -3, max: 50 }),
        count: fc.integer({ min: 0, max: 50 }),
        proof: fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 40 }),
        signature: fc.uint8Array({ maxLength: 70 }),
      }),
      (odd) => {
        const [one] = receipts(1) as [OrderReceipt];
        assert.notEqual(signerOf({ ...one, ...odd }), SIGNER);
      },
    ),
  );
});

test("cast verifies the signature of a batch", () => {
  const [one] = receipts(5) as [OrderReceipt];
  const root = toHex(receiptRoot(one) as Uint8Array);
  const answer = execFileSync(
    "node_modules/.bin/cast",
    ["wallet", "verify", "--address", `0x${SIGNER}`, root, toHex(one.signature)],
    { encoding: "utf8" },
  );
  assert.match(answer, /succeeded/i);
});

test("what passed a transaction is told, and what may have been the reason", () => {
  const [early] = receipts(1, { acceptedMs: 1_000 }) as [OrderReceipt];
  const [late] = receipts(1, { acceptedMs: 2_000 }) as [OrderReceipt];
  const question = (p: {
    firstPlace?: OrderQuestion["first"]["place"];
    laterPlace?: OrderQuestion["later"]["place"];
    block?: Partial<OrderQuestion["block"]>;
  }): OrderQuestion => ({
    first: {
      receipt: early,
      place: "firstPlace" in p ? p.firstPlace : { blockNumber: 5, index: 4 },
      nonce: 7n,
      maxFeePerGasWei: 100n,
      gasLimit: 21_000n,
      sizeBytes: 110,
    },
    later: { receipt: late, place: "laterPlace" in p ? p.laterPlace : { blockNumber: 5, index: 3 } },
    block: {
      baseFeePerGasWei: 10n,
      gasLimit: 30_000_000n,
      gasLimitsTo: 100_000n,
      bytesTo: 500,
      senderNonceBefore: 7n,
      ...p.block,
    },
    blockBytesFree: 131_072,
  });
  assert.equal(judgeOrder(question({})), "broken");
  assert.equal(judgeOrder(question({ firstPlace: undefined })), "broken", "still waiting while another one went in");
  assert.equal(judgeOrder(question({ firstPlace: { blockNumber: 5, index: 2 } })), "kept");
  assert.equal(judgeOrder(question({ firstPlace: { blockNumber: 4, index: 9 } })), "kept");
  assert.equal(judgeOrder(question({ laterPlace: undefined })), "undecided");
  assert.match(judgeOrder(question({ block: { senderNonceBefore: 6n } })), /earlier nonce/);
  assert.match(judgeOrder(question({ block: { baseFeePerGasWei: 101n } })), /base fee/);
  assert.match(judgeOrder(question({ block: { gasLimitsTo: 29_990_000n } })), /too little gas/);
  assert.match(judgeOrder(question({ block: { bytesTo: 131_000 } })), /too few bytes/);
});
