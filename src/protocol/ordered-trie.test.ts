import assert from "node:assert/strict";
import { test } from "node:test";
import { createMPT } from "@ethereumjs/mpt";
import { RLP } from "@ethereumjs/rlp";
import * as fc from "fast-check";
import { toHexKey } from "../base/bytes.ts";
import { keccak256 } from "./keccak.ts";
import { EMPTY_CODE_HASH, EMPTY_OMMERS_HASH, EMPTY_TRIE_ROOT, indexNibbles, orderedTrieRoot } from "./ordered-trie.ts";
import { encodeRlp } from "./rlp.ts";

async function referenceRoot(values: readonly Uint8Array[]): Promise<string> {
  const trie = await createMPT();
  for (const [index, value] of values.entries()) await trie.put(RLP.encode(index), value);
  return toHexKey(trie.root());
}

test("the constants are the hashes they claim to be", () => {
  assert.deepEqual(EMPTY_TRIE_ROOT, keccak256(encodeRlp(new Uint8Array(0))));
  assert.deepEqual(EMPTY_CODE_HASH, keccak256(new Uint8Array(0)));
  assert.deepEqual(EMPTY_OMMERS_HASH, keccak256(encodeRlp([])));
  assert.deepEqual(orderedTrieRoot([]), EMPTY_TRIE_ROOT);
});

test("lengths around every change of key shape equal the general trie", async () => {
  for (const length of [1, 2, 15, 16, 17, 127, 128, 129, 255, 256, 257, 300, 1000]) {
    const values = Array.from({ length }, (_, i) => Uint8Array.of(1 + (i & 0x7f), i >> 8, i));
    assert.equal(toHexKey(orderedTrieRoot(values)), await referenceRoot(values), `length ${length}`);
  }
});

test("keys of every size are the nibbles of the RLP of the index", () => {
  for (const index of [0, 1, 127, 128, 255, 256, 65_535, 65_536, 0xfffffe, 0xffffff, 0x1000000, 0xffffffff])
    assert.equal(Buffer.from(indexNibbles(index)).toString("hex").replace(/0(.)/g, "$1"), toHexKey(RLP.encode(index)));
});

test("random values, short enough to embed and long, equal the general trie", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 80 }), { minLength: 1, maxLength: 200 }),
      async (values) => assert.equal(toHexKey(orderedTrieRoot(values)), await referenceRoot(values)),
    ),
    { numRuns: 60 },
  );
});
