/** The reference is made of the tables that serve: every method once, every code, no blank cell. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RPC_ERRORS } from "./errors.ts";
import { METHODS } from "./method-table.ts";
import { rpcReference } from "./reference.ts";

test("every method and every error has its row", () => {
  const page = rpcReference();
  for (const { name } of METHODS) assert.equal(page.split(`\`${name}(`).length, 2, name);
  for (const [name, { rpcCode }] of Object.entries(RPC_ERRORS))
    assert.ok(page.includes(`| ${rpcCode} | \`${name}\` |`));
});

test("names are unique, and documented", () => {
  assert.equal(new Set(METHODS.map(({ name }) => name)).size, METHODS.length);
  for (const method of METHODS) {
    assert.match(method.name, /^[a-z0-9]+_[a-zA-Z0-9]+$/);
    assert.ok(method.summary.endsWith(".") && method.result !== "", method.name);
  }
});
