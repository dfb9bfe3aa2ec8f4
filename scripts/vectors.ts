/**
 * Writes the vectors that TypeScript and Solidity must agree on, for the tests of the contracts: withdrawals proven
 * against tries that an independent implementation built, and FastLZ lengths as the node computes them.
 * Everything follows from a fixed seed; run it again after a change of the formats, and commit what it writes.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createMerkleProof, createMPT } from "@ethereumjs/mpt";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { encodeAbiParameters, hexToBytes, keccak256 } from "viem";
import { concatBytes, fromHex, toHex } from "../src/base/bytes.ts";
import { flzCompressLength } from "../src/protocol/l1-fee.ts";
import { outputRoot } from "../src/protocol/output-root.ts";
import { type Withdrawal, withdrawalHash } from "../src/protocol/withdrawal.ts";

const folder = resolve(import.meta.dirname, "..", "test", "vectors");

/** Bytes that follow from a name, as many as wanted. */
function derive(name: string, length: number): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (let i = 0; i * 32 < length; i++) blocks.push(keccak_256(new TextEncoder().encode(`${name} ${i}`)));
  return concatBytes(...blocks).subarray(0, length);
}

const bigOf = (bytes: Uint8Array): bigint => BigInt(toHex(bytes));

function withdrawalOf(name: string, i: number): Withdrawal {
  return {
    nonce: (1n << 240n) | BigInt(i),
    sender: derive(`${name} sender ${i}`, 20),
    target: derive(`${name} target ${i}`, 20),
    valueWei: bigOf(derive(`${name} value ${i}`, 12)),
    gasLimit: bigOf(derive(`${name} gas ${i}`, 3)),
    data: derive(`${name} data ${i}`, (i * 37) % 600),
  };
}

/** A message passer that holds `count` withdrawals, and proofs of some of them. */
async function passerOf(count: number) {
  const name = `passer of ${count}`;
  const trie = await createMPT({ useKeyHashing: true });
  const slotOf = (hash: Uint8Array): Uint8Array =>
    hexToBytes(keccak256(encodeAbiParameters([{ type: "bytes32" }, { type: "uint256" }], [toHex(hash), 0n])));
  const withdrawals = Array.from({ length: count }, (_, i) => withdrawalOf(name, i));
  for (const w of withdrawals) await trie.put(slotOf(withdrawalHash(w)), new Uint8Array([1]));
  // What else the account stores: the count of withdrawals, and the two words of the proxy.
  await trie.put(fromHex("1".padStart(64, "0")), count < 128 ? new Uint8Array([count]) : new Uint8Array([0x81, count]));
  await trie.put(derive("implementation slot", 32), concatBytes(new Uint8Array([0x94]), derive("implementation", 20)));
  await trie.put(derive("admin slot", 32), concatBytes(new Uint8Array([0x94]), derive("admin", 20)));

  const proof = {
    stateRoot: derive(`${name} state`, 32),
    messagePasserStorageRoot: trie.root(),
    blockHash: derive(`${name} block`, 32),
  };
  const absent = withdrawalOf(`${name}, absent`, 0);
  const picked = [...new Set([0, 1, count >> 1, count - 1])].filter((i) => i < count);
  return {
    stateRoot: toHex(proof.stateRoot),
    storageRoot: toHex(proof.messagePasserStorageRoot),
    blockHash: toHex(proof.blockHash),
    outputRoot: toHex(outputRoot(proof)),
    withdrawals: await Promise.all(
      picked.map(async (i) => {
        const w = withdrawals[i] as Withdrawal;
        const hash = withdrawalHash(w);
        return {
          nonce: w.nonce.toString(),
          sender: toHex(w.sender),
          target: toHex(w.target),
          value: w.valueWei.toString(),
          gasLimit: w.gasLimit.toString(),
          data: toHex(w.data),
          hash: toHex(hash),
          proof: (await createMerkleProof(trie, slotOf(hash))).map(toHex),
        };
      }),
    ),
    /** Proof that this withdrawal is not there: it must prove nothing. */
    absent: {
      nonce: absent.nonce.toString(),
      sender: toHex(absent.sender),
      target: toHex(absent.target),
      value: absent.valueWei.toString(),
      gasLimit: absent.gasLimit.toString(),
      data: toHex(absent.data),
      hash: toHex(withdrawalHash(absent)),
      proof: (await createMerkleProof(trie, slotOf(withdrawalHash(absent)))).map(toHex),
    },
  };
}

/** Inputs that repeat, nearly repeat and do not, at lengths around every limit of the format. */
function fastLz() {
  const inputs: Uint8Array[] = [];
  for (const length of [0, 1, 2, 12, 13, 14, 15, 16, 17, 31, 32, 33, 63, 64, 65, 300, 1000]) {
    inputs.push(new Uint8Array(length));
    inputs.push(derive(`noise ${length}`, length));
    inputs.push(derive("period", 32).subarray(0, 7));
    const periodic = new Uint8Array(length);
    for (let i = 0; i < length; i++) periodic[i] = i % 7;
    inputs.push(periodic);
    // ABI calldata: a selector, then words that are mostly zero.
    const words = Array.from({ length: length >> 5 }, (_, i) =>
      concatBytes(new Uint8Array(12 + (i % 18)), derive(`word ${length} ${i}`, 20 - (i % 18))),
    );
    inputs.push(concatBytes(derive(`selector ${length}`, 4), ...words));
  }
  // A match longer than one instruction holds, and one just beyond the window.
  inputs.push(new Uint8Array(20_000));
  inputs.push(concatBytes(derive("far", 64), derive("between", 8_192 - 64), derive("far", 64), new Uint8Array(16)));
  inputs.push(concatBytes(derive("far", 64), derive("between", 8_191 - 64), derive("far", 64), new Uint8Array(16)));
  return { inputs: inputs.map(toHex), lengths: inputs.map(flzCompressLength) };
}

function write(name: string, value: unknown): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, name), `${JSON.stringify(value, undefined, 1)}\n`);
}

write("withdrawal-proofs.json", { passers: await Promise.all([1, 2, 3, 17, 250].map(passerOf)) });
write("fastlz.json", fastLz());
