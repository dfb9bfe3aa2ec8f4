/**
 * I10: the root that shards and joiner make is that of the whole trie: against the trie by definition, against
 * @ethereumjs/mpt, and against the state's twin; with tiny tries, long shared prefixes, embedded nodes, deletions that
 * collapse the top, and bytes that move between shards.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MerklePatriciaTrie } from "@ethereumjs/mpt";
import fc from "fast-check";
import { compareBytes, fromHex, toHex, toHexKey } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_CODE_HASH } from "../protocol/ordered-trie.ts";
import { type AccountWrite, emptyWrites, type StateWrites } from "../protocol/state-writes.ts";
import { MemoryState } from "./memory-state.ts";
import { PlainTrie } from "./plain-trie.ts";
import { decodeTops, encodeTops, RootJoiner, SLOT_DEPTH } from "./root-joiner.ts";
import { StateShard } from "./state-shard.ts";
import { TrieBatch } from "./trie.ts";

const NO_SOURCE = {
  node: () => undefined,
  leaf: () => {
    throw new Error("every leaf is in memory");
  },
};

/** Few different bytes at the start, so that slots and their parents fill, empty and collapse. */
const keyArb = fc
  .tuple(
    fc.constantFrom(0x00, 0x01, 0x0f, 0x10, 0x11, 0x70, 0xf0, 0xff),
    fc.constantFrom(0, 1, 0x10),
    fc.constantFrom(0, 1),
    fc.constantFrom(0, 1),
  )
  .map(([first, second, middle, last]) => {
    const key = new Uint8Array(32);
    key[0] = first;
    key[1] = second;
    key[15] = middle;
    key[31] = last;
    return key;
  });
/** Values of one byte make nodes that are embedded in their parents. */
const valueArb = fc.oneof(
  fc.integer({ min: 1, max: 127 }).map((n) => Uint8Array.of(n)),
  fc.uint8Array({ minLength: 1, maxLength: 110 }),
);
const changesArb = fc.array(fc.tuple(keyArb, fc.option(valueArb, { nil: undefined, freq: 2 })), { maxLength: 12 });

test("joined slots give the root of the whole trie, as by definition and as @ethereumjs/mpt has it", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(changesArb, { maxLength: 8 }), async (rounds) => {
      const joiner = new RootJoiner();
      const entries = new Map<string, Uint8Array>();
      const peer = new MerklePatriciaTrie();
      for (const round of rounds) {
        const changed = new Set<number>();
        for (const [key, value] of new Map(round.map((change) => [toHexKey(change[0]), change])).values()) {
          const existed = entries.delete(toHexKey(key));
          if (value !== undefined) entries.set(toHexKey(key), value);
          if (value !== undefined) await peer.put(key, value);
          else if (existed) await peer.del(key);
          changed.add(key[0] as number);
        }
        const list = [...entries].map(([key, value]) => ({ key: fromHex(key), value }));
        list.sort((a, b) => compareBytes(a.key, b.key));
        const tops = [...changed].map((byte) => {
          // Each slot is built again: how it got there is the next test's.
          const batch = TrieBatch.below(NO_SOURCE, SLOT_DEPTH, undefined);
          for (const { key, value } of list) if (key[0] === byte) batch.set(key, value, false);
          return { byte, top: batch.top() };
        });
        const crossed = decodeTops(encodeTops(tops));
        assert.equal(toHex(encodeTops(crossed)), toHex(encodeTops(tops)));
        joiner.update(crossed);
        assert.equal(toHex(joiner.root()), toHex(new PlainTrie(list).root));
        assert.equal(toHex(joiner.root()), toHex(peer.root()));
      }
    }),
    { numRuns: 150 },
  );
});

/** Addresses whose hashes share first bytes and nibbles, found by trying. */
const ADDRESSES = (() => {
  const found: string[] = [];
  const wanted = new Map<number, number>([
    [0x00, 3],
    [0x01, 2],
    [0x0f, 1],
    [0x70, 3],
    [0xf0, 1],
    [0xff, 2],
  ]);
  for (let n = 0; wanted.size > 0; n++) {
    const address = new Uint8Array(20);
    new DataView(address.buffer).setUint32(16, n);
    const byte = keccak256(address)[0] as number;
    const left = wanted.get(byte);
    if (left === undefined) continue;
    found.push(toHexKey(address));
    if (left === 1) wanted.delete(byte);
    else wanted.set(byte, left - 1);
  }
  return found;
})();

const slotValueArb = fc.oneof(
  fc.constant(new Uint8Array(32)),
  fc.integer({ min: 1, max: 200 }).map((n) => Uint8Array.from({ length: 32 }, (_, i) => (i === 31 ? n : 0))),
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
);
const writeArb: fc.Arbitrary<AccountWrite> = fc.record({
  cleared: fc.nat(7).map((n) => n === 0),
  account: fc.option(
    fc.record({
      nonce: fc.bigInt(1n, 300n),
      balanceWei: fc.bigInt(0n, 2n ** 90n),
      codeHash: fc.constant(EMPTY_CODE_HASH),
    }),
    { nil: undefined, freq: 3 },
  ),
  storage: fc
    .array(fc.tuple(fc.nat(12), slotValueArb), { maxLength: 8 })
    .map((entries) => new Map(entries.map(([n, value]) => [toHexKey(new Uint8Array(32).fill(n)), value]))),
});
const writesArb: fc.Arbitrary<StateWrites> = fc
  .array(fc.tuple(fc.nat(ADDRESSES.length - 1), writeArb), { maxLength: 8 })
  .map((entries) => {
    const writes = emptyWrites();
    for (const [n, write] of entries) writes.accounts.set(ADDRESSES[n] as string, write);
    return writes;
  });

/** Bytes of the state shared out over `count` shards, anew or from others. */
function share(count: number, from: readonly StateShard[]): StateShard[] {
  const shards = Array.from({ length: count }, () => new StateShard());
  for (let byte = 0; byte < 256; byte++) {
    const owner = shards[Math.floor((byte * count) / 256)] as StateShard;
    const before = from.find(({ bytes }) => bytes.includes(byte));
    owner.take(byte, before?.give(byte));
  }
  return shards;
}

test("shards of any number, growing and shrinking between blocks, give the root of the state's twin", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(writesArb, fc.constantFrom(0, 0, 1, 2, 4, 16)), { minLength: 1, maxLength: 12 }),
      (blocks) => {
        const twin = new MemoryState();
        const joiner = new RootJoiner();
        let shards = share(1, []);
        for (const [version, [writes, count]] of blocks.entries()) {
          const prepared = twin.prepare(writes);
          twin.commit(version, prepared);
          for (const shard of shards) joiner.update(shard.apply(writes));
          assert.equal(toHex(joiner.root()), toHex(prepared.stateRoot));
          if (count === 0) continue;
          shards = share(count, shards);
          assert.equal(
            shards.reduce((sum, { bytes }) => sum + bytes.length, 0),
            256,
          );
        }
      },
    ),
    { numRuns: 120 },
  );
});
