/** State writes of accounts as bytes: what a shard in another thread is told. */
import { Reader, Writer } from "../../src/base/binary.ts";
import { fromHex, toHexKey } from "../../src/base/bytes.ts";
import { emptyWrites, type StateWrites } from "../../src/protocol/state-writes.ts";

export function packWrites(writes: StateWrites): Uint8Array {
  const w = new Writer(128 * writes.accounts.size + 16);
  w.uvarint(writes.accounts.size);
  for (const [address, { cleared, account, storage }] of writes.accounts) {
    w.fixed(fromHex(address)).byte((cleared ? 1 : 0) | (account === undefined ? 0 : 2));
    if (account !== undefined) w.bigint(account.nonce).bigint(account.balanceWei).fixed(account.codeHash);
    w.uvarint(storage.size);
    for (const [slot, value] of storage) w.fixed(fromHex(slot)).fixed(value);
  }
  return w.finish();
}

export function unpackWrites(bytes: Uint8Array): StateWrites {
  const r = new Reader(bytes);
  const writes = emptyWrites();
  for (let n = r.uvarint(); n > 0; n--) {
    const address = toHexKey(r.fixed(20));
    const flags = r.byte();
    const account =
      flags & 2 ? { nonce: r.bigint(), balanceWei: r.bigint(), codeHash: r.fixed(32).slice() } : undefined;
    const storage = new Map<string, Uint8Array>();
    for (let slots = r.uvarint(); slots > 0; slots--) storage.set(toHexKey(r.fixed(32)), r.fixed(32).slice());
    writes.accounts.set(address, { cleared: (flags & 1) !== 0, account, storage });
  }
  r.end();
  return writes;
}
