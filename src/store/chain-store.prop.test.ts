/**
 * The durable chain store against its twin: random chains are appended, unwound and reopened, and both must answer
 * every question alike.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { hasCode } from "../base/error.ts";
import type { Block } from "../protocol/block.ts";
import type { Log, Receipt } from "../protocol/receipt.ts";
import type { ChainStore, LogFilter } from "./chain-store.ts";
import { Database } from "./database.ts";
import { LmdbChainStore } from "./lmdb-chain-store.ts";
import { MemoryChainStore } from "./memory-chain-store.ts";

const bytes = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill);

/** Few addresses and topics, so that filters hit. */
const logArb: fc.Arbitrary<Log> = fc.record({
  address: fc.nat(3).map((n) => bytes(20, n)),
  topics: fc.array(
    fc.nat(4).map((n) => bytes(32, n)),
    { maxLength: 4 },
  ),
  data: fc.uint8Array({ maxLength: 200 }),
});

const receiptArb: fc.Arbitrary<Receipt> = fc.record({
  type: fc.constantFrom(0, 1, 2, 4, 0x7e),
  status: fc.constantFrom<0 | 1>(0, 1),
  cumulativeGasUsed: fc.nat(),
  gasUsed: fc.nat(),
  logs: fc.array(logArb, { maxLength: 4 }),
  effectiveGasPriceWei: fc.bigInt(0n, 2n ** 255n),
  contractAddress: fc.option(fc.uint8Array({ minLength: 20, maxLength: 20 }), { nil: undefined }),
  l1FeeWei: fc.bigInt(0n, 2n ** 200n),
  depositNonce: fc.option(fc.bigInt(0n, 2n ** 64n - 1n), { nil: undefined }),
});

/** Access lists of as many blocks are kept. */
const CONFIG = { accessListBlocks: 4 };

type Body = {
  readonly receipts: readonly Receipt[];
  readonly salt: number;
  readonly accessList: Uint8Array | undefined;
};
const bodyArb: fc.Arbitrary<Body> = fc.record({
  receipts: fc.oneof({ weight: 1, arbitrary: fc.constant<Receipt[]>([]) }, fc.array(receiptArb, { maxLength: 5 })),
  salt: fc.nat(),
  accessList: fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined, freq: 3 }),
});

const filterArb: fc.Arbitrary<LogFilter> = fc.record({
  fromBlock: fc.nat(30),
  toBlock: fc.nat(40),
  addresses: fc.array(
    fc.nat(4).map((n) => bytes(20, n)),
    { maxLength: 2 },
  ),
  topics: fc.array(
    fc.option(
      fc.array(
        fc.nat(5).map((n) => bytes(32, n)),
        { maxLength: 2 },
      ),
      { nil: undefined },
    ),
    { maxLength: 4 },
  ),
  limit: fc.constantFrom(3, 1000),
});

type Step =
  | { readonly kind: "append"; readonly bodies: readonly Body[] }
  | { readonly kind: "rollback"; readonly by: number }
  | { readonly kind: "abort"; readonly body: Body }
  | { readonly kind: "reopen" }
  | { readonly kind: "query"; readonly filter: LogFilter };

