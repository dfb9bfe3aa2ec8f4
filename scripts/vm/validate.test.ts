/** A module that breaks a rule of provability is refused, for that rule; the one that is built passes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import binaryen from "binaryen";
import { validateModule } from "./validate.ts";

function assemble(text: string): Uint8Array {
  const module = binaryen.parseText(text);
  module.setFeatures(binaryen.Features.All);
  return module.emitBinary();
}

const MEMORY = "(memory 1 1)";
/** A function named as an export of the machine. */
const body = (code: string, more = ""): string => `(module ${more} ${MEMORY} (func (export "init") ${code}))`;

const refused: readonly [what: string, text: string, fault: RegExp][] = [
  ["a float constant", body("(drop (f64.const 1))"), /not allowed: f64/],
  ["float locals", body("(local f32)"), /type not allowed: f32/],
  ["a conversion from floats", body("(drop (i32.trunc_f32_s (f32.const 1)))"), /i32\.trunc_f32_s/],
  ["a saturating conversion", body("(drop (i64.trunc_sat_f64_u (f64.const 1)))"), /i64\.trunc_sat_f64_u/],
  ["a reinterpretation", body("(drop (i32.reinterpret_f32 (f32.const 1)))"), /reinterpret/],
  ["SIMD", body("(drop (v128.load (i32.const 0)))"), /v128/],
  [
    "relaxed SIMD, whose results differ by machine",
    body("(drop (f32x4.relaxed_madd (v128.load (i32.const 0)) (v128.load (i32.const 0)) (v128.load (i32.const 0))))"),
    /f32x4/,
  ],
  ["a table", body("nop", "(table 1 funcref)"), /not allowed: table/],
  [
    "an indirect call",
    body("(call_indirect (type $t) (i32.const 0))", "(type $t (func)) (table 1 funcref)"),
    /call_indirect/,
  ],
  ["a reference", body("(drop (ref.null func))"), /ref\.null/],
  [
    "atomics",
    `(module (memory 1 1 shared) (func (export "init") (drop (i32.atomic.load (i32.const 0)))))`,
    /i32\.atomic\.load/,
  ],
  ["a fence", body("(atomic.fence)"), /atomic\.fence/],
  ["shared memory", `(module (memory 1 1 shared) (func (export "init")))`, /memory is shared/],
  ["memory that may grow", `(module (memory 1 2) (func (export "init")))`, /may grow/],
  ["memory without a limit", `(module (memory 1) (func (export "init")))`, /may grow/],
  ["memory.grow", body("(drop (memory.grow (i32.const 1)))"), /memory\.grow/],
  ["memory.size", body("(drop (memory.size))"), /memory\.size/],
  ["more memory than the machine may have", `(module (memory 16385 16385) (func (export "init")))`, /too large/],
  ["memory with 64-bit addresses", `(module (memory i64 1 1) (func (export "init")))`, /64-bit|not allowed/],
  ["two memories", `(module (memory 1 1) (memory 1 1) (func (export "init")))`, /2 memories/],
  ["no memory", `(module (func (export "init")))`, /0 memories/],
  ["passive data", body("(memory.init $d (i32.const 0) (i32.const 0) (i32.const 1))", `(data $d "x")`), /memory\.init/],
  ["a tail call", `(module ${MEMORY} (func $f) (func (export "init") (return_call $f)))`, /return_call/],
  ["exceptions", body("(throw $e)", "(tag $e)"), /not allowed: (tag|throw)/],
  ["a start function", `(module ${MEMORY} (func $f) (start $f))`, /not allowed: start/],
  ["recursion", `(module ${MEMORY} (func $f (export "init") (call $f)))`, /call themselves: \$\S+ → \$\S+/],
  [
    "recursion over several functions",
    `(module ${MEMORY} (func $f (export "init") (call $g)) (func $g (call $f)))`,
    /call themselves/,
  ],
  ["a foreign import", `(module (import "env" "abort" (func)) ${MEMORY})`, /foreign import: func env\.abort/],
  [
    "a foreign import under the host's name",
    `(module (import "host" "random" (func (result i32))) ${MEMORY})`,
    /foreign import: func host\.random/,
  ],
  ["an imported memory", `(module (import "host" "account" (memory 1 1)))`, /foreign import: memory|memories/],
  ["an imported global", `(module (import "host" "code" (global i32)) ${MEMORY})`, /foreign import: global/],
  [
    "a host function of another type",
    `(module (import "host" "blockHash" (func (param i32 i32) (result i32))) ${MEMORY})`,
    /is \(i32 i32\) i32, not \(i64 i32\) i32/,
  ],
  ["a foreign export", `(module ${MEMORY} (func (export "debug")))`, /foreign export: debug/],
];
for (const [what, text, fault] of refused)
  test(`a module with ${what} is refused`, async () => {
    const faults = await validateModule(assemble(text));
    assert.ok(
      faults.some((line) => fault.test(line)),
      `faults: ${faults.join("; ") || "none"}`,
    );
  });

test("bytes that are no module are refused", async () => {
  for (const bytes of [new Uint8Array(0), Uint8Array.of(1, 2, 3), Uint8Array.of(0, 0x61, 0x73, 0x6d, 9, 0, 0, 0)])
    assert.match((await validateModule(bytes)).join(), /not a WebAssembly module/);
});

test("an integer module passes", async () => {
  const text = `(module (import "host" "blockHash" (func $h (param i64 i32) (result i32))) ${MEMORY}
    (func (export "next") (result i32)
      (memory.copy (i32.const 0) (i32.const 8) (i32.const 8))
      (i32.wrap_i64 (i64.mul (i64.extend_i32_u (call $h (i64.const 1) (i32.const 2))) (i64.const 3)))))`;
  assert.deepEqual(await validateModule(assemble(text)), []);
});

test("the VM that is built passes", async () => {
  const wasm = readFileSync(new URL("../../vm/build/evm.wasm", import.meta.url));
  assert.deepEqual(await validateModule(wasm), []);
});
