import assert from "node:assert/strict";
import { test } from "node:test";
import { createBlockHeader } from "@ethereumjs/block";
import { Common, Hardfork, Mainnet } from "@ethereumjs/common";
import * as fc from "fast-check";
import { toHex } from "../base/bytes.ts";
import { CodedError } from "../base/error.ts";
import type { Header } from "./block.ts";
import { decodeHeader, encodeHeader, headerHash } from "./header-codec.ts";
import { EMPTY_OMMERS_HASH } from "./ordered-trie.ts";
import { bytes, bytesUpTo, edited, unsigned } from "./testing/arbitraries.ts";

const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });

const header: fc.Arbitrary<Header> = fc.record(
  {
    parentHash: bytes(32),
    ommersHash: bytes(32),
    coinbase: bytes(20),
    stateRoot: bytes(32),
    transactionsRoot: bytes(32),
    receiptsRoot: bytes(32),
    logsBloom: bytes(256),
    difficulty: unsigned(256),
    number: count,
    gasLimit: count,
    gasUsed: count,
    timestamp: count,
    extraData: bytesUpTo(32),
    prevRandao: bytes(32),
    nonce: bytes(8),
    baseFeePerGasWei: unsigned(256),
    withdrawalsRoot: bytes(32),
    blobGasUsed: count,
    excessBlobGas: count,
    parentBeaconBlockRoot: bytes(32),
    requestsHash: bytes(32),
  },
  { noNullPrototype: true },
);

test("any header round-trips", () => {
  fc.assert(fc.property(header, (value) => assert.deepEqual(decodeHeader(encodeHeader(value)), value)));
});

test("headers of the chain have the hash that ethereumjs computes", () => {
  const common = new Common({ chain: Mainnet, hardfork: Hardfork.Prague });
  fc.assert(
    fc.property(header, fc.nat({ max: 2 ** 40 }), (random, gasLimit) => {
      const value: Header = {
        ...random,
        ommersHash: EMPTY_OMMERS_HASH,
        difficulty: 0n,
        nonce: new Uint8Array(8),
        gasLimit: gasLimit + 5000,
        gasUsed: Math.min(random.gasUsed, gasLimit),
        blobGasUsed: 0,
        excessBlobGas: 0,
      };
      const { ommersHash, logsBloom, receiptsRoot, prevRandao, baseFeePerGasWei, transactionsRoot, ...same } = value;
      const theirs = createBlockHeader(
        {
          ...same,
          uncleHash: ommersHash,
          logsBloom,
          receiptTrie: receiptsRoot,
          transactionsTrie: transactionsRoot,
          mixHash: prevRandao,
          baseFeePerGas: baseFeePerGasWei,
        },
        { common, setHardfork: false, skipConsensusFormatValidation: true },
      );
      assert.equal(toHex(headerHash(value)), toHex(theirs.hash()));
      assert.equal(toHex(encodeHeader(value)), toHex(theirs.serialize()));
    }),
    { numRuns: 50 },
  );
});

test("edited headers decode canonically or give an RLP code", () => {
  fc.assert(
    fc.property(edited(header.map(encodeHeader)), (encoded) => {
      try {
        assert.deepEqual(encodeHeader(decodeHeader(encoded)), encoded);
      } catch (error) {
        assert.ok(error instanceof CodedError && error.code.startsWith("RLP_"), String(error));
      }
    }),
    { numRuns: 1000 },
  );
});
