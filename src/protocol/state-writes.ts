/**
 * Owns the write set: what execution does to state, from one transaction to a whole block. Absolute values, last
 * writer wins, so sets merge by overwriting in order.
 */
export type AccountWrite = {
  /** Storage and code of the account were wiped before the other fields apply (self-destruct, re-creation). */
  cleared: boolean;
  /** Undefined: the account does not exist after this (EIP-161 empty or destroyed). */
  account: { nonce: bigint; balanceWei: bigint; codeHash: Uint8Array } | undefined;
  /** Slot (hex key of 32 bytes) → value as 32 bytes; all zero deletes. */
  storage: Map<string, Uint8Array>;
};

export type StateWrites = {
  /** Hex key of the address → write. Present accounts carry their complete final fields. */
  readonly accounts: Map<string, AccountWrite>;
  /** Code hash (hex key) → code, for code created here. */
  readonly codes: Map<string, Uint8Array>;
};

export function emptyWrites(): StateWrites {
  return { accounts: new Map(), codes: new Map() };
}

/** Applies `later` on top of `base`, in place. */
export function mergeWrites(base: StateWrites, later: StateWrites): void {
  for (const [hash, code] of later.codes) base.codes.set(hash, code);
  for (const [address, write] of later.accounts) {
    const before = base.accounts.get(address);
    if (before === undefined) {
      base.accounts.set(address, {
        cleared: write.cleared,
        account: write.account,
        storage: new Map(write.storage),
      });
      continue;
    }
    if (write.cleared) {
      before.cleared = true;
      before.storage.clear();
    }
    before.account = write.account;
    for (const [slot, value] of write.storage) before.storage.set(slot, value);
  }
}
