import assert from "node:assert/strict";
import { test } from "node:test";
import { RLP } from "@ethereumjs/rlp";
import { createBlockLevelAccessListFromRLP } from "@ethereumjs/util";
import fc from "fast-check";
import { compareBytes, toHex } from "../base/bytes.ts";
import { CodedError } from "../base/error.ts";
import {
  AccessListBuilder,
  type BlockAccessList,
  blockAccessListHash,
  bytesKey,
  type Change,
  decodeBlockAccessList,
  encodeBlockAccessList,
} from "./block-access-list.ts";

const wordArb = fc.oneof(
  fc.nat(300).map((n) => {
    const word = new Uint8Array(32);
    word[30] = n >>> 8;
    word[31] = n;
    return word;
  }),
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
);
const sorted = (words: readonly Uint8Array[]): Uint8Array[] => [...words].sort(compareBytes);
const unique = (words: readonly Uint8Array[]): Uint8Array[] => {
  const seen = new Set<string>();
  return sorted(words).filter((word) => !seen.has(toHex(word)) && seen.add(toHex(word)));
};

function changesArb<V>(value: fc.Arbitrary<V>, minLength = 0): fc.Arbitrary<Change<V>[]> {
  return fc
    .uniqueArray(fc.oneof(fc.nat(3), fc.nat(70_000), fc.nat(0xffff_ffff)), { minLength, maxLength: 4 })
    .chain((indices) =>
      fc.tuple(...indices.sort((a, b) => a - b).map((index) => value.map((v) => ({ index, value: v })))),
    );
}

const accountArb = fc
  .record({
    slots: fc.array(wordArb, { maxLength: 6 }).map(unique),
    changes: fc.array(changesArb(wordArb, 1), { minLength: 6, maxLength: 6 }),
    isRead: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
    balanceChanges: changesArb(fc.bigInt(0n, 2n ** 256n - 1n)),
    nonceChanges: changesArb(fc.bigInt(0n, 2n ** 64n - 1n)),
    codeChanges: changesArb(fc.uint8Array({ maxLength: 100 })),
  })
  .map(({ slots, changes, isRead, ...rest }) => ({
    storageChanges: slots.flatMap((slot, i) => (isRead[i] ? [] : [{ slot, changes: changes[i] ?? [] }])),
    storageReads: slots.filter((_, i) => isRead[i]),
    ...rest,
  }));

const listArb: fc.Arbitrary<BlockAccessList> = fc
  .array(fc.uint8Array({ minLength: 20, maxLength: 20 }), { maxLength: 8 })
  .map(unique)
  .chain((addresses) =>
    fc.tuple(...addresses.map((address) => accountArb.map((account) => ({ address, ...account })))),
  );

test("decoding gives back what was encoded, and the peer reads the same list and hash", () => {
  fc.assert(
    fc.property(listArb, (list) => {
      const bytes = encodeBlockAccessList(list);
      assert.deepEqual(decodeBlockAccessList(bytes), list);
      const peer = createBlockLevelAccessListFromRLP(bytes);
      assert.equal(toHex(peer.serialize()), toHex(bytes));
      assert.equal(toHex(peer.hash()), toHex(blockAccessListHash(bytes)));
    }),
  );
});

test("the empty list is the one EIP-7928 names", () => {
  assert.equal(
    toHex(blockAccessListHash(encodeBlockAccessList([]))),
    "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
  );
});

test("collected in any order of accounts and slots, the list comes out in its one order", () => {
  fc.assert(
    fc.property(listArb, fc.infiniteStream(fc.nat(99)), (list, order) => {
      const builder = new AccessListBuilder();
      const steps: (() => void)[] = [];
      for (const { address, storageChanges, storageReads, ...rest } of list) {
        const key = bytesKey(address);
        steps.push(() => void builder.account(key));
        for (const slot of storageReads) steps.push(() => builder.account(key).read(bytesKey(slot)));
        for (const { slot, changes } of storageChanges)
          steps.push(() => {
            // Reading what is written, before or after, leaves no trace.
            builder.account(key).read(bytesKey(slot));
            for (const { index, value } of changes) builder.account(key).write(bytesKey(slot), index, value);
            builder.account(key).read(bytesKey(slot));
          });
        steps.push(() => void builder.account(key).balances.push(...rest.balanceChanges));
        steps.push(() => void builder.account(key).nonces.push(...rest.nonceChanges));
        steps.push(() => void builder.account(key).codes.push(...rest.codeChanges));
      }
      // Changes of one thing come in the order of the block; all else in any.
      const shuffled = steps.map((step) => ({ step, at: order.next().value as number })).sort((a, b) => a.at - b.at);
      for (const { step } of shuffled) step();
      assert.equal(toHex(encodeBlockAccessList(builder.finish())), toHex(encodeBlockAccessList(list)));
    }),
  );
});

test("changed, cut and random bytes are refused with a code or are another canonical list", () => {
  fc.assert(
    fc.property(listArb, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean(), (list, at, flip, isCut) => {
      const bytes = encodeBlockAccessList(list);
      const broken = isCut ? bytes.slice(0, at % bytes.length) : bytes.slice();
      if (!isCut) broken[at % bytes.length] = (broken[at % bytes.length] as number) ^ flip;
      let decoded: BlockAccessList;
      try {
        decoded = decodeBlockAccessList(broken);
      } catch (error) {
        assert.ok(error instanceof CodedError, String(error));
        return;
      }
      assert.equal(toHex(encodeBlockAccessList(decoded)), toHex(broken));
    }),
  );
});

test("what is out of order, doubled, empty or too long is refused", () => {
  const a = new Uint8Array(20).fill(1);
  const b = new Uint8Array(20).fill(2);
  const empty = [[], [], [], [], []];
  const refused = (list: unknown, code: string, itemsMax?: number): void => {
    const bytes = RLP.encode(list as Parameters<typeof RLP.encode>[0]);
    assert.throws(() => decodeBlockAccessList(bytes, itemsMax), { code });
  };
  refused(
    [
      [b, ...empty],
      [a, ...empty],
    ],
    "ACCESS_LIST_UNORDERED",
  );
  refused(
    [
      [a, ...empty],
      [a, ...empty],
    ],
    "ACCESS_LIST_UNORDERED",
  );
  refused([[a, [], [2, 1], [], [], []]], "ACCESS_LIST_UNORDERED");
  refused([[a, [[1, [[1, 5]]]], [1], [], [], []]], "ACCESS_LIST_UNORDERED");
  refused(
    [
      [
        a,
        [],
        [],
        [
          [2, 5],
          [1, 5],
        ],
        [],
        [],
      ],
    ],
    "ACCESS_LIST_UNORDERED",
  );
  refused([[a, [], [], [[2 ** 32, 5]], [], []]], "ACCESS_LIST_UNORDERED");
  refused([[a, [[1, []]], [], [], [], []]], "ACCESS_LIST_EMPTY_CHANGE");
  refused(
    [
      [a, ...empty],
      [b, ...empty],
    ],
    "ACCESS_LIST_TOO_LARGE",
    1,
  );
  refused([[a, [], [1, 2], [], [], []]], "ACCESS_LIST_TOO_LARGE", 2);
  refused([[a, [], [Uint8Array.of(0)], [], [], []]], "RLP_NOT_CANONICAL");
  refused([[a.subarray(1), ...empty]], "RLP_UNEXPECTED_SHAPE");
});
