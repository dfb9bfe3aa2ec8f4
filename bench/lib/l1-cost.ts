/**
 * Owns what a chain pays on L1: reads the SegmentPosted events of a range of blocks, their receipts and their blobs, and
 * counts segment bytes, blob gas and execution gas against the transactions that the segments really hold.
 */
import { fromHex } from "../../src/base/bytes.ts";
import { BeaconBlobs } from "../../src/da/beacon.ts";
import { type JsonRpcClient, readNumber, readObject } from "../../src/l1/json-rpc.ts";
import { RpcL1 } from "../../src/l1/rpc-l1.ts";
import { BLOB_CAPACITY_BYTES, decodeBlobs } from "../../src/protocol/blob-codec.ts";
import { decodeSegmentPosted, SEGMENT_POSTED_TOPIC, segmentOfCalldata } from "../../src/protocol/inbox-events.ts";
import { decodeSegment } from "../../src/protocol/segment.ts";

export type L1Cost = {
  readonly segments: number;
  readonly blobs: number;
  readonly transactions: number;
  readonly segmentBytes: number;
  /** Segment bytes by blob capacity; undefined without blobs. */
  readonly blobFill: number | undefined;
  readonly l1Gas: number;
  readonly blobGas: number;
};

/** Sums over the segments that lie in `firstBlock..lastBlock` as a whole. */
export async function l1CostOf(p: {
  readonly l1: JsonRpcClient;
  readonly l1ChainId: number;
  readonly beaconUrl: string;
  readonly inbox: string;
  readonly firstBlock: number;
  readonly lastBlock: number;
}): Promise<L1Cost> {
  const reader = new RpcL1(p.l1, { chainId: p.l1ChainId });
  const beacon = new BeaconBlobs({ url: p.beaconUrl });
  const head = await reader.head();
  const logs = await reader.logs({
    fromBlock: 0,
    toBlock: head.number,
    addresses: [fromHex(p.inbox)],
    topics: [[SEGMENT_POSTED_TOPIC]],
  });
  let [segments, blobs, transactions, segmentBytes, blobBytes, l1Gas, blobGas] = [0, 0, 0, 0, 0, 0, 0];
  for (const log of logs) {
    const posted = decodeSegmentPosted(log);
    if (posted === undefined || posted.lastBlock < p.firstBlock || posted.firstBlock > p.lastBlock) continue;
    const block = await reader.block(log.blockNumber);
    if (block === undefined) continue;
    const versionedHashes = posted.kind === "blobs" ? posted.hashes : [];
    let bytes: Uint8Array | undefined;
    if (versionedHashes.length > 0) {
      bytes = decodeBlobs([
        ...(await beacon.blobs({
          l1BlockNumber: block.number,
          l1BlockHash: block.hash,
          l1Timestamp: block.timestamp,
          versionedHashes,
        })),
      ]);
      blobBytes += bytes.length;
    } else bytes = segmentOfCalldata((await reader.transaction(log.transactionHash))?.input ?? new Uint8Array(0));
    if (bytes === undefined) continue;
    const content = decodeSegment(bytes);
    const receipt = readObject(
      await p.l1.call("eth_getTransactionReceipt", [`0x${Buffer.from(log.transactionHash).toString("hex")}`]),
      "receipt",
    );
    segments++;
    blobs += versionedHashes.length;
    segmentBytes += bytes.length;
    transactions += content.blocks.reduce((sum, b) => sum + b.transactions.length, 0);
    l1Gas += readNumber(receipt["gasUsed"], "gasUsed");
    blobGas += receipt["blobGasUsed"] === undefined ? 0 : readNumber(receipt["blobGasUsed"], "blobGasUsed");
  }
  return {
    segments,
    blobs,
    transactions,
    segmentBytes,
    blobFill: blobs === 0 ? undefined : blobBytes / (blobs * BLOB_CAPACITY_BYTES),
    l1Gas,
    blobGas,
  };
}
