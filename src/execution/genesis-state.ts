/** Owns how the allocation of a genesis document becomes state: the write set of version 0. */
import { assert } from "../base/assert.ts";
import { fromHex, toHexKey } from "../base/bytes.ts";
import type { Genesis } from "../protocol/genesis.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { emptyWrites, type StateWrites } from "../protocol/state-writes.ts";

/** Empty accounts of the allocation are left out (EIP-161), zero slots too. */
export function genesisWrites(alloc: Genesis["alloc"]): StateWrites {
  const writes = emptyWrites();
  for (const [address, { balanceWei, nonce, code, storage }] of alloc) {
    assert(/^[0-9a-f]{40}$/.test(address), "allocation keys are lower-case hex addresses");
    // A creation at this address must find no storage (EIP-7610); code or a nonce keeps creations away.
    assert(storage.size === 0 || code.length > 0 || nonce > 0n, "an account with storage has code or a nonce");
    if (balanceWei === 0n && nonce === 0n && code.length === 0) continue;
    const codeHash = code.length === 0 ? EMPTY_CODE_HASH : keccak256(code);
    if (code.length > 0) writes.codes.set(toHexKey(codeHash), code);
    const slots = new Map<string, Uint8Array>();
    for (const [slot, value] of storage) {
      assert(fromHex(slot).length === 32 && value.length === 32, "slots and their values are 32 bytes");
      if (value.some((byte) => byte !== 0)) slots.set(slot, value);
    }
    writes.accounts.set(address, { cleared: false, account: { nonce, balanceWei, codeHash }, storage: slots });
  }
  return writes;
}
