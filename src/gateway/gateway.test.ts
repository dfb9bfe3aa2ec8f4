/** The gateway's intake: outcomes in order, one submit per moment, refusals in words clients know, the delay measured. */
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { concatBytes, toHex } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { Metrics } from "../base/metrics.ts";
import { signTransaction, type TransactionFields } from "../protocol/transaction-codec.ts";
import type { PoolRejection } from "../rpc/chain-view.ts";
import { KEYS } from "../rpc/testing/memory-chain.ts";
import { RpcFixture } from "../rpc/testing/rpc-fixture.ts";
import { ConfirmationDelay } from "./confirmation-delay.ts";
import { gatewayMetrics } from "./metrics.ts";

let fixture: RpcFixture;
before(async () => {
  fixture = await RpcFixture.create();
});
after(() => fixture.close());
beforeEach(() => {
  fixture.chain.refuse = undefined;
});

function raw(nonce: number, fields: Partial<TransactionFields> = {}, key = 0): Uint8Array {
  return signTransaction(
    {
      type: 2,
      chainId: 901,
      nonce: BigInt(nonce),
      to: new Uint8Array(20),
      gasLimit: 21_000n,
      maxFeePerGasWei: 10n ** 10n,
      ...fields,
    },
    KEYS[key]?.secret as Uint8Array,
  ).raw;
}

test("what comes in one moment goes to the lane as one batch, outcomes in order", async () => {
  const before = fixture.chain.submits;
  const calls = await Promise.all(
    Array.from({ length: 50 }, (_, i) => fixture.gateway.submit(i % 10 === 3 ? [Uint8Array.of(1)] : [raw(i)])),
  );
  assert.equal(fixture.chain.submits - before, 1);
  calls.forEach(([outcome], i) => assert.equal(outcome?.accepted, i % 10 !== 3));
});

test("static refusals have their reason and geth's words", async () => {
  const blob = raw(0, { type: 3, blobHashes: [new Uint8Array(32).fill(1)], maxFeePerBlobGasWei: 1n });
  const cases: [Uint8Array, string, RegExp][] = [
    [raw(1, { chainId: 902 }), "WRONG_CHAIN", /^invalid chain id for signer/],
    [new Uint8Array(0), "UNDECODABLE", /^rlp/],
    [raw(1).slice(0, 40), "UNDECODABLE", /^rlp/],
    [
      raw(1, { maxFeePerGasWei: 10n ** 18n, gasLimit: 10n ** 7n }),
      "FEE_TOO_HIGH",
      /^tx fee exceeds the configured cap/,
    ],
    [Uint8Array.of(0x7e, 0xc0), "UNSUPPORTED_TYPE", /^transaction type not supported/],
    [Uint8Array.of(0x05, 0xc0), "UNSUPPORTED_TYPE", /^transaction type not supported/],
    [blob, "BLOB_TRANSACTION", /^transaction type not supported/],
    [concatBytes(raw(1), new Uint8Array(140_000)), "TX_TOO_LARGE", /^oversized data/],
  ];
  for (const [bytes, reason, words] of cases) {
    const answer = await fixture.request("eth_sendRawTransaction", [toHex(bytes)]);
    assert.deepEqual(answer.error?.data, { reason });
    assert.match(answer.error?.message ?? "", words);
    assert.equal(answer.error?.code, reason === "UNDECODABLE" ? -32602 : -32000);
  }
});

test("an unprotected transaction passes unless configuration forbids it", async () => {
  const unprotected = toHex(raw(1, { type: 0, chainId: undefined }, 5));
  assert.match(String((await fixture.request("eth_sendRawTransaction", [unprotected])).result), /^0x[0-9a-f]{64}$/);
  const strict = await RpcFixture.create({ allowUnprotected: false });
  const refused = await strict.request("eth_sendRawTransaction", [unprotected]);
  assert.equal(refused.error?.message, "only replay-protected (EIP-155) transactions allowed over RPC");
  await strict.close();
});

test("each refusal of the pool has the words clients match on", async () => {
  const words: [PoolRejection, string][] = [
    ["ALREADY_KNOWN", "already known"],
    ["NONCE_TOO_LOW", "nonce too low"],
    ["NONCE_TOO_FAR", "nonce too high"],
    ["UNDERPRICED", "transaction underpriced"],
    ["REPLACEMENT_UNDERPRICED", "replacement transaction underpriced"],
    ["INSUFFICIENT_FUNDS", "insufficient funds for gas * price + value"],
    ["INTRINSIC_GAS", "intrinsic gas too low"],
    ["GAS_LIMIT_EXCEEDED", "exceeds block gas limit"],
    ["POOL_FULL", "txpool is full"],
  ];
  for (const [code, message] of words) {
    fixture.chain.refuse = { accepted: false, code, message: "more" };
    const answer = await fixture.request("eth_sendRawTransaction", [toHex(raw(7, {}, 2))]);
    assert.equal(answer.error?.message, `${message}: more`);
    assert.deepEqual(answer.error?.data, { reason: code });
    fixture.chain.refuse = { accepted: false, code, message: `${message}: x` };
    const again = await fixture.request("eth_sendRawTransaction", [toHex(raw(7, {}, 2))]);
    assert.equal(again.error?.message, `${message}: x`, "words of the pool are not doubled");
  }
});

test("a lane that fails gives every transaction of the batch an outcome", async () => {
  const { chain } = fixture;
  const submit = chain.submit.bind(chain);
  chain.submit = () => Promise.reject(new Error("down"));
  const outcomes = await fixture.gateway.submit([raw(20), Uint8Array.of(1), raw(21)]);
  chain.submit = submit;
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.accepted ? "" : outcome.reason)),
    ["UNAVAILABLE", "UNDECODABLE", "UNAVAILABLE"],
  );
});

test("the confirmation delay is exported under its literal names with its labels", async () => {
  await fixture.gateway.submit([raw(0, {}, 6), raw(1, {}, 6)]);
  await fixture.chain.mine();
  const text = await fixture.metrics.registry.metrics();
  assert.match(text, /^sequencer_confirmation_delay\{rollup="test",cluster="alpha"\} /m);
  const count = /^sequencer_confirmation_delay_seconds_count\{rollup="test",cluster="alpha"\} (\d+)/m.exec(text);
  assert.ok(Number(count?.[1]) >= 2);
});

test("the delay counts from the first arrival, and its percentile forgets what is older than a minute", () => {
  let nowMs = 1_000;
  const clock: Clock = { nowMs: () => nowMs, sleep: () => Promise.resolve() };
  const delay = new ConfirmationDelay(clock, gatewayMetrics(new Metrics()));
  const hashes = Array.from({ length: 100 }, (_, i) => new Uint8Array(32).fill(i));
  hashes.forEach((hash, i) => delay.arrived(hash, 1_000 - i));
  delay.arrived(hashes[50] as Uint8Array, 1_000);
  nowMs = 2_000;
  delay.confirmed(hashes);
  assert.equal(delay.p95Seconds(), 1.094);
  assert.equal(delay.waiting, 0);
  nowMs += 61_000;
  assert.equal(delay.p95Seconds(), 0);
});
