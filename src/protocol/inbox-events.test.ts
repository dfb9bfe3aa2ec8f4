import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  encodeAbiParameters,
  encodeEventTopics,
  encodeFunctionData,
  parseAbi,
  toEventSelector,
  toFunctionSelector,
} from "viem";
import { fromHex, toHex } from "../base/bytes.ts";
import {
  decodeGenesisPublished,
  decodeSegmentPosted,
  GENESIS_PUBLISHED_TOPIC,
  POST_CALLDATA_SELECTOR,
  SEGMENT_POSTED_TOPIC,
  segmentOfCalldata,
} from "./inbox-events.ts";

const abi = parseAbi([
  "event SegmentPosted(uint64 indexed index, uint64 indexed term, address indexed poster, uint64 firstBlock, uint64 lastBlock, uint8 kind, bytes32[] hashes)",
  "event GenesisPublished(bytes data)",
  "function postCalldata(uint64 index, uint64 term, uint64 firstBlock, uint64 lastBlock, bytes data)",
]);
const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const transactionHash = new Uint8Array(32).fill(5);
const poster = new Uint8Array(20).fill(0xaa);
const bytes = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });

function segmentPosted(kind: number, hashes: readonly Uint8Array[]): { topics: Uint8Array[]; data: Uint8Array } {
  const topics = encodeEventTopics({
    abi,
    eventName: "SegmentPosted",
    args: { index: 7n, term: 3n, poster: toHex(poster) },
  });
  const data = encodeAbiParameters(
    [{ type: "uint64" }, { type: "uint64" }, { type: "uint8" }, { type: "bytes32[]" }],
    [100n, 120n, kind, hashes.map(toHex)],
  );
  return { topics: topics.map((topic) => fromHex(topic as string)), data: fromHex(data) };
}

test("topics and selector are those of the contract", () => {
  const [posted, published, post] = abi;
  assert.equal(toHex(SEGMENT_POSTED_TOPIC), toEventSelector(posted));
  assert.equal(toHex(GENESIS_PUBLISHED_TOPIC), toEventSelector(published));
  assert.equal(toHex(POST_CALLDATA_SELECTOR), toFunctionSelector(post));
});

test("a SegmentPosted event gives its entry", () => {
  fc.assert(
    fc.property(fc.constantFrom(0, 1), fc.array(hash, { maxLength: 6 }), (kind, hashes) => {
      const log = { ...segmentPosted(kind, hashes), transactionHash };
      assert.deepEqual(decodeSegmentPosted(log), {
        index: 7,
        kind: kind === 0 ? "blobs" : "calldata",
        hashes,
        transactionHash,
        term: 3,
        poster,
        firstBlock: 100,
        lastBlock: 120,
      });
    }),
    { seed },
  );
});

test("a kind that is not known takes the index with nothing to read", () => {
  assert.deepEqual(decodeSegmentPosted({ ...segmentPosted(9, [new Uint8Array(32)]), transactionHash })?.hashes, []);
});

test("a genesis event gives its document", () => {
  fc.assert(
    fc.property(bytes(200), (document) => {
      const data = fromHex(encodeAbiParameters([{ type: "bytes" }], [toHex(document)]));
      assert.deepEqual(decodeGenesisPublished({ topics: [GENESIS_PUBLISHED_TOPIC], data }), document);
    }),
    { seed },
  );
});

test("the segment is found in the input of its transaction, wherever the offset points", () => {
  fc.assert(
    fc.property(bytes(200), bytes(70), (segment, gap) => {
      const plain = encodeFunctionData({ abi, functionName: "postCalldata", args: [1n, 2n, 3n, 4n, toHex(segment)] });
      assert.deepEqual(segmentOfCalldata(fromHex(plain)), segment);
      const moved = Uint8Array.from([
        ...fromHex(plain).subarray(0, 4 + 160),
        ...gap,
        ...fromHex(plain).subarray(4 + 160),
        1,
      ]);
      moved[4 + 159] = 160 + gap.length;
      assert.deepEqual(segmentOfCalldata(moved), segment);
    }),
    { seed },
  );
});

test("any bytes are read without an exception", () => {
  fc.assert(
    fc.property(fc.array(hash, { maxLength: 4 }), bytes(400), (topics, data) => {
      for (const first of [SEGMENT_POSTED_TOPIC, GENESIS_PUBLISHED_TOPIC]) {
        decodeSegmentPosted({ topics: [first, ...topics], data, transactionHash });
        decodeGenesisPublished({ topics: [first, ...topics], data });
      }
      segmentOfCalldata(data);
      segmentOfCalldata(Uint8Array.from([...POST_CALLDATA_SELECTOR, ...data]));
    }),
    { seed, numRuns: 500 },
  );
});
