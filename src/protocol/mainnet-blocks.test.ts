/** Real Ethereum blocks as vectors: what the chain agreed on must come out of these codecs. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { fromHex, toHex } from "../base/bytes.ts";
import { nextBaseFeeWei } from "./base-fee.ts";
import { orderedTrieRoot } from "./ordered-trie.ts";
import { recoverSender } from "./sender.ts";
import { sharedFolder } from "./testing/shared-vectors.ts";
import { assembleTransaction, decodeTransaction, type TransactionFields } from "./transaction-codec.ts";

const { path, skip } = sharedFolder("mainnet-blocks");

type Hex = `0x${string}`;
type RpcTransaction = {
  readonly [key in "hash" | "from" | "nonce" | "value" | "gas" | "gasPrice" | "input" | "r" | "s" | "v" | "type"]: Hex;
} & {
  readonly to: Hex | null;
  readonly maxFeePerGas?: Hex;
  readonly maxPriorityFeePerGas?: Hex;
  readonly maxFeePerBlobGas?: Hex;
  readonly chainId?: Hex;
  readonly accessList?: readonly { readonly address: Hex; readonly storageKeys: readonly Hex[] }[];
  readonly blobVersionedHashes?: readonly Hex[];
};
type RpcBlock = {
  readonly [key in
    | "transactionsRoot"
    | "number"
    | "parentHash"
    | "hash"
    | "gasUsed"
    | "gasLimit"
    | "baseFeePerGas"]: Hex;
} & { readonly transactions: readonly RpcTransaction[] };

function* blocks(): Generator<RpcBlock> {
  for (const file of readdirSync(path)) {
    if (!file.endsWith(".json.gz")) continue;
    yield (JSON.parse(gunzipSync(readFileSync(join(path, file))).toString()) as { block: RpcBlock }).block;
  }
}

function fieldsOf(tx: RpcTransaction): TransactionFields {
  const type = Number(tx.type) as TransactionFields["type"];
  const v = BigInt(tx.v);
  return {
    type,
    chainId: type === 0 && v < 35n ? undefined : 1,
    nonce: BigInt(tx.nonce),
    to: tx.to === null ? undefined : fromHex(tx.to),
    valueWei: BigInt(tx.value),
    data: fromHex(tx.input),
    gasLimit: BigInt(tx.gas),
    maxFeePerGasWei: BigInt(type < 2 ? tx.gasPrice : (tx.maxFeePerGas ?? 0)),
    maxPriorityFeePerGasWei: BigInt(tx.maxPriorityFeePerGas ?? 0),
    accessList: (tx.accessList ?? []).map((e) => ({ address: fromHex(e.address), slots: e.storageKeys.map(fromHex) })),
    maxFeePerBlobGasWei: BigInt(tx.maxFeePerBlobGas ?? 0),
    blobHashes: (tx.blobVersionedHashes ?? []).map(fromHex),
  };
}

test("mainnet transactions have their hash and sender, and blocks their transactions root", { skip }, () => {
  let count = 0;
  for (const block of blocks()) {
    const raws = block.transactions.map((tx, index) => {
      const v = BigInt(tx.v);
      const yParity = Number(v < 2n ? v : v < 35n ? v - 27n : (v - 35n) & 1n);
      const built = assembleTransaction(fieldsOf(tx), { yParity, r: BigInt(tx.r), s: BigInt(tx.s) });
      assert.equal(toHex(built.hash), tx.hash);
      // Recovery is the slow part: one in seven covers every type.
      if (index % 7 === 0 || Number(tx.type) % 2 === 1) assert.equal(toHex(recoverSender(built)), tx.from, tx.hash);
      assert.deepEqual(decodeTransaction(built.raw), built);
      count++;
      return built.raw;
    });
    assert.equal(toHex(orderedTrieRoot(raws)), block.transactionsRoot, `block ${Number(block.number)}`);
  }
  assert.ok(count > 1000, `${count} transactions`);
});

test("consecutive mainnet blocks have the base fee that their parent gives", { skip }, (t) => {
  const byHash = new Map([...blocks()].map((block) => [block.hash, block]));
  let pairs = 0;
  for (const block of byHash.values()) {
    const parent = byHash.get(block.parentHash);
    if (parent?.baseFeePerGas === undefined) continue;
    const fee = nextBaseFeeWei(
      {
        gasUsed: Number(parent.gasUsed),
        gasLimit: Number(parent.gasLimit),
        baseFeePerGasWei: BigInt(parent.baseFeePerGas),
      },
      { elasticity: 2, baseFeeDenominator: 8 },
    );
    assert.equal(fee, BigInt(block.baseFeePerGas));
    pairs++;
  }
  if (pairs === 0) t.skip("no two blocks of the set follow each other");
});
