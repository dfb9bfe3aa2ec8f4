/**
 * Owns one correction of `@ethereumjs/evm`: it refuses code that begins with 0xEF (EIP-3541) also where a creation
 * reverted and there is no code, only revert data that begins so, and takes all the gas. Here the check does not see
 * the data of a creation that failed. Found by the differential fuzzer.
 */
import type { EVM } from "@ethereumjs/evm";
import { assert } from "../base/assert.ts";
import { EMPTY_BYTES } from "../base/bytes.ts";

const EOF_BYTE = 0xef;

type Result = { returnValue: Uint8Array; exceptionError?: object };
type Internals = {
  runInterpreter: (message: { readonly isCreate?: boolean }, options?: object) => Promise<Result>;
  _executeCreate: (message: object) => Promise<{ execResult: Result }>;
};

/** Corrects one instance. */
export function keepRevertData(evm: EVM): void {
  const internals = evm as unknown as Internals;
  const { runInterpreter, _executeCreate: executeCreate } = internals;
  assert(
    typeof runInterpreter === "function" && typeof executeCreate === "function",
    "the EVM runs creations in two steps",
  );
  const hidden = new WeakMap<Result, Uint8Array>();
  internals.runInterpreter = async (message, options) => {
    const result = await runInterpreter.call(evm, message, options);
    if (message.isCreate === true && result.exceptionError !== undefined && result.returnValue[0] === EOF_BYTE) {
      hidden.set(result, result.returnValue);
      result.returnValue = EMPTY_BYTES;
    }
    return result;
  };
  internals._executeCreate = async (message) => {
    const outcome = await executeCreate.call(evm, message);
    const data = hidden.get(outcome.execResult);
    if (data !== undefined) outcome.execResult.returnValue = data;
    return outcome;
  };
}
