/**
 * What the codecs cost per transaction, one thread: keccak beside @noble/hashes, decoding, recovery, the L1 fee, trie
 * roots. Prints one JSON object; every figure is the median of rounds, in microseconds.
 * Run: tsx bench/codecs.bench.ts
 */
import { cpus } from "node:os";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bigIntToBytes } from "../src/base/bytes.ts";
import { logsBloom } from "../src/protocol/bloom.ts";
import { keccak256 } from "../src/protocol/keccak.ts";
import { estimatedSizeScaled } from "../src/protocol/l1-fee.ts";
import { orderedTrieRoot } from "../src/protocol/ordered-trie.ts";
import type { Receipt } from "../src/protocol/receipt.ts";
import { encodeReceipt } from "../src/protocol/receipt-codec.ts";
import { recoverSender } from "../src/protocol/sender.ts";
import { decodeSignedTransaction, signingHash, signTransaction } from "../src/protocol/transaction-codec.ts";

const ROUNDS = 9;
const COUNT = 2000;

/** Keeps results observable, so that no work is optimised away. */
let sink = 0;

/** Median microseconds per item of `run` over the list. */
function measure<T>(items: readonly T[], run: (item: T) => { readonly length: number } | number): number {
  const rounds: number[] = [];
  for (let round = -2; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (const item of items) {
      const result = run(item);
      sink += typeof result === "number" ? result : result.length;
    }
    const us = Number(process.hrtime.bigint() - start) / 1000 / items.length;
    if (round >= 0) rounds.push(us);
  }
  rounds.sort((a, b) => a - b);
  return Number((rounds[ROUNDS >> 1] as number).toFixed(3));
}

const word = (value: number): Uint8Array => bigIntToBytes(BigInt(value), 32);
const address = (value: number): Uint8Array => keccak256(word(value)).subarray(0, 20);

/** ERC-20 transfers of many senders to many receivers. */
const txs = Array.from({ length: COUNT }, (_, i) => {
  const data = new Uint8Array(68);
  data.set([0xa9, 0x05, 0x9c, 0xbb]);
  data.set(address(i), 16);
  data.set(word(1_000_000 + i), 36);
  return signTransaction(
    {
      type: 2,
      chainId: 901,
      nonce: BigInt(i % 50),
      to: address(7),
      data,
      gasLimit: 60_000n,
      maxFeePerGasWei: 1_500_000_000n,
      maxPriorityFeePerGasWei: 1_000_000n,
    },
    keccak256(word(i % 40)),
  );
});
const raws = txs.map((tx) => tx.raw);
const receipts = txs.map(
  (_, i): Receipt => ({
    type: 2,
    status: 1,
    cumulativeGasUsed: 51_000 * (i + 1),
    gasUsed: 51_000,
    logs: [{ address: address(7), topics: [word(1), word(i), word(i + 1)], data: word(i) }],
    effectiveGasPriceWei: 1n,
    contractAddress: undefined,
    l1FeeWei: 0n,
    depositNonce: undefined,
  }),
);
const encodedReceipts = receipts.map((receipt) => encodeReceipt(receipt));
const lengths = [32, 110, 135, 136, 576, 4096];

const hashing = Object.fromEntries(
  lengths.map((length) => {
    const inputs = Array.from({ length: 500 }, (_, i) => new Uint8Array(length).fill(i));
    return [length, { keccak256: measure(inputs, keccak256), noble: measure(inputs, (b) => keccak_256(b)) }];
  }),
);

const perTransaction = {
  decodeAndHash: measure(raws, (raw) => decodeSignedTransaction(raw).hash),
  hashOnly: measure(raws, keccak256),
  signingHash: measure(txs, signingHash),
  recoverSender: measure(txs, recoverSender),
  decodeHashRecover: measure(raws, (raw) => recoverSender(decodeSignedTransaction(raw))),
  l1Size: measure(raws, estimatedSizeScaled),
  logsBloom: measure(receipts, (receipt) => logsBloom(receipt.logs)),
  encodeReceiptWithBloom: measure(receipts, (receipt) => encodeReceipt(receipt)),
  transactionsRoot: measure([raws], orderedTrieRoot) / COUNT,
  receiptsRoot: measure([encodedReceipts], orderedTrieRoot) / COUNT,
};

console.log(
  JSON.stringify(
    {
      bench: "codecs",
      unit: "us",
      machine: `${cpus()[0]?.model ?? "?"} x${cpus().length}, node ${process.version}`,
      transactionBytes: raws[0]?.length,
      perTransaction,
      keccakByLength: hashing,
      checksum: sink % 1_000_003,
    },
    null,
    2,
  ),
);
