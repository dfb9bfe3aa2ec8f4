/** Owns the comparison of a chain's state with its twin in memory. */
import assert from "node:assert/strict";
import { toHex } from "../../base/bytes.ts";
import type { MemoryState } from "../../state/memory-state.ts";
import type { AccountProof, ChainState } from "../../state/state.ts";
import { ADDRESSES, SLOTS } from "./partitioned.ts";

/** Reads of every version that both serve, and some proofs. */
export async function assertSame(state: ChainState, twin: MemoryState): Promise<void> {
  assert.equal(state.head, twin.head);
  for (let version = Math.max(state.oldest, twin.oldest, 0); version <= twin.head; version++) {
    const [reader, peer] = [state.reader(version), twin.reader(version)];
    for (const address of ADDRESSES) {
      const [account, expected] = [reader.account(address), peer.account(address)];
      assert.equal(account === undefined, expected === undefined, `account at ${version}`);
      if (account !== undefined && expected !== undefined) {
        assert.equal(account.nonce, expected.nonce);
        assert.equal(account.balanceWei, expected.balanceWei);
        assert.equal(toHex(account.codeHash), toHex(expected.codeHash));
        assert.equal(toHex(reader.code(account.codeHash)), toHex(peer.code(expected.codeHash)));
      }
      for (const slot of SLOTS)
        assert.equal(toHex(reader.storage(address, slot)), toHex(peer.storage(address, slot)), `slot at ${version}`);
    }
  }
  for (const version of new Set(
    [Math.max(state.oldest, twin.oldest), twin.head].filter((v) => v >= 0 && v <= twin.head),
  ))
    for (const address of ADDRESSES.slice(0, 8))
      assert.deepEqual(plain(await state.proof(version, address, SLOTS)), plain(twin.proof(version, address, SLOTS)));
}

const plain = (proof: AccountProof): unknown => ({
  balanceWei: proof.account?.balanceWei,
  storageRoot: toHex(proof.storageRoot),
  accountProof: proof.accountProof.map((node) => toHex(node)),
  storageProofs: proof.storageProofs.map(({ value, proof: nodes }) => [toHex(value), nodes.map((node) => toHex(node))]),
});
