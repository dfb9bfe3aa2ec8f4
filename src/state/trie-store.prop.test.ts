/**
 * The incremental trie against @ethereumjs/mpt: keys are chosen to share long prefixes and values to be tiny, so that
 * extensions split and merge, branches collapse and nodes are embedded in their parents. Every version's root and
 * proofs are compared, proofs with an independent verifier.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MerklePatriciaTrie, verifyMerkleProof } from "@ethereumjs/mpt";
import fc from "fast-check";
import { bytesEqual, compareBytes, fromHex, toHexKey } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { EMPTY_TRIE_ROOT } from "../protocol/ordered-trie.ts";
import { Database } from "../store/database.ts";
import { PlainTrie } from "./plain-trie.ts";
import { entryKey } from "./state-key.ts";
import { TrieBatch } from "./trie.ts";
import { applyNodeDiff, TrieStore } from "./trie-store.ts";
import { UndoLog } from "./undo-log.ts";
import { STAMP_BYTES, VersionedTable } from "./versioned-table.ts";

/** Any number but the account trie's. */
const TRIE = 7;

type Change = { readonly key: Uint8Array; readonly value: Uint8Array | undefined };

/** A trie with entries of its own, stored as the state stores them. */
class StoredTrie {
  readonly #folder = mkdtempSync(join(tmpdir(), "sheaf-trie-"));
  readonly #database = Database.open(this.#folder, { durable: false });
  readonly #undo = new UndoLog(this.#database.table("undo"));
  readonly #records = new VersionedTable(
    this.#database.table("state"),
    this.#database.table("tombstones"),
    this.#database.table("checkpoints"),
    this.#undo,
    applyNodeDiff,
  );
  readonly store = new TrieStore(this.#records, 1, (_, bytes, at) => bytes.slice(at));
  readonly roots: Uint8Array[] = [];

  get root(): Uint8Array {
    return this.roots.at(-1) ?? EMPTY_TRIE_ROOT;
  }

  commit(changes: readonly Change[]): Uint8Array {
    const version = this.roots.length;
    const batch = new TrieBatch(this.store.source(TRIE), this.root, this.store.cachedRoot(TRIE));
    const effective = changes.filter(
      ({ key, value }) => value !== undefined || this.#records.read(entryKey(TRIE, key)) >= 0,
    );
    for (const { key, value } of effective.toSorted((a, b) => compareBytes(a.key, b.key))) {
      if (value === undefined) batch.delete(key);
      else batch.set(key, value, this.#records.read(entryKey(TRIE, key)) >= 0);
    }
    const root = batch.hash();
    this.#database.transaction(() => {
      this.#undo.begin(version);
      for (const { key, value } of effective) {
        if (value === undefined) this.#records.remove(entryKey(TRIE, key), version);
        else {
          this.#records.record.set(value, STAMP_BYTES);
          this.#records.put(entryKey(TRIE, key), value.length, version);
        }
      }
      if (effective.length > 0) this.store.write(TRIE, batch, version);
      this.#undo.finish();
    });
    this.roots.push(root);
    return root;
  }

  /** Everything stored for the newest version, without stamps. */
  content(): Map<string, string> {
    const records = this.#database.table("state").range({ start: Uint8Array.of(0) });
    return new Map(records.map(({ key, value }) => [toHexKey(key), toHexKey(value.subarray(STAMP_BYTES))]));
  }

  async close(): Promise<void> {
    await this.#database.close();
    rmSync(this.#folder, { recursive: true });
  }
}

/** Few bytes at few places differ, at both ends of the key and in the middle. */
const keyArb = fc
  .record({
    places: fc.array(
      fc.tuple(fc.constantFrom(0, 1, 2, 15, 16, 29, 30, 31), fc.constantFrom(0, 1, 2, 0x10, 0x11, 0xf0, 0xff)),
      {
        maxLength: 4,
      },
    ),
    spread: fc.nat(9),
    byte: fc.nat(255),
  })
  .map(({ places, spread, byte }) => {
    const key = new Uint8Array(32);
    if (spread === 0) key.fill(byte);
    for (const [at, value] of places) key[at] = value;
    return key;
  });

