/**
 * I10: the root that shards and joiner make is that of the whole trie: against the trie by definition, against
 * @ethereumjs/mpt; with tiny tries, long shared prefixes, embedded nodes, and deletions that collapse the top.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MerklePatriciaTrie } from "@ethereumjs/mpt";
import fc from "fast-check";
import { compareBytes, fromHex, toHex, toHexKey } from "../base/bytes.ts";
import { PlainTrie } from "./plain-trie.ts";
import { decodeTops, encodeTops, RootJoiner, SLOT_DEPTH } from "./root-joiner.ts";
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
