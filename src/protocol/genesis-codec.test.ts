import assert from "node:assert/strict";
import { test } from "node:test";
import { brotliCompressSync } from "node:zlib";
import fc from "fast-check";
import { hasCode } from "../base/error.ts";
import type { Genesis } from "./genesis.ts";
import { encodeGenesis, GENESIS_MAX_BYTES, genesisBlock, genesisJson, parseGenesis } from "./genesis-codec.ts";

const address = (n: number): Uint8Array => new Uint8Array(20).fill(n);

const genesis: Genesis = {
  version: 1,
  name: "sheaf-a",
  chainId: 901,
  l1ChainId: 31337,
  contracts: {
    portal: address(1),
    inbox: address(2),
    outputOracle: address(3),
    systemConfig: address(4),
    l1CrossDomainMessenger: address(5),
    l1StandardBridge: address(6),
  },
  timestamp: 1_700_000_000,
  baseFeePerGasWei: 1_000_000_000n,
  systemConfig: { gasLimit: 60_000_000, baseFeeScalar: 1368, blobBaseFeeScalar: 810_949 },
  elasticity: 2,
  baseFeeDenominator: 8,
  sequencingWindow: 3600,
  maxDriftSeconds: 1800,
  alloc: new Map([
    ["ff".repeat(20), { balanceWei: 2n ** 255n, nonce: 0n, code: new Uint8Array(0), storage: new Map() }],
    [
      "42".repeat(20),
      {
        balanceWei: 0n,
        nonce: 1n,
        code: Uint8Array.from([0x60, 0x80]),
        storage: new Map([["00".repeat(31) + "02", new Uint8Array(32).fill(7)]]),
      },
    ],
  ]),
};

const sortedAlloc = (g: Genesis): Genesis => ({
  ...g,
  alloc: new Map([...g.alloc].sort(([a], [b]) => (a < b ? -1 : 1))),
});

test("a genesis document comes back as it was", () => {
  assert.deepEqual(sortedAlloc(parseGenesis(encodeGenesis(genesis))), sortedAlloc(genesis));
});

test("equal documents are equal bytes, in whatever order the allocation was built", () => {
  const turned = { ...genesis, alloc: new Map([...genesis.alloc].reverse()) };
  assert.deepEqual(encodeGenesis(turned), encodeGenesis(genesis));
});

test("each field that is missing, unknown or out of range is refused", () => {
  const change: ((json: Record<string, unknown>) => void)[] = [
    ...Object.keys(JSON.parse(genesisJson(genesis)) as object).map((key) => (json: Record<string, unknown>) => {
      delete json[key];
    }),
    (json) => (json["extra"] = 1),
    (json) => (json["version"] = 2),
    (json) => (json["chainId"] = 0),
    (json) => (json["chainId"] = 1.5),
    (json) => (json["chainId"] = 2 ** 53),
    (json) => (json["name"] = "No Spaces"),
    (json) => (json["sequencingWindow"] = 0),
    (json) => (json["baseFeePerGasWei"] = "0x00"),
    (json) => (json["baseFeePerGasWei"] = `0x1${"0".repeat(64)}`),
    (json) => (json["alloc"] = { ["F".repeat(40)]: {} }),
    (json) => (json["alloc"] = { ["0".repeat(40)]: { balanceWei: "0x0", nonce: "0x0", code: "0x0", storage: {} } }),
    (json) => (json["alloc"] = []),
  ];
  for (const apply of change) {
    const json = JSON.parse(genesisJson(genesis)) as Record<string, unknown>;
    apply(json);
    assert.throws(
      () => parseGenesis(brotliCompressSync(JSON.stringify(json))),
      (error) => hasCode(error, "GENESIS_MALFORMED"),
      JSON.stringify(json).slice(0, 200),
    );
  }
});

test("any bytes are a genesis document or refused, and a bomb is refused", () => {
  const seed = Number(process.env["SHEAF_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  const refused = (input: Uint8Array): void =>
    assert.throws(
      () => parseGenesis(input),
      (error) => hasCode(error, "GENESIS_MALFORMED"),
    );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (soup) => refused(soup)),
    { seed },
  );
  fc.assert(
    fc.property(fc.json(), (json) => refused(brotliCompressSync(json))),
    { seed },
  );
  refused(brotliCompressSync(Buffer.alloc(64 * 1024 * 1024)));
  refused(new Uint8Array(GENESIS_MAX_BYTES + 1));
});

test("the header of block 0 takes randomness and beacon root from its L1 origin", () => {
  const origin = {
    number: 5,
    hash: new Uint8Array(32).fill(1),
    parentHash: new Uint8Array(32),
    timestamp: 1_699_999_990,
    baseFeePerGasWei: 1n,
    blobBaseFeeWei: 1n,
    prevRandao: new Uint8Array(32).fill(2),
    parentBeaconBlockRoot: new Uint8Array(32).fill(3),
  };
  const { header } = genesisBlock(genesis, new Uint8Array(32).fill(9), origin);
  assert.deepEqual(header.prevRandao, origin.prevRandao);
  assert.deepEqual(header.parentBeaconBlockRoot, origin.parentBeaconBlockRoot);
  assert.deepEqual(header.stateRoot, new Uint8Array(32).fill(9));
  assert.equal(header.timestamp, genesis.timestamp);
  assert.equal(header.gasLimit, 60_000_000);
});
