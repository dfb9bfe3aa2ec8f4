/** Raw getters give what an independent client recomputes everything from. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createMPT } from "@ethereumjs/mpt";
import { RLP } from "@ethereumjs/rlp";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { fromHex, toHex } from "../base/bytes.ts";
import { signTransaction } from "../protocol/transaction-codec.ts";
import { depositOf, KEYS, LOGGER } from "./testing/memory-chain.ts";
import { RpcFixture } from "./testing/rpc-fixture.ts";

let fixture: RpcFixture;
before(async () => {
  fixture = await RpcFixture.create();
  for (const [i, type] of ([0, 1, 2] as const).entries()) {
    const tx = signTransaction(
      {
        type,
        chainId: 901,
        nonce: 0n,
        to: LOGGER,
        data: new Uint8Array(64).fill(i),
        gasLimit: 90_000n,
        maxFeePerGasWei: 10n ** 10n,
      },
      KEYS[i]?.secret as Uint8Array,
    );
    await fixture.result("eth_sendRawTransaction", toHex(tx.raw));
  }
  await fixture.chain.mine([depositOf(KEYS[3]?.address as Uint8Array, 1n, 5)]);
});
after(() => fixture.close());

const hashOf = (hex: unknown): string => toHex(keccak_256(fromHex(hex as string)));

test("header hash, block bytes, size and roots can be recomputed", async () => {
  const block = (await fixture.result("eth_getBlockByNumber", "0x1", false)) as Record<string, unknown>;
  const header = await fixture.result("debug_getRawHeader", "0x1");
  assert.equal(hashOf(header), block["hash"]);
  const raw = fromHex((await fixture.result("debug_getRawBlock", block["hash"])) as string);
  assert.equal(BigInt(raw.length), BigInt(block["size"] as string));
  const [rawHeader, transactions, ommers, withdrawals] = RLP.decode(raw) as [
    Uint8Array[],
    (Uint8Array | Uint8Array[])[],
    unknown[],
    unknown[],
  ];
  assert.equal(toHex(RLP.encode(rawHeader)), header);
  assert.deepEqual([ommers, withdrawals], [[], []]);
  const trie = await createMPT();
  const hashes: string[] = [];
  for (const [i, item] of transactions.entries()) {
    const bytes = item instanceof Uint8Array ? item : RLP.encode(item);
    hashes.push(toHex(keccak_256(bytes)));
    await trie.put(RLP.encode(i), bytes);
    assert.equal(await fixture.result("debug_getRawTransaction", hashes[i]), toHex(bytes));
  }
  assert.deepEqual(hashes, block["transactions"]);
  assert.equal(toHex(trie.root()), block["transactionsRoot"]);
  const receipts = await createMPT();
  for (const [i, receipt] of ((await fixture.result("debug_getRawReceipts", "0x1")) as string[]).entries())
    await receipts.put(RLP.encode(i), fromHex(receipt));
  assert.equal(toHex(receipts.root()), block["receiptsRoot"]);
});

test("the fork configuration names what is active", async () => {
  const { current, next, last } = (await fixture.result("eth_config")) as Record<
    string,
    Record<string, unknown> | null
  >;
  assert.deepEqual([next, last], [null, null]);
  const { hash } = (await fixture.result("eth_getBlockByNumber", "0x0", false)) as { hash: string };
  // EIP-6122: the CRC-32 of the genesis hash when all forks are active at genesis.
  let crc = 0xffffffff;
  for (const byte of fromHex(hash)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) * 0xedb88320);
  }
  assert.equal(Number(current?.["forkId"]), ~crc >>> 0);
  assert.deepEqual([current?.["chainId"], current?.["activationTime"]], ["0x385", 0]);
  const precompiles = current?.["precompiles"] as Record<string, string>;
  assert.equal(Object.keys(precompiles).length, 17);
  assert.equal(precompiles["BLS12_MAP_FP2_TO_G2"], `0x${"11".padStart(40, "0")}`);
  assert.deepEqual(await fixture.result("debug_getBadBlocks"), []);
});

test("what is not known is an error here, not null", async () => {
  assert.equal((await fixture.request("debug_getRawBlock", ["0x99"])).error?.code, -32001);
  assert.equal((await fixture.request("debug_getRawTransaction", [`0x${"00".repeat(32)}`])).error?.code, -32001);
});
