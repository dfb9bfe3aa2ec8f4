import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { sharedFolder } from "../protocol/testing/shared-vectors.ts";
import { basicCases } from "../protocol/testing/vectors.ts";
import { trieCases } from "./testing/trie-vectors.ts";

const tries = sharedFolder("ethereum-tests/TrieTests");
const basics = sharedFolder("ethereum-tests/BasicTests");
const read = (folder: string, name: string): unknown => JSON.parse(readFileSync(join(folder, name), "utf8"));

test("the trie vectors of ethereum/tests have their roots", { skip: tries.skip }, () => {
  const cases = readdirSync(tries.path).flatMap((name) =>
    trieCases(name, read(tries.path, name) as Parameters<typeof trieCases>[1]),
  );
  assert.equal(cases.filter((c) => c.skipped === undefined).length, 25);
  assert.deepEqual(
    cases.filter((c) => c.failure !== undefined),
    [],
  );
});

test("paths, addresses, transactions and a genesis of the basic vectors come out", { skip: basics.skip }, () => {
  const cases = readdirSync(basics.path).flatMap((name) => basicCases(name, read(basics.path, name)));
  assert.equal(cases.filter((c) => c.skipped === undefined).length, 17);
  assert.deepEqual(
    cases.filter((c) => c.failure !== undefined),
    [],
  );
});
