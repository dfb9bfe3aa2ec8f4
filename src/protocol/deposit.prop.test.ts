import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { concat, encodePacked, type Hex, pad, toFunctionSelector, keccak256 as viemKeccak } from "viem";
import {
  extractTransactionDepositedLogs,
  getL2TransactionHash,
  getSourceHash,
  serializeTransaction,
} from "viem/op-stack";
import { undoL1ToL2Alias as viemUndoAlias } from "viem/zksync";
import { bytesEqual, fromHex, toHex } from "../base/bytes.ts";
import {
  applyL1ToL2Alias,
  depositLog,
  depositsOfLogs,
  l1AttributesSourceHash,
  type PositionedLog,
  undoL1ToL2Alias,
  userDepositSourceHash,
} from "./deposit.ts";
import { decodeL1Attributes, L1_ATTRIBUTES_BYTES, l1AttributesTransaction } from "./l1-attributes.ts";
import { bytes, bytesUpTo, depositFields, edited, unsigned } from "./testing/arbitraries.ts";
import { encodeDeposit } from "./transaction-codec.ts";

const portal = new Uint8Array(20).fill(0xaa);
const blockHash = bytes(32);
const userDeposit = fc.record({
  from: bytes(20),
  to: fc.option(bytes(20), { nil: undefined }),
  mintWei: unsigned(128),
  valueWei: unsigned(256),
  gasLimit: unsigned(64),
  data: bytesUpTo(150),
});

test("source hashes equal those of viem", () => {
  fc.assert(
    fc.property(blockHash, fc.nat(), (hash, index) => {
      const l1BlockHash = toHex(hash);
      assert.equal(
        toHex(userDepositSourceHash(hash, index)),
        getSourceHash({ domain: "userDeposit", l1BlockHash, l1LogIndex: index }),
      );
      assert.equal(
        toHex(l1AttributesSourceHash(hash, index)),
        getSourceHash({ domain: "l1InfoDeposit", l1BlockHash, sequenceNumber: index }),
      );
    }),
  );
});

test("a deposit encodes as viem's op-stack serializer does", () => {
  fc.assert(
    fc.property(depositFields, (f) => {
      const theirs = serializeTransaction({
        type: "deposit",
        sourceHash: toHex(f.sourceHash),
        from: toHex(f.from),
        to: f.to === undefined ? undefined : toHex(f.to),
        mint: f.mintWei,
        value: f.valueWei,
        gas: f.gasLimit,
        isSystemTx: f.isSystemTx,
        data: toHex(f.data),
      });
      assert.equal(toHex(encodeDeposit(f).raw), theirs);
    }),
  );
});

test("the deposit in a portal log has the hash viem predicts from that log", () => {
  fc.assert(
    fc.property(userDeposit, blockHash, fc.nat({ max: 5000 }), (fields, hash, logIndex) => {
      const log = depositLog(fields, portal, logIndex);
      const [deposit] = depositsOfLogs([log], hash);
      const [parsed] = extractTransactionDepositedLogs({
        logs: [
          {
            address: toHex(log.address),
            topics: log.topics.map(toHex) as [Hex, ...Hex[]],
            data: toHex(log.data),
            blockHash: toHex(hash),
            logIndex,
            blockNumber: 1n,
            blockTimestamp: undefined,
            transactionHash: toHex(hash),
            transactionIndex: 0,
            removed: false,
          },
        ],
      });
      assert.ok(deposit && parsed);
      assert.equal(toHex(deposit.hash), getL2TransactionHash({ log: parsed }));
      const { from, to, mintWei, valueWei, gasLimit, data } = deposit;
      assert.deepEqual({ from, to, mintWei, valueWei, gasLimit, data }, { ...fields });
    }),
  );
});

test("logs in a block keep their order, and foreign events between them change nothing", () => {
  fc.assert(
    fc.property(fc.array(userDeposit, { maxLength: 5 }), blockHash, (list, hash) => {
      const own = list.map((fields, i) => depositLog(fields, portal, 2 * i + 1));
      const foreign: PositionedLog = { address: portal, topics: [hash], data: new Uint8Array(0), logIndex: 0 };
      const mixed = own.flatMap((log) => [{ ...foreign, logIndex: log.logIndex - 1 }, log]);
      const deposits = depositsOfLogs(mixed, hash);
      assert.deepEqual(deposits, depositsOfLogs(own, hash));
      assert.deepEqual(
        deposits.map((d) => d.sourceHash),
        own.map((log) => userDepositSourceHash(hash, log.logIndex)),
      );
    }),
  );
});

test("any log gives one deposit or none, never an error", () => {
  let skipped = 0;
  const data = userDeposit.chain((fields) => edited(fc.constant(depositLog(fields, portal, 0).data)));
  const topics = userDeposit.chain((fields) =>
    fc.tuple(
      ...depositLog(fields, portal, 0).topics.map((topic) => fc.oneof(fc.constant(topic), bytes(32), bytesUpTo(40))),
    ),
  );
  fc.assert(
    fc.property(userDeposit, data, topics, blockHash, (fields, editedData, editedTopics, hash) => {
      const good = depositLog(fields, portal, 3);
      for (const log of [
        { ...good, data: editedData },
        { ...good, topics: editedTopics },
      ]) {
        const deposits = depositsOfLogs([log], hash);
        if (deposits.length === 0) skipped++;
        assert.ok(deposits.length <= 1);
      }
    }),
    { numRuns: 500 },
  );
  assert.ok(skipped > 100, `${skipped} skipped`);
});