const stepArb: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("append" as const), bodies: fc.array(bodyArb, { maxLength: 8 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rollback" as const), by: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("abort" as const), body: bodyArb }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("query" as const), filter: filterArb }) },
);

function blockOf(parent: Block | undefined, { receipts, salt }: Body): Block {
  const number = parent === undefined ? 0 : parent.header.number + 1;
  const unique = (part: number, index = 0): Uint8Array => {
    const out = new Uint8Array(32);
    new DataView(out.buffer).setUint32(0, part);
    new DataView(out.buffer).setUint32(4, number);
    new DataView(out.buffer).setUint32(8, salt);
    new DataView(out.buffer).setUint32(12, index);
    return out;
  };
  return {
    hash: unique(1),
    header: {
      parentHash: parent?.hash ?? bytes(32, 0),
      ommersHash: unique(2),
      coinbase: bytes(20, 0x11),
      stateRoot: unique(3),
      transactionsRoot: unique(4),
      receiptsRoot: unique(5),
      logsBloom: bytes(256, salt & 255),
      difficulty: 0n,
      number,
      gasLimit: 30_000_000,
      gasUsed: salt,
      timestamp: 1_700_000_000 + number,
      extraData: bytes(salt % 33, 7),
      prevRandao: unique(6),
      nonce: bytes(8, 0),
      baseFeePerGasWei: BigInt(salt) * 1_000_000_007n,
      withdrawalsRoot: unique(7),
      blobGasUsed: 0,
      excessBlobGas: 0,
      parentBeaconBlockRoot: unique(8),
      requestsHash: unique(9),
    },
    transactions: receipts.map((_, i) => Uint8Array.of(...unique(10, i), ...bytes(salt % 300, i))),
    senders: receipts.map((_, i) => bytes(20, i)),
    origin: { number: number * 3, hash: unique(11) },
    sequenceNumber: salt % 12,
  };
}

function search(store: ChainStore, filter: LogFilter): unknown {
  try {
    return store.logs(filter).map((log) => ({ ...log, data: plain(log.data), topics: log.topics.map(plain) }));
  } catch (error) {
    assert(hasCode(error, "LOG_RESULT_LIMIT"));
    return error.code;
  }
}

const plain = (view: Uint8Array): number[] => [...view];
const normal = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? Buffer.from(value).toString("hex")
    : Array.isArray(value)
      ? value.map(normal)
      : typeof value === "object" && value !== null
        ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, normal(inner)]))
        : value;

function assertAlike(durable: ChainStore, twin: ChainStore): void {
  assert.equal(durable.head, twin.head);
  for (let number = -1; number <= twin.head + 1; number++) {
    const block = twin.block(number);
    assert.deepEqual(normal(durable.block(number)), normal(block));
    assert.deepEqual(normal(durable.receipts(number)), normal(twin.receipts(number)));
    assert.deepEqual(normal(durable.blockHash(number)), normal(twin.blockHash(number)));
    assert.deepEqual(normal(durable.accessList(number)), normal(twin.accessList(number)));
    if (block !== undefined) assert.equal(durable.numberOfHash(block.hash), number);
  }
}

test("the durable chain store answers as its twin does, through unwinding, aborts and restarts", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArb, { minLength: 5, maxLength: 25 }), async (steps) => {
      const folder = mkdtempSync(join(tmpdir(), "sheaf-chain-"));
      let database = Database.open(folder, { durable: false });
      let durable = new LmdbChainStore(database, CONFIG);
      const twin = new MemoryChainStore(CONFIG);
      const gone: Block[] = [];
      try {
        for (const step of steps) {
          if (step.kind === "append") {
            database.transaction(() => {
              for (const body of step.bodies) {
                const block = blockOf(twin.block(twin.head), body);
                durable.append(block, body.receipts, body.accessList);
                twin.append(block, body.receipts, body.accessList);
              }
            });
          } else if (step.kind === "rollback") {
            const target = Math.max(-1, twin.head - step.by);
            for (let n = target + 1; n <= twin.head; n++) gone.push(twin.block(n) as Block);
            database.transaction(() => durable.rollback(target));
            twin.rollback(target);
          } else if (step.kind === "abort") {
            assert.throws(() =>
              database.transaction(() => {
                durable.append(blockOf(twin.block(twin.head), step.body), step.body.receipts);
                durable.putMeta("cursor", bytes(1, 1));
                throw new Error("changed its mind");
              }),
            );
            assert.equal(durable.getMeta("cursor"), undefined);
          } else if (step.kind === "reopen") {
            await database.close();
            database = Database.open(folder, { durable: false });
            durable = new LmdbChainStore(database, CONFIG);
          } else assert.deepEqual(normal(search(durable, step.filter)), normal(search(twin, step.filter)));
        }
        assertAlike(durable, twin);
        for (const block of gone) assert.equal(durable.numberOfHash(block.hash), twin.numberOfHash(block.hash));
      } finally {
        await database.close();
        rmSync(folder, { recursive: true });
      }
    }),
    { numRuns: 60 },
  );
});

test("meta values outlive the process's memory", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sheaf-chain-"));
  const first = Database.open(folder);
  new LmdbChainStore(first).putMeta("safe", bytes(4, 9));
  await first.close();
  const second = Database.open(folder);
  assert.deepEqual(new LmdbChainStore(second).getMeta("safe"), bytes(4, 9));
  await second.close();
  rmSync(folder, { recursive: true });
});
