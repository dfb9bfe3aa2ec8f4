/**
 * Owns the victim of the kill test: a process that opens a database, commits random blocks of state and chain as fast
 * as it can, sometimes unwinds and prunes, and prints each version that it knows to be on disk. Never ends by itself.
 */

import { EMPTY_CODE_HASH } from "../../protocol/ordered-trie.ts";
import { emptyWrites, type StateWrites } from "../../protocol/state-writes.ts";
import { Database } from "../../store/database.ts";
import { LmdbState } from "../lmdb-state.ts";

const ADDRESSES = 3000;
const SLOTS = 500;

const below = (n: number): number => Math.floor(Math.random() * n);
const hex = (n: number, bytes: number): string => n.toString(16).padStart(2 * bytes, "0");

function randomWrites(): StateWrites {
  const writes = emptyWrites();
  for (let i = below(200); i >= 0; i--) {
    const storage = new Map<string, Uint8Array>();
    for (let s = below(4) === 0 ? below(30) : 0; s > 0; s--)
      storage.set(hex(below(SLOTS), 32), new Uint8Array(32).fill(below(3)));
    const account = { nonce: BigInt(below(100)), balanceWei: BigInt(below(2 ** 40)), codeHash: EMPTY_CODE_HASH };
    writes.accounts.set(hex(1 + below(ADDRESSES), 20), {
      cleared: below(20) === 0,
      account: below(8) === 0 ? undefined : account,
      storage,
    });
  }
  return writes;
}

const database = Database.open(process.argv[2] as string);
const state = new LmdbState(database);
process.stdout.write(`opened ${state.head}\n`);
for (;;) {
  for (let blocks = 1 + below(8); blocks > 0; blocks--) {
    const prepared = state.prepare(randomWrites());
    database.transaction(() => state.commit(state.head + 1, prepared));
    if (below(10) === 0 && state.head > state.oldest + 3)
      database.transaction(() => state.rollback(state.head - 1 - below(3)));
    if (below(4) === 0) state.prune(Math.max(state.oldest, state.head - 20));
    await database.settled();
  }
  const { head } = state;
  await database.flushed();
  process.stdout.write(`flushed ${head}\n`);
}
