/** Owns turning revert data into words: custom errors by ABI, `Error(string)` and `Panic(uint256)`, else the raw bytes. */
import { type Abi, decodeErrorResult } from "viem";
import { toHex } from "../base/bytes.ts";

/** A revert in words, e.g. `StaleTerm(3, 5)`. */
export type Revert = { readonly name: string; readonly text: string };

/** `abis` are tried in order; Solidity's own errors are always known. */
export function decodeRevert(revertData: Uint8Array, abis: readonly Abi[]): Revert {
  const data = toHex(revertData);
  if (revertData.length < 4) return { name: "", text: "no reason given" };
  for (const abi of [...abis, []]) {
    try {
      const { errorName, args } = decodeErrorResult({ abi, data });
      return { name: errorName, text: `${errorName}(${(args ?? []).map(String).join(", ")})` };
    } catch {
      // not an error of this contract
    }
  }
  return { name: "", text: `unknown error ${data.slice(0, 138)}` };
}
