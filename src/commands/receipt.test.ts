import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { toHex } from "../base/bytes.ts";
import { signed, TEST_CHAIN } from "../execution/testing/world.ts";
import { receiptOf, receiptTree, signRoot } from "../protocol/order-receipt.ts";
import { addressOfPrivateKey } from "../protocol/secp256k1.ts";
import { decodeSignedTransaction } from "../protocol/transaction-codec.ts";
import { KEYS } from "../rpc/testing/memory-chain.ts";
import { RpcFixture } from "../rpc/testing/rpc-fixture.ts";
import { runCommandLine } from "./cli.ts";

const PRIVATE_KEY = new Uint8Array(32).fill(5);
const SIGNER = toHex(addressOfPrivateKey(PRIVATE_KEY));

async function sheaf(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const { signal } = new AbortController();
  const io = { out: (text: string) => out.push(text), err: (text: string) => err.push(text) };
  const code = await runCommandLine(args, { env: {}, signal, ...io, isTerminal: false });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

/** As sheaf_getOrderReceipt answers it, for the one transaction of a batch. */
function receiptJson(hash: Uint8Array, acceptedMs: number): string {
  const batch = { lane: 0, firstSequence: acceptedMs, acceptedMs, hashes: [hash] };
  const levels = receiptTree(TEST_CHAIN.chainId, batch);
  const receipt = receiptOf(TEST_CHAIN.chainId, batch, 0, levels, signRoot(levels, PRIVATE_KEY));
  const quantity = (value: number): string => `0x${value.toString(16)}`;
  return JSON.stringify({
    chainId: quantity(receipt.chainId),
    lane: "0x0",
    sequence: quantity(receipt.arrival.sequence),
    transactionHash: toHex(hash),
    acceptedMs: quantity(acceptedMs),
    index: "0x0",
    count: "0x1",
    proof: [],
    signature: toHex(receipt.signature),
    signer: SIGNER,
  });
}

test("receipts are checked from files, and a broken order is an error with both receipts as the proof", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-receipt-"));
  const fixture = await RpcFixture.create();
  t.after(async () => {
    await fixture.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  // Sealed in this order, in one block.
  const [a, b] = KEYS.slice(0, 2).map((key) => {
    const { raw, sender } = signed(key, { nonce: 0n, to: key.address });
    return { tx: decodeSignedTransaction(raw), sender };
  });
  assert.ok(a !== undefined && b !== undefined);
  await fixture.chain.submit([a, b]);
  await fixture.chain.mine();

  const early = file("early.json", receiptJson(a.tx.hash, 1_000));
  const late = file("late.json", receiptJson(b.tx.hash, 2_000));
  const valid = await sheaf(["receipt", "verify", early, "--signer", SIGNER]);
  assert.deepEqual([valid.code, valid.err], [0, ""]);
  assert.match(valid.out, /^valid: 0x[0-9a-f]{64} was accepted at 1970-01-01T00:00:01.000Z, lane 0, number 1000$/);
  const stranger = `0x${"11".repeat(20)}`;
  assert.match(
    (await sheaf(["receipt", "verify", early, "--signer", stranger])).err,
    /RECEIPT_INVALID: .*is signed by/,
  );
  for (const text of ["", "[]", "null", "{}", '{"chainId":"0x1"}']) {
    const bad = await sheaf(["receipt", "verify", file("bad.json", text), "--signer", SIGNER]);
    assert.equal(bad.code, 1);
    assert.match(bad.err, /RECEIPT_MALFORMED/, text);
  }
  const compare = (x: string, y: string): ReturnType<typeof sheaf> =>
    sheaf(["receipt", "compare", x, y, "--signer", SIGNER, "--rpc", fixture.url]);
  assert.equal((await compare(early, late)).out, "kept");
  assert.equal((await compare(late, early)).out, "kept");
  // Had b been accepted first, a would have passed it.
  const swapped = await compare(
    file("a.json", receiptJson(a.tx.hash, 2_000)),
    file("b.json", receiptJson(b.tx.hash, 1_000)),
  );
  assert.equal(swapped.code, 1);
  assert.match(swapped.err, /RECEIPT_BROKEN_ORDER/);
  const unknown = await compare(early, file("unknown.json", receiptJson(new Uint8Array(32).fill(1), 3_000)));
  assert.equal(unknown.out, "undecided");
});
