/**
 * Owns one shortcut in `@ethereumjs/evm`: its interpreter analyses the jump targets of a contract again for every call
 * (a sixth of the time of an ERC-20 transfer, most of it for large contracts). The analysis depends on the code and on
 * the fork's opcodes alone, so it is kept with the code bytes, and dropped with them.
 * Invariant: code arrays that reach the interpreter are never written to.
 */
import type { EVM } from "@ethereumjs/evm";
import { assert } from "../base/assert.ts";

type Interpreter = {
  readonly _evm: object;
  _getValidJumpDestinations(code: Uint8Array): object;
};

let installed = false;

/** Installs the shortcut once per process. The interpreter's class is not exported: an empty run leads to it. */
export async function keepJumpAnalysis(evm: EVM): Promise<void> {
  if (installed) return;
  installed = true;
  const { runState } = await evm.runCode({ code: Uint8Array.of(0), gasLimit: 1n });
  assert(runState !== undefined, "a run of code has a state");
  const prototype = Object.getPrototypeOf(runState.interpreter) as Interpreter;
  const analyse = Reflect.get(prototype, "_getValidJumpDestinations") as (
    this: Interpreter,
    code: Uint8Array,
  ) => object;
  assert(typeof analyse === "function", "the interpreter analyses jumps");
  const byOpcodes = new WeakMap<object, WeakMap<Uint8Array, object>>();
  prototype._getValidJumpDestinations = function (this: Interpreter, code: Uint8Array): object {
    const opcodes = Reflect.get(this._evm, "_opcodeMap") as object;
    let byCode = byOpcodes.get(opcodes);
    if (byCode === undefined) byOpcodes.set(opcodes, (byCode = new WeakMap()));
    let analysis = byCode.get(code);
    if (analysis === undefined) byCode.set(code, (analysis = analyse.call(this, code)));
    return analysis;
  };
}