const valueArb = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 3 }),
  fc.uint8Array({ minLength: 20, maxLength: 40 }),
  fc.uint8Array({ minLength: 100, maxLength: 130 }),
);

const versionArb = fc.uniqueArray(fc.record({ key: keyArb, value: fc.option(valueArb, { nil: undefined, freq: 2 }) }), {
  selector: ({ key }) => toHexKey(key),
  maxLength: 25,
});

test("roots and proofs of every version equal those of @ethereumjs/mpt", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(versionArb, { minLength: 2, maxLength: 40 }), async (versions) => {
      const stored = new StoredTrie();
      const entries = new Map<string, Uint8Array>();
      const history: Map<string, Uint8Array>[] = [];
      const peer = new MerklePatriciaTrie();
      try {
        for (const changes of versions) {
          for (const { key, value } of changes) {
            if (value === undefined) {
              entries.delete(toHexKey(key));
              await peer.del(key);
            } else {
              entries.set(toHexKey(key), value);
              await peer.put(key, value);
            }
          }
          assert.deepEqual(stored.commit(changes), peer.root());
          history.push(new Map(entries));
        }
        // What is stored depends on the entries alone, not on how they came about: nothing is left over or missing.
        const fresh = new StoredTrie();
        fresh.commit([...entries].map(([key, value]) => ({ key: fromHex(key), value })));
        assert.deepEqual(stored.content(), fresh.content());
        await fresh.close();
        for (const [version, held] of history.entries()) {
          const root = stored.roots[version] as Uint8Array;
          const plain = new PlainTrie([...held].map(([key, value]) => ({ key: fromHex(key), value })));
          assert.deepEqual(plain.root, root);
          const absent = new Uint8Array(32).fill(0x22);
          for (const key of [...entries.keys(), toHexKey(absent)].slice(0, 6).map(fromHex)) {
            const proof = stored.store.prove(TRIE, key, version);
            assert.deepEqual(proof, plain.prove(key));
            if (proof.length === 0) {
              assert.equal(held.size, 0);
              continue;
            }
            assert.ok(bytesEqual(keccak256(proof[0] as Uint8Array), root));
            const proven = await verifyMerkleProof(key, proof);
            assert.deepEqual(proven === null ? undefined : Uint8Array.from(proven), held.get(toHexKey(key)));
          }
        }
      } finally {
        await stored.close();
      }
    }),
    { numRuns: 60 },
  );
});

const vectors = join(
  process.env["SHEAF_SHARED"] ?? join(import.meta.dirname, "../../../shared"),
  "ethereum-tests/TrieTests",
);

type Vector = {
  readonly in: readonly (readonly [string, string | null])[] | Readonly<Record<string, string>>;
  readonly root: string;
};

/** Of these, keys are hashed before they enter the trie, as the state's are; the others have keys of many lengths. */
for (const file of ["trietest_secureTrie.json", "trieanyorder_secureTrie.json", "hex_encoded_securetrie_test.json"]) {
  const path = join(vectors, file);
  test(`vectors of ${file}`, { skip: existsSync(path) ? false : "the Ethereum tests are not here" }, async () => {
    const cases = JSON.parse(readFileSync(path, "utf8")) as Record<string, Vector>;
    assert.ok(Object.keys(cases).length > 0);
    for (const [name, { in: input, root }] of Object.entries(cases)) {
      const stored = new StoredTrie();
      const decode = (text: string): Uint8Array => (text.startsWith("0x") ? fromHex(text) : Buffer.from(text));
      const steps = Array.isArray(input) ? (input as [string, string | null][]) : Object.entries(input);
      for (const [key, value] of steps)
        stored.commit([{ key: keccak256(decode(key)), value: value === null ? undefined : decode(value) }]);
      assert.equal(toHexKey(stored.root), root.replace(/^0x/, ""), name);
      await stored.close();
    }
  });
}
