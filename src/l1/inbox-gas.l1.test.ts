/** What posting costs in gas on a real L1, whole transactions; the figures are gas, so they are the same everywhere. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { encodeBlobs } from "../protocol/blob-codec.ts";
import { postBlobsInput, postCalldataInput, readInbox } from "./inbox.ts";
import { proveBlob } from "./kzg.ts";
import { ROLE_ACCOUNTS, startSender, startSettlement } from "./testing/settlement.ts";

/** A settlement whose poster has posted before: a cluster's first segment writes slots that later ones only change. */
async function posting(t: TestContext) {
  const settlement = await startSettlement(t);
  const { sender, stop } = startSender(settlement, ROLE_ACCOUNTS.poster);
  t.after(stop);
  const blob = await proveBlob(encodeBlobs(new Uint8Array(1_000).fill(7))[0] as Uint8Array, "blob");
  const to = settlement.contracts.inbox;
  const postBlobs = (index: number, count: number) =>
    sender.send({
      purpose: "batch",
      what: `segment ${index}`,
      to,
      data: postBlobsInput({ index, term: 1, firstBlock: index, lastBlock: index }),
      blobs: Array.from({ length: count }, () => blob),
    });
  const postCalldata = (index: number, segment: Uint8Array) =>
    sender.send({
      purpose: "batch",
      what: `segment ${index}`,
      to,
      data: postCalldataInput({ index, term: 1, firstBlock: index, lastBlock: index }, segment),
    });
  await postBlobs(0, 1);
  return { settlement, postBlobs, postCalldata };
}

test("posting blobs costs little more than recording their hashes", async (t) => {
  const { settlement, postBlobs } = await posting(t);
  const gas: Record<string, number> = {};
  gas["1 blob, in order"] = (await postBlobs(1, 1)).gasUsed;
  gas["3 blobs, in order"] = (await postBlobs(2, 3)).gasUsed;
  gas["6 blobs, in order"] = (await postBlobs(3, 6)).gasUsed;
  gas["1 blob, first ahead of a gap"] = (await postBlobs(5, 1)).gasUsed;
  gas["1 blob, second ahead of a gap"] = (await postBlobs(6, 1)).gasUsed;
  gas["1 blob, closing the gap"] = (await postBlobs(4, 1)).gasUsed;
  for (const [what, used] of Object.entries(gas)) t.diagnostic(`${what}: ${used} gas`);
  assert.deepEqual(await readInbox(settlement.l1, settlement.contracts.inbox, "latest"), {
    nextIndex: 7,
    endIndex: 7,
    currentTerm: 1,
  });
  assert.ok((gas["1 blob, in order"] ?? 0) <= 65_000);
  assert.ok((gas["6 blobs, in order"] ?? 0) - (gas["1 blob, in order"] ?? 0) <= 5_000);
});

test("posting calldata costs what its bytes cost, and a record", async (t) => {
  const { postCalldata } = await posting(t);
  for (const [index, sizeBytes] of [
    [1, 1_000],
    [2, 100_000],
  ] as const) {
    const { gasUsed } = await postCalldata(index, new Uint8Array(sizeBytes).fill(7));
    t.diagnostic(`${sizeBytes} bytes: ${gasUsed} gas, ${(gasUsed / sizeBytes).toFixed(1)} a byte`);
    // 40 a byte by the floor price of EIP-7623.
    assert.ok(gasUsed <= 75_000 + 41 * sizeBytes);
  }
});
