import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createBlockLevelAccessListFromRLP } from "@ethereumjs/util";
import { fromHex, toHex } from "../base/bytes.ts";
import { type BlockAccessList, blockAccessListHash, encodeBlockAccessList } from "../protocol/block-access-list.ts";
import { RpcFixture } from "./testing/rpc-fixture.ts";

const word = (n: number): Uint8Array => Uint8Array.from({ length: 32 }, (_, i) => (i === 31 ? n : 0));
const LIST: BlockAccessList = [
  {
    address: new Uint8Array(20).fill(0xaa),
    storageChanges: [{ slot: word(1), changes: [{ index: 0, value: word(0) }] }],
    storageReads: [word(2)],
    balanceChanges: [{ index: 1, value: 10n ** 18n }],
    nonceChanges: [{ index: 17, value: 0n }],
    codeChanges: [{ index: 2, value: new Uint8Array(0) }],
  },
  {
    address: new Uint8Array(20).fill(0xbb),
    storageChanges: [],
    storageReads: [],
    balanceChanges: [],
    nonceChanges: [],
    codeChanges: [],
  },
];

let fixture: RpcFixture;
before(async () => {
  fixture = await RpcFixture.create();
  await fixture.chain.mine();
  await fixture.chain.mine();
  fixture.chain.accessLists.set(1, encodeBlockAccessList(LIST));
});
after(() => fixture.close());

test("a list is served by number, tag and hash, in the form of execution-apis", async () => {
  const expected = [
    {
      address: `0x${"aa".repeat(20)}`,
      storageChanges: [{ key: toHex(word(1)), changes: [{ index: "0x0", value: toHex(word(0)) }] }],
      storageReads: [toHex(word(2))],
      balanceChanges: [{ index: "0x1", value: "0xde0b6b3a7640000" }],
      nonceChanges: [{ index: "0x11", value: "0x0" }],
      codeChanges: [{ index: "0x2", code: "0x" }],
    },
    {
      address: `0x${"bb".repeat(20)}`,
      storageChanges: [],
      storageReads: [],
      balanceChanges: [],
      nonceChanges: [],
      codeChanges: [],
    },
  ];
  const { hash } = (await fixture.result("eth_getBlockByNumber", "0x1", false)) as { hash: string };
  assert.deepEqual(await fixture.result("eth_getBlockAccessList", "0x1"), expected);
  assert.deepEqual(await fixture.result("eth_getBlockAccessList", hash), expected);
  assert.deepEqual(await fixture.result("eth_getBlockAccessListByBlockNumber", "0x1"), expected);
  assert.deepEqual(await fixture.result("eth_getBlockAccessListByBlockHash", hash), expected);
});

test("the bytes are those of the list, and the hash is theirs", async () => {
  const raw = (await fixture.result("debug_getRawBlockAccessList", "0x1")) as string;
  assert.equal(toHex(createBlockLevelAccessListFromRLP(fromHex(raw)).serialize()), raw);
  assert.equal(await fixture.result("sheaf_getBlockAccessListHash", "0x1"), toHex(blockAccessListHash(fromHex(raw))));
});

test("an unknown block is null or an error as of old; a list that is not kept is 4444", async () => {
  assert.equal(await fixture.result("eth_getBlockAccessList", "0x99"), null);
  assert.equal(await fixture.result("eth_getBlockAccessListByBlockHash", `0x${"00".repeat(32)}`), null);
  assert.equal((await fixture.request("debug_getRawBlockAccessList", ["0x99"])).error?.code, -32001);
  for (const method of ["eth_getBlockAccessList", "debug_getRawBlockAccessList", "sheaf_getBlockAccessListHash"])
    assert.equal((await fixture.request(method, ["latest"])).error?.code, 4444);
});
