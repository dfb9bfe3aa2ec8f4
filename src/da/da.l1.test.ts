/** Segments through a real L1 and back: blobs, calldata, archive, sources that lie. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { toHex } from "../base/bytes.ts";
import { hasCode } from "../base/error.ts";
import { silentLog } from "../base/log.ts";
import { proveBlob } from "../l1/kzg.ts";
import { ROLE_ACCOUNTS, type Settlement, startSender, startSettlement } from "../l1/testing/settlement.ts";
import { decodeBlobs, encodeBlobs } from "../protocol/blob-codec.ts";
import { decodeSegmentPosted, SEGMENT_POSTED_TOPIC, segmentOfCalldata } from "../protocol/inbox-events.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { BeaconBlobs } from "./beacon.ts";
import { BlobWriter } from "./blob.ts";
import { BlobArchive } from "./blob-archive.ts";
import { BlobSources } from "./blob-sources.ts";
import { CalldataWriter } from "./calldata.ts";
import type { BlobReference } from "./da.ts";
import { MemoryBlobs } from "./memory.ts";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "sheaf-da-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const bytesOf = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed) % 251);

async function postedSegment(settlement: Settlement) {
  const head = await settlement.l1.head();
  const [log] = await settlement.l1.logs({
    fromBlock: settlement.origin.number + 1,
    toBlock: head.number,
    addresses: [settlement.contracts.inbox],
    topics: [[SEGMENT_POSTED_TOPIC]],
  });
  assert.ok(log !== undefined);
  const entry = decodeSegmentPosted(log);
  assert.ok(entry !== undefined);
  const block = await settlement.l1.block(log.blockHash);
  assert.ok(block !== undefined);
  const reference: BlobReference = {
    l1BlockNumber: block.number,
    l1BlockHash: block.hash,
    l1Timestamp: block.timestamp,
    versionedHashes: entry.hashes,
  };
  return { log, entry, reference };
}

test("a segment of three blobs is read back from L1 alone, and from the archive when L1 has pruned it", async (t) => {
  const settlement = await startSettlement(t);
  const { sender, stop } = startSender(settlement, ROLE_ACCOUNTS.poster);
  t.after(stop);
  const archive = new BlobArchive(folder(t));
  const beacon = new BeaconBlobs({ url: settlement.anvil.beaconUrl });
  let readBackFailures = 0;
  const writer = new BlobWriter({
    inbox: settlement.contracts.inbox,
    sender,
    l1: settlement.l1,
    proofs: "blob",
    archive,
    readBack: beacon,
    readBackFailures: { inc: () => readBackFailures++ },
    log: silentLog,
  });
  const bytes = bytesOf(300_000, 3);
  const segment = { index: 0, term: 1, firstBlock: 1, lastBlock: 9, bytes };
  await writer.simulate(segment);
  const posted = await writer.post(segment);
  assert.equal(posted.blobGasUsed, 3 * 131_072);
  assert.equal(readBackFailures, 0);

  const { entry, reference } = await postedSegment(settlement);
  assert.deepEqual(
    {
      index: entry.index,
      term: entry.term,
      firstBlock: entry.firstBlock,
      lastBlock: entry.lastBlock,
      kind: entry.kind,
    },
    { index: 0, term: 1, firstBlock: 1, lastBlock: 9, kind: "blobs" },
  );
  assert.deepEqual(decodeBlobs(await beacon.blobs(reference)), bytes);
  const pruned = new BlobSources({ sources: [new MemoryBlobs()], archive, log: silentLog });
  assert.deepEqual(decodeBlobs(await pruned.blobs(reference)), bytes);
  // The same index again is refused before anything is paid.
  await assert.rejects(
    writer.post(segment),
    (e) => hasCode(e, "SENDER_WOULD_REVERT") && e.data["revert"] === "AlreadyPosted",
  );
});

test("a segment as calldata is found in the transaction's input, under the hash of its event", async (t) => {
  const settlement = await startSettlement(t);
  const { sender, stop } = startSender(settlement, ROLE_ACCOUNTS.poster);
  t.after(stop);
  const writer = new CalldataWriter({ inbox: settlement.contracts.inbox, sender });
  const bytes = bytesOf(50_000, 9);
  await writer.post({ index: 0, term: 0, firstBlock: 1, lastBlock: 2, bytes });
  const { log, entry } = await postedSegment(settlement);
  const transaction = await settlement.l1.transaction(log.transactionHash);
  const found = segmentOfCalldata(transaction?.input ?? new Uint8Array(0));
  assert.deepEqual(found, bytes);
  assert.deepEqual(entry.hashes, [keccak256(bytes)]);
  await assert.rejects(
    writer.post({ index: 1, term: 0, firstBlock: 3, lastBlock: 4, bytes: bytesOf(130_000, 1) }),
    (e) => hasCode(e, "DA_TOO_LARGE"),
  );
});

const somewhere = (versionedHashes: readonly Uint8Array[]): BlobReference => ({
  l1BlockNumber: 7,
  l1BlockHash: new Uint8Array(32).fill(7),
  l1Timestamp: 1_700_000_000,
  versionedHashes,
});

test("a source that lies is passed over, and what another one serves is archived", async (t) => {
  const [a, b] = await Promise.all(encodeBlobs(bytesOf(200_000, 5)).map((blob) => proveBlob(blob, "blob")));
  assert.ok(a !== undefined && b !== undefined);
  const liar = new MemoryBlobs();
  liar.put(a.versionedHash, b.blob);
  liar.put(b.versionedHash, new Uint8Array(131_072).fill(0xff));
  const honest = new MemoryBlobs();
  honest.put(a.versionedHash, a.blob);
  const archive = new BlobArchive(folder(t));
  const sources = new BlobSources({ sources: [liar, honest], archive, log: silentLog });
  const reference = somewhere([a.versionedHash, b.versionedHash]);
  await assert.rejects(sources.blobs(reference), (e) => hasCode(e, "DA_UNAVAILABLE"));
  assert.equal(await archive.has(a.versionedHash), true);
  assert.equal(await archive.has(b.versionedHash), false);
  honest.put(b.versionedHash, b.blob);
  assert.deepEqual(await sources.blobs(reference), [a.blob, b.blob]);
  honest.forget(a.versionedHash);
  honest.forget(b.versionedHash);
  assert.deepEqual(await sources.blobs(reference), [a.blob, b.blob]);
});

test("a damaged or cut-off archive file counts as absent, never as data", async (t) => {
  const path = folder(t);
  const archive = new BlobArchive(path);
  const proven = await proveBlob(encodeBlobs(bytesOf(1000, 1))[0] as Uint8Array, "blob");
  await archive.put(proven.versionedHash, proven.blob);
  assert.deepEqual(await archive.get(proven.versionedHash), proven.blob);
  const [sub] = readdirSync(path);
  const [file] = readdirSync(join(path, sub as string));
  const name = join(path, sub as string, file as string);
  const damaged = proven.blob.slice();
  damaged[77] = (damaged[77] as number) ^ 1;
  writeFileSync(name, damaged);
  assert.equal(await archive.get(proven.versionedHash), undefined);
  writeFileSync(name, proven.blob.subarray(0, 100));
  assert.equal(await archive.get(proven.versionedHash), undefined);
  // Writing again repairs it.
  await archive.put(proven.versionedHash, proven.blob);
  assert.deepEqual(await archive.get(proven.versionedHash), proven.blob);
});

test("a beacon node with slots is asked by slot, and rubbish from it is DA_UNAVAILABLE", async (t) => {
  const proven = await proveBlob(encodeBlobs(bytesOf(1000, 2))[0] as Uint8Array, "blob");
  const paths: string[] = [];
  let body: string = JSON.stringify({ data: [toHex(new Uint8Array(131_072)), toHex(proven.blob)] });
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    paths.push(path);
    if (path.endsWith("/config/spec")) response.end('{"data":{"SECONDS_PER_SLOT":"12"}}');
    else if (path.endsWith("/beacon/genesis")) response.end('{"data":{"genesis_time":"1699999400"}}');
    else response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const beacon = new BeaconBlobs({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` });
  assert.deepEqual(await beacon.blobs(somewhere([proven.versionedHash])), [proven.blob]);
  assert.ok(paths.at(-1)?.startsWith(`/eth/v1/beacon/blobs/50?versioned_hashes=${toHex(proven.versionedHash)}`));
  for (body of ["{", "[]", '{"data":[]}', '{"data":["0x00"]}', '{"data":7}'])
    await assert.rejects(beacon.blobs(somewhere([proven.versionedHash])), (e) => hasCode(e, "DA_UNAVAILABLE"));
});
