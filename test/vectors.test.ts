/** The TypeScript side of the vectors that the contract tests read: the same hashes, roots, proofs and lengths. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createMPT, verifyMPTWithMerkleProof } from "@ethereumjs/mpt";
import { getWithdrawalHashStorageSlot } from "viem/op-stack";
import { fromHex, toHex } from "../src/base/bytes.ts";
import { flzCompressLength } from "../src/protocol/l1-fee.ts";
import { outputRoot } from "../src/protocol/output-root.ts";
import { sentMessageSlot, withdrawalHash } from "../src/protocol/withdrawal.ts";

type Entry = Record<"nonce" | "sender" | "target" | "value" | "gasLimit" | "data" | "hash", string> & {
  readonly proof: readonly string[];
};
type Passer = Record<"stateRoot" | "storageRoot" | "blockHash" | "outputRoot", string> & {
  readonly withdrawals: readonly Entry[];
  readonly absent: Entry;
};

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`vectors/${name}`, import.meta.url), "utf8"));

const hashOf = (e: Entry): Uint8Array =>
  withdrawalHash({
    nonce: BigInt(e.nonce),
    sender: fromHex(e.sender),
    target: fromHex(e.target),
    valueWei: BigInt(e.value),
    gasLimit: BigInt(e.gasLimit),
    data: fromHex(e.data),
  });

test("withdrawal hashes, slots, output roots and proofs are those of the vectors", async () => {
  const { passers } = read("withdrawal-proofs.json") as { passers: readonly Passer[] };
  assert.ok(passers.length >= 5);
  const trie = await createMPT({ useKeyHashing: true });
  for (const p of passers) {
    const root = outputRoot({
      stateRoot: fromHex(p.stateRoot),
      messagePasserStorageRoot: fromHex(p.storageRoot),
      blockHash: fromHex(p.blockHash),
    });
    assert.equal(toHex(root), p.outputRoot);
    for (const entry of [...p.withdrawals, p.absent]) {
      const hash = hashOf(entry);
      assert.equal(toHex(hash), entry.hash);
      const slot = sentMessageSlot(hash);
      assert.equal(toHex(slot), getWithdrawalHashStorageSlot({ withdrawalHash: toHex(hash) }));
      const value = await verifyMPTWithMerkleProof(trie, fromHex(p.storageRoot), slot, entry.proof.map(fromHex));
      assert.deepEqual(value === null ? null : [...value], entry === p.absent ? null : [1]);
    }
  }
});

test("FastLZ lengths are those of the vectors", () => {
  const { inputs, lengths } = read("fastlz.json") as { inputs: readonly string[]; lengths: readonly number[] };
  assert.ok(inputs.length > 50);
  assert.deepEqual(
    inputs.map((i) => flzCompressLength(fromHex(i))),
    lengths,
  );
});
