import assert from "node:assert/strict";
import { test } from "node:test";
import binaryen from "binaryen";
import { validateModule } from "./validate.ts";

function assemble(text: string): Uint8Array {
  const module = binaryen.parseText(text);
  module.setFeatures(binaryen.Features.All);
  return module.emitBinary();
}

const MEMORY = "(memory 1 1)";
const refused: [string, string][] = [
  ["floats", `(module ${MEMORY} (func (export "f") (result f64) (f64.const 1)))`],
  ["SIMD", `(module ${MEMORY} (func (export "f") (drop (v128.load (i32.const 0)))))`],
  [
    "tables",
    `(module ${MEMORY} (table 1 funcref) (type $t (func)) (func (export "f") (call_indirect (type $t) (i32.const 0))))`,
  ],
  ["atomics", `(module (memory 1 1 shared) (func (export "f") (drop (i32.atomic.load (i32.const 0)))))`],
  ["memory growth", `(module (memory 1 2) (func (export "f")))`],
  ["recursion", `(module ${MEMORY} (func $f (export "f") (call $g)) (func $g (call $f)))`],
  ["foreign imports", `(module (import "env" "abort" (func)) ${MEMORY})`],
];
for (const [what, text] of refused)
  test(`a module with ${what} is refused`, async () => {
    assert.notDeepEqual(await validateModule(assemble(text)), []);
  });

test("an integer module passes", async () => {
  const module = assemble(
    `(module ${MEMORY} (func (export "f") (param i64) (result i64) (i64.mul (local.get 0) (i64.const 3))))`,
  );
  assert.deepEqual(await validateModule(module), []);
});