test("a foreign version, a short payload and a dirty address give no deposit", () => {
  const fields = { from: portal, to: undefined, mintWei: 1n, valueWei: 1n, gasLimit: 1n, data: new Uint8Array(0) };
  const good = depositLog(fields, portal, 0);
  const hash = new Uint8Array(32);
  assert.equal(depositsOfLogs([good], hash).length, 1);
  const withTopic = (at: number, topic: Uint8Array): PositionedLog => ({
    ...good,
    topics: good.topics.map((t, i) => (i === at ? topic : t)),
  });
  const one = new Uint8Array(32).fill(0, 0, 31);
  one[31] = 1;
  for (const log of [
    withTopic(0, hash),
    withTopic(1, new Uint8Array(32).fill(9)),
    withTopic(3, one),
    { ...good, topics: good.topics.slice(0, 3) },
    { ...good, data: good.data.subarray(0, 128) },
    { ...good, data: new Uint8Array(0) },
  ])
    assert.deepEqual(depositsOfLogs([log], hash), []);
});

test("aliases equal those of viem and undo each other, wrap-around included", () => {
  assert.equal(
    toHex(applyL1ToL2Alias(fromHex("ffffffffffffffffffffffffffffffffffffffff"))),
    "0x1111000000000000000000000000000000001110",
  );
  fc.assert(
    fc.property(fc.oneof(bytes(20), fc.constant(new Uint8Array(20).fill(0xff))), (address) => {
      const aliased = applyL1ToL2Alias(address);
      assert.equal(toHex(undoL1ToL2Alias(address)), viemUndoAlias(toHex(address)).toLowerCase());
      assert.deepEqual(undoL1ToL2Alias(aliased), address);
    }),
  );
});

const attributes = fc.record({
  origin: fc.record({
    number: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    hash: bytes(32),
    parentHash: bytes(32),
    timestamp: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    baseFeePerGasWei: unsigned(256),
    blobBaseFeeWei: unsigned(256),
    prevRandao: bytes(32),
    parentBeaconBlockRoot: bytes(32),
  }),
  sequenceNumber: fc.nat(),
  systemConfig: fc.record({
    gasLimit: fc.nat(),
    baseFeeScalar: fc.nat({ max: 0xffff_ffff }),
    blobBaseFeeScalar: fc.nat({ max: 0xffff_ffff }),
  }),
  batcherHash: bytes(32),
});

test("the attributes transaction is packed as Ecotone states, and reads back", () => {
  fc.assert(
    fc.property(attributes, (p) => {
      const tx = l1AttributesTransaction(p);
      const { origin, systemConfig } = p;
      const expected = concat([
        toFunctionSelector("setL1BlockValuesEcotone()"),
        encodePacked(
          ["uint32", "uint32", "uint64", "uint64", "uint64", "uint256", "uint256", "bytes32", "bytes32"],
          [
            systemConfig.baseFeeScalar,
            systemConfig.blobBaseFeeScalar,
            BigInt(p.sequenceNumber),
            BigInt(origin.timestamp),
            BigInt(origin.number),
            origin.baseFeePerGasWei,
            origin.blobBaseFeeWei,
            toHex(origin.hash),
            toHex(p.batcherHash),
          ],
        ),
      ]);
      assert.equal(toHex(tx.data), expected);
      assert.equal(tx.data.length, L1_ATTRIBUTES_BYTES);
      assert.equal(toHex(tx.from), "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001");
      assert.equal(tx.to && toHex(tx.to), "0x4200000000000000000000000000000000000015");
      assert.equal(tx.gasLimit, 1_000_000n);
      assert.equal(tx.isSystemTx, false);
      assert.deepEqual(decodeL1Attributes(tx.data), {
        baseFeeScalar: systemConfig.baseFeeScalar,
        blobBaseFeeScalar: systemConfig.blobBaseFeeScalar,
        sequenceNumber: p.sequenceNumber,
        originTimestamp: origin.timestamp,
        originNumber: origin.number,
        l1BaseFeeWei: origin.baseFeePerGasWei,
        l1BlobBaseFeeWei: origin.blobBaseFeeWei,
        originHash: origin.hash,
        batcherHash: p.batcherHash,
      });
    }),
  );
});

test("data that is not attributes reads as undefined", () => {
  fc.assert(
    fc.property(attributes, fc.uint8Array({ maxLength: 200 }), (p, random) => {
      assert.equal(decodeL1Attributes(random), undefined);
      const { data } = l1AttributesTransaction(p);
      assert.equal(decodeL1Attributes(data.subarray(1)), undefined);
      const far = data.slice();
      far[12] = 0xff;
      assert.equal(decodeL1Attributes(far), undefined);
    }),
  );
});

test("the source hash of a user deposit is two rounds of keccak over domain, block and index", () => {
  const hash = fromHex("11".repeat(32));
  const inner = viemKeccak(concat([toHex(hash), pad("0x07")]));
  assert.ok(bytesEqual(userDepositSourceHash(hash, 7), fromHex(viemKeccak(concat([pad("0x00"), inner])))));
});
